"""PDF (ISO 32000-2): actions, scripts, embedded files and media go; pages, text and ordinary links stay.

The document is read by qpdf and written anew, so that what cannot be reached (earlier revisions, data between and
behind the objects) is gone.  A document in which nothing has to go is given back as it came.
"""

from __future__ import annotations

import io
import re

import pikepdf

from mailguard.formats.codes import danger
from mailguard.formats.confined import confined
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.pdf.names import UNCLEAR, acts, names
from mailguard.formats.pdf.objects import Walk, is_packed, text
from mailguard.formats.pdf.words import ACTING, DANGEROUS
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.formats.disarmed import Options

_MIME = "application/pdf"
_OBJECTS = 500_000
_MEMORY = 160 << 20  # a document may be large itself
_STREAM_OCTETS = 64 << 20
_PASSWORDS = 20
_DATA_FILES = 20
# qpdf 10 to 12, of nothing but the table of cross-references: each object is there, readers only look for it elsewhere.
_TABLE = re.compile(
    r"reported number of objects|: file is damaged$|Attempting to reconstruct cross-reference table|xref not found"
    r"|can't find startxref|startxref was more than|object has offset 0|xref entry for the xref stream itself"
    r"|extraneous whitespace seen before xref|invalid xref entry|xref syntax invalid|error reading xref"
)
# Keys whose values are no values have one in qpdf 11 and none in qpdf 12.
_JUNK = re.compile(r"unknown token while reading object|expected dictionary key")
_PLACE = re.compile(r"object \d+ \d+,")  # in the warnings of qpdf 10 to 12
_FOREIGN = (b"PK\x05\x06", b"PK\x06\x06", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:  # noqa: ARG001 (one interface for all formats)
    """Remove from a PDF whatever acts, carries files or points to files elsewhere.

    Encrypted documents that open without a password (or with one of `options.passwords`) come back unencrypted;
    Refused("encrypted") for others, ("damaged"), ("over-limit").
    """
    if content.count(b"obj") > 2 * _OBJECTS:
        raise Refused("over-limit")
    return confined(_disarm, content, options, _MEMORY)


def _disarm(content: bytes, options: Options) -> Disarmed:
    with _opened(content, options) as document:
        walk = _walked(document, options)
        _members(document, walk)
        walk.removed |= _several(content, document, walk)
        if not walk.removed and (_hides(content) or walk.hidden(document.objects)):
            walk.removed.add("hidden-content")
        if not walk.removed:
            return Disarmed(content, _MIME, "pdf")
        _unsign(document, walk)
        for stream in walk.packed:
            for key in {"/First", "/Type"} & stream.keys():
                del stream[key]
        data = _written(document)
    _read_again(data)
    return Disarmed(data, _MIME, "pdf", tuple(walk.removed))


def judged(content: bytes, options: Options) -> Disarmed:
    """Return the content as it is, with the codes of all that `disarm` would take out, or Refused as there."""
    if content.count(b"obj") > 2 * _OBJECTS:
        raise Refused("over-limit")
    return confined(_judged, content, options, _MEMORY)


def _judged(content: bytes, options: Options) -> Disarmed:
    with _opened(content, options) as document:
        walk = _walked(document, options)
        walk.hidden(document.objects)
        return Disarmed(content, _MIME, "pdf", (*walk.removed, *_several(content, document, walk)))


def _walked(document: pikepdf.Pdf, options: Options) -> Walk:
    """Take out what may not stay.  Embedded files stay by policy, or if all of them are data (ZUGFeRD, Factur-X)."""
    if len(document.objects) > _OBJECTS:
        raise Refused("over-limit")
    walk = Walk(options, keeps_files=True)
    walk.run(document.trailer)
    if not len(document.pages):
        raise Refused("damaged")
    if not options.embedded_files and not _are_data(document, walk):
        removed = walk.removed
        walk = Walk(options, keeps_files=False)
        walk.run(document.trailer)
        walk.removed |= removed
    if document.is_encrypted:
        walk.removed.add("encryption")
    walk.faults = list(map(str, document.get_warnings()))
    if walk.faults:
        walk.removed.add("cross-reference" if all(map(_TABLE.search, walk.faults)) else "repaired")
    return walk


def _are_data(document: pikepdf.Pdf, walk: Walk) -> bool:
    """Tell whether all embedded files are XML in which nothing acts."""
    if walk.has_files and not walk.embedded:
        return False
    named: dict[tuple[int, int], list[str]] = {}
    for specification, files in walk.embedded:
        labels = [str(specification[key]) for key in ("/UF", "/F") if key in specification]
        if not labels or not len(files) or not all(isinstance(stream, pikepdf.Stream) for stream in files.values()):
            return False
        for stream in files.values():
            named.setdefault(stream.objgen, []).extend(labels)
    streams = [
        value
        for value in document.objects
        if isinstance(value, pikepdf.Stream) and (value.objgen in named or text(value.get("/Type")) == "/EmbeddedFile")
    ]
    return len(streams) <= _DATA_FILES and all(
        _is_data(stream.read_bytes(), named.get(stream.objgen, [])) for stream in streams
    )


def _is_data(data: bytes, names: list[str]) -> bool:
    from mailguard.formats.detect import detect

    if not names or not all(name.lower().endswith(".xml") for name in names):
        return False
    found = detect(Content.of(data), names, "")
    return found.type in {"application/xml", "text/xml"} and not found.dangerous


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
    end = content.rfind(b"%%EOF")
    if not content.startswith(b"%PDF-") or content[end + 5 :].strip(b"\r\n\t \0"):
        return True
    return any(mark in content for mark in _FOREIGN)


def _several(content: bytes, document: pikepdf.Pdf, walk: Walk) -> set[str]:
    """Return a code where actions may stand that cannot be reached: in older revisions, or for other readers.

    Readers that look for objects by themselves (MuPDF, PDFium, of damaged files) open every object stream.
    """
    if any(map(danger, walk.removed)):
        return set()
    return {"ambiguous-markup"} if _acts(content, document, walk.faults) else set()


def _acts(content: bytes, document: pikepdf.Pdf, faults: Sequence[str]) -> bool:
    """faults: what qpdf warned of so far; from a damaged stream of objects its versions read more or less."""
    found = names(Content.of(content))
    if any(map(_JUNK.search, faults)) and not found.isdisjoint(DANGEROUS):
        return True
    if found.isdisjoint({UNCLEAR, *ACTING}):
        return False
    pieces, packed = [content], set()
    for value in document.objects:
        if isinstance(value, pikepdf.Stream) and is_packed(value):
            packed.add("object {} {},".format(*value.objgen))
            try:
                pieces.append(value.read_bytes())
            except pikepdf.PdfError:
                return True
    faults = [*faults, *map(str, document.get_warnings())]
    if UNCLEAR in found and any(match[0] in packed for match in map(_PLACE.search, faults) if match):
        return True
    return any(not ACTING.isdisjoint(names(Content.of(piece))) for piece in pieces) and any(map(acts, pieces))


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
            readable = readable and not _acts(data, document, ())
    except pikepdf.PdfError as error:
        raise Refused("damaged") from error
    if not readable:
        raise Refused("damaged")
