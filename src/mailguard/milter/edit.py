"""What a filter changed, as the smallest operations of the protocol: a few fields, the body only when it is another.

The mail server keeps the message; it gets orders to delete, change or insert single header fields by position.  They
are sent from the last field to the first, so that no order moves the place that a later one names.
"""

from __future__ import annotations

from mailguard.errors import MailguardError
from mailguard.message import header
from mailguard.milter import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.findings import Chunk
    from mailguard.message.header import Field

_WINDOW = 1 << 16
_COMPARED = 1 << 20
_OWN = 1
"""Fields that the mail server has written itself (Received), above everything that a milter sees."""


def packets(old: bytes, new: Sequence[Chunk], *, leading: bool, anywhere: bool = True) -> Iterator[bytes]:
    """Yield the packets that make `new` of the message `old`, which has CRLF line ends.

    leading: whether blanks before a value are part of it; anywhere: whether a field can be inserted between any others,
    and its name be changed with its value.  MailguardError for a header that cannot be sent.
    """
    before, start = _header(old)
    head, pieces = _split(new)
    after, _ = _header(head)
    if any(field.colon < 0 or b"\0" in field.bytes for field in after):
        raise MailguardError("the result has a header that no milter can send")
    pairs = _pairs(before, after)
    yield from _edits(before, after, pairs if anywhere else _lowest(before, after, pairs), leading)
    if not _same(old, start, pieces):
        yield from protocol.body(pieces)


def _header(raw: bytes) -> tuple[list[Field], int]:
    end, start = header.end(raw, 0, len(raw))
    return list(header.fields(raw, 0, end)), start


def _split(pieces: Sequence[Chunk]) -> tuple[bytes, list[Chunk]]:
    """Return the header with the empty line below it, and the pieces of the body; large pieces are not copied."""
    head = bytearray()
    for number, piece in enumerate(pieces):
        taken = 0
        while taken < len(piece):
            window = piece[taken : taken + max(_WINDOW, len(head))]
            head += window
            taken += len(window)
            _, start = header.end(head, 0, len(head))  # type: ignore[arg-type]  # anything with find
            # the empty line is there: its last byte is not merely the end of what was read
            if start < len(head) or head.endswith((b"\n\n", b"\n\r\n")):
                body = piece[taken - (len(head) - start) :] if start < len(head) else piece[taken:]
                return bytes(head[:start]), [body, *pieces[number + 1 :]]
    return bytes(head), []


def _same(old: bytes, start: int, pieces: Sequence[Chunk]) -> bool:
    if len(old) - start != sum(map(len, pieces)):
        return False
    for piece in pieces:
        for offset in range(0, len(piece), _COMPARED):
            part = piece[offset : offset + _COMPARED]
            if old[start : start + len(part)] != part:
                return False
            start += len(part)
    return True


def _edits(
    before: Sequence[Field], after: Sequence[Field], pairs: Sequence[tuple[int, int]], leading: bool
) -> Iterator[bytes]:
    occurrences = _occurrences(before)
    old, new = len(before), len(after)
    for i, j in [*reversed(pairs), (-1, -1)]:
        for gone in range(old - 1, i, -1):
            yield protocol.change(_name(before[gone]), occurrences[gone], b"")
        for added in range(new - 1, j, -1):  # each above the one that was inserted before it
            yield protocol.insert(i + 1 + _OWN, _name(after[added]), _value(after[added], leading))
        if i >= 0 and before[i].bytes != after[j].bytes:
            yield protocol.change(_name(after[j]), occurrences[i], _value(after[j], leading))
        old, new = i, j


def _lowest(before: Sequence[Field], after: Sequence[Field], pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pairs below the last field to insert, for Sendmail: all others are written anew at the top.

    Sendmail counts fields that nobody sees (those that its configuration may add), so that no place but the top is
    sure; and it keeps the letters of a name of which only the case is another.
    """
    found: list[tuple[int, int]] = []
    for i, j in reversed(pairs):
        if j + 1 + len(found) != len(after) or _name(before[i]) != _name(after[j]):
            break
        found.append((i, j))
    return found[::-1]


def _occurrences(fields: Sequence[Field]) -> list[int]:
    """Return for each field, which one of its name it is, from 1."""
    counts: dict[bytes, int] = {}
    numbers = []
    for field in fields:
        counts[field.name] = counts.get(field.name, 0) + 1
        numbers.append(counts[field.name])
    return numbers


def _pairs(before: Sequence[Field], after: Sequence[Field]) -> list[tuple[int, int]]:
    """Pair fields that stay or are changed in place, in order on both sides.

    Equal beginnings and ends, then what occurs once on both sides (the longest run in order), then, between those,
    fields of the same name.  Never more than n log n steps, whatever somebody wrote thousands of times.
    """
    old, new = [field.bytes for field in before], [field.bytes for field in after]
    top = 0
    while top < min(len(old), len(new)) and old[top] == new[top]:
        top += 1
    bottom = 0
    while bottom < min(len(old), len(new)) - top and old[-1 - bottom] == new[-1 - bottom]:
        bottom += 1
    found = [(i, i) for i in range(top)]
    stop = (len(old) - bottom, len(new) - bottom)
    anchors = _longest(_unique(old[top : stop[0]], new[top : stop[1]]))
    i, j = top, top
    for anchor in [*((i + top, j + top) for i, j in anchors), stop]:
        found += _between(before, after, (i, j), anchor)
        found += [anchor] if anchor != stop else []
        i, j = anchor[0] + 1, anchor[1] + 1
    return found + [(stop[0] + number, stop[1] + number) for number in range(bottom)]


def _unique(old: Sequence[bytes], new: Sequence[bytes]) -> list[tuple[int, int]]:
    places: dict[bytes, list[int]] = {}
    for number, value in enumerate(old):
        places.setdefault(value, []).append(number)
    counts: dict[bytes, int] = {}
    for value in new:
        counts[value] = counts.get(value, 0) + 1
    return [
        (places[value][0], number)
        for number, value in enumerate(new)
        if counts[value] == 1 and len(places.get(value, ())) == 1
    ]


def _longest(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest run of pairs that rises on both sides (patience sorting); they rise on the second already."""
    from bisect import bisect_left

    tops: list[int] = []
    last: list[int] = []
    below: list[int] = []
    for number, (i, _) in enumerate(pairs):
        pile = bisect_left(tops, i)
        below.append(last[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [i]
        last[pile : pile + 1] = [number]
    run = []
    number = last[-1] if last else -1
    while number >= 0:
        run.append(pairs[number])
        number = below[number]
    return run[::-1]


def _between(
    before: Sequence[Field], after: Sequence[Field], start: tuple[int, int], stop: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Pair the fields of a gap by name, from the top; one whose new value is empty cannot be changed in place."""
    places: dict[bytes, list[int]] = {}
    for number in range(stop[0] - 1, start[0] - 1, -1):
        places.setdefault(before[number].name, []).append(number)
    reached = start[0]
    for number in range(start[1], stop[1]):
        waiting = places.get(after[number].name, [])
        while waiting and waiting[-1] < reached:
            waiting.pop()
        if waiting and (after[number].value or before[waiting[-1]].bytes == after[number].bytes):
            reached = waiting.pop()
            yield reached, number
            reached += 1


def _name(field: Field) -> bytes:
    return field.raw[field.start : field.colon]


def _value(field: Field, leading: bool) -> bytes:
    """Return the value as the protocol has it: folds end in LF; without `leading` the mail server adds a blank."""
    value = field.value.replace(b"\r\n", b"\n")
    return value if leading else value.removeprefix(b" ")
