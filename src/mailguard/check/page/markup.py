"""Pieces of HTML: text that is safe wherever it came from, states as words with signs, exact lines, standards."""

from __future__ import annotations

import re
from html import escape

from mailguard.check import catalogue
from mailguard.check.page.words import word
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGNS = {"good": "✓", "warning": "!", "failure": "✕", "unknown": "?", "not-applicable": "–"}
_RFC = re.compile(r"RFC ([0-9]{3,5})")


def record(line: str, limit: int) -> str:
    """Return a line of evidence, visible, inert and escaped; where reports go stands in it as it is published."""
    return escape(catalogue.verbatim(line, limit))


def foreign(value: str | None, limit: int = 200) -> str:
    """Return a value from DNS, mail or a peer, visible, inert and escaped."""
    return escape(show(value, limit))


def state(name: str, lang: str) -> str:
    """Return the word of a state, in its colour."""
    return f'<span class="state {name}">{escape(catalogue.STATES[name][lang])}</span>'


def sign(name: str) -> str:
    """Return the sign of a state; it only repeats the word, so nobody is read it aloud."""
    return f'<span class="sign {name}" aria-hidden="true">{_SIGNS[name]}</span>'


def lines(kinds: Mapping[str, str], lang: str, effect: str = "") -> str:
    """Return the exact lines of a repair by kind, which the catalogue has made safe to show; effect: what they do."""
    if not kinds:
        return ""
    items = "".join(
        f"<dt>{word(kind, lang)}</dt><dd><pre>{escape(text.strip())}</pre></dd>" for kind, text in kinds.items()
    )
    tried = f'<p class="tried">{escape(effect)}</p>' if effect else ""
    return f'<dl class="lines">{items}</dl>{tried}'


def standard(text: str) -> str:
    """Return the standards of a check, each RFC as a link."""
    link = r'<a href="https://www.rfc-editor.org/rfc/rfc\1" rel="noopener noreferrer">RFC \1</a>'
    return _RFC.sub(link, escape(text))


def moment(seconds: int) -> str:
    """Return a point in time where this program runs, to the minute, with the name of its time zone."""
    from datetime import datetime

    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M %Z}"
