"""A document that is being disarmed: its parts, then its relationships, then the elements within."""

from __future__ import annotations

from mailguard.formats.archive.zip import OPEN_DOCUMENT
from mailguard.formats.disarmed import Refused
from mailguard.formats.office import content_types as types
from mailguard.formats.office import elements, large, markup, media, targets
from mailguard.formats.office.package import TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml.etree import _Element

    from mailguard.formats.disarmed import Disarmed, Options
    from mailguard.formats.office.content_types import PackageKind
    from mailguard.formats.office.package import Package, Relationship

    Embedded = Callable[[bytes, str, Options], Disarmed]
    Acts = Callable[[bytes, str], bool]

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
_MISSING = "http://schemas.microsoft.com/office/2006/relationships/xlExternalLinkPath/xlPathMissing"
_NOWHERE = "removed.xlsx"
_SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData/></worksheet>'
_LINK = (
    b'<externalLink xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><externalBook '
    b'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:id="rId1"/></externalLink>'
)
_LINK_RELATIONSHIPS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{_MISSING}" Target="{_NOWHERE}" TargetMode="External"/></Relationships>'
).encode()
_CHARTS = ("drawingml.chart+xml", "office.chartex+xml")
_MEDIA = frozenset({"image", "video", "audio", "media"})
_PROPERTIES = frozenset(
    {"core-properties", "extended-properties", "custom-properties", "classificationlabels", "thumbnail"}
)


