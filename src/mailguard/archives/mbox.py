r"""mbox files (RFC 4155) taken apart and put together again: mboxo, mboxrd, mboxcl2.

A message begins at a `From ` line that carries a date, behind an empty line, and before a header field.  A line in a
body that only begins with the word From has no date, so it begins nothing; stdlib's mailbox would cut there.  Where
every message says how long it is (mboxcl2), that counts instead, and bodies are not quoted.

Nothing is lost or changed on the way: the ranges of the messages follow each other without a gap, and a message that
no verb changed is written as it was read.  A changed one is quoted as mboxrd does, which also reads what mboxo wrote:
`>From ` becomes `From ` for the verbs, and the other way round afterwards.
"""

from __future__ import annotations

import re

from mailguard.message import header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    Data = bytes | mmap

MBOX = "mbox"
MBOXCL2 = "mboxcl2"
MESSAGE = "message"  # one message without a `From ` line

_FROM = b"From "
_LONGEST_LINE = 1000
_LONGEST_HEADER = 1 << 20
_SAMPLE = 32  # messages that must agree about their lengths
_DATE = re.compile(  # as asctime writes it, or RFC 5322; a zone may stand before or behind the year
    rb" (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?[ ]+(?:[A-Z][a-z]{2}[ ]+[0-9]{1,2}|[0-9]{1,2}[ ]+[A-Z][a-z]{2}[ ]+[0-9]{4})"
    rb"[ ]+[0-9]{1,2}:[0-9]{2}(?:[ :]|\r?$)"
)
_BARE = re.compile(rb"From [^\s]++[ ]*+\r?")  # without a date: some mail systems write only the sender
_FIELD = re.compile(rb"[!-9;-~]{1,200}+[ \t]*+:")
_EMPTY = re.compile(rb"\r?\n|\Z")
_LENGTH = re.compile(rb"^content-length:[ \t]*+([0-9]{1,15})[ \t]*+\r?$", re.MULTILINE | re.IGNORECASE)
_HEADER_END = re.compile(rb"\n\r?\n")
_QUOTED = re.compile(rb"^>(>*+From )", re.MULTILINE)
_QUOTABLE = re.compile(rb"^(>*+From )", re.MULTILINE)


class Segment:
    """One message: `data[start:stop]` is the message with its `From ` line, `data[stop:end]` what separates it."""

    __slots__ = ("end", "start", "stop")

    def __init__(self, start: int, stop: int, end: int) -> None:
        self.start = start
        self.stop = stop
        self.end = end


def recognise(data: Data) -> str:
    """Return MBOX, MBOXCL2, or MESSAGE for what does not begin with a `From ` line."""
    position = _first(data)
    if data[position : position + 5] != _FROM:
        return MESSAGE
    for _ in range(_SAMPLE):
        found = _by_length(data, position)
        if found is None:
            return MBOX
        position = found.end
        if position >= len(data):
            break
    return MBOXCL2


def _first(data: Data) -> int:
    """Skip empty lines before the first message."""
    position = 0
    while data[position : position + 1] in {b"\n", b"\r"} and position < 100:
        position += 1
    return position


def chunks(data: Data, kind: str, size: int) -> Iterator[tuple[int, int]]:
    """Cut an archive into ranges of whole messages, each at least `size` octets long but the last; without a gap."""
    start, end = 0, len(data)
    while start < end:
        end_of_chunk = end if kind == MESSAGE else stop(data, kind, start + size, start)
        yield start, end_of_chunk
        start = end_of_chunk


def stop(data: Data, kind: str, least: int, start: int = 0) -> int:
    """Return where the first message at or behind `least` begins, the end of the data without one.

    start: where a message begins, from which those that say their lengths are counted.
    """
    if kind == MBOX:
        return _boundary(data, least)
    position = start
    while position < least and position < len(data):
        position = _segment(data, kind, position).end
    return position


def split(data: Data, kind: str) -> Iterator[Segment]:
    """Yield the messages of a range that begins with one; their ranges follow each other and cover all of it.

    Empty lines before the first message come as an empty message and what separates it.
    """
    position = 0
    while position < len(data):
        segment = _segment(data, kind, position)
        yield segment
        position = segment.end


