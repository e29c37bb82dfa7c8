"""`mailguard quarantine`: attachments into an encrypted ZIP that can be released."""

from __future__ import annotations

import click

from mailguard.cli.options import filter_options, selection_options, when_option
from mailguard.cli.site import known_senders, site_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.cli.site import LazySite
    from mailguard.correspondence.replies import Watch
    from mailguard.parts.selection import Selection
    from mailguard.settings import Filter, Settings


@click.command()
@when_option()
@selection_options
@click.option("--password-file", metavar="FILE", help="Passwords by recipient, instead of derived ones.")
@click.option("--subject-tag", metavar="TEXT", default="", help="Text before the subject of what was changed.")
@site_options
@filter_options
def command(
    settings: Settings,
    selection: Selection,
    known: str | None,
    watch: Watch | None,
    site: LazySite,
    password_file: str | None,
    subject_tag: str,
) -> Filter:
    """Move attachments of unknown senders, and dangerous ones of everybody, into an encrypted ZIP.

    Reads one message on stdin, writes one on stdout; the body text stays as it is, and mailguard release gives the
    original back.  Status 0 when done, 75 when the message must be tried again.
    """
    from mailguard.findings import Result
    from mailguard.message.plain import is_plain
    from mailguard.settings import Filter

    senders = known_senders(known)

    def transform(raw: bytes, settings: Settings) -> Result:
        made = site.make(settings, password_file)
        _ = made.key
        if is_plain(raw):
            return Result("quarantine", [raw])
        from mailguard.outcome.assessment import Choice
        from mailguard.quarantine import quarantine

        return quarantine(raw, Choice(selection, senders(), subject_tag, watch), made)

    return Filter("quarantine", transform, settings)
