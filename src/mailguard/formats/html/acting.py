"""What acts in a page, a drawing, or any XML that a browser opens: elements, attributes, addresses, styles.

One table for `look` and `disarm`, for HTML and for XML.  What is not in it may still be taken out by `disarm`, whose
lists say what stays; but then it is no danger, and these lists hold nothing that acts.
"""

from __future__ import annotations

import re

from mailguard.formats import links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Elements by their local names, whatever their prefix: Internet Explorer and XHTML give any prefix a meaning.
ELEMENTS: dict[str, str] = {
    "script": "script",
    **dict.fromkeys(("form", "input", "button", "select", "textarea", "isindex", "keygen"), "form"),
    **dict.fromkeys(("iframe", "frame", "frameset", "portal", "fencedframe", "layer", "ilayer"), "frame"),
    **dict.fromkeys(("object", "embed", "applet", "oleobject"), "active-content"),
    **dict.fromkeys(("handler", "listener"), "handler"),  # SVG Tiny 1.2, XML Events
    # What Word and Excel fetch when they open a page ("Office HTML and XML Reference", Microsoft 1999).
    **dict.fromkeys(("attachedtemplate", "mailmerge"), "remote-template"),
    **dict.fromkeys(
        ("connection", "querytable", "worksheetsource", "webquery", "xmlmaps", "ddelink"), "remote-template"
    ),
}
# Attributes with an address: of HTML 4.01, HTML, SVG, and of what old browsers knew.
ADDRESSES = frozenset(
    "href src action formaction data background poster lowsrc dynsrc cite longdesc codebase classid archive manifest"  # noqa: SIM905
    " profile icon to from values by code xlink:href attributionsrc datasrc usemap srcset imagesrcset".split()
)
_ANIMATIONS = frozenset({"set", "animate", "animatetransform", "animatemotion", "animatecolor"})
_HANDLER = re.compile(r"on[a-z]{3,40}")
OFFICE_LINKS = frozenset(
    {"file-list", "edit-time-data", "ole-object-data", "themedata", "colorschememapping", "preview"}
)
_BESIDE = re.compile(r"(?![\s\\/])(?![\w+.-]{1,40}:)[^\\]*")
# Internet Explorer to version 7 ran expression(), to 9 behavior; Firefox to version 3 bound XBL; Opera 12 -o-link.  The
# behavior for drawings is in each page that Word and Outlook write, and is no script.
_STYLE = re.compile(
    r"expression\s*\(|behavior\s*:\s*(?:url(?!\(#default#vml\)\s*(?:[;}]|\Z))|expression)|-moz-binding\s*:|-o-link\s*:|(?:java|vb|live)script\s*:"
)
_URL = re.compile(r"(?:url\(|@import)\s*[\"']?([^\"'()]{0,400})")
_ESCAPE = re.compile(r"\\([0-9a-f]{1,6})[ \t\n\r\f]?|\\(.)", re.IGNORECASE | re.DOTALL)


def element(tag: str) -> str:
    """Return the code of an element (lower case) that acts, "" for others."""
    return ELEMENTS.get(tag.rpartition(":")[2], "")


def attributes(tag: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the codes of what acts in the attributes of an element (lower case; character references undone)."""
    local = tag.rpartition(":")[2]
    pairs = list(pairs)
    for name, value in pairs:
        if code := attribute(local, name, value):
            yield code
    if local == "link":
        yield from _office_link(dict(pairs))


def attribute(tag: str, name: str, value: str) -> str:  # noqa: PLR0911 (one kind of attribute each)
    """Return the code of one attribute that acts, "" for others."""
    local = name.rpartition(":")[2]
    if _HANDLER.fullmatch(local):
        return "handler" if value.strip() else ""
    if local in ADDRESSES:
        return address(tag, local, value)
    if local == "style":
        return style(value)
    if local == "http-equiv":
        return "active-content" if "refresh" in value.lower() else ""
    if local == "attributename" and tag in _ANIMATIONS:
        return "active-content" if value.strip().lower().startswith(("on", "href", "xlink")) else ""
    if local == "srcdoc":
        return "frame"
    if local == "fmla":
        return _formula(value)
    return ""


def style(text: str) -> str:
    """Return "script" or "share" for style rules or declarations that start something in some browser, else ""."""
    for spelling in _css_spellings(text.lower()):
        if _STYLE.search(spelling):
            return "script"
        if any(links.acting(match[1]) == "share" for match in _URL.finditer(spelling)):
            return "share"
    return ""


def _css_spellings(text: str) -> Iterator[str]:
    yield text
    if "\\" in text or "/*" in text:
        first, *behind = text.split("/*")
        uncommented = "".join((first, *(piece.partition("*/")[2] for piece in behind)))
        yield _ESCAPE.sub(_character, uncommented).lower()


def _character(match: re.Match[str]) -> str:
    if not match[1]:
        return match[2]
    number = int(match[1], 16)
    return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"


def address(tag: str, name: str, value: str) -> str:
    """Return the code of the address, or list of addresses, in an attribute of `ADDRESSES` that starts something."""
    if name in {"srcset", "imagesrcset", "values"}:
        targets = value.replace(";", ",").split(",")
        return next((code for target in targets if (code := links.acting(target, clicked=name == "values"))), "")
    if tag == "use" and value.lstrip().lower().startswith("data:"):  # ran handlers in Chrome to version 118
        return "script"
    clicked = name in {"href", "action", "formaction", "to", "from", "by", "cite", "longdesc"} and tag not in {
        "link", "image", "use", "base", "feimage", "pattern", "lineargradient", "radialgradient", "filter", "mpath",
    }  # fmt: skip
    return links.acting(value, clicked=clicked)


def _office_link(attributes: dict[str, str]) -> Iterator[str]:
    """Word reads what these relations name (edit-time data hold macros): from beside the page, or it is a template."""
    if attributes.get("rel", "").strip().lower() in OFFICE_LINKS and not _BESIDE.fullmatch(attributes.get("href", "")):
        yield "remote-template"


def _formula(text: str) -> str:
    from mailguard.formats.budget import TooLarge, Unreadable
    from mailguard.formats.text.formulas import Formulas

    try:
        return next((code for _, code in Formulas("").dangerous(text)), "")
    except (TooLarge, Unreadable):
        return "dde"
