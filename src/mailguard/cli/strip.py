"""`mailguard strip`: attachments out, a placeholder in."""

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
@click.option("--save", metavar="DIR", help="Keep what is removed in this folder.")
@click.option("--link", metavar="URL", help="Address under which the folder of --save is served.")
@click.option(
    "--manifest",
    type=click.Choice(("text", "json")),
    default="text",
    help="With json, add a part with a record of what was removed.",
)
@site_options
@filter_options
def command(
    settings: Settings,
    selection: Selection,
    known: str | None,
    watch: Watch | None,
    site: LazySite,
    save: str | None,
    link: str | None,
    manifest: str,
) -> Filter:
    """Replace attachments of unknown senders, and dangerous ones of everybody, by a placeholder.

    Reads one message on stdin, writes one on stdout.  What is removed is gone, unless --save keeps it.
    Status 0 when done, 75 when the message must be tried again.
    """
    from mailguard.findings import Result
    from mailguard.message.plain import is_plain
    from mailguard.settings import Filter

    if link and not save:
        raise click.UsageError("--link needs --save")

    senders = known_senders(known)

    def transform(raw: bytes, settings: Settings) -> Result:
        if is_plain(raw):
            return Result("strip", [raw])
        from mailguard.outcome.assessment import Choice
        from mailguard.strip import Storage, strip

        storage = Storage(save, link or "") if save and not settings.dry_run else None
        rules = Choice(selection, senders(), watch=watch)
        return strip(raw, rules, site.make(settings), storage, manifest)

    return Filter("strip", transform, settings)
