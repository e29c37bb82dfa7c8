"""Legacy Excel workbooks ([MS-XLS]): macro sheets, automatic names, DDE and other links, hyperlinks, queries."""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import accumulate
from struct import Struct, error

from mailguard.formats.disarmed import Refused
from mailguard.formats.office import formulas, targets
from mailguard.formats.ole import links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailguard.formats.disarmed import Options
    from mailguard.formats.ole.compound import Node

_RECORDS = 4_000_000
_HEAD, _SHORT, _LONG = Struct("<2H"), Struct("<H"), Struct("<I")
_BOF, _EOF, _CONTINUE, _FILE_PASS, _NOTE = 0x809, 0x0A, 0x3C, 0x2F, 0x1C
_SHEET, _INDEX, _STRINGS = 0x85, 0x20B, 0xFF
_NAME, _FORMULA, _ARRAY, _SHARED = 0x18, 0x06, 0x221, 0x4BC
_LINKED_BOOK, _LINKED_NAME, _HYPERLINK, _TOOLTIP = 0x1AE, 0x23, 0x1B8, 0x800
_BIFF_8, _BIFF_5 = 0x600, 0x500
_MACRO_SHEET, _WORKSHEET = 0x40, 0x10
_WHERE = {_FORMULA: 20, _ARRAY: 12, _SHARED: 8}  # the length of the tokens, before them
_DELETED: dict[int, str] = {
    **dict.fromkeys((0xD3, 0x1BD, 0x87), "macro"),
    **dict.fromkeys((0x1AD, 0x803, 0x804, 0x805, 0x806, 0x807, 0x876, 0x80A, 0xDC), "external-relationship"),
}
"""Records of a VBA project or add-in, and of queries to databases and web pages."""
_JUDGED = frozenset(
    {
        _BOF, _EOF, _CONTINUE, _FILE_PASS, _NOTE, _SHEET, _INDEX, _STRINGS, _NAME, _LINKED_BOOK, _LINKED_NAME,
        _HYPERLINK, _TOOLTIP, *_WHERE, *_DELETED,
    }
)  # fmt: skip
# Functions that act, with at least one parameter (PtgFuncVar, [MS-XLS] 2.5.198.63).
_ACTING = (53, 110, 132, 136, 137, 138, 149, 150, 175, 176, 177, 178, 201, 267, 379)
_CALL = re.compile(
    rb"[\x22\x42\x62][\x01-\x1e](?:" + b"|".join(re.escape(number.to_bytes(2, "little")) for number in _ACTING) + rb")"
)
_LINK_CALL = re.compile(rb"[\x22\x42\x62][\x01\x02]\x67\x01")  # the function HYPERLINK
_STRING = 0x17
_NOT_AVAILABLE, _PLUS = b"\x1c\x2a", b"\x12"
_AUTOMATIC = frozenset(b"\x01\x02\x0a\x0b")
_BUILT_IN, _MACRO_NAME = 0x20, 0x0E
_FUTURE = "_xlfn."  # functions that came after Excel 2003, as which it keeps a name ([MS-XLS] 2.5.198.4)
_FAR = re.compile(r"\x01\x01@|\x05|://|\\\\")


def disarm(root: Node, options: Options) -> set[str]:
    """Change the workbook stream; return the codes of what was removed."""
    node = root.child("workbook") or root.child("book")
    if node is None:
        raise Refused("damaged")
    try:
        head = Struct("<4H").unpack_from(node.data)
        if head[0] != _BOF or head[2] not in {_BIFF_8, _BIFF_5}:
            raise Refused("not-understood")
        workbook = _Workbook(node.data, options)
        workbook.walk()
    except (error, IndexError) as damage:
        raise Refused("damaged") from damage
    if workbook.codes:
        if head[2] != _BIFF_8:
            raise Refused("not-understood")
        node.data = workbook.written()
    return workbook.codes


