"""`mailguard daemon`: a process with everything loaded, which filters use in place of a start of their own."""

from __future__ import annotations

import os
from contextlib import suppress

import click

from mailguard.commands import FILTERS, ORDINARY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_FOR_EACH_CORE = 4


@click.command("daemon", short_help=ORDINARY["daemon"])
@click.option("--listen", "path", metavar="PATH", required=True, help="Socket, in a folder of its own (mode 0700).")
@click.option(
    "--workers",
    metavar="NUMBER",
    type=click.IntRange(1, 10_000),
    default=_FOR_EACH_CORE * (os.cpu_count() or 1),
    show_default="four for each core",
    help="How many messages are filtered at the same time.",
)
def command(path: str, workers: int) -> None:
    """Keep everything loaded, and filter the messages of filters that are started with MAILGUARD_DAEMON=PATH.

    Runs in the foreground until SIGTERM; messages at work are finished first.
    """
    from mailguard.daemon.server import DaemonProgram, serve

    _rehearse()
    serve(os.path.abspath(path), DaemonProgram(FILTERS.keys(), _run), workers, _tell)


def _rehearse() -> None:
    """Read a command line of each filter: their modules are loaded then, and what click makes at first use."""
    from mailguard.cli.group import mailguard

    for name in FILTERS:
        arguments = ["mailguard", name, "--config", os.devnull, *(["strip"] if name == "run" else [])]
        with mailguard.make_context("mailguard", arguments[1:]) as context:
            found = mailguard.resolve_command(context, arguments[1:])[1]
            assert found is not None
            found.make_context(name, arguments[2:], parent=context)


def _run() -> NoReturn:
    from mailguard.__main__ import filter_message

    filter_message()


def _tell(text: str) -> None:
    with suppress(OSError):  # mail does not wait for who reads this
        os.write(1, f"mailguard daemon: {text}\n".encode())
