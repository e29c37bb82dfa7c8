"""`mailguard inspect`: what a quarantined message or ZIP holds, and why it was held."""

from __future__ import annotations

import click

from mailguard.cli.opening import Secrets, account, opening_options, read_input, written


@click.command()
@opening_options
@click.option("--json", "as_json", is_flag=True, help="Write the account as JSON.")
def command(secrets: Secrets, wanted: str | None, as_json: bool) -> None:
    """Show who sent a quarantined message and what it holds: files, types, hashes, dangers.

    Reads the message, or the ZIP alone, on stdin.  Nothing is extracted.
    """
    from mailguard.outcome.opening import open_one

    raw = read_input()
    facts = account(raw, open_one(raw, secrets.ring, secrets.passwords, wanted), secrets)
    if as_json:
        import json

        click.echo(json.dumps(facts, sort_keys=True))
    else:
        click.echo("\n".join(written(facts)))
