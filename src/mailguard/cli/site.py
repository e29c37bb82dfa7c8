"""Options about keys and texts for people, and the Site that they make."""

from __future__ import annotations

from functools import cache, update_wrapper

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from mailguard.correspondence.replies import Watch
    from mailguard.passwords import Passwords
    from mailguard.seal import KeyRing
    from mailguard.settings import Settings
    from mailguard.site import Site

    Function = Callable[..., Any]


class LazySite:
    """Makes the Site when a verb runs: then a key file that cannot be read is a failure of the run like any other.

    Its files are read once, for all messages that a step filters.
    """

    __slots__ = ("_files", "_texts")

    def __init__(self, **texts: str | None) -> None:
        self._texts = texts
        self._files = cache(self._read)

    def make(self, settings: Settings, password_file: str | None = None) -> Site:
        """Return the Site for these settings; ConfigurationError when a file of it cannot be used."""
        from mailguard.site import Site

        passwords, ring, template = self._files(settings.key_file, password_file)
        return Site(
            settings.now,
            ring=ring,
            passwords=passwords,
            envelope=settings.envelope,
            lang=self._texts["lang"] or "both",
            contact=self._texts["contact"] or "",
            template=template,
            memory_limit=settings.memory_limit,
        )

    def _read(
        self, key_file: str | None, password_file: str | None
    ) -> tuple[Passwords | None, KeyRing | None, str | None]:
        from mailguard.site import key_ring

        passwords = None
        if password_file is not None:
            from mailguard.passwords import Passwords

            passwords = Passwords.read(password_file)
        template = self._texts["notice_template"]
        ring = key_ring(key_file, passwords.text if passwords else None)
        return passwords, ring, _template(template) if template else None


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


def known_senders(path: str | None) -> Callable[[], Callable[[str], bool] | None]:
    """Return what makes the test of --known, whether an address is on the list in this file; it is read once."""

    def read() -> Callable[[str], bool] | None:
        if path is None:
            return None
        from mailguard.addresses import AddressList

        return AddressList.read(path).matches

    return cache(read)


def watch_over(path: str | None, may_answer: Sequence[str]) -> Watch | None:
    """Return the watch over conversations that --conversations and --may-answer ask for."""
    if path is None:
        return None
    from mailguard.correspondence.replies import Watch

    return Watch(path, may_answer)


def _template(path: str) -> str:
    from mailguard import config
    from mailguard.outcome.notice import check_template

    return check_template(config.read(path), path)
