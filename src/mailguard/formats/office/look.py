"""Office Open XML (ECMA-376) and OpenDocument: a quick look for what acts when a document is opened."""

from __future__ import annotations

import re

from mailguard.formats.archive import zip as archive
from mailguard.formats.archive.entries import members
from mailguard.formats.budget import Kind, Member, Unreadable, windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mailguard.formats.archive.zip import Entry
    from mailguard.formats.budget import Found, Quota
    from mailguard.message.content import Content

_SMALL_PART = 4 << 20
_FIELD_TEXT = 4 << 20
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
# The last part of a relationship type: what it brings in.
_RELATIONSHIPS: dict[str, str] = {
    "vbaproject": "macro",
    "wordvbadata": "macro",
    "xlmacrosheet": "xlm",
    "xlintlmacrosheet": "xlm",
    "dialogsheet": "xlm",
    "oleobject": "embedded-object",
    "control": "embedded-object",
    "activexcontrol": "embedded-object",
    "activexcontrolbinary": "embedded-object",
    "afchunk": "embedded-object",
}
_LOADED = frozenset({"attachedtemplate", "oleobject", "frame", "subdocument", "control", "afchunk", "package"})


def _is_remote(target: str) -> bool:
    """Say whether a relationship target lies on another machine; a drive letter or a relative path does not."""
    target = target.strip().lower().replace("\\", "/")
    if target.startswith("file:"):
        target = target.removeprefix("file:")
        target = target.removeprefix("///") if target.startswith("///") else target
    return target.startswith("/") or bool(re.match(r"[a-z][a-z0-9+.-]+:", target))


def parse(
    pieces: Iterable[bytes],
    on_element: Callable[[str, dict[str, str]], None],
    on_text: Callable[[str], None] | None = None,
) -> None:
    """Read XML in any encoding; names without their namespace prefix.  A DTD or malformed XML is Unreadable."""
    from xml.parsers import expat

    parser = expat.ParserCreate()
    parser.buffer_text = True

    def doctype(*_: object) -> None:
        raise Unreadable

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = lambda name, attributes: on_element(name.rpartition(":")[2], attributes)
    if on_text is not None:
        parser.CharacterDataHandler = on_text
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Unreadable from error


_BINARY = (
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".emf",
    ".wmf",
    ".bin",
    ".tif",
    ".tiff",
    ".fntdata",
    ".odttf",
    ".wdp",
    ".bmp",
)


def examine_ooxml(content: Content, found: list[Entry], quota: Quota) -> Found:
    """Examine an Office Open XML package whose ZIP entries are given."""
    if any(entry.encrypted for entry in found):
        raise Unreadable
    kind = ""
    for entry in found:
        if entry.name.lower() == "[content_types].xml":
            for item in _content_types(content, entry, quota):
                kind = kind or (item.mime if isinstance(item, Kind) else "")
                yield item
    sheets = "excel" in kind or "spreadsheet" in kind
    for entry in found:
        name = entry.name.lower().lstrip("/")
        yield from _part_name(name)
        if name.endswith(".rels"):
            yield from _relationships(content, entry, name, quota)
        elif "/embeddings/" in name:
            yield from _embedded(entry, quota)
        elif sheets and name.startswith("xl/externallinks/") and name.endswith(".bin"):
            yield from _binary_link(content, entry)
        elif not name.endswith(_BINARY) and not (sheets and name.startswith(("xl/worksheets/", "xl/sharedstrings"))):
            yield from _part(content, entry, quota, fields=not sheets and "presentation" not in kind)


def _part_name(name: str) -> Iterator[str]:
    base = name.rpartition("/")[2]
    if base in {"vbaproject.bin", "vbadata.xml"}:
        yield "macro"
    if "/macrosheets/" in name or "/dialogsheets/" in name:
        yield "xlm"
    if "/activex/" in name:
        yield "embedded-object"


def _counted(content: Content, entry: Entry, quota: Quota) -> Iterator[bytes]:
    return quota.counted(archive.pieces(content, entry))


