"""Archives other than ZIP: gzip, bzip2, xz and tar are opened; RAR, 7z and CAB only show names and encryption.

What no unpacker of the standard library opens cannot be checked, and is unreadable.
"""

from __future__ import annotations

from mailguard.filename import split
from mailguard.formats import magic as signatures
from mailguard.formats.budget import Member, TooLarge, Unreadable, Window, inflated
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    import bz2
    import lzma
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Found, Quota

_LISTED = 1 << 20


def examine_gzip(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a gzip file (RFC 1952): its first member; more than one is unreadable."""
    flags = content.read(3, 1)
    fixed = content.read(0, 1 << 16)
    if len(fixed) < 18 or fixed[2] != 8 or flags > b"\x1f":
        raise Unreadable
    inner = _without_extension(names)
    if flags[0] & 8:
        start = 12 + int.from_bytes(fixed[10:12], "little") if flags[0] & 4 else 10
        inner.append(fixed[start : start + 1024].partition(b"\0")[0].decode("utf-8", "replace"))
    quota.count_member()
    with quota.unpacked(inflated(content, 0, content.size, 31)) as unpacked:
        yield Member(unpacked, inner, "archive")


def examine_bzip2(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a bzip2 file."""
    import bz2

    quota.count_member()
    with quota.unpacked(_decompressed(content, bz2.BZ2Decompressor())) as unpacked:
        yield Member(unpacked, _without_extension(names), "archive")


def examine_xz(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine an xz or lzma file."""
    import lzma

    quota.count_member()
    with quota.unpacked(_decompressed(content, lzma.LZMADecompressor(memlimit=96 << 20))) as unpacked:
        yield Member(unpacked, _without_extension(names), "archive")


def _without_extension(names: Sequence[str]) -> list[str]:
    inner = []
    for name in names:
        stem, extension = split(name.rstrip(". "))
        if extension:
            tarred = {"tgz": ".tar", "tbz": ".tar", "tbz2": ".tar", "txz": ".tar", "svgz": ".svg"}
            inner.append(stem + tarred.get(extension.lower(), ""))
    return inner


def _decompressed(content: Content, unpacker: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> Iterator[bytes]:
    import lzma

    position = 0
    while not unpacker.eof:
        data = b""
        if unpacker.needs_input:
            data = content.read(position, 1 << 16)
            position += len(data)
            if not data:
                raise Unreadable
        try:
            yield unpacker.decompress(data, 1 << 18)
        except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
            raise Unreadable from error


def examine_tar(content: Content, _names: Sequence[str], quota: Quota) -> Found:
    """Examine a tar file (POSIX.1 ustar and pax, GNU long names)."""
    position = 0
    long_names: list[str] = []
    while True:
        header = content.read(position, 512)
        if not header.strip(b"\0"):
            return
        if not signatures.tar_checksum(header):
            raise Unreadable
        size = _number(header[124:136])
        kind = header[156:157]
        position += 512
        if kind in {b"L", b"x", b"g"}:
            long_names += _long_names(content.read(position, min(size, _LISTED)), kind)
        elif kind in {b"0", b"\0", b"7", b"S"}:
            quota.count_member()
            name = b"/".join(part.partition(b"\0")[0] for part in (header[345:500], header[:100]))
            yield Member(Window(content, position, size), [name.decode("utf-8", "replace"), *long_names], "archive")
            long_names = []
        position += -(-size // 512) * 512


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        size = int.from_bytes(field[1:], "big")
    else:
        try:
            size = int(field.strip(b" \0") or b"0", 8)
        except ValueError as error:
            raise Unreadable from error
    if not 0 <= size < 1 << 40:
        raise Unreadable
    return size


def _long_names(data: bytes, kind: bytes) -> list[str]:
    if kind == b"L":
        return [data.partition(b"\0")[0].decode("utf-8", "replace")]
    return [
        line.partition(b"path=")[2].decode("utf-8", "replace") for line in data.split(b"\n")[:1000] if b" path=" in line
    ]


def examine_sealed(_content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Report an archive of a kind that cannot be opened here."""
    yield "archive-unreadable"


def _listed(names: Iterator[str], quota: Quota) -> Found:
    for name in names:
        quota.count_member()
        yield Member(Content.of(b""), [name], "archive")


def examine_cab(content: Content, _names: Sequence[str], quota: Quota) -> Found:
    """List a cabinet ([MS-CAB]); its files are not opened."""
    yield "archive-unreadable"
    header = content.read(0, 36)
    if len(header) == 36 and header[:4] == b"MSCF":
        start = int.from_bytes(header[16:20], "little")
        count = int.from_bytes(header[28:30], "little")
        yield from _listed(_cab_names(content.read(start, _LISTED), count), quota)


def _cab_names(data: bytes, count: int) -> Iterator[str]:
    position = 0
    for _ in range(count):
        end = data.find(b"\0", position + 16)
        if end < 0:
            return
        yield data[position + 16 : end].decode("utf-8", "replace")
        position = end + 1


def examine_rar(content: Content, _names: Sequence[str], quota: Quota) -> Found:
    """List a RAR archive of version 4 or 5, and see whether it is encrypted; its files are not opened."""
    yield "archive-unreadable"
    start = 0 if content.read(0, 6) == b"Rar!\x1a\x07" else _find(content, b"Rar!\x1a\x07")
    blocks = _rar_5(content, start + 8) if content.read(start + 6, 1) == b"\x01" else _rar_4(content, start + 7)
    names = []
    for name, encrypted in blocks:
        if encrypted:
            yield "encrypted-archive"
        if name:
            names.append(name)
        if len(names) > 1_000:
            raise TooLarge
    yield from _listed(iter(names), quota)


def _find(content: Content, mark: bytes) -> int:
    from mailguard.formats.budget import windows

    base = 0
    for window in windows(content.chunks(), len(mark)):
        at = window.find(mark)
        if at >= 0:
            return base + at
        base += len(window) - min(len(window), len(mark))
    raise Unreadable


def _rar_4(content: Content, position: int) -> Iterator[tuple[str, bool]]:
    for _ in range(10_000):
        block = content.read(position, 32 + 1024)
        if len(block) < 7:
            return
        kind, flags, size = block[2], int.from_bytes(block[3:5], "little"), int.from_bytes(block[5:7], "little")
        if kind == 0x73 and flags & 0x80:
            yield "", True
            return
        if kind == 0x74 and len(block) > 32:
            length = int.from_bytes(block[26:28], "little")
            start = 40 if flags & 0x100 else 32
            yield block[start : start + length].partition(b"\0")[0].decode("utf-8", "replace"), bool(flags & 4)
        position += max(size, 7)
        if flags & 0x8000 or kind == 0x74:
            position += int.from_bytes(block[7:11], "little")


def _rar_5(content: Content, position: int) -> Iterator[tuple[str, bool]]:
    for _ in range(10_000):
        block = content.read(position, 4096)
        size, at = _variable(block, 4)
        if len(block) < 8 or not size:
            return
        following = position + at + size
        kind, at = _variable(block, at)
        flags, at = _variable(block, at)
        extra, at = _variable(block, at) if flags & 1 else (0, at)
        data, at = _variable(block, at) if flags & 2 else (0, at)
        if kind == 4:
            yield "", True
            return
        if kind == 2:
            yield _rar_5_file(block, at, following - position - extra, following - position)
        position = following + data


def _rar_5_file(block: bytes, at: int, extra: int, end: int) -> tuple[str, bool]:
    flags, at = _variable(block, at)
    _, at = _variable(block, at)
    _, at = _variable(block, at)
    at += (4 if flags & 2 else 0) + (4 if flags & 4 else 0)
    _, at = _variable(block, at)
    _, at = _variable(block, at)
    length, at = _variable(block, at)
    name = block[at : at + length].decode("utf-8", "replace")
    for _ in range(16):
        if extra >= end:
            break
        size, extra = _variable(block, extra)
        if _variable(block, extra)[0] == 1:
            return name, True
        extra += size
    return name, False


def _variable(block: bytes, position: int) -> tuple[int, int]:
    """Read a number of 7 bits per octet; returns it and the place behind it."""
    value = 0
    for index, octet in enumerate(block[position : position + 10]):
        value |= (octet & 0x7F) << (7 * index)
        if not octet & 0x80:
            return value, position + index + 1
    return 0, position + 10


def examine_7z(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine the header of a 7z archive for encryption; its files are not opened."""
    yield "archive-unreadable"
    start = 0 if content.read(0, 6) == b"7z\xbc\xaf\x27\x1c" else _find(content, b"7z\xbc\xaf\x27\x1c")
    fixed = content.read(start, 32)
    offset, size = int.from_bytes(fixed[12:20], "little"), int.from_bytes(fixed[20:28], "little")
    if size > _LISTED:
        return
    header = content.read(start + 32 + offset, size)
    if b"\x06\xf1\x07\x01" in header or b"\x06\xf1\x07\x01" in _packed_header(content, start + 32, header):
        yield "encrypted-archive"


def _packed_header(content: Content, base: int, header: bytes) -> bytes:
    """Unpack a compressed header: one stream, one LZMA coder, as 7-Zip writes it; b"" for anything else."""
    import lzma

    try:
        if header[:2] != b"\x17\x06":
            return b""
        offset, at = _number_7z(header, 2)
        _, at = _number_7z(header, at)
        size, at = _number_7z(header, at + 1)
        coder = header.index(b"\x23\x03\x01\x01\x05", at)
        properties = header[coder + 5 : coder + 10]
        packed = content.read(base + offset, min(size, _LISTED))
        dictionary = min(int.from_bytes(properties[1:5], "little"), 1 << 22)
        octet = properties[0]
        chain = [
            {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": octet % 9, "lp": octet // 9 % 5, "pb": octet // 45}
        ]
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain).decompress(packed, _LISTED)
    except (ValueError, IndexError, lzma.LZMAError):
        return b""


def _number_7z(header: bytes, position: int) -> tuple[int, int]:
    first = header[position]
    position += 1
    value = 0
    mask = 0x80
    for index in range(8):
        if not first & mask:
            return value | (first & (mask - 1)) << (8 * index), position
        value |= header[position] << (8 * index)
        position += 1
        mask >>= 1
    return value, position
