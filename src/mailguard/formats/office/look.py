"""Office Open XML (ECMA-376): what the one reader would take out of a document, as far as it is dangerous.

An unpacker takes a document for an archive; so all parts that are no markup of the document are examined as files.
"""

from __future__ import annotations

import re

from mailguard.formats.archive.entries import members
from mailguard.formats.budget import Kind, Member, Quota
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import FEATURES, Disarmed, Options, Refused
from mailguard.formats.office import binary
from mailguard.formats.office import content_types as types
from mailguard.formats.office.document import Document, is_markup, kind_of
from mailguard.formats.office.package import TYPES, Package, key_of
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.formats.archive.zip import ZipEntry
    from mailguard.formats.budget import Found

_PLAIN = re.compile(rb"[\w./ \[\]-]{1,250}\.(?:xml|rels|vml|rdf)")
_OPTIONS = Options(frozenset(FEATURES) - {"embedded_files"})
_OPEN = "application/vnd.openxmlformats-officedocument."
_KINDS: tuple[tuple[str, str], ...] = (
    ("ms-word.document.macroenabled", "application/vnd.ms-word.document.macroenabled.12"),
    ("ms-word.template.macroenabled", "application/vnd.ms-word.document.macroenabled.12"),
    ("ms-excel.sheet.binary", "application/vnd.ms-excel.sheet.binary.macroenabled.12"),
    ("ms-excel.sheet.macroenabled", "application/vnd.ms-excel.sheet.macroenabled.12"),
    ("ms-excel.template.macroenabled", "application/vnd.ms-excel.sheet.macroenabled.12"),
    ("ms-excel.addin.macroenabled", "application/vnd.ms-excel.sheet.macroenabled.12"),
    ("ms-powerpoint.", "application/vnd.ms-powerpoint.presentation.macroenabled.12"),
    ("wordprocessingml.document.main", _OPEN + "wordprocessingml.document"),
    ("wordprocessingml.template.main", _OPEN + "wordprocessingml.document"),
    ("spreadsheetml.sheet.main", _OPEN + "spreadsheetml.sheet"),
    ("spreadsheetml.template.main", _OPEN + "spreadsheetml.sheet"),
    ("presentationml.presentation.main", _OPEN + "presentationml.presentation"),
    ("presentationml.slideshow.main", _OPEN + "presentationml.presentation"),
    ("presentationml.template.main", _OPEN + "presentationml.presentation"),
)


def look(content: Content, found: list[ZipEntry], quota: Quota, *, alone: bool = True) -> Found:
    """Yield the kind of the document first, then what acts in it; no kind for a package that is no document.

    alone: whether nothing else than the document may be in the content.
    """
    try:
        package = Package.of_zip(content, found, quota)
        main = _document(package).kind()[1]
    except Refused as refused:
        yield from {danger(refused.code)} - {""}
        return
    kind = next((kind for mark, kind in _KINDS if mark in main), "")
    if kind:
        yield Kind(kind)
    elif not alone:
        return  # the theme that Word and Excel 2007 put into a compound file: no program opens that as a document
    codes = codes_of(package) - (set() if alone else {"hidden-data"})
    yield from sorted({danger(code) for code in codes} - {""})
    for entry in found:
        if not entry.directory and kind:
            yield from _file(entry, package.content_type(key_of(entry.name)))


def codes_of(package: Package) -> set[str]:
    """Return the codes of what would be taken out of a document, or why it would be refused; changes the package."""
    document = _document(package)
    main = document.kind()[1]
    codes = set(_binary_codes(package) if main == types.BINARY_WORKBOOK else _codes(document, main))
    return (codes | {package.beside}) - {""}


def _document(package: Package) -> Document:
    return Document(package, _OPTIONS, _kept, _left_alone)


def _kept(data: bytes, _mime: str, _options: Options) -> Disarmed:
    """Leave the workbook of a chart where it is: it is examined as a file."""
    return Disarmed(data, types.KINDS[types.MAIN_WORKBOOK].mime, "xlsx")


def _left_alone(_data: bytes, _name: str) -> bool:
    return False


def _codes(document: Document, main: str) -> Iterator[str]:
    try:
        kind_of(main)
        document.disarm()
    except Refused as refused:
        yield "not-understood" if refused.code == "unknown-type" else refused.code
    yield from document.codes


def _binary_codes(package: Package) -> Iterator[str]:
    try:
        binary.check(package, _OPTIONS)
    except Refused as refused:
        yield refused.code
        for key, source in package.sources().items():
            for one in package.relationships(key, source)[1]:
                name = types.relationship(one.kind)
                if not types.is_allowed(name):
                    yield types.relationship_code(name)
        for key in package.parts:
            if key.startswith("xl/externallinks/") and key.endswith(".bin"):
                yield _linked(package.parts[key])


def _linked(data: bytes) -> str:
    """Read the first record of an external link (BrtBeginSupBook): 1 is DDE, 2 is an OLE link ([MS-XLSB] 2.4.158)."""
    return "dde" if data[:2] == b"\xe8\x02" and data[3:4] in {b"\x01", b"\x02"} else "external-data"


def named(entry: ZipEntry) -> Found:
    """Yield a part that was read as markup for the sake of its name; most names have only one reading."""
    if not _PLAIN.fullmatch(entry.raw_name):
        yield Member(Content.of(b""), entry.names, "")


def _file(entry: ZipEntry, content_type: str) -> Found:
    key = key_of(entry.name)
    if key == TYPES.lower() or Package.is_relationships(key) or is_markup(content_type):
        yield from named(entry)
    else:
        yield from members([entry], Quota(), "")  # its octets are counted already
