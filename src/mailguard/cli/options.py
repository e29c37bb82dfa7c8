"""Options that several commands share, and the types of their values.

A filter command is a module like this:

    @click.command("strip", short_help=FILTERS["strip"])
    @options.filter_options
    @options.when_option()
    @options.selection_options
    @click.option("--save", metavar="DIR", help="Keep what is removed.")
    def command(settings: Settings, selection: Selection, known: str | None, save: str | None) -> Filter:
        def transform(raw: bytes, settings: Settings) -> Result:
            return strip(parse(raw), selection, ...)

        return Filter("strip", transform, settings)

It does nothing itself: the drivers run the filter, one message or many.  What depends on the message (its envelope, its
time) comes from the settings that `transform` gets.
"""

from __future__ import annotations

import re
from functools import update_wrapper

import click

from mailguard.envelope import Envelope
from mailguard.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Function = Callable[..., Any]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class Size(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """A number of bytes: `1500`, `500k`, `10M`, `1.5G` (multiples of 1024), as int."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        match = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]{1,6}))?([kKmMgG]?)[bB]?", str(value))
        if match is None:
            self.fail(f"{value!r} is no size; examples: 500k, 10M, 1.5G", param, ctx)
        unit = _UNITS[match[3].lower()]
        fraction = match[2] or "0"
        return int(match[1]) * unit + int(fraction) * unit // int(10 ** len(fraction))


class Time(click.ParamType):  # type: ignore[type-arg]
    """A point in time (RFC 3339, `2026-01-31T09:00:00+09:00`), as whole seconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return Unix time, fractions cut off."""
        from datetime import datetime

        if re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", str(value), re.ASCII):
            try:
                return int(datetime.fromisoformat(str(value).upper()).timestamp())
            except (ValueError, OverflowError):
                pass  # the 31st of February
        return self.fail(f"{value!r} is no time of RFC 3339; example: 2026-01-31T09:00:00+09:00", param, ctx)


def _configure(ctx: click.Context, _parameter: click.Parameter, path: str | None) -> None:
    """Read the configuration before the other options are looked at: what stands there is their default.

    In a pipeline the driver may have named another file, and has a section for all filters.
    """
    from click.core import ParameterSource

    from mailguard import config

    driver = ctx.obj
    if driver is not None and ctx.get_parameter_source("config") is not ParameterSource.COMMANDLINE:
        path = driver.config
    ctx.meta["mailguard.config"] = path
    values = config.load(path, ctx.info_name or "", ctx.command.params, driver.driver if driver else None)
    if values:
        ctx.default_map = values


def _add(function: Function, options: list[tuple[tuple[str, ...], dict[str, Any]]]) -> Function:
    for names, attributes in reversed(options):
        function = click.option(*names, **attributes)(function)
    return function


def _not_stdout(_ctx: click.Context, _parameter: click.Parameter, path: str | None) -> str | None:
    if path == "-":
        raise click.BadParameter("stdout is for the message; name a file")
    return path or None


_CONFIG = (
    ("--config",),
    {
        "metavar": "FILE",
        "envvar": "MAILGUARD_CONFIG",
        "is_eager": True,
        "expose_value": False,
        "callback": _configure,
        "help": "Configuration file instead of the usual one.",
    },
)
_KEY_FILE = (
    ("--key-file",),
    {"metavar": "FILE", "envvar": "MAILGUARD_KEY_FILE", "help": "Site key, made by mailguard init."},
)
_JOURNAL = (("--journal",), {"metavar": "FILE", "help": "Journal of what was held and released (JSON lines)."})
_DRY_RUN = (("--dry-run",), {"is_flag": True, "help": "Let the message pass unchanged; only report."})
_JSON = (
    ("--json",),
    {"metavar": "FILE", "callback": _not_stdout, "help": "Append the findings to FILE, one line of JSON."},
)
_LOG = (
    ("--log",),
    {"metavar": "syslog|stderr|FILE|none", "default": "syslog", "help": "Where the log line goes (default: syslog)."},
)
_MEMORY_LIMIT = (
    ("--memory-limit",),
    {
        "metavar": "SIZE",
        "type": Size(),
        "default": "1G",
        "help": "Hold what needs more memory than this and five times its size (default: 1G; 0: no limit).",
    },
)
_NOW = (("--now",), {"metavar": "RFC3339", "type": Time(), "help": "Take this for the present time."})

_ENVELOPE: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("--client-address",), {"metavar": "IP", "help": "Address of the SMTP client."}),
    (("--client-helo",), {"metavar": "NAME", "help": "Name that the SMTP client gave in HELO or EHLO."}),
    (("--sender",), {"metavar": "ADDR", "help": "Envelope sender; empty or <> for the null sender."}),
    (("--recipient",), {"metavar": "ADDR", "multiple": True, "help": "Envelope recipient; repeat for more."}),
    (("--queue-id",), {"metavar": "ID", "help": "Queue id of the mail server, for the log."}),
    (("--sasl-username",), {"metavar": "NAME", "help": "Our own user who submitted the message."}),
]


def config_option(function: Function) -> Function:
    """Add --config: the command's section of the configuration becomes the default of its options."""
    return _add(function, [_CONFIG])


def key_file_option(function: Function) -> Function:
    """Add --key-file, as `key_file`: a path or None."""
    return _add(function, [_KEY_FILE])


def journal_option(function: Function) -> Function:
    """Add --journal, as `journal`: a path or None."""
    return _add(function, [_JOURNAL])


def memory_limit_option(function: Function) -> Function:
    """Add --memory-limit, as `memory_limit`: octets, for the filters of a driver."""
    return _add(function, [_MEMORY_LIMIT])


def log_option(function: Function) -> Function:
    """Add --log, as `log`: where the log line goes."""
    return _add(function, [_LOG])


def now_option(function: Function) -> Function:
    """Add --now, as `now`: Unix time or None."""
    return _add(function, [_NOW])


def record_options(function: Function) -> Function:
    """Add what drivers say about the records of all their filters: --dry-run, --json, --log and --journal."""
    return _add(function, [_DRY_RUN, _JSON, _LOG, _JOURNAL])


def envelope_options(function: Function) -> Function:
    """Add the facts of the SMTP session; the function gets them as `envelope`, an Envelope."""

    def collected(*, recipient: tuple[str, ...], **values: Any) -> Any:
        facts = {name: values.pop(name) for name in _ENVELOPE_NAMES}
        return function(envelope=Envelope(recipients=recipient, **facts), **values)

    return _add(update_wrapper(collected, function), _ENVELOPE)


_ENVELOPE_NAMES = ("client_address", "client_helo", "sender", "queue_id", "sasl_username")


def filter_options(function: Function) -> Function:
    """Add the options of all filters; the function gets them as `settings`, a Settings."""

    def collected(*, now: int | None, **values: Any) -> Any:
        fixed = now is not None
        if now is None:
            from time import time

            now = int(time())
        settings = Settings(values.pop("envelope"), now, **{name: values.pop(name) for name in _SETTINGS})
        settings.fixed = fixed
        return function(settings=settings, **values)

    return _add(
        envelope_options(update_wrapper(collected, function)),
        [
            _CONFIG,
            _KEY_FILE,
            _NOW,
            _DRY_RUN,
            (("--explain",), {"is_flag": True, "help": "Write the findings on stderr."}),
            _JSON,
            _LOG,
            _JOURNAL,
            _MEMORY_LIMIT,
        ],
    )


_SETTINGS = ("key_file", "dry_run", "explain", "json", "log", "journal", "memory_limit")


def host_names(_ctx: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Refuse what is no host name (callback of an option)."""
    for name in [value] if isinstance(value, str) else value or ():
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", name):
            raise click.BadParameter(f"{name!r} is no host name")
    return value


def _domains(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    return tuple(name.lower().rstrip(".") for name in host_names(ctx, parameter, value))


_CONVERSATIONS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("--conversations",), {"metavar": "FILE", "help": "Conversations of the site, which no stranger may continue."}),
    (
        ("--may-answer",),
        {"metavar": "DOMAIN", "multiple": True, "callback": _domains, "help": "Senders here may continue every one."},
    ),
]


def conversations_options(function: Function) -> Function:
    """Add what is said about the conversations of the site; the function gets `watch`, a Watch or None."""

    def collected(*, conversations: str | None, may_answer: tuple[str, ...], **values: Any) -> Any:
        from mailguard.cli.site import watch_over

        return function(watch=watch_over(conversations, may_answer), **values)

    return _add(update_wrapper(collected, function), _CONVERSATIONS)


def own_domain_option(function: Function) -> Function:
    """Add --own-domain, as `own_domain`: A-labels."""
    attributes = {
        "metavar": "DOMAIN",
        "multiple": True,
        "callback": _domains,
        "help": "Mail below this domain is ours.",
    }
    return _add(function, [(("--own-domain",), attributes)])


def when_option(default: str = "suspicious") -> Callable[[Function], Function]:
    """Add --when, as `when`: which senders a filter acts on."""
    attributes = {
        "type": click.Choice(("always", "unauthenticated", "suspicious")),
        "default": default,
        "help": f"Act on mail of which senders (default: {default}).",
    }
    return lambda function: _add(function, [(("--when",), attributes)])


def selection_options(function: Function) -> Function:
    """Add the options that choose attachments.

    The function gets `selection`, a Selection, `known`, a path, and `watch`, which makes the Watch over conversations.

    --when comes from `when_option`, because its default depends on the command.
    """

    def collected(*, when: str, keep_inline: bool, keep_calendar: bool, larger_than: int | None, **values: Any) -> Any:
        from mailguard.parts.selection import Selection

        globs = {f"{name}s": values.pop(name) for name in ("type", "name", "keep_type", "keep_name")}
        selection = Selection(
            when, larger_than=larger_than, keep_inline=keep_inline, keep_calendar=keep_calendar, **globs
        )
        return function(selection=selection, **values)

    return _add(
        conversations_options(update_wrapper(collected, function)),
        [
            (("--type",), {"metavar": "GLOB", "multiple": True, "help": "Only attachments of this media type."}),
            (("--name",), {"metavar": "GLOB", "multiple": True, "help": "Only attachments with this file name."}),
            (
                ("--larger-than",),
                {"metavar": "SIZE", "type": Size(), "help": "Only attachments over this size, as 500k or 10M."},
            ),
            (("--keep-type",), {"metavar": "GLOB", "multiple": True, "help": "Leave this media type."}),
            (("--keep-name",), {"metavar": "GLOB", "multiple": True, "help": "Leave this file name."}),
            (
                ("--keep-inline/--no-keep-inline",),
                {"default": True, "help": "Leave pictures that the HTML body shows (default: yes)."},
            ),
            (
                ("--keep-calendar/--no-keep-calendar",),
                {"default": True, "help": "Leave meeting invitations that are part of the body (default: yes)."},
            ),
            (("--known",), {"metavar": "FILE", "help": "Addresses of senders that the site knows."}),
        ],
    )
