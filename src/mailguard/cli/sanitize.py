"""`mailguard sanitize`: attachments and text made harmless, originals into the capsule."""

from __future__ import annotations

from functools import cache

import click

from mailguard.cli.options import filter_options, selection_options, when_option
from mailguard.cli.site import known_senders, site_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.cli.site import LazySite
    from mailguard.correspondence.replies import Watch
    from mailguard.parts.selection import Selection
    from mailguard.sanitize.command import Sandbox
    from mailguard.sanitize.policy import Policy
    from mailguard.settings import Filter, Settings


@click.command()
@when_option("always")
@selection_options
@click.option("--rules", metavar="FILE", help="Policy: what is done with which kind of content.")
@click.option(
    "--sandbox",
    type=click.Choice(("bwrap", "none")),
    default="bwrap",
    help="Where external programs run (default: bwrap).",
)
@click.option("--discard-originals", is_flag=True, help="Keep no originals of what was made harmless or removed.")
@click.option("--password-file", metavar="FILE", help="Passwords by recipient, instead of derived ones.")
@site_options
@filter_options
def command(  # noqa: PLR0913, PLR0917 (one for each option)
    settings: Settings,
    selection: Selection,
    known: str | None,
    watch: Watch | None,
    site: LazySite,
    rules: str | None,
    sandbox: str,
    discard_originals: bool,
    password_file: str | None,
) -> Filter:
    """Make attachments and HTML text harmless; hold what cannot be, and leave nothing hidden in the structure.

    Reads one message on stdin, writes one on stdout; mailguard release gives the original back.
    Status 0 when done, 75 when the message must be tried again.
    """
    from mailguard.findings import Result
    from mailguard.message.plain import is_plain
    from mailguard.settings import Filter

    senders = known_senders(known)

    @cache
    def policy() -> Policy:
        from mailguard.sanitize.policy import load

        return load(rules)

    @cache
    def programs() -> Sandbox:
        from mailguard.sanitize.command import Sandbox
        from mailguard.site import secret_files

        return Sandbox(sandbox, secret_files(settings.key_file, password_file))

    def transform(raw: bytes, settings: Settings) -> Result:
        if rules is not None:
            policy()  # a mistake in it is noticed with the first message
        if is_plain(raw):
            return Result("sanitize", [raw])
        from mailguard.outcome.assessment import Choice
        from mailguard.sanitize import sanitize

        return sanitize(
            raw,
            Choice(selection, senders(), watch=watch),
            policy,
            site.make(settings, password_file),
            programs,
            discard_originals=discard_originals,
        )

    return Filter("sanitize", transform, settings)
