"""Compound files ([MS-CFB]): read as a tree of storages and streams, and written anew in version 3."""

from __future__ import annotations

from struct import Struct, pack

from mailguard.formats.budget import Unreadable
from mailguard.formats.disarmed import Refused
from mailguard.formats.ole.reader import ROOT, STORAGE, STREAM, CompoundFile
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.formats.disarmed import DisarmQuota
    from mailguard.formats.ole.reader import DirectoryEntry

_FREE, _END, _FAT, _DIFAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC
_SECTOR, _MINI, _CUTOFF = 512, 64, 4096
_DEPTH = 32
_ENTRY = Struct("<64sH2B3I16sI2QIQ")
_HEADER = Struct("<8s16x5H6x9I")


class Node:
    """A storage or a stream.

    kind: ROOT, STORAGE or STREAM; class_id: 16 octets; data: of a stream; children: of a storage.
    """

    __slots__ = ("children", "class_id", "data", "kind", "name")

    def __init__(self, name: str, kind: int, class_id: bytes, data: bytes = b"") -> None:
        self.name = name
        self.kind = kind
        self.class_id = class_id
        self.data = data
        self.children: list[Node] = []

    def child(self, name: str) -> Node | None:
        """Return the child of this name (any case), or None."""
        return next((child for child in self.children if child.name.lower() == name), None)


def read(content: bytes, quota: DisarmQuota) -> tuple[Node, bool]:
    """Return the root, and whether entries are left that no storage leads to; Refused for what is damaged."""
    try:
        return _read(content, quota)
    except Unreadable as error:
        raise Refused("damaged") from error


def _read(content: bytes, quota: DisarmQuota) -> tuple[Node, bool]:
    compound = CompoundFile(Content.of(content))
    root = Node("Root DirectoryEntry", ROOT, compound.root.class_id)
    seen = {compound.root.number}
    waiting = [(compound.root, root, 0)]
    while waiting:
        entry, node, depth = waiting.pop()
        names: set[str] = set()
        for below in compound.children(entry):
            if below.number in seen or below.kind not in {STORAGE, STREAM} or depth > _DEPTH:
                raise Refused("damaged")
            seen.add(below.number)
            child = Node(below.name, below.kind, below.class_id)
            if below.name.lower() in names:
                raise Refused("ambiguous")
            names.add(below.name.lower())
            if below.kind == STREAM:
                child.data = _data(compound, below, quota)
            else:
                waiting.append((below, child, depth + 1))
            node.children.append(child)
    return root, any(entry.kind and entry.number not in seen for entry in compound.entries)


def _data(compound: CompoundFile, entry: DirectoryEntry, quota: DisarmQuota) -> bytes:
    quota.count_octets(entry.size)
    data = b"".join(compound.pieces(entry)) if entry.size else b""
    if len(data) != entry.size:
        raise Refused("damaged")
    return data


