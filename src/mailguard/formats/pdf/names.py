"""The names in a PDF that could mean something dangerous, wherever they stand, also in its object streams.

No reader can find an action in a document that holds none of its names: they stand in the file itself (ISO 32000-2,
7.3.5, with any character as #xx) or in object streams (7.5.7), which are found here by the keys that every reader needs
of them, whatever their type is called.  A stream whose dictionary or filters are not the simplest is `UNCLEAR`.
"""

from __future__ import annotations

import re

from mailguard.formats.budget import Quota, TooLarge, Unreadable, inflated, windows
from mailguard.formats.pdf.words import ACTING, ACTING_KEYS, DANGEROUS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailguard.message.content import Content

UNCLEAR, ENCRYPTED, OTHER_FILE, AUTOMATIC, ADDRESS = "unclear", "encrypted", "other file", "automatic", "address"
_DICTIONARY = 4_096
_OVERLAP = 512
_OBJECT_STREAMS = 20_000
_END = rb"(?=[\s\0()<>\[\]{}/%]|\Z)"
# A string (to qpdf any junk is one), a dictionary, a reference; and what stands too far away to tell.
_REFERENCE = rb"\d{1,30}+(?:\d|[\s\0]{0,99}+(?:[\s\0%]|\d{1,30}+(?:[\d%]|[\s\0]{1,99}+[\s\0%R])))"
_VALUE = rb"[\s\0]{0,99}+(?:[\s\0(<%]|(?<=[\s\0])[A-Za-z]|" + _REFERENCE + rb")"
_FILES = ("/F", "/UF", "/FS", "/DOS", "/Mac", "/Unix")
_PLACES = {"/Encrypt": ENCRYPTED, "/URI": ADDRESS, "/AA": AUTOMATIC, "/OpenAction": AUTOMATIC}
_NAMES = {**{name: name for name in DANGEROUS}, **_PLACES}
_CODED_NAMES = {**_NAMES, **dict.fromkeys(_FILES, OTHER_FILE)}
_STREAMS = ("/ObjStm", "/First")
_FOUND = re.compile(
    rb"/(?:(?P<name>"
    + "|".join(sorted({name[1:] for name in (*_NAMES, *_STREAMS)} - {"OpenAction"})).encode("ascii")
    + rb")" + _END
    + rb"|(?P<open>OpenAction)(?!\s{0,9}\[)" + _END
    + rb"|(?P<file>(?:F|UF|FS|DOS|Mac|Unix)" + _VALUE + rb")"
    + rb"|(?P<coded>[A-Za-z0-9]{0,40}#[0-9A-Fa-f]{2}[A-Za-z0-9#]{0,120})" + _END
    + rb")"
)  # fmt: skip
# The name of an action as the value of a key, or what may be one: a reference, a comment.
_ACTING = re.compile(
    rb"/(?:S|Subtype)(?=[\s\0/%])[\s\0]{0,99}+(?:(?:" + "|".join(sorted(ACTING)).encode("ascii") + rb")" + _END
    + rb"|[\s\0%]|" + _REFERENCE + rb")"
    rb"|(?:" + "|".join(sorted(ACTING_KEYS)).encode("ascii") + rb")[\s\0]{0,99}+(?:[\s\0%\[]|<<|" + _REFERENCE + rb")"
)  # fmt: skip
_CODED = re.compile(rb"#([0-9A-Fa-f]{2})")
# An object stream as programs write it: nothing but names, numbers and references, and one filter.  On its own line
# it is in no comment, and without a parenthesis in no string of another object.
_OBJECT = re.compile(rb"[\r\n][\s\0]{0,20}\d{1,10}[\s\0]{1,20}\d{1,5}[\s\0]{1,20}obj[\s\0]{0,20}\Z")
_SIMPLE = re.compile(rb"<<(?P<keys>[A-Za-z0-9/\[\]\s\0]{1,2000}+)>>[\s\0]{0,20}stream(?:\r\n|\n|\r)")
_SHORT = re.compile(rb"/(?:F|DP)(?![A-Za-z])")  # short names, which pdf.js reads here too (1.0 to 5.x)
_GAP = re.compile(rb"[\s\0]++|%[^\r\n]*+[\r\n]")
_TEXT = rb"(?:[^()\\]|\\.)"
_TOKEN = re.compile(
    _GAP.pattern + rb"|/[^\s\0()<>\[\]{}/%]*+|(?P<mark><<|>>|\[|\])"
    rb"|\((?:"
    + _TEXT
    + rb"|\("
    + _TEXT
    + rb"*\))*\)|<[0-9A-Fa-f\s\0]*+>|(?:[+-]?[\d.]++|true|false|null|R)(?=[\s\0()<>\[\]{}/%])",
    re.DOTALL,
)
_CLOSED_BY = {b"<<": b">>", b"[": b"]"}
_FLATE = re.compile(rb"/Filter[\s\0]{0,9}(?:/FlateDecode|\[[\s\0]{0,9}/FlateDecode[\s\0]{0,9}\])[\s\0]{0,9}(?=/|\Z)")


