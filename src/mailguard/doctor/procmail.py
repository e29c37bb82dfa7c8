"""Recipes of procmail that run mailguard, and the traps in them (procmailrc(5))."""

from __future__ import annotations

import os
import re
import stat

from mailguard.doctor.postfix import mailbox_command
from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.doctor.scripts import text_rows
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.doctor.row import Setup

_LARGEST = 1 << 20
_START = re.compile(r"[ \t]*:0[ \t]*([HBDAaEehbfcwWir \t]*)(?::.*)?")
_FOLLOWING = 6  # lines of a recipe for the failure of the one before


class _Recipe:
    """A recipe: the number of its first line, its flags, its action, and the few lines that follow it."""

    def __init__(self, number: int, flags: str, action: str, following: str) -> None:
        self.number = number
        self.flags = flags
        self.action = action
        self.following = following


def look(setup: Setup) -> Iterator[Row]:
    """Check every recipe that runs mailguard."""
    for path in setup.procmailrc:
        if not os.path.exists(path):
            continue
        recipes = [recipe for recipe in _recipes(_text(path)) if "mailguard" in recipe.action]
        rows = [*_file(path)] if recipes else []
        if any("--client-from environment" in recipe.action for recipe in recipes):
            rows += _environment(path, mailbox_command(setup).split())
        for recipe in recipes:
            rows += _recipe(f"{show(path)}:{recipe.number}", recipe)
        if recipes and not rows:
            rows.append(Row("procmail", GOOD, f"{show(path)}: {len(recipes)} recipes run mailguard"))
        yield from rows


def _environment(path: str, command: list[str]) -> Iterator[Row]:
    if command and os.path.basename(command[0]) == "procmail" and "-p" not in command:
        what = "procmail takes away the environment in which Postfix says who the client is"
        yield Row(show(path), WARNING, what, f"mailbox_command = {show(command[0])} -p ... in main.cf")


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(_LARGEST)


def _recipes(text: str) -> Iterator[_Recipe]:
    lines = text.splitlines()
    for index, line in enumerate(lines):
        match = _START.fullmatch(line)
        if match is None:
            continue
        end = index + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].lstrip()[0] in "*#"):
            end += 1
        action = [lines[end].strip()] if end < len(lines) else []
        while action and action[-1].endswith("\\") and end + 1 < len(lines):
            end += 1
            action.append(lines[end].strip())
        rest = [each for each in lines[end + 1 :] if each.strip() and not each.lstrip().startswith("#")]
        yield _Recipe(index + 1, match[1], "\n".join(action), "\n".join(rest[:_FOLLOWING]))


def _file(path: str) -> Iterator[Row]:
    status = os.stat(path)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        what = "others can write to it; procmail does not read it then, and delivers all mail unseen"
        yield Row(show(path), FAILURE, what, f"chmod go-w {show(path)}")


def _recipe(name: str, recipe: _Recipe) -> Iterator[Row]:
    flags, action = recipe.flags, recipe.action
    if not action.startswith("|"):
        return
    if "f" not in flags:
        what = "without the flag f the mail is gone when the filter has read it"
        yield Row(name, FAILURE, what, ":0fw")
        return
    if "w" not in flags and "W" not in flags:
        what = "without the flag w half a mail is delivered when the filter fails"
        yield Row(name, FAILURE, what, ":0fw")
    if ("h" in flags) != ("b" in flags):
        what = "with h or b the filter sees only a part of the mail"
        yield Row(name, FAILURE, what, ":0fw")
    yield from text_rows(name, action)
    yield from _failure(name, recipe.following)


def _failure(name: str, following: str) -> Iterator[Row]:
    """Look at the recipe for the case that the filter fails, which must be the next one."""
    first, _, rest = following.partition("\n")
    match = _START.fullmatch(first)
    repair = ":0e with { EXITCODE=75 HOST } behind it, each on a line of its own: examples/procmailrc"
    if match is None or "e" not in match[1]:
        what = "nothing follows for its failure (:0e): then the mail is delivered unseen"
        yield Row(name, FAILURE, what, repair)
    elif not re.search(r"^\s*\{?\s*EXITCODE=75\b", rest, re.MULTILINE) or not re.search(
        r"^\s*HOST\b", rest, re.MULTILINE
    ):
        what = "the recipe for its failure does not give the mail back to the mail server"
        yield Row(name, WARNING, what, repair)
