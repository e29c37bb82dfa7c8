"""Content transfer encodings (RFC 2045 6): decode, and say whether encoding again gives the same bytes.

`decode` is total.  It answers three questions at once: what are the bytes, was the encoding free of anything that
another reader may read otherwise (`exact`), and by which recipe do we get the encoded form back (`recipe`), so that
content need not be kept twice.
"""

from __future__ import annotations

import binascii
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from mailguard.message.content import Content

    class RangeReader(Protocol):
        """Octets that are read a range at a time."""

        size: int

        def read(self, start: int, length: int, /) -> bytes:
            """Return up to `length` octets from `start`."""
            ...

    Recipe = dict[str, Any]

IDENTITY = frozenset({b"", b"7bit", b"8bit", b"binary"})
UUENCODE = frozenset({b"x-uuencode", b"x-uue", b"uuencode", b"uue"})

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_ALPHABET = bytes(sorted(set(range(256)) - set(_ALPHABET)))
_BAD_QUOTED_PRINTABLE = re.compile(rb"=(?![0-9A-F]{2}|\r?\n)|[ \t](?=\r?\n)|[^\t\r\n -~]|\r(?!\n)")
_UU_BEGIN = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} ([^\r\n]*)\r?$", re.MULTILINE)
_LONGEST_LINE = 998
_IDENTICAL = 1 << 16
_LINES_AT_ONCE = 1024  # what is encoded and compared stays in the processor's cache


class Decoded:
    """data: the decoded bytes; exact: no reader can read them otherwise; recipe: see `encode`, None when not exact."""

    __slots__ = ("data", "exact", "recipe")

    def __init__(self, data: bytes, *, exact: bool, recipe: Recipe | None = None) -> None:
        self.data = data
        self.exact = exact
        self.recipe = recipe


def decode(raw: bytes, start: int, end: int, encoding: bytes) -> Decoded:
    """Decode `raw[start:end]`; `encoding` is the lower-case Content-Transfer-Encoding, b"" when absent.

    Unknown encodings are given back undecoded with exact=False.
    """
    if encoding in IDENTITY:
        return Decoded(raw[start:end], exact=True, recipe={"encoding": "identity"})
    if encoding == b"base64":
        return _decode_base64(raw, start, end)
    if encoding == b"quoted-printable":
        return _decode_quoted_printable(raw[start:end])
    if encoding in UUENCODE:
        return _decode_uuencode(raw[start:end])
    return Decoded(raw[start:end], exact=False)


def encode(data: bytes, recipe: Recipe) -> bytes:
    r"""Encode content as the recipe says.

    `{"encoding": "identity"}`, or `{"encoding": "base64", "line": columns (0: one line), "eol": "\n" or "\r\n",
    "trailing": number of line ends after the last line}`.
    """
    if recipe["encoding"] == "identity":
        return data
    return base64(data, recipe["line"], recipe["eol"].encode("ascii"), recipe["trailing"])


def reproduces(data: bytes | Content, recipe: Recipe, raw: bytes, start: int, end: int) -> bool:
    """Tell whether `encode(data, recipe)` is `raw[start:end]`, without making all of it at once."""
    columns = recipe.get("line", 0)
    if recipe["encoding"] == "identity":
        return len(data) == end - start and all(
            raw.startswith(data[offset : offset + _IDENTICAL], start + offset)
            for offset in range(0, len(data), _IDENTICAL)
        )
    if not columns or columns % 4:
        encoded = encode(data[:], recipe)
        return len(encoded) == end - start and raw.startswith(encoded, start)
    eol = recipe["eol"].encode("ascii")
    octets = columns // 4 * 3 * _LINES_AT_ONCE
    position = start
    for offset in range(0, len(data), octets):
        last = offset + octets >= len(data)
        piece = base64(data[offset : offset + octets], columns, eol, recipe["trailing"] if last else 1)
        if not raw.startswith(piece, position):
            return False
        position += len(piece)
    return position == end if data else encode(b"", recipe) == raw[start:end]


