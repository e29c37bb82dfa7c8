"""Pictures, sound and films within documents: what they begin with must be what they are said to be."""

from __future__ import annotations

from mailguard.formats.disarmed import Refused
from mailguard.formats.office import elements, markup

_PICTURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"II\xbc",
    b"\x01\0\0\0",  # EMF
    b"\xd7\xcd\xc6\x9a",  # WMF
    b"\x01\0\x09\0",  # WMF without the header for its place
    b"\x02\0\x09\0",
    b"\x1f\x8b",  # EMZ, WMZ
)
_FILMS = (
    b"ID3",
    b"OggS",
    b"fLaC",
    b"MThd",
    b"FORM",
    b"\x30\x26\xb2\x75",
    b"\0\0\1\xba",
    b"\0\0\1\xb3",
    b"\x1a\x45\xdf\xa3",
    b"#!AMR",
)


def code_of(data: bytes, content_type: str) -> str:
    """Return why a part of this content type (lower case, image/, audio/ or video/) may not stay, or ""."""
    if not data:
        return ""
    if content_type.startswith("image/svg"):
        return "" if _is_plain(data) else "svg"
    if content_type.startswith("image/"):
        known = data.startswith(_PICTURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP") or data[4:8] == b"ftyp"
    else:
        known = data.startswith(_FILMS) or data[:4] == b"RIFF" or data[4:8] in {b"ftyp", b"moov", b"mdat"}
        known = known or (data[0] == 0xFF and data[1:2] >= b"\xe0")
    return "" if known else "unknown-part"


def _is_plain(data: bytes) -> bool:
    try:
        return elements.is_plain_svg(markup.parsed(data))
    except Refused:
        return False
