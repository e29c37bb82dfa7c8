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
    rb"|sn(?![a-z])(?:(?<!\{\\sn)|(?!\ ?(?!pfragments)[a-z0-9]{1,80}\})))"
)
# A field as most programs write it: read once, it is the same wherever it stands.
_PLAIN = re.compile(rb"\{(?:\\\*)?\\fldinst[ {][^{}\\\x00-\x1f]{0,200}\}")
_INSTRUCTION = (b"{\\*\\fldinst", b"{\\fldinst")
_NOT_BRACES = bytes(set(range(256)) - set(b"{}"))
_PASSES = 40
_WINDOW = 1 << 17
_OVERLAP = 256
_KNOWN = 1_000


def look(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Yield the dangers of an RTF document."""
    try:
        removed = _fields(content)
        if removed is None:
            if content.size > OCTETS:
                raise TooLarge
            reader = Reader(Options(frozenset(FEATURES)))
            reader.read(content.whole())
            removed = reader.removed
    except Refused as refused:
        removed = {refused.code}
    yield from sorted({danger(code) for code in removed} - {""})


def _fields(content: Content) -> set[str] | None:
    """Return the codes of the fields of a document in which nothing else can act; None when all has to be read."""
    begin = BEGIN.match(content.read(0, _OVERLAP))
    if begin is None:
        return None
    fields = _Fields()
    position, braces = begin.end(), b""
    while position < content.size:
        data = content.read(position, _WINDOW)
        length = fields.judge(data, last=position + len(data) >= content.size)
        braces = _flattened(braces + _braces(data[:length]))
        if not length or len(braces) > DEPTH - _PASSES:
            return None
        position += length
    return fields.reader.removed


class _Fields:
    """The fields of a document in which nothing else acts."""

    __slots__ = ("_known", "reader")

    def __init__(self) -> None:
        self.reader = Reader(Options(frozenset(FEATURES)))
        self._known: set[bytes] = set()

    def judge(self, data: bytes, *, last: bool) -> int:
        """Judge a part of a document; return where to go on, 0 when all of it has to be read."""
        lower = data.lower()
        end = len(data) if last else len(data) - _OVERLAP
        position = 0
        while (match := _SUSPICIOUS.search(lower, position)) and match.start() < end:
            start = next((match.end() - len(mark) for mark in _INSTRUCTION if lower.endswith(mark, 0, match.end())), -1)
            if match.lastgroup != "field" or start < position or data[start - 1 : start] == b"\\":
                return 0
            position = self._read(data, start, last=last)
            if position >= len(data) and not last:
                return start
        if last:
            return end
        end = max(position, data.rfind(b"{", 0, end))
        return len(data[:end].rstrip(b"\\"))

    def _read(self, data: bytes, start: int, *, last: bool) -> int:
        """Judge the field that begins at `start`; return where it ends, the end of the data when it ends behind it."""
        plain = _PLAIN.match(data, start)
        if plain is not None and plain[0] in self._known:
            return plain.end()
        removed = set(self.reader.removed)
        end = self.reader.read_group(data, start)
        if end >= len(data) and not last:
            self.reader.removed = removed
        elif plain is not None and len(self._known) < _KNOWN:
            self._known.add(plain[0])
        return end


def _braces(data: bytes) -> bytes:
    """Return the braces that open and close groups."""
    if b"\\{" in data or b"\\}" in data:
        data = data.replace(b"\\\\", b"").replace(b"\\{", b"").replace(b"\\}", b"")
    return data.translate(None, _NOT_BRACES)


def _flattened(braces: bytes) -> bytes:
    """Take pairs of braces away, the innermost first, and those that close nothing."""
    for _ in range(_PASSES):
        if len(braces) < _PASSES:
            break
        braces = braces.replace(b"{}", b"").lstrip(b"}")
    return braces