def _content_types(content: Content, entry: Entry, quota: Quota) -> Found:
    if entry.size > _SMALL_PART:
        raise Unreadable
    codes: dict[str, None] = {}
    kinds: dict[str, None] = {}

    def element(_: str, attributes: dict[str, str]) -> None:
        declared = attributes.get("ContentType", "").lower()
        if declared.endswith("+xml") and attributes.get("PartName", "").lower().endswith(_BINARY):
            raise Unreadable
        for mark, kind in _KINDS:
            if mark in declared and "+xml" in declared:
                kinds[kind] = None
                break
        if "vbaproject" in declared or "vbadata" in declared:
            codes["macro"] = None
        if "macrosheet" in declared:
            codes["xlm"] = None
        if "ms-excel.sheet.binary" in declared:
            kinds[_KINDS[2][1]] = None

    parse(_counted(content, entry, quota), element)
    yield from codes
    yield from map(Kind, list(kinds)[:1])


def _relationships(content: Content, entry: Entry, name: str, quota: Quota) -> Iterator[str]:
    if entry.size > _SMALL_PART:
        raise Unreadable
    codes: dict[str, None] = {}
    chart = "/charts/" in name

    def element(_: str, attributes: dict[str, str]) -> None:
        kind = attributes.get("Type", "").rpartition("/")[2].lower()
        external = attributes.get("TargetMode", "").lower() == "external"
        if kind in _RELATIONSHIPS:
            codes[_RELATIONSHIPS[kind]] = None
        if kind == "package" and not chart:
            codes["embedded-object"] = None
        if external and kind in _LOADED and _is_remote(attributes.get("Target", "")):
            codes["remote-template"] = None

    parse(_counted(content, entry, quota), element)
    yield from codes


