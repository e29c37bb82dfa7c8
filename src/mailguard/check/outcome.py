"""What one check found out about one subject."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal

    from mailguard.check.changes import Repair

    State = Literal["good", "warning", "failure", "unknown", "not-applicable"]

GOOD: State = "good"
WARNING: State = "warning"
FAILURE: State = "failure"
UNKNOWN: State = "unknown"  # could not be found out: neither good nor bad
NOT_APPLICABLE: State = "not-applicable"

STATES: tuple[State, ...] = (FAILURE, WARNING, UNKNOWN, GOOD, NOT_APPLICABLE)
"""From what must be read first to what need not be read."""

SEVERITIES = ("critical", "high", "medium", "informational")
_LONGEST_VALUE = 1000
_MOST_EVIDENCE = 60


class Outcome:
    """One result.

    check: id of the check in the catalogue; state: one of `STATES`; reason: key of the sentence that says what was seen
    (`catalogue.sentence`); values: what stands in that sentence and in the lines of the repair, by placeholder, as it
    came from DNS or a peer (never shown but through `show`, which the catalogue does); evidence: lines of records or
    dialogue, as they came; subject: the host or name concerned, "" for the domain itself; severity: where it differs
    from that of the check; repair: lines that were tried, None where none is known.
    """

    __slots__ = ("check", "evidence", "reason", "repair", "severity", "state", "subject", "values")

    def __init__(
        self,
        check: str,
        state: State,
        reason: str,
        values: Mapping[str, object] | None = None,
        evidence: Sequence[str] = (),
        *,
        subject: str = "",
        severity: str | None = None,
    ) -> None:
        self.check = check
        self.state: State = state
        self.reason = reason
        self.values = {name: str(value)[:_LONGEST_VALUE] for name, value in (values or {}).items()}
        self.evidence = tuple(line[:_LONGEST_VALUE] for line in evidence[:_MOST_EVIDENCE])
        self.subject = subject
        self.severity = severity
        self.repair: Repair | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as it stands in a report, raw values."""
        return {name: getattr(self, name) for name in ("check", "state", "reason", "values", "subject", "severity")} | {
            "evidence": list(self.evidence),
            "repair": self.repair and self.repair.as_dict(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Outcome:
        """Return the outcome that `as_dict` wrote; raises ValueError or the like for anything else."""
        if record["state"] not in STATES or record["severity"] not in {None, *SEVERITIES}:
            raise ValueError("not an outcome")
        values = {str(name): str(value) for name, value in dict(record["values"]).items()}
        made = cls(
            str(record["check"]),
            record["state"],
            str(record["reason"]),
            values,
            [str(line) for line in record["evidence"]],
            subject=str(record["subject"]),
            severity=record["severity"],
        )
        if record.get("repair"):
            from mailguard.check.changes import Repair

            made.repair = Repair.from_dict(record["repair"])
        return made

    def __repr__(self) -> str:
        return f"Outcome({self.check} {self.subject}: {self.state}, {self.reason} {self.values})"
