"""MTA-STS (RFC 8461): the record, the policy that is fetched by HTTPS, and whether it fits the MX."""

from __future__ import annotations

import re

from mailguard.check import https, misspelt
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome
from mailguard.check.routing import failed, silent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from mailguard.check.guard import Guard
    from mailguard.check.rehearsal import Stage
    from mailguard.dns import Resolver

_LARGEST = 65536  # RFC 8461 3.3
_DAY = 86400
_LONGEST_AGE = 31557600
MOST_PATTERNS = 100
_RECORD = re.compile(rb"v=STSv1[ \t]*+;[ \t]*+id=[A-Za-z0-9]{1,32}[ \t]*+(?:;.*+)?", re.DOTALL)
_BEGINNING = re.compile(rb"v=STSv1[ \t]*+(?:;|\Z)")
_LINE = re.compile(r"[ \t]*+([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*+:[ \t]*+(.*+)")
_PATTERN = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")


class MalformedPolicy(ValueError):  # noqa: N818 (a property of the policy, not a failure)
    """The policy cannot be used; the text says why."""


class StsPolicy:
    """mode: enforce, testing or none; max_age: seconds; patterns: of mx: lines, lower case.  Raises MalformedPolicy."""

    __slots__ = ("max_age", "mode", "patterns")

    def __init__(self, raw: bytes) -> None:
        fields = _fields(raw)
        if fields.get("version") != ["STSv1"]:
            raise MalformedPolicy("version")
        self.mode = fields.get("mode", [""])[0]
        if self.mode not in {"enforce", "testing", "none"}:
            raise MalformedPolicy("mode")
        age = fields.get("max_age", [""])[0]
        if not (age.isascii() and age.isdigit() and len(age) <= 10 and int(age) <= _LONGEST_AGE):
            raise MalformedPolicy("max_age")
        self.max_age = int(age)
        self.patterns = [pattern.lower() for pattern in fields.get("mx", [])]
        if len(self.patterns) > MOST_PATTERNS or not all(map(_PATTERN.fullmatch, self.patterns)):
            raise MalformedPolicy("mx")
        if not self.patterns and self.mode != "none":
            raise MalformedPolicy("no mx")

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
        raise MalformedPolicy("UTF-8") from None
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.removesuffix("\r"))
        if match is None:
            raise MalformedPolicy("line")
        found.setdefault(match[1], []).append(match[2].strip())
    return found


class TransportPolicy:
    """What was found: outcomes of mtasts.record, .policy and .match; policy: None unless it can be used; text: of it.

    fetched: what came of the policy, None where nobody asked for it.
    """

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.policy: StsPolicy | None = None
        self.text = ""
        self.fetched: Outcome | None = None

    @property
    def enforced(self) -> bool:
        """Whether senders must refuse servers without a right certificate."""
        return self.policy is not None and self.policy.mode == "enforce"


def check(
    domain: str, resolver: Resolver, guard: Guard, context: ssl.SSLContext, hosts: Sequence[str]
) -> TransportPolicy:
    """Judge MTA-STS of a domain; context: verifies certificate and name; hosts: names of the MX, none for a null MX."""
    found = TransportPolicy()
    record = _record(domain, resolver, hosts)
    if record.state == GOOD:
        _fetch(domain, resolver, guard, context, found)
    return _put_together(found, record, hosts)


def again(
    domain: str, stage: Stage, guard: Guard, context: ssl.SSLContext, before: TransportPolicy, hosts: Sequence[str]
) -> TransportPolicy:
    """Judge MTA-STS in another world.

    before: as it was found; it learns the policy where nobody had asked for it.
    """
    record = _record(domain, stage.resolver, hosts)
    found = TransportPolicy()
    if stage.policy is not None:
        _read(stage.policy.replace("\n", "\r\n").encode(), found)
    elif record.state == GOOD:
        if before.fetched is None:
            _fetch(domain, stage.resolver, guard, context, before)
        found.policy, found.text, found.fetched = before.policy, before.text, before.fetched
    return _put_together(found, record, hosts)


