"""Structured header values: Content-Type and Content-Disposition with their parameters (RFC 2045 5.1, 2183, 2231).

`parse` gives the one reading that we act on, `boundaries` and `names` every reading that some mail reader may have.
All three take any bytes, as they stand behind the colon (folded or not), and need time linear in their length.
"""

from __future__ import annotations

import functools
import re

from mailguard.filename import extension
from mailguard.message import words
from mailguard.message.sections import Section, by_number, joined, joined_in_every_way, sections_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    _Grammar = tuple[re.Pattern[bytes], re.Pattern[bytes], bytes, bytes]

MAX_NAMES = 32
MAX_NAME = 1024  # characters
MAX_BOUNDARIES = 16
_WINDOW = 4096  # octets of a parameter that are read as a name; names of 255 emoji need 3 KB
_LONGEST = 16384  # octets of a value that are searched for further readings
_BUDGET = 65536  # octets that are decoded for the names of one value
_MAX_PLACES = 32  # parameters of one value that are read as names or boundaries
_MAX_FIELDS = 16
_LONGEST_EXTENSION = 32
_FEW_CHARACTERS = 4096  # of all names of a part; one long tail can be the end of each of 32 names

# Patterns that plain mail does not need stay uncompiled until they are used: a filter starts for every mail.
_TOKEN = rb"[!#$%&'*+.^_`{|}~0-9A-Za-z-]++"
# Two octets of ISO-2022-JP between escape sequences may look like a quote or a backslash, and so may the second octet
# of a Shift_JIS character.
_JIS_TEXT = rb"(?:\$[@B]|\$\(D|\(I)[^\x1b\r\n]*+(?=\x1b\()"
_JIS = rb"\x1b" + _JIS_TEXT
_SJIS = rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]"
# The alternatives exclude each other, so that there is one way to match: a possessive group would say the same, but
# CPython 3.11 before 3.11.5 matches possessive groups wrongly when their last round fails half-way (gh-106052).
_QUOTED = rb'"(?:[^"\\\x1b\r\n\0]++|\\[^\r\n\0]|' + _JIS + rb"|\x1b(?!" + _JIS_TEXT + rb'))*"'
_QUOTED_SJIS = rb'"(?:' + _SJIS + rb"|(?!" + _SJIS + rb')[^"\\\x1b\r\n\0]|\\[^\r\n\0])*"'
_VALUE = rb"[ \t]*+(" + _TOKEN + rb"(?:/" + _TOKEN + rb")?)"


@functools.cache
def _grammar(quoted: bytes, pair: bytes) -> _Grammar:
    """Return the patterns of a conforming value, one parameter, a quoted string, and what stands behind an escape."""
    one = rb";[ \t]*+(" + _TOKEN + rb")=(" + _TOKEN + rb"|" + quoted + rb")[ \t]*+"
    whole = _VALUE + rb"[ \t]*+(?:" + one + rb")*;?[ \t]*\Z"
    escape = rb"(" + pair + rb")|\\(.)"
    return re.compile(whole), re.compile(one), quoted, b"(?s)" + escape


_LOOSE_VALUE = rb'[\s"]*+([^\s/;()",=]++)(?:\s*+/\s*+([^\s;()",]++))?'
_LOOSE = rb"(?<=[;,\s])([^\s=;,\"]++)\s*+=\s*+(" + _QUOTED[:-1] + rb'(?:"|\Z)|[^;\s]*+)'
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_FOLD_AND_BLANKS = rb"\r?\n[ \t]++"
_CONTROLS = bytes((*range(9), 11, 12, *range(14, 27), *range(28, 32), 127))
_COMMENT_PIECE = rb'(?s)[^"()\\]++|\\.?|"(?:[^"\\]++|\\.)*"?|[()]'
_NAMES = frozenset({b"filename", b"name"})
_NAME = rb"(?i)(?<![\w.-])(filename|name)\s*+(\*\s*+\d*+\*?+)?\s*+=\s*+"
_REMEMBERED = 256  # octets of a value whose reading is remembered
_NEXT = rb";[ \t\r\n]*+(?:[!#$%&'*+.^_`{|}~0-9A-Za-z-]++[ \t]*+=|\Z)"
_RUNS_ON = rb"(?i)(?<![\w.-])(?:file)?name[ \t]*+=[ \t]*+[^\"\s;][^;\"]*+(?=;)(?!" + _NEXT + rb")"
_BOUNDARY = rb"(?i)boundary\s*+(\*\s*+\d*+\*?+)?\s*+=\s*+"


