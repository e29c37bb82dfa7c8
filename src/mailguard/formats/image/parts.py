"""The parts of image files: whether a file is nothing but one whole image, and what else it tells.

One walk for each format.  It yields the parts by name, and raises DamagedImage for what does not fit together, for
parts that change the picture and are not known, and for anything behind the end.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXTENSIONS = {
    b"image/png": frozenset({"png"}),
    b"image/jpeg": frozenset({"jpg", "jpeg", "jpe", "jfif"}),
    b"image/jpg": frozenset({"jpg", "jpeg", "jpe", "jfif"}),
    b"image/gif": frozenset({"gif"}),
    b"image/webp": frozenset({"webp"}),
}
_MOST = 1_000_000
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
_MARKER = re.compile(rb"\xff(?![\x00\xd0-\xd7])", re.DOTALL)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_OF_THE_PICTURE = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
_CRITICAL = frozenset({b"PLTE", b"IDAT", b"IEND"})
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_WEBP_FIRST = frozenset({b"VP8 ", b"VP8L", b"VP8X"})
_WEBP_PICTURES = frozenset({b"VP8 ", b"VP8L", b"ANMF"})
_WEBP_CHUNKS = _WEBP_FIRST | _WEBP_PICTURES | {b"ALPH", b"ANIM", b"EXIF", b"ICCP", b"XMP "}
_METADATA = b"metadata"
# What belongs to the picture; texts, times, EXIF, XMP, thumbnails and what only one program understands do not.
_PICTURE = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs hIST sPLT cICP acTL fcTL fdAT".split()
) | (_WEBP_CHUNKS - {b"EXIF", b"XMP "} | {b"picture"})


class DamagedImage(Exception):  # noqa: N818 (an observation about content)
    """The parts do not fit together, or something follows them; never leaves this package."""


def is_whole(content_type: bytes, data: bytes) -> bool:
    """Tell whether data is exactly one image of this (lower-case) media type and no archive or document besides."""
    if any(mark in data for mark in _FOREIGN):
        return False
    lower = data.lower()
    if any(mark in lower for mark in _SCRIPTS):
        return False
    try:
        for _ in _WALKS.get(content_type, _jpeg)(data):
            pass
    except (DamagedImage, IndexError):
        return False
    return True


def has_metadata(content_type: bytes, data: bytes) -> bool:
    """Tell whether an image tells more than its pixels, colour profile and resolution; raise DamagedImage.

    PNG, JPEG, GIF, WebP and BMP; of others nobody can say, and they are DamagedImage.
    """
    walk = _WALKS.get(content_type)
    if walk is None or (content_type != b"image/bmp" and not is_whole(content_type, data)):
        raise DamagedImage
    try:
        return any(part not in _PICTURE for part in walk(data))
    except IndexError as error:
        raise DamagedImage from error


def _png(data: bytes) -> Iterator[bytes]:
    """Walk the chunks (PNG 5.3): IHDR with a size, image data, no critical chunk that is unknown, and IEND at last."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR") or not (any(data[16:20]) and any(data[20:24])):
        raise DamagedImage
    position, has_data = 33, False
    for _ in range(_MOST):
        if position + 12 > len(data):
            break
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        position += 12 + length
        if kind not in _CRITICAL and not kind[0] & 0x20:
            break
        yield kind
        has_data |= kind == b"IDAT" and length > 0
        if kind == b"IEND":
            if has_data and not length and position == len(data):
                return
            break
    raise DamagedImage


def _gif(data: bytes) -> Iterator[bytes]:
    """Walk the blocks (GIF89a 15 to 27): the trailer is the last byte."""
    if data[:6] not in {b"GIF87a", b"GIF89a"} or len(data) < 14:
        raise DamagedImage
    position = 13 + _colours(data[10])
    for _ in range(_MOST):
        kind = data[position : position + 1]
        if kind == b";" and position + 1 == len(data):
            return
        if kind == b"!":
            label, name = data[position + 1], data[position + 3 : position + 14]
            yield b"picture" if label == 0xF9 or (label == 0xFF and name in _LOOPS) else _METADATA
            position += 2
        elif kind == b"," and position + 10 < len(data):
            yield b"picture"
            position += 11 + _colours(data[position + 9])
        else:
            break
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    raise DamagedImage


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(data: bytes) -> Iterator[bytes]:
    """Walk the chunks (RFC 9649 2): only known ones, among them a picture, to the end of the container."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or int.from_bytes(data[4:8], "little") + 8 != len(data):
        raise DamagedImage
    position, has_picture = 12, False
    for number in range(_MOST):
        if position + 8 > len(data):
            break
        kind = data[position : position + 4]
        if kind not in (_WEBP_CHUNKS if number else _WEBP_FIRST):
            raise DamagedImage
        yield kind
        has_picture |= kind in _WEBP_PICTURES
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    if position != len(data) or not has_picture:
        raise DamagedImage


def _jpeg(data: bytes) -> Iterator[bytes]:
    """Walk the segments (ITU T.81 B.1): a frame, then scans, and the end of image is the last marker of the data."""
    if data[:3] != b"\xff\xd8\xff":
        raise DamagedImage
    position = 2
    has_frame = has_scan = False
    for _ in range(_MOST):
        marker = data[position + 1] if data[position : position + 1] == b"\xff" else 0
        if marker == 0xD9 and has_scan and position + 2 == len(data):
            return
        if marker in {0, 0xD9}:
            break
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            own = _OF_THE_PICTURE.get(marker)
            yield b"picture" if own and data.startswith(own, position + 4) else _METADATA
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        has_frame |= marker in _FRAMES
        if marker == 0xDA:
            has_scan = has_frame
            following = _MARKER.search(data, position)  # neither stuffing nor a restart
            position = following.start() if following else len(data)
    raise DamagedImage


def _bmp(data: bytes) -> Iterator[bytes]:
    """Accept only uncompressed pixels that follow the header and the colours, and are the end."""
    if len(data) < 54 or int.from_bytes(data[2:6], "little") != len(data):
        raise DamagedImage
    offset, header = (int.from_bytes(data[at : at + 4], "little") for at in (10, 14))
    width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
    bits = int.from_bytes(data[28:30], "little")
    colours = int.from_bytes(data[46:50], "little") or (1 << bits if bits <= 8 else 0)
    before = 14 + header + 4 * colours + (12 if header == 40 and data[30] == 3 else 0)
    stride = (width * bits + 31) // 32 * 4
    if header not in {40, 108, 124} or data[30] not in {0, 3} or before != offset:
        raise DamagedImage
    if offset + stride * abs(height) != len(data):
        raise DamagedImage
    yield b"picture"


_WALKS: dict[bytes, Callable[[bytes], Iterator[bytes]]] = {
    b"image/png": _png,
    b"image/jpeg": _jpeg,
    b"image/gif": _gif,
    b"image/webp": _webp,
    b"image/bmp": _bmp,
}
