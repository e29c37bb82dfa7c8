"""Who connected: from options, from the environment of a delivery command, or from our own relays' Received fields.

A Received field proves only what the host that wrote it saw.  The topmost one was written by our own mail system; as
long as the address it saw is one of our relays, the next one was written by that relay, and so on.  The first address
that is none of ours is the client; everything below it may be invented.  Where a field cannot be read beyond doubt the
walk ends without a client.
"""

from __future__ import annotations

import re

from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.message import header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
    from typing import Any

    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network

_HOPS = 100
_LONGEST_FIELD = 8192

# The environment of a command run by Postfix local(8); SASL_USERNAME is empty without authentication.
_ENVIRONMENT = {
    "client_address": "CLIENT_ADDRESS",
    "client_helo": "CLIENT_HELO",
    "sender": "SENDER",
    "sasl_username": "SASL_USERNAME",
}

# From-clauses (RFC 5321 4.4), read from their beginning, so that nothing a client chose can stand in for the address
# that the server saw: a HELO has neither blanks nor parentheses, a reverse name and a Sendmail user no equals sign
# (Exim writes helo= and ident= where others write the name), and an address outside parentheses counts only where Exim
# puts it, alone or before such facts.  What follows (TLS, certificate names, users) is not looked at.
_ADDRESS = rb"(?P<address>(?:IPv6:)?[0-9A-Fa-f:.]{2,45})"
_HELO = rb"(?P<helo>[^\s()]{1,255}+)"
_USER = rb"(?:[^\s()@\[\]=]++@)?"
_NAME = rb"[^\s()@\[\]=]++"
_EXIM_FACTS = rb"(?:[ ]?(?:port=[0-9]++|helo=(?P<helo2>[^\s()]{1,255}+)|ident=[^\s()]++))*"
_FROM_CLAUSES = tuple(  # compiled when the first field is read
    rb"from[ ]" + clause
    for clause in (
        # Postfix, Sendmail and Google write the HELO, then name and address.
        _HELO + rb"[ ]\(" + _USER + _NAME + rb"[ ]\[" + _ADDRESS + rb"\](?:[ ]\(may be forged\))?\)",
        # Exim writes the name, then address and HELO; Sendmail the HELO and an address without name.
        _HELO + rb"[ ]\(" + _USER + rb"\[" + _ADDRESS + rb"\](?::[0-9]++)?" + _EXIM_FACTS + rb"\)",
        # Exim writes the address first when it has no name.
        rb"\[" + _ADDRESS + rb"\](?::[0-9]++)?(?:[ ]\((?=(?:port|helo|ident)=)" + _EXIM_FACTS + rb"\))?[ ]by[ ]",
        # Exchange writes the HELO, then the bare address.
        _HELO + rb"[ ]\(" + _ADDRESS + rb"\)",
    )
)
# Handed over inside the host: no from-clause (Postfix, Google), Sendmail's and Exim's forms for local users.
_LOCAL = re.compile(
    rb"(?:\(from[ ][^\s()]++\)[ ])?by[ ]|from[ ][^\s()]++[ ]by[ ][^\s()]++[ ]with[ ]local(?:[ ;]|\Z)", re.IGNORECASE
)
_LOOPBACK = "127.0.0.1"
_RETURN_PATH = re.compile(rb"[ \t]*+<([^<>]*+)>[ \t]*+")


class Client:
    """What is known about the client, and how.

    envelope: the facts; sources: for each fact that is known "option", "environment" or "header line N";
    reason: why the address is not known, "" when it is; entry: offset of the Received field by which the message
    entered the trusted relays, None when it is not known.
    """

    __slots__ = ("entry", "envelope", "reason", "sources")

    def __init__(self, envelope: Envelope, sources: dict[str, str], reason: str = "") -> None:
        self.envelope = envelope
        self.sources = sources
        self.reason = reason
        self.entry: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as written by --json."""
        values = {name: getattr(self.envelope, name) for name in self.sources}
        return {
            name: {
                "value": [show(one) for one in value] if isinstance(value, tuple) else show(value),
                "source": self.sources[name],
            }
            for name, value in values.items()
        }


class Hop:
    """What one Received field says: the address that its host saw (None: handed over inside the host) and the HELO.

    line, start: where the field begins; rest: what its host wrote behind the from-clause, in single blanks.
    """

    __slots__ = ("address", "helo", "line", "rest", "start")

    def __init__(self, address: Address | None, helo: str | None, line: int, rest: bytes = b"") -> None:
        self.address = address
        self.helo = helo
        self.line = line
        self.rest = rest
        self.start = 0


def client_address(text: str | None) -> Address | None:
    """Return the IP address in `text`, or None when there is none.

    Accepted: IPv4, IPv6, IPv4-mapped IPv6 (as IPv4) and the address literals "[192.0.2.1]" and "[IPv6:2001:db8::1]"
    (RFC 5321 4.1.3), brackets optional.  A zone id (fe80::1%eth0) says nothing outside its host and is refused.
    """
    if not text or "%" in text or len(text) > 64:
        return None
    from ipaddress import IPv6Address, ip_address

    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks of --trusted-relay and --trusted-client; raises ConfigurationError."""
    if not texts:
        return ()
    from ipaddress import ip_network

    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigurationError(f"not a network: {error}") from None


def within(address: Address | None, trusted: Sequence[Network]) -> bool:
    """Return whether the address is in one of the networks."""
    return address is not None and any(address in network for network in trusted)


