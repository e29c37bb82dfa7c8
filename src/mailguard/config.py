"""The configuration file (TOML): defaults of options, one section per command, some keys common to all.

A key is the long name of an option with `_` for `-`.  What is not understood is an error with file, line and key: a
mistyped name must not switch a protection off in silence.
"""

from __future__ import annotations

import os

from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.settings import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, NoReturn

    import click

COMMON = frozenset({"dry_run", "explain", "journal", "json", "key_file", "log", "memory_limit"})
"""Keys that may stand above the sections; a section has precedence."""

SHARED = COMMON | {
    "client_address",
    "client_helo",
    "now",
    "password_file",
    "queue_id",
    "recipient",
    "sasl_username",
    "sender",
}
"""Options that mean the same for a driver and for the steps of its pipeline; others only have the same name."""

_LARGEST = 1 << 20
_PUNCTUATION = str.maketrans("[].'\"", "     ")


def load(
    path: str | None, command: str, options: Sequence[click.Parameter], driver: str | None = None
) -> dict[str, Any]:
    """Return the configured values for the options of one command, by parameter name.

    path: the file that the operator named, or None for the first of `paths()` that exists; driver: the command whose
    pipeline this one is a step of.  ConfigurationError when a file is there but unreadable, or holds what this command
    does not understand.
    """
    for candidate in [path] if path else paths():
        if path or _is_there(candidate):
            return _File(candidate, read(candidate)).defaults(command, options, driver)
    return {}


def _is_there(path: str) -> bool:
    """Tell whether something has this name, readable or not."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def read(path: str) -> str:
    """Return the text of a file that an administrator wrote; ConfigurationError when it cannot be, or is not, read."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST)
    except OSError as error:
        raise ConfigurationError(f"{show(path)}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{show(path)}: is not UTF-8 text") from None
    if len(text) == _LARGEST:
        raise ConfigurationError(f"{show(path)}: is larger than any configuration")
    return text


def _keys(options: Sequence[click.Parameter]) -> Iterator[tuple[str, click.Option]]:
    """Yield the keys of a section: long names of options.  One that chooses what a command does has no default."""
    import click

    for option in options:
        if (
            isinstance(option, click.Option)
            and not option.is_eager
            and not (option.is_flag and not option.is_bool_flag)
        ):
            for name in option.opts:
                if name.startswith("--"):
                    yield name[2:].replace("-", "_"), option


class _File:
    """One configuration file, read and checked."""

    def __init__(self, path: str, text: str) -> None:
        self.path = show(path)
        self.text = text
        import tomllib

        try:
            self.tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            reason, _, place = str(error).partition(" (at ")
            line = place.removeprefix("line ").partition(",")[0] if "line" in place else len(text.splitlines())
            raise ConfigurationError(f"{self.path}:{line}: {show(reason)}") from None

    def defaults(self, command: str, options: Sequence[click.Parameter], driver: str | None) -> dict[str, Any]:
        """Return the values for one command, converted and checked as the command line would.

        Of the driver's section a step takes what is shared; the rest was checked when the driver was called.
        """
        known = dict(_keys(options))
        values = self.common(known)
        for section in filter(None, (driver, command)):
            for name, value in self.tables.get(section, {}).items():
                if name in known and (section == command or name in SHARED):
                    values[known[name].name or name] = self.checked((section, name), value, known[name])
                elif section == command:
                    self.fail((section, name), f"{show(name)} is no key of [{section}]")
        return values

    def common(self, known: dict[str, click.Option]) -> dict[str, Any]:
        """Return the values above the sections, and check that nothing else stands there."""
        from mailguard.commands import FILTERS, ORDINARY

        values = {}
        for name, value in self.tables.items():
            if isinstance(value, dict):
                if name not in FILTERS and name not in ORDINARY:
                    self.fail((name,), f"there is no section [{show(name)}]")
            elif name not in COMMON:
                self.fail((name,), f"{show(name)} is no key that is common to all commands")
            elif name in known:
                values[known[name].name or name] = self.checked((name,), value, known[name])
        return values

    def checked(self, key: tuple[str, ...], value: Any, option: click.Option) -> Any:
        """Return a value that the option accepts; a TOML value of the wrong type is an error, not a guess."""
        import click

        if option.is_flag and not isinstance(value, bool):
            self.fail(key, f"{key[-1]} must be true or false")
        if option.multiple and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            self.fail(key, f"{key[-1]} must be a list of texts")
        if (
            not option.is_flag
            and not option.multiple
            and (isinstance(value, bool) or not isinstance(value, (str, int)))
        ):
            self.fail(key, f"{key[-1]} must be a text or a number")
        context = click.Context(click.Command(key[0]))
        try:
            converted = option.type_cast_value(context, value if option.is_flag or option.multiple else str(value))
            return option.callback(context, option, converted) if option.callback else converted
        except click.BadParameter as error:
            self.fail(key, f"{key[-1]}: {error.message}")

    def fail(self, key: tuple[str, ...], reason: str) -> NoReturn:
        """Raise ConfigurationError for a key, with its line."""
        raise ConfigurationError(f"{self.path}:{self.line(key)}: {reason}")

    def line(self, key: tuple[str, ...]) -> int:
        """Return the number of the line where a key stands; tomllib keeps no lines.

        It is the first line with that name before a `=` after which, as soon as the text parses, the key is there.
        """
        lines = self.text.splitlines()
        for first, line in enumerate(lines):
            words = line.partition("=")[0].translate(_PUNCTUATION).split()
            if key[-1] not in words:
                continue
            parsed = (self.parsed(lines[:stop]) for stop in range(first + 1, len(lines) + 1))
            if self.has(key, next((tables for tables in parsed if tables is not None), {})):
                return first + 1
        return 1

    @staticmethod
    def parsed(lines: Sequence[str]) -> dict[str, Any] | None:
        """Parse the beginning of a file; None when it ends inside a value."""
        import tomllib

        try:
            return tomllib.loads("\n".join(lines))
        except tomllib.TOMLDecodeError:
            return None

    @staticmethod
    def has(key: tuple[str, ...], tables: dict[str, Any]) -> bool:
        """Tell whether a key is there."""
        value: Any = tables
        for name in key:
            if not isinstance(value, dict) or name not in value:
                return False
            value = value[name]
        return True
