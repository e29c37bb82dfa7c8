"""Raster images that are one whole image and end where they end, so that nothing else can ride on them."""

from __future__ import annotations

import re

EXTENSIONS = {
    b"image/png": frozenset({"png"}),
    b"image/jpeg": frozenset({"jpg", "jpeg", "jpe", "jfif"}),
    b"image/jpg": frozenset({"jpg", "jpeg", "jpe", "jfif"}),
    b"image/gif": frozenset({"gif"}),
    b"image/webp": frozenset({"webp"}),
}
_BLOCKS = 1_000_000
_MARKER = re.compile(rb"\xff(?![\x00\xd0-\xd7])", re.DOTALL)
# A reader that looks for archives from behind (ZIP) or for documents from the front would find these in an image.
_FOREIGN = (b"PK\x05\x06", b"PK\x06\x06", b"%PDF-", b"{\\rt", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")


def is_whole(content_type: bytes, data: bytes) -> bool:
    """Tell whether data is exactly one image of this (lower-case) media type and no archive or document besides."""
    if any(mark in data for mark in _FOREIGN):
        return False
    check = {b"image/png": _png, b"image/gif": _gif, b"image/webp": _webp}.get(content_type, _jpeg)
    return check(data)


def _png(data: bytes) -> bool:
    """Walk the chunks (PNG 5.3): the last is IEND."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"):
        return False
    position = 8
    for _ in range(_BLOCKS):
        if position + 12 > len(data):
            return False
        kind = data[position + 4 : position + 8]
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        if kind == b"IEND":
            return position == len(data)
    return False


def _gif(data: bytes) -> bool:
    """Walk the blocks (GIF89a 15 to 27): the trailer is the last byte."""
    if data[:6] not in {b"GIF87a", b"GIF89a"} or len(data) < 14:
        return False
    position = 13 + _gif_table(data[10])
    for _ in range(_BLOCKS):
        kind = data[position : position + 1]
        if kind == b";":
            return position + 1 == len(data)
        if kind == b"!":
            position += 2
        elif kind == b"," and position + 10 < len(data):
            position += 11 + _gif_table(data[position + 9])
        else:
            return False
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    return False


def _gif_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP" and int.from_bytes(data[4:8], "little") + 8 == len(data)


def _jpeg(data: bytes) -> bool:
    """Walk the segments (ITU T.81 B.1): the end of image is the last marker of the data."""
    if data[:3] != b"\xff\xd8\xff":
        return False
    position = 2
    for _ in range(_BLOCKS):
        if data[position : position + 1] != b"\xff":
            return False
        marker = data[position + 1] if position + 1 < len(data) else 0
        if marker == 0xD9:
            return position + 2 == len(data)
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xDA:
            position = _jpeg_scan_end(data, position)
    return False


def _jpeg_scan_end(data: bytes, position: int) -> int:
    """Return where the coded data of a scan ends: at the first marker that is neither stuffing nor a restart."""
    match = _MARKER.search(data, position)
    return match.start() if match else len(data)
