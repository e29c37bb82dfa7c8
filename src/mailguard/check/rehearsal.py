"""Every repair is tried before it is shown: the checks run again over the DNS as it would be.

What does not take away the finding, or makes anything else worse, is not shown.
"""

from __future__ import annotations

from collections import Counter

from mailguard.check import catalogue, repairs, sending
from mailguard.check.changes import Changed, Effect
from mailguard.check.hop import Arrival
from mailguard.check.outcome import FAILURE, GOOD, SEVERITIES, UNKNOWN, WARNING
from mailguard.check.scene import Scene
from mailguard.envelope import Envelope
from mailguard.verify.client import client_address
from mailguard.verify.judgement import VerifyOptions, judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mailguard.check.changes import Repair
    from mailguard.check.outcome import Outcome
    from mailguard.check.report import Report
    from mailguard.dns import Resolver
    from mailguard.message.tree import Message

    Act = Callable[["Stage"], Iterable[Outcome]]

_MOST_TRIALS = 60
_WRONG = (FAILURE, WARNING, UNKNOWN)


class Stage:
    """The world in which the checks run again.

    resolver: also a `Source`; policy: text of the MTA-STS policy, None for that in force; helo: the name that the
    sending server gives, "" for that which it gave.
    """

    __slots__ = ("helo", "policy", "resolver")

    def __init__(self, resolver: Changed, *, policy: str | None = None, helo: str = "") -> None:
        self.resolver = resolver
        self.policy = policy
        self.helo = helo


class Rehearsal:
    """Tries repairs.

    scene: what is known; acts: the checks, each from a stage; resolver: the DNS as it is.
    """

    def __init__(self, scene: Scene, acts: Sequence[Act]) -> None:
        self.scene = scene
        self.acts = list(acts)
        self._before: list[Outcome] = []
        self._trials = 0

    def run(self, outcomes: Sequence[Outcome]) -> None:
        """Give each outcome that can be repaired the lines that were seen to help."""
        wrong = [outcome for outcome in outcomes if outcome.state in {FAILURE, WARNING}]
        self.scene.outcomes = outcomes
        self._before = self._played(Stage(Changed(self.scene.resolver, ()))) if wrong else []
        known: dict[tuple[str, ...], Effect | None] = {}
        for outcome in wrong:
            outcome.repair = None
            outcome.repair = next(
                (repair for repair in self._candidates(outcome) if self._helps(outcome, repair, known)), None
            )

    def _candidates(self, outcome: Outcome) -> Iterable[Repair]:
        return (
            repair for repair in repairs.candidates(outcome, self.scene) if repair.changes or repair.file or repair.helo
        )

    def _played(self, stage: Stage) -> list[Outcome]:
        return [outcome for act in self.acts for outcome in act(stage)]

    def _helps(self, outcome: Outcome, repair: Repair, known: dict[tuple[str, ...], Effect | None]) -> bool:
        """Try a repair and note what it does; what many findings share is tried once for each."""
        key = (
            outcome.check,
            outcome.subject,
            outcome.reason,
            repair.before(),
            repair.after(),
            repair.file,
            repair.helo,
        )
        if key not in known:
            if self._trials >= _MOST_TRIALS:
                return False
            self._trials += 1
            resolver = Changed(self.scene.resolver, repair.changes)
            after = self._played(Stage(resolver, policy=repair.file or None, helo=repair.helo))
            known[key] = _effect(outcome, self._before, after)
        repair.effect = known[key]
        return repair.effect is not None


def _effect(outcome: Outcome, before: Sequence[Outcome], after: Sequence[Outcome]) -> Effect | None:
    """Return what a repair did, None where it did not help or made something worse."""
    finding = (outcome.check, outcome.subject, outcome.reason)
    there, left = Counter(map(_finding, before)), Counter(map(_finding, after))
    if left[finding] >= there[finding]:
        return None
    was, now = _grades(before), _grades(after)
    place = finding[:2]
    if any(grade > was.get(each, (0, 0)) for each, grade in now.items() if each != place):
        return None
    solved = not any(_finding(each)[:2] == place and _is_grave(each) for each in after if _finding(each) not in there)
    if now.get(place, (0, 0)) > was[place] or (not solved and now.get(place, (0, 0)) == was[place]):
        return None
    failures, warnings = (
        sum(each.state == state and (_is_grave(each) or _finding(each) == finding) for each in before)
        - sum(each.state == state and (_is_grave(each) or _finding(each) == finding) for each in after)
        for state in (FAILURE, WARNING)
    )
    return Effect(failures, warnings, solved=solved, reply=_passes(after))


def _finding(outcome: Outcome) -> tuple[str, str, str]:
    return outcome.check, outcome.subject, outcome.reason


def _is_grave(outcome: Outcome) -> bool:
    return outcome.state in _WRONG and catalogue.severity(outcome) != "informational"


def _grades(outcomes: Iterable[Outcome]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return how bad each check is at each subject: worst state and severity."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for each in outcomes:
        state = _WRONG[::-1].index(each.state) + 1 if _is_grave(each) else 0
        grade = (state, len(SEVERITIES) - SEVERITIES.index(catalogue.severity(each)) if state else 0)
        place = each.check, each.subject
        found[place] = max(found.get(place, (0, 0)), grade)
    return found


def _passes(outcomes: Iterable[Outcome]) -> bool | None:
    """Whether the mail that we hold passes DMARC, or what stands in its place; None without a mail."""
    found = {each.check: each for each in outcomes if each.check in {"align", "spf.result", "dkim"}}
    if "align" not in found:
        return None
    if found["align"].reason == "none":
        return any(each.state == GOOD for each in found.values())
    return found["align"].state == GOOD


def with_mail(
    report: Report, message: Message, arrival: Arrival, authserv_id: str, resolver: Resolver, now: int
) -> None:
    """Try every repair once more, with a mail that we hold: it is judged again each time.

    arrival: how it came; authserv_id: our name; resolver: where the report has no rehearsal of its own.
    """
    rehearsal = report.rehearsal or Rehearsal(Scene(report.domain, resolver, report.outcomes, now), [])

    def act(stage: Stage) -> list[Outcome]:
        named = Envelope(client_helo=stage.helo or None).over(arrival.envelope)
        judgement = judge(message, named, VerifyOptions(authserv_id, stage.resolver, chain=True), now)
        changed = Arrival(named, arrival.transport, arrival.field)
        return sending.outcomes(message, changed, judgement, stage.resolver, now)

    address = client_address(arrival.envelope.client_address)
    if address is not None:
        rehearsal.scene.mechanism = f"ip{address.version}:{address}"
    rehearsal.acts.append(act)
    rehearsal.run(report.outcomes)
