"""How a mail came to our own server: who brought it, and under which encryption.

Only the Received field that our server wrote is believed.  In it stand words that the client chose (HELO, recipient,
the names in a certificate), so each form is read from its beginning: what our server says about TLS comes before them.
"""

from __future__ import annotations

import re

from mailguard.verify import client as connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailguard.envelope import Envelope
    from mailguard.message.header import Field
    from mailguard.message.tree import Message
    from mailguard.verify.client import Hop, Network

_VERSION = rb"(?P<version>(?:TLS|SSL)v?[0-9](?:\.[0-9])?)"
_CIPHER = rb"(?P<cipher>[A-Za-z0-9_-]{1,100})"
_FORMS = tuple(  # what stands behind the from-clause
    map(
        re.compile,
        (
            rb" \(using " + _VERSION + rb" with cipher " + _CIPHER + rb"[ )]",  # Postfix, smtpd_tls_received_header
            rb" ?(?:by )?\S+ with (?P<protocol>e?smtps?a?) \(" + _VERSION + rb"\) tls " + _CIPHER,  # Exim
            rb" ?(?:by )?\S+ with (?P<protocol>e?smtps?a?) \(" + _VERSION + rb":" + _CIPHER + rb":[0-9]{1,5}\)",
            rb" by \S+ \([^()]*+\) with (?P<protocol>E?SMTPS?A?) id \S+ \(version=" + _VERSION + rb" cipher=" + _CIPHER,
            rb" ?(?:by )?\S+(?: \([^()]*+\))? with (?P<protocol>[A-Za-z0-9]{1,20})(?: |;|$)",
        ),
    )
)
_ENCRYPTED = frozenset({"smtps", "esmtps", "esmtpsa", "utf8smtps", "utf8smtpsa"})  # RFC 3848, RFC 6531
_CLEAR = frozenset({"smtp", "esmtp", "esmtpa", "utf8smtp", "utf8smtpa"})


class Transport:
    """encrypted: None when our server did not record it; version: "TLSv1.3" or ""; cipher: name or ""."""

    __slots__ = ("cipher", "encrypted", "version")

    def __init__(self, encrypted: bool | None, version: str = "", cipher: str = "") -> None:
        self.encrypted = encrypted
        self.version = version
        self.cipher = cipher

    def __repr__(self) -> str:
        return f"Transport({self.encrypted}, {self.version!r}, {self.cipher!r})"


class Arrival:
    """How a mail arrived.

    envelope: with the client that brought it, as far as it is known; transport; field: that our server wrote, or None;
    below: offset in the message from which on others wrote, None when nobody knows.
    """

    __slots__ = ("below", "envelope", "field", "transport")

    def __init__(self, envelope: Envelope, transport: Transport, field: Field | None) -> None:
        self.envelope = envelope
        self.transport = transport
        self.field = field
        self.below = None if field is None else field.end


def arrival(
    message: Message,
    envelope: Envelope,
    *,
    environment: Mapping[str, str] | None = None,
    trusted_relays: Sequence[Network] = (),
) -> Arrival:
    """Return how the message arrived, by options, environment, and the Received fields of our own servers.

    Without a client in options or environment, and without relays, the topmost Received field is that of our server.
    """
    client = connection.facts(
        envelope,
        environment=environment,
        raw=message.raw,
        start=message.start,
        trusted_relays=trusted_relays,
    )
    received = [field for field in message.fields if field.name == b"received"]
    if client.entry is not None:
        received = [field for field in received if field.start == client.entry]
    hop = connection.received_hop(received[0].unfolded) if received else None
    known = client.envelope
    if known.client_address is None and not trusted_relays and hop and hop.address:
        known = type(known)(client_address=str(hop.address), client_helo=hop.helo).over(known)
    if hop is None or hop.address != connection.client_address(known.client_address):
        return Arrival(known, Transport(None), None)
    return Arrival(known, transport(hop), received[0])


def transport(hop: Hop) -> Transport:
    """Return the encryption that a Received field reports, in the forms of Postfix, Exim and Sendmail."""
    for form in _FORMS:
        match = form.match(hop.rest)
        if match is None:
            continue
        groups = match.groupdict()
        if groups.get("version"):
            return Transport(True, _version(groups["version"]), groups["cipher"].decode("ascii"))
        protocol = groups["protocol"].decode("ascii").lower()
        if protocol in _ENCRYPTED:
            return Transport(True)
        return Transport(False if protocol in _CLEAR else None)
    return Transport(None)


def _version(written: bytes) -> str:
    """Return a version as OpenSSL spells it: Exim with GnuTLS writes TLS1.3."""
    text = written.decode("ascii")
    return text if "v" in text else f"{text[:3]}v{text[3:]}"
