"""PDF (ISO 32000-2): actions, scripts, embedded files and media go; pages, text and ordinary links stay.

The document is read by qpdf and written anew, so that what cannot be reached (earlier revisions, data between and
behind the objects) is gone.  A document in which nothing has to go is given back as it came.
"""

from __future__ import annotations

import io

import pikepdf

from mailguard.formats.confined import confined
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.pdf.objects import Walk, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.formats.disarmed import Options

_MIME = "application/pdf"
_OBJECTS = 500_000
_MEMORY = 160 << 20  # a document may be large itself
_STREAM_OCTETS = 64 << 20
_PASSWORDS = 20
_FOREIGN = (b"PK\x05\x06", b"PK\x06\x06", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")

PAGES = 200
PIXELS = 8_000_000
ALL_PIXELS = 400_000_000
RESOLUTION = 110
_POINTS_PER_INCH = 72


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:  # noqa: ARG001 (one interface for all formats)
    """Remove from a PDF whatever acts, carries files or points to files elsewhere.

    Encrypted documents that open without a password (or with one of `options.passwords`) come back unencrypted;
    Refused("encrypted") for others, ("damaged"), ("over-limit").
    """
    if content.count(b"obj") > 2 * _OBJECTS:
        raise Refused("over-limit")
    return confined(_disarm, content, options, _MEMORY)


def flatten(content: bytes, options: Options) -> Disarmed:
    """Return a PDF with nothing but a picture of each page, at 110 dots per inch, at most 200 pages.

    For documents that `disarm` refuses; Refused("damaged"), ("encrypted") or ("over-limit").
    """
    return confined(_flatten, content, options)


def _disarm(content: bytes, options: Options) -> Disarmed:
    with _opened(content, options) as document:
        if len(document.objects) > _OBJECTS:
            raise Refused("over-limit")
        walk = Walk(options)
        walk.run(document.trailer)
        if not len(document.pages):
            raise Refused("damaged")
        _members(document, walk)
        if document.is_encrypted:
            walk.removed.add("encryption")
        if document.get_warnings():
            walk.removed.add("repaired")
        if not walk.removed and (_hides(content) or walk.hidden(document.objects)):
            walk.removed.add("hidden-content")
        if not walk.removed:
            return Disarmed(content, _MIME, "pdf")
        _unsign(document, walk)
        data = _written(document)
    _read_again(data)
    return Disarmed(data, _MIME, "pdf", tuple(walk.removed))


def _opened(content: bytes, options: Options) -> pikepdf.Pdf:
    """Open with limits on what single streams unpack to; this process ends after one document."""
    from pikepdf import settings

    settings.set_qpdf_limits(
        doc_max_warnings=1_000,
        flate_max_memory=_STREAM_OCTETS,
        png_max_memory=_STREAM_OCTETS,
        tiff_max_memory=_STREAM_OCTETS,
        run_length_max_memory=_STREAM_OCTETS,
        dct_max_memory=_STREAM_OCTETS,
    )
    for password in (b"", *options.passwords[:_PASSWORDS]):
        try:
            return pikepdf.open(io.BytesIO(content), password=password)
        except pikepdf.PasswordError:
            continue
        except pikepdf.PdfError as error:
            raise Refused("encrypted" if "encrypt" in str(error) else "damaged") from error
    raise Refused("encrypted")


def _members(document: pikepdf.Pdf, walk: Walk) -> None:
    """Pass embedded files that may stay through the policy; what no file specification names becomes empty."""
    if not walk.options.embedded_files:
        return
    done = set()
    for specification, files in walk.embedded:
        names = [str(specification[key]) for key in ("/UF", "/F") if key in specification]
        for stream in files.values():
            if isinstance(stream, pikepdf.Stream) and stream.objgen not in done:
                done.add(stream.objgen)
                _member(stream, names, walk)
    for value in document.objects:
        if not isinstance(value, pikepdf.Stream) or value.objgen in done:
            continue
        if text(value.get("/Type")) == "/EmbeddedFile":
            value.write(b"")


def _member(stream: pikepdf.Stream, names: list[str], walk: Walk) -> None:
    options = walk.options
    options.quota.count_member()
    data = stream.read_bytes()
    options.quota.count_octets(len(data))
    result = options.member(data, names, options.deeper())
    if result.data is not data:
        stream.write(result.data)
        walk.removed.add("member-changed")


def _hides(content: bytes) -> bool:
    """Tell whether there is more in the file than what can be reached in the document."""
    from mailguard.formats.budget import Quota
    from mailguard.formats.pdf.look import examine
    from mailguard.message.content import Content

    end = content.rfind(b"%%EOF")
    if not content.startswith(b"%PDF-") or content[end + 5 :].strip(b"\r\n\t \0"):
        return True
    if any(mark in content for mark in _FOREIGN):
        return True
    return any(True for _ in examine(Content.of(content), (), Quota()))


def _unsign(document: pikepdf.Pdf, walk: Walk) -> None:
    """Remove signatures over what is no longer the same."""
    for field in walk.signatures:
        del field["/V"]
    for key in ("/Perms", "/DSS"):
        if key in document.Root:
            del document.Root[key]
            walk.removed.add("invalid-signature")
    if walk.signatures:
        walk.removed.add("invalid-signature")
        form = document.Root.get("/AcroForm")
        if isinstance(form, pikepdf.Dictionary) and "/SigFlags" in form:
            del form["/SigFlags"]


def _written(document: pikepdf.Pdf) -> bytes:
    """Write only what can be reached; the data of streams stays as it is coded."""
    output = io.BytesIO()
    document.save(
        output,
        compress_streams=True,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
        object_stream_mode=pikepdf.ObjectStreamMode.generate,
        encryption=False,
        deterministic_id=True,
    )
    return output.getvalue()


def _read_again(data: bytes) -> None:
    """Refuse what others cannot read without guessing: of a damaged document too little may be left."""
    try:
        with pikepdf.open(io.BytesIO(data), attempt_recovery=False) as document:
            readable = len(document.pages) > 0 and not document.get_warnings()
    except pikepdf.PdfError as error:
        raise Refused("damaged") from error
    if not readable:
        raise Refused("damaged")


# Pictures of pages


def _flatten(content: bytes, _options: Options) -> Disarmed:
    import pypdfium2  # type: ignore[import-untyped]

    try:
        source = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        raise Refused("encrypted" if "assword" in str(error) else "damaged") from error
    if not 0 < len(source) <= PAGES:
        raise Refused("over-limit" if len(source) else "damaged")
    pixels = 0
    with pikepdf.new() as target:
        for index in range(len(source)):
            page = source[index]
            width, height = page.get_size()
            picture, size = _picture(page, width, height)
            page.close()
            pixels += size[0] * size[1]
            if pixels > ALL_PIXELS:
                raise Refused("over-limit")
            _add(target, picture, size, (width, height))
        return Disarmed(_written(target), _MIME, "pdf", ("flattened",))


def _picture(page: Any, width: float, height: float) -> tuple[bytes, tuple[int, int]]:
    """Return the page as JPEG and its size in pixels."""
    scale = RESOLUTION / _POINTS_PER_INCH
    if not 0 < width * height * scale**2 <= PIXELS:
        if not 1 <= width * height <= PIXELS:
            raise Refused("over-limit")
        scale = (PIXELS / (width * height)) ** 0.5
    image = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
    output = io.BytesIO()
    image.save(output, "JPEG", quality=85)
    return output.getvalue(), image.size


def _add(target: pikepdf.Pdf, picture: bytes, size: tuple[int, int], points: tuple[float, float]) -> None:
    width, height = (round(value, 2) for value in points)
    image = pikepdf.Stream(
        target,
        picture,
        Type=pikepdf.Name.XObject,
        Subtype=pikepdf.Name.Image,
        Width=size[0],
        Height=size[1],
        ColorSpace=pikepdf.Name.DeviceRGB,
        BitsPerComponent=8,
        Filter=pikepdf.Name.DCTDecode,
    )
    page = pikepdf.Dictionary(
        Type=pikepdf.Name.Page,
        MediaBox=[0, 0, width, height],
        Resources=pikepdf.Dictionary(XObject=pikepdf.Dictionary(P=image)),
        Contents=pikepdf.Stream(target, f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /P Do Q".encode("ascii")),
    )
    target.pages.append(pikepdf.Page(page))
