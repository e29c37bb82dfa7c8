"""The elements of a part that act or load something, whatever part they stand in."""

from __future__ import annotations

import re

from mailguard.formats.office import fields, formulas, targets
from mailguard.formats.office.markup import local_name, remove, unwrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lxml.etree import _Element

    from mailguard.formats.disarmed import Options

    Handler = Callable[[_Element, Options], str]

_VML = "{urn:schemas-microsoft-com:vml}"
_SPREADSHEET = ("{http://schemas.openxmlformats.org/spreadsheetml/", "{http://purl.oclc.org/ooxml/spreadsheetml/")
# Actions of PowerPoint ([MS-OE376] 2.1.1346) that stay within the presentation.
_ACTION = re.compile(
    r"(?:ppaction://(?:hlinkshowjump|hlinksldjump|noaction|media|customshow)(?:\?[\w=&,. -]*+)?)?", re.IGNORECASE
)
_ACTIONS = {"macro": "macro", "program": "launch"}
FORMULAS = ("f", "formula", "formula1", "formula2", "calculatedColumnFormula", "totalsRowFormula")
"""Names of the elements whose text is a formula."""
_TRUE = frozenset({"1", "true"})


def disarm(root: _Element, options: Options, gone: frozenset[str]) -> set[str]:
    """Change what may not stay in one part; return the codes.  gone: ids of relationships that were removed."""
    codes: set[str] = set()
    marked = calculated = False
    for element in list(root.iter(*_TAGS)):
        name = local_name(element)
        if name in fields.MARKS:
            marked = True
        elif name in FORMULAS:
            calculated = True
        else:
            codes.add(_HANDLERS[name](element, options))
    if marked:
        codes.update(fields.remove_bad(root, options))
    if calculated:
        codes.update(_calculations(root, options))
    if gone:
        _cut(root, gone)
    codes.update(_drawings(root, options))
    if not options.comments:
        codes.update(_without_comments(root))
    return codes - {""}


def _cut(root: _Element, gone: frozenset[str]) -> None:
    """Take the elements out that refer to relationships which are no longer there."""
    found = [
        (element, str(key))
        for element in root.iter()
        for key, value in element.attrib.items()
        if value in gone and _is_reference(str(key))
    ]
    for element, key in found:
        name = local_name(element)
        if name == "oleObj":
            _keep_picture(element)
        elif name in {"blip", "fill", "stroke", "pageSetup"} or (
            name == "hyperlink" and not str(element.tag).startswith(_SPREADSHEET)
        ):
            element.attrib.pop(key, "")
        else:
            remove(element)
    if local_name(root) == "table":
        root.attrib.pop("tableType", "")
        for column in root.iter("{*}tableColumn"):
            column.attrib.pop("queryTableFieldId", "")


def _is_reference(key: str) -> bool:
    space, _, name = key.rpartition("}")
    return space.endswith("/relationships") or (name == "relid" and space.endswith(":office:office"))


def _keep_picture(element: _Element) -> None:
    """Put the picture of an embedded object (PresentationML `oleObj`) in place of it."""
    frame = next(element.iterancestors("{*}graphicFrame"), None)
    around = None if frame is None else frame.getparent()
    if frame is None or around is None:
        remove(element)
        return
    picture = next(frame.iter("{*}pic"), None)
    if picture is None:
        remove(frame)
    else:
        around.replace(frame, picture)


def _removed(code: str) -> Handler:
    def handler(element: _Element, _options: Options) -> str:
        remove(element)
        return code

    return handler


def _calculations(root: _Element, options: Options) -> Iterator[str]:
    """Take formulas out, the values stay; those that share one go together."""
    shared: set[str] = set()
    for element in list(root.iter(*(f"{{*}}{name}" for name in FORMULAS))):
        code = formulas.code_of("".join(map(str, element.itertext())), options)
        if not code:
            continue
        yield code
        if _is_cell(element):
            shared.add(element.get("si", ""))
            remove(element)
        else:
            del element[:]
            element.text = "#REF!"
    for element in list(root.iter("{*}f")) if shared - {""} else []:
        if element.get("si", "") in shared and element.get("t") == "shared":
            remove(element)


def _is_cell(element: _Element) -> bool:
    around = element.getparent()
    return around is not None and local_name(element) == "f" and local_name(around) == "c"


def _defined_name(element: _Element, options: Options) -> str:
    flags = ("function", "vbProcedure", "macro", "xlm")
    if formulas.is_automatic(element.get("name", "")) or any(element.get(flag, "") in _TRUE for flag in flags):
        remove(element)
        return "xlm"
    code = formulas.code_of("".join(map(str, element.itertext())), options)
    if code:
        remove(element)
    return code


def _click(element: _Element, options: Options) -> str:
    action = element.get("action", "")
    if not _ACTION.fullmatch(action):
        remove(element)
        return _ACTIONS.get(action.lower().removeprefix("ppaction://").partition("?")[0], "action")
    if element.attrib.pop("invalidUrl", "") and options.hyperlinks:
        return "hyperlink"
    return ""


def _command(element: _Element, _options: Options) -> str:
    """Take out the animation that opens an embedded object."""
    if element.get("type") != "verb":
        return ""
    remove(next(element.iterancestors("{*}timing"), element))
    return "action"


def _macro(element: _Element, _options: Options) -> str:
    name = element.get("macro", "")
    if not name:
        return ""
    element.set("macro", "")
    return _macro_code(name)


