"""`mailguard report`: what was held and released, as a text or a mail for each day."""

from __future__ import annotations

import click

from mailguard.cli.list import Since
from mailguard.cli.options import config_option, journal_option, now_option
from mailguard.commands import ORDINARY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.report.summary import Summary


@click.command("report", short_help=ORDINARY["report"])
@config_option
@journal_option
@click.option("--days", metavar="NUMBER", type=click.IntRange(1, 36_600), help="The last whole days (default: 1).")
@click.option("--since", metavar="TIME", type=Since(), help="Since then till now: RFC 3339, or an age as 12h, 7d, 2w.")
@click.option(
    "--to", "recipients", metavar="ADDR", multiple=True, help="Write a mail to this address; repeat for more."
)
@click.option("--from", "author", metavar="ADDR", help="With --to: who sends it (default: postmaster@HOST).")
@click.option(
    "--lang", type=click.Choice(("ja", "en", "both")), default="both", help="Language of the report (default: both)."
)
@click.option("--always", is_flag=True, help="Also write a report when nothing happened.")
@now_option
def command(
    journal: str | None,
    days: int | None,
    since: int | None,
    recipients: tuple[str, ...],
    author: str | None,
    lang: str,
    always: bool,
    now: int | None,
) -> None:
    """Tell in a few lines what was held and what was released: yesterday, unless another time is named.

    Writes a text, or with --to a mail; nothing at all when nothing happened.
    """
    import sys
    from time import time

    if not journal:
        raise click.UsageError("which journal? Name it by --journal or in the configuration")
    if days is not None and since is not None:
        raise click.UsageError("--days and --since exclude each other")
    addresses = [_address(address) for address in recipients]
    writer = _address(author) if author else None
    moment = int(time()) if now is None else now
    summary = _summary(journal, days or 1, since, moment)
    if summary.is_empty and not always:
        return
    output = _written(summary, lang, addresses, writer, moment)
    sys.stdout.buffer.write(output)
    sys.stdout.flush()


def _summary(journal: str, days: int, since: int | None, now: int) -> Summary:
    from mailguard.report import files
    from mailguard.report.summary import Summary

    until = now + 1 if since is not None else _midnight(now, 0)
    summary = Summary(_midnight(now, days) if since is None else since, until)
    summary.add(files.records(journal, summary.since, summary.note_damage))
    return summary


def _midnight(now: int, days: int) -> int:
    """Return the midnight, local time, with which the day `days` before today begins."""
    from time import localtime, mktime

    today = localtime(now)
    return int(mktime((today.tm_year, today.tm_mon, today.tm_mday - days, 0, 0, 0, 0, 0, -1)))


def _written(summary: Summary, lang: str, recipients: list[str], author: str | None, now: int) -> bytes:
    from mailguard.report import mail, text

    body = text.write(summary, lang)
    if not recipients:
        return body.encode("utf-8", "backslashreplace")
    return mail.write(body, text.subject(summary, lang), author or _postmaster(), recipients, now)


def _address(address: str) -> str:
    from mailguard.release import check_address

    try:
        if address.isascii():
            return check_address(address)
    except ValueError:
        pass
    raise click.UsageError(f"{address!r} is not an address")


def _postmaster() -> str:
    import socket

    return f"postmaster@{socket.getfqdn().encode('ascii', 'replace').decode()}"
