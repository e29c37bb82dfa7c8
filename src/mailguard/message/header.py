"""Header fields as byte ranges (RFC 5322 2.2), for any bytes at all.

Nothing is decoded or changed here.  A line that is no field, a continuation without a field above it and a name with
blanks are kept and marked, because some mail reader will read each of them as a field.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELD_END = re.compile(rb"\n(?![ \t])")
_END = re.compile(rb"\n\r?\n")
_PIECE = 1 << 16
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


class Field:
    """One header field: `raw[start:end]` is the whole field with its line end, `value` what follows the colon.

    name: lower case, surrounding blanks removed; b"" when the line has no colon.
    """

    __slots__ = ("colon", "end", "name", "raw", "start")

    def __init__(self, raw: bytes, start: int, end: int) -> None:
        self.raw = raw
        self.start = start
        self.end = end
        self.colon = raw.find(b":", start, end)
        self.name = raw[start : self.colon].strip(b" \t\r\n").lower() if self.colon >= 0 else b""

    @property
    def value(self) -> bytes:
        """The raw value after the colon, with its folds and without the final line end."""
        value = self.raw[self.colon + 1 : self.end] if self.colon >= 0 else self.raw[self.start : self.end]
        return value.removesuffix(b"\n").removesuffix(b"\r")

    @property
    def unfolded(self) -> bytes:
        """The value with folds undone (RFC 5322 2.2.3) and surrounding blanks removed."""
        return unfold(self.value).strip(b" \t")

    @property
    def bytes(self) -> bytes:
        """The whole field as it stands in the message."""
        return self.raw[self.start : self.end]

    def __repr__(self) -> str:
        return f"Field({self.bytes!r})"


def unfold(value: bytes) -> bytes:
    """Undo folding: a line end before a blank or tab disappears, the blank stays (RFC 5322 2.2.3)."""
    if b"\n" not in value:
        return value
    return b"".join(_FOLD.sub(b"", piece) for piece in _before_line_ends(value))


def _before_line_ends(value: bytes) -> Iterator[bytes]:
    """Cut a huge value into pieces, each before a line end: a substitution needs memory for every place it finds."""
    start = 0
    while start < len(value):
        end = value.find(b"\n", start + _PIECE)
        end = len(value) if end < 0 else end - (value[end - 1] == 13)
        yield value[start:end]
        start = end


def end(raw: bytes, start: int, stop: int) -> tuple[int, int]:
    """Return (end of the header fields, start of the body) of the entity in `raw[start:stop]`.

    The header ends at the first empty line; without one everything is header.
    """
    if raw.startswith(b"\n", start, stop):
        return start, start + 1
    if raw.startswith(b"\r\n", start, stop):
        return start, start + 2
    match = _END.search(raw, start, stop)
    return (match.start() + 1, match.end()) if match else (stop, stop)


def fields(raw: bytes, start: int, stop: int) -> Iterator[Field]:
    """Yield every field of the header `raw[start:stop]` in order; the ranges cover it without gaps."""
    position = start
    while position < stop:
        match = _FIELD_END.search(raw, position, stop)
        end_of_field = match.end() if match is not None else stop
        yield Field(raw, position, end_of_field)
        position = end_of_field
