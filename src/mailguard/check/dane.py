"""Whether the TLSA records of a server match its certificate (RFC 7672, RFC 7671)."""

from __future__ import annotations

import hashlib

from mailguard.check.certificate import Certificate
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome
from mailguard.check.routing import silent
from mailguard.dns import SERVFAIL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.check.certificate import Shown
    from mailguard.check.outcome import State
    from mailguard.dns import Answer


_NO_DANE = frozenset({"unsigned"})  # who has no DNSSEC is told so elsewhere
_NEARLY = ("ta-expired", "ta-name", "ta-unsent")


class Association:
    """A TLSA record: usage, selector, matching type, data.  Raises ValueError."""

    __slots__ = ("data", "matching", "selector", "text", "usage")

    def __init__(self, text: str) -> None:
        usage, selector, matching, *data = text.split()
        self.text = text
        self.usage, self.selector, self.matching = int(usage), int(selector), int(matching)
        self.data = bytes.fromhex("".join(data))

    @property
    def usable(self) -> bool:
        """Whether it counts for SMTP (RFC 7672 3.1): usage 2 or 3, and a known selector and matching type."""
        return self.usage in {2, 3} and self.selector in {0, 1} and self.matching in {0, 1, 2} and bool(self.data)

    def matches(self, certificate: Certificate) -> bool:
        """Whether it describes this certificate."""
        selected = certificate.public_key_info if self.selector else certificate.der
        if self.matching:
            selected = (hashlib.sha256 if self.matching == 1 else hashlib.sha512)(selected).digest()
        return bool(self.data) and selected == self.data


def judge(host: str, answer: Answer, shown: Shown | None, now: float, *, signed: str) -> Outcome:
    """Judge the TLSA records of a host.

    answer: for _25._tcp.HOST; shown: None where no TLS came about; signed: state of DNSSEC for MX and host: "good",
    "warning" (unsigned), or "unknown".
    """
    values = {"record": ", ".join(answer.names)}
    if silent(answer):
        values |= {"name": f"_25._tcp.{host}", "type": "TLSA", "status": answer.status}
    state, reason = _judged(host, answer, shown, now, signed)
    severity = "critical" if state == FAILURE else "informational" if reason in _NO_DANE else None
    return Outcome(
        "dane.tlsa", state, reason, values, [f"TLSA {each}" for each in answer.names], subject=host, severity=severity
    )


def _judged(host: str, answer: Answer, shown: Shown | None, now: float, signed: str) -> tuple[State, str]:
    if answer.status == SERVFAIL and signed == GOOD:
        return FAILURE, "servfail"  # RFC 7672 2.1.1: whoever looks for DANE does not deliver
    if silent(answer):
        return UNKNOWN, "dns-failed"
    if not answer.names:
        return NOT_APPLICABLE, "missing"
    if signed == UNKNOWN:
        return UNKNOWN, "unvalidated"
    if signed != GOOD or not answer.authenticated_data:
        return WARNING, "unsigned"
    return _compared(host, _associations(answer.names), shown, now)


def _compared(host: str, associations: Sequence[Association], shown: Shown | None, now: float) -> tuple[State, str]:
    if not associations:
        return WARNING, "unusable"
    if shown is None:
        return FAILURE, "no-tls"
    reasons = [_associated(each, shown, host, now) for each in associations]
    if "good" in reasons:
        return GOOD, "good"
    return FAILURE, next((reason for reason in _NEARLY if reason in reasons), "mismatch")


def _associations(records: Sequence[str]) -> list[Association]:
    found = []
    for text in records[:20]:
        try:
            association = Association(text)
        except ValueError:
            continue
        if association.usable:
            found.append(association)
    return found


def _associated(association: Association, shown: Shown, host: str, now: float) -> str:
    """Return "good", or why not.

    DANE-EE looks at nothing but the key; DANE-TA wants the name and the dates too (RFC 7672 3.1), and its certificate
    among those that the server sends.
    """
    try:
        certificates = [Certificate(der) for der in shown.chain[:10]]
    except ValueError:
        return "mismatch"
    if not certificates:
        return "mismatch"
    leaf = certificates[0]
    if association.usage == 3:
        return "good" if association.matches(leaf) else "mismatch"
    if not any(association.matches(each) for each in certificates[1:]):
        return "ta-unsent"
    if not leaf.not_before <= now <= leaf.not_after:
        return "ta-expired"
    return "good" if leaf.is_for(host) else "ta-name"


def by_key_alone(answer: Answer, shown: Shown | None) -> bool:
    """Whether a DANE-EE record (usage 3) matches: then name, dates and issuer do not count (RFC 7672 3.1.1)."""
    if shown is None:
        return False
    return any(each.usage == 3 and _associated(each, shown, "", 0.0) == "good" for each in _associations(answer.names))
