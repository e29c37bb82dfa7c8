"""File names for people's computers: what the mail says, made harmless and unique.

The name as the mail says it stays in the manifest; what is made here is what an archive program writes to a disk.
"""

from __future__ import annotations

import re

from mailguard.filename import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NAMELESS = "attachment.bin"
RESERVED = "_mailguard"

_MOST_UNITS = 120  # UTF-16 code units: Windows counts paths in these
_MOST_OCTETS = 240  # UTF-8: Linux and macOS take 255, and a duplicate still needs room for its number
_LONGEST_EXTENSION = 24
_NUMBER_ROOM = len(" (99999)")

_FORBIDDEN = str.maketrans('<>:"|?*', "_______")
_BLANK = frozenset(
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f" + "".join(map(chr, range(0x2000, 0x200B)))
)
_BLANKS = re.compile(r"[ \u3000]{2,}+")
_TRIMMED = " \u3000"
# Letters and marks that show nothing: with them two names look alike, or an extension hides behind empty space.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2800\u3164\uffa0\ufffc")
_REMOVED = frozenset({"Cc", "Cf", "Co", "Cn"})
# Variation selectors stay in a name, Japanese family names need them; they do not make it another name.
_SELECTORS = dict.fromkeys((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [f"{device}{number}" for device in ("com", "lpt") for number in range(10)]
)


def safe_name(name: str) -> str:
    """Return a file name that every system can write and that means on each of them what it shows.

    One path component in NFC, at most 120 UTF-16 units and 240 octets of UTF-8 with the extension kept; no control,
    format, bidi or zero-width characters, no runs of blanks, no Windows device, stream or wildcard, not hidden, not
    an option; "attachment.bin" when nothing is left.  Applying it twice changes nothing.
    """
    import unicodedata

    component = _last_component(unicodedata.normalize("NFC", name))
    visible = unicodedata.normalize("NFC", _visible(component.translate(_FORBIDDEN)))
    trimmed = visible.lstrip(_TRIMMED).rstrip(_TRIMMED + ".")
    if trimmed.startswith((".", "-")) or _is_device(trimmed):
        trimmed = "_" + trimmed
    return _cut(trimmed, 0) or NAMELESS


def unique_names(names: Iterable[str]) -> list[str]:
    """Return a safe name for each name, in order; names that some file system takes for the same get a number.

    The same means: equal without regard to case, width and compatibility forms (NFKC).
    """
    taken = {_key(RESERVED)}
    numbers: dict[str, int] = {}
    return [_unique(safe_name(name), taken, numbers) for name in names]


def _unique(name: str, taken: set[str], numbers: dict[str, int]) -> str:
    candidate = name
    if _key(candidate) in taken:
        stem, extension = _split(_cut(name, _NUMBER_ROOM))
        stem = stem.rstrip(_TRIMMED)
        # One counter for all names that are numbered alike: it only goes up, so many duplicates cost linear time.
        counter = _key(stem + extension)
        number = numbers.get(counter, 2)
        while _key(candidate := f"{stem} ({number}){extension}") in taken:
            number += 1
        numbers[counter] = number + 1
    taken.add(_key(candidate))
    return candidate


def _key(name: str) -> str:
    import unicodedata

    folded = unicodedata.normalize("NFKC", name.translate(_SELECTORS)).casefold()
    return unicodedata.normalize("NFKC", folded)


def _last_component(name: str) -> str:
    components = [component for component in name.replace("\\", "/").split("/") if component.strip(" .")]
    last = components[-1].lstrip(" ") if components else ""
    return last[2:] if last[1:2] == ":" and last[0].isascii() and last[0].isalpha() else last


def _visible(name: str) -> str:
    """Drop what shows nothing; a run of blanks becomes one, so that no extension is pushed out of sight."""
    shown = name if name.isascii() and name.isprintable() else "".join(map(_shown, name))
    return _BLANKS.sub(" ", shown)


def _shown(character: str) -> str:
    import unicodedata

    if character in _BLANK:
        return " "
    category = unicodedata.category(character)
    if category == "Cs":
        return "_"
    return "" if character in _INVISIBLE or category in _REMOVED else character


def _is_device(name: str) -> bool:
    """Tell whether Windows takes the name for a device: it looks before the first dot, and knows "com²" as well."""
    import unicodedata

    return unicodedata.normalize("NFKC", name.partition(".")[0]).rstrip(" ").lower() in _DEVICES


def _split(name: str) -> tuple[str, str]:
    """Split into stem and extension with its dot; an extension of unlikely length belongs to the stem."""
    stem, extension = split(name)
    if not stem or not extension or len(extension) > _LONGEST_EXTENSION:
        return name, ""
    return stem, f".{extension}"


def _cut(name: str, room: int) -> str:
    """Cut the stem so that the whole name leaves `room` units below the limits."""
    if len(name) <= _MOST_OCTETS // 4 - room:
        return name
    stem, extension = _split(name)
    units = _MOST_UNITS - room - sum(map(_units, extension))
    octets = _MOST_OCTETS - room - len(extension.encode())
    for position, character in enumerate(stem):
        units -= _units(character)
        octets -= len(character.encode())
        if units < 0 or octets < 0:
            stem = stem[:position].rstrip(_TRIMMED + ".")
            break
    return stem + extension


def _units(character: str) -> int:
    return 2 if character > "\uffff" else 1
