"""Entities that every reader reads alike: generated fields, canonical base64, one file name."""

from __future__ import annotations

import re

from mailguard.message import encoding as transfer
from mailguard.message.content import Content
from mailguard.message.splice import joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailguard.findings import Chunk

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_CHARSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}")
_CONTENT_ID = re.compile(rb"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}>")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.()@+-][A-Za-z0-9_.()@+ -]{0,58}")
_WIDTH = 54  # 6 Japanese characters
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
    """Return an entity in base64 without final line end; see `pieces`."""
    return joined(pieces(data, mime, eol, name=name, charset=charset, content_id=content_id, inline=inline))


def pieces(
    data: bytes,
    mime: str,
    eol: bytes,
    *,
    name: str = "",
    charset: str = "",
    content_id: bytes = b"",
    inline: bool = False,
) -> list[Chunk]:
    """Return an entity in base64 without final line end, encoded where it is read.

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
    return [eol.join([*lines, b"", b""]), transfer.Base64Text(Content.of(data), eol)]


def _disposition(name: str, kind: bytes) -> list[bytes]:
    """Write the disposition with the name once: two forms of it are two names to half of the readers.

    Python's email and GMime (notmuch, mu, Geary) take `filename` where `filename*` stands beside it, ripmime both.
    """
    first = b"Content-Disposition: " + kind + b";"
    if _PLAIN_NAME.fullmatch(name):
        return [first, b'\tfilename="' + name.encode("ascii") + b'"']
    return [first, *extended("filename", name)]


def extended(parameter: str, value: str) -> list[bytes]:
    """Return the lines of a parameter in UTF-8 (RFC 2231 4), in sections (3) where it is too long for one line."""
    from urllib.parse import quote

    pieces = list(_pieces(quote(character, safe="") for character in value))
    pieces[0] = "UTF-8''" + pieces[0]
    if len(pieces) == 1:
        return [f"\t{parameter}*={pieces[0]}".encode("ascii")]
    lines = [f"\t{parameter}*{number}*={piece}".encode("ascii") for number, piece in enumerate(pieces)]
    return [*(line + b";" for line in lines[:-1]), lines[-1]]


def _pieces(encoded: Iterable[str]) -> Iterator[str]:
    """Join encoded characters to pieces that suit a line; a character is never cut."""
    piece = ""
    for character in encoded:
        if len(piece) + len(character) > _WIDTH:
            yield piece
            piece = ""
        piece += character
    yield piece
