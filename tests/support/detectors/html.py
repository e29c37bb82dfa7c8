"""HTML for readers that are no browser: html5lib reads it without scripts, and as Office does, tinycss2 the styles."""

from __future__ import annotations

import re
import warnings

import html5lib
import tinycss2

from detectors.chromium import CHROMIUM

ADDRESS = re.compile(r"(?:https?|file|ftp):|\s*//|\\\\", re.IGNORECASE)
LINK = re.compile(r"\s*(?:https?://|mailto:|tel:|cid:|#)[^\\]*$", re.IGNORECASE)
_ACTING = {"script", "iframe", "frame", "form", "input", "object", "embed", "base", "link", "template", "svg", "math"}
_STARTING = {"behavior", "filter", "-ms-filter", "-moz-binding"}
_FETCHING = {"url", "src", "image-set", "expression", "image"}


def as_office_reads_it(content: bytes) -> list[str]:
    """What acts in the page once conditional comments count: elements, attributes, addresses, styles, instructions."""
    opened = re.sub(rb"<!--\[if[^\]]*\]>|<!\[endif\]-->", b"", content)
    return _acting(opened.decode("utf-8", "replace"))


def by_stray_quotes(content: bytes) -> list[str]:
    """What acts for readers to which a quote behind a value is the begin of a string, or nothing, but not an error."""
    text, found = content.decode("utf-8", "replace"), []
    for place in re.finditer(r"""=[^\s"'>=]+(["']+)""", text):
        for instead in ("", f" x={place[1][0]}"):
            changed = text[: place.start(1)] + instead + text[place.end(1) :]
            found += _acting(changed) + _acting(changed.replace("<!--", ""))
    return found


def _acting(text: str) -> list[str]:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that XML does not have
        tree = html5lib.parse(text, "lxml", namespaceHTMLElements=False)
    for one in tree.iter():
        if not isinstance(one.tag, str):
            found += ["instruction"] if (one.text or "").startswith("?") else []
            continue
        name = _name(one.tag)
        found += [name] if name in _ACTING or ":" in name else []
        found += styles(one.text or "") if name == "style" else []
        for key, value in one.items():
            found += _attribute(name, _name(key), value)
    return found


def _name(name: str) -> str:
    """A name as it stood in the page: to be XML, html5lib spells the colon of a prefix."""
    return name.rpartition("}")[2].replace("U0003A", ":").lower()


def _attribute(element: str, name: str, value: str) -> list[str]:
    if name == "style":
        return styles(value)
    if element == "a" and name == "href":
        return [] if LINK.match(value) else [f"href={value}"]
    if name.startswith("on") or name in {"ping", "action", "datasrc", "x:fmla", "background"} or ADDRESS.match(value):
        return [f"{name}={value}"]
    return []


def styles(text: str) -> list[str]:
    """What a style sheet or a style fetches or starts."""
    found, waiting = [], list(tinycss2.parse_component_value_list(text))
    while waiting:
        token = waiting.pop()
        if token.type == "url" or (token.type == "function" and token.lower_name in _FETCHING):
            found.append(token.serialize())
        elif token.type == "ident" and token.lower_value in _STARTING:
            found.append(token.value)
        elif token.type == "at-keyword" and token.lower_value == "import":
            found.append("@import")
        waiting += [*(getattr(token, "content", None) or ()), *(getattr(token, "arguments", None) or ())]
    return found


