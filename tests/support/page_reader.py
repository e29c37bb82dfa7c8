"""What a page does when it is opened or clicked, as two independent readers see it: html5lib and tinycss2."""

from __future__ import annotations

import re
import warnings

import html5lib
import tinycss2
from html5lib.constants import DataLossWarning

_HTML = "{http://www.w3.org/1999/xhtml}"
_ACTIVE = frozenset(
    "script iframe frame frameset object embed applet form input button select textarea base template audio video source"  # noqa: SIM905
    " track portal fencedframe marquee bgsound isindex keygen image math svg noembed noframes xmp plaintext dialog slot"
    " canvas layer ilayer".split()
)
_FETCHED = frozenset(
    "src background poster lowsrc dynsrc data code codebase classid archive manifest profile longdesc attributionsrc icon"  # noqa: SIM905
    " datasrc usemap xlink:href to from values".split()
)
_ACTING = frozenset({"srcdoc", "srcset", "imagesrcset", "ping", "download", "action", "formaction"})
_REFRESHING = frozenset({"refresh", "set-cookie", "content-security-policy", "link"})
_FUNCTIONS = frozenset({"url", "src", "image-set", "-webkit-image-set", "image", "cross-fade", "element", "expression"})
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE | re.ASCII)
_HANDLER = re.compile(r"on[a-z]{3,40}")
GUESSES = ("utf-8", "windows-1252", "shift_jis", "euc-jp", "gb18030", "iso-2022-jp", "big5", "euc-kr")
"""What a program may take a page for that has lost the charset of its part."""


def acts(page: bytes, declared: str | None = None) -> set[str]:
    """All that the page does in any reading: with scripts or without, with the charset that is declared or guessed."""
    found: set[str] = set()
    for scripting in (False, True):
        found |= _parsed(page, scripting=scripting, transport_encoding=declared)
        for guess in GUESSES if declared != "iso-2022-jp" else ():
            found |= _parsed(page, scripting=scripting, likely_encoding=guess)
    return found


def _parsed(page: bytes, *, scripting: bool, **encoding: str | None) -> set[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataLossWarning)
        root = html5lib.parse(page, scripting=scripting, useChardet=False, **encoding)
    return {what for element in root.iter() if isinstance(element.tag, str) for what in _element(element)}


def _element(element):
    name = element.tag.removeprefix(_HTML)
    attributes = {str(key).lower(): value for key, value in element.attrib.items()}
    if name.startswith("{") or name in _ACTIVE:
        yield name
    if name == "meta" and attributes.get("http-equiv", "").strip().lower() in _REFRESHING:
        yield "refresh"
    if name == "link" and (_leaves(attributes.get("href", "")) or "stylesheet" in attributes.get("rel", "").lower()):
        yield "link"
    if name == "style":
        yield from styled(tinycss2.parse_stylesheet("".join(element.itertext())))
    for key, value in attributes.items():
        yield from _attribute(name, key, value)


def _attribute(element: str, name: str, value: str):
    if value and (_HANDLER.fullmatch(name) or name in _ACTING):
        yield name
    elif name == "style":
        yield from styled(tinycss2.parse_blocks_contents(value))
    elif name == "href":
        if element in {"a", "area"} and _leaves(value, by_click=True):
            yield f"href={value}"
    elif name in _FETCHED and _leaves(value):
        yield f"{name}={value}"


def _leaves(url: str, *, by_click: bool = False) -> bool:
    """Tell whether an address leads away without a click, or with one to something that is no page."""
    url = re.sub(r"[\t\n\r]", "", url.strip("".join(map(chr, range(33))))).replace("\\", "/")
    if scheme := _SCHEME.match(url):
        if by_click:
            return scheme[1].lower() not in {"http", "https", "mailto", "tel", "cid"}
        return scheme[1].lower() != "cid" and not re.match(
            r"data:image/(png|jpe?g|gif|webp|bmp)[;,]", url, re.IGNORECASE
        )
    return url.startswith("//") and not by_click


def styled(nodes):
    """All that style rules fetch or start, wherever it stands in them."""
    for node in _all(nodes):
        if node.type == "at-rule" and node.lower_at_keyword == "import":
            yield "@import"
        elif node.type == "url" and _leaves(node.value):
            yield f"url({node.value})"
        elif node.type == "function" and node.lower_name in _FUNCTIONS:
            if node.lower_name == "expression" or any(
                part.type in {"string", "url"} and _leaves(part.value) for part in _all(node.arguments)
            ):
                yield f"{node.lower_name}()"
        elif node.type == "declaration" and node.lower_name in {"behavior", "-moz-binding", "filter"}:
            yield node.lower_name


def _all(nodes):
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for inner in ("prelude", "content", "value", "arguments"):
            if isinstance(nodes := getattr(node, inner, None), list):
                waiting += nodes