def _embedded(entry: Entry, quota: Quota) -> Found:
    quota.count_member()
    for item in members([entry], quota, ""):
        if isinstance(item, Member) and item.content.read(0, 8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
            yield "embedded-object"
        yield item


_MARKS = re.compile(
    rb"(?P<field>instrText|fldSimple|delInstrText)|(?P<dde><(?:\w{1,40}:)?ddeLink\b)|(?P<program>ppaction://program)"
    rb"|(?P<macro>ppaction://macro)|(?P<doctype><!DOCTYPE|<!ENTITY)",
)


def _part(content: Content, entry: Entry, quota: Quota, *, fields: bool) -> Iterator[str]:
    """Search one part; fields are read by a real parser, because their text may be split, encoded and escaped."""
    seen: set[str] = set()
    for window in windows(_counted(content, entry, quota), 64):
        text = window.replace(b"\0", b"") if b"\0" in window[:64] else window
        seen.update(match.lastgroup or "" for match in _MARKS.finditer(text))
    if "doctype" in seen:
        raise Unreadable
    if "dde" in seen or "program" in seen:
        yield "dde"
    if "macro" in seen:
        yield "macro"
    if fields and "field" in seen and starts_dde(_field_text(_counted(content, entry, quota))):
        yield "dde"


def _field_text(pieces: Iterable[bytes]) -> str:
    text: list[str] = []
    inside = False
    size = 0

    def add(value: str) -> None:
        nonlocal size
        size += len(value)
        if size > _FIELD_TEXT:
            raise Unreadable
        text.append(value)

    def element(name: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        inside = name in {"instrText", "delInstrText"}
        if name == "fldChar":
            add("\n")
        elif name == "fldSimple":
            add("\n" + next((value for key, value in attributes.items() if key.endswith("instr")), "") + "\n")

    def characters(value: str) -> None:
        if inside:
            add(value)

    parse(pieces, element, characters)
    return "".join(text)


_DDE = re.compile(r"(?:^|[^A-Za-z0-9_])DDE(?:AUTO)?(?:[\s\"\\]|$)", re.IGNORECASE | re.MULTILINE)
_QUOTE = re.compile(r"QUOTE((?:\s++\d{2,3}){3,})", re.IGNORECASE)


def starts_dde(fields: str) -> bool:
    """Say whether field codes (one per line) contain a DDE field, also when its name is put together by QUOTE."""
    if _DDE.search(fields) or "DDEAUTO" in re.sub(r"\s++", "", fields).upper():
        return True
    quoted = "".join(chr(int(number)) for match in _QUOTE.finditer(fields) for number in match[1].split())
    return "DDE" in quoted.upper()


def _binary_link(content: Content, entry: Entry) -> Iterator[str]:
    """Read the first record of a binary external link (BrtBeginSupBook): 1 is DDE, 2 is an OLE link."""
    for piece in archive.pieces(content, entry):
        if piece[:2] == b"\xe8\x02" and piece[3:4] in {b"\x01", b"\x02"}:
            yield "dde"
        return


_ODF_MARKS = re.compile(
    rb"(?P<macro><script:event-listener|vnd\.sun\.star\.script:)|(?P<dde>dde-connection-decl|table:dde-link|dde-source)"
    rb"|(?P<object>draw:object-ole|draw:applet|draw:plugin)|(?P<doctype><!DOCTYPE|<!ENTITY)",
)


def examine_opendocument(content: Content, found: list[Entry], quota: Quota) -> Found:
    """Examine an OpenDocument package (OASIS ODF 1.3 part 2) whose ZIP entries are given."""
    if any(entry.encrypted for entry in found):
        raise Unreadable
    if found[0].size > 100:
        raise Unreadable
    kind = b"".join(_counted(content, found[0], quota))
    if re.fullmatch(rb"[a-z]{1,20}/[a-z0-9.+-]{1,80}", kind):
        yield Kind(kind.decode("ascii"))
    for entry in found:
        if entry.name.startswith(("Basic/", "Scripts/")) and not entry.directory:
            yield "macro"
        elif entry.name == "META-INF/manifest.xml":
            if any(b"encryption-data" in window for window in windows(_counted(content, entry, quota), 32)):
                yield "encrypted-document"
        elif entry.name.endswith((".xml", ".xhtml")):
            yield from _opendocument_part(content, entry, quota)
        elif not entry.directory and not entry.name.startswith(("Pictures/", "Thumbnails/", "ObjectReplacements/")):
            yield from _object(entry, quota)


def _opendocument_part(content: Content, entry: Entry, quota: Quota) -> Iterator[str]:
    for window in windows(_counted(content, entry, quota), 64):
        for match in _ODF_MARKS.finditer(window):
            if match.lastgroup == "doctype":
                raise Unreadable
            yield "embedded-object" if match.lastgroup == "object" else str(match.lastgroup)


def _object(entry: Entry, quota: Quota) -> Found:
    quota.count_member()
    for item in members([entry], quota, ""):
        if isinstance(item, Member) and item.content.read(0, 8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
            yield "embedded-object"
        yield item


def examine_flat(content: Content, _names: Sequence[str], quota: Quota) -> Iterator[str]:
    """Examine a document in one XML file (Word 2003 XML, Flat OPC, SpreadsheetML 2003, flat OpenDocument)."""
    mark = re.compile(
        rb"macrosPresent=[\"']yes|editdata\.mso|vbaProject|binData|(?P<dde>ddeLink|dde-source|dde-connection|<Path>[^<|]{1,200}\||Formula=\"=[^\"<|]{1,200}\|)"
        rb"|<script:event-listener|<office:script\b|(?P<object>oleObject|object-ole|ocxPresent=[\"']yes)|(?P<doctype><!ENTITY)"
    )
    for window in windows(content.chunks(), 64):
        for match in mark.finditer(window.replace(b"\0", b"")):
            yield {"dde": "dde", "object": "embedded-object", "doctype": "document-unreadable"}.get(
                match.lastgroup or "", "macro"
            )
    if starts_dde(_field_text(quota.counted(content.chunks()))):
        yield "dde"
