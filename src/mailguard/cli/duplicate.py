"""mailguard duplicate: a copy of every message goes to a second place; and the work on the spool of such copies."""

from __future__ import annotations

import os
import sys

import click

from mailguard.cli import options
from mailguard.commands import FILTERS
from mailguard.errors import ConfigurationError, ContentLimit, MailguardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from mailguard.correspondence.replies import Watch
    from mailguard.duplicate import Plan
    from mailguard.duplicate.flush import Delivery
    from mailguard.findings import Finding, Result
    from mailguard.seal import KeyRing
    from mailguard.settings import Filter, Settings
    from mailguard.site import Site
    from mailguard.spool.entry import Entry
    from mailguard.spool.queue import Spool

_ATTENTION = 1


@click.command("duplicate", short_help=FILTERS["duplicate"])
@options.filter_options
@click.option("--to", "urls", metavar="URL", multiple=True, help="Where a copy goes; repeat for more.")
@click.option("--spool", "folder", metavar="DIR", help="Where copies wait until they are delivered.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, 60),
    default=5.0,
    help="How long a message waits for the deliveries; 0 leaves them to --flush (default: 5).",
)
@click.option(
    "--on-failure",
    type=click.Choice(("defer", "pass")),
    default="defer",
    help="When there is neither spool nor delivery: try the message again, or let it go uncopied (default: defer).",
)
@options.when_option("always")
@click.option("--known", metavar="FILE", help="Addresses of senders that the site knows, for --when suspicious.")
@options.conversations_options
@click.option("--only-senders", metavar="FILE", help="Copy only mail from these addresses.")
@click.option("--only-recipients", metavar="FILE", help="Copy only for these recipients.")
@click.option("--larger-than", metavar="SIZE", type=options.Size(), help="Copy only larger messages.")
@click.option("--smaller-than", metavar="SIZE", type=options.Size(), help="Copy only smaller messages.")
@click.option(
    "--sample", metavar="PERCENT", type=click.FloatRange(0, 100), default=100.0, help="Copy a part of all messages."
)
@click.option("--spool-quota", metavar="SIZE", type=options.Size(), help="What the spool may take (default: no limit).")
@click.option(
    "--spool-reserve",
    metavar="SIZE",
    type=options.Size(),
    default="64M",
    help="What must stay free on the spool's disk (default: 64M).",
)
@click.option("--flush", "mode", flag_value="flush", help="Deliver from the spool what is due.")
@click.option("--all", "everything", is_flag=True, help="With --flush: also what is not due yet.")
@click.option("--list", "mode", flag_value="list", help="Show what is in the spool.")
@click.option("--retry-failed", "mode", flag_value="retry", help="Put what was refused into the queue again.")
@click.option("--restore", "mode", flag_value="restore", help="Write the copies in a spool or Maildir as an mbox.")
@click.option("--output", metavar="DIR", help="With --restore: one file per message into a new folder.")
@click.option(
    "--alarm-age",
    metavar="SECONDS",
    type=click.FloatRange(0),
    default=4 * 3600.0,
    help="With --flush and --list: report what waits longer (default: 4 hours).",
)
def command(settings: Settings, mode: str | None, **values: Any) -> Filter:
    """Hand a copy of each message to another server, store or program, and let the message pass unchanged."""
    if mode is not None:
        _work(settings, mode, values)
    return _filter(settings, values)


for _parameter in command.params:
    if _parameter.name == "json":
        _parameter.callback = None  # `-` is refused for the filter only


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        pass


def _work(settings: Settings, mode: str, values: dict[str, Any]) -> NoReturn:
    _begin_work(settings)
    with _open_spool(values, create=False) if mode != "restore" else _Nothing() as spool:
        status = _MODES[mode](spool, settings, values)
    _end(status)


def _filter(settings: Settings, values: dict[str, Any]) -> Filter:
    from mailguard.duplicate import VERB, duplicate
    from mailguard.settings import Filter
    from mailguard.site import key_ring

    if settings.json == "-":
        raise ConfigurationError("duplicate: --json: stdout is for the message; name a file")
    for name in ("everything", "output"):
        if values[name]:
            raise ConfigurationError("duplicate: --all belongs to --flush, --output to --restore")
    for name in ("only_senders", "only_recipients", "known"):
        values[name] = _address_test(values[name])
    ring = key_ring(settings.key_file) if values["when"] != "always" else None
    plan = _plan(settings, values, ring)

    def unread(raw: bytes, finding: Finding, now: Settings) -> Result:
        result = copied(raw, _plan(now, values | {"when": "always"}, ring), now)
        result.findings.insert(0, finding)
        return result

    def transform(raw: bytes, now: Settings) -> Result:
        return copied(raw, plan if now is settings else _plan(now, values, ring), now)

    def copied(raw: bytes, plan: Plan, now: Settings) -> Result:
        try:
            result = duplicate(raw, plan, now)
        except ContentLimit:
            raise MailguardError("the spool's disk did not answer in time") from None
        if result.action == "not-copied":
            os.write(2, f"mailguard duplicate: {result.findings[-1].what}\n".encode())
        return result

    return Filter(VERB, transform, settings, unread)