class _Sectors:
    """Sectors with their chains, in the order in which they are written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.fat: list[int] = []

    def add(self, data: bytes, filler: bytes = b"\0") -> int:
        """Append data as a chain; return its first sector."""
        if not data:
            return _END
        start, count = len(self.fat), -(-len(data) // _SECTOR)
        self.pieces.append(data.ljust(count * _SECTOR, filler))
        self.fat += [*range(start + 1, start + count), _END]
        return start


def write(root: Node) -> bytes:
    """Return the compound file of this tree; always the same for the same tree."""
    nodes = list(_numbered(root))
    numbers = {id(node): number for number, node in enumerate(nodes)}
    sectors = _Sectors()
    mini = _Sectors()
    mini_stream: list[bytes] = []
    places: dict[int, tuple[int, int]] = {}
    for node in nodes:
        if node.kind != STREAM or not node.data:
            places[id(node)] = (_END if node.kind == STREAM else 0, 0)
        elif len(node.data) >= _CUTOFF:
            places[id(node)] = (sectors.add(node.data), len(node.data))
        else:
            start, count = len(mini.fat), -(-len(node.data) // _MINI)
            mini.fat += [*range(start + 1, start + count), _END]
            mini_stream.append(node.data.ljust(count * _MINI, b"\0"))
            places[id(node)] = (start, len(node.data))
    small = b"".join(mini_stream)
    places[id(root)] = (sectors.add(small), len(small))
    mini_fat = pack(f"<{len(mini.fat)}I", *mini.fat)
    first_mini = sectors.add(mini_fat, b"\xff")
    directory = sectors.add(_directory(nodes, numbers, places))
    return _assembled(sectors, directory, first_mini, -(-len(mini_fat) // _SECTOR))


def _numbered(root: Node) -> Iterator[Node]:
    """Yield the nodes in the order of the directory, which is that of their place in the tree."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def _order(node: Node) -> tuple[int, str]:
    name = node.name
    return len(name.encode("utf-16-le", "surrogatepass")), "".join(
        character.upper() if len(character.upper()) == 1 else character for character in name
    )


def _directory(nodes: list[Node], numbers: dict[int, int], places: dict[int, tuple[int, int]]) -> bytes:
    links = {number: [_FREE, _FREE, _FREE, 1] for number in range(len(nodes))}
    for node in nodes:
        if node.children:
            links[numbers[id(node)]][2] = _balanced(
                [numbers[id(child)] for child in sorted(node.children, key=_order)], links
            )
    entries = []
    for number, node in enumerate(nodes):
        name = node.name.encode("utf-16-le", "surrogatepass")[:62]
        left, right, child, colour = links[number]
        start, size = places[id(node)]
        entries.append(
            _ENTRY.pack(name, len(name) + 2, node.kind, colour, left, right, child, node.class_id, 0, 0, 0, start, size)
        )
    unused = _ENTRY.pack(b"", 0, 0, 0, _FREE, _FREE, _FREE, bytes(16), 0, 0, 0, 0, 0)
    return b"".join(entries) + unused * (-len(entries) % 4)


def _balanced(order: list[int], links: dict[int, list[int]]) -> int:
    """Link siblings as a red-black tree ([MS-CFB] 2.6.4): the lowest level, where it is not full, is red."""
    full = (len(order) + 1).bit_length() - 1
    root = len(order) // 2
    waiting = [(0, len(order), 0)]
    while waiting:
        start, end, depth = waiting.pop()
        middle = (start + end) // 2
        link = links[order[middle]]
        link[3] = 0 if depth >= full else 1
        for side, (first, last) in enumerate(((start, middle), (middle + 1, end))):
            if first < last:
                link[side] = order[(first + last) // 2]
                waiting.append((first, last, depth + 1))
    return order[root]


def _assembled(sectors: _Sectors, directory: int, first_mini: int, minis: int) -> bytes:
    """Append the allocation tables and put the header before."""
    used, fats, difats = len(sectors.fat), 1, 0
    while used + fats + difats > fats * 128:
        fats += 1
        difats = max(0, -(-(fats - 109) // 127))
    fat = sectors.fat + [_FAT] * fats + [_DIFAT] * difats
    fat += [_FREE] * (fats * 128 - len(fat))
    places = [used + number for number in range(fats)]
    tables = pack(f"<{len(fat)}I", *fat)
    for number in range(difats):
        part = places[109 + number * 127 : 109 + (number + 1) * 127]
        following = used + fats + number + 1 if number + 1 < difats else _END
        tables += pack("<128I", *part, *[_FREE] * (127 - len(part)), following)
    first_difat = used + fats if difats else _END
    header = _HEADER.pack(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(0, fats, directory, 0, _CUTOFF, first_mini, minis, first_difat, difats),
    )
    head = places[:109]
    return header + pack("<109I", *head, *[_FREE] * (109 - len(head))) + b"".join(sectors.pieces) + tables
