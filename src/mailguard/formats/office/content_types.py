"""The parts and relationships of Office Open XML (ECMA-376, [MS-OFFMACRO2] and later extensions) that may stay."""

from __future__ import annotations

import re

_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml."
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml."
_SLIDE = "application/vnd.openxmlformats-officedocument.presentationml."
_OFFICE = "application/vnd.openxmlformats-officedocument."
RELATIONSHIPS = "application/vnd.openxmlformats-package.relationships+xml"
WORKSHEET = _SHEET + "worksheet+xml"
MAIN_WORKBOOK = _SHEET + "sheet.main+xml"
EXTERNAL_LINK = _SHEET + "externallink+xml"
BINARY_WORKBOOK = "application/vnd.ms-excel.sheet.binary.macroenabled.main"


class PackageKind:
    """What the main part makes of a package.

    main: its content type without macros; mime, extension: of the whole file.
    """

    __slots__ = ("extension", "main", "mime")

    def __init__(self, prefix: str, name: str, extension: str) -> None:
        self.main = f"{prefix}{name}.main+xml"
        self.mime = prefix + name
        self.extension = extension


_DOCX = PackageKind(_WORD, "document", "docx")
_DOTX = PackageKind(_WORD, "template", "dotx")
_XLSX = PackageKind(_SHEET, "sheet", "xlsx")
_XLTX = PackageKind(_SHEET, "template", "xltx")
_PPTX = PackageKind(_SLIDE, "presentation", "pptx")
_PPSX = PackageKind(_SLIDE, "slideshow", "ppsx")
_POTX = PackageKind(_SLIDE, "template", "potx")
KINDS: dict[str, PackageKind] = {
    **{kind.main: kind for kind in (_DOCX, _DOTX, _XLSX, _XLTX, _PPTX, _PPSX, _POTX)},
    "application/vnd.ms-word.document.macroenabled.main+xml": _DOCX,
    "application/vnd.ms-word.template.macroenabledtemplate.main+xml": _DOTX,
    "application/vnd.ms-excel.sheet.macroenabled.main+xml": _XLSX,
    "application/vnd.ms-excel.template.macroenabled.main+xml": _XLTX,
    "application/vnd.ms-powerpoint.presentation.macroenabled.main+xml": _PPTX,
    "application/vnd.ms-powerpoint.slideshow.macroenabled.main+xml": _PPSX,
    "application/vnd.ms-powerpoint.template.macroenabled.main+xml": _POTX,
}
"""Content type of the main part (lower case) to what it is."""

MAIN = frozenset({*KINDS, BINARY_WORKBOOK})
"""Content types of all main parts."""

XML: frozenset[str] = frozenset(
    [
        "application/xml",
        "text/xml",
        "application/inkml+xml",
        RELATIONSHIPS,
        "application/vnd.openxmlformats-package.core-properties+xml",
        "application/vnd.openxmlformats-package.digital-signature-xmlsignature+xml",
        "application/vnd.ms-word.styleswitheffects+xml",
        *(kind.main for kind in KINDS.values()),
        *(
            f"{_WORD}{name}+xml"
            for name in [
                "comments",
                "commentsextended",
                "commentsids",
                "commentsextensible",
                "document.glossary",
                "endnotes",
                "fonttable",
                "footer",
                "footnotes",
                "header",
                "numbering",
                "people",
                "settings",
                "styles",
                "websettings",
            ]
        ),
        *(
            f"{_SHEET}{name}+xml"
            for name in [
                "calcchain",
                "chartsheet",
                "comments",
                "externallink",
                "pivotcachedefinition",
                "pivotcacherecords",
                "pivottable",
                "revisionheaders",
                "revisionlog",
                "sharedstrings",
                "sheetmetadata",
                "styles",
                "table",
                "tablesinglecells",
                "usernames",
                "worksheet",
            ]
        ),
        *(
            f"{_SLIDE}{name}+xml"
            for name in [
                "commentauthors",
                "comments",
                "handoutmaster",
                "notesmaster",
                "notesslide",
                "presprops",
                "slide",
                "slidelayout",
                "slidemaster",
                "tablestyles",
                "tags",
                "viewprops",
            ]
        ),
        *(
            f"{_OFFICE}{name}+xml"
            for name in [
                "custom-properties",
                "customxmlproperties",
                "drawing",
                "drawingml.chart",
                "drawingml.chartshapes",
                "drawingml.diagramcolors",
                "drawingml.diagramdata",
                "drawingml.diagramlayout",
                "drawingml.diagramstyle",
                "extended-properties",
                "theme",
                "themeoverride",
            ]
        ),
        *(
            f"application/vnd.ms-{name}+xml"
            for name in [
                "excel.calcchain",
                "excel.controlproperties",
                "excel.namedsheetviews",
                "excel.person",
                "excel.rdarray",
                "excel.rdrichvalue",
                "excel.rdrichvaluestructure",
                "excel.rdrichvaluetypes",
                "excel.richvaluerel",
                "excel.slicer",
                "excel.slicercache",
                "excel.threadedcomments",
                "excel.timeline",
                "excel.timelinecache",
                "office.chartcolorstyle",
                "office.chartex",
                "office.chartstyle",
                "office.classificationlabels",
                "office.drawingml.diagramdrawing",
                "office.documenttasks",
                "powerpoint.authors",
                "powerpoint.changesinfo",
                "powerpoint.comments",
                "powerpoint.revisioninfo",
                "word.commentsextended",
                "word.commentsids",
                "word.commentsextensible",
            ]
        ),
    ]
)
"""Content types (lower case) of parts that are XML and whose elements are looked through."""