class Base64Text:
    """Base64 in lines of 76 characters, without a line end at its end, encoded where it is read.

    As a piece of a message it has a length and slices, as bytes have.
    """

    __slots__ = ("_data", "_eol", "_length", "_step")

    def __init__(self, data: RangeReader, eol: bytes) -> None:
        self._data = data
        self._eol = eol
        self._step = 76 + len(eol)
        lines, rest = divmod(data.size, 57)
        self._length = max(lines * self._step + -(-rest // 3) * 4 - (0 if rest else len(eol)), 0)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, window: slice) -> bytes:
        start, stop, _ = window.indices(self._length)
        if stop <= start:
            return b""
        first = start // self._step
        lines = -(-stop // self._step) - first
        text = base64(self._data.read(first * 57, lines * 57), eol=self._eol)
        return text[start - first * self._step : stop - first * self._step]


def base64(data: bytes, columns: int = 76, eol: bytes = b"\n", trailing: int = 1) -> bytes:
    """Encode as base64 in lines of `columns` characters (0: one line), with `trailing` line ends at the end."""
    import pybase64

    if columns == 76 and data:  # the C loop of the library is five times faster than cutting lines here
        text: bytes = pybase64.encodebytes(data)
        text = text.replace(b"\n", eol) if eol != b"\n" else text
        return text if trailing == 1 else text[: -len(eol)] + eol * trailing
    text = pybase64.b64encode(data)
    if columns and len(text) > columns:
        step = columns * _LINES_AT_ONCE
        text = eol.join(
            _cut(text, start, min(start + step, len(text)), columns, eol) for start in range(0, len(text), step)
        )
    return text + eol * trailing


def _cut(text: bytes, start: int, end: int, columns: int, eol: bytes) -> bytes:
    return eol.join([text[position : min(position + columns, end)] for position in range(start, end, columns)])


def base64_layout(raw: bytes, start: int, end: int) -> tuple[int, bytes]:
    """Return (columns, line end) of the first line of a base64 body; columns is 0 when it has only one line."""
    newline = raw.find(b"\n", start, end)
    if newline < 0:
        return 0, b"\n"
    carriage = newline > start and raw[newline - 1] == 13
    return newline - carriage - start, b"\r\n" if carriage else b"\n"


def _decode_base64(raw: bytes, start: int, end: int) -> Decoded:
    import pybase64

    columns, eol = base64_layout(raw, start, end)
    try:
        data = pybase64.b64decode(raw[start:end].replace(eol, b""), validate=True)
    except (binascii.Error, ValueError):
        return Decoded(_lenient_base64(raw[start:end]), exact=False)
    if columns > _LONGEST_LINE or (columns == 0 and raw[start : min(start + 1, end)] in {b"\r", b"\n"}):
        return Decoded(data, exact=False)
    stop = end
    while stop > start and raw[stop - 1] in b"\r\n":
        stop -= 1
    trailing = raw.count(b"\n", stop, end)
    if stop - start <= columns:
        columns = 0 if not trailing else columns
    recipe = {"encoding": "base64", "line": columns, "eol": eol.decode("ascii"), "trailing": trailing}
    if reproduces(data, recipe, raw, start, end):
        return Decoded(data, exact=True, recipe=recipe)
    padded = raw.find(b"=", start, stop)
    is_only_padding = padded < 0 or not raw[padded:stop].strip(b"=")
    return Decoded(data, exact=is_only_padding and _quartets(raw, start, stop))


def _quartets(raw: bytes, start: int, end: int) -> bool:
    """Tell whether every line but the last holds whole groups of four, so that line-wise readers agree."""
    newline = raw.find(b"\n", start, end)
    while newline >= 0:
        line = raw[start:newline].rstrip(b"\r")
        if len(line) % 4 or not line.strip():
            return False
        start = newline + 1
        newline = raw.find(b"\n", start, end)
    return True


def _lenient_base64(body: bytes) -> bytes:
    """Decode what most readers see: other characters skipped, everything after the first padding ignored."""
    text = body.translate(None, _NOT_ALPHABET)
    padding = text.find(b"=")
    text = text if padding < 0 else text[:padding]
    text = text[: len(text) - 1] if len(text) % 4 == 1 else text
    return binascii.a2b_base64(text + b"=" * (-len(text) % 4))


def _decode_quoted_printable(body: bytes) -> Decoded:
    return Decoded(binascii.a2b_qp(body), exact=_BAD_QUOTED_PRINTABLE.search(body) is None)


def _decode_uuencode(body: bytes) -> Decoded:
    """Decode the first uuencoded file (POSIX uuencode); lines that other readers may read otherwise make it inexact."""
    begin = _UU_BEGIN.search(body)
    if begin is None:
        return Decoded(body, exact=False)
    pieces = []
    exact = True
    for line in body[begin.end() + 1 :].split(b"\n"):
        line = line.rstrip(b"\r")  # noqa: PLW2901
        if line == b"end":
            break
        piece, regular = _uu_line(line)
        pieces.append(piece)
        exact = exact and regular
    else:
        exact = False
    return Decoded(b"".join(pieces), exact=exact)


def _uu_line(line: bytes) -> tuple[bytes, bool]:
    try:
        return binascii.a2b_uu(line), True
    except binascii.Error:
        pass
    length = (((line[0] - 32) & 63) * 4 + 5) // 3  # the encoders of old padded lines too long
    try:
        return binascii.a2b_uu(line[:length]), False
    except binascii.Error:
        return b"", False
