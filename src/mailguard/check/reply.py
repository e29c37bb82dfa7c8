"""The answer to the confirmation mail: what makes one count, and the result that follows.

A reply comes through a mail alias, where loud failures become bounces to whoever is named in it.  So nothing in a
message is a failure: what does not count is passed over, with a word for the log.  The result goes to the address in
the token and to nobody else, whatever the reply says.
"""

from __future__ import annotations

import re

from mailguard.check import blocklists, hop, messages, rehearsal, sending, token, trials
from mailguard.check import state as states
from mailguard.check.report import Report
from mailguard.dns.lookups import Lookups
from mailguard.message.tree import MAX_FIELDS, parse
from mailguard.verify.author import scan as read_author
from mailguard.verify.client import client_address
from mailguard.verify.judgement import VerifyOptions, judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.check.hop import Arrival
    from mailguard.check.service import Service
    from mailguard.check.state import Exchange
    from mailguard.envelope import Envelope
    from mailguard.message.tree import Message

LARGEST = 10 << 20
_LARGEST_HEADER = 1 << 18
_TOKEN_FIELDS = frozenset(
    {b"to", b"cc", b"delivered-to", b"x-original-to", b"in-reply-to", b"references", b"envelope-to"}
)
_STOP = re.compile(rb"\+stop-([A-Za-z2-7]{39})@")
_FAILED = re.compile(rb"^Action[ \t]*+:[ \t]*+failed\b", re.IGNORECASE | re.MULTILINE)
_BULK = frozenset({b"bulk", b"list", b"junk", b"auto_reply"})
_MESSAGE_ID = re.compile(rb"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{3,200}>")

# What becomes of a message.
DONE = "done"
STOPPED = "stopped"
IGNORED = {
    "too-large": "the message is too large",
    "no-token": "no valid token",
    "expired": "the token has expired, or is not for this address",
    "automatic": "an automatic reply",
    "undeliverable": "the confirmation could not be delivered",
    "bounced": "a test mail came back",
    "arrived": "a test mail that arrived",
    "author": "not from the registered address",
    "stopped-before": "the address wants no mail",
    "not-first": "another reply counts already",
    "postponed": "too many checks: the reply may come again later",
    "told": "the result was mailed as often as it may be",
}


class Handled:
    """What became of a message.

    code: DONE, STOPPED or a key of `IGNORED`; mail: for `recipient`: the result, or that it must wait; exchange: whose
    result it is, for `State.untold` where it cannot be sent, else "".
    """

    __slots__ = ("code", "exchange", "mail", "recipient")

    def __init__(self, code: str, mail: bytes | None = None, recipient: str = "", exchange: str = "") -> None:
        self.code = code
        self.mail = mail
        self.recipient = recipient
        self.exchange = exchange


def handle(
    service: Service, raw: bytes, envelope: Envelope, now: int, *, encrypted: hop.Transport | None = None
) -> Handled:
    """Take a message that came to the mailbox of the service.

    encrypted: how it came, where no Received field says it.  Raises MailguardError only, for the site's own faults;
    the same message may then come again.
    """
    service.state.sweep(now, service.pages)
    if len(raw) > LARGEST:
        return Handled("too-large")
    message = parse(raw)
    if message.limit is not None or len(message.fields) > MAX_FIELDS:
        return Handled("too-large")
    arrival = hop.arrival(message, envelope, environment=service.environment, trusted_relays=service.trusted_relays)
    if encrypted is not None:
        arrival.transport = encrypted
        arrival.below = 0
    places = b"\n".join(_places(message, arrival))
    for match in _STOP.finditer(places):
        name = token.stopped_name(service.ring, match[1].decode("ascii"))
        if name is not None:
            service.state.stop(name)
            return Handled(STOPPED)
    code = _of_trials(service, message, arrival, now)
    if code:
        return Handled(code)
    given, exchange = _found(service, places)
    if exchange is None:
        return Handled("no-token")
    return _reply(service, message, arrival, exchange, given, now)


def _of_trials(service: Service, message: Message, arrival: Arrival, now: int) -> str:
    """Take a mail about a test mail: its bounce, or it was forwarded by who got it; return "" for any other."""
    programmed = _by_program(message, arrival)
    if programmed:
        failed = programmed == states.UNDELIVERABLE and _tells_of_failure(message)
        return "bounced" if failed and trials.collect(service, message.raw, now, bounced=True) else ""
    author = read_author(message)
    if author.anomalies or author.address is None:
        return ""
    return "arrived" if trials.collect(service, message.raw, now, forwarded_by=author.address) else ""


def _tells_of_failure(message: Message) -> bool:
    """Whether a mail to the null sender is a bounce: no delay, no receipt, no complaint (RFC 3464 2.3.3, RFC 8098)."""
    for part in message.parts():
        if part.content_type in {b"message/disposition-notification", b"message/feedback-report"}:
            return False
        if part.content_type == b"message/delivery-status":
            return _FAILED.search(part.message.raw, part.body, part.end) is not None
    return True


