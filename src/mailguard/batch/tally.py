"""What a report counts: bounded however large the archive is, and mergeable, because workers count chunks."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from mailguard.findings import show
from mailguard.message import header
from mailguard.message.tree import after_from_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.findings import Result
    from mailguard.pipeline import Applied

_LARGEST = 2000  # names of one kind in a chunk
_MOST = 50_000  # names of one kind in all
_FIELDS = 1000
_HEADER = 1 << 18
_SEPARATOR = "\t"  # show() leaves none in a value
_UNTOUCHED = frozenset({"kept", "none"})


class Tally:
    """Counts of messages.

    days: (day as 2026-01-31 or "", "authenticated" or not); senders: addresses in From of what was not authenticated;
    types: (detected media type, what was done); actions: what the pipeline did with messages; findings: (severity,
    code).  Pairs are joined by a tab.
    """

    __slots__ = ("actions", "days", "findings", "messages", "octets", "senders", "types")
    names = ("days", "senders", "types", "actions", "findings")

    def __init__(self) -> None:
        self.messages = 0
        self.octets = 0
        self.days: Counter[str] = Counter()
        self.senders: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.actions: Counter[str] = Counter()
        self.findings: Counter[str] = Counter()

    def add(self, raw: bytes, applied: Applied, came: int | None) -> None:
        """Count a message; came: Unix time."""
        results = [stage.result for stage in applied.stages]
        authenticated = any(result.authenticated for result in results)
        self.messages += 1
        self.octets += len(raw)
        self.days[_pair(_day(came), "authenticated" if authenticated else "unauthenticated")] += 1
        if not authenticated:
            self.senders[_sender(raw)] += 1
        for action in {result.action for result in results}:
            self.actions[action] += 1
        for kind, action in _attachments(results).values():
            self.types[_pair(kind, action)] += 1
        for code in {_pair(finding.severity, finding.code) for result in results for finding in result.findings}:
            self.findings[code] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as they stand in the record of a chunk, the most frequent of each kind."""
        counts = {name: dict(getattr(self, name).most_common(_LARGEST)) for name in self.names}
        return {"messages": self.messages, "octets": self.octets, **counts}

    def merge(self, values: dict[str, Any]) -> None:
        """Add what `as_dict` returned; of names beyond a large number the rarest are forgotten."""
        self.messages += values["messages"]
        self.octets += values["octets"]
        for name in self.names:
            counter: Counter[str] = getattr(self, name)
            counter.update(values[name])
            if len(counter) > 2 * _MOST:
                setattr(self, name, Counter(dict(counter.most_common(_MOST))))


def pair(text: str) -> tuple[str, str]:
    """Take the key of a pair apart."""
    first, _, second = text.partition(_SEPARATOR)
    return first, second


def _pair(first: str, second: str) -> str:
    return f"{first}{_SEPARATOR}{second}"


def _day(came: int | None) -> str:
    from time import gmtime, strftime

    return "" if came is None else strftime("%Y-%m-%d", gmtime(came))


def _sender(raw: bytes) -> str:
    """Return the address in the first From field, as the message says."""
    from email.utils import parseaddr

    start = after_from_line(raw)
    end, _ = header.end(raw, start, min(len(raw), start + _HEADER))
    for field in islice(header.fields(raw, start, end), _FIELDS):
        if field.name == b"from":
            address = parseaddr(field.unfolded[:2000].decode("utf-8", "replace"))[1]
            return show(address.lower(), 60)
    return ""


def _attachments(results: list[Result]) -> dict[Any, tuple[str, str]]:
    """Return type and action of each attachment; a later step may act on what an earlier one left."""
    found: dict[Any, tuple[str, str]] = {}
    for result in results:
        same: Counter[Any] = Counter()  # part paths change when a step takes parts away, contents do not
        for item in result.attachments:
            same[item.get("sha256")] += 1
            key = item.get("sha256"), same[item.get("sha256")]
            action = show(str(item.get("action", "")), 40)
            if key not in found or action not in _UNTOUCHED:
                found[key] = show(str(item.get("detected_type", "")), 80), action
    return found
