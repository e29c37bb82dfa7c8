"""`mailguard milter`: a chain of filters inside Postfix or Sendmail."""

from __future__ import annotations

import os

import click

from mailguard.cli.options import Size, config_option, key_file_option, memory_limit_option, record_options
from mailguard.commands import ORDINARY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.milter.listener import Address
    from mailguard.milter.server import Configuration


def _address(_ctx: click.Context, parameter: click.Parameter, text: str | None) -> Address | None:
    from mailguard.milter.listener import Address

    try:
        address = Address(text) if text else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if address and parameter.name == "status" and not address.local:
        raise click.BadParameter("health and metrics are for this machine: a socket or a loopback address")
    return address


@click.command("milter", short_help=ORDINARY["milter"])
@click.argument("text", metavar="PIPELINE")
@click.option(
    "--listen", metavar="inet:PORT@HOST|unix:PATH", required=True, callback=_address, help="Where mail servers connect."
)
@click.option(
    "--status", metavar="inet:PORT@HOST|unix:PATH", callback=_address, help="Tell health and metrics here, by HTTP."
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, 256),
    default=lambda: 4 * len(os.sched_getaffinity(0)),  # verify waits for name servers most of the time
    help="How many mails are filtered at a time (default: four for each processor).",
)
@click.option(
    "--connections",
    metavar="N",
    type=click.IntRange(1, 10_000),
    default=250,
    help="How many connections are served at a time (default: 250); others wait.",
)
@click.option(
    "--largest",
    metavar="SIZE",
    type=Size(),
    default="150M",
    help="Refuse larger messages (default: 150M); the mail server should allow less.",
)
@click.option(
    "--time-limit",
    "seconds",
    metavar="SECONDS",
    type=click.FloatRange(1, 100),
    default=20,
    help="Hold mail whose content takes more processor time in a step (default: 20).",
)
@click.option("--spool", metavar="DIR", help="Folder for mails while they are filtered (default: $TMPDIR or /tmp).")
@click.option(
    "--together",
    type=click.Choice(("all", "alike", "one")),
    default="all",
    help="Which recipients share a mail: all (the strictest policy counts), those with the same password, or one only.",
)
@click.option("--password-file", metavar="FILE", help="Passwords by recipient, for quarantine and --together alike.")
@config_option
@key_file_option
@memory_limit_option
@record_options
def command(text: str, together: str, password_file: str | None, log: str, **values: Any) -> None:
    """Filter mail inside Postfix or Sendmail, before it is accepted, through a chain as for mailguard run.

    Runs in the foreground.  SIGHUP reads configuration, key and lists anew, SIGTERM ends it when the mails that it has
    are done.
    """
    from mailguard import config
    from mailguard.cli.pipeline import defaults, filters
    from mailguard.milter.server import Configuration, MilterOptions, serve

    if together == "alike" and not password_file:
        raise click.UsageError("--together alike needs --password-file, which says who is alike")
    context = click.get_current_context()
    given = defaults(context)

    def load() -> Configuration:
        # What stands there for the milter itself counts at the next start, and must not be wrong then.
        config.load(context.meta["mailguard.config"], "milter", context.command.params)
        passwords = None
        if password_file:
            from mailguard.passwords import Passwords

            passwords = Passwords.read(password_file)
        return Configuration(filters(text, given), passwords)

    options = MilterOptions(
        values["listen"],
        status=values["status"],
        workers=values["workers"],
        connections=values["connections"],
        largest=values["largest"],
        seconds=values["seconds"],
        spool=values["spool"] or os.environ.get("TMPDIR") or "/tmp",  # noqa: S108 (files there have no name)
        alike=together,
        log=log,
    )
    serve(options, load)
