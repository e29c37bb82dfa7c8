"""`mailguard check start`, `reply` and `serve`: the exchange of mails, by hand, in an alias, or as a service."""

from __future__ import annotations

import os
import sys
from functools import update_wrapper

import click

from mailguard.cli.options import key_file_option, now_option
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from mailguard.check.blocklists import Blocklist
    from mailguard.check.guard import Guard
    from mailguard.check.reply import Handled
    from mailguard.check.report import Report
    from mailguard.check.service import Service

    Function = Callable[..., Any]

STATE = "/var/lib/mailguard/check"
_NOT_SENT = 1
_DNS_SECONDS = 5.0
_LANGUAGES = click.Choice(("ja", "en"))
_TRIAL_SECONDS = 600.0
_TRIAL_PAUSE = 10.0
_UNWANTED = {
    "exchange": "no check of this address is done",
    "proof": "control of its domain is not proved; mailguard check scan shows the record to publish",
    "again": "these mails went there within the last day",
    "stopped": "the address wants no mail",
    "domain": "its domain has no mail server with a public address",
}
_REASONS = {
    "address": "not an address that can be checked",
    "domain": "its domain takes no mail",
    "forbidden": "its mail servers have no public address",
    "dns": "the DNS does not answer now",
    "stopped": "the address wants no mail",
    "room": "too little room on the disk of --state",
}


def service_options(function: Function) -> Function:
    """Add the options that say what the service is; the function gets `make`, which makes it, and `now`."""

    def collected(*, now: int | None, **values: Any) -> Any:
        from time import time

        own = {name: values.pop(name) for name in _OWN}
        return function(make=lambda **more: _service(**own, **more), now=int(time()) if now is None else now, **values)

    wrapped = update_wrapper(collected, function)
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return now_option(key_file_option(wrapped))


_OWN = (
    "key_file", "address", "state", "www", "url", "attach", "nameserver", "ca_file", "blocklist", "timeout", "lab",
)  # fmt: skip
_OPTIONS = (
    click.option("--address", metavar="MAILBOX", required=True, help="Mailbox of the service, as check@example.org."),
    click.option("--state", metavar="DIR", default=STATE, help=f"What the service remembers (default: {STATE})."),
    click.option("--www", metavar="DIR", help="Folder of the result pages (default: pages in that of --state)."),
    click.option("--url", metavar="URL", default="", help="Under which the result pages are found."),
    click.option("--attach", is_flag=True, help="Attach the page to the result mail."),
    click.option("--nameserver", metavar="HOST[:PORT]", multiple=True, help="Ask this name server; repeat for more."),
    click.option("--ca-file", metavar="FILE", help="Trust these authorities instead of the system's."),
    click.option("--blocklist", metavar="ZONE", multiple=True, help="Ask this block list instead of the usual ones."),
    click.option("--timeout", metavar="SECONDS", type=click.IntRange(1, 600), default=180, help="For one diagnosis."),
    click.option("--lab", is_flag=True, help="Connect to private and own addresses too, for tests."),
)


@click.command("start")
@click.argument("address_to_check", metavar="ADDR")
@service_options
@click.option("--lang", type=_LANGUAGES, default="ja", help="Language of the mails (default: ja).")
@click.option("--direct", is_flag=True, help="Deliver to the mail servers of the domain; write what was said.")
@click.pass_context
def start_command(
    ctx: click.Context, /, make: Callable[..., Service], now: int, address_to_check: str, lang: str, direct: bool
) -> None:
    """Begin a check: write the mail that asks for a reply.

    Status 0: the mail is written, or delivered; 1: no mail goes to this address now.
    """
    from mailguard.check import start
    from mailguard.check.state import Denied

    service = make()
    try:
        begun = start.begin(service, address_to_check, lang, now)
    except (start.Unreachable, Denied) as error:
        limited = isinstance(error, Denied) and error.reason not in {"stopped", "room"}
        reason = f"too many checks (limit: {error.reason})" if limited else _REASONS[error.reason]
        click.echo(f"mailguard: {show(address_to_check)}: {reason}", err=True)
        ctx.exit(_NOT_SENT)
    if not direct:
        _write(begun.mail)
        return
    outcome = start.deliver(service, begun)
    for line in begun.exchange.dialogue:
        click.echo(show(line, 500))
    if outcome != start.DELIVERED:
        ctx.exit(_NOT_SENT)


