"""All looks at this machine, in the order in which one sets things up."""

from __future__ import annotations

from mailguard.doctor.row import FAILURE, Row
from mailguard.errors import MailguardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mailguard.doctor.row import Setup


def rows(setup: Setup) -> Iterator[Row]:
    """Yield what is to be said about this machine, in the order in which one sets things up."""
    from mailguard.doctor import (
        clock,
        postfix,
        procmail,
        programs,
        resolver,
        sandbox,
        secrets,
        signing,
        sockets,
        storage,
    )

    looks: tuple[tuple[str, Callable[[Setup], Iterable[Row]]], ...] = (
        ("key", secrets.key),
        ("files", secrets.files),
        ("conversations", secrets.conversations),
        ("records", storage.records),
        ("spool", storage.spools),
        ("temporary files", storage.temporary),
        ("packages", programs.packages),
        ("bubblewrap", sandbox.bubblewrap),
        ("sandbox", sandbox.escapes),
        ("DNS", resolver.answers),
        ("ARC key", signing.key),
        ("clock", clock.clock),
        ("Postfix", postfix.look),
        ("Postfix limits", postfix.limits),
        ("procmail", procmail.look),
        ("sockets", sockets.look),
    )
    for name, look in looks:
        yield from _safely(name, look, setup)


def _safely(name: str, look: Callable[[Setup], Iterable[Row]], setup: Setup) -> Iterator[Row]:
    try:
        yield from look(setup)
    except (MailguardError, OSError, ValueError) as error:
        from mailguard.streams import describe

        yield Row(name, FAILURE, describe(error), "mend this, then look again")
