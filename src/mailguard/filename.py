"""File names as every reader reads them: the one place that knows what the extension of a name is."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST = 4_096
# Windows drops them at the end of a name: "a.exe. " is saved as "a.exe".
_DROPPED = ". \t"


def split(name: str) -> tuple[str, str]:
    """Return what stands before and behind the last dot, as written; (name, "") where there is no dot."""
    stem, dot, last = name.rpartition(".")
    return (stem, last) if dot else (name, "")


def extension(name: str) -> str:
    """Return what Windows takes as the extension of a name as it is written: lower case, "" where there is none."""
    return split(name.rstrip(_DROPPED))[1].lower()


def named(name: str, wanted: str) -> str:
    """Return a file name with the extension of its type: `report.docm`, "docx" -> `report.docx`.

    A name that ends as it should is returned as it is; `note.txt.exe`, "txt" -> `note.txt`.
    """
    stem, last = split(name)
    if last.lower() == wanted:
        return name
    return stem if stem.lower().endswith(f".{wanted}") else f"{stem or name}.{wanted}"


class FileName:
    """A name as it came.

    raw: the name; readings: it in every form that a client could save it in, lower case, without a path.
    """

    __slots__ = ("_readings", "raw")

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self._readings: tuple[str, ...] = ()

    @property
    def readings(self) -> tuple[str, ...]:
        """Every form that a client could save the name in; the most usual is among them.

        Considered: NUL and line ends (cut or dropped), format characters (bidi, zero width), full-width forms,
        path separators, alternate data streams, trailing dots and blanks, quotes, percent escapes.
        """
        if not self._readings:
            self._readings = tuple(dict.fromkeys(_readings(self.raw)))
        return self._readings

    @property
    def extensions(self) -> set[str]:
        """Every extension of every reading, also those before the last one; lower case, no dot."""
        return {part.strip() for reading in self.readings for part in reading.split(".")[1:] if part.strip()}

    @property
    def endings(self) -> set[str]:
        """The extension of the raw name and of each reading; "" for a reading that has none."""
        return {extension(name) for name in (self.raw, *self.readings)}

    def matches(self, globs: Sequence[str], *, every: bool) -> bool:
        """Tell whether any reading, or every reading, fits one of the lower-case globs; the raw name is one too."""
        from fnmatch import fnmatchcase

        names = dict.fromkeys((self.raw.lower(), *self.readings))
        fitting = (any(fnmatchcase(name, glob) for glob in globs) for name in names)
        return all(fitting) if every else any(fitting)

    def __repr__(self) -> str:
        return f"FileName({self.raw!r})"


def _readings(name: str) -> Iterator[str]:
    import unicodedata

    name = name[:_LONGEST] if len(name) <= _LONGEST else name[: _LONGEST // 2] + name[-_LONGEST // 2 :]
    for cut in (name, *re.split(r"[\0\r\n]", name, maxsplit=8), _unescaped(name)):
        text = unicodedata.normalize("NFKC", cut)
        text = "".join(character for character in text if unicodedata.category(character) not in {"Cc", "Cf", "Cn"})
        text = text.replace("。", ".").replace("․", ".").rstrip("/\\")
        base = re.split(r"[/\\]", text)[-1]
        for part in (base, base.partition(":")[0], base.rpartition(":")[2]):
            yield part.lower().strip("\"'<>|?*; \t").rstrip(". \xa0\"';")


def _unescaped(name: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), name)
