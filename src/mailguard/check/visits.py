"""What visits to mail servers found out, put together: who could be reached, its names, its certificate and DANE."""

from __future__ import annotations

from mailguard.check import certificate, dane, encryption, probes, reception, routing
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome
from mailguard.dns import Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailguard.check.outcome import State
    from mailguard.check.report import Server
    from mailguard.dns import Resolver

    Proved = Callable[[str, str], bool]

SERVER_CHECKS = (*reception.CHECKS, "tls.cert", "tls.injection", *encryption.CHECKS, "dane.tlsa", *probes.CHECKS)


class Seen:
    """A server with what was found out about it.

    late: the time was over before the end; elsewhere: it could not be reached, but by another address, where everything
    about it was found out; alike: it shows the same as another address of the same host.
    """

    def __init__(self, server: Server, visit: reception.Visit) -> None:
        self.server = server
        self.visit = visit
        self.outcomes: list[Outcome] = []
        self.late = False
        self.elsewhere = False
        self.alike = False

    def looks_like(self, other: Seen) -> bool:
        """Whether it greets, offers and encrypts as another one, so that they are one server or two alike."""
        mine, its = self.visit, other.visit
        if not (mine.reached and its.reached) or other.late or mine.keywords != its.keywords:
            return False
        chains = [visit.shown.chain if visit.shown else None for visit in (mine, its)]
        return (
            chains[0] == chains[1] and self.server.banner == other.server.banner and self.server.tls == other.server.tls
        )

    @property
    def silence(self) -> tuple[State, str]:
        """What is said about a check that was not made."""
        if self.late:
            return UNKNOWN, "late"
        if self.visit.keywords and "STARTTLS" not in self.visit.keywords:
            return NOT_APPLICABLE, "no-starttls"
        return UNKNOWN, "broken" if self.visit.reached else "unreachable"


def judge_reached(seen: Sequence[Seen], *, closed: bool) -> None:
    """Judge those that could not be reached: where none could, the fault may be on our side.

    closed: port 25 is closed from here to everybody.
    """
    reached = {each.server.name for each in seen if each.visit.reached}
    for each in seen:
        there = {outcome.check for outcome in each.outcomes}
        values = {"address": each.server.address, "error": each.visit.error}
        if "mx.reach" not in there:
            if closed:
                each.outcomes.append(Outcome("mx.reach", UNKNOWN, "port-closed", values, subject=each.server.name))
            else:
                each.outcomes.append(_unreached(each, values, somebody=bool(reached)))
        each.elsewhere = not each.visit.reached and each.server.name in reached
        if each.elsewhere or each.alike:
            continue
        state, reason = each.silence
        for check in SERVER_CHECKS:
            if check not in there and check not in {"mx.reach", "tls.cert", "dane.tlsa"}:
                each.outcomes.append(Outcome(check, state, reason, values, subject=each.server.name))


def _unreached(seen: Seen, values: dict[str, str], *, somebody: bool) -> Outcome:
    """Say that a server could not be reached; somebody: another one was, so it is not our network that fails."""
    if seen.late:
        return Outcome("mx.reach", UNKNOWN, "late", values, subject=seen.server.name)
    severity = "high" if somebody else None
    if seen.visit.error == "connection refused":
        return Outcome("mx.reach", FAILURE, "refused", values, subject=seen.server.name, severity=severity)
    if ":" in seen.server.address:  # many networks have no IPv6
        severity = "informational" if somebody else None
    elif somebody:
        return Outcome("mx.reach", FAILURE, "unreachable", values, subject=seen.server.name, severity=severity)
    return Outcome("mx.reach", UNKNOWN, "unreachable", values, subject=seen.server.name, severity=severity)


def judge_names(seen: Sequence[Seen], resolver: Resolver) -> None:
    """Look up the names that servers give themselves: who asks for them must find something."""
    for each in seen:
        for outcome in each.outcomes:
            if outcome.check == "banner" and outcome.state == GOOD:
                name = outcome.values["name"].lower()
                answers = [resolver.query(name, rdtype) for rdtype in ("A", "AAAA")]
                if not any(answer.names or routing.silent(answer) for answer in answers):
                    outcome.state, outcome.reason = WARNING, "unresolved"


def certified(
    seen: Seen, resolver: Resolver, outcomes: Sequence[Outcome], now: int, proved: Proved, *, enforced: bool
) -> list[Outcome]:
    """Judge certificate and DANE, which need what was found out about the domain.

    proved: whether we can prove the records of (name, type) ourselves.
    """
    host, shown = seen.server.name, seen.visit.shown
    state, reason = seen.silence
    values = {"address": seen.server.address, "error": seen.visit.error}
    answer = resolver.query(f"_25._tcp.{host}", "TLSA")
    signed = _signature_state(host, outcomes)
    if answer.names and not answer.authenticated_data and signed == GOOD and proved(f"_25._tcp.{host}", "TLSA"):
        answer = Answer(answer.status, answer.records, answer.ttl, authenticated_data=True)
    if shown is not None:
        by_key = signed == GOOD and answer.authenticated_data and dane.by_key_alone(answer, shown)
        found = certificate.judge(shown, host, now, enforced=enforced, by_key=by_key)
    else:
        found = [Outcome("tls.cert", state, reason, values, subject=host)]
    if answer.names and shown is None and not seen.visit.decided:
        return [*found, Outcome("dane.tlsa", UNKNOWN, reason, values, subject=host)]
    return [*found, dane.judge(host, answer, shown, now, signed=signed)]


def _signature_state(host: str, outcomes: Sequence[Outcome]) -> str:
    """Return the worst state of DNSSEC of the domain's MX and the host."""
    states = {
        outcome.state
        for outcome in outcomes
        if outcome.check == "dnssec.domain" or (outcome.check == "dnssec.mx" and outcome.subject == host)
    }
    return next((state for state in (UNKNOWN, FAILURE, WARNING) if state in states), GOOD)


def grouped(servers: Sequence[Server]) -> list[list[Server]]:
    """Put together what may be one machine: the same name or the same address."""
    groups: list[list[Server]] = []
    for server in servers:
        same = [
            group for group in groups if any(server.name == one.name or server.address == one.address for one in group)
        ]
        groups = [group for group in groups if group not in same]
        groups.append([*(one for group in same for one in group), server])
    return groups
