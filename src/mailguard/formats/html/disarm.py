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
from mailguard.formats.html import charset, css, tags, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from mailguard.formats.disarmed import Options

_LARGEST = 16 << 20
_MEMORY = 208 << 20  # beside the page and its text
# Only these are blanks to browsers.  All patterns are ASCII: no other letter is an "s" or a "k" in the name of a tag.
_BLANK = r"[\t\n\f\r ]"
# Without quotes; nothing that old programs took for a blank.
_BARE = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u3000\"'<>`"
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[a-zA-Z][\w:-]{0,60}+)"
    rf"(?P<attributes>(?:{_BLANK}++(?:[a-zA-Z][\w:.,-]{{0,60}}+(?:{_BLANK}*+={_BLANK}*+"
    rf"(?:\"[^\"<]*+\"|'[^'<]*+'|[^{_BARE}=][^{_BARE}]*+))?)?)*){_BLANK}*+/?>",
    re.ASCII,
)
_ATTRIBUTE = re.compile(
    rf"{_BLANK}++(?P<name>[a-zA-Z][\w:.,-]{{0,60}}+)(?:{_BLANK}*+={_BLANK}*+"
    rf"(?:\"(?P<double>[^\"<]*+)\"|'(?P<single>[^'<]*+)'|(?P<bare>[^{_BARE}=][^{_BARE}]*+)))?",
    re.ASCII,
)
_DECLARATION = re.compile(
    r"<!doctype\s[^<>]{0,400}+>"
    r"|<\?xml(?::namespace)?\s(?![^>]{0,200}implementation)(?:[\w\s=\"':/.-]|(?<!\?)\?(?=>)){0,200}>"
    r"|<!\[(?:if\s[^\]<>]{0,100}+|endif)\](?:--)?>",
    re.IGNORECASE | re.ASCII,
)
_CONDITION = re.compile(r"\[if\s[^\]<>]{0,100}+\]>", re.IGNORECASE | re.ASCII)
_TEXT_ENDS = re.compile(r"<(?=[a-zA-Z/!?])")
_BREAKS = re.compile(r"</?(?:p|div|tr|li|h[1-6]|br|table)\b", re.IGNORECASE | re.ASCII)
# What Word and Excel write into pages about the document; nothing that names a file, such as w:AttachedTemplate.
_ISLAND = re.compile(
    r"<(/?)(?:xml|[ow]:(?!AttachedTemplate|MailMerge)[a-zA-Z]\w{0,60}+|m:[a-zA-Z]\w{0,60}+|x:(?:Excel|Worksheet(?!Source)|Print|Pane"
    r"|Valid|Paper|Horizontal|Vertical|Selected|Number|Active|Protect|Window|Display|Default|Zoom|Freeze|Split|Top|Left|Name\b)\w{0,60}+)"
    r"((?:\s++(?!(?:\w+:)?(?:href|src)\b)[\w:]{1,40}+\s*+=\s*+\"[\w\s:./#-]{0,200}+\")*)\s*+/?>",
    re.IGNORECASE,
)
# How a part of a page is hidden from Word alone; everybody reads what follows.
_HIDDEN_FROM_WORD = re.compile(r"\[if\s[^\]<>]{0,100}+\]><!", re.IGNORECASE | re.ASCII)
_TITLE = re.compile(r"<title\b[^>]{0,200}>([^<]{0,1000})</title", re.IGNORECASE | re.ASCII)
_STYLE = re.compile(r"<style\b[^>]{0,200}>", re.IGNORECASE | re.ASCII)
# The first of these ends what began, whatever stands around it.
_ENDS = {name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII) for name in ("style", "title", "noscript")}
_END = re.compile(rf"</[a-zA-Z]{{5}}{_BLANK}{{0,20}}+>")
_NUMBERED = re.compile(r"(?:[^&]|&#\d{1,7}+;)*")
_SLOPPY = re.compile(r"</?([a-zA-Z][\w:-]{0,60}+)", re.ASCII)
_SUSPICIOUS = re.compile(
    r"(?<![a-z])on[a-z]{3,40}\s*+=|<[^\s<>]{0,60}script|script\s*+[:=]|(?:java|vb|live)script|expression\s*+[/(]"
    r"|behavio|binding|@import|\\(?!\s)|(?<![\w&?;-])(?:form)?action\s*+=|srcset|srcdoc|fmla|[a-z]src\s*+="
    r"|http-equiv(?!=[\"']?(?:content-(?:type|language)|expires)[\"'\s])"
    r"|(?<![\w])(?:data|datafld|dataformatas|poster|ping)\s*+=|<!\[|<\?(?!xml\s)|&#x|data:|base64"
    r"|<title(?!>)|<style(?!(?:\stype=[\"']?text/css[\"']?)?>)",
    re.IGNORECASE | re.ASCII,
)
# An attribute begins behind a blank, a slash or a value; each of them counts, also one within a value.
_ASSIGNED = re.compile(
    r"(?<=[\s\x1c-\x1f/\"'`])(?P<name>src|href|background|style)\s*+=\s*+"
    r"(?=\"(?P<double>[^\"]*+)|'(?P<single>[^']*+)|(?P<bare>[^\s>]*+))",
    re.IGNORECASE | re.ASCII,
)
_SEVEN_BITS = re.compile(r"\+(?=AD[whx0-9]|/[v8])")  # where an old browser may guess UTF-7
_NESTED = re.compile(
    r"<(?P<close>/?)(?:[abisu]|abbr|big|blockquote|center|code|div|dl|em|font|nobr|ol|section|small|span|strike|strong"
    r"|sub|sup|table|tt|ul)[\s/>]",
    re.IGNORECASE | re.ASCII,
)
_DEEPEST = 1_000
_ATTRIBUTES = 500
_STYLES = 64
# Scripts are off in mail, and what is in a noscript element is read as markup like all else; a browser may skip it.
_FRAME = frozenset({"html", "head", "body", "title", "style", "noscript"})


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
    if len(content) > _LARGEST:
        raise Refused("over-limit")
    reading = charset.read(content, declared)
    removed = set(_objections(reading.text, options))
    if not reading.certain or any(any(_objections(other, options)) for other in charset.others(content, reading)):
        removed.add("charset")
    if not removed:
        return Disarmed(content, "text/html", "html")
    if _depth(reading.text) > _DEEPEST:
        raise Refused("bomb")

    # Elements that close each other in odd ways can cost browsers, and us, more than any limit on octets says.
    page = confined(_page, reading.text.encode("utf-8", "surrogatepass"), options, _MEMORY)
    return Disarmed(page.data, page.mime, page.extension, tuple(removed))


