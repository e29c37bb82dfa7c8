"""Legacy Word documents ([MS-DOC]): fields, key bindings and the attached template."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from struct import Struct, error

from mailguard.formats import links
from mailguard.formats.disarmed import Refused
from mailguard.formats.office import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.formats.disarmed import Options
    from mailguard.formats.ole.compound import Node

_WORD_97, _FIRST_97 = 0xA5EC, 0xC1
_ENCRYPTED, _TABLE_1 = 0x0100, 0x0200
_PAIRS = 0x9A  # where the offsets and lengths of the tables begin
_COMMENTS, _COMMANDS, _ASSOCIATED, _CLX, _MAIL_MERGE, _MACRO_NAMES = 5, 24, 32, 33, 44, 26
_FIELD_TABLES = ((16, 0), (18, 1), (17, 2), (19, 4), (48, 5), (57, 6), (59, 7))  # table: number of its text
_LENGTHS = 0x4C  # ccpText and those that follow
_LONG, _SHORT, _PAIR = Struct("<I"), Struct("<H"), Struct("<2I")
# Numbers of fields ([MS-DOC] 2.9.90) that start or load something.
_ACTING = frozenset({36, 45, 46, 48, 51, 55, 56, 58, 67, 68, 78, 87, 91})
_UNKNOWN_FIELD = 1
_UNCLOSED = 2_000  # so much is read of the code of a field that has no end
_EMPTY_COMMANDS = frozenset({b"", b"\xff\x40"})
_DDE = re.compile(rb"\x13[ \0\\]{0,64}(?P<name>d\0?d\0?e)", re.IGNORECASE)
_PICTURE = "\x01"  # stands in the code of links for the same address in another form: see `links`


def disarm(root: Node, options: Options) -> set[str]:
    """Change the streams of a document in place; return the codes of what was removed."""
    node = root.child("worddocument")
    if node is None or len(node.data) < 0x200:
        raise Refused("damaged")
    flags = _SHORT.unpack_from(node.data, 0x0A)[0]
    if flags & _ENCRYPTED:
        raise Refused("encrypted")
    identifier, version = Struct("<2H").unpack_from(node.data)
    if identifier != _WORD_97 or version < _FIRST_97:
        raise Refused("not-understood")
    table = root.child("1table" if flags & _TABLE_1 else "0table")
    if table is None:
        raise Refused("damaged")
    try:
        return _Document(node, table, options).disarm()
    except error as damage:
        raise Refused("damaged") from damage


class _Document:
    __slots__ = ("_node", "_options", "_starts", "_table_node", "data", "pieces", "table")

    def __init__(self, node: Node, table: Node, options: Options) -> None:
        self._node = node
        self._table_node = table
        self._options = options
        self.data = bytearray(node.data)
        self.table = bytearray(table.data)
        self.pieces = list(self._pieces())
        self._starts = [piece[0] for piece in self.pieces]

    def disarm(self) -> set[str]:
        if not self._options.comments and self._pair(_COMMENTS)[1]:
            raise Refused("not-understood")  # comments cannot be taken out of this format
        codes = set(self._fields()) | set(self._tables())
        for match in list(_DDE.finditer(self.data)):
            start, end = match.span("name")
            self.data[start:end] = re.sub(rb"[^\0]", b" ", match["name"])
            codes.add("dde")
        if codes:
            self._node.data = bytes(self.data)
            self._table_node.data = bytes(self.table)
        return codes

    def _pair(self, number: int) -> tuple[int, int]:
        start, length = _PAIR.unpack_from(self.data, _PAIRS + 8 * number)
        if length and start + length > len(self.table):
            raise Refused("damaged")
        return start, length

    def _pieces(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (first character, number of characters, offset, octets of a character) of the piece table."""
        start, length = self._pair(_CLX)
        position, end = start, start + length
        while position < end and self.table[position] == 1:
            position += 3 + _SHORT.unpack_from(self.table, position + 1)[0]
        if position >= end or self.table[position] != 2:
            raise Refused("damaged")
        (size,) = _LONG.unpack_from(self.table, position + 1)
        position += 5
        count = (size - 4) // 12
        if size < 16 or position + size > len(self.table):
            raise Refused("damaged")
        last = 0
        for number in range(count):
            first, following = _PAIR.unpack_from(self.table, position + 4 * number)
            (place,) = _LONG.unpack_from(self.table, position + 4 * (count + 1) + 8 * number + 2)
            width = 1 if place & 0x40000000 else 2
            offset = (place & 0x3FFFFFFF) // (3 - width)
            if first != last or following < first or offset + (following - first) * width > len(self.data):
                raise Refused("damaged")
            last = following
            yield first, following - first, offset, width

    def _text(self) -> str:
        """Return the text, each character code (UTF-16) as one character."""
        if sum(piece[1] for piece in self.pieces) > len(self.data) * 2:
            raise Refused("damaged")
        parts = []
        for _, length, offset, width in self.pieces:
            raw = bytes(self.data[offset : offset + length * width])
            if width == 1:
                parts.append(raw.decode("latin-1"))
            else:
                parts.append(array("I", array("H", raw)).tobytes().decode("utf-32-le", "surrogatepass"))
        return "".join(parts)

    def _fields(self) -> Iterator[str]:
        """Blank the codes of fields that may not stay; the last result stays."""
        text = self._text()
        bad = set()
        for begin, spans in _found(text):
            instruction = "".join(text[start:end] if start >= 0 else fields.NESTED for start, end in spans)
            instruction = instruction.replace(_PICTURE, "")
            code = fields.code_of(instruction, self._options) if instruction.strip() else ""
            if code:
                yield code
                bad.add(begin)
                for start, end in spans:
                    self._blank(start, end)
        yield from self._field_tables(bad)

    def _blank(self, start: int, end: int) -> None:
        while 0 <= start < end:
            first, length, offset, width = self.pieces[bisect_right(self._starts, start) - 1]
            stop = min(end, first + length)
            if stop <= start:
                return
            place = offset + (start - first) * width
            self.data[place : place + (stop - start) * width] = b" \0"[:width] * (stop - start)
            start = stop

    def _field_tables(self, bad: set[int]) -> Iterator[str]:
        """Make the type of each bad field unknown, also where the table claims another type than the text."""
        lengths = Struct("<8i").unpack_from(self.data, _LENGTHS)
        for number, text in _FIELD_TABLES:
            start, length = self._pair(number)
            count = (length - 4) // 6
            base = sum(lengths[:text])
            for entry in range(count):
                place = start + 4 * (count + 1) + 2 * entry
                if self.table[place] & 0x1F != 0x13:
                    continue
                position = base + _LONG.unpack_from(self.table, start + 4 * entry)[0]
                acting = self.table[place + 1] in _ACTING
                if acting or position in bad:
                    self.table[place + 1] = _UNKNOWN_FIELD
                if acting and position not in bad:
                    yield "action"

    def _tables(self) -> Iterator[str]:
        """Take out key bindings, names of macros, mail merge, and the template."""
        for number, code in ((_COMMANDS, "custom-ui"), (_MACRO_NAMES, "macro"), (_MAIL_MERGE, "external-relationship")):
            start, length = self._pair(number)
            if bytes(self.table[start : start + length]) not in _EMPTY_COMMANDS:
                self.table[start : start + length] = bytes(length)
                self.data[_PAIRS + 8 * number : _PAIRS + 8 * number + 8] = bytes(8)
                yield code
        start, length = self._pair(_ASSOCIATED)
        if length and self._template(start, start + length):
            yield "remote-template"

    def _template(self, start: int, end: int) -> bool:
        """Blank the path of the template (second of the associated strings) when it is more than a name."""
        if _SHORT.unpack_from(self.table, start)[0] != 0xFFFF:
            raise Refused("not-understood")
        position = start + 6
        for number in range(2):
            if position + 2 > end:
                return False
            (length,) = _SHORT.unpack_from(self.table, position)
            position += 2
            if number == 1:
                stop = min(position + 2 * length, end)
                name = bytes(self.table[position:stop]).decode("utf-16-le", "replace")
                if links.is_local_file(name):
                    return False
                self.table[position:stop] = b" \0" * ((stop - position) // 2)
                return True
            position += 2 * length
        return False


def _found(text: str) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield each field: where it begins, and the spans of its code; (-1, -1) stands for another field within."""
    stack: list[tuple[int, list[tuple[int, int]], bool]] = []
    last = 0
    for match in re.finditer("[\x13-\x15]", text):
        place = match.start()
        if stack and stack[-1][2]:
            stack[-1][1].append((last, place))
        last = place + 1
        if match[0] == "\x13":
            if stack and stack[-1][2]:
                stack[-1][1].append((-1, -1))
            stack.append((place, [], True))
        elif stack:
            begin, spans, _ = stack.pop()
            if match[0] == "\x14":
                stack.append((begin, spans, False))
            else:
                yield begin, spans
    if stack and stack[-1][2]:
        stack[-1][1].append((last, min(len(text), last + _UNCLOSED)))
    for begin, spans, _ in stack:
        yield begin, spans