class Structured:
    """A structured value.

    value: lower case, without blanks and comments, b"" when there is none; parameters: (lower-case name as written,
    with its asterisks; value with quotes and escapes removed) in order; conforming: nothing deviates from RFC 2045 5.1,
    except 8-bit octets and ISO-2022-JP in quoted strings.
    """

    __slots__ = ("conforming", "parameters", "value")

    def __init__(self, value: bytes, parameters: list[tuple[bytes, bytes]], *, conforming: bool) -> None:
        self.value = value
        self.parameters = parameters
        self.conforming = conforming

    def get(self, name: bytes) -> bytes | None:
        """Return the first parameter of this name, else what RFC 2231 sections and codes give, else None."""
        for key, value in self.parameters:
            if key == name:
                return value
        sections = [section for section in sections_of(self.parameters) if section.name == name]
        return joined(sorted(sections, key=by_number))[0] if sections else None

    def __repr__(self) -> str:
        return f"Structured({self.value!r}, {self.parameters!r}, conforming={self.conforming})"


def parse(value: bytes) -> Structured:
    """Read a structured value; a broken one as most readers would, with conforming=False.

    The same value gives the same object, which nobody changes.
    """
    return (_parsed if len(value) <= _REMEMBERED else _parsed.__wrapped__)(value)


@functools.lru_cache(512)  # most mails have the same few values, and each is asked for more than once
def _parsed(value: bytes) -> Structured:
    value = _FOLD.sub(b"", value) if b"\n" in value else value
    for strict, parameter, _, unescape in _grammars(value):
        match = strict.match(value)
        if match is not None:
            found = [(one[1].lower(), _unquoted(one[2], unescape)) for one in parameter.finditer(value, match.end(1))]
            return Structured(match[1].lower(), found, conforming=True)
    return _loose(value)


def _grammars(value: bytes) -> tuple[_Grammar, ...]:
    """Return the grammars to try: that of Shift_JIS first where the octets are more likely that."""
    if value.isascii():
        return (_grammar(_QUOTED, _JIS),)
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return (_grammar(_QUOTED_SJIS, _SJIS), _grammar(_QUOTED, _JIS))
    return (_grammar(_QUOTED, _JIS), _grammar(_QUOTED_SJIS, _SJIS))


def _loose(value: bytes) -> Structured:
    value = _without_comments(value).translate(None, _CONTROLS)
    match = re.match(_LOOSE_VALUE, value)
    if match is None:
        kind, end = b"", 0
    else:
        kind, end = match[1] + (b"/" + match[2] if match[2] else b""), match.end()
    found = []
    for one in re.compile(_LOOSE).finditer(value, end):
        key, text = one[1].lower(), one[2]
        if key in _NAMES and not text.startswith(b'"'):
            text = _with_blanks(value, one.start(2), text)
        found.append((key, _unquoted(text, _grammar(_QUOTED, _JIS)[3])))
    return Structured(kind.lower(), found, conforming=False)


def _with_blanks(value: bytes, start: int, text: bytes) -> bytes:
    """Return an unquoted name up to the semicolon, as most readers do, unless a parameter seems to follow it."""
    stop = value.find(b";", start, start + _WINDOW)
    segment = value[start : stop if stop >= 0 else start + _WINDOW].strip()
    return text if b"=" in segment else segment


def _unquoted(raw: bytes, unescape: bytes) -> bytes:
    if not raw.startswith(b'"'):
        return raw
    raw = raw[1:].removesuffix(b'"') if len(raw) > 1 else b""
    return re.sub(unescape, _kept, raw) if b"\\" in raw else raw


def _kept(match: re.Match[bytes]) -> bytes:
    return match[1] or match[2] or b""


def _without_comments(value: bytes) -> bytes:
    """Replace comments (RFC 5322 3.2.2), nested ones too, by nothing; an open one ends with the value."""
    if b"(" not in value:
        return value
    kept = []
    depth = 0
    for match in re.finditer(_COMMENT_PIECE, value):
        piece = match[0]
        if piece == b"(":
            depth += 1
        elif piece == b")" and depth:
            depth -= 1
        elif not depth:
            kept.append(piece)
    return b"".join(kept)


