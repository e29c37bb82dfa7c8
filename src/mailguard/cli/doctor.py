"""`mailguard doctor`: looks whether everything that mail depends on is in order."""

from __future__ import annotations

import os

import click

from mailguard.cli.options import journal_option, key_file_option
from mailguard.commands import FILTERS, ORDINARY
from mailguard.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from mailguard.doctor.row import Row, Setup

_COLOURS = {"good": "green", "warning": "yellow", "failure": "red"}


@click.command("doctor", short_help=ORDINARY["doctor"])
@click.option(
    "--config", metavar="FILE", envvar="MAILGUARD_CONFIG", help="Configuration file instead of the usual one."
)
@key_file_option
@journal_option
@click.option("--nameserver", "nameservers", metavar="HOST[:PORT]", multiple=True, help="Ask this name server.")
@click.option("--postfix", metavar="DIR", default="/etc/postfix", help="Configuration of Postfix.")
@click.option("--procmailrc", metavar="FILE", multiple=True, help="Recipes of procmail, besides the usual files.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(config: str | None, as_json: bool, **given: Any) -> None:
    """Look at key, files, disk, programs, DNS, clock, mail server and sockets, and say how to repair what is wrong.

    Changes nothing.  Status 0 when all is good, 1 with warnings, 2 with failures.
    """
    from mailguard.doctor.looks import rows
    from mailguard.doctor.row import GOOD, STATES

    found = [*_configuration(config)]
    is_read = all(row.state == GOOD for row in found)
    values = _values(config) if is_read else {}
    found += rows(_setup(config, values, signing=_signing(config) if is_read else {}, **given))
    _write(found, as_json)
    click.get_current_context().exit(max(STATES.index(row.state) for row in found))


def _configuration(path: str | None) -> Iterator[Row]:
    """Read the sections of all commands; a row for each mistake, or one that says what is read."""
    from mailguard import config
    from mailguard.doctor.row import FAILURE, GOOD, Row

    problems: dict[str, None] = {}
    for name in (*FILTERS, *ORDINARY):
        try:
            config.load(path, name, _options(name))
        except ConfigurationError as error:
            problems[str(error)] = None
    for problem in problems:
        yield Row("configuration", FAILURE, problem, "mend this line; mail waits meanwhile")
    if not problems:
        read = _read(path)
        what = read or "none: every option has its built-in default"
        yield Row("configuration", GOOD, what)


def _read(path: str | None) -> str | None:
    from mailguard import settings

    return path or next(filter(os.path.exists, settings.paths()), None)


def _options(name: str) -> Sequence[click.Parameter]:
    from mailguard.cli.group import mailguard

    command = mailguard.get_command(click.Context(mailguard), name)
    assert command is not None
    return command.params


def _values(path: str | None) -> dict[str, list[str]]:
    """Return the texts that are configured for any command, by option."""
    from mailguard import config

    found: dict[str, dict[str, None]] = {}
    for name in (*FILTERS, *ORDINARY):
        for option, value in config.load(path, name, _options(name)).items():
            for text in value if isinstance(value, (list, tuple)) else [value]:
                found.setdefault(option, {})[str(text)] = None
    return {option: list(texts) for option, texts in found.items()}


def _signing(path: str | None) -> dict[str, str]:
    """Return what is configured for sign."""
    from mailguard import config

    return {option: str(value) for option, value in config.load(path, "sign", _options("sign")).items()}


def _setup(
    config: str | None,
    values: dict[str, list[str]],
    key_file: str | None,
    journal: str | None,
    nameservers: tuple[str, ...],
    postfix: str,
    procmailrc: tuple[str, ...],
    signing: dict[str, str],
) -> Setup:
    from mailguard.doctor.row import Setup
    from mailguard.doctor.secrets import READ
    from mailguard.doctor.storage import WRITTEN
    from mailguard.doctor.units import FOLDERS

    files = {option: values.get(option, []) for option in (*READ, *WRITTEN, "conversations")}
    files["log"] = [path for path in files["log"] or ["syslog"] if path not in {"stderr", "none"}]
    files["journal"] = [journal] if journal else files["journal"]
    read = _read(config)
    files["config"] = [read] if read and os.path.exists(read) else []
    home = os.path.join(os.environ.get("HOME", "/"), ".procmailrc")
    return Setup(
        key_file or next(iter(values.get("key_file", [])), None),
        files,
        spools=[*values.get("folder", []), *values.get("save", [])],
        nameservers=nameservers or values.get("nameserver", []),
        postfix=postfix,
        procmailrc=("/etc/procmailrc", home, *procmailrc),
        units=FOLDERS,
        signing=signing,
    )


def _write(found: list[Row], as_json: bool) -> None:
    import sys

    if as_json:
        import json

        for row in found:
            click.echo(json.dumps(row.as_dict(), separators=(",", ":")))
    elif sys.stdout.isatty():
        _write_table(found)
    else:
        for row in found:
            click.echo(
                f"{row.state:8} {row.name}: {row.what}" + (f"\n         repair: {row.repair}" if row.repair else "")
            )


def _write_table(found: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for row in found:
        text = Text(row.what)
        if row.repair:
            text.append(f"\n→ {row.repair}", style="bold")
        table.add_row(Text(row.state, style=_COLOURS[row.state]), Text(row.name), text)
    Console().print(table)
