"""Content lines of calendars and address cards (RFC 5545 3.1, RFC 6350 3.3), read and put back as written."""

from __future__ import annotations

import re

from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LINES = 200_000
_FOLDED = re.compile(rb"(?:[^\n]*+\n(?:[ \t][^\n]*+(?:\n|\Z))*)|[^\n]++\Z")
_FOLD = re.compile(rb"\r?\n[ \t]")
# RFC 5545 3.1 contentline, with the group of a vCard (RFC 6350 3.3) before the name.
_LINE = re.compile(
    rb"(?:[A-Za-z0-9_-]{1,60}+\.)?(?P<name>[A-Za-z0-9_-]{1,100}+)"
    rb"(?P<parameters>(?:;[A-Za-z0-9_-]{1,100}+(?:=(?:\"[^\"]*+\"|[^\";:,]*+)(?:,(?:\"[^\"]*+\"|[^\";:,]*+))*)?)*):(?P<value>.*)",
    re.DOTALL,
)


class Line:
    """One line: raw as it is written with its folds; name in upper case; parameters in upper case; value as text.

    An empty name: this is no content line.
    """

    __slots__ = ("name", "parameters", "raw", "value")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        match = _LINE.match(_FOLD.sub(b"", raw.rstrip(b"\r\n")))
        self.name = match["name"].decode("ascii").upper() if match else ""
        self.parameters = match["parameters"].decode("utf-8", "replace").upper() if match else ""
        self.value = match["value"].decode("utf-8", "replace") if match else ""


def read(content: bytes) -> Iterator[Line]:
    """Yield the lines; Refused for octets at which programs end lines differently, or too many lines."""
    if b"\0" in content or b"\r" in content.replace(b"\r\n", b"") or b"\v" in content or b"\f" in content:
        raise Refused("ambiguous")
    for count, match in enumerate(_FOLDED.finditer(content)):
        if count > _LINES:
            raise Refused("over-limit")
        yield Line(match[0])
