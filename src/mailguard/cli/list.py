"""`mailguard list`: what was held and what was released, from the journal."""

from __future__ import annotations

import re

import click

from mailguard.cli.options import Time, config_option, journal_option
from mailguard.commands import ORDINARY
from mailguard.errors import ConfigurationError
from mailguard.findings import joined, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from mailguard.journal import HeldMessage

_HEADINGS = ("time", "id", "state", "from", "to", "attachments")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_UNLIMITED = 1 << 14  # the terminal breaks the lines
_SHORT = 9  # two groups of an id tell the messages of a site apart
_AGES = {"h": 3600, "d": 86400, "w": 7 * 86400}


class Since(Time):
    """A point in time as RFC 3339, or an age: `12h`, `7d`, `2w`; as Unix time."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return Unix time."""
        match = re.fullmatch(r"([0-9]{1,6})([hdw])", str(value))
        if match is None:
            return super().convert(value, param, ctx)
        from time import time

        return int(time()) - int(match[1]) * _AGES[match[2]]


@click.command("list", short_help=ORDINARY["list"])
@config_option
@journal_option
@click.option("--since", metavar="TIME", type=Since(), help="Held since then: RFC 3339, or an age as 12h, 7d, 2w.")
@click.option("--sender", metavar="GLOB", help="Envelope sender.")
@click.option("--recipient", metavar="GLOB", help="Envelope recipient.")
@click.option("--name", metavar="GLOB", help="Any name of an attachment.")
@click.option(
    "--hash", "digest", metavar="SHA256", help="Hash of an attachment or of the message; its beginning is enough."
)
@click.option("--id", "identifier", metavar="ID", help="Quarantine id; its beginning is enough.")
@click.option("--held", "state", flag_value="held", help="Only what is still held.")
@click.option("--released", "state", flag_value="released", help="Only what was released.")
@click.option("--wide", is_flag=True, help="Whole ids, times and addresses on a terminal too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(journal: str | None, as_json: bool, wide: bool, **wanted: Any) -> None:
    """List the messages of which something was held, oldest first.

    A table on a terminal, with local times and the beginnings of ids, which --id takes; otherwise one line a message,
    fields separated by tabs.
    """
    from mailguard.journal import entries

    if not journal:
        raise click.UsageError("which journal? Name it by --journal or in the configuration")
    skipped: list[int] = []
    try:
        messages = entries(journal, skipped.append)
    except OSError as error:
        raise ConfigurationError(f"{show(journal)}: {error.strerror}") from None
    tests = list(_tests(**wanted))
    chosen = [entry for entry in messages if all(test(entry) for test in tests)]
    _write_json(chosen) if as_json else _write_rows([_row(entry) for entry in chosen], wide=wide)
    if skipped:
        lines = joined(map(str, skipped[:10])) + (", …" if len(skipped) > 10 else "")
        click.echo(
            f"mailguard: {show(journal)}: {len(skipped)} lines are no records and were skipped: {lines}", err=True
        )


def _tests(
    since: int | None,
    sender: str | None,
    recipient: str | None,
    name: str | None,
    digest: str | None,
    identifier: str | None,
    state: str | None,
) -> Iterable[Callable[[HeldMessage], bool]]:
    if since is not None:
        from mailguard.journal import moment

        first = moment(since)
        yield lambda entry: entry.record["time"] >= first
    if sender is not None:
        yield lambda entry: _any([entry.record["sender"] or ""], sender)
    if recipient is not None:
        yield lambda entry: _any(entry.recipients, recipient)
    if name is not None:
        yield lambda entry: _any(_values(entry, "names"), name)
    if digest is not None:
        beginning = digest.lower()
        yield lambda entry: any(
            str(value).startswith(beginning) for value in (entry.record["sha256"], *_values(entry, "sha256"))
        )
    if identifier is not None:
        start = re.sub(r"[\s-]+", "", identifier).lower()
        yield lambda entry: (entry.record["quarantine_id"] or "").startswith(start)
    if state is not None:
        yield lambda entry: entry.state == state


def _any(values: Iterable[str], glob: str) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(value.lower(), glob.lower()) for value in values)


def _values(entry: HeldMessage, key: str) -> Iterable[str]:
    for item in entry.record["attachments"]:
        value = item.get(key)
        yield from map(str, value if isinstance(value, list) else [value or ""])


def _row(entry: HeldMessage) -> list[str]:
    from mailguard.seal.keys import grouped

    sender = entry.record["sender"]
    return [
        show(entry.record["time"]),
        grouped(show(entry.record["quarantine_id"])),
        entry.state,
        "<>" if sender == "" else show(sender),
        joined(entry.recipients),
        joined(entry.names()),
    ]


def _write_json(chosen: Iterable[HeldMessage]) -> None:
    import json

    for entry in chosen:
        click.echo(json.dumps(entry.as_dict(), separators=(",", ":")))


def _write_rows(rows: Sequence[Sequence[str]], *, wide: bool) -> None:
    import sys

    if sys.stdout.isatty():
        _write_table(rows, wide=wide)
        return
    click.echo("\t".join(_HEADINGS))
    for row in rows:
        click.echo("\t".join(map(cell, row)))


def _write_table(rows: Iterable[Sequence[str]], *, wide: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in _HEADINGS:
        ours = heading in {"time", "id", "state"}
        table.add_column(heading, no_wrap=True, overflow="ellipsis", ratio=None if ours or wide else 1)
    for time, identifier, *rest in rows:
        first = [local(time, "%Y-%m-%d %H:%M:%S %z"), identifier] if wide else [local(time), identifier[:_SHORT]]
        table.add_row(*map(Text, (*first, *rest)))  # Text: what stands in square brackets is no markup
    Console(width=_UNLIMITED if wide else None).print(table)


def local(time: str, form: str = "%m-%d %H:%M") -> str:
    """Write a time of the journal as the clock on the wall shows it; what is none stays as it is."""
    from calendar import timegm
    from time import localtime, strftime, strptime

    try:
        return strftime(form, localtime(timegm(strptime(time, "%Y-%m-%dT%H:%M:%SZ"))))
    except (ValueError, OverflowError):
        return time


def cell(value: str) -> str:
    """Make a shown value safe for a spreadsheet: nothing that begins like a formula."""
    return "'" + value if value.startswith(_FORMULA) else value
