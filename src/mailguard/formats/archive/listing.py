"""RAR, 7z and CAB: names and encryption by a reader of our own, which finds whatever another reader could pass over.

They are opened by libarchive (`foreign`); what lies around, between or behind the files is seen here.
"""

from __future__ import annotations

import zlib

from mailguard.formats import magic
from mailguard.formats.budget import TooLarge, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.message.content import Content

_LISTED = 1 << 20
_MOST = 1_000
_CAB_OF_SEVERAL = 3  # flags: another cabinet comes before or behind it
# Service blocks that say nothing about files: a comment, recovery data.  Others hold streams of NTFS, which become
# files elsewhere (CVE-2025-8088), or headers once more (QO), which WinRAR reads instead of the true ones.
_SERVICES = frozenset({"CMT", "RR"})
_BLOCKS_4, _BLOCKS_5 = frozenset({0x73, 0x74, 0x7A, 0x7B}), frozenset({1, 2, 3, 5})
ENCRYPTED = object()
"""What stands in a listing for encryption."""


def entries(content: Content, mime: str) -> Iterator[str | object]:
    """Yield the name of each file and folder (RAR and CAB only), and ENCRYPTED.

    Unreadable, also behind some names, for an archive that has more in it than files, or is not all of the content.
    """
    reader = {magic.RAR: _rar, magic.SEVEN_ZIP: _seven_zip, magic.CAB: _cab}[mime]
    for number, name in enumerate(reader(content)):
        if number > _MOST:
            raise TooLarge
        yield name


def _cab(content: Content) -> Iterator[str]:
    """List a cabinet ([MS-CAB])."""
    header = content.read(0, 36)
    if len(header) < 36 or header[:4] != b"MSCF":
        raise Unreadable
    start, count = int.from_bytes(header[16:20], "little"), int.from_bytes(header[28:30], "little")
    data = content.read(start, _LISTED)
    position = 0
    for _ in range(count):
        end = data.find(b"\0", position + 16)
        if end < 0:
            raise Unreadable
        yield data[position + 16 : end].decode("utf-8", "replace")
        position = end + 1
    if int.from_bytes(header[8:12], "little") != content.size or header[30] & _CAB_OF_SEVERAL:
        raise Unreadable


def _rar(content: Content) -> Iterator[str | object]:
    """List a RAR archive of version 4 or 5."""
    start = 0 if content.read(0, 6) == b"Rar!\x1a\x07" else _find(content, b"Rar!\x1a\x07")
    if content.read(start + 6, 1) == b"\x01":
        yield from _rar_5(content, start + 8)
    else:
        yield from _rar_4(content, start + 7)
    if start:
        raise Unreadable


def _find(content: Content, mark: bytes) -> int:
    from mailguard.formats.budget import windows

    base = 0
    for window in windows(content.chunks(), len(mark)):
        at = window.find(mark)
        if at >= 0:
            return base + at
        base += len(window) - min(len(window), len(mark))
    raise Unreadable


def _rar_4(content: Content, position: int) -> Iterator[str | object]:
    for _ in range(10_000):
        block = content.read(position, 32 + 1024)
        if len(block) < 7:
            break
        kind, flags, size = block[2], int.from_bytes(block[3:5], "little"), int.from_bytes(block[5:7], "little")
        if kind == 0x73 and flags & 0x80:
            yield ENCRYPTED
            return
        if kind in {0x74, 0x7A} and len(block) > 32:
            length = int.from_bytes(block[26:28], "little")
            start = 40 if flags & 0x100 else 32
            name = block[start : start + length].partition(b"\0")[0].decode("utf-8", "replace")
            yield from _named(name, service=kind == 0x7A, encrypted=bool(flags & 4))
        # A volume, or a file that goes on in another one.
        split = (kind == 0x73 and flags & 1) or (kind == 0x74 and flags & 3)
        _check(block, 2, size, zlib.crc32(block[2:size]) & 0xFFFF, known=kind in _BLOCKS_4 and size >= 7 and not split)
        position += size
        if flags & 0x8000 or kind == 0x74:
            position += int.from_bytes(block[7:11], "little")
        if kind == 0x7B and position == content.size:
            return
    raise Unreadable


def _rar_5(content: Content, position: int) -> Iterator[str | object]:
    for _ in range(10_000):
        block = content.read(position, 4096)
        size, begin = _variable(block, 4)
        if len(block) < 8 or not size:
            break
        end = begin + size
        kind, at = _variable(block, begin)
        flags, at = _variable(block, at)
        extra, at = _variable(block, at) if flags & 1 else (0, at)
        data, at = _variable(block, at) if flags & 2 else (0, at)
        if kind == 4:
            yield ENCRYPTED
            return
        if kind in {2, 3}:
            name, encrypted = _rar_5_file(block, at, end - extra, end)
            yield from _named(name, service=kind == 3, encrypted=encrypted)
        split = flags & 0x18 or (kind == 1 and _variable(block, at)[0] & 1)
        _check(block, 4, end, zlib.crc32(block[4:end]), known=kind in _BLOCKS_5 and not split)
        position += end + data
        if kind == 5 and position == content.size:
            return
    raise Unreadable


def _named(name: str, *, service: bool, encrypted: bool) -> Iterator[str | object]:
    """Yield what a block of a file or a service says."""
    if not service:
        yield name
    elif name not in _SERVICES:
        raise Unreadable
    if encrypted:
        yield ENCRYPTED


def _check(block: bytes, width: int, end: int, total: int, *, known: bool) -> None:
    """Raise Unreadable for a block that is of no kind that is known, not all there, or has another sum."""
    if not known or end > len(block) or total != int.from_bytes(block[:width], "little"):
        raise Unreadable


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


def _seven_zip(content: Content) -> Iterator[object]:
    """Look at the header of a 7z archive, which lies at its end."""
    start = 0 if content.read(0, 6) == b"7z\xbc\xaf\x27\x1c" else _find(content, b"7z\xbc\xaf\x27\x1c")
    fixed = content.read(start, 32)
    offset, size = int.from_bytes(fixed[12:20], "little"), int.from_bytes(fixed[20:28], "little")
    if size > _LISTED:
        raise Unreadable
    header = content.read(start + 32 + offset, size)
    if b"\x06\xf1\x07\x01" in header or b"\x06\xf1\x07\x01" in _packed_header(content, start + 32, header):
        yield ENCRYPTED
    if start or 32 + offset + size != content.size:
        raise Unreadable


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
