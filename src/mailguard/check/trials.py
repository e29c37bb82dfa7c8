"""The second level: whether the mail system refuses what it should.

Only for an exchange that is done, only after proof of control of the domain, once a day, and only to the registered
address, through each of its mail servers.  What a server says at once is one half of a result; what arrived, bounced or
was held is the other.
"""

from __future__ import annotations

import re

from mailguard.check import control, specimens, token
from mailguard.check import state as states
from mailguard.check.outcome import FAILURE, GOOD, WARNING, Outcome
from mailguard.check.report import Report
from mailguard.check.routing import route
from mailguard.check.target import ProbedServer
from mailguard.dns.lookups import Lookups
from mailguard.seal.keys import equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.check.guard import Guard
    from mailguard.check.outcome import State
    from mailguard.check.service import Service
    from mailguard.check.state import Exchange

MOST_SERVERS = 4
"""How many mail servers of a domain get the mails, those with the best preference."""

_FOUND: dict[str, State] = {"held": GOOD, "disarmed": GOOD, "bounced": WARNING, "delivered": FAILURE}
_FINAL = frozenset({"refused", *_FOUND})
_MARK = re.compile(rb"([0-9a-f]{32})\.(in\.[a-z.-]{2,20})\.([1-9])\.([a-z2-7]{26})")
_LARGEST = 1 << 20