def _segment(data: Data, kind: str, start: int) -> Segment:
    if kind == MESSAGE:
        return Segment(start, len(data), len(data))
    if start == 0 and (first := _first(data)) and data[first : first + 5] == _FROM:
        return Segment(0, 0, first)
    found = _by_length(data, start) if kind == MBOXCL2 else None
    if found is not None:
        return found
    end = _boundary(data, start + 1)
    tail = data[max(end - 4, start) : end]
    blank = 2 if tail.endswith(b"\n\r\n") else 1 if tail.endswith(b"\n\n") else 0
    return Segment(start, end - blank, end)


def _boundary(data: Data, position: int) -> int:
    """Return where the first message at or behind `position` begins; the end of the data without one."""
    at = data.find(b"\nFrom ", max(position - 1, 0))
    while at >= 0:
        if data[max(at - 2, 0) : at + 1].endswith((b"\n\n", b"\n\r\n")) and _begins(data, at + 1):
            return at + 1
        at = data.find(b"\nFrom ", at + 1)
    return len(data)


def _begins(data: Data, start: int) -> bool:
    """Tell whether the `From ` line at `start` is one that a mail system writes between messages."""
    end = data.find(b"\n", start, start + _LONGEST_LINE)
    if end < 0:
        return False
    line = data[start:end]
    if _DATE.search(line):
        return _has_field(data, end + 1) or _EMPTY.match(data, end + 1) is not None
    if not _BARE.fullmatch(line) or not _has_field(data, end + 1):
        return False
    second = data.find(b"\n", end + 1, end + 1 + _LONGEST_LINE)
    return second >= 0 and _has_field(data, second + 1)


def _has_field(data: Data, position: int) -> bool:
    return _FIELD.match(data, position) is not None or data[position : position + 6] == b">From "


def _by_length(data: Data, start: int) -> Segment | None:
    """Return the message at `start` as long as its Content-Length says; None when no message ends there."""
    stop = min(start + _LONGEST_HEADER, len(data))
    end = _HEADER_END.search(data, start, stop)
    length = _LENGTH.search(data, start, end.start()) if end else None
    if end is None or length is None or data[start : start + 5] != _FROM:
        return None
    stop = end.end() + int(length[1])
    if stop > len(data):
        return None
    position = stop
    for _ in range(2):
        if position < len(data) and (blank := _EMPTY.match(data, position)):
            position = blank.end()
    if position < len(data) and not (data[position - 1] == 10 and _begins(data, position)):
        return None
    return Segment(start, stop, position)


def message(raw: bytes, kind: str) -> bytes:
    """Return a message for the verbs, its body without the quotes of the mbox."""
    if kind != MBOX or raw.find(b">From ") < 0:
        return raw
    _, body = header.end(raw, 0, len(raw))
    return raw[:body] + _QUOTED.sub(rb"\1", raw[body:])


def written(raw: bytes, kind: str, separator: bytes, *, last: bool) -> bytes:
    """Return a changed message as it stands in the archive.

    separator: what followed the message; last: whether it ends the archive, so that a missing line end harms nobody.
    """
    if kind == MESSAGE:
        return raw
    eol = b"\r\n" if raw[: raw.find(b"\n") + 1].endswith(b"\r\n") else b"\n"
    if kind == MBOXCL2:
        missing = not last and not separator and not raw.endswith(b"\n")
        return _with_length(raw, eol) + (eol if missing else separator)
    raw = _quoted(raw)
    missing = not raw.endswith(b"\n") and (separator != b"" or not last)
    return raw + (eol if missing else b"") + separator


def _quoted(raw: bytes) -> bytes:
    start = raw.find(b"\n") + 1 if raw.startswith(_FROM) else 0
    if raw.find(_FROM, start) < 0:
        return raw
    _, body = header.end(raw, start, len(raw))
    head = re.sub(rb"^From ", b">From ", raw[start:body], flags=re.MULTILINE)
    return raw[:start] + head + _QUOTABLE.sub(rb">\1", raw[body:])


def _with_length(raw: bytes, eol: bytes) -> bytes:
    """Put the length of the body into the header, in the place of every length that stands there."""
    head, body = header.end(raw, 0, len(raw))
    if body == head:  # no empty line: everything is header
        raw += (b"" if raw.endswith(b"\n") else eol) + eol
        head, body = header.end(raw, 0, len(raw))
    length = b"%d" % (len(raw) - body)
    found = list(_LENGTH.finditer(raw, 0, head))
    if not found:
        return raw[:head] + b"Content-Length: " + length + eol + raw[head:]
    pieces, position = [], 0
    for match in found:
        pieces += [raw[position : match.start(1)], length]
        position = match.end(1)
    return b"".join([*pieces, raw[position:]])
