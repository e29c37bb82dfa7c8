"""main.cf and master.cf, edited by postconf(1) in a copy: so one sees all of a change before anything is changed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile

from mailguard.doctor import row
from mailguard.doctor.postfix import parameters
from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.setup import places
from mailguard.setup.plan import Setting, WrittenFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

NAMES = ("main.cf", "master.cf")
_OPTION = re.compile(r"(\S+/\S+/\S+) = ?(.*)")
_EDIT = {"main": "-e", "service": "-M", "option": "-P"}
_REMOVE = {"main": "-X", "service": "-MX", "option": "-PX"}
_ORDER = ("main", "service", "option")


class PostfixFiles:
    """The configuration of a Postfix, to ask and to change; nothing of it reaches the mail system.

    folder: the configuration itself.  ConfigurationError when Postfix is not there, or finds its files faulty.
    """

    def __init__(self, folder: str) -> None:
        if not all(os.path.isfile(os.path.join(folder, name)) for name in NAMES):
            raise ConfigurationError(f"{show(folder)}: no configuration of Postfix (main.cf, master.cf); --postfix DIR")
        self.folder = folder
        self.settings: list[Setting] = []
        self._removed: list[Setting] = []
        self._work = tempfile.mkdtemp(prefix="mailguard-setup-")
        try:
            for name in NAMES:
                shutil.copyfile(os.path.join(folder, name), os.path.join(self._work, name))
            self._ask()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._work, ignore_errors=True)

    def _ask(self) -> None:
        self._own = parameters(row.Setup(postfix=self._work))
        self._values = dict(_pairs(self._postconf("-x")))
        self._services = {}
        for line in self._postconf("-M").splitlines():
            words = line.split()
            if len(words) >= 8:
                self._services[f"{words[0]}/{words[1]}"] = line
        self._options = {
            match[1]: match[2] for line in self._postconf("-P").splitlines() if (match := _OPTION.fullmatch(line))
        }

    def _postconf(self, *arguments: str) -> str:
        for name in NAMES:  # Postfix waits two seconds for a file that was written just now (dict_load_file_xt)
            os.utime(os.path.join(self._work, name), (0, 0))
        return places.run(["postconf", "-c", self._work, *arguments])

    def value(self, name: str) -> str:
        """Return a parameter with what its $names stand for; the built-in default where main.cf does not say it."""
        return self._values.get(name, self._own.get(name, ""))

    def written(self, name: str) -> str | None:
        """Return what main.cf says, as it stands there; None where it says nothing."""
        return self._own.get(name)

    def number(self, name: str) -> int:
        """Return a limit; ConfigurationError where it is no number."""
        return _number(name, self.value(name))

    def service(self, name: str) -> str | None:
        """Return the line of `service/type` in master.cf."""
        return self._services.get(name)

    def services(self, program: str) -> list[str]:
        """Return those that run this program of Postfix, as `service/type`."""
        return [name for name, line in self._services.items() if line.split()[7] == program]

    def option(self, service: str, name: str) -> str:
        """Return an option of a service, "" without; a $name in it stands for what main.cf says."""
        value = self._options.get(f"{service}/{name}", "")
        return self.value(value[1:].strip("{}()")) if value.startswith("$") else value

    def default(self, name: str) -> str:
        """Return what is built in."""
        return self._postconf("-dh", name).strip()

    def limit(self, service: str, name: str) -> int | None:
        """Return a limit that a service has of its own."""
        value = self.option(service, name)
        return _number(f"{service}/{name}", value) if value else None

    def current(self, kind: str, name: str) -> str | None:
        """Return what a setting is now, None where there is none."""
        tables = {"main": self._own, "service": self._services, "option": self._options}
        return tables[kind].get(name)

    def set(self, kind: str, name: str, value: str) -> None:
        """Ask for a setting; nothing happens where it is so already."""
        now = self.current(kind, name)
        if now is None or now.split() != value.split():
            self.settings.append(Setting(kind, name, now, value))

    def take_back(self, setting: Setting) -> None:
        """Ask for a setting to be what it was before."""
        if setting.before is None:
            self._removed.append(setting)
        else:
            self.settings.append(Setting(setting.kind, setting.name, setting.after, setting.before))

    def files(self) -> list[WrittenFile]:
        """Let postconf write all that was asked for into the copy; the files that differ then, main.cf first.

        In this order, because processes of Postfix read main.cf whenever they start, and master.cf at a reload.
        """
        for kind in _ORDER:
            wanted = [f"{each.name}={each.after}" for each in self.settings if each.kind == kind]
            if wanted:
                self._postconf(_EDIT[kind], *wanted)
        for kind in reversed(_ORDER):
            unwanted = [each.name for each in self._removed if each.kind == kind]
            if unwanted:
                self._postconf(_REMOVE[kind], *unwanted)
        found = []
        for name in NAMES:
            with open(os.path.join(self._work, name), "rb") as file:
                found.append(WrittenFile(os.path.join(self.folder, name), file.read(), is_shared=True))
        return [file for file in found if file.is_changed]


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.partition(" =")
        if equals:
            yield name, value.removeprefix(" ")


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise ConfigurationError(f"{show(name)} = {show(value)}: is no number")
    return int(value)