def boundaries(value: bytes) -> list[bytes]:
    """Return the boundaries that some reader may take from a Content-Type value, the most usual first; at most 16.

    First and last of duplicates, quoted or not, escapes undone or not, RFC 2231 and RFC 2047 forms, trailing blanks.
    More than one means that readers may see different parts, 16 that there may be more than these.
    """
    found: dict[bytes, None] = {}
    for text in _boundary_texts(value):
        found.setdefault(text)
        if len(found) >= MAX_BOUNDARIES:
            return list(found)
    for reading in [reading for text in found for reading in _boundary_readings(text)]:
        found.setdefault(reading)
    return list(found)[:MAX_BOUNDARIES]


def _boundary_texts(value: bytes) -> Iterator[bytes]:
    structured = parse(value)
    yield from (text for key, text in structured.parameters if key == b"boundary")
    yield from _section_readings(each for each in sections_of(structured.parameters) if each.name == b"boundary")
    for variant in _variants(value):
        places = _places(_BOUNDARY, variant)
        for match in places:
            yield from _values(variant, match.end()) if not match[1] else ()
        yield from _section_readings(
            Section(b"boundary", match[1], _values(variant, match.end())[0]) for match in places if match[1]
        )


def _boundary_readings(text: bytes) -> Iterator[bytes]:
    """Yield what readers make of the text of a boundary that do more to it, or less."""
    yield text.rstrip(b" \t")
    others = [(words.encoded_words(text) or "").encode("utf-8", "replace")] if b"=?" in text else []
    if len(text) > 2 and text[:1] == text[-1:] == b"'":
        others.append(text[1:-1])
    for other in others:
        yield other
        yield other.rstrip(b" \t")


def _variants(value: bytes) -> list[bytes]:
    """Return the value unfolded in both ways, without controls, and without comments."""
    value = value[:_LONGEST]
    variants = [_FOLD.sub(b"", value)]
    if b"\n" in value:
        variants.append(re.sub(_FOLD_AND_BLANKS, b"", value))
    if b"(" in value:
        variants.append(_without_comments(variants[0]))
    cleaned = variants[0].translate(None, _CONTROLS + b"\r\n")
    if cleaned != variants[0]:
        variants.append(cleaned)
    return list(dict.fromkeys(variants))


