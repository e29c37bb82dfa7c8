"""TNEF, the winmail.dat of Outlook ([MS-OXTNEF]): the attachments within, and the text where it is RTF."""

from __future__ import annotations

from mailguard.formats.budget import Member, Unreadable, Window
from mailguard.formats.disarmed import Refused
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Found, Quota

_TITLE, _RENDERING, _DATA, _PROPERTIES, _OF_MESSAGE = 0x8010, 0x9002, 0x800F, 0x9005, 0x9003
_ATTRIBUTES = 20_000
# Octets of one value of a MAPI property type; the others are preceded by a count and a length.
_FIXED = {1: 0, 2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 4, 20: 8, 64: 8, 72: 16}
_DATA_OBJECT, _RTF = 0x3701, 0x1009
_NAMES = frozenset({0x3704, 0x3707, 0x3001})


def examine(content: Content, _names: Sequence[str], quota: Quota) -> Found:
    """Examine a TNEF stream; damage and compressed text that hides nothing else are told apart."""
    try:
        yield from _attachments(content, quota)
    except Unreadable:
        yield "tnef-unreadable"


def _attachments(content: Content, quota: Quota) -> Found:
    names: list[str] = []
    data: list[Content] = []
    for number, value in _attributes(content):
        if number == _RENDERING:
            yield from _members(data, names, quota)
            names, data = [], []
        elif number == _TITLE:
            names.append(value.read(0, 1024).partition(b"\0")[0].decode("cp932", "replace"))
        elif number == _DATA:
            data.append(value)
        elif number == _PROPERTIES:
            _attachment(value, names, data)
        elif number == _OF_MESSAGE:
            yield from _text(value, quota)
    yield from _members(data, names, quota)


def _members(data: list[Content], names: list[str], quota: Quota) -> Iterator[Member]:
    for content in data or ([Content.of(b"")] if names else []):
        quota.count_member()
        yield Member(content, names, "tnef")


def _attributes(content: Content) -> Iterator[tuple[int, Content]]:
    position = 6
    for _ in range(_ATTRIBUTES):
        header = content.read(position, 9)
        if not header:
            return
        length = int.from_bytes(header[5:9], "little")
        if len(header) < 9 or header[0] not in {1, 2} or position + 9 + length > content.size:
            raise Unreadable
        yield int.from_bytes(header[1:3], "little"), Window(content, position + 9, length)
        position += 9 + length + 2
    raise Unreadable


def _attachment(value: Content, names: list[str], data: list[Content]) -> None:
    """Read the MAPI properties of one attachment: names, and content that is an object (a message or OLE)."""
    for number, kind, offset, length in _properties(value):
        if number in _NAMES and kind & 0xFFF in {0x1E, 0x1F}:
            raw = value.read(offset, min(length, 2048))
            names.append(raw.decode("utf-16-le" if kind & 1 else "cp932", "replace").rstrip("\0"))
        elif number == _DATA_OBJECT and length > 16:
            data += [Window(value, offset, length), Window(value, offset + 16, length - 16)]


def _text(value: Content, quota: Quota) -> Iterator[Member]:
    """Yield the text of the message that is RTF: nothing else in the mail may have it."""
    from mailguard.formats.rtf import compressed

    for number, _, offset, length in _properties(value):
        if number == _RTF and length:
            try:
                rtf = compressed.decompressed(value.read(offset, length))
            except Refused as error:
                raise Unreadable from error
            quota.count_member()
            quota.count_octets(len(rtf))
            yield Member(Content.of(rtf), ["message.rtf"], "tnef")


def _properties(value: Content) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, type, place and length of the value of each MAPI property."""
    count = int.from_bytes(value.read(0, 4), "little")
    position = 4
    for _ in range(min(count, 1_000)):
        head = value.read(position, 8)
        kind, number = int.from_bytes(head[0:2], "little"), int.from_bytes(head[2:4], "little")
        position += 4
        if number >= 0x8000:
            position = _after_name(value, position)
        for offset, length, last in _values(value, position, kind):
            position = last
            yield number, kind, offset, length
        if position > value.size:
            raise Unreadable


def _after_name(value: Content, position: int) -> int:
    form = int.from_bytes(value.read(position + 16, 4), "little")
    length = int.from_bytes(value.read(position + 20, 4), "little")
    return position + 24 + (-(-length // 4) * 4 if form else 0)


def _values(value: Content, position: int, kind: int) -> Iterator[tuple[int, int, int]]:
    """Yield offset and length of each value, and the place behind it."""
    fixed = _FIXED.get(kind & 0xFFF)
    several = bool(kind & 0x1000) or fixed is None
    count = int.from_bytes(value.read(position, 4), "little") if several else 1
    position += 4 if several else 0
    if count > 10_000:
        raise Unreadable
    if not count:
        yield position, 0, position
    for _ in range(count):
        length = int.from_bytes(value.read(position, 4), "little") if fixed is None else fixed
        start = position + (4 if fixed is None else 0)
        position = start + -(-length // 4) * 4
        if position > value.size + 3:
            raise Unreadable
        yield start, length, position