VML = _OFFICE + "vmldrawing"
SIGNATURES = frozenset(
    {
        "application/vnd.openxmlformats-package.digital-signature-origin",
        "application/vnd.openxmlformats-package.digital-signature-xmlsignature+xml",
        "application/vnd.openxmlformats-package.digital-signature-certificate",
    }
)
METADATA = frozenset(
    {
        "application/vnd.openxmlformats-package.core-properties+xml",
        _OFFICE + "extended-properties+xml",
        _OFFICE + "custom-properties+xml",
        "application/vnd.ms-office.classificationlabels+xml",
    }
)
PRINTER = re.compile(r"application/vnd\.openxmlformats-officedocument\.[a-z]{1,20}ml\.printersettings")
_COMMENTS = re.compile(r".*(?:comments(?:extended|ids|extensible)?|people|person|commentauthors|authors)\+xml")

# The binary parts of .xlsb that hold cells, styles and text.
BINARY_PARTS = frozenset(
    f"application/vnd.ms-excel.{name}"
    for name in [
        "worksheet",
        "sharedstrings",
        "styles",
        "calcchain",
        "binindexws",
        "binindexms",
        "comments",
        "table",
        "pivottable",
        "pivotcachedefinition",
        "pivotcacherecords",
        "chartsheet",
        "sheetmetadata",
    ]
)

