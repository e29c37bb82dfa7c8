"""Strict checks of encoded bodies, and the search for files that hide in text.

All of it works on ranges of the message, in time linear in their length, mostly at the speed of the C library: 50 MB
of base64 must not cost seconds, nor a copy of the whole.
"""

from __future__ import annotations

import re

from mailguard.message import encoding as transfer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.message.tree import Part

_PIECE = 1 << 18
_OVERLAP = 4096
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LONGEST_LINE = 998
_BAD_CODE = rb"=(?![0-9A-Fa-f]{2}|[ \t]*+(?:\r?\n|\Z))"
_NAMED_FILE = rb"(?<![^\r\n])(?:=ybegin [^\r\n]*?name=|\(This file must be converted with BinHex)"
_FILE_MARKS = (b"=ybegin", b"(This file must be")
# Programs that decode uuencoded files take any mode, some without a blank behind it.
_UU_BEGIN = rb"[Bb][Ee][Gg][Ii][Nn](?<![^\r\n].{5})(?:-[Bb][Aa][Ss][Ee]64)?[ \t]++([^\s][^\r\n]*+)"
_UU_MODE = re.compile(rb"[0-7]{3,4}[ \t]++[^\s]")
_UU_END = rb"[\r\n][^\r\n]++[\r\n]++(?:end|====)[ \t]*+(?:[\r\n]|\Z)"
_UU_LINE = re.compile(rb"[\r\n]++([ -`]{1,90})(?:[\r\n]|\Z)")
_BASE64_LINE = rb"[\r\n][ \t>]*+[A-Za-z0-9+/]{48,}+={0,2}\r?(?=[\r\n])"
_BASE64_RUN = rb"(?:" + _BASE64_LINE + rb"){6}"
_MARKED = bytes(97 if octet in _ALPHABET else 32 for octet in range(256))
_SHORTEST_RUN = b"a" * 48
_FIELDS = re.compile(rb"\s*+(?:content-(?:type|transfer-encoding|disposition)|mime-version)[ \t]*+:", re.IGNORECASE)
_FIELD_LINE = rb"(?i)[\r\n][ \t]*+content-(?:type|transfer-encoding|disposition)[ \t]*+:"
_ANY_FIELD = rb"[!-9;-~]++:"
_NO_FIELD = rb"\n(?![ \t]|[!-9;-~]++:)"
_FIELD_AT_MARGIN = rb"(?i)\n(?:content-(?:type|transfer-encoding|disposition)|mime-version)[ \t]*+:"
_PARTS = rb"(?i)[\r\n]--[^\r\n]++[\r\n]++content-(?:type|transfer-encoding|disposition)[ \t]*+:"
_ARMOR = b"-----BEGIN "
_ARMOR_REACH = 400


def base64_conforms(raw: bytes, start: int, end: int) -> bool:
    """Tell whether `raw[start:end]` is base64 that every reader decodes to the same bytes.

    Lines of whole groups of four, not longer than 998; nothing but the alphabet, line ends and one padding at the very
    end; empty lines only behind it.
    """
    while end > start and raw[end - 1] in b"\r\n \t":
        end -= 1
    if start == end:
        return True
    padding = 0
    while padding < 2 and end - padding > start and raw[end - padding - 1] == 61:
        padding += 1
    end -= padding
    line = max(raw.rfind(b"\n", start, end) + 1, start)
    if (end - line + padding) % 4 or end == line:
        return False
    if not _only_alphabet(raw, start, end):
        return False
    return _regular_lines(raw, start, end) or _whole_groups(raw, start, end)


def _only_alphabet(raw: bytes, start: int, end: int) -> bool:
    for position in range(start, end, _PIECE):
        if raw[position : min(position + _PIECE, end)].translate(None, _ALPHABET).strip(b"\r\n"):
            return False
    return True


def _regular_lines(raw: bytes, start: int, end: int) -> bool:
    """Tell whether all lines but the last are equally long, a multiple of four: looks only at the line ends."""
    columns, eol = transfer.base64_layout(raw, start, end)
    if not columns or columns % 4 or columns > _LONGEST_LINE:
        return False
    step = columns + len(eol)
    ends = [raw[start + columns + offset : end : step] for offset in range(len(eol))]
    if any(column.count(eol[offset]) != len(column) for offset, column in enumerate(ends)):
        return False
    carriages = len(ends[0]) * (len(eol) - 1)
    return raw.count(b"\n", start, end) == len(ends[-1]) and raw.count(b"\r", start, end) == carriages


def _whole_groups(raw: bytes, start: int, end: int) -> bool:
    """Tell the same of lines of different lengths, or of a single line."""
    if raw.count(b"\r", start, end) != raw.count(b"\r\n", start, end):
        return False
    newline = raw.find(b"\n", start, end)
    while newline >= 0:
        length = newline - start - (raw[newline - 1] == 13)
        if length <= 0 or length % 4 or length > _LONGEST_LINE:
            return False
        start = newline + 1
        newline = raw.find(b"\n", start, end)
    return end - start <= _LONGEST_LINE


