"""Find the capsule in whatever the operator hands over, prove that it is ours, and open it.

Transport may have done anything to the message around it: other line ends, `>From`, a footer, another encoding of the
ZIP, forwarding.  So the capsule is looked for in every part, and at last in every run of base64.
"""

from __future__ import annotations

import binascii
import re

from mailguard import capsule
from mailguard.errors import ConfigurationError, DataError
from mailguard.message import encoding as transfer
from mailguard.message.tree import parse
from mailguard.outcome.capsules import authentic
from mailguard.seal import keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.capsule import Opened
    from mailguard.passwords import Passwords
    from mailguard.seal import KeyRing

_ZIP_IN_BASE64 = re.compile(rb"UEsDB[A-Za-z0-9+/=\r\n>| \t]++")
_MOST_PASSWORDS = 1000


class Found:
    """A capsule in the input: data, its id, and the password that opens it (bytes)."""

    __slots__ = ("data", "identifier", "opened", "password")

    def __init__(self, data: bytes, identifier: str, password: bytes, opened: Opened) -> None:
        self.data = data
        self.identifier = identifier
        self.password = password
        self.opened = opened


def find(raw: bytes) -> list[bytes]:
    """Return every different capsule (by its form; nothing is proven) in a message or ZIP, the outermost first."""
    capsules: dict[bytes, None] = {}
    for data in _contents(raw):
        comment = capsule.find(data)
        if comment is not None:
            capsules.setdefault(data[comment.start : comment.end])
    return list(capsules)


def open_one(raw: bytes, ring: KeyRing | None, passwords: Passwords | None, wanted: str | None = None) -> Found:
    """Open the capsule in the input; `wanted` is an id as a person types it, needed when there are several.

    DataError when there is none, when it is not of this site, damaged, or no password fits.
    """
    if ring is None and passwords is None:
        raise ConfigurationError("there is no site key; name it with --key-file, or the passwords with --password-file")
    candidates = find(raw)
    if not candidates:
        foreign = b"PK\x03\x04" in raw[:4] or b"UEsDB" in raw
        raise DataError("the ZIP is not a capsule of mailguard" if foreign else "there is no capsule in the input")
    data = _choose([one for one in candidates if authentic(one, ring)] or candidates, wanted)
    comment = capsule.find(data)
    assert comment is not None
    key = authentic(data, ring)
    trusted = ring is not None and ring.active.trusted
    if key is None and trusted:
        raise DataError(_why_not_ours(comment.id, ring))
    derived = [keys.password(key, comment.id).encode("ascii")] if key else []
    site_passwords = passwords.all()[:_MOST_PASSWORDS] if passwords else []
    return _try(data, comment.id, [*derived, *site_passwords])


def _try(data: bytes, identifier: str, candidates: list[bytes]) -> Found:
    problem = DataError("no password of this site opens the capsule: name the right one with --password-file")
    for candidate in candidates:
        try:
            return Found(data, identifier, candidate, capsule.open(data, candidate))
        except DataError as error:
            if "password" not in str(error):
                raise
    raise problem


def _choose(candidates: list[bytes], wanted: str | None) -> bytes:
    by_id: dict[str, bytes] = {}
    for data in candidates:
        comment = capsule.find(data)
        assert comment is not None
        by_id.setdefault(comment.id, data)
    if wanted is not None:
        identifier = re.sub(r"[\s-]+", "", wanted).lower()
        if identifier not in by_id:
            raise DataError("there is no capsule with this id in the input")
        return by_id[identifier]
    if len(by_id) > 1:
        shown = ", ".join(keys.grouped(identifier) for identifier in by_id)
        raise DataError(f"there are several capsules in the input; choose one with --id: {shown}")
    return candidates[0]


def _why_not_ours(identifier: str, ring: KeyRing | None) -> str:
    if ring is not None and ring.find(identifier[:3]) is None:
        return f"the capsule was made with the key {identifier[:3]}, which this site does not have"
    return "the capsule is damaged or forged: its MAC is wrong"


def _contents(raw: bytes) -> Iterator[bytes]:
    """Yield everything in a message that could be a ZIP, decoded; first itself, should it be one."""
    yield raw
    if raw[:4] == b"PK\x03\x04":
        return
    for part in parse(raw).parts():
        if not part.children and part.embedded is None:
            content = part.content().whole()
            yield content
            if part.encoding not in transfer.IDENTITY:
                yield from _in_base64(content)
    yield from _in_base64(raw)


def _in_base64(text: bytes) -> Iterator[bytes]:
    """Yield what stands in a text as base64 and could be a ZIP; words that follow it are taken for base64 too."""
    for match in _ZIP_IN_BASE64.finditer(text):
        code = re.sub(rb"[^A-Za-z0-9+/=]", b"", match[0]).partition(b"=")[0]
        code = code[:-1] if len(code) % 4 == 1 else code
        yield binascii.a2b_base64(code + b"=" * (-len(code) % 4))
