"""The elements and attributes of web pages that may stay, and what the others are called in a report."""

from __future__ import annotations

import re

from mailguard.formats import links
from mailguard.formats.html import acting, css
from mailguard.formats.words import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_WORDS = read("html")[""]
BODY = frozenset(_WORDS["body"])
# Elements whose content goes with them.
WITH_CONTENT = frozenset(_WORDS["with-content"])
_OFFICE = re.compile(r"(?:(?:o|m|st1|ns\d|u\d?):|w:(?!attachedtemplate|mailmerge))[a-z][\w-]{0,60}+", re.IGNORECASE)
_OFFICE_ATTRIBUTE = re.compile(
    r"w:st|v:ext|tabindex|xmlns|prefix|namespaceuri|name|ls|trans|month|day|year|hour|minute|productid"
)
_CODES: dict[str, str] = {
    "style": "style",
    "link": "style",
    **dict.fromkeys(("svg", "math"), "svg"),
    **dict.fromkeys(("image", "audio", "video", "source", "track", "bgsound"), "remote-image"),
}
PLAIN_ATTRIBUTES = frozenset(_WORDS["plain-attributes"])
_FAMILY = re.compile(
    r"(?:data|aria|moz|mso)-[\w.-]{1,60}+|xmlns:[\w.-]{1,30}+|xml:lang|v:shapes|v:ext|o:[\w]{1,30}+", re.IGNORECASE
)
# Attributes that do something even without a value; others are notes to somebody.
_MEANINGFUL = frozenset(_WORDS["meaningful-attributes"])
_TEXT = re.compile(r"[^<\x00]{0,4000}+", re.DOTALL)
_IDENTIFIER = re.compile(r"[^<>\"\x00-\x08]{0,2000}+")
_META = re.compile(r"[^<>\x00\"]{0,2000}+")
_HARMLESS_META = frozenset(_WORDS["harmless-meta"])
_FILE_LIST = re.compile(r"(?:cid:[\w.@%-]{1,200}+|[\w.%-]{1,100}[_.][\w.%/-]{1,100}+)", re.IGNORECASE)


def code(tag: str) -> str:
    """Return the code in `codes.REMOVED` of an element (lower case) that does not stay and does not act."""
    return _CODES.get(tag, "svg" if tag.startswith("svg:") else "unknown-part")


def attribute_code(tag: str, name: str) -> str:
    """Return the code of an attribute (lower case) that does not stay and does not act."""
    if name in {"src", "srcset", "background", "lowsrc", "dynsrc", "data-src", "poster"}:
        return "remote-image"
    if name in {"href", "ping", "target", "usemap", "longdesc"}:
        return "hyperlink" if tag != "link" else "style"
    return "style" if name == "style" else "unknown-part"


def attribute(tag: str, name: str, value: str, options: Options) -> str | None:
    """Return what may stay of one attribute value (character references replaced), or None for nothing of it."""
    if name == "style":
        return css.declarations(value, options)
    if name == "href":
        return value if tag in {"a", "area"} and links.link(value, options) else None
    if name in {"src", "background"}:
        return value if (tag == "img" or name == "background") and links.picture(value, options) else None
    if name == "usemap":
        return value if value.startswith("#") and _IDENTIFIER.fullmatch(value) else None
    known = (
        name in PLAIN_ATTRIBUTES
        or (not value and name not in _MEANINGFUL and not name.startswith("on"))
        or _FAMILY.fullmatch(name)
    )
    pattern = _TEXT if name in {"alt", "title", "summary", "abbr", "content"} else _IDENTIFIER
    return value if known and pattern.fullmatch(value) else None


def frame_attribute(tag: str, attributes: dict[str, str]) -> bool:
    """Tell whether a `meta` or `link` element with these attributes (lower-case names) is harmless."""
    if tag == "link":
        relation = attributes.get("rel", "").lower()
        known = attributes.keys() <= {"rel", "href", "type", "id", "title"}
        return known and relation in acting.OFFICE_LINKS and bool(_FILE_LIST.fullmatch(attributes.get("href", "")))
    equivalent = attributes.get("http-equiv", "content-type").strip().lower()
    known = not attributes.keys() - {
        "http-equiv",
        "name",
        "content",
        "charset",
        "scheme",
        "property",
        "lang",
        "itemprop",
    }
    return known and equivalent in _HARMLESS_META and all(_META.fullmatch(value) for value in attributes.values())


def office(tag: str, attributes: dict[str, str]) -> bool:
    """Tell whether this is one of the empty marks that Office writes into pages (`<o:p>`, `<st1:City>`)."""
    return (
        bool(_OFFICE.fullmatch(tag))
        and tag.rpartition(":")[2] not in _CODES
        and not acting.element(tag)
        and all(
            _OFFICE_ATTRIBUTE.fullmatch(name) and _IDENTIFIER.fullmatch(value) for name, value in attributes.items()
        )
    )
