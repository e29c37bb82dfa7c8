"""ZIP by one strict reading: local headers and central directory must say the same (APPNOTE 6.3.10).

Programs differ in which of the two they believe.  An archive in which they disagree is unreadable here, so that
nobody sees a member that was not examined.
"""

from __future__ import annotations

from struct import Struct

from mailguard.formats.archive import entries as archived
from mailguard.formats.budget import TooLarge, Unreadable, Window, inflated
from mailguard.formats.magic import TAIL, zip_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.archive.files import ArchiveFile
    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

ENTRIES = 5_000
# LibreOffice 7.4 opens an OpenDocument with any of them alone.
OPEN_DOCUMENT = frozenset({"mimetype", "META-INF/manifest.xml", "content.xml", "styles.xml", "settings.xml"})
_DIRECTORY = 4 << 20
_CENTRAL = Struct("<4s6H3I5H2I")
_LOCAL = Struct("<4s5H3I2H")
_END = Struct("<4s4H2IH")
_END_64 = Struct("<4sQ2H2I4Q")
_BIG = 0xFFFFFFFF
_DESCRIPTORS = frozenset({0, 12, 16, 20, 24})  # octets of a data descriptor (APPNOTE 4.3.9), with and without its mark
_LONGEST_LINK = 4096
_FIRST_YEAR = 1980
_LINK, _KINDS = 0o12, frozenset({0, 0o4, 0o10, 0o12})
_PATCHED = 1 << 5  # general purpose bit 5, compressed patched data: readers refuse it or take it for content


class ZipEntry(archived.ArchiveEntry):
    """One file of a ZIP; name: its path as in the directory; header: offset of its local header."""

    __slots__ = ("crc", "header", "kind", "method", "name", "raw_name", "size", "start")

    def __init__(
        self, raw_name: bytes, names: list[str], method: int, sizes: tuple[int, int, int], header: int
    ) -> None:
        super().__init__(names[0], names)
        self.raw_name = raw_name
        self.name = names[0]
        self.method = method
        self.crc, self.packed, self.size = sizes
        self.header = header
        self.start = 0
        self.kind = 0

    def open(self, content: Content) -> None:
        """Say where the data lies, or how it is unpacked; raise Unreadable when there is no telling."""
        if self.directory:
            return
        if self.encrypted:
            self.pieces = _locked
        elif self.method == 0 and self.packed == self.size:
            self.place = Window(content, self.start, self.packed)
        elif self.method == 8:
            self.pieces = lambda: pieces(content, self)
        else:
            raise Unreadable

    @property
    def directory(self) -> bool:
        """Whether this is a directory and not a file."""
        return self.name.endswith(("/", "\\")) and not self.size


def entries(content: Content) -> list[ZipEntry]:
    """Return the files in order of their place; raise Unreadable or TooLarge."""
    begin, size, prefix, _ = _directory(content)
    if size > _DIRECTORY:
        raise TooLarge
    found = list(_central(content.read(begin, size), prefix))
    found.sort(key=lambda entry: entry.header)
    _check_locals(content, found, begin, prefix)
    for entry in found:
        entry.open(content)
    return found


def _locked() -> Iterator[bytes]:
    raise Unreadable


def is_tight(content: Content, found: list[ZipEntry]) -> bool:
    """Tell whether the ZIP holds nothing but its files: nothing before, between and behind them.

    7-Zip opens the first of two ZIPs behind each other, other programs the last.
    """
    position = 0
    for entry in found:
        if entry.header - position not in (_DESCRIPTORS if position else {0}):
            return False
        position = entry.start + entry.packed
    begin, _, prefix, end = _directory(content)
    comment = int.from_bytes(content.read(end + 20, 2), "little")
    padding = Window(content, end + 22 + comment, content.size).chunks()
    return (
        not prefix
        and begin - position in _DESCRIPTORS
        and b"PK" not in content.read(end + 22, comment)
        and not any(piece.strip(b"\0\r\n") for piece in padding)
    )


def has_comment(content: Content) -> bool:
    """Tell whether a comment stands at the end of the ZIP."""
    return content.read(_directory(content)[3] + 20, 2) != b"\0\0"


