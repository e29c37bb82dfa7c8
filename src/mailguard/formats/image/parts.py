"""The parts of image files: whether a file consists of nothing but one picture, and what else it tells."""

from __future__ import annotations

from mailguard.formats.image.look import is_whole

_PARTS = 100_000
_PICTURE_CHUNKS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs hIST sPLT cICP acTL fcTL fdAT".split()
)
_WEBP_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


class Damaged(Exception):  # noqa: N818 (an observation about content)
    """The parts do not fit together, or something follows them; never leaves this package."""


def has_metadata(kind: str, content: bytes) -> bool:
    """Tell whether an image (`kind` as Pillow calls its format) tells more than its pixels; raise Damaged.

    Metadata are texts, times, EXIF, XMP, thumbnails and parts that only one program understands; colour profiles and
    resolutions belong to the picture.
    """
    walks = {"PNG": _png, "JPEG": _jpeg, "GIF": _gif, "WEBP": _webp, "BMP": _bmp}
    walk = walks.get(kind)
    if walk is None or (kind != "BMP" and not is_whole(b"image/" + kind.lower().encode("ascii"), content)):
        raise Damaged
    return walk(content)


def _png(content: bytes) -> bool:
    position = 8
    for _ in range(_PARTS):
        kind = content[position + 4 : position + 8]
        if kind not in _PICTURE_CHUNKS:
            return True
        if kind == b"IEND":
            return False
        position += 12 + int.from_bytes(content[position : position + 4], "big")
    raise Damaged


def _jpeg(content: bytes) -> bool:
    """Walk the segments up to the first scan, and look for others behind it."""
    position = 2
    for _ in range(_PARTS):
        marker = content[position + 1]
        size = int.from_bytes(content[position + 2 : position + 4], "big")
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xDA:
            return _segments_behind(content, position + 2 + size)
        if (0xE0 <= marker <= 0xEF or marker == 0xFE) and not _of_the_picture(
            marker, content[position + 4 : position + 18]
        ):
            return True
        position += 2 + size
    raise Damaged


def _of_the_picture(marker: int, begin: bytes) -> bool:
    names = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
    return marker in names and begin.startswith(names[marker])


def _segments_behind(content: bytes, position: int) -> bool:
    return any(content.find(bytes((0xFF, marker)), position) >= 0 for marker in (*range(0xE0, 0xF0), 0xFE))


def _gif(content: bytes) -> bool:
    position = 13 + _table(content[10])
    for _ in range(_PARTS):
        kind = content[position]
        if kind == 0x3B:
            return False
        if kind == 0x21:
            label = content[position + 1]
            if label != 0xF9 and not (label == 0xFF and content[position + 3 : position + 14] in _LOOPS):
                return True
            position += 2
        else:
            position += 11 + _table(content[position + 9])
        while content[position]:
            position += 1 + content[position]
        position += 1
    raise Damaged


def _table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(content: bytes) -> bool:
    position = 12
    metadata = False
    for _ in range(_PARTS):
        if position == len(content):
            return metadata
        kind = content[position : position + 4]
        if kind not in _WEBP_CHUNKS:
            metadata = True
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        position += 8 + size + (size & 1)
        if position > len(content):
            break
    raise Damaged


def _bmp(content: bytes) -> bool:
    """Accept only uncompressed pixels that follow the header and the colours, and are the end."""
    if len(content) < 54 or int.from_bytes(content[2:6], "little") != len(content):
        raise Damaged
    offset, header = (int.from_bytes(content[at : at + 4], "little") for at in (10, 14))
    width, height = (int.from_bytes(content[at : at + 4], "little", signed=True) for at in (18, 22))
    bits = int.from_bytes(content[28:30], "little")
    colours = int.from_bytes(content[46:50], "little") or (1 << bits if bits <= 8 else 0)
    before = 14 + header + 4 * colours + (12 if header == 40 and content[30] == 3 else 0)
    stride = (width * bits + 31) // 32 * 4
    if header not in {40, 108, 124} or content[30] not in {0, 3} or before != offset:
        raise Damaged
    if offset + stride * abs(height) != len(content):
        raise Damaged
    return False
