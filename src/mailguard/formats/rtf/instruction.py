"""The instruction of a field in RTF: every reading of it counts, and the word that says what it does stands plainly."""

from __future__ import annotations

import re

from mailguard.formats.codes import danger
from mailguard.formats.office import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

    Piece = tuple[int, str]

UNICODE, SUBSTITUTE, ASIDE = 1, 2, 4
"""Pieces of text that some reader does not read: a character in Unicode, the substitute that follows it, and what is
deleted or belongs to a group within (a bookmark, a note, one of two alternatives)."""
NESTED = fields.NESTED
ALTERNATIVES = "\ufffe"
"""Stands where one of two alternatives (upr) is put in."""
_KEYWORD = re.compile(r"\s*+(?:[A-Za-z]++|=)")


def code_of(said: list[Piece], options: Options) -> str:
    """Return why a field may not stay whose instruction is put together from these pieces, or ""."""
    plain = [(kind, text) for kind, text in said if not kind & ASIDE]
    text = "".join(text for _, text in plain)
    keyword = _KEYWORD.match(text)
    if not any(text.strip() for _, text in said):
        return ""
    if keyword is None or ALTERNATIVES in text or not _is_certain(plain, keyword.end()):
        return "dde"
    codes = set()
    for left_out in (0, UNICODE, SUBSTITUTE, ASIDE, ASIDE | UNICODE, ASIDE | SUBSTITUTE):
        code = fields.code_of("".join(text for kind, text in said if not kind & left_out), options)
        if left_out & ASIDE or code == "dde":
            codes.add(code)
    return max(codes - {""}, key=danger, default="")


def _is_certain(said: list[Piece], length: int) -> bool:
    """Tell whether every reader reads the first characters."""
    for kind, text in said:
        if length <= 0:
            break
        if kind:
            return False
        length -= len(text)
    return True
