"""Real name servers, through dnspython's stub resolver with a transport of our own below it.

The transport exists for two answers that dnspython cannot read: a TXT record without any string (a zero-length RDATA,
which fails the whole message there), and a chain of CNAMEs without end (an error there, no data to us).
"""

from __future__ import annotations

import socket
import struct

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from mailguard.dns.answer import NODATA, NXDOMAIN, OK, SERVFAIL, TIMEOUT, Answer
from mailguard.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mailguard.dns.answer import Record

_UDP_SIZE = 1232
_TXT_HEADER = struct.pack("!HH", dns.rdatatype.TXT, dns.rdataclass.IN)
_LONGEST_TTL = 86400
_UNCHECKED = dns.flags.RD | dns.flags.CD


class Nameservers:
    """The `Source` that asks name servers: UDP with EDNS, TCP after truncation, no search list.

    addresses: HOST[:PORT] each; none means /etc/resolv.conf.  timeout: seconds for one question in all.
    checked: let the servers hold back what DNSSEC shows to be forged; without it they tell (CD, RFC 4035 3.2.2).
    Raises ConfigurationError for an address that is none.
    """

    def __init__(self, addresses: Sequence[str] = (), *, timeout: float = 5.0, checked: bool = True) -> None:
        self._timeout = timeout
        self._resolver = _system() if not addresses else dns.resolver.Resolver(configure=False)
        servers = addresses or self._resolver.nameservers
        self._resolver.nameservers = [_Transport(*_endpoint(str(server))) for server in servers]
        self._resolver.use_edns(0, 0, _UDP_SIZE)
        self._resolver.flags = dns.flags.RD | dns.flags.AD  # AD: tell us whether you checked (RFC 6840 5.7)
        if not checked:
            self._resolver.flags |= dns.flags.CD
        self._resolver.timeout = timeout / 3

    @property
    def on_this_machine(self) -> bool:
        """Whether nobody can stand between us and the servers, and forge what they say about DNSSEC."""
        from ipaddress import ip_address

        servers = [server for server in self._resolver.nameservers if isinstance(server, _Transport)]
        return all(ip_address(server.address.partition("%")[0]).is_loopback for server in servers)

    @property
    def transports(self) -> list[_Transport]:
        """The servers, each to be asked by itself."""
        return [server for server in self._resolver.nameservers if isinstance(server, _Transport)]

    def ask(self, name: str, rdtype: str, seconds: float) -> Answer:
        """Answer for `name` (as made by `domain_name`) within `seconds`; never raises."""
        lifetime = min(seconds, self._timeout)
        question = dns.name.Name([*(label.encode("ascii") for label in name.split(".")), b""])
        try:
            answer = self._resolver.resolve(question, rdtype, lifetime=lifetime, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN as error:
            response = error.response(question)  # type: ignore[no-untyped-call]
            return Answer(NXDOMAIN, (), _ttl(response), authenticated_data=_authenticated(response))
        except dns.resolver.NoNameservers as error:
            return Answer(_failure(error))
        except dns.exception.Timeout:
            return Answer(TIMEOUT)
        except (dns.exception.DNSException, OSError, ValueError):
            return Answer(SERVFAIL)
        records = [] if answer.rrset is None else [_record(rdata) for rdata in answer.rrset]
        status = OK if records else NODATA
        return Answer(status, records, _ttl(answer.response), authenticated_data=_authenticated(answer.response))


class Signatures:
    """Whole responses with signatures, unchecked (DO and CD), from the same servers as `Nameservers`."""

    def __init__(self, servers: Nameservers, *, timeout: float = 3.0) -> None:
        self._servers = servers
        self._timeout = timeout

    def __call__(self, name: str, rdtype: str) -> dns.message.Message | None:
        """Return the response for a name (text, "." for the root) and type, None without one; never raises."""
        from time import monotonic

        request = dns.message.make_query(
            dns.name.from_text(name), rdtype, use_edns=0, payload=_UDP_SIZE, want_dnssec=True, flags=_UNCHECKED
        )
        end = monotonic() + self._timeout
        for transport in self._servers.transports:
            for large in (False, True):
                try:
                    return transport.query(request, max(0.0, end - monotonic()), None, 0, max_size=large)
                except dns.message.Truncated:
                    continue
                except (dns.exception.DNSException, OSError, EOFError, ValueError):
                    break
        return None


def is_authoritative(address: str, zone: str, seconds: float) -> bool | None:
    """Ask one name server for the SOA of a zone that it should serve; None where it keeps silent.

    False is a lame delegation (RFC 1912 2.8): it refuses, or has its answer from somebody else.
    """
    name = dns.name.Name([*(label.encode("ascii") for label in zone.split(".")), b""])
    request = dns.message.make_query(name, "SOA", use_edns=0, payload=_UDP_SIZE, flags=0)
    try:
        transport = _Transport(*_endpoint(address))
        response = transport.query(request, seconds, None, 0, max_size=False)
    except (dns.exception.DNSException, OSError, EOFError, ConfigurationError):
        return None
    return bool(response.flags & dns.flags.AA) and response.rcode() == dns.rcode.NOERROR


def _system() -> dns.resolver.Resolver:
    try:
        return dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:  # resolv.conf(5): without the file, the name server on this machine
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        return resolver


def _endpoint(text: str) -> tuple[str, int]:
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") if "]:" in text else port if text.endswith("]") else ""
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536 and host):
        raise ConfigurationError(f"not a name server (HOST[:PORT]): {text}")
    try:
        return str(socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0][4][0]), int(port)
    except (OSError, UnicodeError):
        raise ConfigurationError(f"the name server has no address: {text}") from None


