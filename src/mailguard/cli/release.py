"""`mailguard release`: the original of a quarantined message, byte for byte."""

from __future__ import annotations

import sys

import click

from mailguard.cli.opening import Secrets, opening_options, read_input
from mailguard.cli.options import journal_option, now_option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.findings import Chunk
    from mailguard.opening import Found


@click.command()
@opening_options
@click.option(
    "--resend", is_flag=True, help="Write it with Resent fields and a seal that lets it pass the filters once."
)
@click.option(
    "--recipient", "recipients", metavar="ADDR", multiple=True, help="With --resend: to whom; repeat for more."
)
@click.option("--resent-from", metavar="ADDR", help="With --resend: who sends it again (default: postmaster@HOST).")
@journal_option
@now_option
def command(
    secrets: Secrets,
    wanted: str | None,
    resend: bool,
    recipients: tuple[str, ...],
    resent_from: str | None,
    journal: str | None,
    now: int | None,
) -> None:
    """Write the original of a quarantined message on stdout, byte for byte as it was first read.

    Reads the message, or the ZIP alone, on stdin; what transport did to the message around the ZIP does not matter.
    """
    from mailguard.opening import open_one
    from mailguard.streams import write_message

    if resend and not recipients:
        raise click.UsageError("--resend needs --recipient ADDR, the address that the message is sent to")
    if recipients and not resend:
        raise click.UsageError("--recipient needs --resend")
    if sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError("send the output to a file or a program: this is an attacker's mail in full")
    found = open_one(read_input(), secrets.ring, secrets.passwords, wanted)
    moment = _now(now)
    pieces = _resent(found, secrets, moment, recipients, resent_from) if resend else [found.opened.restore()]
    if journal:
        _record(journal, found, recipients, moment)
    write_message(pieces)


def _resent(
    found: Found, secrets: Secrets, now: int, recipients: tuple[str, ...], resent_from: str | None
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
    return resent(found.opened.restore(), secrets.ring.active, now, addresses, author)


def _host() -> str:
    import socket

    return socket.getfqdn()


def _now(now: int | None) -> int:
    import time

    return int(time.time()) if now is None else now


def _record(path: str, found: Found, recipients: tuple[str, ...], now: int) -> None:
    from mailguard import journal
    from mailguard.envelope import Envelope

    journal.append(path, journal.released(found.identifier, Envelope(recipients=recipients), now))