def names(content: Content, quota: Quota | None = None) -> set[str]:
    """Return those of `DANGEROUS`, and what else a look has to know: UNCLEAR, ENCRYPTED, OTHER_FILE...

    quota: what the object streams may unpack to.
    """
    quota = quota or Quota()
    found: set[str] = set()
    streams: set[int] = set()
    base = 0
    for window in windows(content.chunks(), _OVERLAP):
        for position in _searched(window, found):
            streams.add(base + position)
            if len(streams) > _OBJECT_STREAMS:
                return found | {UNCLEAR}
        base += len(window) - min(len(window), _OVERLAP)
    done: set[int] = set()
    for position in streams:
        _object_stream(content, position, quota, found, done)
    return found


def _searched(window: bytes, found: set[str]) -> list[int]:
    """Add the names in a piece to `found`; return where those stand that object streams need."""
    streams = []
    for match in _FOUND.finditer(window):
        kind = match.lastgroup
        if kind == "open":
            found.add(AUTOMATIC)
        elif kind == "file":
            found.add(OTHER_FILE)
        else:
            name = "/" + str(_CODED.sub(lambda code: bytes((int(code[1], 16),)), match[kind or 0]), "latin-1")
            if name in _STREAMS:
                streams.append(match.start())
            elif name in _CODED_NAMES:
                found.add(_CODED_NAMES[name])
    return streams


def _object_stream(content: Content, position: int, quota: Quota, found: set[str], done: set[int]) -> None:
    """Search the object stream in whose dictionary a name stands at `position`, if it is in one of a stream."""
    if not _has_stream(content.read(position, 2 * _DICTIONARY)):
        return
    begin = max(position - _DICTIONARY, 0)
    around = content.read(begin, 2 * _DICTIONARY)
    at = position - begin
    start = max(around.rfind(b"<<", 0, at), 0)
    simple = _SIMPLE.match(around, start) if _OBJECT.search(around[max(start - 60, 0) : start]) else None
    if simple is None or simple.end("keys") <= at:
        found.add(UNCLEAR)
        return
    place = begin + simple.end()
    if place in done:
        return
    done.add(place)
    keys = simple["keys"]
    if b"Filter" not in keys and b"DecodeParms" not in keys and not _SHORT.search(keys):
        return  # it stands there as it is
    if _SHORT.search(keys) or not _FLATE.search(keys) or keys.count(b"/Filter") != 1 or b"/DecodeParms" in keys:
        found.add(UNCLEAR)
        return
    try:
        _search_all(windows(quota.counted(inflated(content, place, content.size - place, 15)), _OVERLAP), found)
    except (Unreadable, TooLarge):
        found.add(UNCLEAR)


def _search_all(pieces: Iterable[bytes], found: set[str]) -> None:
    for window in pieces:
        _searched(window, found)


def _has_stream(rest: bytes) -> bool:
    """Tell whether a dictionary may be that of a stream: `rest` is what stands from a key or a value of its own on."""
    position, closing = 0, [b">>"]
    while closing and (token := _TOKEN.match(rest, position)):
        position = token.end()
        mark = token["mark"]
        if mark in _CLOSED_BY:
            closing.append(_CLOSED_BY[mark])
        elif mark and mark != closing.pop():
            return True
    while token := _GAP.match(rest, position):
        position = token.end()
    return bool(closing) or rest.startswith(b"stream", position) or len(rest) - position < len(b"stream")


def acts(data: bytes) -> bool:
    """Tell whether an action may stand anywhere in a document or a stream of objects, whatever leads to it.

    Unlike those of `names`, these are no words of an address or of the text of a page.
    """
    if b"#" in data:
        data = _CODED.sub(lambda code: bytes((int(code[1], 16),)), data)
    return bool(_ACTING.search(data))
