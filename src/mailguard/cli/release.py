"""`mailguard release`: the original of a quarantined message, byte for byte."""

from __future__ import annotations

import sys
from functools import update_wrapper

import click

from mailguard.cli.opening import Secrets, opening_options, read_input
from mailguard.cli.options import journal_option, now_option
from mailguard.cli.site import site_options
from mailguard.message.splice import joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mailguard.cli.site import LazySite
    from mailguard.findings import Chunk
    from mailguard.outcome.opening import Found

    Function = Callable[..., Any]


def _safe_options(function: Function) -> Function:
    """Add --safe and the options about its texts; the function gets `safe`, a LazySite, None without --safe."""

    def collected(*, safe: bool, site: LazySite, **values: Any) -> Any:
        return function(safe=site if safe else None, **values)

    wrapped = site_options(update_wrapper(collected, function))
    return click.option("--safe", is_flag=True, help="Write it made harmless, as mailguard sanitize does.")(wrapped)


@click.command()
@opening_options
@click.option(
    "--resend", is_flag=True, help="Write it with Resent fields and a seal that lets it pass the filters once."
)
@click.option(
    "--recipient", "recipients", metavar="ADDR", multiple=True, help="With --resend: to whom; repeat for more."
)
@click.option("--resent-from", metavar="ADDR", help="With --resend: who sends it again (default: postmaster@HOST).")
@_safe_options
@journal_option
@now_option
def command(
    secrets: Secrets,
    wanted: str | None,
    resend: bool,
    recipients: tuple[str, ...],
    resent_from: str | None,
    safe: LazySite | None,
    journal: str | None,
    now: int | None,
) -> None:
    """Write the original of a quarantined message on stdout, byte for byte as it was first read.

    Reads the message, or the ZIP alone, on stdin; what transport did to the message around the ZIP does not matter.
    """
    from mailguard.outcome.opening import open_one
    from mailguard.streams import write_message

    if resend and not recipients:
        raise click.UsageError("--resend needs --recipient ADDR, the address that the message is sent to")
    if recipients and not resend:
        raise click.UsageError("--recipient needs --resend")
    if safe is None and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError("send the output to a file or a program: this is an attacker's mail in full")
    opened = open_one(read_input(), secrets.ring, secrets.passwords, wanted)
    moment = _now(now)
    raw = opened.opened.restore()
    if safe is not None:
        raw = _sanitized(raw, secrets, safe, recipients, moment)
    pieces = _resent(raw, secrets, moment, recipients, resent_from) if resend else [raw]
    if journal:
        _record(journal, opened, recipients, moment)
    write_message(pieces)


def _sanitized(raw: bytes, secrets: Secrets, site: LazySite, recipients: tuple[str, ...], now: int) -> bytes:
    """Make everything in a message harmless by the default policy; its originals go into a capsule."""
    from mailguard.envelope import Envelope
    from mailguard.outcome.assessment import Choice
    from mailguard.parts.selection import ALWAYS, Selection
    from mailguard.release import as_new
    from mailguard.sanitize import VERB, sanitize
    from mailguard.sanitize.command import Sandbox
    from mailguard.sanitize.policy import load
    from mailguard.settings import Settings
    from mailguard.site import secret_files

    settings = Settings(Envelope(recipients=recipients), now, key_file=secrets.key_file)
    raw = as_new(raw, secrets.ring, now, VERB)
    made = site.make(settings, secrets.password_file)
    hidden = secret_files(secrets.key_file, secrets.password_file)
    result = sanitize(raw, Choice(Selection(ALWAYS)), lambda: load(None), made, lambda: Sandbox(secrets=hidden))
    return joined(result.output)


def _resent(
    raw: bytes, secrets: Secrets, now: int, recipients: tuple[str, ...], resent_from: str | None
) -> list[Chunk]:
    from mailguard.errors import ConfigurationError
    from mailguard.release import MOST_RECIPIENTS, check_address, resent

    if secrets.ring is None or not secrets.ring.active.trusted:
        raise ConfigurationError("--resend needs the site key, or no filter would let the message pass")
    if len(recipients) > MOST_RECIPIENTS:
        raise click.UsageError(f"--resend goes to {MOST_RECIPIENTS} recipients at most; run it again for the others")
    try:
        addresses = [check_address(address) for address in recipients]
        author = check_address(resent_from or f"postmaster@{_host()}")
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return resent(raw, secrets.ring.active, now, addresses, author)


def _host() -> str:
    import socket

    return socket.getfqdn()


def _now(now: int | None) -> int:
    import time

    return int(time.time()) if now is None else now


def _record(path: str, opened: Found, recipients: tuple[str, ...], now: int) -> None:
    from mailguard import journal
    from mailguard.envelope import Envelope

    journal.append(path, journal.released(opened.identifier, Envelope(recipients=recipients), now))
