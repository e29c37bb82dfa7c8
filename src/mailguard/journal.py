"""The journal: what was held and what was released, one JSON object a line.

Written before the message leaves; a mail that was tried again has two lines with the same quarantine id, which count
as one.  Read with distrust: a crash or an editor may have left half a line.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO

    from mailguard.envelope import Envelope
    from mailguard.findings import Result
    from mailguard.settings import Settings

_LONGEST_LINE = 1 << 26  # a mail of 100,000 attachments takes 30 MB
_LISTS = ("recipients", "attachments", "codes")
_TEXTS = ("time", "verb", "action", "sender", "message_id", "sha256", "quarantine_id", "author_domain", "queue_id")


def append(path: str, record: dict[str, Any]) -> None:
    """Append a record to a file of JSON lines (pure ASCII, so that no terminal obeys a file name in it)."""
    import json

    from mailguard import safefile

    safefile.append(path, json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n")


def held(result: Result) -> bool:
    """Tell whether something was taken out of the message, or its original put aside: somebody may look for it."""
    from mailguard.log import CHANGING, HOLDING

    wanted = HOLDING | CHANGING if result.quarantine_id else HOLDING
    return result.action in HOLDING or any(item.get("action") in wanted for item in result.attachments)


def record(verb: str, raw: bytes, result: Result, settings: Settings) -> dict[str, Any]:
    """Return the record of a filtered message."""
    from hashlib import sha256

    from mailguard.log import message_id

    return _facts(verb, settings.envelope, settings.now) | {
        "message_id": message_id(raw).decode("utf-8", "backslashreplace"),
        "sha256": sha256(raw).hexdigest(),
        "size": len(raw),
        "authenticated": result.authenticated,
        "author_domain": result.author_domain,
        "action": result.action,
        "quarantine_id": result.quarantine_id,
        "attachments": result.attachments,
        "codes": sorted({finding.code for finding in result.findings}),
    }


def released(quarantine_id: str, envelope: Envelope, now: int) -> dict[str, Any]:
    """Return the record of a release: `envelope.recipients` are those to whom it was sent again."""
    return _facts("release", envelope, now) | {"action": "released", "quarantine_id": quarantine_id}


def _facts(verb: str, envelope: Envelope, now: int) -> dict[str, Any]:
    return {
        "time": moment(now),
        "verb": verb,
        "queue_id": envelope.queue_id,
        "sender": envelope.sender,
        "recipients": list(envelope.recipients),
    }


def moment(now: int) -> str:
    """Write Unix time as RFC 3339, in UTC; such texts sort by time."""
    from time import gmtime, strftime

    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(now))  # digits only, so no locale has a say


class HeldMessage:
    """One message of which something was held: the first record of it, with what later ones add.

    record: the first record; recipients: of all its records; verbs: that held something, in order;
    releases: the records of its releases.
    """

    __slots__ = ("recipients", "record", "releases", "verbs")

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.recipients: list[str] = []
        self.verbs: list[str] = []
        self.releases: list[dict[str, Any]] = []

    def add(self, record: dict[str, Any]) -> None:
        """Take in a record of the same message."""
        if record["verb"] == "release":
            self.releases.append(record)
            return
        self.recipients += [address for address in record["recipients"] if address not in self.recipients]
        if record["verb"] not in self.verbs:
            self.verbs.append(record["verb"])

    @property
    def state(self) -> str:
        """`held` or `released`; `removed` when nothing of it was kept."""
        if self.releases:
            return "released"
        return "held" if self.record["quarantine_id"] else "removed"

    def names(self) -> list[str]:
        """Return the first name of each attachment that was taken out or changed."""
        from mailguard.log import CHANGING, HOLDING

        taken = [item for item in self.record["attachments"] if item.get("action") in HOLDING | CHANGING]
        return [_name(item) for item in taken]

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as written by `mailguard list --json`."""
        return self.record | {
            "state": self.state,
            "recipients": self.recipients,
            "verbs": self.verbs,
            "released": [{"time": item["time"], "recipients": item["recipients"]} for item in self.releases],
        }


def _name(attachment: dict[str, Any]) -> str:
    names = attachment.get("names")
    return str(names[0] if isinstance(names, list) and names else attachment.get("detected_type", ""))


def entries(path: str, skipped: Callable[[int], None]) -> list[HeldMessage]:
    """Read a journal into entries, in the order of their first records; OSError when it cannot be read.

    skipped: called with the number of each line that is no record.
    """
    messages: dict[str, HeldMessage] = {}
    with open(path, "rb") as file:
        for item in records(file, skipped):
            _enter(messages, item)
    return list(messages.values())


def _enter(messages: dict[str, HeldMessage], item: dict[str, Any]) -> None:
    identity = item["quarantine_id"] or f"{item['sha256']} {item['verb']}"
    if identity not in messages:
        if item["verb"] == "release":
            return  # the journal of the time when it was held is gone
        messages[identity] = HeldMessage(item)
    messages[identity].add(item)


def records(file: BinaryIO, skipped: Callable[[int], None]) -> Iterator[dict[str, Any]]:
    """Yield the records in a file, in order, with keys of the right types.

    skipped: called with the number of each line that is no record.
    """
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        record = _parsed(line)
        if record is not None:
            yield record
        elif line.strip():
            skipped(number)


def _parsed(line: bytes) -> dict[str, Any] | None:
    import json

    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("time"), str) or not isinstance(value.get("verb"), str):
        return None
    defaults: dict[str, Any] = dict.fromkeys(_TEXTS) | {name: [] for name in _LISTS}
    values = defaults | value
    sound = (
        all(isinstance(values[name], str | None) for name in _TEXTS)
        and all(isinstance(values[name], list) for name in _LISTS)
        and all(isinstance(item, dict) for item in values["attachments"])
        and all(isinstance(address, str) for address in values["recipients"])
    )
    return values if sound else None