def quoted_printable_conforms(raw: bytes, start: int, end: int) -> bool:
    """Tell whether every equals sign begins a code or a soft line break; lower-case codes are read alike everywhere."""
    return re.compile(_BAD_CODE).search(raw, start, end) is None


def texts(part: Part) -> Iterator[tuple[bytes, int, int]]:
    """Yield the decoded text of a part as (buffer, from, to): pieces that overlap where they must be cut."""
    raw = part.message.raw
    if part.encoding in transfer.IDENTITY or part.encoding not in {b"base64", b"quoted-printable"}:
        yield raw, part.body, part.end
        return
    rest = b""
    for chunk in part.content().chunks():
        piece = rest + chunk
        yield piece, 0, len(piece)
        rest = piece[-_OVERLAP:]


def holds_file(raw: bytes, start: int, end: int) -> bool:
    """Tell whether the text in the range holds a uuencoded, yEnc or BinHex file."""
    may_be_named = any(raw.find(mark, start, end) >= 0 for mark in _FILE_MARKS)
    if may_be_named and re.compile(_NAMED_FILE).search(raw, start, end) is not None:
        return True
    return _holds_uuencode(raw, start, end)


def _holds_uuencode(raw: bytes, start: int, end: int) -> bool:
    """Tell whether a line begins a uuencoded file: by its mode and name, or by the lines below it.

    "begin 644 name" alone is enough.  Other first lines look like ordinary text, and count where an encoded line
    follows, or with a digit as their mode, any line and an end.
    """
    if not _has_word(raw, start, end, b"begin"):
        return False
    ended = None
    for begin in re.compile(_UU_BEGIN).finditer(raw, start, end):
        if _UU_MODE.match(begin[1]) or _is_uuencoded(_UU_LINE.match(raw, begin.end(), end)):
            return True
        if begin[1][:1].isdigit():
            if ended is None:  # an end below a later line is below this one too
                ended = re.compile(_UU_END).search(raw, begin.end(), end) is not None
            if ended:
                return True
    return False


def _has_word(raw: bytes, start: int, end: int, word: bytes) -> bool:
    """Tell whether the (lower-case) word stands there in any case, far faster than a regular expression does."""
    reach = _PIECE + len(word)
    return any(word in raw[position : min(position + reach, end)].lower() for position in range(start, end, _PIECE))


def _is_uuencoded(line: re.Match[bytes] | None) -> bool:
    """Tell whether the first octet of the line says how long it is (POSIX uuencode)."""
    if line is None:
        return False
    octets = (line[1][0] - 32) & 63
    return 1 + -(-octets * 4 // 3) <= len(line[1]) <= 3 + -(-octets // 3) * 4


def holds_base64(raw: bytes, start: int, end: int) -> bool:
    """Tell whether the text holds six or more lines of base64 that no armor (`-----BEGIN`) announces."""
    if not _has_long_word(raw, start, end):
        return False
    run, one_more = re.compile(_BASE64_RUN), re.compile(_BASE64_LINE)
    match = run.search(raw, start, end)
    while match is not None:
        if raw.rfind(_ARMOR, max(start, match.start() - _ARMOR_REACH), match.start() + 1) < 0:
            return True
        position = match.end()
        while (line := one_more.match(raw, position, end)) is not None:
            position = line.end()
        match = run.search(raw, position, end)
    return False


def _has_long_word(raw: bytes, start: int, end: int) -> bool:
    """Tell whether 48 letters of base64 stand together: ordinary text has none, and this look is ten times faster."""
    reach = _PIECE + len(_SHORTEST_RUN)
    return any(
        _SHORTEST_RUN in raw[position : min(position + reach, end)].translate(_MARKED)
        for position in range(start, end, _PIECE)
    )


def begins_with_fields(raw: bytes, start: int, end: int) -> bool:
    """Tell whether the first line that is not empty is a MIME field."""
    return _FIELDS.match(raw, start, end) is not None


def begins_with_header(raw: bytes, start: int, end: int) -> bool:
    """Tell whether header fields, one of MIME among them, stand before the first line that is none."""
    if begins_with_fields(raw, start, end):
        return True
    first = re.compile(rb"\s*+").match(raw, start, end)
    assert first is not None
    if re.compile(_ANY_FIELD).match(raw, first.end(), end) is None:
        return False
    field = re.compile(_FIELD_AT_MARGIN).search(raw, first.end(), end)
    if field is None:
        return False
    other = re.compile(_NO_FIELD).search(raw, first.end(), end)
    return other is None or field.start() <= other.start()


def holds_fields(raw: bytes, start: int, end: int) -> bool:
    """Tell whether any line in the range is a MIME field."""
    return begins_with_fields(raw, start, end) or re.compile(_FIELD_LINE).search(raw, start, end) is not None


def holds_parts(raw: bytes, start: int, end: int) -> bool:
    """Tell whether the range holds a delimiter line with a MIME field below it."""
    return re.compile(_PARTS).search(raw, max(start - 1, 0), end) is not None
