"""A web page as every program may read it, token by token: what in it acts, and what else may not stay.

A reader of its own, which knows only such markup as every program reads the same way: each element, attribute and style
rule must be on the list, or a word that no program knows.  Where tags are not well formed, or programs may not agree
what is text, whatever could be an element, attribute or style rule in any reading counts.
"""

from __future__ import annotations

import re
from itertools import chain

from mailguard.formats.budget import TooLarge
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import FEATURES, Options, Refused
from mailguard.formats.html import acting, charset, css, tags, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from mailguard.formats.html.charset import TextReading

LARGEST = 16 << 20
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
# HTML 13.1.1; Word writes <?xml:namespace ...>, and Outlook conditions outside of comments (downlevel-revealed).
# An `implementation` in that processing instruction loads a behaviour (Internet Explorer 5 to 9).
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
STYLE = re.compile(r"<style\b[^>]{0,200}>", re.IGNORECASE | re.ASCII)
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
_ATTRIBUTES = 500
_DOUBT = "?"
# What is in these is text to one program, or in one place, and markup to another (WHATWG HTML 13.2.6); style sheets and
# titles in a drawing are markup.
_TEXT_OR_MARKUP = frozenset(
    {"xmp", "noembed", "noframes", "plaintext", "listing", "textarea", "select", "iframe", "frameset", "svg", "math"}
)
_EXCEL = re.compile(r"urn:schemas-microsoft-com:office:excel|excel\.sheet", re.IGNORECASE)
_WORKBOOKS = frozenset({"xls", "xlt", "xlw", "xlsx", "xlsb", "xlsm", "xlam", "csv", "iqy"})
_MARKUP = re.compile(r"<[^<>]*>")
_SHOWN = Options(frozenset(FEATURES))
# Scripts are off in mail, and what is in a noscript element is read as markup like all else; a browser may skip it.
_FRAME = frozenset({"html", "head", "body", "title", "style", "noscript"})


def dangers(content: bytes, reading: TextReading, names: Sequence[str]) -> set[str]:
    """Return the codes of all that acts in a page, in every way in which some program may read its octets.

    names: every name of the page, by which Excel may open it.  Refused for a page whose tags cannot be read.
    """
    texts = chain([reading.text], charset.others(content, reading), charset.hidden(content, reading))
    return {code for text in texts for code in _dangers(text)} | set(formulas(reading.text, names))


def everything(content: bytes, reading: TextReading, options: Options) -> set[str]:
    """Return the codes of all that may not stay in a page: the same dangers, and what is tidied up."""
    found = set(objections(reading.text, options))
    for other in charset.others(content, reading):
        if codes := set(objections(other, options)):
            found |= {"charset", *filter(danger, codes)}
    found.update(code for text in charset.hidden(content, reading) for code in _dangers(text))
    return found if reading.certain else found | {"charset"}


def _dangers(text: str) -> Iterator[str]:
    from mailguard.formats.html import spelling

    if spelling.acts(text):  # most pages are read no further
        yield from filter(danger, objections(text, _SHOWN))


def formulas(text: str, names: Sequence[str]) -> Iterator[str]:
    """Yield what the cells of tables start when Excel opens the page; Refused for very many that could."""
    import html

    from mailguard.filename import FileName
    from mailguard.formats.text.formulas import Formulas

    if not (_EXCEL.search(text) or any(_WORKBOOKS & FileName(name).extensions for name in names)):
        return
    cells = html.unescape(_MARKUP.sub("\n", text))
    try:
        yield from {code for _, code in Formulas("").dangerous(cells)}
    except TooLarge as error:
        raise Refused("over-limit") from error


def objections(text: str, options: Options) -> Iterator[str]:
    """Yield the code of everything that may not stay.

    "ambiguous-markup" where programs may read other tokens and something acts in one of these readings; "repaired"
    where they may read others, and nothing does.
    """
    is_doubtful = False
    for code in _walk(text, options):
        if code == _DOUBT:
            is_doubtful = True
        else:
            yield code
    if is_doubtful:
        from mailguard.formats.html import spelling

        yield "ambiguous-markup" if spelling.acts(text) else "repaired"


def _walk(text: str, options: Options) -> Iterator[str]:
    """Yield the code of everything that may not stay, and _DOUBT where programs may read other tokens."""
    if "\0" in text:
        yield _DOUBT
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
        yield _DOUBT
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
            yield _DOUBT
        elif not unknown.name(name):
            yield acting.element(name) or tags.code(name)
    if names and (
        _SUSPICIOUS.search(text)
        or not all(_element_anywhere(match[1].lower()) for match in _SLOPPY.finditer(text))
        or not _assigned_anywhere(text, options)
        or not all(_sheet_anywhere(text, match.end(), options) for match in STYLE.finditer(text))
    ):
        yield _DOUBT


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
    if name in _TEXT_OR_MARKUP:
        yield _DOUBT
    if name in tags.BODY or name in _FRAME:
        for attribute, value in pairs:
            if not all(_stays(name, attribute, reading, options) for reading in _values(value)):
                codes = set(acting.attributes(name, ((attribute, reading) for reading in _values(value))))
                yield from codes or {tags.attribute_code(name, attribute)}
        return
    attributes = dict(pairs)
    whole = len(attributes) == len(pairs)
    if name in {"meta", "link"}:
        harmless = tag["close"] or (whole and tags.frame_attribute(name, attributes))
    else:
        harmless = tags.office(name, attributes) or (whole and unknown.element(name, attributes))
    if not harmless:
        codes = {acting.element(name), *_acting(name, pairs)} - {""}
        yield from codes or {tags.code(name)}


def _acting(name: str, pairs: list[tuple[str, str]]) -> Iterator[str]:
    return acting.attributes(name, ((attribute, reading) for attribute, value in pairs for reading in _values(value)))


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
    if "<" in (text if name == "title" else text.replace("<!--", "")):
        yield _DOUBT
    if name == "style":
        for reading in (text, *_values(text)):
            if css.sheet(reading, options) != reading:
                yield acting.style(reading) or "style"


def _comment(text: str, options: Options) -> Iterator[str]:
    """Look at a comment; a condition makes Word and old browsers read what is in it."""
    if _HIDDEN_FROM_WORD.fullmatch(text):
        return
    if text.startswith((">", "->")) or "<!--" in text or "--!>" in text or text.endswith("<!-"):
        yield _DOUBT
    condition = _CONDITION.match(text.lstrip())
    if condition is None:
        if "[if" in text.lower() and "]>" in text:
            yield _DOUBT
        return
    inner = text.lstrip()[condition.end() :].rstrip().removesuffix("<![endif]")
    plain = _ISLAND.sub("", inner)
    rest = _TAG.sub("", plain)
    if _SLOPPY.search(rest) and ("'" in rest or '"' in rest or rest.rfind("<") > rest.rfind(">")):
        yield _DOUBT  # a tag that goes on behind the comment for those who read what is in it
    if _BREAKS.search(plain) or "<" in plain:
        yield from _walk(plain, options)
