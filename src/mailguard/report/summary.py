"""What a journal says about a while, in a few numbers: years of records in the memory of some thousand."""

from __future__ import annotations

from collections import Counter, deque

from mailguard.journal import moment
from mailguard.log import HOLDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_REMEMBERED = 100_000  # messages; one that comes again comes within days
_COUNTED = 10_000
_LATEST = 20
_SHOWN = 10


class Ranking:
    """How often which text came; of more than 10,000 texts the rarest are forgotten, a sender may invent any number."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count a text."""
        self._counts[text] += 1
        if len(self._counts) > 2 * _COUNTED:
            self._counts = Counter(dict(self._counts.most_common(_COUNTED)))

    def top(self, number: int) -> list[tuple[str, int]]:
        """Return the most frequent texts with their numbers; equals in the order of the alphabet."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:number]


class _Recent:
    """The latest 100,000 names: a mail that was tried again has several records."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def knows(self, name: str) -> bool:
        """Tell whether the name came before, and remember it."""
        if name in self._names:
            return True
        self._names[name] = None
        if len(self._names) > _REMEMBERED:
            del self._names[next(iter(self._names))]
        return False


class Summary:
    """The numbers of a while.

    held: messages of which something is in a capsule; removed: of which something was taken out and nothing kept;
    whole: held as a whole; strangers: not authenticated; released: releases; attachments: taken out;
    dangers, domains, recipients: tallies; latest: records of the last messages that were held or lost something;
    releases: of the last releases; damaged: lines that could not be read, by file.
    """

    def __init__(self, since: int, until: int) -> None:
        self.since = since
        self.until = until
        self.held = self.removed = self.whole = self.strangers = self.released = self.attachments = 0
        self.dangers, self.domains, self.recipients = Ranking(), Ranking(), Ranking()
        self.latest: deque[dict[str, Any]] = deque(maxlen=_LATEST)
        self.releases: deque[dict[str, Any]] = deque(maxlen=_LATEST)
        self.damaged: Counter[str] = Counter()
        self._messages, self._works = _Recent(), _Recent()

    @property
    def is_empty(self) -> bool:
        """Nothing happened; a damaged line alone, which may be old, is nobody's news each day."""
        return not (self.held or self.removed or self.released)

    def note_damage(self, name: str) -> None:
        """Count a line that could not be read, by its file."""
        self.damaged[name] += 1

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Count the records that belong to the while."""
        first, end = moment(self.since), moment(self.until)
        for record in records:
            if first <= record["time"] < end:
                self._add_release(record) if record["verb"] == "release" else self._add_message(record)

    def _add_release(self, record: dict[str, Any]) -> None:
        if not self._works.knows(f"release {record['quarantine_id']} {record['recipients']}"):
            self.released += 1
            self.releases.append(_short(record))

    def _add_message(self, record: dict[str, Any]) -> None:
        name = record["quarantine_id"] or record["sha256"] or ""
        if not self._works.knows(f"{name} {record['verb']}"):
            self._add_attachments(record["attachments"])
        if self._messages.knows(name):
            return
        self.held += record["quarantine_id"] is not None
        self.removed += record["quarantine_id"] is None
        self.whole += record["action"] == "held"
        self.strangers += record.get("authenticated") is not True
        self.domains.add(domain(record))
        for recipient in dict.fromkeys(record["recipients"][:100]):
            self.recipients.add(recipient[:320])
        self.latest.append(_short(record))

    def _add_attachments(self, attachments: list[dict[str, Any]]) -> None:
        for attachment in attachments:
            if attachment.get("action") in HOLDING:
                self.attachments += 1
                codes = attachment.get("dangerous")
                for code in dict.fromkeys(map(str, codes[:50])) if isinstance(codes, list) else ():
                    self.dangers.add(code[:100])


def _short(record: dict[str, Any]) -> dict[str, Any]:
    """Return of a record what a list shows, because a mail of 100,000 attachments has a large one."""
    taken = [item for item in record["attachments"] if item.get("action") in HOLDING]
    wanted = ("time", "verb", "sender", "author_domain", "quarantine_id")
    return {name: record[name] for name in wanted} | {
        "authenticated": record.get("authenticated"),
        "dangers": _dangers(taken),
        "recipients": record["recipients"][:_SHOWN],
        "attachments": [{"action": item["action"], "names": _first_name(item)} for item in taken[:_SHOWN]],
    }


def _dangers(attachments: list[dict[str, Any]]) -> list[str]:
    codes: dict[str, None] = {}
    for attachment in attachments:
        found = attachment.get("dangerous")
        codes |= dict.fromkeys(str(code)[:100] for code in found[:_SHOWN]) if isinstance(found, list) else {}
        if len(codes) >= _SHOWN:
            break
    return list(codes)[:_SHOWN]


def _first_name(attachment: dict[str, Any]) -> list[str]:
    names = attachment.get("names")
    first = names[0] if isinstance(names, list) and names else attachment.get("detected_type", "")
    return [str(first)[:1000]]


def domain(record: dict[str, Any]) -> str:
    """Return the domain that a message claims to come from: of its author, else of its envelope sender."""
    sender = record["sender"]
    named = record["author_domain"] or (sender or "").rpartition("@")[2]
    return named[:255].lower() if named else "<>" if sender == "" else "?"
