"""RAR, 7z and CAB: what they are made of, as far as names and encryption go; they are not opened."""

from __future__ import annotations

from mailguard.formats.budget import Member, TooLarge, Unreadable
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Found, Quota

_LISTED = 1 << 20


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
