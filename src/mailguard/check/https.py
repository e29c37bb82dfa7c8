"""One file from a web server that may be hostile: by HTTPS, no redirect followed, bounded in size and time."""

from __future__ import annotations

from time import monotonic

from mailguard.check.dialogue import why
from mailguard.check.guard import HTTPS, Forbidden, Late
from mailguard.check.routing import silent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl
    from http.client import HTTPResponse

    from mailguard.check.guard import Guard
    from mailguard.dns import Resolver

_SECONDS = 20.0
_LARGEST_HEADER = 65536


class Wanted:
    """A file: host; path, with the query; kind: media type that it must have; largest: octets."""

    __slots__ = ("host", "kind", "largest", "path")

    def __init__(self, host: str, path: str, kind: str, largest: int) -> None:
        self.host = host
        self.path = path
        self.kind = kind
        self.largest = largest


class Unfetched(Exception):  # noqa: N818 (what happened, not a failure of ours)
    """There is no such file.

    reason: "redirect", "status", "type", "large", "no-address", "unfetched", "certificate", or, where this is no fault
    of the server (`unknown`), "dns-failed", "not-allowed" or "late"; values: for the sentence that says so.
    """

    def __init__(self, reason: str, *, unknown: bool = False, **values: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unknown = unknown
        self.values = values


def fetch(wanted: Wanted, resolver: Resolver, guard: Guard, context: ssl.SSLContext) -> bytes:
    """GET a file from the first address of its host that can be connected to; raises Unfetched.

    context: verifies certificate and name.
    """
    return _checked(wanted, *_response(_asked(wanted, resolver, guard, context), wanted.largest))


def _asked(wanted: Wanted, resolver: Resolver, guard: Guard, context: ssl.SSLContext) -> bytes:
    answers = [resolver.query(wanted.host, rdtype) for rdtype in ("AAAA", "A")]
    addresses = [address for answer in answers for address in answer.names[:4]]
    if not addresses:
        temporary = next((answer for answer in answers if silent(answer)), None)
        if temporary is not None:
            raise Unfetched("dns-failed", unknown=True, name=wanted.host, type="A", status=temporary.status)
        raise Unfetched("no-address", host=wanted.host)
    problem = Unfetched("late", unknown=True)
    for address in addresses:
        try:
            return _received(wanted, address, guard, context)
        except Forbidden:
            raise Unfetched("not-allowed", unknown=True, address=address) from None
        except Late:
            raise Unfetched("late", unknown=True) from None
        except OSError as error:
            problem = _problem(error)
    raise problem


def _problem(error: OSError) -> Unfetched:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return Unfetched("certificate", error=error.verify_message)
    return Unfetched("unfetched", error=error.reason if isinstance(error, ssl.SSLError) else why(error))


def _received(wanted: Wanted, address: str, guard: Guard, context: ssl.SSLContext) -> bytes:
    """Return all that the server says until it closes, the limit or the end of time."""
    end = monotonic() + _SECONDS
    connection = guard.connect(address, HTTPS, _SECONDS / 2)
    current = connection
    try:
        connection.settimeout(guard.remaining(end - monotonic()))
        current = context.wrap_socket(connection, server_hostname=wanted.host, do_handshake_on_connect=False)
        guard.exchange(connection, current)
        current.do_handshake()
        request = f"GET {wanted.path} HTTP/1.1\r\nHost: {wanted.host}\r\nUser-Agent: mailguard\r\n"
        current.sendall(f"{request}Accept: {wanted.kind}\r\nConnection: close\r\n\r\n".encode("ascii"))
        received = bytearray()
        while len(received) <= wanted.largest + _LARGEST_HEADER:
            piece = _piece(current, guard, end)
            if not piece:
                break
            received += piece
        return bytes(received)
    finally:
        guard.close(current, address)


def _piece(connection: socket.socket, guard: Guard, end: float) -> bytes:
    """Return what comes next; nothing at the end, and nothing more from a server that does not close."""
    left = end - monotonic()
    if left <= 0:
        return b""
    connection.settimeout(guard.remaining(left))
    try:
        return connection.recv(16384)
    except TimeoutError:
        guard.remaining(left)
        return b""


class _Said:
    """As much of a socket as http.client needs to read what was received."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> object:
        from io import BytesIO

        return BytesIO(self._raw)


def _response(raw: bytes, largest: int) -> tuple[HTTPResponse, bytes]:
    from http.client import HTTPException, HTTPResponse

    response = HTTPResponse(_Said(raw), method="GET")  # type: ignore[arg-type]
    try:
        response.begin()
        return response, response.read(largest + 1)
    except (HTTPException, ValueError, OSError):
        raise Unfetched("unfetched", error="no HTTP") from None


def _checked(wanted: Wanted, response: HTTPResponse, body: bytes) -> bytes:
    if 300 <= response.status < 400:
        raise Unfetched("redirect", status=response.status)
    if response.status != 200:
        raise Unfetched("status", status=response.status)
    kind = response.getheader("content-type") or ""
    if kind.partition(";")[0].strip().lower() != wanted.kind:
        raise Unfetched("type", type=kind)
    if len(body) > wanted.largest:
        raise Unfetched("large")
    return body
