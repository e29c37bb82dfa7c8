"""The union scan: what some reader could decode out of a message, whatever its structure says.

Only for messages whose structure is in doubt, because it costs time and finds files where there are none.  Segments
are found without regard to parts: base64 in any alphabet and with junk between, quoted-printable, uuencode, yEnc and
BinHex.
"""

from __future__ import annotations

import binascii
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# A field in the middle of a text, from which some programs decode what follows.
_FIELD = re.compile(rb"(?i)[\r\n][ \t]*+content-transfer-encoding[ \t]*+:")
_LONE = re.compile(rb"\r(?!\n)")
_MOST = 400
_MOST_TIMES = 6
_SHORTEST = 16
_MOST_PIECES = 8
_SEGMENT = re.compile(rb"(?:\r?\n[ \t\r]*+|\r[ \t]*+)(?=\r?\n|\r)|\r?\n--[^\r\n]*+")
# A line of base64, or its end.
_LINE = re.compile(rb"(?<![A-Za-z0-9+/_-])[ \t>|]{0,80}+[A-Za-z0-9+/_-]{4,}+=*+[ \t]*+(?:[\r\n]++|\Z)")
_CODE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NO_CODE = bytes(sorted(set(range(256)) - set(_CODE)))
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_UU = re.compile(rb"(?:^|[\r\n])begin[ \t]++[0-7]{3,4}[ \t]++[^\r\n]*+\r?\n")
_YENC = re.compile(rb"(?:^|[\r\n])=ybegin [^\r\n]*+\r?\n")
# What begins a file ends the one before it, in every form in which it begins, or each would go on to the end of all.
_YENC_END = re.compile(rb"[\r\n]=y(?:end|begin) ")
_UU_END = re.compile(rb"\r*+(?:end|begin[ \t])")
_BINHEX = re.compile(rb"\(This file must be converted with BinHex[^:]{0,200}+:([^:]*+)")
_QUOTED = re.compile(rb"=[0-9A-Fa-f]{2}")
_HQX = b"!\"#$%&'()\x2a+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
_SIX_BITS = bytes.maketrans(_HQX, _CODE[:64])
_NOT_HQX = bytes(sorted(set(range(256)) - set(_HQX)))


def in_text(text: bytes) -> list[bytes]:
    """Return what programs could decode that look for parts in a text; nothing for a text that does not look so."""
    return scan(text) if _FIELD.search(text) else []


def scan(raw: bytes) -> list[bytes]:
    """Return what could be decoded, each content once; pieces below 16 octets are not looked at.

    At most 400, and six times as much as the text: each way to decode makes less than the text of it.
    """
    found: dict[bytes, None] = {}
    room = _MOST_TIMES * len(raw)
    for data in _decoded(raw):
        if len(data) >= _SHORTEST and data not in found:
            found[data] = None
            room -= len(data)
            if len(found) >= _MOST or room < 0:
                break
    return list(found)


def _decoded(raw: bytes) -> Iterator[bytes]:
    yield from _files(raw)
    if _LONE.search(raw):  # it ends a line of what is found below
        yield from _files(_LONE.sub(b"\n", raw))
    for run in _runs(raw):
        yield from _base64(run)
    position = 0
    for end in (*(match.end() for match in _SEGMENT.finditer(raw)), len(raw)):
        segment = raw[position:end]
        position = end
        if len(segment) < _SHORTEST:
            continue
        for run in _runs(segment):
            yield from _base64(run)
        yield from _base64(segment)
        if _QUOTED.search(segment):
            yield binascii.a2b_qp(segment)


def _runs(text: bytes) -> Iterator[bytes]:
    """Yield what lies in lines of base64, as long as one follows the other."""
    start = end = 0
    for match in _LINE.finditer(text):
        if match.start() != end:
            if end > start:
                yield text[start:end]
            start = match.start()
        end = match.end()
    if end > start:
        yield text[start:end]


def _base64(text: bytes) -> Iterator[bytes]:
    """Decode a text up to each padding, and over all of them, skipping what is no base64."""
    code = text.translate(_URL_SAFE, b"\r\n \t>").translate(None, _NO_CODE)
    position = 0
    for _ in range(_MOST_PIECES):
        end = code.find(b"=", position)
        if end < 0:
            break
        if end > position:
            yield _whole_groups(code[position:end])
        position = end + 1
    if position < len(code):
        yield _whole_groups(code[position:].partition(b"=")[0])
    if position:
        yield _whole_groups(code.replace(b"=", b""))


def _whole_groups(code: bytes) -> bytes:
    code = code[:-1] if len(code) % 4 == 1 else code
    return binascii.a2b_base64(code + b"=" * (-len(code) % 4))


def _files(raw: bytes) -> Iterator[bytes]:
    for begin in _UU.finditer(raw):
        yield b"".join(_uu_lines(raw, begin.end()))
    for begin in _YENC.finditer(raw):
        start = begin.end()
        if raw.startswith(b"=ypart ", start):
            start = raw.find(b"\n", start) + 1 or len(raw)
        end = _YENC_END.search(raw, start)
        yield _yenc(raw[start : end.start() if end else len(raw)])
    for match in _BINHEX.finditer(raw):
        yield _whole_groups(match[1].translate(None, _NOT_HQX).translate(_SIX_BITS))
        yield from _base64(match[1])


def _uu_lines(raw: bytes, position: int) -> Iterator[bytes]:
    while 0 <= position < len(raw):
        end = raw.find(b"\n", position)
        line = raw[position : end if end >= 0 else len(raw)].rstrip(b"\r")
        if _UU_END.match(line) or len(line) > 200:
            return
        try:
            yield binascii.a2b_uu(line)
        except binascii.Error:
            yield b""
        position = end + 1 if end >= 0 else -1


def _yenc(text: bytes) -> bytes:
    body = text.replace(b"\r", b"").replace(b"\n", b"")
    pieces = body.split(b"=")
    escaped = [bytes([(piece[0] - 64) % 256]) + piece[1:] if piece else b"" for piece in pieces[1:]]
    return b"".join([pieces[0], *escaped]).translate(bytes((octet - 42) % 256 for octet in range(256)))
