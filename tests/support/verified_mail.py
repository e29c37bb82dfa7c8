"""The verb verify as a function on bytes, with a fixed site key, clock and DNS, for tests of what it says."""

from __future__ import annotations

import base64
import functools

from cryptography.hazmat.primitives.asymmetric import ed25519
from signed_mail import SELECTOR, record, sign
from verbs import NOW, RING, output

from mailguard.dns import SERVFAIL, Answer
from mailguard.dns.files import Zone
from mailguard.envelope import Envelope
from mailguard.message.header import end, fields
from mailguard.message.tree import after_from_line
from mailguard.site import Site
from mailguard.verify import resinfo
from mailguard.verify.client import networks
from mailguard.verify.judgement import VerifyOptions
from mailguard.verify.verification import verify

US = "mx.example.net"
FRIEND = {"client_address": "192.0.2.1", "client_helo": "mail.example.com", "sender": "joe@example.com"}
STRANGER = {"client_address": "198.51.100.9", "client_helo": "evil.example", "sender": "eve@evil.example"}
FIXED = ed25519.Ed25519PrivateKey.from_private_bytes(b"the key of a test, always this.."[:32])


@functools.cache
def zone(more: str = "") -> str:
    fixed = base64.b64encode(FIXED.public_key().public_bytes_raw()).decode()
    return f"""
example.com              TXT  v=spf1 a:mail.example.com -all
_dmarc.example.com       TXT  v=DMARC1; p=reject
mail.example.com         A    192.0.2.1
1.2.0.192.in-addr.arpa   PTR  mail.example.com
{SELECTOR}               TXT  {record().decode()}
fixed._domainkey.example.com TXT v=DKIM1; k=ed25519; p={fixed}
{more}
"""


class Down:
    """A DNS that never answers."""

    def __init__(self, status=SERVFAIL):
        self.status = status

    def ask(self, name, rdtype, seconds):
        return Answer(self.status)


def options(text: str | None = None, **changed) -> VerifyOptions:
    source = changed.pop("source", None) or Zone(zone() if text is None else text)
    for name in ("trusted_relays", "trusted_clients"):
        changed[name] = networks(changed.get(name, ()))
    return VerifyOptions(changed.pop("authserv_id", US), source, **changed)


def site(envelope=None, *, ring=RING, now=NOW) -> Site:
    return Site(now, ring=ring, envelope=Envelope(**(envelope or {})))


def judged(raw: bytes, envelope=None, text=None, *, ring=RING, now=NOW, **changed):
    """Return the Result of verify."""
    return verify(raw, options(text, **changed), site(envelope, ring=ring, now=now))


def verified(raw: bytes, envelope=None, text=None, **changed) -> bytes:
    return output(judged(raw, envelope, text, **changed))


def header_fields(raw: bytes):
    start = after_from_line(raw)
    return list(fields(raw, start, end(raw, start, len(raw))[0]))


def reported(raw: bytes, name: str = US):
    """Return {method: result} of the one field in this name, as our own strict reader sees it."""
    (found,) = (
        results
        for field in header_fields(raw)
        if field.name == b"authentication-results"
        for authserv_id, results in [resinfo.parse(field.value)]
        if authserv_id == name
    )
    return found


def methods(raw: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for result in reported(raw):
        found.setdefault(result.method, []).append(result.result)
    return found


def signed(raw: bytes | None = None, **tags) -> bytes:
    return sign(**({} if raw is None else {"raw": raw}), **tags)
