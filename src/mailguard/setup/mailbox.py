"""The mail of one user: a few lines at the beginning of his recipes for procmail or maildrop."""

from __future__ import annotations

import os
import re

from mailguard.doctor import row
from mailguard.doctor.postfix import mailbox_command
from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.setup import places
from mailguard.setup.observation import is_observing, observing
from mailguard.setup.plan import SetupPlan, WrittenFile, content
from mailguard.setup.server import with_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.setup.places import Mine

RECIPES = {"procmail": ("procmailrc", ".procmailrc"), "maildrop": ("mailfilter", ".mailfilter")}
"""The shipped lines, and the file in the user's home into which they go."""
_FORWARD = {"procmail": '"|exec {program} -p"\n', "maildrop": '"|exec {program}"\n'}
"""local(8) of Postfix, Sendmail and Exim read it in ~/.forward; -p keeps the facts that verify takes from it."""


def plan(name: str, site: Mine, *, postfix: str, enforce: bool | None = None) -> SetupPlan:
    """Plan the lines for `procmail` or `maildrop`; ConfigurationError for root, and where something is in the way."""
    if os.geteuid() == 0:
        raise ConfigurationError(
            f"{name} delivers the mail of one user: runuser -u USER -- {site.program} setup {name};"
            f" for all mail: {site.program} setup postfix, or setup milter"
        )
    program = places.find(name)
    if program is None:
        raise ConfigurationError(f"{name}: not installed (apt-get install {name})")
    made = SetupPlan(name)
    for folder in (os.path.dirname(site.etc), site.etc, *_parents(site.home, site.folder), site.home):
        made.folder(folder, 0o700, site.user)
    if not os.path.lexists(site.key):
        made.key = site.key
    if not os.path.lexists(site.configuration):
        made.file(WrittenFile(site.configuration, with_log(site.rendered("user.toml"), site).encode(), 0o600))
    shipped, recipes = RECIPES[name]
    made.file(_recipes(os.path.join(site.folder, recipes), site.rendered(shipped), enforce))
    _delivery(made, name, site, program, mailbox_command(row.Setup(postfix=postfix)))
    return made


def _parents(path: str, above: str) -> list[str]:
    """Return the folders between one and another, the outermost first."""
    parent = os.path.dirname(path)
    return [*_parents(parent, above), parent] if parent.startswith(f"{above}/") else []


def _recipes(path: str, block: str, enforce: bool | None) -> WrittenFile:
    """Return the recipes with our lines at the beginning: what a user delivers before them would pass unseen."""
    text = (content(path) or b"").decode("utf-8", "surrogateescape")
    found = marked(block).search(text)
    if found is None:
        text = observing(block, wanted=not enforce) + text
    else:
        wanted = is_observing(found[0]) if enforce is None else not enforce
        text = text[: found.start()] + observing(found[0], wanted=wanted) + text[found.end() :]
    return WrittenFile(path, text.encode("utf-8", "surrogateescape"), 0o600, is_shared=True)


def marked(block: str) -> re.Pattern[str]:
    """Return the pattern of our lines in a file of the user, from the first of the block to its last."""
    first, *_, last = block.splitlines()
    return re.compile(rf"^{re.escape(first)}\n.*?^{re.escape(last)}\n", re.MULTILINE | re.DOTALL)


def _delivery(made: SetupPlan, name: str, site: Mine, program: str, command: str) -> None:
    """See to it that the mail server lets the program deliver."""
    path = os.path.join(site.folder, ".forward")
    now = content(path)
    if now is None and re.search(rf"\b{name}\b", command):
        return
    if now is None:
        made.file(WrittenFile(path, _FORWARD[name].format(program=program).encode(), 0o600))
    elif name.encode() not in now:
        made.notes.append(f"{show(path)} does not run {name}: only what comes through {name} is filtered")
