"""RTF 1.9.1 without what acts or loads: written anew from what was understood, or given back as it came."""

from __future__ import annotations

import binascii

from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.rtf.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_MIME = "application/rtf"
_BLIPS = {"image/png": b"pngblip", "image/jpeg": b"jpegblip"}
_SPACE = b" \t\r\n"


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:  # noqa: ARG001 (one interface for all formats)
    """Return RTF without objects, templates and what acts; Refused("damaged"), ("over-limit") or ("bomb")."""
    reader = Reader(options, lambda said, binary: picture(said, binary, options))
    reader.read(content)
    if not reader.removed:
        return Disarmed(content, _MIME, "rtf")
    return Disarmed(b"{\\rtf1 " + b"".join(reader.root.output) + b"}", _MIME, "rtf", tuple(reader.removed))


def picture(said: bytes, binary: bytes, options: Options) -> tuple[bytes, bytes, tuple[str, ...]] | None:
    """Return the picture, the control word for its format, and why it is not as it was; None when it must go.

    said: the text of the group, in hexadecimal digits; binary: what stood behind the control word bin.
    """
    from mailguard.formats.image.disarm import disarm as disarm_image

    try:
        data = binary or binascii.unhexlify(said.translate(None, _SPACE))
        result = disarm_image(data, "", options)
    except (binascii.Error, ValueError, Refused):
        return None
    blip = _BLIPS.get(result.mime)
    return (result.data, blip, result.removed) if blip else None
