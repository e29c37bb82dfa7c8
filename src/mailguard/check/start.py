"""The beginning of an exchange: one mail that asks for a reply, and nothing else, whoever asked for it."""

from __future__ import annotations

from mailguard.check import messages, token
from mailguard.check.dialogue import Broken, Dialogue, unverified, why
from mailguard.check.guard import Forbidden
from mailguard.check.routing import route
from mailguard.check.state import Exchange, network
from mailguard.dns.lookups import Lookups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.check.dialogue import Reply
    from mailguard.check.guard import Guard
    from mailguard.check.routing import Route
    from mailguard.check.service import Service

DELIVERED = "delivered"
TEMPORARY = "temporary"
PERMANENT = "permanent"

_MOST_ATTEMPTS = 4
_SECONDS = 20.0  # for the DNS


class Unreachable(Exception):  # noqa: N818 (a property of the address)
    """No mail can go to the address; reason: "address", "domain" (takes no mail), "forbidden", "dns" (try again)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Beginning:
    """A new exchange: the mail that asks for a reply, its envelope sender, and where it goes."""

    __slots__ = ("exchange", "mail", "route", "sender", "token")

    def __init__(self, exchange: Exchange, mail: bytes, sender: str, found: Route, given: str) -> None:
        self.exchange = exchange
        self.mail = mail
        self.sender = sender
        self.route = found
        self.token = given


def begin(service: Service, text: str, lang: str, now: int, client: str = "") -> Beginning:
    """Begin an exchange with the address in `text`; client: IP address of who asked, "" for the operator.

    Nothing but the DNS is asked.  Raises Unreachable, `state.Denied`, or MailguardError.
    """
    service.state.sweep(now, service.pages)
    address = token.mailbox(text)
    if address is None or token.folded(address) == token.folded(service.address):
        raise Unreachable("address")
    given = token.make(service.ring.active, address, now)
    exchange = Exchange(token.name(given), address, lang, now)
    exchange.client = network(client)
    service.state.check(service.ring, exchange, now)  # before anything is asked of the DNS
    found = _route(service, exchange)
    service.state.begin(service.ring, exchange, now)
    mail = messages.confirmation(service, exchange, given, now)
    return Beginning(exchange, mail, service.reply_address(given), found, given)


def _route(service: Service, exchange: Exchange) -> Route:
    """Find the mail servers, once: these addresses count against the limits, and only they are connected to."""
    found = route(exchange.domain, Lookups(service.source, seconds=_SECONDS))
    if not found.hosts:
        temporary = any(outcome.reason == "dns-failed" for outcome in found.outcomes)
        raise Unreachable("dns" if temporary else "domain")
    guard = service.guard()
    exchange.servers = [address for host in found.hosts for address in host.addresses if guard.allows(address)]
    if not exchange.servers:
        raise Unreachable("forbidden")
    return found


def deliver(service: Service, beginning: Beginning) -> str:
    """Hand the mail to the mail servers of the domain, and keep what was said; return what came of it."""
    guard = service.guard()
    outcome = TEMPORARY
    attempts = [(host.name, address) for host in beginning.route.hosts for address in host.addresses]
    for name, address in attempts[:_MOST_ATTEMPTS]:
        said: list[str] = [f"! {name} [{address}]"]
        try:
            outcome = _attempt(guard, name, address, beginning, said)
        except Forbidden:
            said.append("! not a public address")
        except (OSError, Broken) as error:
            said.append(f"! {why(error)}")
        beginning.exchange.dialogue += [line.replace(beginning.token, "TOKEN") for line in said]
        if outcome != TEMPORARY:
            break
    service.state.save(beginning.exchange)
    return outcome


def _attempt(guard: Guard, name: str, address: str, beginning: Beginning, said: list[str]) -> str:
    with Dialogue(guard, address) as dialogue:
        try:
            return _conversation(dialogue, name, beginning)
        finally:
            said += dialogue.transcript


def _conversation(dialogue: Dialogue, name: str, beginning: Beginning) -> str:
    if dialogue.greeting.code != 220:
        return _class(dialogue.greeting)
    hello = dialogue.hello()
    if hello.code == 250 and "STARTTLS" in hello.keywords() and dialogue.command("STARTTLS").code == 220:
        dialogue.encrypt(unverified(), name)
        hello = dialogue.hello()
    if hello.code != 250:
        return _class(hello)
    for command in (f"MAIL FROM:<{beginning.sender}>", f"RCPT TO:<{beginning.exchange.address}>"):
        reply = dialogue.command(command)
        if reply.code not in {250, 251}:
            dialogue.leave()
            return _class(reply)
    reply = dialogue.command("DATA")
    if reply.code == 354:
        reply = _message(dialogue, beginning.mail)
    dialogue.leave()
    return DELIVERED if reply.code == 250 else _class(reply)


def _message(dialogue: Dialogue, mail: bytes) -> Reply:
    """Send the message; it is no part of what was said."""
    from mailguard.delivery import wire

    length = len(dialogue.transcript)
    dialogue.send(b"".join(wire([mail])) + b".\r\n")
    dialogue.transcript[length:] = ["C: (the message)", "C: ."]
    return dialogue.receive()


def _class(reply: Reply) -> str:
    return PERMANENT if reply.code >= 500 else TEMPORARY
