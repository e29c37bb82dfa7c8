"""ZIP by one strict reading: local headers and central directory must say the same (APPNOTE 6.3.10).

Programs differ in which of the two they believe.  An archive in which they disagree is unreadable here, so that
nobody sees a member that was not examined.
"""

from __future__ import annotations

from struct import Struct

from mailguard.formats.budget import Kind, Member, TooLarge, Unreadable, Window, inflated
from mailguard.formats.magic import TAIL, zip_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Found, Quota
    from mailguard.message.content import Content

ENTRIES = 5_000
_DIRECTORY = 4 << 20
_CENTRAL = Struct("<4s6H3I5H2I")
_LOCAL = Struct("<4s5H3I2H")
_END = Struct("<4s4H2IH")
_END_64 = Struct("<4sQ2H2I4Q")
_BIG = 0xFFFFFFFF
_PATCHED = 1 << 5  # general purpose bit 5, compressed patched data: readers refuse it or take it for content


class Entry:
    """One file of a ZIP.

    name: as in the directory, decoded; names: every decoding a reader may choose; start: offset of its data;
    packed, size: octets in the archive and unpacked.
    """

    __slots__ = ("_header", "crc", "encrypted", "method", "name", "names", "packed", "raw_name", "size", "start")

    def __init__(
        self, raw_name: bytes, names: list[str], method: int, sizes: tuple[int, int, int], header: int
    ) -> None:
        self.raw_name = raw_name
        self.names = names
        self.name = names[0]
        self.method = method
        self.crc, self.packed, self.size = sizes
        self._header = header
        self.start = 0
        self.encrypted = False

    @property
    def header(self) -> int:
        """Offset of the local header."""
        return self._header

    @property
    def directory(self) -> bool:
        """Whether this is a directory and not a file."""
        return self.name.endswith("/") and not self.size


def entries(content: Content) -> list[Entry]:
    """Return the files in order of their place; raise Unreadable or TooLarge."""
    begin, size, prefix = _directory(content)
    if size > _DIRECTORY:
        raise TooLarge
    found = list(_central(content.read(begin, size), prefix))
    found.sort(key=lambda entry: entry.header)
    _check_locals(content, found, begin, prefix)
    return found


def _directory(content: Content) -> tuple[int, int, int]:
    """Return offset and size of the central directory, and how many octets stand before the archive."""
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
    return begin, size, prefix


def _zip_64(content: Content, where: int, locator: int) -> tuple[int, int, int]:
    record = content.read(locator - 56, 56)
    if record[:4] != b"PK\x06\x06" or where > locator - 56:
        raise Unreadable
    _, _, _, _, _, _, _, _, size, offset = _END_64.unpack(record)
    return locator - 56, size, offset


def _central(directory: bytes, prefix: int) -> Iterator[Entry]:
    position = count = 0
    while position + _CENTRAL.size <= len(directory):
        fields = _CENTRAL.unpack_from(directory, position)
        signature, _, version, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length, *_ = (
            fields
        )
        if signature != b"PK\x01\x02" or version & 0xFF > 63 or flags & _PATCHED:
            raise Unreadable
        count += 1
        if count > ENTRIES:
            raise TooLarge
        at = position + _CENTRAL.size
        raw_name = directory[at : at + name_length]
        extra = directory[at + name_length : at + name_length + extra_length]
        sizes, header = _wide(extra, crc, packed, size, fields[-1])
        entry = Entry(raw_name, _names(raw_name, flags, extra), method, sizes, header + prefix)
        entry.encrypted = bool(flags & 0x2041) or method == 99
        yield entry
        position = at + name_length + extra_length + comment_length
    if position < len(directory) and directory[position : position + 4] != b"PK\x05\x05":
        raise Unreadable


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


def _check_locals(content: Content, found: list[Entry], directory: int, prefix: int) -> None:
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
        _check_gap(content, position, entry.header)
        seen.add(entry.raw_name)
        entry.start = entry.header + _LOCAL.size + name_length + extra_length
        position = entry.start + entry.packed
        if position > directory:
            raise Unreadable
    _check_gap(content, position, directory)


def _agrees(local: tuple[int, int, int], entry: Entry, *, described: bool) -> bool:
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


def pieces(content: Content, entry: Entry) -> Iterator[bytes]:
    """Yield the unpacked data; raise Unreadable for damage, and when the directory states another length."""
    import zlib

    size = crc = 0
    for piece in _unpack(content, entry):
        size += len(piece)
        if size > entry.size:
            raise Unreadable
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != entry.size or crc != entry.crc:
        raise Unreadable


def _unpack(content: Content, entry: Entry) -> Iterator[bytes]:
    if entry.method == 0 and entry.packed == entry.size:
        return Window(content, entry.start, entry.packed).chunks()
    if entry.method == 8:
        return inflated(content, entry.start, entry.packed)
    raise Unreadable


def examine(content: Content, _names: Sequence[str], quota: Quota) -> Found:
    """Examine a ZIP: an Office document, a Java program, or an archive of files."""
    from mailguard.formats.office import look as office

    found = entries(content)
    inside = {entry.name for entry in found}
    if any(name.lower() == "[content_types].xml" for name in inside) and not _package(inside):
        yield from _document(office.examine_ooxml(content, found, quota))
    elif found and found[0].name == "mimetype" and "META-INF/manifest.xml" in inside:
        yield from _document(office.examine_opendocument(content, found, quota))
    else:
        yield from _files(content, found, inside, quota)


def _document(found: Found) -> Found:
    try:
        yield from found
    except Unreadable:
        yield "document-unreadable"


def _package(inside: set[str]) -> bool:
    return not inside.isdisjoint({"AppxManifest.xml", "AppxMetadata/AppxBundleManifest.xml"})


def _files(content: Content, found: list[Entry], inside: set[str], quota: Quota) -> Found:
    if _package(inside) or "AndroidManifest.xml" in inside:
        yield "installer"
    if "META-INF/MANIFEST.MF" in inside:
        yield Kind("application/java-archive")
        yield "executable"
    for entry in found:
        quota.count_member()
        if not entry.directory:
            yield from file(content, entry, quota, "archive")


def file(content: Content, entry: Entry, quota: Quota, prefix: str) -> Found:
    """Yield one file of the archive for examination."""
    from mailguard.message.content import Content

    if entry.encrypted:
        yield "encrypted-archive"
        yield Member(Content.of(b""), entry.names, prefix)
    elif entry.method == 0:
        if entry.packed != entry.size:
            raise Unreadable
        yield Member(Window(content, entry.start, entry.size), entry.names, prefix)
    else:
        if entry.size > 16 << 20 and entry.packed * 500 < entry.size:
            raise TooLarge
        with quota.unpacked(pieces(content, entry)) as unpacked:
            yield Member(unpacked, entry.names, prefix)
