"""`mailguard check`: diagnose a mail system."""

from __future__ import annotations

import os

import click

from mailguard.cli import exchange
from mailguard.cli.watch import asked_name, diagnosis_options, watch_command
from mailguard.commands import ORDINARY
from mailguard.findings import joined, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mailguard.check.guard import Guard
    from mailguard.check.outcome import Outcome
    from mailguard.check.report import Report

_STATUS_UNKNOWN = 3
_IN_ALIASES = ("reply", "collect")
_STYLES = {"good": "green", "warning": "yellow", "failure": "bold red", "unknown": "cyan", "not-applicable": "dim"}


class _Group(click.Group):
    """Status 2 means that something failed at the domain; being called wrongly is 3, as everything unknown."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        from mailguard.errors import MailguardError

        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.show()
        except MailguardError as error:
            click.echo(f"mailguard: {show(str(error))}", err=True)
            if ctx.invoked_subcommand in _IN_ALIASES:
                os._exit(_failed(ctx))  # threads may wait for the DNS: CPython can crash when it ends before them
        except KeyboardInterrupt:
            click.echo("mailguard: interrupted", err=True)
            os._exit(_failed(ctx))  # threads may wait for the DNS; what is written is written whole or not at all
        return ctx.exit(_failed(ctx))


def _failed(ctx: click.Context) -> int:
    """Return the status of what could not be done: in a mail alias all but one would bounce the mail."""
    from mailguard.errors import MailguardError

    return MailguardError.status if ctx.invoked_subcommand in _IN_ALIASES else _STATUS_UNKNOWN


@click.group("check", cls=_Group, short_help=ORDINARY["check"])
def command() -> None:
    """Diagnose a mail system: what is wrong, why it matters, and how to repair it."""


command.add_command(exchange.start_command)
command.add_command(exchange.reply_command)
command.add_command(exchange.serve_command)
command.add_command(exchange.probe_command)
command.add_command(exchange.collect_command)
command.add_command(watch_command)


@command.command("scan")
@click.argument("domains", metavar="DOMAIN...", nargs=-1, required=True)
@diagnosis_options
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON, of several domains one a line.")
@click.option("--html", metavar="FILE", help="Write the result page to this file too.")
@click.pass_context
def scan_command(
    ctx: click.Context, /, domains: tuple[str, ...], lang: str, as_json: bool, html: str | None, **options: Any
) -> None:
    """Look at the DNS and mail servers of domains from outside, without sending any mail.

    Status 0: good, 1: warnings, 2: failures, 3: unknown; of several domains that of the worst.
    """
    from mailguard.check.scan import scan
    from mailguard.cli.diagnosis import settings

    names = [asked_name(domain) for domain in domains]
    if html and len(names) > 1:
        raise click.UsageError("--html is for one domain")
    statuses = set()
    for name in names:
        found = settings(**options)
        _cancelled_by_signals(found.guard)
        report = scan(name, found)
        if html:
            _write_page(html, report, lang)
        _write_json(report, lang, alone=len(names) == 1) if as_json else _write_table(report, lang)
        statuses.add(report.verdict.status)
    ctx.exit(next(status for status in (2, 3, 1, 0) if status in statuses))


def _cancelled_by_signals(guard: Guard) -> None:
    """Let SIGTERM end the diagnosis at once, as an interrupt does."""
    import signal

    def stop(*_: object) -> None:
        guard.cancel()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _write_page(path: str, report: Report, lang: str) -> None:
    from mailguard import safefile
    from mailguard.check.page.document import render

    safefile.replace(path, [render(report, lang).encode("utf-8", "backslashreplace")], mode=0o644)


def _write_json(report: Report, lang: str, *, alone: bool) -> None:
    import json

    from mailguard.check.export import exported

    click.echo(json.dumps(exported(report, lang), indent=1 if alone else None, ensure_ascii=True))


def _write_table(report: Report, lang: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mailguard.check import catalogue
    from mailguard.check.export import shown_name

    console = Console(markup=False, highlight=False, emoji=False)
    for tile, name in catalogue.TILES.items():
        rows = [outcome for outcome in report.outcomes if catalogue.check(outcome.check).tile == tile]
        if not rows:
            continue
        table = Table(box=None, pad_edge=False, show_header=False, title=Text(name[lang], "bold"), title_justify="left")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for (check, state, seen), subjects in _merged(rows, lang, report.domain).items():
            where = f"{joined(subjects)}: " if subjects else ""
            table.add_row(Text(catalogue.STATES[state][lang], _STYLES[state]), Text(check), Text(where + seen))
        console.print(table)
        console.print()
    _write_repairs(console, report, lang)
    verdict = report.verdict
    shown = show(shown_name(report.domain))
    console.print(Text(f"{shown}: {verdict.word(lang)}", "bold"), Text(verdict.sentence(lang)))


def _merged(outcomes: Sequence[Outcome], lang: str, domain: str) -> dict[tuple[str, str, str], list[str]]:
    """Return (check, state, sentence) -> hosts: what is the same at several hosts and addresses stands once."""
    from mailguard.check import catalogue

    found: dict[tuple[str, str, str], list[str]] = {}
    for outcome in outcomes:
        key = (outcome.check, outcome.state, catalogue.sentence(outcome, lang, domain))
        subjects = found.setdefault(key, [])
        if outcome.subject not in {"", domain, *subjects}:
            subjects.append(outcome.subject)
    return found


def _write_repairs(console: Any, report: Report, lang: str) -> None:
    """Write how to repair what failed or is warned of, each once, the gravest first."""
    from rich.text import Text

    from mailguard.check import catalogue
    from mailguard.check.outcome import FAILURE, SEVERITIES, WARNING

    wrong = [outcome for outcome in report.outcomes if outcome.state in {FAILURE, WARNING}]
    wrong.sort(key=lambda each: (SEVERITIES.index(catalogue.severity(each)), each.state != FAILURE))
    software = {server.name: server.software for server in report.servers if server.banner}
    said: set[str] = set()
    for outcome in wrong:
        lines = catalogue.repair_lines(outcome, report.domain, software.get(outcome.subject, ""))
        text = catalogue.repair(outcome, lang, report.domain)
        if text not in said:
            said.add(text)
            console.print(Text(outcome.check, "bold"), Text(text))
        shown = "\n".join([*lines.values(), catalogue.effect(outcome, lang)])
        if shown in said:
            continue
        said.add(shown)
        _write_lines(console, outcome, lines, lang)
    if wrong:
        console.print()


def _write_lines(console: Any, outcome: Outcome, lines: Mapping[str, str], lang: str) -> None:
    """Write exact lines, to be copied as they stand, and what they did when they were tried."""
    from rich.text import Text

    from mailguard.check import catalogue
    from mailguard.check.page.words import word

    for kind, text in lines.items():
        if "before" in lines:
            console.print(Text(f"  {word(kind, lang)}:", "dim"))
        for line in text.split("\n"):
            console.print(Text(f"    {line}"), soft_wrap=True)
    effect = catalogue.effect(outcome, lang)
    if effect:
        console.print(Text(f"  {effect}", "dim"))
