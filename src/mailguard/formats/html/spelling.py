"""What acts by how it is spelt, wherever it stands in a text, and whatever is markup there.

By this a page is seen to hold nothing that acts without being read token by token; and where programs may not agree
what is an element, an attribute or a comment, each of these counts.
"""

from __future__ import annotations

import re

from mailguard.formats import links
from mailguard.formats.disarmed import Refused
from mailguard.formats.html.acting import ADDRESSES, ELEMENTS, OFFICE_LINKS, address, style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# One pattern each, and words by which most pages are seen to have none of the rest: one pattern of all is slow.
_ELEMENT = re.compile(rf"</?(?:[\w.:-]{{1,60}}:)?(?:{'|'.join(sorted(ELEMENTS))})(?![\w-])", re.ASCII)
_ON = re.compile(
    r"on(?<=[\s\x1c-\x1f/\"'`]on)(?!(?:on|once|one|ones|only|online|onto|ongoing|onward)[\s=])[a-z]{3,40}[\s\x1c-\x1f]*="
)
_WORDS: dict[str, re.Pattern[str]] = {
    "http-equiv": re.compile(
        r"http-equiv\s*+=\s*+[\"']?+(?!(?:content-|x-ua|cache-|expires|pragma|imagetoolbar)[\w-]*[\"'\s/>])"
    ),
    "srcdoc": re.compile(r"srcdoc\s*="),
    "fmla": re.compile(r"fmla\s*="),
    "implementation": re.compile(r"<\?[^>]{0,400}implementation\s*="),
    "attributename": re.compile(r"attributename\s*=\s*[\"']?\s*(?:on|href|xlink|&)"),
    "<!entity": re.compile(r"<!entity"),
    "<!attlist": re.compile(r"<!attlist"),
    "<?import": re.compile(r"<\?import"),
    "<?xml-stylesheet": re.compile(r"<\?xml-stylesheet"),
    "data:": re.compile(r"<use\b[^>]{0,400}data:"),
    "rel": re.compile(rf"rel\s*=\s*[\"']?\s*(?:{'|'.join(sorted(OFFICE_LINKS))}|&)"),
}
# A value with something before its path that may be a scheme, or a share.
_TARGET = re.compile(
    r"=(?<!style=)(?<!content=)(?<!class=)(?<!title=)(?<!alt=)\s*+[\"']?+(?P<value>[\0-\x20\xa0\u3000]*+"
    r"(?!https?://|mailto:|tel:|cid:|#|data:image/(?!svg))(?:[^\"'<>\s/?#:&\\=]{0,60}[:&\\\0\t\n\r]|[\\/]{2}))"
)
_READ = 4_096
_NAME = re.compile(r"[\w:.-]+(?=\s*\Z)")
_VALUE = re.compile(r"[^\"'<>]{0,400}")
# Looked at where they begin: a value may hold the begin of another, for those who see a string end elsewhere.
_SET = re.compile(r"(?:srcset|values)\s*=\s*(?=\"([^\"]*)|'([^']*)|([^\s>]*))")
_STYLE = re.compile(r"style\s*=\s*(?=\"([^\"]*)|'([^']*)|([^\s>]*))")
_SHEET = re.compile(r"<style\b[^>]{0,400}>")
_STYLE_WORDS = re.compile(r"\\|/\*|&|url\(|@import|expression|behavior|binding|script|-o-link")


def acts(text: str) -> bool:
    """Tell whether anything that acts could stand anywhere in a text, whatever is markup in it.

    True for every text in which `element` or `attributes` find something, so what this denies need not be read.
    Refused for values within values without end.
    """
    text = text.lower()
    return _acts(text) or ("\0" in text and _acts(text.replace("\0", "")))


def _acts(text: str) -> bool:
    return bool(
        _ELEMENT.search(text)
        or _ON.search(text)
        or any(word in text and pattern.search(text) for word, pattern in _WORDS.items())
        or any(map(_starts, _TARGET.finditer(text)))
        or any(map(_set_starts, _values(_SET, text)))
        or any(map(_style_starts, _values(_STYLE, text)))
        or any(map(_style_starts, _sheets(text)))
    )


def _unescaped(text: str) -> str:
    """Undo character references in a text that is lower case: `&Tab;` and `&NewLine;` are not known so."""
    from html import unescape

    return unescape(text.replace("&tab;", "\t").replace("&newline;", "\n")) if "&" in text else text


def _sheets(text: str) -> Iterator[str]:
    position = 0
    while begin := _SHEET.search(text, position):
        position = text.find("</style", begin.end())
        yield text[begin.end() : position] if position >= 0 else text[begin.end() :]
        if position < 0:
            return


def _starts(match: re.Match[str]) -> bool:
    """Tell whether what looks like the address of an attribute starts something."""
    before = _NAME.search(match.string[max(match.start() - 60, 0) : match.start()])
    name = before[0].rpartition(":")[2] if before else ""
    value = _VALUE.match(match.string, match.start("value"))
    readings = {value[0], _unescaped(value[0])} if value else ()
    return name in ADDRESSES and any(
        links.acting(reading, clicked=clicked) for reading in readings for clicked in (True, False)
    )


def _values(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """Yield the values of attributes; Refused for a text in which most of them are within others."""
    read = 0
    for match in pattern.finditer(text):
        value = match[1] or match[2] or match[3] or ""
        read += len(value)
        if read > 2 * len(text) + _READ:
            raise Refused("bomb")
        yield value


def _set_starts(value: str) -> bool:
    return bool(address("", "values", _unescaped(value)) or address("", "srcset", _unescaped(value)))


def _style_starts(text: str) -> bool:
    return bool(_STYLE_WORDS.search(text) and (style(text) or style(_unescaped(text))))