def _places(message: Message, arrival: Arrival) -> Iterator[bytes]:
    """Yield the texts in which a token may stand, the envelope first."""
    yield from (recipient.encode("utf-8", "replace") for recipient in arrival.envelope.recipients)
    size = 0
    for field in message.fields:
        if field.name in _TOKEN_FIELDS:
            size += field.end - field.start
            if size > _LARGEST_HEADER:
                return
            yield field.unfolded


def _found(service: Service, places: bytes) -> tuple[str, Exchange | None]:
    for given in token.candidates(places):
        exchange = service.state.load(token.name(given))
        if exchange is not None:
            return given, exchange
    return "", None


def _reply(service: Service, message: Message, arrival: Arrival, exchange: Exchange, given: str, now: int) -> Handled:
    if not token.is_valid(service.ring, given, exchange.address, now):
        return Handled("expired")
    programmed = _by_program(message, arrival)
    if programmed:
        return _noted(service, exchange, programmed)
    author = read_author(message)
    if author.anomalies or author.address is None or not token.same(author.address, exchange.address):
        return Handled("author")
    if service.state.is_stopped(service.ring, exchange.address):
        return Handled("stopped-before")
    try:
        claimed = service.state.claim(exchange, _digest(message), now)
    except states.Denied:
        mail = messages.postponed(service, exchange, given, now) if service.state.postpone(exchange) else None
        return Handled("postponed", mail, exchange.address)
    return _result(service, message, arrival, exchange, given, now) if claimed else Handled("not-first")


def _digest(message: Message) -> str:
    """Return by what a reply is known that comes again.

    It is that of the message without the line "From " on top, in which local(8) of Postfix writes the time of each try.
    """
    import hashlib

    return hashlib.sha256(message.raw[message.start :]).hexdigest()


def _result(service: Service, message: Message, arrival: Arrival, exchange: Exchange, given: str, now: int) -> Handled:
    """Make the diagnosis, and its mail unless that was sent as often as it may be."""
    current = service.state.load(exchange.name) or exchange
    report = _report(service, message, arrival, current, given, now)
    if not service.state.tell(current.name):
        return Handled("told")
    mail = messages.result(service, current, report, _message_id(message), now)
    return Handled(DONE, mail, current.address, current.name)


def _by_program(message: Message, arrival: Arrival) -> str:
    """Return what a message of a program is (RFC 3834, RFC 3464), "" for one of a person."""
    root = message.root.content_type
    if arrival.envelope.sender == "" or root in {b"multipart/report", b"message/delivery-status"}:
        return states.UNDELIVERABLE
    for field in message.fields:
        value = field.unfolded.lower()
        if field.name == b"auto-submitted" and value.partition(b";")[0].strip() != b"no":
            return states.AUTOMATIC
        if (field.name == b"precedence" and value.strip() in _BULK) or field.name in {b"list-id", b"x-autoreply"}:
            return states.AUTOMATIC
    return ""


def _noted(service: Service, exchange: Exchange, status: str) -> Handled:
    if exchange.status == states.SENT:
        exchange.status = status
        service.state.save(exchange)
    return Handled(status)


def _report(service: Service, message: Message, arrival: Arrival, exchange: Exchange, given: str, now: int) -> Report:
    """Return the diagnosis: made now, or before a failure that made the same reply come again."""
    if exchange.status == states.DONE and exchange.report is not None:
        return Report.from_dict(exchange.report)
    lookups = Lookups(service.source, questions=500)
    options = VerifyOptions(service.host, service.source, chain=True)
    judgement = judge(message, arrival.envelope, options, now)
    report = service.scan(exchange.domain, _is_postmaster(exchange))
    report.outcomes += sending.outcomes(message, arrival, judgement, lookups, now)
    address = client_address(arrival.envelope.client_address)
    if service.lists and address is not None:
        report.outcomes.append(blocklists.address(str(address), str(address), service.lists, lookups))
    service.sort(report)
    rehearsal.with_mail(report, message, arrival, service.host, lookups, now)
    exchange.page = token.page_name(service.ring.active, given)
    exchange.sent_by = _sent_by(arrival, now)
    service.write_pages(exchange, report, now)
    exchange.report = report.as_dict()
    exchange.status = states.DONE
    service.state.save(exchange)
    return report


def _is_postmaster(exchange: Exchange) -> bool:
    """Whether who answers is the one to whom RFC 5321 4.5.1 gives this mailbox: proof of control of the domain."""
    return token.folded(exchange.address).startswith("postmaster@")


def _sent_by(arrival: Arrival, now: int) -> dict[str, str | None]:
    known, transport = arrival.envelope, arrival.transport
    names = [known.client_helo or "", f"[{known.client_address}]" if known.client_address else ""]
    encrypted = {None: None, False: "", True: transport.version or "TLS"}[transport.encrypted]
    return {"server": " ".join(filter(None, names)), "tls": encrypted, "written": str(now)}


def _message_id(message: Message) -> str:
    for field in message.fields:
        if field.name == b"message-id":
            match = _MESSAGE_ID.fullmatch(field.unfolded)
            return match[0].decode("ascii") if match else ""
    return ""