def read(content: Content, _names: Sequence[str], quota: Quota) -> list[ZipEntry]:
    """Return what is in an archive of files; raise Unreadable or TooLarge."""
    found = entries(content)
    if not is_tight(content, found):
        raise Unreadable
    for entry in found:
        quota.count_member()
        if entry.kind not in _KINDS or (entry.file and entry.path.endswith(("/", "\\"))):
            raise Unreadable
        if entry.place is not None and not entry.encrypted:
            for _ in pieces(content, entry):
                pass
        if entry.kind == _LINK:
            _follow(entry)
    archived.checked(list(found))
    return found


def _follow(entry: ZipEntry) -> None:
    if entry.encrypted or entry.size > _LONGEST_LINK:
        raise Unreadable
    entry.link = b"".join(entry.unpacked()).decode("utf-8", "replace")
    entry.place = entry.pieces = None


def _directory(content: Content) -> tuple[int, int, int, int]:
    """Return offset and size of the central directory, how many octets stand before the archive, and where it ends."""
    base = max(content.size - TAIL, 0)
    tail = content.read(base, TAIL)
    at = zip_end(tail)
    if at < 0:
        raise Unreadable
    _, disk, _, here, total, size, offset, _ = _END.unpack_from(tail, at)
    end = base + at
    if content.read(end - 20, 4) == b"PK\x06\x07" and end >= 76:
        where = int.from_bytes(content.read(end - 12, 8), "little")
        end, size, offset = _zip_64(content, where, end - 20)
    elif disk or here != total:
        raise Unreadable
    begin = end - size
    prefix = begin - offset
    if begin < 0 or prefix < 0 or (prefix and size and content.read(offset, 4) == b"PK\x01\x02"):
        raise Unreadable
    return begin, size, prefix, base + at


def _zip_64(content: Content, where: int, locator: int) -> tuple[int, int, int]:
    record = content.read(locator - 56, 56)
    if record[:4] != b"PK\x06\x06" or where > locator - 56:
        raise Unreadable
    _, _, _, _, _, _, _, _, size, offset = _END_64.unpack(record)
    return locator - 56, size, offset


def _central(directory: bytes, prefix: int) -> Iterator[ZipEntry]:
    position = count = 0
    while position + _CENTRAL.size <= len(directory):
        fields = _CENTRAL.unpack_from(directory, position)
        signature, _, version, flags, method, time, date, crc, packed, size, name_length, extra_length = fields[:12]
        if signature != b"PK\x01\x02" or version & 0xFF > 63 or flags & _PATCHED:
            raise Unreadable
        count += 1
        if count > ENTRIES:
            raise TooLarge
        at = position + _CENTRAL.size
        raw_name = directory[at : at + name_length]
        extra = directory[at + name_length : at + name_length + extra_length]
        sizes, header = _wide(extra, crc, packed, size, fields[-1])
        entry = ZipEntry(raw_name, _names(raw_name, flags, extra), method, sizes, header + prefix)
        entry.encrypted = bool(flags & 0x2041) or method == 99
        entry.kind = fields[15] >> 28  # of Unix: a file, a directory, a link, a device
        entry.modified = _seconds(date, time)
        yield entry
        position = at + name_length + extra_length + fields[12]
    if position < len(directory) and directory[position : position + 4] != b"PK\x05\x05":
        raise Unreadable


def _seconds(date: int, time: int) -> int | None:
    import calendar

    day = (_FIRST_YEAR + (date >> 9), date >> 5 & 15, date & 31)
    try:
        return calendar.timegm((*day, time >> 11, time >> 5 & 63, (time & 31) * 2, 0, 0, 0))
    except (ValueError, OverflowError):
        return None


def _wide(extra: bytes, crc: int, packed: int, size: int, header: int) -> tuple[tuple[int, int, int], int]:
    values = [size, packed, header]
    wide = _extra(extra, 1)
    position = 0
    for index, value in enumerate(values):
        if value == _BIG and wide is not None and position + 8 <= len(wide):
            values[index] = int.from_bytes(wide[position : position + 8], "little")
            position += 8
    return (crc, values[1], values[0]), values[2]