class Document:
    """One document.

    embedded: disarms the workbook of a chart; acts: tells whether a part is dangerous as a file of this name, which is
    what it becomes when the document is unpacked; codes: of what was removed so far.
    """

    __slots__ = ("_acts", "_dropped", "_embedded", "_gone", "_options", "_package", "_sheets", "codes")

    def __init__(self, package: Package, options: Options, embedded: Embedded, acts: Acts) -> None:
        self._acts = acts
        self._package = package
        self._options = options
        self._embedded = embedded
        self._gone: dict[str, set[str]] = {}
        self._dropped: dict[str, str] = {}
        self._sheets: dict[str, str] = {}
        self.codes: set[str] = set()

    def kind(self) -> tuple[str, str]:
        """Return (key, content type) of the main part; Refused("unknown-type") for a package of another kind."""
        root = self._package.relationships("_rels/.rels", "")[1] if "_rels/.rels" in self._package.parts else []
        main = [one for one in root if types.relationship(one.kind) == "officedocument"]
        if not main and not self._package.declares(types.MAIN):
            raise Refused("unknown-type")
        if len(main) != 1 or main[0].part not in self._package.parts:
            raise Refused("ambiguous" if len(main) > 1 else "damaged")
        return main[0].part, self._package.content_type(main[0].part)

    def disarm(self) -> None:
        """Take out of the package what may not stay."""
        package = self._package
        kept = self._packages()
        for key in list(package.parts):
            self._part(key, kept)
        for key, source in package.sources().items():
            self._relationships(key, source)
        self.codes.update(self._dropped.values())
        for key in list(package.parts):
            content_type = package.content_type(key)
            if is_markup(content_type) and key != TYPES.lower() and not package.is_relationships(key):
                self._elements(key, content_type)

    def finish(self) -> bytes:
        """Return the changed package, without what depends on the parts as they were."""
        package = self._package
        for key in list(package.parts):
            kind = types.KINDS.get(package.content_type(key))
            if kind is not None and kind.main != package.content_type(key):
                package.declare(key, kind.main)
        unwanted = frozenset({"calcchain", "origin"})
        for key, source in package.sources().items():
            root, found = package.relationships(key, source)
            for one in found:
                if types.relationship(one.kind) in unwanted:
                    root.remove(one.element)
                    package.parts[key] = markup.serialised(root)
        reached = self._reached()
        for key in [key for key in package.parts if key not in reached and not key.endswith(".rels")]:
            if key != TYPES.lower():
                package.remove(key)
        for key, source in package.sources().items():
            if source and source not in package.parts:
                del package.parts[key]
        return package.written()

    def _reached(self) -> set[str]:
        leads: dict[str, list[str]] = {}
        for key, source in self._package.sources().items():
            leads[source] = [one.part for one in self._package.relationships(key, source)[1]]
        reached: set[str] = set()
        waiting = [""]
        while waiting:
            for part in leads.get(waiting.pop(), []):
                if part not in reached:
                    reached.add(part)
                    waiting.append(part)
        return reached

    def _packages(self) -> set[str]:
        """Disarm the documents within this one; return the keys of those that may stay."""
        kept: set[str] = set()
        for key, source in self._package.sources().items():
            for one in self._package.relationships(key, source)[1]:
                if types.relationship(one.kind) == "package" and one.part in self._package.parts:
                    chart = self._package.content_type(source).endswith(_CHARTS)
                    if one.part not in kept and self._keeps(one.part, chart=chart):
                        kept.add(one.part)
        return kept

    def _keeps(self, key: str, *, chart: bool) -> bool:
        """Disarm one embedded document: the data of a chart always, others by option."""
        data = self._package.parts[key]
        mime = self._package.content_type(key)
        try:
            if chart:
                result = self._embedded(data, mime, self._options.deeper())
            elif self._options.embedded_files:
                result = self._options.member(data, [self._package.names[key]], self._options.deeper())
            else:
                return False
        except Refused:
            return False
        if not any(result.mime == kind.mime for kind in types.KINDS.values()):
            return False
        self.codes.update(result.removed)
        if result.data is not data:
            self._package.parts[key] = result.data
            self._package.declare(key, result.mime)
        return True

    def _part(self, key: str, kept: set[str]) -> None:
        if key in kept or key == TYPES.lower() or self._package.is_relationships(key):
            return
        code = self._part_code(key, self._package.content_type(key))
        if code == "xlm":
            self._empty_sheet(key)
        elif code:
            self._drop(key, code)

    def _part_code(self, key: str, content_type: str) -> str:
        if self._package.names[key] in OPEN_DOCUMENT:
            return "unknown-part"  # by which LibreOffice takes the file for another document
        if not self._options.comments and types.is_comment(content_type):
            return "comment"
        if not self._options.metadata and content_type in types.METADATA:
            return "metadata"
        if is_markup(content_type):
            kind = types.KINDS.get(content_type)
            if kind is not None and kind.main != content_type:
                self.codes.add("macro")
            return "embedded-file" if kind is None and self._acts(b"", key) else ""
        if content_type.startswith(("image/", "audio/", "video/")):
            code = media.code_of(self._package.parts[key], content_type)
        elif types.PRINTER.fullmatch(content_type):
            code = "" if self._options.metadata else "metadata"
        elif content_type.endswith(".connections+xml"):
            code = elements.connection_code(markup.parsed(self._package.parts[key]))
        else:
            code = "" if content_type in types.SIGNATURES else types.part_code(content_type)
        return code or ("embedded-file" if self._acts(self._package.parts[key], key) else "")

    def _empty_sheet(self, key: str) -> None:
        """Put an empty sheet in place of a macro sheet, so that the numbers of the others stay as they are."""
        name = f"xl/worksheets/removed{len(self._sheets) + 1}.xml"
        if name in self._package.parts:
            raise Refused("ambiguous")
        self._package.remove(key)
        self._package.names[name] = name
        self._package.parts[name] = _SHEET
        self._package.declare(name, types.WORKSHEET)
        self._sheets[key] = name
        self.codes.add("xlm")

    def _drop(self, key: str, code: str) -> None:
        self._dropped[key] = code
        self._package.remove(key)

    def _relationships(self, key: str, source: str) -> None:
        if key not in self._package.parts:
            return
        root, found = self._package.relationships(key, source)
        before = len(self.codes), len(self._gone.get(source, ()))
        changed = False
        for one in found:
            changed |= self._relationship(root, one, source)
        if changed or before != (len(self.codes), len(self._gone.get(source, ()))):
            self._package.parts[key] = markup.serialised(root)

    def _relationship(self, root: _Element, one: Relationship, source: str) -> bool:
        """Keep, change or remove one relationship; return whether something changed."""
        name = types.relationship(one.kind)
        if self._package.content_type(source) == types.EXTERNAL_LINK and one.external:
            return self._unlink(one)
        if name in types.SHEETS and one.part in self._package.parts:
            self._empty_sheet(one.part)
        if one.part in self._sheets:
            one.element.set("Type", f"{_OFFICE}worksheet")
            one.element.set("Target", f"/{self._sheets[one.part]}")
            return True
        code = self._relationship_code(one, name)
        if not code:
            return False
        if one.part not in self._dropped:
            self.codes.add(code)
        self._gone.setdefault(source, set()).add(one.identifier)
        root.remove(one.element)
        return True

    def _unlink(self, one: Relationship) -> bool:
        """Lead the path of another workbook nowhere; the values that were read from it stay."""
        if one.kind == _MISSING and one.target == _NOWHERE:
            return False
        one.element.set("Type", _MISSING)
        one.element.set("Target", _NOWHERE)
        self.codes.add("external-data")
        return True

    def _relationship_code(self, one: Relationship, name: str) -> str:
        if one.part in self._dropped:
            if self._dropped[one.part] == "unknown-part" and not types.is_allowed(name):
                self._dropped[one.part] = types.relationship_code(name)
            return self._dropped[one.part]
        if name == "package" and one.part in self._package.parts:
            return ""
        if not types.is_allowed(name):
            return self._unwanted_code(one, name)
        if not self._options.metadata and name in _PROPERTIES:
            return "metadata"
        return self._hyperlink_code(one) if name == "hyperlink" else self._target_code(one, name)

    def _unwanted_code(self, one: Relationship, name: str) -> str:
        if not one.external or name not in types.LOADED:
            return types.relationship_code(name)
        if targets.is_remote(one.target):
            self.codes.add("remote-template")
            return types.relationship_code(name)
        return "external-data" if name not in types.OBJECTS else types.relationship_code(name)

    def _target_code(self, one: Relationship, name: str) -> str:
        if not one.external:
            return "" if one.part else "unknown-part"
        if targets.is_remote(one.target) and not (name in _MEDIA and targets.is_web(one.target)):
            return "external-relationship"
        if name not in _MEDIA:
            return "external-data"
        return "" if self._options.remote_images and targets.is_web(one.target) else "remote-image"

    def _hyperlink_code(self, one: Relationship) -> str:
        inside = not one.external and (one.part in self._package.parts or one.target.startswith("#"))
        return "" if inside or targets.is_harmless(one.target, self._options) else "hyperlink"

    def _elements(self, key: str, content_type: str) -> None:
        data = self._package.parts[key]
        gone = frozenset(self._gone.get(key, ()))
        if not large.fits(data):
            large.check(data, self._options, gone)
            return
        root, repaired = self._read(data, content_type)
        if markup.local_name(root) in types.SHEETS:
            raise Refused("ambiguous")  # a macro sheet under another label
        codes = elements.disarm(root, self._options, gone)
        if content_type == types.EXTERNAL_LINK and "dde" in codes:
            self._package.parts[key] = _LINK
            folder, _, base = key.rpartition("/")
            self._package.parts[f"{folder}/_rels/{base}.rels"] = _LINK_RELATIONSHIPS
            self._package.names.setdefault(f"{folder}/_rels/{base}.rels", f"{folder}/_rels/{base}.rels")
        elif codes or gone or repaired:
            self._package.parts[key] = markup.serialised(root)
        self.codes |= codes | ({"unknown-part"} if repaired else set())

    @staticmethod
    def _read(data: bytes, content_type: str) -> tuple[_Element, bool]:
        """Read a part; Excel itself writes comments that are no XML, and reads them leniently."""
        try:
            return markup.parsed(data), False
        except Refused as error:
            if content_type != types.VML or error.code != "damaged":
                raise
        return markup.parsed(data, lenient=True), True


def is_markup(content_type: str) -> bool:
    """Tell whether parts of this content type are read as XML; relationships under another name are no part."""
    return (content_type == types.VML or types.is_xml(content_type)) and content_type != types.RELATIONSHIPS


def kind_of(content_type: str) -> PackageKind:
    """Return what a main part of this content type makes of a package; Refused for what is not understood."""
    kind = types.KINDS.get(content_type)
    if kind is None:
        raise Refused("unknown-type")
    return kind
