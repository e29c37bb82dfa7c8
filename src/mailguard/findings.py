"""What was seen and done: one record per observation, and the one way by which a foreign value reaches a person."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Sequence
    from typing import Any, Literal, Protocol

    Severity = Literal["info", "notice", "warning", "danger"]

    class Chunk(Protocol):
        """Octets that have a length and give slices: bytes, a view, or text that is made where it is read."""

        def __len__(self) -> int: ...

        def __getitem__(self, window: slice, /) -> bytes | memoryview: ...


# Letters and symbols by their category that nobody sees: Hangul fillers and the empty Braille pattern.
_BLANK = frozenset("\u3164\u115f\u1160\uffa0\u2800")
_LINK = r"(?i)://|(?<![^\W_])(?:www\.|(?:mailto|tel):)"
_ESCAPES = {ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


class Finding:
    """One observation or action.

    code: stable, lower case, dotted (`mime.duplicate-content-type`); part: IMAP part path ("" = the message);
    severity: info, notice, warning or danger; what: one sentence; why: what a client or attacker makes of it;
    reference: the source of the rule ("RFC 2045 5").
    """

    __slots__ = ("code", "part", "reference", "severity", "what", "why")

    def __init__(
        self,
        code: str,
        part: str = "",
        severity: Severity = "warning",
        what: str = "",
        why: str = "",
        reference: str = "",
    ) -> None:
        self.code = code
        self.part = part
        self.severity: Severity = severity
        self.what = what
        self.why = why
        self.reference = reference

    def as_dict(self) -> dict[str, str]:
        """Return the fields as written by --json."""
        return {name: getattr(self, name) for name in ("code", "part", "severity", "what", "why", "reference")}

    def __repr__(self) -> str:
        return f"Finding({self.code!r}, part={self.part!r}, {self.severity})"


class Result:
    """What a verb returns.

    output: pieces of the resulting message, in order (nothing of the input is copied), see `message.splice.views`;
    changed: False means that output is the input, byte for byte;
    results: RFC 8601 method results as dictionaries; attachments: one dictionary per attachment (see --json);
    details: further keys of the record; trace: lines for who wants to know how it came about.
    """

    __slots__ = (
        "action",
        "attachments",
        "authenticated",
        "author_domain",
        "changed",
        "details",
        "findings",
        "output",
        "quarantine_id",
        "results",
        "trace",
        "verb",
    )

    def __init__(self, verb: str, output: Sequence[Chunk], *, changed: bool = False) -> None:
        self.verb = verb
        self.output = output
        self.changed = changed
        self.action = "none"
        self.authenticated = False
        self.author_domain: str | None = None
        self.quarantine_id: str | None = None
        self.results: list[dict[str, Any]] = []
        self.attachments: list[dict[str, Any]] = []
        self.findings: list[Finding] = []
        self.details: dict[str, Any] = {}
        self.trace: list[str] = []

    def as_dict(self) -> dict[str, Any]:
        """Return the record that --json writes, format version 1."""
        return {
            "verb": self.verb,
            "version": 1,
            "authenticated": self.authenticated,
            "author_domain": self.author_domain,
            "quarantine_id": self.quarantine_id,
            "changed": self.changed,
            "results": self.results,
            "attachments": self.attachments,
            "findings": [finding.as_dict() for finding in self.findings],
            **self.details,
        }


def show(value: bytes | str | None, limit: int = 200) -> str:
    r"""Make a value from mail, DNS or a peer safe for a person's eyes: one line, visible, short, inert.

    Bytes are read as UTF-8, what is not UTF-8 as \\xNN.  Control, format (bidi, zero width), private, surrogate and
    unassigned characters, fillers and all line separators are escaped; over `limit` characters the rest is replaced by
    "…"; "://", "www.", "mailto:" and "tel:" are broken so that no program makes a link of them.
    """
    shown = typed(value, limit)
    if _may_be_link(shown):
        import re

        shown = re.sub(_LINK, _broken, shown)
    return shown


def typed(value: bytes | str | None, limit: int = 200) -> str:
    """Make a value that the administrator wrote visible in the same way; an address stays as he wrote it."""
    if value is None:
        return ""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    cut = text[: limit + 1]
    if cut.isascii() and cut.isprintable() and "\\" not in cut and len(cut) <= limit:
        return cut
    shown = "".join(map(_show_character, cut[:limit]))
    return shown + "…" if len(text) > limit else shown


def _may_be_link(text: str) -> bool:
    """Tell whether it is worth to import regular expressions; in ordinary mail it is not."""
    return ":" in text or "www." in text.lower()


def _broken(match: re.Match[str]) -> str:
    return match[0].replace(":", "[:]").replace(".", "[.]")


def _show_character(character: str) -> str:
    if (
        character.isprintable() and character not in _BLANK
    ):  # false for Cc, Cf, Cs, Co, Cn, Zl, Zp and all spaces but U+0020
        return "\\\\" if character == "\\" else character
    if character == "\u3000":  # the ideographic space is ordinary in Japanese names
        return character
    number = ord(character)
    return _ESCAPES.get(number) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")


def joined(values: Iterable[bytes | str], limit: int = 200) -> str:
    """Show several values, separated by a comma and a space."""
    return ", ".join(show(value, limit) for value in values)
