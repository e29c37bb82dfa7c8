"""Records of the journal, made for tests."""

from __future__ import annotations

from mailguard import journal
from mailguard.envelope import Envelope
from mailguard.findings import Finding, Result
from mailguard.settings import Settings

RAW = b"From someone Mon Jan  1 00:00:00 2026\nSubject: x\nMessage-ID:\n <1@example.com>\n\nx\n"


ID = "abcdefghjkmnpqrstuvwxyz2"


def record(name="invoice.doc", identifier=ID, sender="a@example.com", recipients=("b@example.net",), now=1_800_000_000):
    result = Result("quarantine", [RAW], changed=True)
    result.action = "quarantined"
    result.quarantine_id = identifier
    result.attachments = [
        {"part": "2", "names": [name, "other.doc"], "sha256": "ab" * 32, "action": "quarantined"},
        {"part": "3", "names": ["kept.png"], "sha256": "cd" * 32, "action": "kept"},
    ]
    result.findings = [Finding("dangerous.macro"), Finding("dangerous.macro")]
    settings = Settings(Envelope(sender=sender, recipients=recipients, queue_id="4bX"), now)
    return journal.record("quarantine", RAW, result, settings)


def write(path, *records):
    for item in records:
        journal.append(str(path), item)
