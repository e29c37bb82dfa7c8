"""A message that is held whole: what cannot be understood, or costs more than a message may cost."""

from __future__ import annotations

from mailguard.findings import Result
from mailguard.message import header
from mailguard.outcome import edits, notice
from mailguard.outcome.capsules import build, capsule_entity
from mailguard.outcome.sealed import Unsealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.findings import Finding
    from mailguard.message.header import Field
    from mailguard.seal.field import Reading
    from mailguard.site import Site

_HEADER_LIMIT = 10_000  # fields
_LONGEST_FROM_LINE = 500


def whole(raw: bytes, findings: Sequence[Finding], verb: str, site: Site, reading: Reading, tag: str = "") -> Result:
    """Hold the whole message: only generated safe header fields, the notice and the capsule go on.

    Needs no part tree, so that it works for what cannot be parsed.
    """
    import hashlib

    from mailguard import capsule
    from mailguard.message.safe_header import safe_fields

    start, fields, eol = _top(raw)
    record = {
        "part": "",
        "declared_type": "message/rfc822",
        "detected_type": "message/rfc822",
        "names": ["original.eml"],
        "size": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "action": "held",
        "dangerous": [],
    }
    item = capsule.Item("original.eml", raw, metadata=record, span=(0, len(raw)), recipe={"encoding": "identity"})
    identifier, data = build(raw, [item], site)
    name = edits.free_boundary(raw, identifier.encode("ascii"))
    head = safe_fields(fields, eol, tag) + b"MIME-Version: 1.0" + eol + edits.multipart_type(name, eol)
    reason = "limit" if any(finding.code.startswith("limit.") for finding in findings) else "structure"
    text = notice.of_message(fields, [record], reason, identifier, site, eol)
    content = edits.multipart(name, [[text], capsule_entity(identifier, data, eol)], eol)
    output = Unsealed(_from_line(raw[:start]), head, eol, content, eol).sealed(verb, site, reading, identifier)
    result = Result(verb, output, changed=True)
    result.action = "held"
    result.quarantine_id = identifier
    result.attachments = [record]
    result.findings = list(findings)
    return result


def _from_line(line: bytes) -> bytes:
    """Make the `From ` line of an mbox printable and short: in a message that is held it is as hostile as the rest."""
    text = line[: _LONGEST_FROM_LINE + 2].rstrip(b"\r\n")[:_LONGEST_FROM_LINE]
    shown = bytes(octet if 32 <= octet < 127 else 63 for octet in text)
    return shown + (b"\r\n" if line.endswith(b"\r\n") else b"\n" if shown else b"")


def _top(raw: bytes) -> tuple[int, list[Field], bytes]:
    """Return (start of the header, its fields, line end) without building a tree; at most 10,000 fields."""
    from itertools import islice

    from mailguard.message.tree import after_from_line

    start = after_from_line(raw)
    header_end, _ = header.end(raw, start, len(raw))
    fields = list(islice(header.fields(raw, start, header_end), _HEADER_LIMIT))
    lines = raw.count(b"\n", 0, header_end)
    return start, fields, b"\r\n" if 2 * raw.count(b"\r\n", 0, header_end) > lines else b"\n"
