"""PDF (ISO 32000): a quick look at names of actions and attachments, also in object streams and spelt with #xx."""

from __future__ import annotations

import re

from mailguard.formats.budget import TooLarge, Unreadable, windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

_ACTIVE = (
    "JavaScript", "Launch", "EmbeddedFile", "EmbeddedFiles", "RichMedia", "Rendition", "XFA", "SubmitForm",
    "ImportData", "GoToE",
)  # fmt: skip
_DICTIONARY = 4_096
_OBJECT_STREAMS = 20_000


def _spelt(name: str) -> str:
    """Return a pattern for the name with any character written as #xx."""
    return "".join(f"(?:{letter}|(?i:#{ord(letter):02x}))" for letter in name)


_KEYS = re.compile(
    (
        "/(?:(?P<active>" + "|".join(map(_spelt, _ACTIVE)) + ")|(?P<encrypt>" + _spelt("Encrypt") + ")|(?P<objects>"
        + _spelt("ObjStm") + r"))(?=[\s\0()<>\[\]{}/%]|\Z)"
    ).encode("ascii")
)  # fmt: skip
_STREAM = re.compile(rb"stream(?:\r\n|\n|\r)")
_FLATE = re.compile(rb"/(?:FlateDecode|Fl)\b")
_OTHER_FILTERS = re.compile(rb"/(?:ASCII|AHx|A85|LZW|RunLength|RL|Crypt|DecodeParms|DP\b|F\s*[(<])|/#|#[0-9a-fA-F]{2}")


def examine(content: Content, _names: Sequence[str], quota: Quota) -> Iterator[str]:
    """Examine a PDF."""
    base = 0
    kept = streams = 0
    seen: set[str] = set()
    for window in windows(content.chunks(), _DICTIONARY):
        for match in _KEYS.finditer(window):
            group = str(match.lastgroup)
            if group != "objects":
                seen.add(group)
            elif match.end() > kept:
                streams += 1
                if streams > _OBJECT_STREAMS:
                    raise Unreadable
                seen.update(_object_stream(content, base + match.end(), quota))
        base += len(window) - min(len(window), _DICTIONARY)
        kept = min(len(window), _DICTIONARY)
    if "active" in seen:
        yield "pdf-active"
    if "encrypt" in seen:
        yield "encrypted-document"


def _object_stream(content: Content, position: int, quota: Quota) -> set[str]:
    """Search the object stream whose dictionary names its type just before `position`."""
    from mailguard.formats.budget import inflated

    begin = max(position - _DICTIONARY, 0)
    around = content.read(begin, 2 * _DICTIONARY)
    at = _STREAM.search(around, position - begin)
    if at is None:
        return {"active"}
    start = around.rfind(b" obj", 0, position - begin)
    dictionary = around[max(start, 0) : at.start()]
    if _OTHER_FILTERS.search(dictionary):
        return {"active"}
    if not _FLATE.search(dictionary):
        return set()
    found: set[str] = set()
    try:
        for window in windows(quota.counted(inflated(content, begin + at.end(), content.size, 15)), 128):
            found.update(str(match.lastgroup) for match in _KEYS.finditer(window))
    except (Unreadable, TooLarge):
        return {"active"}
    return found - {"objects"}