def _extra(extra: bytes, wanted: int) -> bytes | None:
    position = 0
    while position + 4 <= len(extra):
        kind = int.from_bytes(extra[position : position + 2], "little")
        length = int.from_bytes(extra[position + 2 : position + 4], "little")
        if kind == wanted:
            return extra[position + 4 : position + 4 + length]
        position += 4 + length
    return None


def _names(raw_name: bytes, flags: int, extra: bytes) -> list[str]:
    codecs = ("utf-8",) if flags & 0x800 else ("utf-8", "cp932", "cp437")
    names = dict.fromkeys(raw_name.decode(codec, "replace") for codec in codecs)
    other = _extra(extra, 0x7075)
    if other is not None:
        names[other[5:].decode("utf-8", "replace")] = None
    return list(names)


def _check_locals(content: Content, found: list[ZipEntry], directory: int, prefix: int) -> None:
    """Compare with the local headers; nothing may overlap, and no member may hide between two others."""
    position = prefix
    seen = set()
    for entry in found:
        fixed = content.read(entry.header, _LOCAL.size)
        if len(fixed) < _LOCAL.size or entry.header < position or entry.raw_name in seen:
            raise Unreadable
        signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(fixed)
        name = content.read(entry.header + _LOCAL.size, name_length)
        if signature != b"PK\x03\x04" or name != entry.raw_name or method != entry.method or flags & _PATCHED:
            raise Unreadable
        if bool(flags & 0x2041) != entry.encrypted and method != 99:
            raise Unreadable
        if not _agrees((crc, packed, size), entry, described=bool(flags & 8)):
            raise Unreadable
        other = _extra(content.read(entry.header + _LOCAL.size + name_length, extra_length), 0x7075)
        if other is not None and other[5:].decode("utf-8", "replace") not in entry.names:
            raise Unreadable
        _check_gap(content, position, entry.header)
        seen.add(entry.raw_name)
        entry.start = entry.header + _LOCAL.size + name_length + extra_length
        position = entry.start + entry.packed
        if position > directory:
            raise Unreadable
    _check_gap(content, position, directory)


def _agrees(local: tuple[int, int, int], entry: ZipEntry, *, described: bool) -> bool:
    central = (entry.crc, entry.packed, entry.size)
    return all(
        mine == its or (described and not mine) or (mine == _BIG and index) or (not mine and entry.encrypted)
        for index, (mine, its) in enumerate(zip(local, central, strict=True))
    )


def _check_gap(content: Content, start: int, end: int) -> None:
    while start < end:
        piece = content.read(start, min(end - start, 1 << 16))
        if b"PK\x03\x04" in piece or not piece:
            raise Unreadable
        start += len(piece) if start + len(piece) >= end else len(piece) - 3


def pieces(content: Content, entry: ZipEntry) -> Iterator[bytes]:
    """Yield the unpacked data; raise Unreadable for damage, and when the directory states another length."""
    import zlib

    size = crc = 0
    if entry.directory:
        return
    packed = inflated(content, entry.start, entry.packed) if entry.place is None else entry.place.chunks()
    for piece in packed:
        size += len(piece)
        if size > entry.size:
            raise Unreadable
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != entry.size or crc != entry.crc:
        raise Unreadable


def write(files: list[ArchiveFile]) -> bytes:
    """Return a ZIP of these files, always the same octets for the same files."""
    import io
    import time
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in files:
            moment = time.gmtime(file.modified if file.modified is not None and 0 <= file.modified < 1 << 32 else 0)
            date = moment[:6] if moment[0] >= _FIRST_YEAR else (1980, 1, 1, 0, 0, 0)
            path = file.path.removeprefix("./")
            info = zipfile.ZipInfo(path if file.data is not None else f"{path}/", date)
            info.create_system = 3
            info.external_attr = 0o100644 << 16 if file.data is not None else 0o40755 << 16 | 0x10
            archive.writestr(info, file.data or b"", zipfile.ZIP_DEFLATED if file.data else zipfile.ZIP_STORED)
    return buffer.getvalue()
