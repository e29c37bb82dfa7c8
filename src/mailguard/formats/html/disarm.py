"""Web pages and the HTML text of messages.

Whether a page is clean is decided by a reader of its own, which knows only such markup as every program reads the
same way, token by token: each element, attribute and style rule must be on the list, or a word that no program knows.
Where tags are not well formed, whatever could be an element, attribute or style rule in any reading must be.  A page of
which that can be said is returned as it is.  Any other page is parsed as browsers do and written anew (nh3) with the
same lists, as UTF-8 with one `<meta charset>`: what the lists do not know is not written.
"""

from __future__ import annotations

import re

from mailguard.formats.confined import confined
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.html import charset, css, page, tags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.formats.disarmed import Options

_MEMORY = 208 << 20  # beside the page and its text
_TITLE = re.compile(r"<title\b[^>]{0,200}>([^<]{0,1000})</title", re.IGNORECASE | re.ASCII)
_SEVEN_BITS = re.compile(r"\+(?=AD[whx0-9]|/[v8])")  # where an old browser may guess UTF-7
_NESTED = re.compile(
    r"<(?P<close>/?)(?:[abisu]|abbr|big|blockquote|center|code|div|dl|em|font|nobr|ol|section|small|span|strike|strong"
    r"|sub|sup|table|tt|ul)[\s/>]",
    re.IGNORECASE | re.ASCII,
)
_DEEPEST = 1_000
_STYLES = 64


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:
    """Make an HTML attachment harmless; mime may carry the charset parameter of the part.

    Refused for pages over 16 MiB, or that cost too much ("over-limit"), and for elements without end ("bomb").
    """
    declared = re.search(r";\s*charset\s*=\s*\"?([\w.:-]{1,40})", mime, re.IGNORECASE)
    return disarm_body(content, declared[1] if declared else "", options)


def disarm_body(content: bytes, declared: str, options: Options) -> Disarmed:
    """Make HTML text harmless that is declared to be in this charset ("" = none).

    The result is the same object, in the charset that it had, or something was removed and it is UTF-8, which its
    part must say then.
    """
    if len(content) > page.LARGEST:
        raise Refused("over-limit")
    reading = charset.read(content, declared)
    if any(page.formulas(reading.text, options.names)):
        raise Refused("not-understood")  # written anew it would be the same text, and text is all that Excel needs
    removed = page.everything(content, reading, options)
    if not removed:
        return Disarmed(content, "text/html", "html")
    if _depth(reading.text) > _DEEPEST:
        raise Refused("bomb")

    # Elements that close each other in odd ways can cost browsers, and us, more than any limit on octets says.
    result = confined(_page, reading.text.encode("utf-8", "surrogatepass"), options, _MEMORY)
    return Disarmed(result.data, result.mime, result.extension, tuple(removed))


def _page(content: bytes, options: Options) -> Disarmed:
    written = _written(content.decode("utf-8", "surrogatepass"), options)
    return Disarmed(written.encode("utf-8", "replace"), "text/html", "html")


def _depth(text: str) -> int:
    """Return how many elements are open in each other at most, of those that nothing but their end closes."""
    depth = deepest = 0
    for tag in _NESTED.finditer(text):
        depth += -1 if tag["close"] else 1
        deepest = max(deepest, depth)
    return deepest


def _written(text: str, options: Options) -> str:
    """Parse the text as browsers do, and write what is on the lists."""
    import html

    import nh3

    from mailguard.formats.html import spelling

    def chosen(tag: str, name: str, value: str) -> str | None:
        kept = tags.attribute(tag, name, value, options)
        try:
            return None if not kept or spelling.acts(f'="{kept}') else kept  # as a careless reader may see it
        except Refused:
            return None

    body = nh3.clean(
        text.replace("\0", ""),
        tags=set(tags.BODY),
        clean_content_tags=set(tags.WITH_CONTENT),
        attributes={"*": _names()},
        attribute_filter=chosen,
        link_rel=None,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
    )
    title = _TITLE.search(text, 0, 1 << 16)
    heading = f"<title>{html.escape(html.unescape(title[1]))}</title>" if title else ""
    sheets = "".join(f"<style>{rules}</style>" for rules in _sheets(text, options))
    head = f'<meta charset="utf-8">{heading}{sheets}'
    written = f"<!DOCTYPE html>\n<html><head>{head}</head><body>\n{body.strip()}\n</body></html>\n"
    return _SEVEN_BITS.sub("&#43;", written)


def _names() -> set[str]:
    return set(tags.PLAIN_ATTRIBUTES) - {"contenteditable", "rel"}


def _sheets(text: str, options: Options) -> Iterator[str]:
    position = 0
    for _ in range(_STYLES):
        begin = page.STYLE.search(text, position)
        if begin is None:
            return
        position = text.find("</", begin.end())
        rules = css.sheet(text[begin.end() : position], options) if position >= 0 else ""
        if rules.strip() and "<" not in rules.replace("<!--", ""):
            yield rules.replace("<!--", "").replace("-->", "")
        if position < 0:
            return
