"""The compound file of legacy Office, MSI and Outlook ([MS-CFB]): a bounded reader of directory and streams."""

from __future__ import annotations

from struct import Struct, error

from mailguard.formats.budget import Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.message.content import Content

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
STORAGE, STREAM, ROOT = 1, 2, 5
NONE = 0xFFFFFFFF
_LAST = 0xFFFFFFFA
_ENTRIES = 20_000
_PIECE = 1 << 18
_LONG = Struct("<I")
_ENTRY = Struct("<64sH2B3I16s4x16xIQ")


class DirectoryEntry:
    """One directory entry.

    number: its place in the directory; kind: STORAGE, STREAM or ROOT; left, right, child: numbers or NONE;
    class_id: 16 octets; start, size: of the stream.
    """

    __slots__ = ("child", "class_id", "kind", "left", "name", "number", "right", "size", "start")

    def __init__(self, number: int, raw: bytes, *, narrow: bool) -> None:
        name, length, kind, _, left, right, child, self.class_id, self.start, size = _ENTRY.unpack(raw)
        self.kind: int = kind
        self.left: int = left
        self.right: int = right
        self.child: int = child
        self.number = number
        self.name: str = name[: max(length - 2, 0) & ~1].decode("utf-16-le", "replace")
        self.size = size & NONE if narrow else size
        if kind and "\0" in self.name:  # some programs would end the name there
            raise Unreadable


class CompoundFile:
    """Directory and streams; everything damaged is Unreadable."""

    def __init__(self, content: Content) -> None:
        self._content = content
        header = content.read(0, 512)
        if len(header) < 512 or header[:8] != MAGIC:
            raise Unreadable
        shift = int.from_bytes(header[30:32], "little")
        if shift not in {9, 12}:
            raise Unreadable
        self._sector = 1 << shift
        self._sectors = content.size // self._sector + 1
        fat, directory, self._cutoff, mini, _, difat, _ = Struct("<2I4xI4I").unpack_from(header, 44)
        self._fat = self._read_fat(header, difat, fat)
        self.entries = self._read_entries(directory, narrow=shift == 9)
        self._mini_fat = b"".join(
            self._content.read(self._place(sector), self._sector) for sector in self._chain(mini, self._fat)
        )
        root = self.entries[0] if self.entries else None
        if root is None or root.kind != ROOT:
            raise Unreadable
        self.root = root
        self._mini_places: list[int] | None = None

    def _place(self, sector: int) -> int:
        return (sector + 1) * self._sector

    def _read_fat(self, header: bytes, difat: int, count: int) -> bytes:
        per_sector = self._sector // 4
        limit = self._sectors // per_sector + 2
        numbers = [number for (number,) in _LONG.iter_unpack(header[76:512]) if number < _LAST]
        for _ in range(limit):
            if difat >= _LAST or len(numbers) >= limit:
                break
            block = self._content.read(self._place(difat), self._sector)
            if len(block) < self._sector:
                raise Unreadable
            values = [number for (number,) in _LONG.iter_unpack(block)]
            numbers += [number for number in values[:-1] if number < _LAST]
            difat = values[-1]
        if not numbers or len(numbers) < min(count, limit - 2):
            raise Unreadable
        return b"".join(self._content.read(self._place(number), self._sector) for number in numbers[:limit])

    def _chain(self, start: int, table: bytes) -> Iterator[int]:
        for _ in range(len(table) // 4 + 1):
            if start >= _LAST:
                return
            yield start
            try:
                (start,) = _LONG.unpack_from(table, start * 4)
            except error as damage:
                raise Unreadable from damage
        raise Unreadable

    def _sector_pieces(self, start: int, size: int) -> Iterator[bytes]:
        """Yield a chain of sectors, neighbours read together."""
        first = count = 0
        for sector in self._chain(start, self._fat):
            if size <= 0:
                return
            if count and (sector != first + count or count * self._sector >= _PIECE):
                yield self._run(first, count, size)
                size -= count * self._sector
                count = 0
            first, count = (sector, 1) if not count else (first, count + 1)
        if count and size > 0:
            yield self._run(first, count, size)
            size -= count * self._sector
        if size > 0:
            raise Unreadable

    def _run(self, first: int, count: int, size: int) -> bytes:
        return self._content.read(self._place(first), min(count * self._sector, size))

    def _read_entries(self, start: int, *, narrow: bool) -> list[DirectoryEntry]:
        entries: list[DirectoryEntry] = []
        for sector in self._chain(start, self._fat):
            block = self._content.read(self._place(sector), self._sector)
            for offset in range(0, len(block) - 127, 128):
                entries.append(DirectoryEntry(len(entries), block[offset : offset + 128], narrow=narrow))
            if len(entries) > _ENTRIES:
                raise Unreadable
        return entries

    def pieces(self, entry: DirectoryEntry) -> Iterator[bytes]:
        """Yield the data of a stream in pieces of at most 256 KiB."""
        if entry.size > self._content.size:
            raise Unreadable
        if entry.size >= self._cutoff or entry is self.root:
            yield from self._sector_pieces(entry.start, entry.size)
            return
        if self._mini_places is None:
            self._mini_places = [self._place(sector) for sector in self._chain(self.root.start, self._fat)]
        left = entry.size
        for mini in self._chain(entry.start, self._mini_fat):
            if left <= 0:
                return
            index, offset = divmod(mini * 64, self._sector)
            if index >= len(self._mini_places):
                raise Unreadable
            yield self._content.read(self._mini_places[index] + offset, min(64, left))
            left -= 64
        if left > 0:
            raise Unreadable

    def head(self, entry: DirectoryEntry, size: int) -> bytes:
        """Return up to `size` octets from the start of a stream."""
        data = b""
        for piece in self.pieces(entry):
            data += piece
            if len(data) >= size:
                break
        return data[:size]

    def children(self, storage: DirectoryEntry) -> list[DirectoryEntry]:
        """Return the entries directly below a storage."""
        found: dict[int, DirectoryEntry] = {}
        waiting = [storage.child]
        while waiting:
            number = waiting.pop()
            if number >= len(self.entries) or number in found:
                continue
            entry = found[number] = self.entries[number]
            waiting += [entry.left, entry.right]
        return list(found.values())
