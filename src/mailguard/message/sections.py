"""Sections of a parameter (RFC 2231 3): `filename*0*=utf-8''a; filename*1=b`, and every way to put them together."""

from __future__ import annotations

from mailguard.message import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_NO_NUMBER = 99999


class Section:
    """One RFC 2231 piece: `filename*1*=...` has number 1 and is coded."""

    __slots__ = ("coded", "name", "number", "value")

    def __init__(self, name: bytes, stars: bytes, value: bytes) -> None:
        digits = stars.strip(b"* \t\r\n")
        self.name = name.lower()
        self.number = (int(digits) if digits.isdigit() and len(digits) < 6 else _NO_NUMBER) if digits else None
        self.coded = stars.endswith(b"*")
        self.value = value


def by_number(section: Section) -> int:
    """Return where the section belongs; one without a number stands first."""
    return -1 if section.number is None else section.number


def sections_of(parameters: Iterable[tuple[bytes, bytes]]) -> Iterator[Section]:
    """Yield the parameters that are sections."""
    for key, value in parameters:
        name, star, number = key.partition(b"*")
        if star:
            yield Section(name, star + number, value)


def joined(sections: Sequence[Section]) -> tuple[bytes, bytes]:
    """Join sections as RFC 2231 4.1 says; return (octets, charset)."""
    charset, coded, text = _charset(sections[0])
    pieces = [words.percent(text) if coded else text]
    pieces.extend(words.percent(section.value) if section.coded else section.value for section in sections[1:])
    return b"".join(pieces), charset


def _charset(section: Section) -> tuple[bytes, bool, bytes]:
    parts = section.value.split(b"'", 2)
    if section.coded and len(parts) == 3:
        return parts[0], True, parts[2]
    return b"", section.coded, section.value


def are_regular(parameters: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether the sections come once each, in order, from 0 on, with the charset in the first."""
    by_name: dict[bytes, list[Section]] = {}
    for section in sections_of(parameters):
        by_name.setdefault(section.name, []).append(section)
    return all(map(_regular, by_name.values()))


def _regular(sections: list[Section]) -> bool:
    first = sections[0]
    if first.coded and first.value.count(b"'") < 2:
        return False
    numbers = [section.number for section in sections]
    return numbers in ([None], list(range(len(numbers))))


def joined_in_every_way(sections: list[Section]) -> list[tuple[bytes, bytes]]:
    """Return (octets, charset) of every way to put sections together."""
    if not sections:
        return []
    orders = [sorted(sections, key=by_number), sections]
    first_wins = list({section.number: section for section in reversed(orders[0])}.values())[::-1]
    last_wins = list({section.number: section for section in orders[0]}.values())
    until_gap = [section for at, section in enumerate(last_wins) if section.number in {None, at}]
    numbered = [section for section in orders[0] if section.number is not None]
    # A reader that takes `filename*0` for a name of its own sees one piece; one without a dot makes no file type.
    single = [[section] for section in (orders[0][0], orders[0][-1]) if len(sections) > 1 and b"." in section.value]
    found = []
    for order in (orders[0], first_wins, last_wins, until_gap, orders[1], numbered, *single):
        if order:
            found.append(joined(order))
            text = b"".join(section.value for section in order)
            if order is orders[0] and b"%" in text and not _regular(order):
                found.extend(((words.percent(text), b""), (text, b"")))
    return list(dict.fromkeys(found))
