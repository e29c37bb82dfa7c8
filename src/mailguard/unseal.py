"""The verb unseal: a message that leaves the house leaves without its seal.

A seal says what this site found out, to this site.  Outside it is of no use to anybody but who sends the message back.
"""

from __future__ import annotations

import re

from mailguard.findings import Finding, Result
from mailguard.message import header
from mailguard.message.splice import Splice, apply
from mailguard.message.tree import after_from_line
from mailguard.seal.field import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERB = "unseal"

_NOT_IN_NAMES = re.compile(rb"[\x00-\x20\x7f-\xff]++")


def unseal(raw: bytes, recipients: Sequence[str], own: Sequence[str]) -> Result:
    """Return the message without seals where one of the recipients is outside, or none is known.

    recipients: addresses of the envelope; own: domains (A-labels) in which, and below which, the message stays inside.
    """
    result = Result(VERB, [raw])
    if recipients and all(_is_inside(recipient, own) for recipient in recipients):
        return result
    start = after_from_line(raw)
    end, _ = header.end(raw, start, len(raw))
    fields = header.fields(raw, start, end)
    seals = [Splice(field.start, field.end) for field in fields if _NOT_IN_NAMES.sub(b"", field.name) == NAME]
    if seals:
        result = Result(VERB, [*apply(raw, seals, 0, len(raw))], changed=True)
        result.action = "unsealed"
        result.findings = [Finding("seal.removed", "", "info", "The message leaves the house without its seal.")]
    return result


def _is_inside(recipient: str, own: Sequence[str]) -> bool:
    if "@" not in recipient:
        return True  # a local name, as mail systems hand it over
    from mailguard.dns.names import domain_name, is_within

    domain = domain_name(recipient.rpartition("@")[2])
    return domain is not None and is_within(domain, own)