DETECTORS = {
    "script": (CHROMIUM, as_office_reads_it),
    "handler": (CHROMIUM, as_office_reads_it),
    "handler without blank": (CHROMIUM, as_office_reads_it),
    "javascript link": (CHROMIUM, as_office_reads_it),
    "data link": (CHROMIUM, as_office_reads_it),
    "form": (CHROMIUM, as_office_reads_it),
    "frame": (CHROMIUM, as_office_reads_it),
    "svg": (CHROMIUM, as_office_reads_it),
    "math": (CHROMIUM, as_office_reads_it),
    "object": (CHROMIUM, as_office_reads_it),
    "refresh": (CHROMIUM,),
    "base": (CHROMIUM, as_office_reads_it),
    "stylesheet": (CHROMIUM, as_office_reads_it),
    "remote picture": (CHROMIUM, as_office_reads_it),
    "set of pictures": (CHROMIUM, as_office_reads_it),
    "share": (CHROMIUM, as_office_reads_it),
    "style address": (CHROMIUM, as_office_reads_it),
    "style escape": (CHROMIUM, as_office_reads_it),
    "style program": (as_office_reads_it,),
    "style import": (CHROMIUM, as_office_reads_it),
    "download": (CHROMIUM, as_office_reads_it),
    "condition": (as_office_reads_it,),
    "open comment": (CHROMIUM, as_office_reads_it),
    "instruction": (as_office_reads_it,),
    "noscript": (CHROMIUM,),
    "stray quote": (by_stray_quotes,),
    "template": (CHROMIUM, as_office_reads_it),
    "blob link": (CHROMIUM, as_office_reads_it),
    "ping": (CHROMIUM, as_office_reads_it),
    "link to a share": (CHROMIUM, as_office_reads_it),
    "link to a program": (CHROMIUM, as_office_reads_it),
    "link by backslashes": (CHROMIUM, as_office_reads_it),
    "preload": (CHROMIUM, as_office_reads_it),
    "SVG as a picture": (CHROMIUM,),
    "input as a picture": (CHROMIUM, as_office_reads_it),
    "frame of its own": (CHROMIUM, as_office_reads_it),
    "smuggling": (CHROMIUM, as_office_reads_it),
    "background": (CHROMIUM, as_office_reads_it),
    "film": (CHROMIUM, as_office_reads_it),
    "hidden style": (CHROMIUM, as_office_reads_it),
    "hidden glyph": (CHROMIUM, as_office_reads_it),
    "hidden form": (CHROMIUM, as_office_reads_it),
    "hidden textarea": (CHROMIUM, as_office_reads_it),
    "hidden select": (as_office_reads_it,),
    "sloppy comment": (CHROMIUM, as_office_reads_it),
    "sloppy section": (CHROMIUM, as_office_reads_it),
    "slash for blank": (CHROMIUM, as_office_reads_it),
    "form feed for blank": (CHROMIUM, as_office_reads_it),
    "NUL in a name": (CHROMIUM, as_office_reads_it),
    "prefix": (as_office_reads_it,),
    "template of Word": (as_office_reads_it,),
    "query of Excel": (as_office_reads_it,),
    "drawing of Word": (as_office_reads_it,),
    "formula of Excel": (as_office_reads_it,),
    "set of addresses": (CHROMIUM, as_office_reads_it),
    "address by function": (as_office_reads_it,),
    "address by name": (CHROMIUM, as_office_reads_it),
    "address of a font": (as_office_reads_it,),
    "pointer": (CHROMIUM, as_office_reads_it),
    "style by escape": (as_office_reads_it,),
    "unclosed style": (CHROMIUM,),
    "filter": (as_office_reads_it,),
    "frame hidden in a comment by a stray quote": (by_stray_quotes,),
    "base hidden in a comment by a stray quote": (by_stray_quotes,),
    "style hidden in a comment by a stray quote": (by_stray_quotes,),
    "action behind a stray quote": (by_stray_quotes,),
    "colour that is a handler": (CHROMIUM, as_office_reads_it),
    "data binding": (CHROMIUM, as_office_reads_it),
    "unknown element with an address": (CHROMIUM, as_office_reads_it),
    "unknown attribute with an address": (as_office_reads_it,),
    "any prefix": (as_office_reads_it,),
    "drawing by any prefix": (as_office_reads_it,),
    "background that is a word": (CHROMIUM, as_office_reads_it),
}
