"""The site key, and everything that is derived from it: seals, capsule ids, passwords.

A sender can write any header field.  So a verdict, a marker or an id counts only with a MAC under the site key.
Each use has its own key (HKDF, RFC 5869), and each depends on content and time only: the same message, key and time
give the same bytes.
"""

from __future__ import annotations

import re

from mailguard.errors import ConfigurationError, DataError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEY_LINE = re.compile(r"mailguard-key-1 ([a-z2-9]{3}) ([A-Za-z0-9+/]{43}=)")
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # no i, l, o, 0, 1: people read these aloud
_ID_RANDOM = 16
_ID_CHECK = 5
_ID_LENGTH = 3 + _ID_RANDOM + _ID_CHECK
_PASSWORD_LENGTH = 24
_LARGEST_FILE = 16 << 20


class Key:
    """One site key: `name` stands in ids and seals, `trusted` tells whether its verdicts may count.

    A key made from a password file is not trusted: every recipient knows a part of what it is made of.
    """

    __slots__ = ("_secret", "name", "trusted")

    def __init__(self, name: str, secret: bytes, *, trusted: bool = True) -> None:
        self.name = name
        self._secret = secret
        self.trusted = trusted

    def derive(self, purpose: str) -> bytes:
        """Return the 32-byte key for one purpose (HKDF-Expand, RFC 5869 2.3, one block)."""
        return _mac(self._secret, b"mailguard " + purpose.encode("ascii") + b"\x01")

    def mac(self, purpose: str, *values: bytes) -> bytes:
        """Return HMAC-SHA256 under the key for this purpose; the values cannot run into each other."""
        return _mac(self.derive(purpose), *(len(value).to_bytes(8, "big") + value for value in values))


class KeyRing:
    """The keys of a site: the first seals and derives, all of them open what is old."""

    __slots__ = ("keys",)

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)

    @property
    def active(self) -> Key:
        """The key for new seals and capsules."""
        return self.keys[0]

    def find(self, name: str) -> Key | None:
        """Return the key of this name."""
        return next((key for key in self.keys if key.name == name), None)


def _mac(secret: bytes, *values: bytes) -> bytes:
    import hashlib
    import hmac

    code = hmac.new(secret, digestmod=hashlib.sha256)
    for value in values:
        code.update(value)
    return code.digest()


def equal(one: bytes, other: bytes) -> bool:
    """Compare two codes in constant time."""
    import hmac

    return hmac.compare_digest(one, other)


def new_key() -> str:
    """Make a key from the system's randomness; return its line for the key file."""
    import base64
    import os

    secret = os.urandom(32)
    return f"mailguard-key-1 {_key_name(secret)} {base64.b64encode(secret).decode('ascii')}"


def parse_key(line: str) -> Key:
    """Read one line of a key file; ValueError when it is none."""
    import base64

    match = KEY_LINE.fullmatch(line.strip())
    if match is None:
        raise ValueError("not a mailguard key")
    secret = base64.b64decode(match[2])
    if _key_name(secret) != match[1]:
        raise ValueError("the key is damaged: its name does not belong to it")
    return Key(match[1], secret)


def _key_name(secret: bytes) -> str:
    return _spell(_mac(secret, b"mailguard key name"), 3)


def load(path: str) -> KeyRing:
    """Read a key file: one key in a line, the active one first, `#` begins a comment.

    ConfigurationError when it cannot be read, others could read it, or a line is no key.
    """
    text = private_text(path, "the key file")
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            keys.append(parse_key(line))
        except ValueError as error:
            raise ConfigurationError(f"{path}:{number}: {error}") from None
    if not keys:
        raise ConfigurationError(f"{path}: holds no key; make one with: mailguard init")
    return KeyRing(keys)


def private_text(path: str, what: str, *, ours: bool = False) -> str:
    """Read a file of secrets; ConfigurationError when it is not there, not readable, or readable by others.

    ours: it must also be no symbolic link and belong to us or to root.
    """
    import os
    import stat

    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_NOFOLLOW if ours else 0)
    try:
        descriptor = os.open(path, flags)  # a FIFO would block for ever
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            raw = file.read(_LARGEST_FILE + 1) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        way = _way_on(path) if isinstance(error, PermissionError) else ""
        raise ConfigurationError(f"{path}: {what} cannot be read: {error.strerror}{way}") from None
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{path}: {what} is not a regular file")
    if len(raw) > _LARGEST_FILE:
        raise ConfigurationError(f"{path}: {what} is larger than 16 MiB")
    if ours and status.st_uid not in {0, os.geteuid()}:
        raise ConfigurationError(f"{path}: {what} belongs to another user")
    if status.st_mode & 0o077:
        raise ConfigurationError(f"{path}: {what} can be read by others: chmod 600 {path}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: {what} is not UTF-8 text") from None


def _way_on(path: str) -> str:
    """Say as whom one may read a file, as far as we may know."""
    import os
    import pwd

    try:
        return f"; as its owner: runuser -u {pwd.getpwuid(os.stat(path).st_uid).pw_name} -- mailguard ..."
    except (OSError, KeyError):
        return ""


def key_from_passwords(text: str) -> Key:
    """Make the stand-in for a site key where only a password file is given.

    It marks our own capsules, so that a second run changes nothing; its seals never carry a verdict.
    """
    import hashlib

    # As slow as a ZIP's own derivation ten times over: the seal must not be the easier way to guess a password.
    secret = hashlib.pbkdf2_hmac("sha256", text.encode("utf-8"), b"mailguard password file", 10_000)
    return Key(_key_name(secret), secret, trusted=False)


def capsule_id(key: Key, *values: bytes) -> str:
    """Return the id for content: key name, 80 bits from the content, check letters that nobody can invent."""
    body = key.name + _spell(key.mac("id", *values), _ID_RANDOM)
    return body + _spell(key.mac("id check", body.encode("ascii")), _ID_CHECK)


def grouped(identifier: str) -> str:
    """Write an id in groups of four, as people read it."""
    return "-".join(identifier[start : start + 4] for start in range(0, len(identifier), 4))


def check_id(ring: KeyRing, text: str) -> tuple[Key, str]:
    """Return (key, id) for an id as a person typed it; DataError when it is mistyped, invented or of another site."""
    identifier = re.sub(r"[\s-]+", "", text).lower()
    if len(identifier) != _ID_LENGTH or set(identifier) - set(_LETTERS):
        raise DataError("this is not a quarantine id (24 letters and digits in groups of four): mistyped?")
    key = ring.find(identifier[:3])
    if key is None:
        raise DataError("this id was made with a key that this site does not have, or it is mistyped")
    body = identifier[:-_ID_CHECK]
    check = _spell(key.mac("id check", body.encode("ascii")), _ID_CHECK)
    if not equal(check.encode(), identifier[-_ID_CHECK:].encode()):
        raise DataError("the check letters of this id are wrong: mistyped?")
    return key, identifier


def password(key: Key, identifier: str) -> str:
    """Return the password of a capsule: 24 characters without look-alikes (118 bits), in groups of four."""
    return grouped(_spell(key.mac("password", identifier.encode("ascii")), _PASSWORD_LENGTH))


def _spell(code: bytes, length: int) -> str:
    """Spell a MAC in letters, uniformly enough: 31 letters from 256 bits (24 of them take 119)."""
    number = int.from_bytes(code, "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[index])
    return "".join(letters)


def join(lines: Iterable[str]) -> str:
    """Put key lines into the text of a key file."""
    head = "# mailguard site key.  Keep a copy in a safe place: nothing in quarantine can be released without it.\n"
    return head + "".join(line.rstrip("\n") + "\n" for line in lines)
