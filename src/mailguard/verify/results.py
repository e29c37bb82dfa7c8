"""The Authentication-Results field that reports a verdict (RFC 8601 2.2).

Whoever reads it believes it, so no byte of mail, envelope or DNS may end a value early: values are tokens or quoted
strings of printable ASCII, and what is too long to be true is left out.
"""

from __future__ import annotations

import re

from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Protocol

    class Reported(Protocol):
        """What can be reported: a MethodResult or anything with its attributes."""

        @property
        def method(self) -> str:
            """The method, a keyword."""

        @property
        def result(self) -> str:
            """The result, a keyword."""

        @property
        def reason(self) -> str:
            """A sentence, or ""."""

        @property
        def properties(self) -> Mapping[str, str]:
            """Values by "ptype.property"."""


MAX_RESULTS = 40
MAX_VALUE = 320  # the longest mail address (RFC 5321 4.5.3.1)
COLUMNS = 77

_MAX_REASON = 150
_TOKEN = re.compile(r"[!#$%&'*+.^_`{|}~0-9A-Za-z-]++")
_MAILBOX = re.compile(r"[!#$%&'*+.^_`{|}~0-9A-Za-z-]*+@(?:[0-9A-Za-z](?:[0-9A-Za-z-]*+)\.)*[0-9A-Za-z][0-9A-Za-z-]*+")
_KEYWORD = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_PROPERTY = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?\.[a-z](?:[a-z0-9-]*[a-z0-9])?")
_BLANKS = re.compile(r" {2,}")
_WORD = re.compile(r" ?[^ ]++")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_PASSED = re.compile(r"^\s*+(?:dkim|spf)=pass(?=\s).*\s(?:header\.d|smtp\.mailfrom)=([^\s;]++)", re.DOTALL)


def field(authserv_id: str, results: Sequence[Reported], eol: bytes) -> bytes:
    r"""Return the whole field with its final line end, in lines below 78 columns as far as values have blanks.

    authserv_id: our name as configured; results: in the order in which they are to stand (40 at most are written);
    eol: b"\n" or b"\r\n".  Methods, results and property names are keywords of ours; reasons and values may be
    anything.
    """
    pieces = [f"Authentication-Results: {_value(_ascii(authserv_id, MAX_VALUE))}"]
    for result in results[:MAX_RESULTS]:
        pieces[-1] += ";"
        pieces.extend(_pieces(result))
    if not results:
        pieces[-1] += ";"
        pieces.append("\tnone")
    return b"".join(line.encode("ascii") + eol for line in _lines(pieces))


def _pieces(result: Reported) -> Iterator[str]:
    """Yield what may stand on a line of its own; a tab begins a new line."""
    assert _KEYWORD.fullmatch(result.method), result.method
    assert _KEYWORD.fullmatch(result.result), result.result
    yield f"\t{result.method}={result.result}"
    reason = _ascii(result.reason, _MAX_REASON)[:_MAX_REASON].strip()
    if reason:
        yield f" reason={_quoted(reason)}"
    for name, value in result.properties.items():
        assert _PROPERTY.fullmatch(name), name
        written = _ascii(value, MAX_VALUE + 1)
        if 0 < len(written) <= MAX_VALUE:  # a part of a name could be somebody else's name
            yield f" {name}={_value(written)}"


def _value(text: str) -> str:
    return text if _TOKEN.fullmatch(text) or _MAILBOX.fullmatch(text) else _quoted(text)


def _ascii(text: str, limit: int) -> str:
    shown = show(text, limit).replace("\u2026", "...").encode("ascii", "backslashreplace").decode("ascii")
    return _BLANKS.sub(" ", shown)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _lines(pieces: Sequence[str]) -> Iterator[str]:
    """Yield the lines; one is broken before a blank, which stays, so that unfolding gives back every value."""
    line = ""
    for piece in pieces:
        if piece.startswith("\t"):
            yield line
            line = ""
        for word in _WORD.findall(piece):
            if line and len(line.expandtabs()) + len(word) > COLUMNS and word.startswith(" "):
                yield line
                line = ""
            line += word
    yield line


def passed_domains(value: bytes) -> set[str]:
    """Return the domains (A-labels) for which a value that `field` wrote reports a DKIM or SPF pass."""
    from mailguard.dns.names import domain_name

    domains = set()
    for result in _QUOTED.sub("", value.decode("ascii", "replace")).split(";")[1:]:
        match = _PASSED.search(result)
        name = domain_name(match[1].rpartition("@")[2]) if match else None
        if name is not None:
            domains.add(name)
    return domains
