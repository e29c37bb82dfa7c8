"""The one word that makes a way into mail watch only, in each of the files that are written."""

from __future__ import annotations

import re

from mailguard.setup.plan import WrittenFile, content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.setup.record import Record

_SCRIPT = re.compile(r"^observe=.*$", re.MULTILINE)
_COMMAND = re.compile(r"(mailguard (?:run|milter))(?: --dry-run)?(?= )")
_SANITIZE = re.compile(r"^sanitize=.*$", re.MULTILINE)


def is_observing(text: str) -> bool:
    """Tell whether a file that we wrote lets mail pass unchanged."""
    return "observe=--dry-run" in text or (_SCRIPT.search(text) is None and " --dry-run" in text)


def observing(text: str, *, wanted: bool) -> str:
    """Return the text of a file, observing or not."""
    text = _SCRIPT.sub(f"observe={'--dry-run' if wanted else ''}", text)
    return _COMMAND.sub(r"\1 --dry-run" if wanted else r"\1", text)


def kept(path: str, shipped: str, enforce: bool | None, record: Record, mode: int = 0o644) -> WrittenFile:
    """Return a file as it should be: as shipped, or as the site made it, observing or not.

    enforce: None leaves that as it is; what was never there observes.  What the site chose in the file, it keeps; a
    file that the site changed stays, but for the observation.
    """
    now = content(path)
    if now is None:
        return WrittenFile(path, observing(shipped, wanted=not enforce).encode(), mode)
    text = now.decode("utf-8", "surrogateescape")
    wanted = is_observing(text) if enforce is None else not enforce
    if record.wrote(path, now):
        chosen = _SANITIZE.search(text)
        text = _SANITIZE.sub(lambda _: chosen[0], shipped) if chosen else shipped
    return WrittenFile(path, observing(text, wanted=wanted).encode("utf-8", "surrogateescape"), mode)
