"""Pictures, and what can ride on them."""

from __future__ import annotations

import io
import struct
import zlib

from documents import zipped
from PIL import Image, ImageChops, PngImagePlugin

BARE = frozenset()


MARK = b"HIDDEN-MARKER-0815"


FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")


def picture(size=(64, 40)):
    red, green = Image.linear_gradient("L").resize(size), Image.radial_gradient("L").resize(size)
    return Image.merge("RGB", (red, green, ImageChops.invert(red)))


def encoded(kind, image=None, **settings):
    output = io.BytesIO()
    (image or picture()).save(output, kind, **settings)
    return output.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif(orientation=6):
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010E] = MARK.decode()
    data[0x8825] = {1: "N", 2: (35.0, 41.0, 22.0)}
    return data


def _with_text():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "<?php " + MARK.decode())
    return encoded("PNG", pnginfo=info)


def _behind_a_scan():
    data = encoded("JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    return data[:scan] + b"\xff\xfe" + struct.pack(">H", len(MARK) + 2) + MARK + data[scan:]


TAILS = {
    f"ZIP behind {kind}": encoded(kind) + zipped({"evil.txt": MARK}) for kind in ("BMP", "GIF", "JPEG", "PNG", "WEBP")
}
"""Pictures that are archives too."""


METADATA = {
    "photo": encoded("JPEG", exif=exif(6)),
    "text in PNG": _with_text(),
    "comment in GIF": encoded("GIF", comment=MARK),
    "photo in WEBP": encoded("WEBP", lossless=True, exif=exif(1)),
    "comment behind a scan": _behind_a_scan(),
}
"""Pictures that say more than they show."""
