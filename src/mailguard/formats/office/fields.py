"""Field codes of Word: which of them may stay, and how the others are taken out while their last result stays.

The code of a field may be split over runs and paragraphs, and put together by other fields.  What Word would execute
is decided by the list of field names (ECMA-376 part 1, 17.16.5), by the target of a link, and by where the pieces of
the code stand: pieces that some reader skips (alternative content) make the whole field unknown.
"""

from __future__ import annotations

import re

from mailguard.formats.office import targets
from mailguard.formats.office.markup import attribute, local_name, unwrap
from mailguard.formats.words import by_word, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from mailguard.formats.disarmed import Options

NESTED = "\ufffc"
"""Stands in the code of a field where the result of another one is put in."""

_TABLES = read("office")
_WORDS = _TABLES[""]
_NAMES = frozenset(_WORDS["field-names"])
_NAME = re.compile(r"[\s\xa0\u3000]*+(=|[A-Za-z]{1,40}+)(?![\w\ufffc])")
_CODES = by_word(_TABLES["field-codes"])
# What follows HYPERLINK: switches with and without an argument, in any order, and one target among them.
_LINK = re.compile(
    r"\s*+(?:(?P<switch>\\(?:[lot*]\s*+(?:\"[^\"]*+\"|[^\s\"\\]++)|[a-z]))|\"(?P<quoted>[^\"]*+)\"|(?P<bare>[^\s\"\\]\S*+))\s*+",
    re.IGNORECASE,
)
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_2003 = "{http://schemas.microsoft.com/office/word/2003/"  # wordml}, and auxHint} for sections
# Where a reader follows the text without doubt, up to the place that holds a text of its own.
_INLINE = frozenset(_WORDS["inline"])
_STORY = frozenset(_WORDS["story"])
MARKS = ("fldChar", "instrText", "delInstrText")
_TEXTS = ("t", "delText", "sym")


_DDE = re.compile(r"(?:^|[^A-Za-z0-9_])DDE(?:AUTO)?(?:[\s\"\\]|$)", re.IGNORECASE | re.MULTILINE)
_QUOTE = re.compile(r"QUOTE((?:\s++\d{2,3}){3,})", re.IGNORECASE)


def starts_dde(fields: str) -> bool:
    """Say whether field codes (one per line) contain a DDE field, also when its name is put together by QUOTE."""
    if _DDE.search(fields) or "DDEAUTO" in re.sub(r"\s++", "", fields).upper():
        return True
    quoted = "".join(chr(int(number)) for match in _QUOTE.finditer(fields) for number in match[1].split())
    return "DDE" in quoted.upper()


def code_of(instruction: str, options: Options) -> str:
    """Return why a field with this code has to go, or ""."""
    match = _NAME.match(instruction)
    name = match[1].upper() if match else ""
    if starts_dde(instruction):
        return "dde"
    if name not in _NAMES:
        return _CODES.get(name, "ambiguous-markup" if NESTED in instruction and not name else "action")
    if name == "HYPERLINK" and not _is_harmless_link(instruction, options):
        return "hyperlink"
    return ""


def _is_harmless_link(instruction: str, options: Options) -> bool:
    """Tell whether a HYPERLINK may stay; not when another field is put in, or it can be read in two ways."""
    if NESTED in instruction:
        return False
    found = []
    position = _NAME.match(instruction).end()  # type: ignore[union-attr]
    while instruction[position:].strip():
        word = _LINK.match(instruction, position)
        if word is None:
            return False
        if word["switch"] is None:
            found.append(word["quoted"] if word["quoted"] is not None else word["bare"])
        position = word.end()
    return len(found) <= 1 and all(not target.strip() or targets.is_harmless(target, options) for target in found)


class _Field:
    __slots__ = ("closed", "elements", "separated", "story", "suspect", "text")

    def __init__(self, begin: _Element | None, story: _Element | None) -> None:
        self.elements = [] if begin is None else [begin]
        self.text: list[str] = []
        self.story = story
        self.suspect = begin is not None and story is None
        self.separated = False
        self.closed = False


def remove_bad(root: _Element, options: Options) -> Iterator[str]:
    """Take the fields out that may not stay; yield the codes of what was removed."""
    for field in list(_found(root)):
        code = code_of("".join(field.text), options) or ("ambiguous-markup" if field.suspect else "")
        if not code:
            continue
        yield code
        for element in field.elements:
            parent = element.getparent()
            if parent is not None:
                parent.remove(element)


def _found(root: _Element) -> Iterator[_Field]:
    """Find the fields in document order; each place with a text of its own has its own nesting."""
    open_fields: dict[_Element | None, list[_Field]] = {}
    unfinished: set[_Element | None] = set()  # places where a code has begun and its result has not
    for element in root.iter(*(f"{{*}}{name}" for name in (*MARKS, *_TEXTS))):
        name = local_name(element)
        if name in _TEXTS and not unfinished:
            continue
        story = _story(element)
        stack = open_fields.setdefault(story, [])
        if name != "fldChar":
            (_add_text if name in _TEXTS else _add_code)(stack, element, story)
        else:
            yield from _marked(stack, element, story)
        if stack and not stack[-1].separated:
            unfinished.add(story)
        else:
            unfinished.discard(story)
    for stack in open_fields.values():
        yield from stack


def _marked(stack: list[_Field], element: _Element, story: _Element | None) -> Iterator[_Field]:
    """Begin, separate or end a field; yield one that ends."""
    kind = attribute(element, "fldCharType").strip().lower()
    if kind == "begin":
        if stack and not stack[-1].separated:
            stack[-1].text.append(NESTED)
        stack.append(_Field(element, story))
    elif stack:
        stack[-1].elements.append(element)
        stack[-1].separated = True
        if kind == "end":
            yield stack.pop()


def _add_text(stack: list[_Field], element: _Element, _story: _Element | None) -> None:
    """Doubt a field with other text before its result: some readers take that for the code."""
    if stack and not stack[-1].separated:
        field = stack[-1]
        field.suspect = field.suspect or local_name(element) == "sym" or bool((element.text or "").strip())


def _add_code(stack: list[_Field], element: _Element, story: _Element | None) -> None:
    text = "".join(str(piece) for piece in element.itertext())
    if not stack:
        stray = _Field(None, story)
        stray.suspect = bool(text.strip())
        stack.append(stray)
    field = stack[-1]
    if field.separated and field.elements and (len(stack) < 2 or stack[-2].separated):
        field.suspect = field.suspect or bool(text.strip())  # code behind its end, and no part of another one
    field.text.append(text)
    field.elements.append(element)
    field.suspect = field.suspect or story is None


def _story(element: _Element) -> _Element | None:
    """Return the element whose text this is a part of; None when readers may differ about it."""
    for around in element.iterancestors():
        space, _, name = str(around.tag).rpartition("}")
        if name in _STORY:
            return around
        if name not in _INLINE or not (space + "}" in {_W, _STRICT} or space.startswith(_2003)):
            return None
    return None


def replace_simple(element: _Element, options: Options) -> str:
    """Replace a `fldSimple` that may not stay by its content; return the code of what was removed, or ""."""
    code = code_of(attribute(element, "instr"), options)
    if code:
        unwrap(element)
    return code
