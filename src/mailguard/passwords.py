"""The passwords that an operator chooses: --password-file, a fixed one or one for each recipient.

    # pattern (see `addresses`), blank, password to the end of the line
    bob@example.com       correct horse battery staple
    @example.org          tiger-bamboo-77
    !boss@example.org
    *                     for everybody else

A pattern after `!` has no password here: its mail gets a derived one.
"""

from __future__ import annotations

import re

from mailguard.addresses import EVERYBODY, matching, parse_pattern
from mailguard.errors import ConfigurationError
from mailguard.seal.keys import private_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Passwords:
    """Passwords by pattern; `text` is the file as it was read."""

    __slots__ = ("_passwords", "text")

    def __init__(self, passwords: dict[str, bytes | None], text: str) -> None:
        self._passwords = passwords
        self.text = text

    @classmethod
    def read(cls, path: str) -> Passwords:
        """Read a password file: UTF-8, readable by its owner only.

        ConfigurationError, with file and line, but never with a password, when it is not.
        """
        return cls.parse(private_text(path, "the password file"), path)

    @classmethod
    def parse(cls, text: str, path: str) -> Passwords:
        """Read the text of such a file; `path` is for the messages."""
        passwords: dict[str, bytes | None] = {}
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            entry = line.strip(" \t\r")
            if entry and not entry.startswith("#"):
                try:
                    pattern, password = _parse_line(entry)
                except ValueError as error:
                    raise ConfigurationError(f"{path}:{number}: {error}") from None
                if passwords.setdefault(pattern, password) != password:
                    raise ConfigurationError(f"{path}:{number}: a second, different line for the same recipients")
        if not passwords:
            raise ConfigurationError(f"{path}: the password file holds no password")
        return cls(passwords, text)

    def lookup(self, recipients: Iterable[str]) -> bytes | None:
        """Return the password (UTF-8) that all these recipients have; None: use the derived one.

        None also when they have different ones: one recipient's password must not open another's mail, and a message
        must not wait because of the recipients that somebody chose for it.  (A mail server that hands over one
        recipient at a time gives each his own.)  Unknown recipients have a password only where everybody has the same.
        """
        candidates = {self._lookup(recipient) for recipient in recipients}
        if not candidates and set(self._passwords) == {EVERYBODY}:
            return self._passwords[EVERYBODY]
        return candidates.pop() if len(candidates) == 1 else None

    def all(self) -> list[bytes]:
        """Return every password of the file once, in its order."""
        return list(dict.fromkeys(password for password in self._passwords.values() if password is not None))

    def _lookup(self, recipient: str) -> bytes | None:
        return next((self._passwords[pattern] for pattern in matching(recipient) if pattern in self._passwords), None)


def _parse_line(entry: str) -> tuple[str, bytes | None]:
    pattern, password = [*re.split(r"[ \t]+", entry, maxsplit=1), ""][:2]
    if pattern.startswith("!"):
        if password:
            raise ValueError("a pattern after ! takes no password")
        return parse_pattern(pattern[1:]), None
    if not password:
        raise ValueError("expected a pattern, a blank and a password")
    if not password.isprintable():
        raise ValueError("a password with characters that nobody can type")
    return parse_pattern(pattern), password.encode("utf-8")
