"""Shell scripts between a mail system and the filters."""

from __future__ import annotations

import os
import re

from mailguard.doctor.row import FAILURE, Row
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 1 << 20
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_PIPE = re.compile(r"\bmailguard[\"']? [^\n|;&#]*\|(?!\|)[ \t]*\S")
_FROM_HEADER = re.compile(r"\bsendmail\b[^\n;&#]* -[A-Za-z]*t\b")


def script_rows(name: str, path: str) -> Iterator[Row]:
    """Look into a script: rows for what is known to lose mail.  Programs that are no text are left alone."""
    if not os.path.isabs(path):
        return
    if not os.path.isfile(path):
        yield Row(name, FAILURE, f"{show(path)} is not there: every mail waits", f"install -m 0755 SCRIPT {show(path)}")
        return
    if not os.access(path, os.X_OK):
        yield Row(name, FAILURE, f"{show(path)} cannot be executed: every mail waits", f"chmod 755 {show(path)}")
    yield from text_rows(name, text_of(path))


def text_of(path: str) -> str:
    """Return the text of a script, "" for what is none or cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_LARGEST)
    except (OSError, ValueError):  # ValueError: a name that can be none
        return ""
    return text if text.startswith("#!") else ""


def text_rows(name: str, text: str) -> Iterator[Row]:
    """Look for pipes that hide a failed filter, and for recipients taken from the header."""
    lines = "\n".join(line for line in text.replace("\\\n", " ").splitlines() if not line.lstrip().startswith("#"))
    lines = _QUOTED.sub(lambda match: "''" if "|" in match[0] else match[0], lines)
    if _PIPE.search(lines):
        what = "a pipe hides the status of its first command: when a filter fails, an empty or half mail goes on"
        yield Row(name, FAILURE, what, "mailguard run 'A | B' > file || exit 75")
    if _FROM_HEADER.search(lines):
        what = "sendmail -t takes the recipients from the header, which the sender wrote"
        yield Row(name, FAILURE, what, 'sendmail -G -i -f "$sender" -- "$@"')
