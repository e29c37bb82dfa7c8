"""MTA-STS (RFC 8461): the record, the policy that is fetched by HTTPS, and whether it fits the MX."""

from __future__ import annotations

import re
from time import monotonic

from mailguard.check.dialogue import why
from mailguard.check.guard import HTTPS, Forbidden, Late
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome
from mailguard.check.routing import failed, silent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Sequence
    from http.client import HTTPResponse

    from mailguard.check.guard import Guard
    from mailguard.dns import Resolver

SECONDS = 20.0
_LARGEST = 65536  # RFC 8461 3.3
_DAY = 86400
_LONGEST_AGE = 31557600
_MOST_PATTERNS = 100
_MOST_NAMES = 10  # in the lines of a repair
_RECORD = re.compile(rb"v=STSv1[ \t]*+;[ \t]*+id=[A-Za-z0-9]{1,32}[ \t]*+(?:;.*+)?", re.DOTALL)
_BEGINNING = re.compile(rb"v=STSv1[ \t]*+(?:;|\Z)")
_LINE = re.compile(r"[ \t]*+([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*+:[ \t]*+(.*+)")
_PATTERN = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")


class Malformed(ValueError):  # noqa: N818 (a property of the policy, not a failure)
    """The policy cannot be used; the text says why."""


class Policy:
    """mode: enforce, testing or none; max_age: seconds; patterns: of mx: lines, lower case.  Raises Malformed."""

    __slots__ = ("max_age", "mode", "patterns")

    def __init__(self, raw: bytes) -> None:
        fields = _fields(raw)
        if fields.get("version") != ["STSv1"]:
            raise Malformed("version")
        self.mode = fields.get("mode", [""])[0]
        if self.mode not in {"enforce", "testing", "none"}:
            raise Malformed("mode")
        age = fields.get("max_age", [""])[0]
        if not (age.isascii() and age.isdigit() and len(age) <= 10 and int(age) <= _LONGEST_AGE):
            raise Malformed("max_age")
        self.max_age = int(age)
        self.patterns = [pattern.lower() for pattern in fields.get("mx", [])]
        if len(self.patterns) > _MOST_PATTERNS or not all(map(_PATTERN.fullmatch, self.patterns)):
            raise Malformed("mx")
        if not self.patterns and self.mode != "none":
            raise Malformed("no mx")

    def covers(self, host: str) -> bool:
        """Whether mail may go to this host (RFC 8461 4.1): `*` stands for exactly one label."""
        host = host.lower().removesuffix(".")
        return any(
            host == pattern or (pattern.startswith("*.") and host.partition(".")[2] == pattern[2:])
            for pattern in self.patterns
        )


def _fields(raw: bytes) -> dict[str, list[str]]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("UTF-8") from None
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.removesuffix("\r"))
        if match is None:
            raise Malformed("line")
        found.setdefault(match[1], []).append(match[2].strip())
    return found


