"""The second level: whether the mail system refuses what it should.

Only for an exchange that is done, only after proof of control of the domain, once a day, and only to the registered
address.  What a server says at once is one half of a result; what arrived, bounced or was held is the other.
"""

from __future__ import annotations

import re

from mailguard.check import control, specimens, token
from mailguard.check import state as states
from mailguard.check.dialogue import Broken, Dialogue, why
from mailguard.check.guard import Forbidden, Late
from mailguard.check.outcome import FAILURE, GOOD, UNKNOWN, WARNING, Outcome
from mailguard.check.report import Report
from mailguard.check.routing import route
from mailguard.dns.lookups import Lookups
from mailguard.seal.keys import equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.check.dialogue import Reply
    from mailguard.check.guard import Guard
    from mailguard.check.service import Service
    from mailguard.check.state import Exchange

STATES = {
    "refused": GOOD,
    "held": GOOD,
    "disarmed": GOOD,
    "bounced": WARNING,
    "delivered": FAILURE,
    "accepted": UNKNOWN,
    "deferred": UNKNOWN,
    "declined": UNKNOWN,
}
"""What became of a mail, and how that is judged."""

_FINAL = frozenset({"refused", "held", "disarmed", "bounced", "delivered"})
_MARK = re.compile(rb"([0-9a-f]{32})\.(in\.[a-z.-]{2,20})\.([a-z2-7]{26})")
_LARGEST = 1 << 20
_WAIT = 4.0  # seconds in which a server that takes a false ending says so