_RELATIONSHIP = re.compile(
    r"https?://(?:schemas\.openxmlformats\.org|purl\.oclc\.org|schemas\.microsoft\.com)/[\w./-]{0,100}?/([\w-]{1,60}+)"
)
_ALLOWED = frozenset(
    [
        "officedocument",
        "core-properties",
        "extended-properties",
        "custom-properties",
        "thumbnail",
        "classificationlabels",
        "origin",
        "signature",
        "certificate",
        "styles",
        "styleswitheffects",
        "settings",
        "websettings",
        "fonttable",
        "numbering",
        "header",
        "footer",
        "footnotes",
        "endnotes",
        "comments",
        "commentsextended",
        "commentsids",
        "commentsextensible",
        "people",
        "glossarydocument",
        "theme",
        "themeoverride",
        "image",
        "hyperlink",
        "chart",
        "chartex",
        "chartusershapes",
        "chartcolorstyle",
        "chartstyle",
        "diagramdata",
        "diagramlayout",
        "diagramquickstyle",
        "diagramcolors",
        "diagramdrawing",
        "customxml",
        "customxmlprops",
        "drawing",
        "vmldrawing",
        "legacyvmldrawing",
        "worksheet",
        "chartsheet",
        "sharedstrings",
        "calcchain",
        "table",
        "tablesinglecells",
        "pivottable",
        "pivotcachedefinition",
        "pivotcacherecords",
        "ctrlprop",
        "threadedcomment",
        "person",
        "slicer",
        "slicercache",
        "timeline",
        "timelinecache",
        "sheetmetadata",
        "revisionheaders",
        "revisionlog",
        "usernames",
        "namedsheetview",
        "rdrichvalue",
        "rdrichvaluestructure",
        "rdrichvaluetypes",
        "rdarray",
        "richvaluerel",
        "slide",
        "slidelayout",
        "slidemaster",
        "notesmaster",
        "notesslide",
        "handoutmaster",
        "presprops",
        "viewprops",
        "tablestyles",
        "commentauthors",
        "tags",
        "authors",
        "revisioninfo",
        "changesinfo",
        "documenttasks",
        "video",
        "audio",
        "media",
        "hdphoto",
        "externallink",
        "printersettings",
        "xlbinaryindex",
    ]
)
SHEETS = frozenset({"xlmacrosheet", "xlintlmacrosheet", "macrosheet", "dialogsheet"})
_REMOVED: dict[str, str] = {
    "attachedtemplate": "remote-template",
    **dict.fromkeys(("vbaproject", "vbaprojectsignature", "wordvbadata", "vbadata"), "macro"),
    **dict.fromkeys(("keymapcustomizations", "attachedtoolbars", "extensibility", "customui"), "custom-ui"),
    **dict.fromkeys(("usercustomization", "webextension", "webextensiontaskpanes"), "custom-ui"),
    **dict.fromkeys(("control", "activexcontrol", "activexcontrolbinary", "activex"), "activex"),
    **dict.fromkeys(("oleobject", "package", "afchunk"), "embedded-object"),
    **dict.fromkeys(SHEETS, "xlm"),
    **dict.fromkeys(("font", "obfuscatedfont"), "embedded-font"),
    **dict.fromkeys(
        ("frame", "subdocument", "connections", "mailmergesource", "mailmergeheadersource"), "external-relationship"
    ),
    **dict.fromkeys(("externallinkpath", "querytable", "xmlmaps", "recipientdata"), "external-data"),
    **dict.fromkeys(("slideupdateinfo", "slideupdateurl", "volatiledependencies"), "external-data"),
}
OBJECTS = frozenset({"oleobject", "control", "afchunk", "package"})
LOADED = OBJECTS | {"attachedtemplate", "frame", "subdocument", "mailmergesource", "mailmergeheadersource"}
"""Relationships whose target is loaded when the document is opened (ECMA-376 part 1, 15.2; CVE-2017-0199)."""
_PARTS: tuple[tuple[str, str], ...] = (
    ("vba", "macro"),
    ("macrosheet", "xlm"),
    ("dialogsheet", "xlm"),
    ("activex", "activex"),
    ("font", "embedded-font"),
    ("fntdata", "embedded-font"),
    ("oleobject", "embedded-object"),
    ("vnd.openxmlformats-officedocument.package", "embedded-object"),
    ("toolbars", "custom-ui"),
    ("keymap", "custom-ui"),
    ("webextension", "custom-ui"),
    ("connections", "external-relationship"),
    ("querytable", "external-data"),
)


def relationship(declared: str) -> str:
    """Return the last word of a relationship type in lower case, or "" for a type of nobody we know."""
    match = _RELATIONSHIP.fullmatch(declared)
    return match[1].lower() if match else ""


def is_allowed(name: str) -> bool:
    """Tell whether a relationship of this name (see `relationship`) may stay."""
    return name in _ALLOWED


def relationship_code(name: str) -> str:
    """Return the code of a relationship that does not stay."""
    return _REMOVED.get(name, "unknown-part")


def part_code(content_type: str) -> str:
    """Return the code of a part that does not stay."""
    return next((code for mark, code in _PARTS if mark in content_type), "unknown-part")


def is_comment(content_type: str) -> bool:
    """Tell whether a part of this type (lower case) holds comments or the names of those who wrote them."""
    return bool(_COMMENTS.fullmatch(content_type))


def is_xml(content_type: str) -> bool:
    """Tell whether parts of this content type (lower case) are read as XML."""
    return content_type in XML or content_type in KINDS