def _put_together(found: TransportPolicy, record: Outcome, hosts: Sequence[str]) -> TransportPolicy:
    if record.state != GOOD:
        found.policy = None
    policy = found.fetched if record.state == GOOD else Outcome("mtasts.policy", NOT_APPLICABLE, "no-record")
    assert policy is not None
    found.outcomes = [record, policy, _match(found.policy, hosts)]
    return found


def _fetch(domain: str, resolver: Resolver, guard: Guard, context: ssl.SSLContext, found: TransportPolicy) -> None:
    wanted = https.Wanted(f"mta-sts.{domain}", "/.well-known/mta-sts.txt", "text/plain", _LARGEST)
    try:
        _read(https.fetch(wanted, resolver, guard, context), found)
    except https.Unfetched as error:
        state = UNKNOWN if error.unknown else FAILURE
        found.fetched = Outcome("mtasts.policy", state, error.reason, error.values)


def _read(body: bytes, found: TransportPolicy) -> None:
    found.text = body.decode("utf-8", "backslashreplace")
    try:
        found.policy = StsPolicy(body)
    except MalformedPolicy as error:
        found.fetched = Outcome("mtasts.policy", FAILURE, "malformed", {"error": error})
    else:
        found.fetched = _judged(found.policy, body)


def is_announced(record: bytes) -> bool:
    """Whether a TXT record means MTA-STS."""
    return bool(_BEGINNING.match(record))


def _record(domain: str, resolver: Resolver, hosts: Sequence[str]) -> Outcome:
    record = _recorded(domain, resolver)
    if not hosts and record.reason == "missing":
        record.state, record.reason = NOT_APPLICABLE, "null-mx"  # no mail comes that could be encrypted
    return record


def _recorded(domain: str, resolver: Resolver) -> Outcome:
    name = f"_mta-sts.{domain}"
    answer = resolver.query(name, "TXT")
    if silent(answer):
        return failed("mtasts.record", name, "TXT", answer)
    records = [text for text in answer.texts if _BEGINNING.match(text)]
    evidence = [text.decode("utf-8", "backslashreplace") for text in (records or answer.texts[:5])]
    if not records and (meant := misspelt.find("mtasts", answer.texts)):
        return Outcome("mtasts.record", WARNING, "misspelt", {"record": meant[0]}, meant)
    if not records:
        return Outcome("mtasts.record", WARNING, "missing", {}, evidence)
    values = {"record": evidence[0], "count": len(records)}
    if len(records) > 1:
        return Outcome("mtasts.record", FAILURE, "multiple", values, evidence)
    if not _RECORD.fullmatch(records[0]):
        return Outcome("mtasts.record", FAILURE, "malformed", values, evidence)
    return Outcome("mtasts.record", GOOD, "good", values, evidence)


def _judged(policy: StsPolicy, body: bytes) -> Outcome:
    evidence = [line.decode("utf-8", "backslashreplace") for line in body.splitlines()[:30]]
    values = {"max_age": policy.max_age}
    if policy.mode == "none":
        return Outcome("mtasts.policy", NOT_APPLICABLE, "none", values, evidence)
    if policy.mode == "testing":
        return Outcome("mtasts.policy", WARNING, "testing", values, evidence)
    if policy.max_age < _DAY:
        return Outcome("mtasts.policy", WARNING, "short", values, evidence)
    return Outcome("mtasts.policy", GOOD, "good", values, evidence)


def _match(policy: StsPolicy | None, hosts: Sequence[str]) -> Outcome:
    if policy is None or policy.mode == "none" or not hosts:
        return Outcome("mtasts.match", NOT_APPLICABLE, "no-policy")
    missing = [host for host in hosts if not policy.covers(host)]
    evidence = [f"mx: {pattern}" for pattern in policy.patterns]
    if missing:
        return Outcome(
            "mtasts.match",
            FAILURE,
            "unmatched",
            {"missing": ", ".join(missing)},
            evidence,
        )
    return Outcome("mtasts.match", GOOD, "good", {}, evidence)
