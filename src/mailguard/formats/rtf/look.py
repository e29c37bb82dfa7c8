"""What acts in an RTF document: what the reader would take out, as far as it is dangerous.

Most documents hold no word that could lead to anything dangerous; of others, only the instructions of their fields have
to be read.  Whatever this cannot tell for certain, the reader decides, who understands all of the document.
"""

from __future__ import annotations

import re

from mailguard.formats.budget import TooLarge
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import FEATURES, Options, Refused
from mailguard.formats.rtf.reader import ACTING, BEGIN, DEPTH, OCTETS, Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

# In lower case: words that act; the characters that mark a field, 19 to 21, also as what is left of a number in 16 bits
# ([MS-DOC] 2.8.25; RTF 1.9.1, "Unicode"); and names of properties that are not written as they are.
_SUSPICIOUS = re.compile(
    rb"\\(?=[fomkntbs'u])(?:(?P<field>fldinst)(?![a-z])|" + ACTING + rb"|bin-?\d"
    rb"|'1[345]|u(?:0*(?:19|2[01])(?!\d)|-0*6551[567](?!\d)|0*6555[567](?!\d)|-?\d{6,})"
    rb"|sn(?![a-z])(?!\ ?(?!pfragments)[a-z0-9]{1,80}\}))"
)
_INSTRUCTION = (b"{\\*\\fldinst", b"{\\fldinst")
_NOT_BRACES = bytes(set(range(256)) - set(b"{}"))
_PASSES = 40


def look(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Yield the dangers of an RTF document."""
    if content.size > OCTETS:
        raise TooLarge
    data = content.whole()
    try:
        removed = _fields(data)
        if removed is None:
            reader = Reader(Options(frozenset(FEATURES)))
            reader.read(data)
            removed = reader.removed
    except Refused as refused:
        removed = {refused.code}
    yield from sorted({danger(code) for code in removed} - {""})


def _fields(data: bytes) -> set[str] | None:
    """Return the codes of the fields of a document in which nothing else can act; None when more has to be read."""
    begin = BEGIN.match(data)
    if begin is None or not _is_flat(data):
        return None
    lower = data.lower()
    reader = Reader(Options(frozenset(FEATURES)))
    position = begin.end()
    while match := _SUSPICIOUS.search(lower, position):
        start = next((match.end() - len(mark) for mark in _INSTRUCTION if lower.endswith(mark, 0, match.end())), -1)
        if match.lastgroup != "field" or start < position or data[start - 1 : start] == b"\\":
            return None
        position = reader.read_group(data, start)
    return reader.removed


def _is_flat(data: bytes) -> bool:
    """Tell whether groups are nested less deeply than the reader allows, by taking the innermost away."""
    if b"\\{" in data or b"\\}" in data:
        data = data.replace(b"\\\\", b"").replace(b"\\{", b"").replace(b"\\}", b"")
    braces = data.translate(None, _NOT_BRACES)
    for _ in range(_PASSES):
        if braces.count(b"{") < DEPTH - _PASSES:
            return True
        braces = braces.replace(b"{}", b"")
    return False
