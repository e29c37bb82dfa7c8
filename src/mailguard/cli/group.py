"""The group `mailguard`: commands by name, imported when they run."""

from __future__ import annotations

import click

from mailguard.commands import FILTERS, ORDINARY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Commands(click.Group):
    """A group that knows its commands by name; click suggests the nearest one for a mistyped name."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(sorted(FILTERS | ORDINARY))  # type: ignore[assignment]  # suggestions need names

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command."""
        if cmd_name not in self.commands:
            return None
        return getattr(__import__(f"mailguard.cli.{cmd_name}", fromlist=["command"]), "command")  # type: ignore[no-any-return]  # noqa: B009

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        for title, table in (("Filters", FILTERS), ("Commands for people", ORDINARY)):
            with formatter.section(title):
                formatter.write_dl(sorted(table.items()))


def plain(error: Exception) -> str:
    """Say in one line what click found wrong."""
    return error.format_message() if isinstance(error, click.ClickException) else "interrupted"


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"mailguard {version('mailguard')}")
        ctx.exit()


mailguard = Commands(
    name="mailguard",
    help="Hold back dangerous attachments and forged senders; each filter reads one message and writes one.",
    epilog="See mailguard(1), and mailguard COMMAND --help.",
    no_args_is_help=False,  # help in the place of a mail would be a lost mail
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
        )
    ],
)
