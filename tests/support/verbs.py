"""The verbs as functions from bytes to bytes, with a fixed site key and clock, for tests of what they do to messages."""

from __future__ import annotations

import base64
import email
import email.policy

from mailguard.envelope import Envelope
from mailguard.message.header import fields
from mailguard.message.splice import joined
from mailguard.outcome import opening
from mailguard.outcome.assessment import Choice
from mailguard.parts.selection import Selection
from mailguard.quarantine import quarantine as _quarantine
from mailguard.seal import KeyRing, field, keys
from mailguard.seal.field import Seal
from mailguard.site import Site
from mailguard.strip import strip as _strip

NOW = 1_790_000_000


def key(seed: bytes = b"test") -> keys.Key:
    """Make the key that belongs to a seed."""
    secret = seed.ljust(32, b".")
    return keys.parse_key(key_line(secret))


def key_line(secret: bytes) -> str:
    return f"mailguard-key-1 {keys._key_name(secret)} {base64.b64encode(secret).decode()}"


KEY = key()
RING = KeyRing([KEY])


def site(**changed) -> Site:
    """Make a site; `recipients` and `now` as well as the arguments of Site."""
    recipients = changed.pop("recipients", ())
    return Site(
        changed.pop("now", NOW),
        **{"ring": RING, "envelope": Envelope(recipients=recipients, sender="a@a.example")} | changed,
    )


def rules(when: str = "always", *, known=None, tag: str = "", watch=None, **selection) -> Choice:
    return Choice(Selection(when, **selection), known, tag, watch)


def quarantined(raw: bytes, rules_: Choice | None = None, site_: Site | None = None):
    """Run quarantine; return its Result."""
    return _quarantine(raw, rules_ or rules(), site_ or site())


def quarantine(raw: bytes, rules_: Choice | None = None, site_: Site | None = None) -> bytes:
    return output(quarantined(raw, rules_, site_))


def stripped(raw: bytes, rules_: Choice | None = None, site_: Site | None = None, **options):
    """Run strip; return its Result."""
    return _strip(raw, rules_ or rules(), site_ or site(), **options)


def strip(raw: bytes, rules_: Choice | None = None, site_: Site | None = None, **options) -> bytes:
    return output(stripped(raw, rules_, site_, **options))


def release(raw: bytes, ring: KeyRing | None = RING, **options) -> bytes:
    """Return the original from a message or ZIP."""
    return opening.open_one(raw, ring, options.pop("passwords", None), **options).opened.restore()


def output(result) -> bytes:
    return joined(result.output)


def sealed(raw: bytes, seal: Seal | None = None, signer: keys.Key = KEY) -> bytes:
    """Put a seal on top of a message, as `verify` would; by default one that calls it authenticated."""
    from mailguard.message.tree import parse

    message = parse(raw)
    seal = seal or verdict()
    start, body = message.start, message.root.body
    header = b"".join(one.bytes for one in fields(raw, start, message.root.fields[-1].end))
    return raw[:start] + field.write(signer, seal, header, [raw[body:]], message.eol) + raw[start:]


def verdict(**changed) -> Seal:
    """Make a seal with the verdict "authenticated"."""
    values = {"authenticated": True, "author_domain": "a.example"} | changed
    return Seal(values.pop("time", NOW - 60), ("verify",), **values)


def parts(raw: bytes) -> list[tuple[str, str, bytes]]:
    """Return (type, file name, decoded content) of every leaf as the standard library sees them."""
    found = []
    for part in email.message_from_bytes(raw, policy=email.policy.compat32).walk():
        if not part.is_multipart():
            found.append((part.get_content_type(), part.get_filename() or "", part.get_payload(decode=True) or b""))
    return found


def capsules(raw: bytes) -> list[bytes]:
    """Return every capsule that stands in a message as a part, as the standard library decodes it."""
    return [data for kind, _, data in parts(raw) if kind == "application/zip" and b"mailguard-capsule" in data]
