"""Parts that are too large for a tree in memory, such as sheets with a million cells: looked through, never changed."""

from __future__ import annotations

import re

from mailguard.formats.disarmed import Refused
from mailguard.formats.office import elements, formulas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_OCTETS, _MOST, _ELEMENTS, _ATTRIBUTES = 5 << 20, 32 << 20, 500_000, 1_000_000
_DEPTH = 256  # as deep as parts are read that are smaller
_START = re.compile(rb"(?:\xef\xbb\xbf)?(?:<\?xml\s[^>]{0,200}\?>\s{0,20})?<[A-Za-z]")
_ENCODING = re.compile(rb"encoding\s{0,9}=\s{0,9}[\"'](?!utf-8[\"'])", re.IGNORECASE)
_NAMES = "|".join((*elements.ACTING, "instrText", "delInstrText")).encode()
_ACTING = re.compile(rb"<!|<(?:[\w.-]{1,40}:)?(?:" + _NAMES + rb")[\s/>]|\bmacro\s{0,9}=\s{0,9}[\"'][^\"']|:vml[\"']")
_FORMULA = re.compile(rb"<(?:\w{1,40}:)?(?:" + "|".join(elements.FORMULAS).encode() + rb")(?:\s[^<>]{0,400})?>([^<]*+)")


def fits(data: bytes) -> bool:
    """Tell whether the tree of a part takes a bounded amount of memory: libxml2 needs some 150 octets for each node."""
    if len(data) <= _OCTETS:
        return True
    return len(data) <= _MOST and data.count(b"<") <= _ELEMENTS and data.count(b"=") <= _ATTRIBUTES


def check(data: bytes, options: Options, gone: frozenset[str]) -> None:
    """Refused("over-limit") when something in this part would have to be changed, ("damaged") when it is no XML."""
    if not _START.match(data) or _ENCODING.search(data, 0, 200) or _ACTING.search(data):
        raise Refused("over-limit")
    _check_tree(data)
    if any(f'"{identifier}"'.encode() in data for identifier in gone):
        raise Refused("over-limit")
    if any(_code(match[1], options) for match in _FORMULA.finditer(data)):
        raise Refused("over-limit")


def _check_tree(data: bytes) -> None:
    """Refuse what is no XML, and elements in each other without end; nothing is kept in memory."""
    from xml.parsers import expat

    depth = 0

    def begin(_name: str, _attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEPTH:
            raise Refused("bomb")

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Refused("damaged") from error


def _code(formula: bytes, options: Options) -> str:
    from html import unescape

    return formulas.code_of(unescape(formula.decode("utf-8", "replace")), options)
