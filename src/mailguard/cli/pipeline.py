"""The filters that the text of a pipeline means, made by the same commands as on the command line."""

from __future__ import annotations

import click
from click.core import ParameterSource

from mailguard import pipeline
from mailguard.cli.group import mailguard, plain
from mailguard.commands import FILTERS
from mailguard.config import SHARED
from mailguard.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.settings import Filter

_VERBS = FILTERS.keys() - {"run"}
_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


class Defaults:
    """What the command line of a driver says for all filters of its pipeline: options by parameter name.

    An option of a filter counts first, then that of the driver, then the configuration: the section of the filter's
    command, that of the driver, the keys common to all.  config: the file that the driver was given, None for the usual
    ones; driver: its name.
    """

    __slots__ = ("config", "driver", "values")

    def __init__(self, driver: str, config: str | None, values: dict[str, Any]) -> None:
        self.driver = driver
        self.config = config
        self.values = values


def defaults(context: click.Context) -> Defaults:
    """Return what this call of a driver says for its filters: those of its options that are shared with filters."""
    given = {name: context.params[name] for name in SHARED & context.params.keys() if _is_given(context, name)}
    return Defaults(context.info_name or "", context.meta.get("mailguard.config"), given)


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) in _GIVEN


def filters(text: str, given: Defaults | None = None) -> list[Filter]:
    """Return the filters of a pipeline: ConfigurationError when it is none, or one of its filters is called wrongly."""
    commands = pipeline.parse(text, _VERBS)
    return [_filter(f"step {number}", words, given) for number, words in enumerate(commands, 1)]


def _filter(place: str, words: list[str], given: Defaults | None) -> Filter:
    verb, *arguments = words
    command = mailguard.get_command(click.Context(mailguard), verb)
    assert command is not None
    try:
        with command.make_context(verb, arguments, obj=given, help_option_names=[]) as context:
            _check_filter(command, context)
            for name, value in given.values.items() if given else ():
                if name in context.params and context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
                    context.params[name] = value
            mail_filter: Filter = command.invoke(context)
    except (click.ClickException, click.Abort, click.exceptions.Exit) as error:
        raise ConfigurationError(f"{place}, {verb}: {plain(error)}") from None
    return mail_filter


def _check_filter(command: click.Command, context: click.Context) -> None:
    """Refuse options that make a command something else than a filter."""
    for option in command.params:
        name = option.name or ""
        if (
            isinstance(option, click.Option)
            and option.is_flag
            and not option.is_bool_flag
            and _is_given(context, name)
            and context.params[name] == option.flag_value
        ):
            raise click.UsageError(f"{option.opts[0]} is not for a pipeline")