@click.command("reply")
@service_options
@click.option("--client-address", metavar="IP", help="Address of the SMTP client.")
@click.option("--client-helo", metavar="NAME", help="Name that the SMTP client gave in HELO or EHLO.")
@click.option("--sender", metavar="ADDR", help="Envelope sender; empty or <> for the null sender.")
@click.option("--recipient", metavar="ADDR", multiple=True, help="Envelope recipient; repeat for more.")
@click.option(
    "--client-from",
    type=click.Choice(("environment",)),
    help="Take all this from the environment that local(8) of Postfix makes.",
)
@click.option("--trusted-relay", metavar="NET", multiple=True, help="Our own relays; the client is behind them.")
def reply_command(make: Callable[..., Service], now: int, recipient: tuple[str, ...], **values: Any) -> None:
    """Take a mail to the mailbox of the service; write the result mail when it is a reply that counts.

    Reads one message on stdin.  Status 0: done, whatever the message was; 75: it must be tried again.
    """
    from mailguard.check.reply import IGNORED, handle
    from mailguard.envelope import Envelope
    from mailguard.streams import describe, read_message

    facts = {name: values[name] for name in ("client_address", "client_helo", "sender")}
    _fail_when_stopped()
    try:
        service = make(client_from=values["client_from"], trusted_relay=values["trusted_relay"])
        handled = handle(service, read_message(), Envelope(recipients=recipient, **facts), now)
        if handled.mail is not None:
            _deliver(service, handled)
    except MailguardError:
        raise
    except Exception as error:  # noqa: BLE001 (a fault of ours must not bounce the mail either)
        raise MailguardError(describe(error)) from None
    if handled.code in IGNORED and sys.stderr.isatty():
        click.echo(f"mailguard: nothing to do: {IGNORED[handled.code]}", err=True)


@click.command("probe")
@click.argument("address_to_check", metavar="ADDR")
@service_options
@click.option("--forged-domain", metavar="DOMAIN", help="A domain of ours with p=reject, for forged authors.")
@click.option("--lang", type=_LANGUAGES, default="en", help="Language of the output (default: en).")
@click.pass_context
def probe_command(
    ctx: click.Context,
    /,
    make: Callable[..., Service],
    now: int,
    address_to_check: str,
    forged_domain: str | None,
    lang: str,
) -> None:
    """Send what a mail system should refuse, all of it harmless, to an address whose domain asked for it.

    Status 0: the mails were sent; 1: no such mails go to this address now.
    """
    from mailguard.check import catalogue, trials
    from mailguard.check.guard import Guard
    from mailguard.dns.names import domain_name

    if forged_domain is not None and domain_name(forged_domain) is None:
        raise click.UsageError(f"not a domain name: {show(forged_domain)}")
    lab = ctx.params["lab"]
    guard = Guard(_TRIAL_SECONDS, lab=lab, pause=0.0 if lab else _TRIAL_PAUSE)
    try:
        outcomes = trials.run(make(), address_to_check, guard, now, forged_domain=forged_domain)
    except trials.Unwanted as error:
        click.echo(f"mailguard: {show(address_to_check)}: {_UNWANTED[error.reason]}", err=True)
        ctx.exit(_NOT_SENT)
    for outcome in outcomes:
        state = catalogue.STATES[outcome.state][lang]
        said = (state, outcome.check, show(outcome.subject), catalogue.sentence(outcome, lang))
        click.echo("\t".join(said))