def _page(content: bytes, options: Options) -> Disarmed:
    page = _written(content.decode("utf-8", "surrogatepass"), options)
    return Disarmed(page.encode("utf-8", "replace"), "text/html", "html")


def _depth(text: str) -> int:
    """Return how many elements are open in each other at most, of those that nothing but their end closes."""
    depth = deepest = 0
    for tag in _NESTED.finditer(text):
        depth += -1 if tag["close"] else 1
        deepest = max(deepest, depth)
    return deepest


def _objections(text: str, options: Options) -> Iterator[str]:
    """Yield the code of everything that may not stay; "ambiguous-markup" where programs may read other tokens."""
    if "\0" in text:
        yield "ambiguous-markup"
    position = skipped = 0
    careless: set[str] = set()
    while position >= 0 and (match := _TEXT_ENDS.search(text, position)):
        position = match.start()
        if 0 < skipped < position:
            break
        if tag := _TAG.match(text, position):
            skipped = _skipped(tag, skipped)
            position = yield from _element(tag, options)
        elif text.startswith("<!--", position):
            position = yield from _whole_comment(text, position, options)
        elif declaration := _DECLARATION.match(text, position):
            position = declaration.end()
        else:
            sloppy = _SLOPPY.match(text, position)
            careless.add(sloppy[1].lower() if sloppy else "!")
            position += 1
    if position < 0 or 0 < skipped < len(text):
        yield "ambiguous-markup"
    yield from _careless(careless, text, options)


def _skipped(tag: re.Match[str], skipped: int) -> int:
    """Return where a browser that runs scripts goes on behind the noscript element that it is in, 0 for in none."""
    if tag["name"].lower() != "noscript" or tag.start() < skipped:
        return skipped
    return 0 if tag["close"] else _begin_of_end("noscript", tag.string, tag.end())


def _begin_of_end(name: str, text: str, position: int) -> int:
    """Return where an element ends in which nothing but its end counts."""
    end = _ENDS[name].search(text, position)
    return end.start() if end else len(text)


def _element(tag: re.Match[str], options: Options) -> Generator[str, None, int]:
    """Judge a tag, and a title or style sheet behind it; return where it ends, -1 when it does not."""
    name = tag["name"].lower()
    yield from _tag(name, tag, options)
    if name not in {"style", "title"} or tag["close"]:
        return tag.end()
    begin_of_end = _begin_of_end(name, tag.string, tag.end())
    end = _END.match(tag.string, begin_of_end)
    if end is None:
        return -1
    yield from _raw(name, tag.string[tag.end() : begin_of_end], options)
    return end.end()


def _whole_comment(text: str, position: int, options: Options) -> Generator[str, None, int]:
    end = text.find("-->", position + 4)
    if end < 0:
        return -1
    yield from _comment(text[position + 4 : end], options)
    return end + 3


def _careless(names: set[str], text: str, options: Options) -> Iterator[str]:
    """Judge tags that are not well formed: programs may see them end elsewhere.

    What could be an element, an attribute or a style sheet in any reading, anywhere in the text, also in comments and
    in values, must be harmless by itself then.
    """
    for name in names - tags.BODY - {"html", "head", "body"}:
        if name in {"!", "title", "style", "noscript"}:
            yield "ambiguous-markup"
        elif not unknown.name(name):
            yield tags.code(name)
    if names and (
        _SUSPICIOUS.search(text)
        or not all(_element_anywhere(match[1].lower()) for match in _SLOPPY.finditer(text))
        or not _assigned_anywhere(text, options)
        or not all(_sheet_anywhere(text, match.end(), options) for match in _STYLE.finditer(text))
    ):
        yield "ambiguous-markup"


