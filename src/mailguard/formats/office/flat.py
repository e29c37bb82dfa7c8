"""Documents in one XML file: Flat OPC, Word 2003 XML, SpreadsheetML 2003 and flat OpenDocument.

Nothing here writes such a document; `sanitize` holds them.
"""

from __future__ import annotations

import re

from mailguard.formats.budget import Member, TooLarge
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import FEATURES, Options, Refused
from mailguard.formats.office import elements, formulas, large, markup, opendocument, targets
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lxml.etree import _Element

    from mailguard.formats.budget import Found, Quota

_PACKAGE = "{http://schemas.microsoft.com/office/2006/xmlPackage}"
_FLAT_ODF = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}document"
_OPTIONS = Options(frozenset(FEATURES) - {"embedded_files"})
_YES = frozenset({"yes", "1", "true", "on"})
# Elements of Word 2003 XML, SpreadsheetML 2003 and Visio 2003 by name ([MS-OFFDI] names the schemas).
_ELEMENTS: dict[str, str] = {
    "docSuppData": "macro",
    "VBProjectData": "macro",
    "docOleData": "embedded-object",
    "OLEObject": "embedded-object",
    "ocx": "embedded-object",
    "ocxdata": "embedded-object",
    "applet": "embedded-object",
    "cfChunk": "embedded-object",
    "QueryTable": "external-relationship",
    "QuerySource": "external-relationship",
    "Connection": "external-relationship",
}
_LOADING = frozenset({"attachedTemplate", "sourceFileName", "subDoc"})
_FORMULAS = frozenset({"Formula", "RefersTo"})
_VALUES = frozenset({"Path", "Value", "Value1", "Value2", "Min", "Max"})
_DATA = frozenset({"binData", "binaryData", "binary-data"})
_PRESENT = {"macrosPresent": "macro", "embeddedObjPresent": "embedded-object", "ocxPresent": "embedded-object"}
_TAGS = tuple(f"{{*}}{name}" for name in (*_ELEMENTS, *_LOADING, *_VALUES, *_DATA))
_INFOPATH = re.compile(rb"<\?mso-infopathsolution\s", re.IGNORECASE)  # names the form that is loaded (InfoPath 2003)


def look(content: Content, _names: Sequence[str], quota: Quota) -> Found:
    """Yield what acts in a document that is one XML file."""
    quota.count_octets(content.size)
    data = content.whole()
    if not large.fits(data):
        raise TooLarge
    if _INFOPATH.search(data.replace(b"\0", b"")):
        yield "remote-template"
    try:
        root = markup.parsed(data, doctype=True)
    except Refused as refused:
        yield danger(refused.code)
        return
    if root.tag == _FLAT_ODF:
        codes = set(opendocument.dangers(root)) - {opendocument.DOCUMENT}
    else:
        codes = _package(root) if root.tag == f"{_PACKAGE}package" else set()
        codes |= set(_codes(root)) | elements.disarm(root, _OPTIONS, frozenset())
        codes = {danger(code) for code in codes - {""}}
    yield from sorted(codes - {""})
    for element in root.iter(*(f"{{*}}{name}" for name in _DATA)):
        yield Member(Content.of(_decoded(element)), [markup.attribute(element, "name")], "")


def _package(root: _Element) -> set[str]:
    """Return the codes of a package in Flat OPC."""
    from mailguard.formats.office.look import codes_of
    from mailguard.formats.office.package import Package

    parts = {}
    for part in root:
        inside = next(iter(part), None)
        name = markup.attribute(part, "name").lstrip("/")
        if inside is None or name in parts:
            return {"ambiguous"}
        whole = markup.local_name(inside) == "xmlData" and len(inside)
        data = markup.serialised(inside[0]) if whole else _decoded(inside)
        parts[name] = (markup.attribute(part, "contentType"), data)
    try:
        return codes_of(Package.of_parts(parts, Content.of(b"")))
    except Refused as refused:
        return {"not-understood" if refused.code == "unknown-type" else refused.code}


def _decoded(element: _Element) -> bytes:
    import binascii

    try:
        return binascii.a2b_base64("".join(map(str, element.itertext())))
    except ValueError:
        return b""


def _codes(root: _Element) -> Iterator[str]:
    for element in root.iter(*_TAGS):
        name = markup.local_name(element)
        if name in _ELEMENTS:
            yield _ELEMENTS[name]
        elif name in _LOADING and targets.is_remote(markup.attribute(element, "val") or element.text or ""):
            yield "remote-template"
        elif name == "Path" and "|" in (element.text or ""):
            yield "dde"
        elif name in _VALUES and (element.text or "").lstrip().startswith("="):
            yield formulas.code_of(str(element.text), _OPTIONS)
    for value in markup.attributes(root, (*_FORMULAS, *_PRESENT, "Name")):
        name = str(value.attrname).rpartition("}")[2]
        if name in _PRESENT:
            yield _PRESENT[name] if value.lower() in _YES else ""
        elif name in _FORMULAS:
            yield formulas.code_of(str(value), _OPTIONS)
        elif formulas.is_automatic(str(value)):
            yield "xlm"
