"""Simple command lines on plain mail, handled before click is imported: most mail, and most of the time of a filter.

The options are those of the click commands, in a table generated from them.  Whatever is not simple (a configuration
file, an option whose value must be converted, a mistake), and whatever mail is not plain, is left to click.
"""

from __future__ import annotations

import os

from mailguard.cli.table import DEFAULTS, OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mailguard.findings import Result
    from mailguard.settings import Settings

_FACTS = ("client_address", "client_helo", "sender", "queue_id", "sasl_username")
_SETTINGS = ("dry_run", "explain", "journal", "key_file", "log")


def parse(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Return the parameters of a filter as click would give them; None when the command line is not simple."""
    if not arguments or arguments[0] not in OPTIONS or not _is_unconfigured():
        return None
    options, values = OPTIONS[arguments[0]], DEFAULTS[arguments[0]].copy()
    words = iter(arguments[1:])
    for word in words:
        option, equals, value = word.partition("=")
        name, kind = options.get(option, ("", None))
        if isinstance(kind, bool) and not equals:
            values[name] = kind
            continue
        if kind is None or isinstance(kind, bool):
            return None
        if not equals:
            value = next(words, "-")
        if (not equals and value.startswith("-")) or (isinstance(kind, tuple) and value not in kind):
            return None
        values[name] = (*values[name], value) if kind == "many" else value
    if values["key_file"] is None:
        values["key_file"] = os.environ.get("MAILGUARD_KEY_FILE") or None
    return values


def _is_unconfigured() -> bool:
    from mailguard.settings import paths

    if os.environ.get("MAILGUARD_CONFIG"):
        return False
    for path in paths():
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass
        return False
    return True


def run(arguments: Sequence[str]) -> bytes | None:
    """Filter the message on stdin and end the process, if command line and message are simple.

    Otherwise return the message, when it was read already, for the same command by click.
    """
    values = parse(arguments)
    if values is None:
        return None
    from mailguard import streams
    from mailguard.message.plain import is_plain

    raw = streams.read_message()
    if is_plain(raw):
        from mailguard.settings import Filter

        streams.run([Filter(arguments[0], _TRANSFORMS[arguments[0]], _settings(values))], raw)
    return raw


def _settings(values: dict[str, Any]) -> Settings:
    from time import time

    from mailguard.envelope import Envelope
    from mailguard.settings import Settings

    envelope = Envelope(recipients=values["recipient"], **{name: values[name] for name in _FACTS})
    return Settings(envelope, int(time()), **{name: values[name] for name in _SETTINGS})


def _quarantine(raw: bytes, settings: Settings) -> Result:
    from mailguard.findings import Result
    from mailguard.site import Site, key_ring

    _ = Site(settings.now, ring=key_ring(settings.key_file)).key
    return Result("quarantine", [raw])


def _sanitize(raw: bytes, _settings: Settings) -> Result:
    from mailguard.findings import Result

    return Result("sanitize", [raw])


def _strip(raw: bytes, _settings: Settings) -> Result:
    from mailguard.findings import Result

    return Result("strip", [raw])


_TRANSFORMS = {"quarantine": _quarantine, "sanitize": _sanitize, "strip": _strip}
