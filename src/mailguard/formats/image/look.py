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
# A reader that looks for archives, disk images, documents or scripts in the middle of a file would find these in an
# image.  They are so long that chance hardly ever writes one into compressed data.
_FOREIGN = (
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"%PDF-",
    b"{\\rt",
    b"Rar!\x1a\x07",
    b"7z\xbc\xaf\x27\x1c",
    b"MSCF\0\0\0\0",
    b"ustar",
    b"CD001",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
)
_SCRIPTS = (b"<script", b"<hta:")
_PNG_CRITICAL = frozenset({b"PLTE", b"IDAT"})
_WEBP_FIRST = frozenset({b"VP8 ", b"VP8L", b"VP8X"})
_WEBP_PICTURES = frozenset({b"VP8 ", b"VP8L", b"ANMF"})
_WEBP_CHUNKS = _WEBP_FIRST | _WEBP_PICTURES | {b"ALPH", b"ANIM", b"EXIF", b"ICCP", b"XMP "}
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def is_whole(content_type: bytes, data: bytes) -> bool:
    """Tell whether data is exactly one image of this (lower-case) media type and no archive or document besides."""
    if any(mark in data for mark in _FOREIGN):
        return False
    lower = data.lower()
    if any(mark in lower for mark in _SCRIPTS):
        return False
    check = {b"image/png": _png, b"image/gif": _gif, b"image/webp": _webp}.get(content_type, _jpeg)
    return check(data)


def _png(data: bytes) -> bool:
    """Walk the chunks (PNG 5.3): IHDR with a size, image data, no critical chunk that is unknown, and IEND at last."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR") or not (any(data[16:20]) and any(data[20:24])):
        return False
    position = 33
    has_data = False
    for _ in range(_BLOCKS):
        if position + 12 > len(data):
            return False
        kind = data[position + 4 : position + 8]
        length = int.from_bytes(data[position : position + 4], "big")
        position += 12 + length
        if kind == b"IEND":
            return has_data and not length and position == len(data)
        if kind not in _PNG_CRITICAL and not kind[0] & 0x20:
            return False
        has_data |= kind == b"IDAT" and length > 0
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
    """Walk the chunks (RFC 9649 2): only known ones, among them a picture, to the end of the container."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or int.from_bytes(data[4:8], "little") + 8 != len(data):
        return False
    position = 12
    kinds: list[bytes] = []
    while position + 8 <= len(data) and len(kinds) < _BLOCKS:
        kinds.append(data[position : position + 4])
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    return (
        position == len(data)
        and kinds[:1] != []
        and kinds[0] in _WEBP_FIRST
        and _WEBP_CHUNKS.issuperset(kinds)
        and not _WEBP_PICTURES.isdisjoint(kinds)
    )


def _jpeg(data: bytes) -> bool:
    """Walk the segments (ITU T.81 B.1): a frame, then scans, and the end of image is the last marker of the data."""
    if data[:3] != b"\xff\xd8\xff":
        return False
    position = 2
    has_frame = has_scan = False
    for _ in range(_BLOCKS):
        if data[position : position + 1] != b"\xff":
            return False
        marker = data[position + 1] if position + 1 < len(data) else 0
        if marker == 0xD9:
            return has_scan and position + 2 == len(data)
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        has_frame |= marker in _JPEG_FRAMES
        if marker == 0xDA:
            has_scan = has_frame
            position = _jpeg_scan_end(data, position)
    return False


def _jpeg_scan_end(data: bytes, position: int) -> int:
    """Return where the coded data of a scan ends: at the first marker that is neither stuffing nor a restart."""
    match = _MARKER.search(data, position)
    return match.start() if match else len(data)
