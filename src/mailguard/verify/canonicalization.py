"""The canonical forms in which headers and bodies are signed (RFC 6376 3.4), each in linear time.

A message on standard input may have lost the CR of its line ends, so LF and CRLF are the same line end here, as they
are for every verifier behind a mail system; a lone CR is content.
"""

from __future__ import annotations

import re

from mailguard.message.header import unfold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from hashlib import _Hash as Digest

    from mailguard.message.header import Field

SIMPLE = b"simple"
RELAXED = b"relaxed"

_NAME = re.compile(rb"([!-9;-~]++)[ \t]*+:")
_PIECE = 1 << 17
_EMPTY_LINES = 100  # that are counted one by one


def field_name(field: Field) -> bytes:
    """Return the lower-case name by which h= can select this field, or b"" for a line that is no field at all.

    Blanks before the colon are allowed (RFC 5322 4.5); a leading blank, a fold before the colon, control characters and
    8-bit characters are not.
    """
    match = _NAME.match(field.raw, field.start, field.end)
    return match[1].lower() if match else b""


def simple_field(field: Field) -> bytes:
    """Return the field as it stands, with CRLF line ends (RFC 6376 3.4.1)."""
    return _crlf(field.bytes if field.bytes.endswith(b"\n") else field.bytes + b"\n")


def relaxed_field(field: Field) -> bytes:
    """Return the field unfolded, in lower case and with single blanks, with its CRLF (RFC 6376 3.4.2)."""
    return field_name(field) + b":" + relaxed_value(field.value) + b"\r\n"


def relaxed_value(value: bytes) -> bytes:
    """Return a field's value unfolded and with single blanks, none at its ends (RFC 6376 3.4.2)."""
    return _single_blanks(unfold(value)).strip(b" ")


def body_pieces(raw: bytes, start: int, form: bytes) -> Iterator[bytes | memoryview]:
    """Yield the canonical body of `raw[start:]` in pieces, with CRLF line ends (RFC 6376 3.4.3, 3.4.4).

    form: SIMPLE or RELAXED.  Pieces keep the working set in the processor's cache and memory small.
    """
    end = _end_as_it_stands(raw, start, form)
    if end is not None:
        yield from (memoryview(raw)[start:end], b"\r\n")
        return
    empty_lines = 0
    anything = form == SIMPLE
    for piece in _line_pieces(raw, start):
        lines = _relaxed_lines(piece) if form == RELAXED else _crlf(piece)
        ending = lines[len(lines.rstrip(b"\r\n")) :].replace(b"\r\n", b"\n")
        ending_lines = len(ending) - len(ending.rstrip(b"\n"))
        content = lines[: len(lines) - 2 * ending_lines]
        if content:
            if empty_lines:
                yield b"\r\n" * empty_lines
            yield content
            anything = True
            empty_lines = 0
        empty_lines += ending_lines
    if anything:
        yield b"\r\n"


def _end_as_it_stands(raw: bytes, start: int, form: bytes) -> int | None:
    """Return the end of the content when, up to its empty last lines, the body is already canonical, else None."""
    if form == RELAXED and (raw.find(b" ", start) >= 0 or raw.find(b"\t", start) >= 0):
        return None
    if raw.count(b"\n", start) != raw.count(b"\r\n", start):
        return None
    end = len(raw)
    for _ in range(_EMPTY_LINES):
        if not raw.endswith(b"\r\n", start, end):
            return end if end > start else None
        end -= 2
    return None


def hash_body(raw: bytes, start: int, form: bytes, length: int | None, digest: Digest) -> int:
    """Feed the first `length` octets of the canonical body (all of them when None) to `digest`.

    Returns the size of the whole canonical body.
    """
    size = 0
    for piece in body_pieces(raw, start, form):
        if length is None or size + len(piece) <= length:
            digest.update(piece)
        elif size < length:
            digest.update(piece[: length - size])
        size += len(piece)
    return size


def field_form(form: bytes) -> Callable[[Field], bytes]:
    """Return the function that makes the canonical form of a field."""
    return relaxed_field if form == RELAXED else simple_field


def _line_pieces(raw: bytes, start: int) -> Iterator[bytes]:
    """Cut into pieces that end behind a line end; a longer line stays whole."""
    while start < len(raw):
        end = raw.find(b"\n", min(start + _PIECE, len(raw))) + 1 or len(raw)
        yield raw[start:end]
        start = end


def _relaxed_lines(lines: bytes) -> bytes:
    lines = _crlf(_single_blanks(lines))
    if b" " not in lines:
        return lines
    return lines.replace(b" \r\n", b"\r\n").removesuffix(b" ")  # of a last line without line end


def _single_blanks(value: bytes) -> bytes:
    if b"\t" in value:
        value = value.replace(b"\t", b" ")
    while b"  " in value:  # halves the longest run each time: for ordinary text faster than a regular expression
        value = value.replace(b"  ", b" ")
    return value


def _crlf(lines: bytes) -> bytes:
    if b"\r" not in lines:
        return lines.replace(b"\n", b"\r\n")
    if lines.count(b"\n") == lines.count(b"\r\n"):
        return lines
    return lines.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