def _places(pattern: bytes, value: bytes) -> list[re.Match[bytes]]:
    """Return the first and the last places; what lies between, no reader takes: it takes the first or the last."""
    places = list(re.finditer(pattern, value))
    return places if len(places) <= _MAX_PLACES else places[: _MAX_PLACES // 2] + places[-_MAX_PLACES // 2 :]


def _values(raw: bytes, start: int) -> list[bytes]:
    """Return what readers may take as the parameter value that begins at `start`, the most usual first."""
    raw = raw[start : start + _WINDOW]
    if not raw.startswith(b'"'):
        segment = raw.partition(b";")[0].rstrip()
        first = segment.split(None, 1)[0] if segment else b""
        found = [first, segment]
        if b'"' in segment:
            found += [segment.replace(b'"', b""), segment.partition(b'"')[2].partition(b'"')[0]]
        return list(dict.fromkeys(found))
    found = []
    for _, _, quoted, unescape in _grammars(raw):
        match = re.match(quoted, raw)
        if match is not None:
            found.append(_unquoted(match[0], unescape))
            tail = raw[match.end() :].partition(b";")[0]
            if tail.strip():
                found.extend(((match[0] + tail).replace(b'"', b"").strip(), (match[0] + tail).strip().strip(b'"')))
    inside = raw[1:]
    naive, quote, _ = inside.partition(b'"')
    if not found or b"\\" in raw:
        found.append(naive)
    if not quote or not found:
        found.extend((raw.partition(b";")[0].rstrip(), inside.partition(b";")[0].rstrip()))
    return list(dict.fromkeys(found))


def _run_on(raw: bytes) -> list[bytes]:
    r"""Return an unquoted name up to the next parameter: `file;.hta`, and `file\\;.hta` (mailparser 3, munpack)."""
    if raw.startswith(b'"') or b";" not in raw:
        return []
    whole = re.split(_NEXT, raw, maxsplit=1)[0].rstrip(b"; \t\r\n")
    return [whole, whole.replace(b"\\", b"")] if b";" in whole else []


def name_runs_on(value: bytes) -> bool:
    """Tell whether an unquoted name goes on behind a semicolon: "file" to some readers, `file;.hta` to others."""
    return re.search(_RUNS_ON, value[:_LONGEST]) is not None


def _section_readings(sections: Iterable[Section]) -> list[bytes]:
    return [octets for octets, _ in joined_in_every_way(list(sections))]


def names(content_type: Sequence[bytes], content_disposition: Sequence[bytes]) -> list[str]:
    """Return every file name that some reader may read from the values of these fields, the most usual first.

    At most 32 names of at most 1,024 characters; of more, or of more than 4,096 characters in all, those with different
    extensions are kept first, and a longer one is cut in the middle so that its extension stays.
    """
    values = (*_ends(content_disposition), *_ends(content_type))
    return list((_names if sum(map(len, values)) <= _REMEMBERED else _names.__wrapped__)(values))


@functools.lru_cache(512)
def _names(values: tuple[bytes, ...]) -> list[str]:
    found: list[str] = []
    for value in values:
        found.extend(primary_names(parse(value[:_LONGEST])))
    for value in values:
        for readings in _value_names(value):
            found.extend(readings)
    return _bounded(list(dict.fromkeys(name for text in found for name in _cleaned(text))))


def primary_names(structured: Structured) -> list[str]:
    """Return the name of each parameter that carries one, in its most plausible reading (for comparison)."""
    found = []
    sections = list(sections_of(structured.parameters))
    for name in (b"filename", b"name"):
        own = sorted((section for section in sections if section.name == name), key=by_number)
        if own:
            octets, charset = joined(own)
            found.append(words.decoded(octets, charset) if charset else words.texts(octets)[0])
    for key, text in structured.parameters:
        if key in _NAMES:
            found.append(words.texts(text)[0])
    return found


def _ends(values: Sequence[bytes]) -> list[bytes]:
    half = _MAX_FIELDS // 2
    return list(values if len(values) <= _MAX_FIELDS else (*values[:half], *values[-half:]))


def _value_names(value: bytes) -> Iterator[list[str]]:
    seen: set[bytes] = set()
    budget = _BUDGET
    for octets, charset in _value_octets(value):
        if octets in seen and not charset:
            continue
        seen.add(octets)
        budget -= len(octets)
        if budget < 0:
            return
        yield [words.decoded(octets, charset), *words.texts(octets)] if charset else _plain_texts(octets)


def _value_octets(value: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (octets, charset or b"") of everything that may be a name."""
    for variant in _variants(value):
        sections: dict[bytes, list[Section]] = {}
        for match in _places(_NAME, variant):
            readings = _values(variant, match.end())
            readings += _run_on(variant[match.end() : match.end() + _WINDOW])
            if match[2]:
                section = Section(match[1], match[2].strip(), readings[0])
                sections.setdefault(section.name, []).append(section)
            for octets in readings[bool(match[2]) :]:
                yield octets, b""
        for own in sections.values():
            yield from joined_in_every_way(own)


def _plain_texts(raw: bytes) -> list[str]:
    readings = words.texts(raw)
    if b"%" in raw:
        readings.extend(words.texts(words.percent(raw)))
    return readings


def _cleaned(text: str) -> Iterator[str]:
    """Yield the name; where it holds NUL, CR or LF also cut there, and with them removed."""
    text = text.strip()
    if text:
        yield text
    if any(control in text for control in "\0\r\n"):
        cut = re.split("[\0\r\n]", text, maxsplit=1)[0].strip()
        removed = re.sub("[\0\r\n]+", "", text).strip()
        yield from (name for name in (cut, removed) if name)


def _bounded(found: list[str]) -> list[str]:
    found = [name if len(name) <= MAX_NAME else name[: MAX_NAME - 64] + name[-64:] for name in found]
    if len(found) <= MAX_NAMES and sum(map(len, found)) <= _FEW_CHARACTERS:
        return found
    kept = {_extension(name): name for name in reversed(found)}
    distinct = list(kept.values())[::-1]
    room = _FEW_CHARACTERS - sum(map(len, distinct))
    others = []
    for name in found:
        room -= len(name) * (kept[_extension(name)] is not name)
        if room < 0:
            break
        others.append(name)
    return list(dict.fromkeys((*distinct, *others)))[:MAX_NAMES]


def _extension(name: str) -> str:
    """Return what decides by which program a file is opened; the end of it, where it is too long to be one."""
    return (extension(name) or name.lower())[-_LONGEST_EXTENSION:]
