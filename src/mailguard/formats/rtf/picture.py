"""Pictures in RTF: hexadecimal or binary data of a PNG or JPEG."""

from __future__ import annotations

import binascii

from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_BLIPS = {"image/png": b"pngblip", "image/jpeg": b"jpegblip"}
_SPACE = b" \t\r\n"


def picture(said: bytes, binary: bytes, options: Options) -> tuple[bytes, bytes, tuple[str, ...]] | None:
    """Return the picture, the control word for its format, and why it is not as it was; None when it must go.

    said: the text of the group; binary: what stood behind the control word bin.
    """
    from mailguard.formats.image.disarm import disarm

    try:
        data = binary or binascii.unhexlify(said.translate(None, _SPACE))
        result = disarm(data, "", options)
    except (binascii.Error, ValueError, Refused):
        return None
    blip = _BLIPS.get(result.mime)
    return (result.data, blip, result.removed) if blip else None
