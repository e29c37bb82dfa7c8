"""A header that every reader reads alike, generated from one that may not be trusted in any way.

Only fields that people and mail systems need are taken over, each at most once where it must be single (RFC 5322 3.6),
as printable ASCII with encoded words (RFC 2047), folded.  The Received chain stays, because loops are found by it.
"""

from __future__ import annotations

import re

from mailguard.message import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailguard.message.header import Field

_SINGLE = {
    name.lower().encode("ascii"): name.encode("ascii")
    for name in (
        "From",
        "Sender",
        "Reply-To",
        "To",
        "Cc",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Subject",
        "Date",
        "Auto-Submitted",
        "Precedence",
        "List-Id",
    )
}
_REPEATED = {
    name.lower().encode("ascii"): name.encode("ascii")
    for name in ("Return-Path", "Received", "Delivered-To", "X-Original-To", "X-Loop")
}
_OTHER = re.compile(rb"[a-z][a-z0-9-]{1,60}")
# Signatures are not true any more; the others are written anew.
_NEVER = (b"content-", b"mime-", b"mailguard-", b"dkim-signature", b"domainkey-", b"arc-", b"bcc", b"x-mozilla-")
_LONGEST_VALUE = 8000
_LONGEST_WORD = 900
_MOST_FIELDS = 500
_WORD_OCTETS = 39  # of UTF-8 in one encoded word: 52 characters of base64
_LINE_END = re.compile(rb"[\r\n\0]")
_QUOTED = re.compile(r'"(?:[^"\\]++|\\.)*"')
_ESCAPED = re.compile(r"\\(.)")
_RUN = re.compile(r"[^ -~]+(?: +[^ -~]+)*")


def safe_fields(fields: Iterable[Field], eol: bytes, tag: str = "", *, everything: bool = False) -> bytes:
    """Return the safe form of the fields that may stay, in their order; `tag` goes before the subject.

    everything: also of fields of other names, except those of MIME and signatures.
    """
    lines: list[bytes] = []
    seen: set[bytes] = set()
    for field in fields:
        name = _REPEATED.get(field.name) or (None if field.name in seen else _SINGLE.get(field.name))
        if name is None and everything and field.name not in _SINGLE:
            name = _other(field)
        if name is None or len(lines) >= _MOST_FIELDS:
            continue
        seen.add(field.name)
        text = _text(field.unfolded[:_LONGEST_VALUE])
        if tag and field.name == b"subject" and not text.startswith(tag):
            text = f"{tag} {text}"
        lines.append(generate(name, text, eol))
    if tag and b"subject" not in seen:
        lines.append(generate(b"Subject", tag, eol))
    return b"".join(lines)


def _other(field: Field) -> bytes | None:
    if _OTHER.fullmatch(field.name) is None or field.name.startswith(_NEVER):
        return None
    written = field.bytes[: len(field.name)]
    return written if written.lower() == field.name else None


def generate(name: bytes, text: str, eol: bytes) -> bytes:
    """Return one field: what is not ASCII as encoded words, folded under 78 columns where there are blanks."""
    line = name + b":"
    lines = []
    whole = name == b"Subject" and not text.isascii()  # the one field that has no structure
    for word in (_encoded(text) if whole else _ascii(text)).split():
        piece = word[:_LONGEST_WORD].encode("ascii")
        if len(line) + 1 + len(piece) > 77 and line != name + b":":
            lines.append(line)
            line = b""
        line += b" " + piece
    return eol.join([*lines, line]) + eol


def _text(raw: bytes) -> str:
    """Read a raw value as what it most plausibly is; encoded words stay encoded, control characters become blanks.

    It ends where some reader would end the line: behind a bare CR, a whole message can stand in one field.
    """
    raw = _LINE_END.split(raw, maxsplit=1)[0]
    text = raw.decode("ascii") if raw.isascii() and b"\x1b" not in raw else _decoded(raw)
    return _printable(text)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _decoded(raw: bytes) -> str:
    # A raw value with encoded words in it reads as both; the raw octets decide, so that nothing is decoded twice.
    readings = words.texts(raw.replace(b"=?", b"= ?"))
    return readings[0]


def encoded(text: str) -> bytes:
    """Return text for a header field as ASCII, what is not ASCII as encoded words."""
    return " ".join(_ascii(_printable(text)).split()).encode("ascii")


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    # A quoted string cannot hold encoded words (RFC 2047 5), and what it quotes must not become an address.
    return _RUN.sub(_run, _QUOTED.sub(_quoted, text).replace('"', ""))


def _quoted(match: re.Match[str]) -> str:
    return _encoded(_ESCAPED.sub(r"\1", match[0][1:-1]))


def _run(match: re.Match[str]) -> str:
    return _encoded(match[0])


def _encoded(text: str) -> str:
    pieces = [""]
    for character in text:
        if len((pieces[-1] + character).encode("utf-8", "replace")) > _WORD_OCTETS:
            pieces.append("")
        pieces[-1] += character
    return " " + " ".join(_word(piece) for piece in pieces) + " "


def _word(text: str) -> str:
    import binascii

    code = binascii.b2a_base64(text.encode("utf-8", "replace"), newline=False).decode("ascii")
    return f"=?UTF-8?B?{code}?="
