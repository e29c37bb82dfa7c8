"""Outcomes put in order for readers: alike ones together, the worst first, the best repairs first."""

from __future__ import annotations

from mailguard.check import catalogue, specimens
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, STATES, UNKNOWN, WARNING
from mailguard.check.verdict import causes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mailguard.check.outcome import Outcome
    from mailguard.check.report import Report

MOST_REPAIRS = 5
_HARM = {"critical": 100, "high": 30, "medium": 10, "informational": 2}
_TOGETHER = {"spf.result": "spf"}  # one record repairs both, and of that there may be only one
_TOGETHER |= dict.fromkeys(specimens.ATTACHMENTS, "attachments") | dict.fromkeys(specimens.SPOOFS, "spoofs")
_NOT_SENT = frozenset({"declined", "unreachable", "late"})
_SHORTEST = 5  # minutes: under that, nobody cares which repair is shorter


class OutcomeGroup:
    """The outcomes of one check that say the same about one or more hosts.

    outcome: the first of them; subjects: the hosts of all; evidence: of all, the same lines once.
    """

    __slots__ = ("evidence", "outcome", "subjects")

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcome = outcomes[0]
        self.subjects = list(dict.fromkeys(each.subject for each in outcomes if each.subject))
        different = dict.fromkeys(each.evidence for each in outcomes)
        self.evidence = [line for lines in different for line in lines]  # dialogues repeat themselves

    @property
    def state(self) -> str:
        """The state that they share."""
        return self.outcome.state


def groups(outcomes: Iterable[Outcome]) -> list[OutcomeGroup]:
    """Put alike outcomes together; the worst state first, within it in the order given."""
    alike: dict[tuple[object, ...], list[Outcome]] = {}
    for each in outcomes:
        told = tuple(sorted(catalogue.told(each).items()))
        lines = (each.repair.before(), each.repair.after(), each.repair.file) if each.repair else ()
        key = (each.check, each.state, each.reason, told, each.severity, lines)
        alike.setdefault(key, []).append(each)
    return sorted(map(OutcomeGroup, alike.values()), key=lambda group: STATES.index(group.outcome.state))


def counts(found: Iterable[OutcomeGroup]) -> dict[str, int]:
    """Return how many groups have each state: what a reader counts as rows."""
    states = [group.state for group in found]
    return {state: states.count(state) for state in STATES}


def tile(report: Report, name: str) -> list[Outcome]:
    """Return the outcomes of one tile."""
    return [each for each in report.outcomes if catalogue.check(each.check).tile == name]


def trials(report: Report) -> int:
    """Return how many mails of the second level were sent."""
    checks = specimens.names(enforce=True)
    return sum(each.check in checks and each.reason not in _NOT_SENT for each in report.outcomes)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return one state for several outcomes: what is informational cannot fail, and unknown is worse than nothing."""
    states = {_weighed(each) for each in outcomes} - {NOT_APPLICABLE}
    for state in (FAILURE, WARNING, GOOD, UNKNOWN):
        if state in states:
            return state
    return NOT_APPLICABLE


def worst(outcomes: Iterable[Outcome]) -> str | None:
    """Return the worst state of outcomes; unknown counts as worse than good; None without outcomes."""
    return min((each.state for each in outcomes), key=STATES.index, default=None)


def is_important(outcome: Outcome) -> bool:
    """Tell whether nothing is confirmed as long as this is unknown."""
    return catalogue.severity(outcome) in {"critical", "high"}


def _weighed(outcome: Outcome) -> str:
    informational = catalogue.severity(outcome) == "informational"
    return WARNING if informational and outcome.state == FAILURE else outcome.state


def repairs(report: Report) -> list[OutcomeGroup]:
    """Return five repairs at most, one for each check.

    What makes the verdict stands first, then what helps most for the least work.
    """
    chosen: dict[str, OutcomeGroup] = {}
    first = {id(outcome) for outcome in causes(report.outcomes)}
    wanted = [group for group in groups(report.outcomes) if group.state in {FAILURE, WARNING}]
    for group in sorted(wanted, key=lambda group: (id(group.outcome) in first, _urgency(group)), reverse=True):
        if catalogue.severity(group.outcome) != "informational":
            chosen.setdefault(_TOGETHER.get(group.outcome.check, group.outcome.check), group)
    return list(chosen.values())[:MOST_REPAIRS]


def _urgency(group: OutcomeGroup) -> float:
    severity = catalogue.severity(group.outcome)
    weight = _HARM[severity] * (1.0 if group.state == FAILURE else 0.4)
    return weight / max(catalogue.check(group.outcome.check).effort, _SHORTEST)


def software(report: Report, group: OutcomeGroup) -> str:
    """Return which mail server the hosts of a group run, "" when that is unknown or they differ.

    An address that did not answer says nothing about it.
    """
    answered = [each for each in report.servers if each.banner]
    servers = [each for each in answered if not group.subjects or _is_about(group.subjects, each.name)]
    names = {each.software for each in servers or answered}
    return names.pop() if len(names) == 1 else ""


def _is_about(subjects: Sequence[str], name: str) -> bool:
    return any(name and name in subject for subject in subjects)
