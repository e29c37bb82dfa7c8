"""The units of systemd that run the milter and the daemon, as their files say; no question to systemd itself."""

from __future__ import annotations

import os
import shlex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Of several files with one name, the one in the first folder counts (systemd.unit(5))."""
_LARGEST = 1 << 20
_PREFIXES = "@-:+!"


class Unit:
    """A unit: name, and the values of its settings with drop-ins; command: the words of its ExecStart."""

    __slots__ = ("_settings", "name")

    def __init__(self, name: str, texts: Sequence[str]) -> None:
        self.name = name
        self._settings: dict[str, list[str]] = {}
        for text in texts:
            for line in text.replace("\\\n", " ").splitlines():
                key, _, value = line.partition("=")
                if value.strip():
                    self._settings.setdefault(key.strip(), []).append(value.strip())
                else:  # an empty one forgets those before
                    self._settings.pop(key.strip(), None)

    def value(self, key: str) -> str:
        """Return the value of a setting that has one, "" without."""
        return self._settings.get(key, [""])[-1]

    @property
    def command(self) -> list[str]:
        """The program that the unit starts, and its arguments; [] for none, or what cannot be read."""
        try:
            return shlex.split(self.value("ExecStart").lstrip(_PREFIXES))
        except ValueError:
            return []

    @property
    def verb(self) -> str:
        """The command of mailguard that the unit runs, "" for another program."""
        words = self.command[:2]
        return words[1] if len(words) == 2 and os.path.basename(words[0]) == "mailguard" else ""

    def option(self, name: str) -> str:
        """Return the value of an option of the command, "" without."""
        words = self.command
        for number, word in enumerate(words):
            if word == name:
                return words[number + 1] if number + 1 < len(words) else ""
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
        return ""


def units(folders: Sequence[str]) -> Iterator[Unit]:
    """Yield the services whose name or command is mailguard's, and the sockets that start them."""
    seen: set[str] = set()
    for folder in folders:
        for name in sorted(_listed(folder)):
            if name not in seen and name.endswith((".service", ".socket")):
                seen.add(name)
                unit = Unit(name, list(_texts(folder, name, folders)))
                if unit.verb or (name.startswith("mailguard") and name.endswith(".socket")):
                    yield unit


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _texts(folder: str, name: str, folders: Sequence[str]) -> Iterator[str]:
    yield _text(os.path.join(folder, name))
    places = {part: each for each in reversed(folders) for part in _listed(os.path.join(each, f"{name}.d"))}
    for part in sorted(places):
        if part.endswith(".conf"):
            yield _text(os.path.join(places[part], f"{name}.d", part))


def _text(path: str) -> str:
    if not os.path.isfile(path):  # /dev/null: masked
        return ""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(_LARGEST).splitlines(keepends=True)
    except OSError:
        return ""
    return "".join(line for line in lines if not line.lstrip().startswith(("#", ";")))
