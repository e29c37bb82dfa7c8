"""`mailguard unseal`: what leaves the house leaves without its seal."""

from __future__ import annotations

import os

import click

from mailguard.cli.options import filter_options, own_domain_option
from mailguard.commands import FILTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.findings import Result
    from mailguard.settings import Filter, Settings


@click.command("unseal", short_help=FILTERS["unseal"])
@own_domain_option
@filter_options
def command(settings: Settings, own_domain: tuple[str, ...]) -> Filter:
    """Take the seal off a message that leaves the house: one with a recipient outside, or with none that is known.

    Reads one message on stdin, writes it on stdout.  Status 0 when done, 75 when the message must be tried again.
    """
    from mailguard.settings import Filter

    def transform(raw: bytes, settings: Settings) -> Result:
        from mailguard.unseal import unseal
        from mailguard.verify.organization import own_domains

        recipients = settings.envelope.recipients
        return unseal(raw, recipients, own_domain or (own_domains(os.uname().nodename) if recipients else ()))

    return Filter("unseal", transform, settings)