def _click_macro(element: _Element, _options: Options) -> str:
    name = "".join(map(str, element.itertext()))
    remove(element)
    return _macro_code(name)


def _macro_code(name: str) -> str:
    """Return the code for the name of a macro: one of the workbook itself is not there, others may lie elsewhere."""
    return "macro" if re.search(r"[\\/'|(]|\[(?!0\])", name) else "action"


def _linked_object(element: _Element, _options: Options) -> str:
    if not element.get("link"):
        return ""
    remove(element)
    return "embedded-object"


def _mashup(element: _Element, _options: Options) -> str:
    if element.text is None:
        return ""
    element.text = None
    return "external-data"


def _mail_merge(element: _Element, _options: Options) -> str:
    """Take a mail merge out, which asks its source of data when the document is opened (ECMA-376 part 1, 17.14)."""
    values = [str(value) for one in element.iter() for value in one.attrib.values()]
    remove(element)
    return "external-relationship" if any("\\\\" in value or "//" in value for value in values) else "external-data"


_HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("entryMacro", "exitMacro"), _removed("macro")),
    "FmlaMacro": _click_macro,
    **dict.fromkeys(("ddeLink", "oleLink", "DDE"), _removed("dde")),
    **dict.fromkeys(("DataBinding", "webPublishItems"), _removed("external-data")),
    **dict.fromkeys(("hlinkClick", "hlinkHover", "hlinkMouseOver"), _click),
    **dict.fromkeys(("sp", "pic", "graphicFrame", "cxnSp", "controlPr", "objectPr"), _macro),
    "mailMerge": _mail_merge,
    "webVideoPr": _removed("active-content"),
    "fldSimple": fields.replace_simple,
    "definedName": _defined_name,
    "cmd": _command,
    "oleObject": _linked_object,
    "DataMashup": _mashup,
}
ACTING = tuple(name for name, handler in _HANDLERS.items() if handler is not _macro)
"""Names of the elements that may have to be changed, without those that only carry a `macro` attribute."""
_TAGS = tuple(f"{{*}}{name}" for name in (*_HANDLERS, *fields.MARKS, *FORMULAS))


def _drawings(root: _Element, options: Options) -> Iterator[str]:
    """Take addresses out of VML, which loads pictures without any relationship."""
    for element in root.iter(f"{_VML}*"):
        for key, value in list(element.attrib.items()):
            name = str(key).rpartition("}")[2]
            if name not in {"href", "src", "althref"} or not value:
                continue
            if name == "href" and not str(key).startswith("{") and targets.is_harmless(str(value), options):
                continue
            del element.attrib[key]
            yield "hyperlink" if name == "href" else "remote-image"


def _without_comments(root: _Element) -> Iterator[str]:
    """Take marks of comments out, and make tracked changes final."""
    names = ("commentRangeStart", "commentRangeEnd", "commentReference", "del", "moveFrom", "ins", "moveTo")
    for element in list(root.iter(*(f"{{*}}{name}" for name in names))):
        if local_name(element) in {"ins", "moveTo"}:
            unwrap(element)
        else:
            remove(element)
        yield "comment"
    for element in list(root.iter("{urn:schemas-microsoft-com:office:excel}ClientData")):
        shape = element.getparent()
        if element.get("ObjectType") == "Note" and shape is not None:
            remove(shape)
            yield "comment"


_SVG = frozenset(
    [
        "svg",
        "g",
        "defs",
        "path",
        "rect",
        "circle",
        "ellipse",
        "line",
        "polyline",
        "polygon",
        "text",
        "tspan",
        "title",
        "desc",
        "metadata",
        "style",
        "clipPath",
        "mask",
        "linearGradient",
        "radialGradient",
        "stop",
        "pattern",
        "use",
        "symbol",
        "image",
        "filter",
        "marker",
        "switch",
        "feGaussianBlur",
        "feOffset",
        "feBlend",
        "feFlood",
        "feComposite",
        "feMerge",
        "feMergeNode",
        "feColorMatrix",
        "feDropShadow",
    ]
)
_REFERENCE = re.compile(r"#[^\x00-\x20]*+|data:image/(?:png|jpe?g|gif);base64,[\sA-Za-z0-9+/=]*+", re.IGNORECASE)
_LOADING = re.compile(r"url\s*+\(\s*+[\"']?(?!#)|@import|expression|\\", re.IGNORECASE)


def is_plain_svg(root: _Element) -> bool:
    """Tell whether a drawing has neither script nor handlers, and refers to nothing outside."""
    for element in root.iter():
        if local_name(element) not in _SVG or _LOADING.search(element.text or ""):
            return False
        for key, value in element.attrib.items():
            name = str(key).rpartition("}")[2].lower()
            if name.startswith("on") or (name == "href" and not _REFERENCE.fullmatch(str(value))):
                return False
            if name != "href" and _LOADING.search(str(value)):
                return False
    return True


def connection_code(root: _Element) -> str:
    """Return the code of the connections of a workbook: some are made when it is opened, some lead elsewhere."""
    for element in root.iter("{*}connection"):
        values = [str(value) for one in element.iter() for value in one.attrib.values()]
        if element.get("refreshOnLoad") in _TRUE or any("\\\\" in value or "//" in value for value in values):
            return "external-relationship"
    return "external-data"