def _plan(settings: Settings, values: dict[str, Any], ring: KeyRing | None) -> Plan:
    from mailguard import delivery
    from mailguard.duplicate import Conditions, Plan
    from mailguard.site import Site

    if not values["folder"]:
        also = "" if values["urls"] else "--to is missing: where do the copies go? "
        raise ConfigurationError(f"duplicate: {also}--spool is missing: where do copies wait while a target is down?")
    targets = {target.name: target for target in map(delivery.parse, values["urls"])}
    selection = Conditions(
        sender=values["only_senders"],
        recipient=values["only_recipients"],
        larger_than=values["larger_than"],
        smaller_than=values["smaller_than"],
        sample=values["sample"],
        wanted=_wanted(
            values["when"],
            Site(settings.now, ring=ring, envelope=settings.envelope, memory_limit=settings.memory_limit),
            values["known"],
            values["watch"],
        ),
    )
    return Plan(
        list(targets.values()),
        lambda: _open_spool(values, create=True),
        seconds=values["timeout"],
        pass_on_failure=values["on_failure"] == "pass",
        selection=selection,
    )


def _open_spool(values: dict[str, Any], *, create: bool) -> Spool:
    from mailguard.spool.queue import Spool

    if not values["folder"]:
        raise ConfigurationError("duplicate: --spool is missing")
    return Spool(values["folder"], create=create, quota=values["spool_quota"], reserve=values["spool_reserve"])


def _address_test(path: str | None) -> Callable[[str], bool] | None:
    from mailguard.addresses import AddressList

    return AddressList.read(path).matches if path else None


def _wanted(
    when: str, site: Site, known: Callable[[str], bool] | None, watch: Watch | None
) -> Callable[[bytes], bool] | None:
    if when == "always":
        return None
    from mailguard.duplicate.verdict import acted_on

    return acted_on(when, site, known, watch)


def _begin_work(settings: Settings) -> None:
    """Become a command for the operator: no deadline, which is for messages that wait."""
    import signal

    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_PROF, 0)
    if settings.dry_run:
        raise ConfigurationError("duplicate: --dry-run is for messages; --list shows what --flush would do")


def _end(status: int) -> NoReturn:
    from mailguard import streams

    sys.stdout.flush()
    streams.leave(status)


def _tell(settings: Settings, record: dict[str, Any]) -> None:
    """Write a record to --json; `-` is stdout here."""
    if settings.json == "-":
        import json

        click.echo(json.dumps(record, separators=(",", ":")))
    elif settings.json:
        from mailguard.journal import append

        append(settings.json, record)


def _flush(spool: Spool, settings: Settings, values: dict[str, Any]) -> int:
    from mailguard import delivery
    from mailguard.duplicate.flush import Flush

    replacements = [delivery.parse(url) for url in values["urls"]]
    work = Flush(spool, settings.now, everything=values["everything"], replacements=replacements)
    for done in work.run():
        _note_delivery(settings, done)
    for problem in work.damaged:
        _warn(settings, problem)
    return _alarms(spool, settings, values["alarm_age"])


def _note_delivery(settings: Settings, done: Delivery) -> None:
    from mailguard import log
    from mailguard.duplicate import report

    _tell(settings, report.delivery_dict(done))
    log.write(report.delivery_line(done), settings.log)
    if settings.explain:
        click.echo("\n".join([report.delivery_line(done), *done.attempt.dialogue]), err=True)


def _alarms(spool: Spool, settings: Settings, alarm_seconds: float) -> int:
    from mailguard.duplicate import report
    from mailguard.duplicate.flush import entries
    from mailguard.spool.entry import DamagedEntry

    status = 0
    for entry in entries(spool):
        if isinstance(entry, DamagedEntry):
            status = _ATTENTION
            continue
        if report.is_alarming(entry, settings.now, alarm_seconds):
            status = _ATTENTION
            for line in report.as_lines(entry, settings.now, alarm_seconds):
                _warn(settings, line.removeprefix("! "))
        entry.close()
    return status


def _warn(settings: Settings, text: str) -> None:
    from mailguard import log

    click.echo(f"mailguard duplicate: {text}", err=True)
    if settings.log != "stderr":
        log.write(f"duplicate alarm: {text}", settings.log)


def _list(spool: Spool, settings: Settings, values: dict[str, Any]) -> int:
    from mailguard.duplicate.flush import entries
    from mailguard.spool.entry import DamagedEntry

    status = 0
    for entry in entries(spool):
        if isinstance(entry, DamagedEntry):
            click.echo(f"! {entry}", err=True)
            status = _ATTENTION
        else:
            _show(entry, settings, values["alarm_age"])
            entry.close()
    return status


def _show(entry: Entry, settings: Settings, alarm_seconds: float) -> None:
    from mailguard.duplicate import report

    _tell(settings, report.as_dict(entry, settings.now, alarm_seconds))
    if settings.json != "-":
        for line in report.as_lines(entry, settings.now, alarm_seconds):
            click.echo(line)


def _retry(spool: Spool, _settings: Settings, _values: dict[str, Any]) -> int:
    from mailguard.duplicate.flush import retry_failed

    moved, left = retry_failed(spool)
    click.echo(f"{moved} put into the queue" + (f", {left} in work, left" if left else ""))
    return _ATTENTION if left else 0


def _restore(_spool: None, _settings: Settings, values: dict[str, Any]) -> int:
    from mailguard.duplicate import restore

    if not values["folder"]:
        raise ConfigurationError("duplicate: --spool is missing: a spool or a Maildir")
    problems: list[str] = []
    if values["output"]:
        count = restore.to_folder(values["folder"], values["output"], problems.append)
    else:
        count = restore.to_mbox(values["folder"], 1, problems.append)
    for problem in problems:
        click.echo(f"mailguard duplicate: {problem}", err=True)
    click.echo(f"mailguard duplicate: {count} restored", err=True)
    return _ATTENTION if problems else 0


_MODES: dict[str, Callable[..., int]] = {"flush": _flush, "list": _list, "retry": _retry, "restore": _restore}
