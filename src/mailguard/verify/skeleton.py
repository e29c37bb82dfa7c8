"""What a text looks like to a person: the skeletons of UTS #39, and what its tables do not know.

Two texts look alike when one of the skeletons of the one is one of the other's.  Invisible characters and combining
marks are gone from them, capitals and compatibility forms (full width, circled, mathematical) are plain small letters,
confusable letters of all scripts are one, and so are rn and m, vv and w, cl and d, 0 and o, 1, i, l and I, and the old,
new and other forms of kanji that Japanese names have.  The tables are read only for what is not ASCII.
"""

from __future__ import annotations

import os
import re
from functools import cache

# Default_Ignorable_Code_Point of Unicode 17 (DerivedCoreProperties.txt), and the other format characters (Cf).
_INVISIBLE = (
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_BLANK = "\u2800"  # Braille without a dot: a letter for programs, a blank for people
_OVERRIDDEN = "\u202e([^\u202c\u202d\u202e\u2069]*)[\u202c\u202d\u202e\u2069]?"
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "å": "aa", "ø": "oe"})
_UMLAUTED = "\u00e4\u00f6\u00fc\u00c4\u00d6\u00dc\u00e5\u00f8\u0308\u030a"  # and their marks, when decomposed
_ASCII = str.maketrans("01i|", "olll")
# Combining classes of marks that only adorn a letter: Unicode 17, table 4-3.  Not among them: virama, the voicing of
# kana and the vowels of Thai, without which another word is read.
_ADORNING = frozenset({1, *range(10, 37), *range(200, 241)})


def visible(text: str) -> str:
    """Return the text without characters that nobody sees; what is written from right to left, as it is shown."""
    if text.isascii():
        return text
    text = re.sub(_OVERRIDDEN, lambda match: match[1][::-1], text)
    return re.sub(_INVISIBLE, "", text).replace(_BLANK, " ")


def fold(text: str) -> str:
    """Return the text in the form in which the same letters are the same, without any table."""
    return _small(text if text.isascii() else _unadorned(text))


def skeletons(text: str, *, tables: bool = True) -> set[str]:
    """Return the skeletons of a text: one for ASCII, else several, because a capital may look like another letter.

    tables: whether confusable letters and kanji become one; without them it is fast.
    """
    if text.isascii():
        return {_small(text)}
    plain = _unadorned(text)
    found = {_small(plain)}
    if any(letter in text for letter in _UMLAUTED):
        found.add(_small(_unadorned(_composed(text).translate(_UMLAUTS))))
    if tables and not all(each.isascii() for each in found):
        table = _table()
        seen = {plain.translate(table), plain.casefold().translate(table)} | {each.translate(table) for each in found}
        found.update(map(_small, seen))
        found.update(_small(each.casefold().translate(table)) for each in seen if not each.isascii())
    return found


def _small(text: str) -> str:
    if not text.isascii():
        import unicodedata

        text = unicodedata.normalize("NFC", text)  # kana get their voicing back
    return text.casefold().translate(_ASCII).replace("rn", "m").replace("vv", "w").replace("cl", "d")


def _composed(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", visible(text))


def _unadorned(text: str) -> str:
    import unicodedata

    decomposed = unicodedata.normalize("NFKD", visible(text))
    if decomposed.replace(" ", "").isalnum():  # marks are neither letters nor digits
        return decomposed
    return "".join(
        char
        for char in decomposed
        if unicodedata.combining(char) not in _ADORNING and unicodedata.category(char) != "Me"
    )


@cache
def _table() -> dict[int, str]:
    """Read both tables: from a character to what it looks like."""
    table: dict[int, str] = {}
    for line in _lines("kanji.txt"):
        first, *others = line.split()
        table.update((ord(other), first) for other in others)
    for line in _lines("confusables.txt"):
        codes, _, sources = line.partition(":")
        target = "".join([table.get(int(code, 16)) or chr(int(code, 16)) for code in codes.split()])
        alike = [int(source, 16) for source in sources.split()]
        one_of_a_name = next((table[char] for char in alike if char in table), None)
        if one_of_a_name and len(target) == 1:  # the form of today is the skeleton of what looks like an old one
            table[ord(target)] = target = one_of_a_name
        for char in alike:
            table.setdefault(char, target)
    return table


def _lines(name: str) -> list[str]:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line and line[0] != "#"]