def facts(
    envelope: Envelope,
    *,
    environment: Mapping[str, str] | None = None,
    raw: bytes | None = None,
    start: int = 0,
    trusted_relays: Sequence[Network] = (),
) -> Client:
    """Return who connected.

    envelope: the options, which win; environment: that of a command run by local(8), None unless the operator says so;
    raw, start: the message and where its header begins (after a From_ line), walked through `trusted_relays` when the
    address is not known otherwise or is itself one of them.
    A mail system that has not yet added its own Received field (a milter) must give the address.
    """
    client = _given(envelope, environment or {})
    address = client_address(client.envelope.client_address)
    if raw is None or not trusted_relays or (address is not None and not within(address, trusted_relays)):
        return client
    return _walked(client, raw, start, trusted_relays)


def _given(envelope: Envelope, environment: Mapping[str, str]) -> Client:
    values = {name: getattr(envelope, name) for name in (*_ENVIRONMENT, "tls")}
    sources = {name: "option" for name, value in values.items() if value is not None}
    for name, variable in _ENVIRONMENT.items():
        if values[name] is None and variable in environment:
            values[name] = environment[variable]
            sources[name] = "environment"
    if sources.get("sender") == "environment" and values["sender"] == "MAILER-DAEMON":
        values["sender"] = ""  # how Postfix writes the null sender for programs
    recipients: Sequence[str] = envelope.recipients
    if recipients:
        sources["recipients"] = "option"
    elif environment.get("RECIPIENT"):
        recipients, sources["recipients"] = [environment["RECIPIENT"]], "environment"
    return _client(values, recipients, envelope.queue_id, sources)


def _client(
    values: Mapping[str, str | None], recipients: Sequence[str], queue_id: str | None, sources: dict[str, str]
) -> Client:
    envelope = Envelope(**values, recipients=recipients, queue_id=queue_id)
    known = {name: source for name, source in sources.items() if getattr(envelope, name) is not None}
    given = envelope.client_address
    reason = "" if client_address(given) else f"not a client address: {show(given)}" if given else "no client address"
    return Client(envelope, known, reason)


def _walked(client: Client, raw: bytes, start: int, trusted_relays: Sequence[Network]) -> Client:
    values: dict[str, str | None] = {name: getattr(client.envelope, name) for name in _ENVIRONMENT}
    values.update(client_address=None, client_helo=None)  # they describe the relay
    if client.envelope.client_address is not None:
        values["sasl_username"] = None  # how the relay logged in
    sources = {name: source for name, source in client.sources.items() if not name.startswith("client_")}
    found, reason = _origin(raw, start, trusted_relays)
    if found is not None:
        values.update(client_address=str(found.address), client_helo=found.helo)
        sources.update(client_address=f"header line {found.line}", client_helo=f"header line {found.line}")
    if values["sender"] is None:
        values["sender"], line = _return_path(raw, start)
        sources["sender"] = f"header line {line}"
    result = _client(values, client.envelope.recipients, client.envelope.queue_id, sources)
    result.reason = reason
    result.entry = None if found is None else found.start
    return result


def _origin(raw: bytes, start: int, trusted_relays: Sequence[Network]) -> tuple[Hop | None, str]:
    """Return the hop that brought the message into the trusted networks, or None and the reason."""
    last = 0
    for number, field in enumerate(_received(raw, start)):
        last = raw.count(b"\n", 0, field.start) + 1
        hop = _hop(field, last) if number < _HOPS else None
        if hop is None:
            return None, f"header line {last}: this Received field cannot be read with certainty"
        if hop.address is None:
            if not within(client_address(_LOOPBACK), trusted_relays):
                return None, f"header line {last}: handed over locally, and {_LOOPBACK} is no trusted relay"
        elif not within(hop.address, trusted_relays):
            hop.start = field.start
            return hop, ""
    return None, f"header line {last}: the message began at a trusted relay" if last else "no Received field"


def _received(raw: bytes, start: int) -> Iterator[header.Field]:
    end, _ = header.end(raw, start, len(raw))
    return (field for field in header.fields(raw, start, end) if field.name == b"received")


def received_hop(value: bytes, line: int = 0) -> Hop | None:
    """Return what a Received value says, or None when it cannot be read with certainty; linear in its length.

    Read are the forms of Postfix, Sendmail, Exim, Exchange and Google.
    """
    if len(value) > _LONGEST_FIELD:
        return None
    value = b" ".join(value.split())
    for clause in _FROM_CLAUSES:
        match = re.match(clause, value, re.IGNORECASE)
        if match is not None:
            address = client_address(match["address"].decode("ascii"))
            return None if address is None else Hop(address, _helo(match), line, value[match.end() :])
    return Hop(None, None, line) if _LOCAL.match(value) else None


def _hop(field: header.Field, line: int) -> Hop | None:
    if field.raw[field.start : field.colon].lower() != b"received":  # no mail system writes "Received :"
        return None
    return received_hop(field.unfolded, line)


def _helo(match: re.Match[bytes]) -> str | None:
    groups = match.groupdict()
    helo: bytes | None = groups.get("helo2") or groups.get("helo")
    return None if helo is None else helo.decode("utf-8", "backslashreplace")


def _return_path(raw: bytes, start: int) -> tuple[str | None, int]:
    """Return sender and line of a Return-Path above all Received fields, where only final delivery can put it."""
    end, _ = header.end(raw, start, len(raw))
    for number, field in enumerate(header.fields(raw, start, end)):
        if field.name == b"received" or number >= _HOPS:
            break
        match = _RETURN_PATH.fullmatch(field.unfolded) if field.name == b"return-path" else None
        if match is not None:
            return match[1].decode("utf-8", "backslashreplace"), raw.count(b"\n", 0, field.start) + 1
    return None, 0
