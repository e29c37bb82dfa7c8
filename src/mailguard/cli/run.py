"""`mailguard run`: a whole chain of filters in one process."""

from __future__ import annotations

import click

from mailguard.cli.options import filter_options
from mailguard.commands import FILTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.settings import Filter, Settings


@click.command("run", short_help=FILTERS["run"])
@click.argument("text", metavar="PIPELINE")
@filter_options
def command(settings: Settings, text: str) -> list[Filter]:  # noqa: ARG001 (the filters have settings of their own)
    """Filter a message through a chain of filters, written as for a shell: 'verify | quarantine | strip'.

    The options hold for all filters of the chain that do not say otherwise.
    Reads one message on stdin, writes one on stdout.  Status 0 when done, 75 when the message must be tried again.
    """
    from mailguard.cli.pipeline import defaults, filters

    return filters(text, defaults(click.get_current_context()))
