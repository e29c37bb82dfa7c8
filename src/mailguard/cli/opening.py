"""What the commands that open a capsule share: their options, the input, and the account of what a capsule holds."""

from __future__ import annotations

import sys
from functools import update_wrapper

import click

from mailguard.cli.options import config_option, key_file_option
from mailguard.errors import DataError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from mailguard.outcome.opening import Found
    from mailguard.passwords import Passwords
    from mailguard.seal import KeyRing

    Function = Callable[..., Any]


class Secrets:
    """The keys and passwords of the site, as far as the options name them, and the files that they were read from."""

    __slots__ = ("key_file", "password_file", "passwords", "ring")

    def __init__(self, key_file: str | None, password_file: str | None) -> None:
        from mailguard.site import key_ring

        self.key_file = key_file
        self.password_file = password_file
        self.passwords: Passwords | None = None
        if password_file:
            from mailguard.passwords import Passwords

            self.passwords = Passwords.read(password_file)
        self.ring: KeyRing | None = key_ring(key_file, self.passwords.text if self.passwords else None)


def opening_options(function: Function) -> Function:
    """Add the options by which a capsule is opened; the function gets `secrets`, Secrets, and `wanted`, an id."""

    def collected(key_file: str | None, password_file: str | None, wanted: str | None, **values: Any) -> Any:
        return function(secrets=Secrets(key_file, password_file), wanted=wanted, **values)

    wrapped = update_wrapper(collected, function)
    wrapped = click.option("--id", "wanted", metavar="ID", help="Which capsule, when the input has several.")(wrapped)
    wrapped = click.option("--password-file", metavar="FILE", help="Passwords that were given instead of derived.")(
        wrapped
    )
    return config_option(key_file_option(wrapped))


def read_input() -> bytes:
    """Read the message or ZIP from stdin; a hint when that is a terminal."""
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("give the message or the ZIP on standard input: mailguard COMMAND < FILE")
    raw = sys.stdin.buffer.read()
    if not raw:
        raise DataError("standard input is empty")
    return raw


def account(raw: bytes, opened: Found, secrets: Secrets) -> dict[str, Any]:
    """Say what a capsule holds and who sent it, as data."""
    from mailguard.message.tree import parse
    from mailguard.seal import field as seal_field

    manifest = opened.opened.manifest
    original = parse(opened.opened.restore())
    reading = seal_field.read(parse(raw), secrets.ring, manifest.time)
    seal = reading.seal
    headers = {name: _header(original, name) for name in ("from", "to", "date", "subject", "message-id")}
    return {
        "quarantine_id": opened.identifier,
        "time": manifest.time,
        "verdict": "no verdict" if seal is None else "authenticated" if seal.authenticated else "not authenticated",
        "author_domain": seal.author_domain if seal else None,
        "sender": manifest.information.get("sender"),
        "recipients": manifest.information.get("recipients"),
        "original": {"size": manifest.length, "sha256": manifest.sha256} | headers,
        "files": [
            {"name": file.name, "stored": file.stored, "size": file.size} | file.metadata
            for file in opened.opened.files
        ],
    }


def written(facts: dict[str, Any]) -> Iterator[str]:
    """Write the account for people, line by line; every value is made safe to look at."""
    from time import localtime, strftime

    from mailguard.findings import joined, show
    from mailguard.formats.dangers import explain
    from mailguard.seal.keys import grouped

    original = facts["original"]
    yield f"Quarantine id:   {grouped(facts['quarantine_id'])}"
    yield f"Held at:         {strftime('%Y-%m-%d %H:%M:%S %z', localtime(facts['time']))}"
    yield f"Sender:          {facts['verdict']}" + (
        f" ({show(facts['author_domain'])})" if facts["author_domain"] else ""
    )
    yield f"Envelope:        from {show(facts['sender']) or '-'} to {joined(facts['recipients'] or ['-'])}"
    for name in ("from", "to", "date", "subject", "message-id"):
        yield f"{name.title() + ':':<17}{show(original[name])}"
    yield f"Original:        {original['size']} bytes, SHA-256 {original['sha256']}"
    for number, file in enumerate(facts["files"], 1):
        yield f"File {number}:          {show(file['name'])}"
        yield f"  type:          {show(file.get('detected_type'))} (declared {show(file.get('declared_type'))})"
        yield f"  size, SHA-256: {file['size']} bytes, {show(file.get('sha256'))}"
        for code in file.get("dangerous") or ():
            yield f"  DANGER:        {show(code)}: {show(explain(str(code), 'en'))}"


def _header(original: Any, name: str) -> str:
    from mailguard.message.words import texts

    fields = original.root.field(name.encode("ascii"))
    return (texts(fields[0].unfolded[:1000]) or [""])[0] if fields else ""
