"""Images: decoded and encoded anew, so that nothing but the picture is left.

PNG (APNG too), JPEG, GIF, WebP, BMP and TIFF.  An image that is whole, has nothing behind its end and can be decoded
comes back as it came, where its metadata may stay or it has none.  SVG has its own module; all other kinds are
refused, WMF and EMF among them: they are lists of calls to the operating system.
"""

from __future__ import annotations

import io
import warnings

from mailguard.formats.confined import confined
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.image.parts import DamagedImage, has_metadata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from PIL.Image import Image

    from mailguard.formats.disarmed import Options

PIXELS = 50_000_000
"""Pixels of one picture."""
ALL_PIXELS = 400_000_000
"""Pixels of all pictures of an animation, or of the pages of a TIFF."""
FRAMES = 2_000
_SUSPICIOUS = 16_000_000
_RATIO = 10_000  # pixels of an octet that no scan of an empty page has
_ENCODED_PIXELS = 40_000_000
_PROFILE = 1 << 20

# What stands at the beginning: format as Pillow calls it, media type, extension.
_KINDS: tuple[tuple[bytes, str, str, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG", "image/png", "png"),
    (b"\xff\xd8\xff", "JPEG", "image/jpeg", "jpg"),
    (b"GIF87a", "GIF", "image/gif", "gif"),
    (b"GIF89a", "GIF", "image/gif", "gif"),
    (b"RIFF", "WEBP", "image/webp", "webp"),
    (b"BM", "BMP", "image/bmp", "bmp"),
    (b"II*\0", "TIFF", "image/tiff", "tif"),
    (b"MM\0*", "TIFF", "image/tiff", "tif"),
)
_ANIMATED = frozenset({"PNG", "GIF", "WEBP"})


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:  # noqa: ARG001 (one interface for all formats)
    """Return an image of the same format that is nothing else; Refused("damaged"), ("over-limit"), ("not-understood").

    Turned as its EXIF data say, when these are removed.  JPEG keeps its quantisation, so that its pixels change by no
    more than rounding; the other formats keep them exactly, except for WebP with loss and GIF frames of many colours.
    """
    if not any(content.startswith(begin) for begin, *_ in _KINDS):
        raise Refused("not-understood")
    import PIL.Image

    PIL.Image.init()  # before the child begins: it would do so every time
    return confined(_disarm, content, options)


def _disarm(content: bytes, options: Options) -> Disarmed:
    kind, mime, extension = next(found for begin, *found in _KINDS if content.startswith(begin))
    codes = _codes(kind, mime, content, options)
    image = _opened(kind, content)
    if not codes:
        _decode(image)
        return Disarmed(content, mime, extension)
    data = _encoded(kind, image)
    if data == content:
        return Disarmed(content, mime, extension)
    return Disarmed(data, mime, extension, codes)


def _codes(kind: str, mime: str, content: bytes, options: Options) -> tuple[str, ...]:
    """Return why the image has to be written anew; nobody can say what else is in a TIFF."""
    try:
        metadata = has_metadata(mime.encode("ascii"), content)
    except DamagedImage:
        return ("metadata",) if kind == "TIFF" else ("trailing-data",)
    return ("metadata",) if metadata and not options.metadata else ()


def _opened(kind: str, content: bytes) -> Image:
    import PIL.Image

    PIL.Image.MAX_IMAGE_PIXELS = PIXELS  # this process ends after one image
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
    try:
        image = PIL.Image.open(io.BytesIO(content), formats=(kind,))
    except (PIL.Image.DecompressionBombWarning, PIL.Image.DecompressionBombError) as error:
        raise Refused("over-limit") from error
    pixels = image.width * image.height
    if pixels > PIXELS or (pixels > _SUSPICIOUS and pixels > _RATIO * len(content)):
        raise Refused("over-limit")
    return image


def _frames(image: Image, most: int) -> int:
    """Return the number of frames; Refused("over-limit") for more of them, or more pixels, than may be."""
    frames = getattr(image, "n_frames", 1)
    if frames > FRAMES or (frames > 1 and frames * image.width * image.height > most):
        raise Refused("over-limit")
    return int(frames)


def _decode(image: Image) -> None:
    for number in range(_frames(image, ALL_PIXELS)):
        image.seek(number)
        if image.width * image.height > PIXELS:
            raise Refused("over-limit")
        image.load()


def _encoded(kind: str, image: Image) -> bytes:
    output = io.BytesIO()
    frames = _frames(image, _ENCODED_PIXELS)
    if frames > 1 and kind in _ANIMATED:
        _save_animation(kind, image, frames, output)
    elif kind == "TIFF":
        _save_pages(image, frames, output)
    else:
        settings = _settings(kind, image)
        picture = _bare(_upright(image))
        picture.save(output, kind, **settings)
    return output.getvalue()


def _bare(image: Image) -> Image:
    """Forget everything that the file told besides its pixels: encoders write what they find there."""
    image.load()
    image.info = {name: image.info[name] for name in ("transparency",) if name in image.info}
    return image


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 (EXIF data that cannot be read turn nothing)
        return image
    if orientation not in range(2, 9):
        return image
    return ImageOps.exif_transpose(image)


def _settings(kind: str, image: Image) -> dict[str, Any]:
    """Return how to encode the picture as it was encoded before."""
    settings: dict[str, Any] = {}
    profile = image.info.get("icc_profile")
    if kind != "BMP" and isinstance(profile, bytes) and len(profile) <= _PROFILE and profile[36:40] == b"acsp":
        settings["icc_profile"] = profile
    if kind in {"PNG", "JPEG", "TIFF", "BMP"} and (resolution := _resolution(image.info.get("dpi"))):
        settings["dpi"] = resolution
    if kind == "JPEG":
        settings |= _jpeg_settings(image)
    if kind == "WEBP":
        settings |= _webp_settings(image)
    return settings


def _resolution(value: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 <= across <= 10_000 and 1 <= down <= 10_000 else None


def _jpeg_settings(image: Any) -> dict[str, Any]:
    from PIL.JpegImagePlugin import get_sampling

    settings: dict[str, Any] = {"progressive": bool(image.info.get("progressive"))}
    tables = image.quantization
    if all(0 < value < 256 for table in tables.values() for value in table) and 0 < len(tables) <= 4:
        settings["qtables"] = [list(tables[number]) for number in sorted(tables)]
    else:
        settings["quality"] = 90
    if (sampling := get_sampling(image)) >= 0:
        settings["subsampling"] = sampling
    return settings


def _webp_settings(image: Any) -> dict[str, Any]:
    file = image.fp
    begin = file.getvalue()[:64] if isinstance(file, io.BytesIO) else b""
    return {"lossless": True} if b"VP8L" in begin else {"quality": 90}


def _save_animation(kind: str, image: Any, frames: int, output: io.BytesIO) -> None:
    """Write each frame as it is seen, so that no frame depends on what an earlier one hid."""
    settings = _settings(kind, image)
    loop = image.info.get("loop")
    pictures, durations = [], []
    for number in range(frames):
        image.seek(number)
        picture = image.convert("RGBA") if kind != "GIF" or image.mode != "P" else image.copy()
        picture.info = {
            name: image.info[name] for name in ("transparency",) if name in image.info and picture.mode == "P"
        }
        pictures.append(picture)
        durations.append(image.info.get("duration", 0))
    settings |= {"duration": durations, "save_all": True, "append_images": pictures[1:]}
    if loop is not None:
        settings["loop"] = loop
    if kind == "GIF":
        settings |= {"disposal": 2, "optimize": False}
    pictures[0].save(output, kind, **settings)


def _save_pages(image: Any, frames: int, output: io.BytesIO) -> None:
    from PIL import Image

    settings = _settings("TIFF", image)
    pages = []
    for number in range(frames):
        image.seek(number)
        page = _upright(image)
        page.load()
        pages.append(Image.frombytes(page.mode, page.size, page.tobytes()))
        if page.mode == "P":
            pages[-1].putpalette(page.getpalette() or b"")
    fax = all(page.mode == "1" for page in pages)
    settings |= {"compression": "group4" if fax else "tiff_adobe_deflate"}
    pages[0].save(output, "TIFF", save_all=True, append_images=pages[1:], **settings)
