"""What a verb knows about the site and the moment, besides the message: keys, passwords, clock, texts."""

from __future__ import annotations

import os

from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError
from mailguard.seal import keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.passwords import Passwords
    from mailguard.seal import Key, KeyRing


class Site:
    """Everything that the result depends on apart from message and options.

    ring: the key ring, None without a key; passwords: of --password-file; now: Unix time; lang: ja, en or both;
    contact: whom people should ask; template: of the notice, None for the built-in one; memory_limit: octets that a
    message may take, besides five times its own size; 0 for no limit.
    """

    __slots__ = ("contact", "envelope", "lang", "memory_limit", "now", "passwords", "ring", "template")

    def __init__(
        self,
        now: int,
        *,
        ring: KeyRing | None = None,
        passwords: Passwords | None = None,
        envelope: Envelope | None = None,
        lang: str = "both",
        contact: str = "",
        template: str | None = None,
        memory_limit: int = 0,
    ) -> None:
        self.now = now
        self.ring = ring
        self.passwords = passwords
        self.envelope = envelope or Envelope()
        self.lang = lang
        self.contact = contact
        self.template = template
        self.memory_limit = memory_limit

    @property
    def key(self) -> Key:
        """The key that seals; ConfigurationError without one."""
        if self.ring is None:
            raise ConfigurationError("there is no site key; make one with: mailguard init")
        return self.ring.active

    def password(self, key: Key, identifier: str) -> bytes:
        """Return the password of a new capsule: of the recipients from the password file, or derived from the id."""
        given = self.passwords.lookup(self.envelope.recipients) if self.passwords else None
        return given if given is not None else keys.password(key, identifier).encode("ascii")


def key_paths() -> list[str]:
    """Return where a key file is looked for when no option names one, in this order."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ.get("HOME", "/"), ".config")
    return [os.path.join(home, "mailguard", "key"), "/etc/mailguard/key"]


def secret_files(key_file: str | None, password_file: str | None = None) -> list[str]:
    """Return the files that no program of other people may see: keys, passwords, configuration."""
    from mailguard import settings

    named = (password_file, os.environ.get("MAILGUARD_CONFIG"))
    keys = [key_file] if key_file is not None else key_paths()
    return [*keys, *(path for path in named if path), *settings.paths()]


def key_ring(path: str | None, password_text: str | None = None) -> KeyRing | None:
    """Load the key ring: the named file, or the first of `key_paths` that exists, or None.

    password_text: content of the password file, which stands in for a key where there is none.
    """
    if path is not None:
        return keys.load(path)
    for candidate in key_paths():
        if os.path.lexists(candidate):
            return keys.load(candidate)
    return None if password_text is None else keys.KeyRing([keys.key_from_passwords(password_text)])
