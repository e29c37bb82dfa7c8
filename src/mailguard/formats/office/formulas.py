"""Formulas of Excel: those that call programs, load something or lead to doubtful places are not kept."""

from __future__ import annotations

import re

from mailguard.formats.office import targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_TEXT = re.compile(r"\"[^\"]*+\"")
_CALLS = re.compile(
    r"(?<![\w.])(?:_xl[a-z]{2,4}\.)*(?:(?P<macro>CALL|REGISTER(?:\.ID)?|EXEC|EXECUTE|FOPEN|FWRITE(?:LN)?|RUN|EVALUATE"
    r"|FORMULA(?:\.FILL|\.ARRAY)?|GOTO|HALT|SET\.NAME|SET\.VALUE|ALERT|ERROR|ON\.TIME)"
    r"|(?P<dde>DDE|INITIATE|POKE|REQUEST)|(?P<load>WEBSERVICE|RTD|FILTERXML)|(?P<picture>IMAGE))\s*+\(",
    re.IGNORECASE,
)
# Functions that are handed to other functions by their bare name.
_HANDED = re.compile(
    r"_xleta\.(?!(?:ABS|AND|AVERAGE|CONCAT|COUNTA?|LEN|LOWER|MAX|MEDIAN|MIN|OR|PRODUCT|SUM|UPPER)\b)", re.IGNORECASE
)
_LINK = re.compile(r"HYPERLINK\s*+\(\s*+(?:\"(?P<target>[^\"]*+)\")?", re.IGNORECASE)
_AUTOMATIC = re.compile(r"(?:_xlnm\.)?auto_?(?:open|close|activate|deactivate)", re.IGNORECASE)


def code_of(formula: str, options: Options) -> str:
    """Return why a formula may not stay, or ""."""
    bare = _TEXT.sub('""', formula)
    if "|" in bare or re.match(r"\s*+=?\s*+(?:cmd|msexcel|mshta|powershell)\b(?!\s*+[(!])", bare, re.IGNORECASE):
        return "dde"
    code = called(bare)
    if code:
        return code
    if _HANDED.search(bare):
        return "formula"
    if "\\\\" in bare or "://" in bare:
        return "external-data"
    if any(not _is_harmless_link(link["target"], options) for link in _LINK.finditer(formula)):
        return "hyperlink"
    return ""


def called(formula: str) -> str:
    """Return why the functions that a formula calls may not stay, or ""."""
    match = _CALLS.search(_TEXT.sub('""', formula))
    if match is None:
        return ""
    return {"load": "formula", "picture": "remote-image"}.get(str(match.lastgroup), str(match.lastgroup))


def _is_harmless_link(target: str | None, options: Options) -> bool:
    """Only links that begin with a constant: a cell could hold anything."""
    return target is not None and targets.is_harmless(target, options)


def is_automatic(name: str) -> bool:
    """Tell whether a defined name makes Excel run a macro sheet by itself."""
    return bool(_AUTOMATIC.match(name))