class _Workbook:
    __slots__ = ("_book_is_dde", "_deleted", "_deleting", "_handlers", "_options", "_placed", "_stack", "codes", "data")

    def __init__(self, data: bytes, options: Options) -> None:
        self.data = bytearray(data)
        self.codes: set[str] = set()
        self._options = options
        self._stack: list[bool] = []
        self._deleted: list[tuple[int, int]] = []
        self._deleting = False
        self._placed: list[tuple[int, int, int]] = []
        self._book_is_dde = False
        self._handlers: dict[int, Callable[[int, int], None]] = {
            _BOF: self._begin,
            _SHEET: self._sheet,
            _NAME: self._name,
            _LINKED_BOOK: self._linked_book,
            _LINKED_NAME: self._linked_name,
        }

    def walk(self) -> None:
        for start, number, end in self._records():
            if number == _FILE_PASS:
                raise Refused("encrypted")
            if number == _NOTE and not self._options.comments:
                raise Refused("not-understood")  # comments cannot be taken out of this format
            if self._delete(start, number, end):
                continue
            if number in {_SHEET, _INDEX, _STRINGS}:
                self._placed.append((start, number, end))
            if number in _WHERE:
                self._formula(start + 4 + _WHERE[number], end)
            elif number in self._handlers:
                self._handlers[number](start + 4, end)
            elif number == _EOF and self._stack:
                self._stack.pop()

    def _records(self) -> Iterator[tuple[int, int, int]]:
        """Yield (start, number, end) of each record that could matter; a sheet is mostly cells, which do not."""
        position, size = 0, len(self.data)
        for _ in range(_RECORDS):
            if position + 4 > size:
                return
            number, length = _HEAD.unpack_from(self.data, position)
            if not number and not length:
                return
            end = position + 4 + length
            if end > size:
                raise Refused("damaged")
            if number in _JUDGED:
                yield position, number, end
            else:
                self._deleting = False
            position = end
        raise Refused("over-limit")

    def _delete(self, start: int, number: int, end: int) -> bool:
        code = _DELETED.get(number, "")
        if number == _HYPERLINK and not links.is_harmless(self.data[start + 28 : end], 0, self._options):
            code = "hyperlink"
        if number == _CONTINUE or (number == _TOOLTIP and self._deleting):
            code = "" if not self._deleting else "continue"
        self._deleting = bool(code)
        if code:
            self._deleted.append((start, end - start))
            self.codes |= {code} - {"continue"}
        return bool(code)

    def _begin(self, start: int, _end: int) -> None:
        (kind,) = _SHORT.unpack_from(self.data, start + 2)
        self._stack.append(kind == _MACRO_SHEET)
        if kind == _MACRO_SHEET:
            _SHORT.pack_into(self.data, start + 2, _WORKSHEET)
            self.codes.add("xlm")

    def _sheet(self, start: int, _end: int) -> None:
        kind = self.data[start + 5]
        if kind == 1:
            self.data[start + 5] = 0
            self.codes.add("xlm")
        elif kind not in {0, 2}:
            raise Refused("not-understood")

    def _formula(self, place: int, end: int) -> None:
        """Put #N/A in place of a formula of a macro sheet, and of one that acts."""
        if any(self._stack[-2:]):
            self._neutralise(place, place + 2, end)
            self.codes.add("xlm")
        elif _CALL.search(self.data, place, end):
            self._neutralise(place, place + 2, end)
            self.codes.add("macro")
        elif _LINK_CALL.search(self.data, place, end) and not self._leads_well(place + 2):
            self._neutralise(place, place + 2, end)
            self.codes.add("hyperlink")

    def _leads_well(self, tokens: int) -> bool:
        """Tell whether a formula with HYPERLINK begins with a constant address that may stay."""
        if self.data[tokens] != _STRING:
            return False
        characters, wide = self.data[tokens + 1], self.data[tokens + 2] & 1
        raw = bytes(self.data[tokens + 3 : tokens + 3 + characters * (1 + wide)])
        return targets.is_harmless(raw.decode("utf-16-le" if wide else "latin-1", "replace"), self._options)

    def _neutralise(self, length_at: int, tokens: int, end: int) -> None:
        """Write tokens of the same length: #N/A and as many plus signs as are needed."""
        (length,) = _SHORT.unpack_from(self.data, length_at)
        if tokens + length > end:
            raise Refused("damaged")
        if length >= 2:
            self.data[tokens : tokens + length] = _NOT_AVAILABLE + _PLUS * (length - 2)

    def _name(self, start: int, end: int) -> None:
        (flags,) = _SHORT.unpack_from(self.data, start)
        characters, wide = self.data[start + 3], self.data[start + 14] & 1
        first = start + 15
        stop = first + characters * (1 + wide)
        if stop > end:
            raise Refused("damaged")
        name = bytes(self.data[first:stop]).decode("utf-16-le" if wide else "latin-1", "replace")
        automatic = bool(flags & _BUILT_IN and name[:1] and ord(name[0]) < 256 and ord(name[0]) in _AUTOMATIC)
        if name.startswith(_FUTURE):
            flags &= ~_MACRO_NAME
        if automatic or formulas.is_automatic(name):
            self.data[first] = ord("x")
            flags &= ~_BUILT_IN
        if automatic or formulas.is_automatic(name) or flags & _MACRO_NAME:
            _SHORT.pack_into(self.data, start, flags & ~_MACRO_NAME & 0xFFFF)
            self.codes.add("xlm")
        if _CALL.search(self.data, stop, end):
            self._neutralise(start + 4, stop, end)
            self.codes.add("xlm")

    def _linked_book(self, start: int, end: int) -> None:
        """Lead DDE links, and the paths of books on other machines, nowhere."""
        self._book_is_dde = False
        (characters,) = _SHORT.unpack_from(self.data, start + 2)
        if characters in {0x0401, 0x3A01} or end - start <= 5:
            return
        wide = self.data[start + 4] & 1
        raw = bytes(self.data[start + 5 : end])
        text = raw.decode("utf-16-le" if wide else "latin-1", "replace")
        self._book_is_dde = not text.startswith(("\x01", "\x02", "\0")) and "\x03" in text
        if not self._book_is_dde and not _FAR.search(text):
            return
        self.codes.add("dde" if self._book_is_dde else "external-relationship")
        width = 1 + wide
        length = min(characters, len(raw) // width)
        blank = b"".join(octet + bytes(wide) for octet in (b"\x01", *[b"x"] * (length - 1)))
        self.data[start + 5 : start + 5 + len(blank)] = blank

    def _linked_name(self, start: int, end: int) -> None:
        """Make an item of a DDE link an empty name of a linked workbook."""
        if not self._book_is_dde or end - start < 8:
            return
        self.data[start : start + 6] = bytes(6)
        after = start + 8 + self.data[start + 6] * (1 + (self.data[start + 7] & 1))
        if after + 2 <= end:
            self.data[after : after + 2] = bytes(2)

    def written(self) -> bytes:
        """Return the stream without the deleted records, with the places that it states put right."""
        starts = [start for start, _ in self._deleted]
        shifts = [0, *accumulate(length for _, length in self._deleted)]

        def move(place: int) -> None:
            (position,) = _LONG.unpack_from(self.data, place)
            _LONG.pack_into(self.data, place, max(position - shifts[bisect_left(starts, position)], 0))

        for start, number, end in self._placed if starts else ():
            first, step = {_SHEET: (4, 1 << 16), _INDEX: (16, 4), _STRINGS: (6, 8)}[number]
            for place in range(start + first, end - 3, step):
                move(place)
        parts, last = [], 0
        for start, length in self._deleted:
            parts.append(self.data[last:start])
            last = start + length
        return b"".join([*parts, self.data[last:]])
