"""What proves that somebody has read a mail of ours: tokens in reply addresses, and codes that stop all mail.

Both carry a 128-bit MAC under the site key and are spelled in letters and digits that survive every mail system, which
may change their case.  Neither says anything about the address it belongs to.
"""

from __future__ import annotations

import re

from mailguard.seal.keys import equal
from mailguard.verify.mailbox import plain_domain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.seal import Key, KeyRing

LIFETIME = 7 * 86400
TOKEN = re.compile(rb"(?<![A-Za-z0-9])[A-Za-z2-7]{42}(?![A-Za-z0-9])")
STOP = "stop-"

_TIME = 5
_NONCE = 5
_MAC = 16
_STOP_CODE = re.compile(r"[A-Za-z2-7]{39}")
_PROOF = 8
_MOST_CANDIDATES = 50
_LOCAL = re.compile(r"[A-Za-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{|}~-]+)*")  # no % and no !: old routes


def mailbox(text: str) -> str | None:
    """Return an address that may be checked, its domain as A-labels in lower case; None for what is no plain address.

    Only what every mail system can be told: no quotes, no comments, no literal, no line end.
    """
    local, at, domain = text.strip(" ").rpartition("@")
    name = plain_domain(domain)  # what From may name: a reply must be able to come from there
    if not at or name is None or len(local) > 64 or not _LOCAL.fullmatch(local):
        return None
    return f"{local}@{name}"


def folded(address: str) -> str:
    """Return an address as limits and comparisons see it: lower case, without a plus-tag."""
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}".lower()


def same(author: str, address: str) -> bool:
    """Tell whether an author as it stands in a mail is this address, whatever the plus-tag."""
    checked = mailbox(author)
    return checked is not None and folded(checked) == folded(address)


def make(key: Key, address: str, now: int) -> str:
    """Return a new token, good for this address and `LIFETIME` seconds."""
    import os

    head = (now + LIFETIME).to_bytes(_TIME, "big") + os.urandom(_NONCE)
    return _spelled(head + _mac(key, head, address))


def is_valid(ring: KeyRing, token: str, address: str, now: int) -> bool:
    """Tell whether we made this token for this address, and it has not expired."""
    raw = _read(token)
    head, mac = raw[: _TIME + _NONCE], raw[_TIME + _NONCE :]
    if len(mac) != _MAC or int.from_bytes(head[:_TIME], "big") < now:
        return False
    return any(equal(_mac(key, head, address), mac) for key in ring.keys if key.trusted)


def name(token: str) -> str:
    """Return the name under which a token is kept: it gives the token away to nobody."""
    import hashlib

    return hashlib.sha256(token.lower().encode("ascii")).hexdigest()[:32]


def page_name(key: Key, token: str) -> str:
    """Return the 128-bit name of the result page: the same for the same token, and no way back to it."""
    return key.mac("check page", token.lower().encode("ascii"))[:_MAC].hex()


def candidates(raw: bytes) -> Iterator[str]:
    """Yield what could be tokens in a text, each once, the first 50."""
    found: dict[str, None] = {}
    for match in TOKEN.finditer(raw):
        found.setdefault(match[0].decode("ascii").lower())
        if len(found) == _MOST_CANDIDATES:
            break
    yield from found


def stop_code(key: Key, address: str) -> str:
    """Return the code that stops all mail to an address, for ever: it needs no record of ours to be understood."""
    identifier = _stop_identifier(key, address)
    return _spelled(identifier + _stop_proof(key, identifier))


def stopped_name(ring: KeyRing, code: str) -> str | None:
    """Return the name under which an address is kept as stopped, for a code of ours; None for any other text."""
    raw = _read(code) if _STOP_CODE.fullmatch(code) else b""
    identifier, proof = raw[:_MAC], raw[_MAC:]
    if len(proof) == _PROOF and any(equal(_stop_proof(key, identifier), proof) for key in ring.keys if key.trusted):
        return identifier.hex()
    return None


def stopped_names(ring: KeyRing, address: str) -> list[str]:
    """Return every name under which this address may be kept as stopped, one for each key."""
    return [_stop_identifier(key, address).hex() for key in ring.keys]


def _stop_identifier(key: Key, address: str) -> bytes:
    return key.mac("check stop", folded(address).encode())[:_MAC]


def _stop_proof(key: Key, identifier: bytes) -> bytes:
    return key.mac("check stop proof", identifier)[:_PROOF]


def _mac(key: Key, head: bytes, address: str) -> bytes:
    return key.mac("check token", head, folded(address).encode())[:_MAC]


def _spelled(raw: bytes) -> str:
    import base64

    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()


def _read(text: str) -> bytes:
    import base64
    import binascii

    try:
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return b""
    return raw if _spelled(raw) == text.lower() else b""  # the last letter has bits to spare
