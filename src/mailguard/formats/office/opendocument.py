"""OpenDocument (OASIS ODF 1.3, and its forerunner of OpenOffice.org 1), as a package or in one XML file: what acts.

Nothing here writes such a document; `sanitize` has it converted.
"""

from __future__ import annotations

import re

from mailguard.formats.archive.entries import members
from mailguard.formats.budget import Kind, Quota, Unreadable
from mailguard.formats.disarmed import Refused
from mailguard.formats.office import formulas, large, markup, targets
from mailguard.formats.office.look import named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from mailguard.formats.archive.zip import ZipEntry
    from mailguard.formats.budget import Found

_MIME = re.compile(rb"[a-z]{1,20}/[a-z0-9.+-]{1,80}")
_MANIFEST = "META-INF/manifest.xml"
DOCUMENT = "document"
_ATTRIBUTES = ("action", "formula", "href")
_MARKUP = (".xml", ".xhtml", ".rdf")
_PROGRAMS = ("Basic/", "Dialogs/", "Scripts/")
_ROOT = re.compile(r"\{(?:urn:oasis:names:tc:opendocument:xmlns:|http://openoffice\.org/2000/)")
# The last word of a namespace, ":" and the name of an element.  A name alone stands for all namespaces.
_ELEMENTS: dict[str, str] = {
    "script:event-listener": "macro",
    "script:event": "macro",  # of OpenOffice.org 1
    "script:library-embedded": "macro",
    "script:module": "macro",
    "office:script-data": "macro",
    "text:script": "macro",
    "text:execute-macro": "macro",
    "office:dde-source": "dde",
    "table:dde-link": "dde",
    "text:dde-connection": "dde",
    "text:dde-connection-decl": "dde",
    "draw:object-ole": "embedded-object",
    "draw:applet": "embedded-object",
    "draw:plugin": "embedded-object",
    "draw:floating-frame": "embedded-object",
    "manifest:encryption-data": "encrypted-document",
    "office:script": "macro",
}
# Elements whose address is loaded when the document is opened.
_LOADING = frozenset({"template", "auto-reload", "section-source", "object"})
_TAGS = tuple(f"{{*}}{name}" for name in (*(name.partition(":")[2] for name in _ELEMENTS), *_LOADING))
_RUNNING = re.compile(r"\s*+(?:vnd\.sun\.star\.(?:script|expand)|macro|service|slot|\.uno|javascript):", re.IGNORECASE)


def look(found: list[ZipEntry], quota: Quota) -> Found:
    """Yield the kind of the document first, then what acts in it; no kind for a ZIP that is no document."""
    if any(entry.encrypted for entry in found):
        raise Unreadable
    quota.count_octets(sum(entry.size for entry in found))
    kind = _kind(found)
    if kind:
        yield Kind(kind)
    codes: set[str] = set()
    found = sorted(found, key=lambda entry: entry.name != _MANIFEST)
    for entry in found:
        if entry.directory:
            continue
        codes |= {"macro"} if entry.name.startswith(_PROGRAMS) else set()
        inside = _read(entry, readable="encrypted-document" not in codes) if entry.name.endswith(_MARKUP) else None
        if inside is None:
            yield from members([entry], Quota(), "")  # its octets are counted already
            continue
        yield from named(entry)
        codes |= inside
    if kind or DOCUMENT in codes:
        yield from sorted(codes - {"", DOCUMENT})


def _kind(found: list[ZipEntry]) -> str:
    """Return the type that the document states; the first file states it, but programs do not rely on that."""
    stated = [entry for entry in found if entry.name == "mimetype" and entry.size <= 100]
    data = b"".join(stated[0].unpacked()).strip() if stated else b""
    if _MIME.fullmatch(data) and (b"opendocument" in data or b"vnd.sun.xml" in data):
        return data.decode("ascii")
    return ""


def _read(entry: ZipEntry, *, readable: bool) -> set[str] | None:
    """Return the dangers of markup; None for an empty file, which many packages have, and for one that is encrypted."""
    data = b"".join(entry.unpacked())
    if not data.strip():
        return None
    try:
        return set(dangers(markup.parsed(data, doctype=True)) if large.fits(data) else _dangers_of_large(data))
    except Refused as error:
        if readable:
            raise Unreadable from error
        return None


def dangers(root: _Element) -> Iterator[str]:
    """Yield the dangers of one part, and "" for each of its elements that is none."""
    if _ROOT.match(str(root.tag)):
        yield DOCUMENT
    for element in root.iter(*_TAGS):
        yield _element(element)
    for value in markup.attributes(root, _ATTRIBUTES):
        yield _value(str(value.attrname), str(value))


def _dangers_of_large(data: bytes) -> Iterator[str]:
    """Yield the dangers of a part whose tree would be too large."""
    import io

    from lxml import etree

    if b"<!" in data[:4096] or not data.startswith(b"<"):
        raise Refused("over-limit")
    try:
        for _, element in etree.iterparse(io.BytesIO(data), resolve_entities=False, no_network=True, load_dtd=False):
            yield DOCUMENT if _ROOT.match(str(element.tag)) else ""
            yield _element(element)
            for key, value in element.attrib.items():
                yield _value(str(key), str(value))
            element.clear()
            around = element.getparent()
            while around is not None and element.getprevious() is not None:
                del around[0]
    except etree.XMLSyntaxError as error:
        raise Refused("damaged") from error


def _element(element: _Element) -> str:
    space, _, name = str(element.tag)[1:].rpartition("}")
    short = f"{_short(space)}:{name}"
    if short == "office:script" and not (len(element) or (element.text or "").strip()):
        return ""
    if name in _LOADING and targets.is_remote(markup.attribute(element, "href")):
        return "remote-template"
    return _ELEMENTS.get(short, "")


def _short(space: str) -> str:
    """Return the last word of a namespace: `urn:oasis:names:tc:opendocument:xmlns:script:1.0` -> `script`."""
    if space.startswith("http://openoffice.org/"):
        return space.rpartition("/")[2]
    return space.removesuffix(":1.0").rpartition(":")[2]


def _value(key: str, value: str) -> str:
    name = key.rpartition("}")[2]
    if name == "href" and _RUNNING.match(value):
        return "macro"
    if name == "action" and value in {"execute", "verb", "macro"}:  # presentation:action (ODF 1.3, 19.394)
        return "macro"
    return formulas.called(value) if name == "formula" else ""