class Unwanted(Exception):  # noqa: N818 (a decision)
    """No such mails go there; reason: "exchange", "proof", "again", "stopped" or "domain"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def run(service: Service, address: str, guard: Guard, now: int, *, forged_domain: str | None = None) -> list[Outcome]:
    """Send the mails and return what was said at once; the result page is written anew.

    forged_domain: of ours, with p=reject, for the forged author of a stranger.  Raises Unwanted, or MailguardError.
    """
    exchange = _wanted(service, address, now)
    found = route(exchange.domain, Lookups(service.source))
    places = [(host.name, each) for host in found.hosts for each in host.addresses if guard.allows(each)]
    if not places:
        raise Unwanted("domain")
    exchange.trials = {"time": str(now)}
    service.state.save(exchange)  # before the first mail: a failure must not make them go out again
    outcomes = list(_Trials(service, exchange, guard, places[0], now).outcomes(forged_domain))
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
    if exchange.trials and int(exchange.trials["time"]) > now - states.DAY:
        raise Unwanted("again")
    return exchange


class _Trials:
    def __init__(self, service: Service, exchange: Exchange, guard: Guard, place: tuple[str, str], now: int) -> None:
        self._service = service
        self._exchange = exchange
        self._guard = guard
        self._name, self._address = place
        self._now = now
        self._sender = service.address

    def outcomes(self, forged_domain: str | None) -> Iterator[Outcome]:
        checks = specimens.names(enforce=forged_domain is not None)
        declined = None
        for number, check in enumerate(checks, 1):
            if declined is not None:
                yield Outcome(check, UNKNOWN, "declined", declined.values, subject=self._name)
                continue
            author = {"in.self": self._exchange.address, "in.enforce": f"billing@{forged_domain}"}.get(check)
            outcome = self._sent(check, author or self._service.address, (number, len(checks)))
            if outcome.reason == "declined":
                declined = outcome
            yield outcome
        if declined is None:
            yield self._endings()

    def _sent(self, check: str, author: str, place: tuple[int, int]) -> Outcome:
        service, exchange = self._service, self._exchange
        raw = specimens.mail(
            check,
            mark(service, exchange, check),
            author=author,
            address=exchange.address,
            place=place,
            stop=service.stop_place(exchange.address),
            host=service.host,
            now=self._now,
        )
        try:
            with Dialogue(self._guard, self._address) as dialogue:
                reply = self._opened(dialogue)
                if reply is None:
                    reply = self._said(dialogue, raw)
                return self._judged(check, reply, dialogue)
        except (OSError, Broken, Forbidden, Late) as error:
            values = {"reply": why(error)}
            return Outcome(check, UNKNOWN, "declined", values, subject=self._name)

    def _opened(self, dialogue: Dialogue) -> Reply | None:
        """Begin a transaction; return a reply that ends it before the message, None when the message may come."""
        reply = dialogue.greeting if dialogue.greeting.code != 220 else dialogue.hello()
        if reply.code != 250:
            return reply
        for command in (f"MAIL FROM:<{self._sender}>", f"RCPT TO:<{self._exchange.address}>", "DATA"):
            reply = dialogue.command(command)
            if reply.code not in {250, 251, 354}:
                return reply
        return None

    def _said(self, dialogue: Dialogue, raw: bytes) -> Reply:
        from mailguard.delivery import wire

        length = len(dialogue.transcript)
        dialogue.send(b"".join(wire([raw])) + b".\r\n")
        dialogue.transcript[length:] = ["C: (the message)", "C: ."]
        return dialogue.receive(60.0)

    def _judged(self, check: str, reply: Reply, dialogue: Dialogue) -> Outcome:
        dialogue.leave()
        values = {"reply": reply.text}
        if reply.code == 421 or not any(line.startswith("C: DATA") for line in dialogue.transcript):
            reason = "declined"  # nobody looked at the content
        elif reply.code == 250:
            reason = "accepted"
        else:
            reason = "refused" if reply.code >= 500 else "deferred"
        return Outcome(check, STATES[reason], reason, values, dialogue.transcript, subject=self._name)

    def _endings(self) -> Outcome:
        """Find false endings that the server takes; after one it would read the rest as commands, so it is left."""
        taken, evidence, tried = [], [], 0
        for name, ending in specimens.ENDINGS.items():
            try:
                with Dialogue(self._guard, self._address) as dialogue:
                    if self._opened(dialogue) is not None:
                        continue
                    dialogue.send(self._ended(name, ending))
                    if self._takes(dialogue):
                        taken.append(name)
                        evidence += [f"{name}:", *dialogue.transcript[-1:]]
                    tried += 1
            except (OSError, Broken, Forbidden, Late):
                continue
        values = {"endings": ", ".join(taken), "count": str(tried)}
        if taken:
            return Outcome("smuggling", FAILURE, "taken", values, evidence, subject=self._name)
        complete = tried == len(specimens.ENDINGS)
        return Outcome(
            "smuggling", GOOD if complete else UNKNOWN, "good" if complete else "unfinished", values, subject=self._name
        )

    def _ended(self, name: str, ending: bytes) -> bytes:
        address, host = self._exchange.address, self._service.host
        text = f"From: <{self._sender}>\r\nTo: <{address}>\r\nSubject: [test] mail server check: end of data {name}\r\n"
        return f"{text}Message-ID: <{name.lower()}.{self._now}@{host}>\r\n\r\nA test.".encode("ascii") + ending

    def _takes(self, dialogue: Dialogue) -> bool:
        """Tell whether the server took the message; what only hangs up or refuses is right."""
        try:
            return dialogue.receive(_WAIT).code == 250
        except Broken:
            return False


def mark(service: Service, exchange: Exchange, check: str) -> str:
    """Return by what a mail of ours is recognised, wherever it is found: nobody else can make one."""
    return f"{exchange.name}.{check}.{_code(service, exchange.name, check)}"


def _code(service: Service, name: str, check: str) -> str:
    import base64

    code = service.ring.active.mac("check trial", name.encode("ascii"), check.encode("ascii"))[:16]
    return base64.b32encode(code).decode("ascii").rstrip("=").lower()


def collect(service: Service, raw: bytes, now: int, *, held: bool = False, bounced: bool = False) -> Outcome | None:
    """Take a mail of ours that was found; return what it says, None when it is none.

    held: it was found in quarantine; bounced: it is within a bounce.  Raises MailguardError only.
    """
    for match in _MARK.finditer(raw[:_LARGEST]):
        name, check, code = (group.decode("ascii") for group in match.groups())
        if not equal(_code(service, name, check).encode(), code.encode()):
            continue
        exchange = service.state.load(name)
        if exchange is None or not exchange.trials:
            return None
        reason = "held" if held else "bounced" if bounced else _arrived(check, raw)
        outcome = Outcome(check, STATES[reason], reason)
        _rewrite(service, name, [outcome], now)
        return outcome
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
        for outcome in outcomes:
            old = [each for each in report.outcomes if each.check == outcome.check and each.reason in _FINAL]
            if not old or outcome.reason in _FINAL:
                report.outcomes = [each for each in report.outcomes if each.check != outcome.check]
                report.outcomes.append(outcome)
        service.sort(report)
        service.write_pages(exchange, report, now)
        exchange.report = report.as_dict()
        service.state.save(exchange)