class Unwanted(Exception):  # noqa: N818 (a decision)
    """No such mails go there; reason: "exchange", "proof", "again", "stopped" or "domain"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def run(service: Service, address: str, guard: Guard, now: int, *, forged_domain: str | None = None) -> list[Outcome]:
    """Send the mails to each mail server and return what was said at once; the result page is written anew.

    forged_domain: of ours, with p=reject, for the forged author of a stranger.  Raises Unwanted, or MailguardError.
    """
    exchange = _wanted(service, address, now)
    targets = _targets(service, exchange, guard)
    if not targets:
        raise Unwanted("domain")
    _claim(service, exchange, targets, now)
    outcomes: list[Outcome] = []
    try:
        outcomes += _outcomes(service, exchange, targets, forged_domain, now)
    finally:
        _rewrite(service, exchange.name, outcomes, now)
    return outcomes


def _wanted(service: Service, address: str, now: int) -> Exchange:
    checked = token.mailbox(address)
    exchange = service.state.latest(checked) if checked else None
    if exchange is None or exchange.status != states.DONE:
        raise Unwanted("exchange")
    if service.state.is_stopped(service.ring, exchange.address):
        raise Unwanted("stopped")
    proved = control.proved(exchange.domain, Lookups(service.source), service.ring.active)
    if not (proved or token.folded(exchange.address).startswith("postmaster@")):
        raise Unwanted("proof")
    _check_time(exchange, now)
    return exchange


def _check_time(exchange: Exchange, now: int) -> None:
    if exchange.trials and int(exchange.trials["time"]) > now - states.DAY:
        raise Unwanted("again")


def _targets(service: Service, exchange: Exchange, guard: Guard) -> list[ProbedServer]:
    """Return the mail servers by preference, each once, whatever its names: also those that only wait for others."""
    targets: list[ProbedServer] = []
    known: set[str] = set()
    for host in route(exchange.domain, Lookups(service.source)).hosts:
        addresses = [each for each in host.addresses if guard.allows(each) and each not in known]
        known.update(addresses)
        if addresses and len(targets) < MOST_SERVERS:
            targets.append(ProbedServer(host.name, addresses, guard, service.address, exchange.address))
    return targets


def _claim(service: Service, exchange: Exchange, targets: Sequence[ProbedServer], now: int) -> None:
    """Remember the time before the first mail: neither a failure nor another process makes them go out again."""
    with service.state.locked():
        _check_time(service.state.load(exchange.name) or exchange, now)
        exchange.trials = {"time": str(now)} | {str(number): each.name for number, each in enumerate(targets, 1)}
        service.state.save(exchange)


def _outcomes(
    service: Service, exchange: Exchange, targets: Sequence[ProbedServer], forged_domain: str | None, now: int
) -> Iterator[Outcome]:
    """Turn from server to server, so that the pause of one is time for the others."""
    checks = specimens.names(enforce=forged_domain is not None)
    common = {"address": exchange.address, "stop": service.stop_place(exchange.address), "service": service.address}
    for place, check in enumerate(checks, 1):
        author = {"in.self": exchange.address, "in.enforce": f"billing@{forged_domain}"}.get(check, service.address)
        for number, target in enumerate(targets, 1):
            known_by = mark(service, exchange, check, number)
            words = {**common, "author": author, "server": target.name}
            yield target.send(check, specimens.mail(check, known_by, place=(place, len(checks)), now=now, **words))
    for name in specimens.ENDINGS:
        raw = specimens.ended(name, now=now, **common)
        for target in targets:
            target.end(name, raw)
    yield from (target.endings() for target in targets)


def mark(service: Service, exchange: Exchange, check: str, number: int) -> str:
    """Return by what a mail of ours is recognised, wherever it is found: nobody else can make one.

    number: of the server to which it goes, from 1.
    """
    return f"{exchange.name}.{check}.{number}.{_code(service, exchange.name, check, str(number))}"


def _code(service: Service, *values: str) -> str:
    import base64

    code = service.ring.active.mac("check trial", *(value.encode("ascii") for value in values))[:16]
    return base64.b32encode(code).decode("ascii").rstrip("=").lower()


def collect(
    service: Service,
    raw: bytes,
    now: int,
    *,
    held: bool = False,
    bounced: bool = False,
    forwarded_by: str | None = None,
) -> Outcome | None:
    """Take a mail of ours that was found; return what it says, None when it is none.

    held: it was found in quarantine; bounced: it is within a bounce; forwarded_by: it is within a mail of this author,
    which says nothing unless it is whole and the author is who was to get it.  Raises MailguardError only.
    """
    found = _marked(service, raw)
    if found is None:
        return None
    exchange, check, server = found
    reason = "held" if held else "bounced" if bounced else _arrived(check, raw)
    if forwarded_by is not None and (reason != "delivered" or not token.same(forwarded_by, exchange.address)):
        return None  # a part may also be missing because a mail program did not send it on
    outcome = Outcome(check, _FOUND[reason], reason, subject=server)
    _rewrite(service, exchange.name, [outcome], now)
    return outcome


def _marked(service: Service, raw: bytes) -> tuple[Exchange, str, str] | None:
    """Return the exchange, the check and the server of the first mark of ours in a mail."""
    for match in _MARK.finditer(raw[:_LARGEST]):
        name, check, number, code = (group.decode("ascii") for group in match.groups())
        if equal(_code(service, name, check, number).encode(), code.encode()):
            exchange = service.state.load(name)
            known = exchange is not None and number in exchange.trials
            return (exchange, check, exchange.trials[number]) if exchange and known else None
    return None


def _arrived(check: str, raw: bytes) -> str:
    """Tell whether the dangerous part is still there."""
    if check not in specimens.ATTACHMENTS:
        return "delivered"
    from mailguard.message import encoding
    from mailguard.message.tree import parse

    _, _, content = specimens.ATTACHMENTS[check]()
    wanted = content if check != "in.encrypted-zip" else None  # salted: never twice the same
    for part in parse(raw).parts():
        data = encoding.decode(part.message.raw, part.body, part.end, part.encoding).data
        if data.strip() == (wanted or b"").strip() or (wanted is None and b"report.exe" in data[:200]):
            return "delivered"
    return "disarmed"


def _rewrite(service: Service, name: str, outcomes: Sequence[Outcome], now: int) -> None:
    """Put outcomes into the report in the place of earlier ones that say less, and write the page anew."""
    with service.state.locked():  # mails arrive while others are still sent
        exchange = service.state.load(name)
        if exchange is None or exchange.report is None:
            return
        report = Report.from_dict(exchange.report)
        servers = {value for key, value in exchange.trials.items() if key != "time"}
        report.outcomes = [each for each in report.outcomes if not _is_of_trials(each) or each.subject in servers]
        for outcome in outcomes:
            same = [each for each in report.outcomes if (each.check, each.subject) == (outcome.check, outcome.subject)]
            if same and not outcome.evidence:
                outcome.evidence = same[0].evidence  # what the server said when it took the mail
            if outcome.reason in _FINAL or not any(each.reason in _FINAL for each in same):
                report.outcomes = [each for each in report.outcomes if each not in same] + [outcome]
        service.sort(report)
        service.write_pages(exchange, report, now)
        exchange.report = report.as_dict()
        service.state.save(exchange)


def _is_of_trials(outcome: Outcome) -> bool:
    return outcome.check == "smuggling" or outcome.check in specimens.names(enforce=True)
