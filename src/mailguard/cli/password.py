"""`mailguard password`: the password of a capsule, after a look at what it holds."""

from __future__ import annotations

import click

from mailguard.cli.opening import Secrets, account, opening_options, read_input, written
from mailguard.errors import ConfigurationError, DataError
from mailguard.findings import show


@click.command()
@opening_options
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--id-only", is_flag=True, help="Print the password for ID without looking at the message.")
def command(secrets: Secrets, wanted: str | None, identifier: str | None, id_only: bool) -> None:
    """Print the password of a quarantined message, on stdout; what it holds goes to stderr first.

    Reads the message, or the ZIP alone, on stdin.  With --id-only the id is enough: then nobody has looked inside.
    """
    if id_only:
        click.echo(_derived(secrets, identifier))
        return
    from mailguard.outcome.opening import open_one

    try:
        raw = read_input()
    except (click.UsageError, DataError):
        if identifier is None:
            raise
        raise click.UsageError(
            f"no message on standard input; for the id alone: --id-only {show(identifier)}"
        ) from None
    opened = open_one(raw, secrets.ring, secrets.passwords, identifier or wanted)
    click.echo("\n".join(written(account(raw, opened, secrets))), err=True)
    click.echo(opened.password.decode("utf-8", "replace"))


def _derived(secrets: Secrets, identifier: str | None) -> str:
    from mailguard.seal import keys

    if identifier is None:
        raise click.UsageError("--id-only needs the ID as it stands in the notice")
    if secrets.ring is None:
        raise ConfigurationError("there is no site key; name it with --key-file")
    key, checked = keys.check_id(secrets.ring, identifier)
    return keys.password(key, checked)