def _failure(error: dns.resolver.NoNameservers) -> str:
    """TIMEOUT when no server could be reached at all, SERVFAIL when one spoke."""
    errors: Iterable[tuple[object, ...]] = error.kwargs.get("errors", ())
    return TIMEOUT if all(isinstance(entry[3], OSError) for entry in errors) else SERVFAIL


def _ttl(response: dns.message.QueryMessage) -> int:
    return min(int(response.resolve_chaining().minimum_ttl), _LONGEST_TTL)


def _authenticated(response: dns.message.Message) -> bool:
    return bool(response.flags & dns.flags.AD)


def _record(rdata: dns.rdata.Rdata) -> Record:
    if rdata.rdtype == dns.rdatatype.TXT:
        return b"".join(getattr(rdata, "strings", ()))
    if rdata.rdtype == dns.rdatatype.MX:
        return rdata.preference, _name(rdata.exchange)  # type: ignore[attr-defined]
    if rdata.rdtype in {dns.rdatatype.PTR, dns.rdatatype.CNAME, dns.rdatatype.NS}:
        return _name(rdata.target)  # type: ignore[attr-defined]
    if rdata.rdtype in {dns.rdatatype.A, dns.rdatatype.AAAA}:
        return str(rdata.address)  # type: ignore[attr-defined]
    return rdata.to_text()


def _name(name: dns.name.Name) -> str:
    return ".".join(label.decode("latin-1") for label in name.labels if label)


class _Transport(dns.nameserver.Do53Nameserver):
    """One name server: sends a request and reads the response more tolerantly than dnspython does."""

    def query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,  # noqa: ARG002
        source_port: int,  # noqa: ARG002
        max_size: bool,
        one_rr_per_rrset: bool = False,  # noqa: ARG002
        ignore_trailing: bool = False,  # noqa: ARG002
    ) -> dns.message.Message:
        from time import monotonic

        exchange = self._tcp if max_size else self._udp
        try:
            return exchange(request, monotonic() + timeout)
        except TimeoutError:
            raise dns.exception.Timeout from None  # else dnspython gives the server up

    def _udp(self, request: dns.message.QueryMessage, end: float) -> dns.message.Message:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as connection:
            connection.connect((self.address, self.port))  # a connected socket hears only this server
            connection.send(request.to_wire())
            while True:
                _wait_until(connection, end)
                response = _response(request, connection.recv(65535))
                if response is not None:
                    break
        if response.flags & dns.flags.TC:
            raise dns.message.Truncated(message=response)  # type: ignore[no-untyped-call]
        return response

    def _tcp(self, request: dns.message.QueryMessage, end: float) -> dns.message.Message:
        wire = request.to_wire()
        with socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET) as connection:
            _wait_until(connection, end)
            connection.connect((self.address, self.port))
            connection.sendall(struct.pack("!H", len(wire)) + wire)
            (length,) = struct.unpack("!H", _exactly(connection, 2, end))
            response = _response(request, _exactly(connection, length, end))
        if response is None:
            raise dns.exception.FormError
        return response


def _wait_until(connection: socket.socket, end: float) -> None:
    from time import monotonic

    remaining = end - monotonic()
    if remaining <= 0:
        raise dns.exception.Timeout
    connection.settimeout(remaining)


def _exactly(connection: socket.socket, length: int, end: float) -> bytes:
    received = bytearray()
    while len(received) < length:
        _wait_until(connection, end)
        piece = connection.recv(length - len(received))
        if not piece:
            raise EOFError
        received += piece
    return bytes(received)


def _response(request: dns.message.QueryMessage, wire: bytes) -> dns.message.Message | None:
    """Return the response in `wire`, or None when it does not belong to the request; raises FormError."""
    try:
        message = dns.message.from_wire(wire, continue_on_error=True)
    except dns.exception.DNSException:
        return None
    if message is None or not request.is_response(message):
        return None
    if message.flags & dns.flags.TC:
        return message
    _forgive_empty_texts(message, wire)
    return dns.message.make_response(request) if _endless(message) else message


def _forgive_empty_texts(message: dns.message.Message, wire: bytes) -> None:
    for error in message.errors:
        type_and_class, length = wire[error.offset - 10 : error.offset - 6], wire[error.offset - 2 : error.offset]
        if type_and_class != _TXT_HEADER or length != b"\0\0":
            raise dns.exception.FormError
        empty = dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.TXT, b"")
        assert isinstance(message, dns.message.QueryMessage)
        owner = message.canonical_name()
        texts = message.find_rrset(message.answer, owner, dns.rdataclass.IN, dns.rdatatype.TXT, create=True)
        texts.add(empty, int.from_bytes(wire[error.offset - 6 : error.offset - 2], "big") & 0x7FFFFFFF)


def _endless(message: dns.message.Message) -> bool:
    try:
        assert isinstance(message, dns.message.QueryMessage)
        message.resolve_chaining()
    except dns.message.ChainTooLong:
        return True
    except dns.exception.DNSException:
        return False  # dnspython judges the rest
    return False
