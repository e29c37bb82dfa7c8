"""`mailguard init`: the site key, made once and never overwritten."""

from __future__ import annotations

import os

import click

from mailguard.cli.options import key_file_option
from mailguard.commands import ORDINARY
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show


@click.command("init", short_help=ORDINARY["init"])
@key_file_option
@click.option("--import", "backup", metavar="FILE", help="Take the keys from this copy instead of making a new one.")
@click.option("--rotate", is_flag=True, help="Put a new key before those that are there; they still release old mail.")
def command(key_file: str | None, backup: str | None, rotate: bool) -> None:
    """Make the site key: what seals messages and derives passwords.

    Without --key-file the key goes where filters of the same user look first: mailguard/key in the user's
    configuration folder.
    """
    from mailguard.seal import load, new_key
    from mailguard.site import key_paths

    if backup and rotate:
        raise click.UsageError("--import and --rotate exclude each other")
    path = key_file or key_paths()[0]
    if rotate:
        _rotate(path)
    else:
        _create(path, _lines(backup) if backup else [new_key()])
    _explain(path, [key.name for key in load(path).keys])


def _lines(path: str) -> list[str]:
    """Return the key lines of a key file, checked."""
    from mailguard.seal import keys

    keys.load(path)
    text = keys.private_text(path, "the key file")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _create(path: str, lines: list[str]) -> None:
    from mailguard import safefile
    from mailguard.seal import keys

    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
        safefile.create(path, [keys.join(lines).encode("ascii")])
    except FileExistsError:
        raise ConfigurationError(f"{show(path)}: exists; a second key is made by --rotate") from None
    except OSError as error:
        raise MailguardError(f"{show(path)}: {error.strerror}") from None


def _rotate(path: str) -> None:
    """Add a key in front, under a lock: of two at the same time none may get lost, mail is sealed with it already."""
    from mailguard import safefile
    from mailguard.seal import keys

    with safefile.locked(os.path.dirname(path) or "."):
        lines = [keys.new_key(), *_lines(path)]
        status = os.stat(path)
        safefile.replace(
            os.path.realpath(path), [keys.join(lines).encode("ascii")], owner=(status.st_uid, status.st_gid)
        )


def _explain(path: str, names: list[str]) -> None:
    click.echo(f"Key file: {show(path)}")
    click.echo(f"Key id:   {names[0]}" + (f"  (older: {', '.join(names[1:])})" if names[1:] else ""))
    click.echo("\nKeep a copy where only you can read it; without the key nothing in quarantine can be released:")
    click.echo(f"  install -m 600 {show(path)} /path/to/safe/place/mailguard-key")
    click.echo("On a second machine, or after a loss: mailguard init --import /path/to/safe/place/mailguard-key")
    if os.geteuid() == 0:
        click.echo(f"The user that runs the filters must be able to read it: chown USER {show(path)}")