@click.command("collect")
@service_options
@click.option("--held", is_flag=True, help="The mail was found in quarantine.")
def collect_command(make: Callable[..., Service], now: int, held: bool) -> None:
    """Take a mail of probe that arrived, or that was found in quarantine; the result page is written anew.

    Reads one message on stdin.  Status 0: done, whatever the message was; 75: it must be tried again.
    """
    from mailguard.check import trials
    from mailguard.streams import describe, read_message

    _fail_when_stopped()
    try:
        trials.collect(make(), read_message(), now, held=held)
    except MailguardError:
        raise
    except Exception as error:  # noqa: BLE001 (a fault of ours must not bounce the mail either)
        raise MailguardError(describe(error)) from None


@click.command("serve")
@service_options
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:8025", help="Of the web (default: 127.0.0.1:8025).")
@click.option("--smtp", metavar="HOST:PORT", help="Take the replies here.")
@click.option("--certificate", metavar="FILE", help="PEM file with chain and key, for STARTTLS at --smtp.")
@click.option("--via", metavar="URL", default="smtp://127.0.0.1", help="Where mails go (default: smtp://127.0.0.1).")
@click.option("--trusted-proxy", metavar="IP", help="Web server before us, whose X-Forwarded-For is believed.")
def serve_command(make: Callable[..., Service], now: int, **values: Any) -> None:
    """Serve the form and the result pages, and with --smtp take the replies.

    Runs until it is told to stop.
    """
    from mailguard.check import server

    del now  # a server has the real time
    server.serve(make(default_url=f"http://{values['listen']}/"), **values)
    sys.stderr.flush()
    os._exit(0)  # a diagnosis may run for minutes: the reply was not taken yet, so it comes again


def _fail_when_stopped() -> None:
    """Let a signal be a failure of the site: some mail systems bounce the mail of a command that a signal ended."""
    import signal

    def stop(number: int, _frame: object) -> None:
        raise MailguardError(f"stopped by signal {number}")

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _deliver(service: Service, handled: Handled) -> None:
    try:
        _write(handled.mail or b"")
    except MailguardError:
        if handled.exchange:
            service.state.untold(handled.exchange)
        raise


def _write(mail: bytes) -> None:
    try:
        sys.stdout.buffer.write(mail)
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter tries once more when it ends
        raise MailguardError(f"standard output: {error.strerror}") from None


def _service(  # noqa: PLR0913 (options)
    *,
    key_file: str | None,
    address: str,
    state: str,
    www: str | None,
    url: str,
    attach: bool,
    nameserver: Sequence[str],
    default_url: str = "",
    client_from: str | None = None,
    trusted_relay: Sequence[str] = (),
    **diagnosis: Any,
) -> Service:
    from mailguard.check.service import Service
    from mailguard.check.state import State
    from mailguard.dns.live import Nameservers
    from mailguard.site import key_ring
    from mailguard.verify.client import networks

    ring = key_ring(key_file)
    if ring is None:
        raise ConfigurationError("there is no site key; make one with: mailguard init")
    pages = www or os.path.join(state, "pages")
    kept = State(state)
    os.makedirs(pages, exist_ok=True)
    diagnosis |= {"key_file": key_file, "nameserver": nameserver}
    return Service(
        address,
        ring,
        kept,
        pages=pages,
        url=url or default_url,
        attach=attach,
        source=Nameservers(nameserver, timeout=_DNS_SECONDS),
        scan=lambda domain, proved: _scan(domain, proved, diagnosis),
        guard=lambda: _guard(diagnosis),
        lists=_lists(diagnosis["blocklist"]),
        environment=os.environ if client_from else None,
        trusted_relays=networks(trusted_relay),
    )


def _scan(domain: str, proved: bool, diagnosis: dict[str, Any]) -> Report:
    from mailguard.check.scan import scan
    from mailguard.cli.diagnosis import settings

    made = settings(now=None, **diagnosis)
    made.proved = proved
    return scan(domain, made)


def _guard(diagnosis: dict[str, Any]) -> Guard:
    from mailguard.check.guard import Guard

    return Guard(diagnosis["timeout"], lab=diagnosis["lab"])


def _lists(zones: Sequence[str]) -> Sequence[Blocklist]:
    from mailguard.check import blocklists

    return [blocklists.Blocklist(zone) for zone in zones] or blocklists.ADDRESSES
