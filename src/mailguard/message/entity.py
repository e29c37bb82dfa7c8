"""Entities that every reader reads alike: generated fields, canonical base64, one file name."""

from __future__ import annotations

import re

from mailguard.message import encoding as transfer

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_CHARSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}")
_CONTENT_ID = re.compile(rb"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}>")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.()@+-][A-Za-z0-9_.()@+ -]{0,58}")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.()@+-]+")
_EXTENSION = re.compile(r"[A-Za-z0-9]{1,16}")
_PIECE = re.compile(r"(?:%[0-9A-F]{2}|[^%]){1,20}")  # an octet is never cut
_UNKNOWN = "application/octet-stream"
# Readers look for parts, messages and addresses of files behind these labels, whatever is in the content.
_STRUCTURAL = ("multipart", "message")


def media_type(text: str) -> str:
    """Return the media type of a leaf as it may be written into a field; application/octet-stream for any other."""
    lower = text.lower()
    return lower if _TYPE.fullmatch(lower) and not any(word in lower for word in _STRUCTURAL) else _UNKNOWN


def entity(
    data: bytes,
    mime: str,
    eol: bytes,
    *,
    name: str = "",
    charset: str = "",
    content_id: bytes = b"",
    inline: bool = False,
) -> bytes:
    """Return an entity in base64 without final line end.

    mime, charset: checked, what no reader would understand is left out; name: a safe file name, "" for body text;
    content_id: raw value of the field, kept where it is a plain one; eol: of the message.
    """
    kind = media_type(mime)
    lines = [b"Content-Type: " + kind.encode("ascii")]
    if kind.startswith("text/") and _CHARSET.fullmatch(charset):
        lines[0] += b"; charset=" + charset.lower().encode("ascii")
    lines.append(b"Content-Transfer-Encoding: base64")
    if name:
        lines += _disposition(name, b"inline" if inline else b"attachment")
    if _CONTENT_ID.fullmatch(content_id.strip()):
        lines.append(b"Content-ID: " + content_id.strip())
    return eol.join([*lines, b"", transfer.base64(data, eol=eol, trailing=0)])


def _disposition(name: str, kind: bytes) -> list[bytes]:
    """Write the disposition with the name once as ASCII, and once as it is where it is not ASCII (RFC 2231)."""
    if _PLAIN_NAME.fullmatch(name):
        return [b"Content-Disposition: " + kind + b";", b'\tfilename="' + name.encode("ascii") + b'"']
    from urllib.parse import quote

    stem, _, extension = name.rpartition(".")
    plain = _NOT_PLAIN.sub("_", stem or name).strip("_")[:40] or "attachment"
    # Two names with different extensions would be two readings.
    kept = extension if stem and _EXTENSION.fullmatch(extension) else ""
    plain = f"{plain}.{kept}" if kept else plain.replace(".", "_")
    pieces = _PIECE.findall("UTF-8''" + quote(name, safe=""))
    lines = [f"\tfilename*{number}*={piece}".encode("ascii") for number, piece in enumerate(pieces)]
    ascii_line = b'\tfilename="' + plain.encode("ascii") + b'";'
    first = b"Content-Disposition: " + kind + b";"
    return [first, ascii_line, *(line + b";" for line in lines[:-1]), lines[-1]]