class TransportPolicy:
    """What was found: outcomes of mtasts.record, .policy and .match; policy: None unless it can be used."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.policy: Policy | None = None

    @property
    def enforced(self) -> bool:
        """Whether senders must refuse servers without a right certificate."""
        return self.policy is not None and self.policy.mode == "enforce"


def check(
    domain: str, resolver: Resolver, guard: Guard, context: ssl.SSLContext, hosts: Sequence[str]
) -> TransportPolicy:
    """Judge MTA-STS of a domain; context: verifies certificate and name; hosts: names of the MX."""
    found = TransportPolicy()
    record = _record(domain, resolver)
    found.outcomes.append(record)
    if record.state == GOOD:
        try:
            response, body = fetch(f"mta-sts.{domain}", resolver, guard, context)
            found.policy = _policy(response, body)
            found.outcomes.append(_judged(found.policy, body))
        except _Unfetched as error:
            found.outcomes.append(error.outcome)
        found.outcomes[-1].values["mx"] = ", ".join(hosts[:_MOST_NAMES])
    else:
        found.outcomes.append(Outcome("mtasts.policy", NOT_APPLICABLE, "no-record"))
    found.outcomes.append(_match(found.policy, hosts))
    return found


def _record(domain: str, resolver: Resolver) -> Outcome:
    name = f"_mta-sts.{domain}"
    answer = resolver.query(name, "TXT")
    if silent(answer):
        return failed("mtasts.record", name, "TXT", answer)
    records = [text for text in answer.texts if _BEGINNING.match(text)]
    evidence = [text.decode("utf-8", "backslashreplace") for text in (records or answer.texts[:5])]
    if not records:
        return Outcome("mtasts.record", WARNING, "missing", {}, evidence)
    values = {"record": evidence[0], "count": len(records)}
    if len(records) > 1:
        return Outcome("mtasts.record", FAILURE, "multiple", values, evidence)
    if not _RECORD.fullmatch(records[0]):
        return Outcome("mtasts.record", FAILURE, "malformed", values, evidence)
    return Outcome("mtasts.record", GOOD, "good", values, evidence)


class _Unfetched(Exception):  # noqa: N818
    def __init__(self, state: str, reason: str, **values: object) -> None:
        super().__init__(reason)
        self.outcome = Outcome("mtasts.policy", state, reason, values)  # type: ignore[arg-type]


def fetch(host: str, resolver: Resolver, guard: Guard, context: ssl.SSLContext) -> tuple[HTTPResponse, bytes]:
    """GET /.well-known/mta-sts.txt from the first address of the host that can be connected to."""
    answers = [resolver.query(host, rdtype) for rdtype in ("AAAA", "A")]
    addresses = [address for answer in answers for address in answer.names[:4]]
    if not addresses:
        temporary = next((answer for answer in answers if silent(answer)), None)
        if temporary is not None:
            raise _Unfetched(UNKNOWN, "dns-failed", name=host, type="A", status=temporary.status)
        raise _Unfetched(FAILURE, "no-address", host=host)
    problem = _Unfetched(UNKNOWN, "late")
    for address in addresses:
        try:
            return _response(_received(host, address, guard, context))
        except Forbidden:
            raise _Unfetched(UNKNOWN, "not-allowed", address=address) from None
        except Late:
            raise _Unfetched(UNKNOWN, "late") from None
        except OSError as error:
            problem = _problem(error)
    raise problem


def _problem(error: OSError) -> _Unfetched:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return _Unfetched(FAILURE, "certificate", error=error.verify_message)
    return _Unfetched(FAILURE, "unfetched", error=error.reason if isinstance(error, ssl.SSLError) else why(error))


def _received(host: str, address: str, guard: Guard, context: ssl.SSLContext) -> bytes:
    """Return all that the server says until it closes, the limit or the end of time."""
    end = monotonic() + SECONDS
    connection = guard.connect(address, HTTPS, SECONDS / 2)
    current = connection
    try:
        connection.settimeout(guard.remaining(end - monotonic()))
        current = context.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)
        guard.exchange(connection, current)
        current.do_handshake()
        request = f"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {host}\r\nUser-Agent: mailguard\r\n"
        current.sendall(f"{request}Accept: text/plain\r\nConnection: close\r\n\r\n".encode("ascii"))
        received = bytearray()
        while len(received) <= 2 * _LARGEST:
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


def _response(raw: bytes) -> tuple[HTTPResponse, bytes]:
    from http.client import HTTPException, HTTPResponse

    response = HTTPResponse(_Said(raw), method="GET")  # type: ignore[arg-type]
    try:
        response.begin()
        return response, response.read(_LARGEST + 1)
    except (HTTPException, ValueError, OSError):
        raise _Unfetched(FAILURE, "unfetched", error="no HTTP") from None


def _policy(response: HTTPResponse, body: bytes) -> Policy:
    if 300 <= response.status < 400:
        raise _Unfetched(FAILURE, "redirect", status=response.status)
    if response.status != 200:
        raise _Unfetched(FAILURE, "status", status=response.status)
    kind = response.getheader("content-type") or ""
    if kind.partition(";")[0].strip().lower() != "text/plain":
        raise _Unfetched(FAILURE, "type", type=kind)
    if len(body) > _LARGEST:
        raise _Unfetched(FAILURE, "large")
    try:
        return Policy(body)
    except Malformed as error:
        raise _Unfetched(FAILURE, "malformed", error=error) from None


def _judged(policy: Policy, body: bytes) -> Outcome:
    evidence = [line.decode("utf-8", "backslashreplace") for line in body.splitlines()[:30]]
    values = {"max_age": policy.max_age}
    if policy.mode == "none":
        return Outcome("mtasts.policy", NOT_APPLICABLE, "none", values, evidence)
    if policy.mode == "testing":
        return Outcome("mtasts.policy", WARNING, "testing", values, evidence)
    if policy.max_age < _DAY:
        return Outcome("mtasts.policy", WARNING, "short", values, evidence)
    return Outcome("mtasts.policy", GOOD, "good", values, evidence)


def _match(policy: Policy | None, hosts: Sequence[str]) -> Outcome:
    if policy is None or policy.mode == "none" or not hosts:
        return Outcome("mtasts.match", NOT_APPLICABLE, "no-policy")
    missing = [host for host in hosts if not policy.covers(host)]
    evidence = [f"mx: {pattern}" for pattern in policy.patterns]
    if missing:
        return Outcome(
            "mtasts.match",
            FAILURE,
            "unmatched",
            {"missing": ", ".join(missing), "mx": ", ".join(missing[:_MOST_NAMES])},
            evidence,
        )
    return Outcome("mtasts.match", GOOD, "good", {}, evidence)
