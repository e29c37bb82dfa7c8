"""What changed at a domain since the last look, and what will end soon."""

from __future__ import annotations

import os

from mailguard import safefile
from mailguard.check import catalogue
from mailguard.check.outcome import GOOD, NOT_APPLICABLE, STATES, UNKNOWN
from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from mailguard.check.report import Report

_DAY = 86400
_VERSION = 1
_RANKS: dict[str, int] = {NOT_APPLICABLE: 0, GOOD: 0, "warning": 1, "failure": 2}

UNCHANGED, CHANGED, WORSE, UNSEEN = 0, 1, 2, 3
"""Statuses of one look: nothing changed; something did, for the better; for the worse, or something ends soon; there
was nothing to be seen."""


class Look:
    """One look at a domain.

    worse, better: (check, subject, state before, state now, reason); ends: (check, subject, Unix time), the soonest
    first; status: see above.
    """

    __slots__ = ("better", "ends", "report", "soon", "worse")

    def __init__(self, report: Report, known: Mapping[str, str] | None, days: int) -> None:
        self.report = report
        self.worse: list[tuple[str, str, str, str, str]] = []
        self.better: list[tuple[str, str, str, str, str]] = []
        for place, (state, reason) in states(report).items():
            before = None if known is None else known.get(place, GOOD)
            if before is not None and state != UNKNOWN and _RANKS[before] != _RANKS[state]:
                check, _, subject = place.partition(" ")
                changes = self.worse if _RANKS[state] > _RANKS[before] else self.better
                changes.append((check, subject, before, state, reason))
        self.ends = ends(report)
        self.soon = [end for end in self.ends if end[2] < report.started + days * _DAY]

    @property
    def status(self) -> int:
        """What to tell whoever runs this from a timer."""
        if all(outcome.state in {UNKNOWN, NOT_APPLICABLE} for outcome in self.report.outcomes):
            return UNSEEN
        if self.worse or self.soon:
            return WORSE
        return CHANGED if self.better else UNCHANGED

    def as_dict(self) -> dict[str, Any]:
        """Return what --json writes about it, one line."""
        report = self.report
        names = ("check", "subject", "before", "now", "reason")
        return {
            "version": _VERSION,
            "domain": report.domain,
            "started": report.started,
            "status": self.status,
            "verdict": {"code": report.verdict.code, "status": report.verdict.status, "counts": report.verdict.counts},
            "worse": [dict(zip(names, each, strict=True)) for each in self.worse],
            "better": [dict(zip(names, each, strict=True)) for each in self.better],
            "ends": [
                {"check": check, "subject": subject, "time": when, "days": int((when - report.started) // _DAY)}
                for check, subject, when in self.ends
            ],
        }


def states(report: Report) -> dict[str, tuple[str, str]]:
    """Return the worst state of each check at each subject, by "check subject", and its reason; hints do not count."""
    found: dict[str, tuple[str, str]] = {}
    for outcome in report.outcomes:
        if catalogue.severity(outcome) == "informational" and outcome.state not in {GOOD, NOT_APPLICABLE}:
            continue
        place = f"{outcome.check} {outcome.subject}"
        known = found.get(place)
        if known is None or STATES.index(outcome.state) < STATES.index(known[0]):
            found[place] = outcome.state, outcome.reason
    return found


def ends(report: Report) -> list[tuple[str, str, int]]:
    """Return what ends when, (check, subject, Unix time): certificates and signatures, the soonest first."""
    found: dict[tuple[str, str], int] = {}
    for outcome in report.outcomes:
        when = outcome.values.get("ends", "")
        if when.isdigit():
            place = outcome.check, outcome.subject
            found[place] = min(int(when), found.get(place, int(when)))
    return sorted(((*place, when) for place, when in found.items()), key=lambda end: end[2])


def look(report: Report, folder: str, days: int) -> Look:
    """Compare with the last look, which is kept in a folder, and keep this one; days: what ends until then ends soon.

    What is unknown now is compared with what was known last, next time.  Raises MailguardError.
    """
    path = os.path.join(folder, f"{report.domain}.json")
    known = _known(path)
    found = Look(report, known, days)
    now = {place: state for place, (state, _) in states(report).items() if state != UNKNOWN}
    unseen = {place for place, (state, _) in states(report).items() if state == UNKNOWN}
    kept = {place: state for place, state in (known or {}).items() if place in unseen}
    safefile.replace(path, [_encoded({"version": _VERSION, "started": report.started, "states": kept | now})])
    return found


def _encoded(record: object) -> bytes:
    import json

    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _known(path: str) -> dict[str, str] | None:
    import json

    try:
        with open(path, "rb") as file:
            record = json.loads(file.read(1 << 22))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{show(path)}: {show(str(error))}") from None
    if not isinstance(record, dict) or record.get("version") != _VERSION or not isinstance(record.get("states"), dict):
        raise ConfigurationError(f"{show(path)}: not the last look at a domain")
    return {str(place): str(state) for place, state in record["states"].items() if state in _RANKS}


_METRICS = (
    ("mailguard_check_status", "0 good, 1 warnings, 2 failures, 3 not confirmed."),
    ("mailguard_check_change", "Since the last look: 0 none, 1 for the better, 2 for the worse, 3 nothing was seen."),
    ("mailguard_check_outcomes", "How many outcomes have a state."),
    ("mailguard_check_end_timestamp_seconds", "When a certificate or a signature ends."),
    ("mailguard_check_started_timestamp_seconds", "When the last look began."),
    ("mailguard_check_duration_seconds", "How long it took."),
)


def metrics(looks: Iterable[Look]) -> bytes:
    """Return what Prometheus reads (text format 0.0.4), for the textfile collector of its node_exporter."""
    samples: dict[str, list[str]] = {name: [] for name, _ in _METRICS}
    for each in looks:
        report, domain = each.report, _label("domain", each.report.domain)
        samples["mailguard_check_status"].append(f"{{{domain}}} {report.verdict.status}")
        samples["mailguard_check_change"].append(f"{{{domain}}} {each.status}")
        samples["mailguard_check_started_timestamp_seconds"].append(f"{{{domain}}} {report.started}")
        samples["mailguard_check_duration_seconds"].append(f"{{{domain}}} {report.duration:.3f}")
        for state, count in report.verdict.counts.items():
            samples["mailguard_check_outcomes"].append(f"{{{domain},{_label('state', state)}}} {count}")
        for check, subject, when in each.ends:
            labels = ",".join((domain, _label("check", check), _label("subject", subject)))
            samples["mailguard_check_end_timestamp_seconds"].append(f"{{{labels}}} {when}")
    lines = []
    for name, text in _METRICS:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", *(f"{name}{sample}" for sample in samples[name])]
    return ("\n".join(lines) + "\n").encode()


def _label(name: str, value: str) -> str:
    escaped = show(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'
