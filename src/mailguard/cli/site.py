"""Options about keys and texts for people, and the Site that they make."""

from __future__ import annotations

from functools import update_wrapper

import click

from mailguard.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mailguard.settings import Settings
    from mailguard.site import Site

    Function = Callable[..., Any]


class LazySite:
    """Makes the Site when a verb runs: then a key file that cannot be read is a failure of the run like any other."""

    __slots__ = ("_texts",)

    def __init__(self, **texts: str | None) -> None:
        self._texts = texts

    def make(self, settings: Settings, password_file: str | None = None) -> Site:
        """Return the Site for these settings; ConfigurationError when a file of it cannot be used."""
        from mailguard.site import Site, key_ring

        passwords = None
        if password_file is not None:
            from mailguard.passwords import Passwords

            passwords = Passwords.read(password_file)
        template = self._texts["notice_template"]
        return Site(
            settings.now,
            ring=key_ring(settings.key_file, passwords.text if passwords else None),
            passwords=passwords,
            envelope=settings.envelope,
            lang=self._texts["lang"] or "both",
            contact=self._texts["contact"] or "",
            template=_template(template) if template else None,
        )


def site_options(function: Function) -> Function:
    """Add the options about texts for people; the function gets `site`, a LazySite."""

    def collected(**values: Any) -> Any:
        texts = {name: values.pop(name) for name in ("lang", "contact", "notice_template")}
        return function(site=LazySite(**texts), **values)

    wrapped = update_wrapper(collected, function)
    for option in (
        click.option("--notice-template", metavar="FILE", help="Text of the notice instead of the built-in one."),
        click.option("--contact", metavar="TEXT", help="Whom recipients should ask; stands in the notice."),
        click.option(
            "--lang",
            type=click.Choice(("ja", "en", "both")),
            default="both",
            help="Language of texts for recipients (default: both).",
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


def known_senders(path: str | None) -> Callable[[str], bool] | None:
    """Return the test of --known: whether an address is on the list in this file."""
    if path is None:
        return None
    from mailguard.addresses import AddressList

    return AddressList.read(path).matches


def _template(path: str) -> str:
    from mailguard.notice import check_template

    try:
        with open(path, encoding="utf-8") as file:
            return check_template(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: the notice template cannot be read: {error}") from None
