"""The journal: what was held and what was released, one JSON object a line.

Written before the message leaves; a mail that was tried again has two lines with the same quarantine id, which count
as one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.envelope import Envelope
    from mailguard.findings import Result
    from mailguard.settings import Settings


def append(path: str, record: dict[str, Any]) -> None:
    """Append a record to a file of JSON lines (pure ASCII, so that no terminal obeys a file name in it)."""
    import json

    from mailguard import safefile

    safefile.append(path, json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n")


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
    """Write Unix time as RFC 3339, in UTC."""
    from time import gmtime, strftime

    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(now))  # digits only, so no locale has a say