def _element_anywhere(name: str) -> bool:
    return name in tags.BODY or name in _FRAME - {"noscript"} or name == "meta" or unknown.name(name)


def _sheet_anywhere(text: str, begin: int, options: Options) -> bool:
    return not any(_raw("style", text[begin : _begin_of_end("style", text, begin)], options))


def _assigned_anywhere(text: str, options: Options) -> bool:
    read = 0
    for match in _ASSIGNED.finditer(text):
        value = match["double"] or match["single"] or match["bare"] or ""
        read += len(value)
        name = match["name"].lower()
        tag = "a" if name == "href" else "img"
        if read > 2 * len(text) or not all(_stays(tag, name, reading, options) for reading in _values(value)):
            return False
    return True


def _attributes(tag: re.Match[str]) -> list[tuple[str, str]]:
    """Return lower-case names and values as they are written; of a name that stands twice, both."""
    return [
        (match["name"].lower(), match["double"] or match["single"] or match["bare"] or "")
        for match in _ATTRIBUTE.finditer(tag["attributes"])
    ]


def _tag(name: str, tag: re.Match[str], options: Options) -> Iterator[str]:
    pairs = _attributes(tag)
    if len(pairs) > _ATTRIBUTES:
        raise Refused("bomb")
    if name in tags.BODY or name in _FRAME:
        for attribute, value in pairs:
            if not all(_stays(name, attribute, reading, options) for reading in _values(value)):
                yield tags.attribute_code(name, attribute)
        return
    attributes = dict(pairs)
    if name in {"meta", "link"}:
        if not tag["close"] and (len(attributes) < len(pairs) or not tags.frame_attribute(name, attributes)):
            yield "active-content" if name == "meta" else "external-relationship"
    elif not tags.office(name, attributes) and (len(attributes) < len(pairs) or not unknown.element(name, attributes)):
        yield tags.code(name)


def _values(value: str) -> tuple[str, ...]:
    """Return a value as it is read, and also as it is written where a program may not know a reference in it."""
    if "&" not in value:
        return (value,)
    import html

    read = html.unescape(value)
    return (read,) if _NUMBERED.fullmatch(value) else (value, read)


def _stays(tag: str, name: str, value: str, options: Options) -> bool:
    return tags.attribute(tag, name, value, options) == value or unknown.attribute(name, value)


def _raw(name: str, text: str, options: Options) -> Iterator[str]:
    if name == "title":
        if "<" in text:
            yield "ambiguous-markup"
    elif any(css.sheet(reading, options) != reading for reading in (text, *_values(text))):
        yield "style"


def _comment(text: str, options: Options) -> Iterator[str]:
    """Look at a comment; a condition makes Word and old browsers read what is in it."""
    if _HIDDEN_FROM_WORD.fullmatch(text):
        return
    if text.startswith((">", "->")) or "<!--" in text or "--!>" in text or text.endswith("<!-"):
        yield "ambiguous-markup"
    condition = _CONDITION.match(text.lstrip())
    if condition is None:
        if "[if" in text.lower() and "]>" in text:
            yield "ambiguous-markup"
        return
    inner = text.lstrip()[condition.end() :].rstrip().removesuffix("<![endif]")
    plain = _ISLAND.sub("", inner)
    rest = _TAG.sub("", plain)
    if _SLOPPY.search(rest) and ("'" in rest or '"' in rest or rest.rfind("<") > rest.rfind(">")):
        yield "ambiguous-markup"  # a tag that goes on behind the comment for those who read what is in it
    if _BREAKS.search(plain) or "<" in plain:
        yield from _objections(plain, options)


def _written(text: str, options: Options) -> str:
    """Parse the text as browsers do, and write what is on the lists."""
    import html

    import nh3

    def chosen(tag: str, name: str, value: str) -> str | None:
        kept = tags.attribute(tag, name, value, options)
        return None if not kept or _looks_active(kept) else kept

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
    page = f"<!DOCTYPE html>\n<html><head>{head}</head><body>\n{body.strip()}\n</body></html>\n"
    return _SEVEN_BITS.sub("&#43;", page)


def _looks_active(value: str) -> bool:
    """Tell whether a careless reader may see an element or a handler in a value."""
    from mailguard.formats.budget import Quota
    from mailguard.formats.html.look import examine_html
    from mailguard.message.content import Content

    return any(examine_html(Content.of(b'="' + value.encode("utf-8", "replace")), (), Quota()))


def _names() -> set[str]:
    return set(tags.PLAIN_ATTRIBUTES) - {"contenteditable", "rel"}


def _sheets(text: str, options: Options) -> Iterator[str]:
    position = 0
    for _ in range(_STYLES):
        begin = _STYLE.search(text, position)
        if begin is None:
            return
        position = text.find("</", begin.end())
        rules = css.sheet(text[begin.end() : position], options) if position >= 0 else ""
        if rules.strip() and "<" not in rules.replace("<!--", ""):
            yield rules.replace("<!--", "").replace("-->", "")
        if position < 0:
            return
