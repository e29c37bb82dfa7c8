"""The verdict in one word: the worst finding decides, and what was not found out is no fault."""

from __future__ import annotations

from mailguard.check import catalogue
from mailguard.check.outcome import FAILURE, STATES, UNKNOWN, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mailguard.check.outcome import Outcome

DANGER = "danger"
MAIL_SYSTEM = "mail-system"
DNS = "dns"
SAFE = "safe"
UNCONFIRMED = "unconfirmed"

_AREAS = {MAIL_SYSTEM: "server", DNS: "dns"}
_ALL_IN = frozenset({"in.eicar", "in.self", "in.enforce"})

WORDS = {
    DANGER: {"ja": "危険", "en": "Dangerous"},
    MAIL_SYSTEM: {"ja": "メールシステム要改善", "en": "Mail system needs repair"},
    DNS: {"ja": "DNS等要改善", "en": "DNS needs repair"},
    SAFE: {"ja": "安全", "en": "Safe"},
    UNCONFIRMED: {"ja": "未確認", "en": "Not confirmed"},
}

SENTENCES = {
    DANGER: {
        "ja": "いますぐ直すべき、重大な問題があります。",
        "en": "There is a grave problem that should be repaired at once.",
    },
    MAIL_SYSTEM: {"ja": "メールサーバーの設定に、直すべき点があります。", "en": "The mail server should be repaired."},
    DNS: {"ja": "DNS などの設定に、直すべき点があります。", "en": "Records in the DNS should be repaired."},
    SAFE: {"ja": "調べた範囲では、問題はありません。", "en": "Nothing bad was found in what was checked."},
    UNCONFIRMED: {
        "ja": "重要な項目を確認できませんでした。悪いという意味ではありません。",
        "en": "Important points could not be checked. This does not mean that they are bad.",
    },
}


class Diagnosis:
    """code: one of `WORDS`; counts: how many outcomes have each state; status: for scripts.

    status: 0 good, 1 warnings, 2 failures, 3 unknown.
    """

    __slots__ = ("code", "counts", "status")

    def __init__(self, code: str, status: int, counts: dict[str, int]) -> None:
        self.code = code
        self.status = status
        self.counts = counts

    def word(self, lang: str) -> str:
        """Return the verdict in one word; lang: ja or en."""
        return WORDS[self.code][lang]

    def sentence(self, lang: str) -> str:
        """Return the verdict in one sentence."""
        return SENTENCES[self.code][lang]

    def __repr__(self) -> str:
        return f"Diagnosis({self.code}, {self.status})"


def judge(outcomes: Iterable[Outcome]) -> Diagnosis:
    """Return the verdict over all outcomes.

    A critical failure is a veto, and so is a mail system that lets in a virus and a forged sender alike.
    Informational findings never count.  Where an important check (critical or high)
    could not be made and nothing failed, the verdict is that nothing is confirmed.
    """
    every = list(outcomes)
    counts: dict[str, int] = {state: sum(outcome.state == state for outcome in every) for state in STATES}
    failures = _serious(every, FAILURE)
    if any(catalogue.severity(outcome) == "critical" for outcome in failures) or _lets_all_in(failures):
        return Diagnosis(DANGER, 2, counts)
    if failures:
        return Diagnosis(_area(failures + _serious(every, WARNING)), 2, counts)
    if any(catalogue.severity(outcome) in {"critical", "high"} for outcome in every if outcome.state == UNKNOWN):
        return Diagnosis(UNCONFIRMED, 3, counts)
    warnings = _serious(every, WARNING)
    if warnings:
        return Diagnosis(_area(warnings), 1, counts)
    return Diagnosis(SAFE if every else UNCONFIRMED, 0 if every else 3, counts)


def causes(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the findings that make the verdict what it is: what is to be repaired first."""
    every = list(outcomes)
    code = judge(every).code
    failures = _serious(every, FAILURE)
    if code == DANGER:
        grave = [each for each in failures if catalogue.severity(each) == "critical"]
        return grave or [each for each in failures if each.check in _ALL_IN]
    wrong = failures or _serious(every, WARNING)
    return [each for each in wrong if catalogue.check(each.check).area == _AREAS.get(code)] or wrong


def _lets_all_in(failures: Sequence[Outcome]) -> bool:
    checks = {outcome.check for outcome in failures}
    return "in.eicar" in checks and not checks.isdisjoint({"in.self", "in.enforce"})


def _serious(outcomes: Sequence[Outcome], state: str) -> list[Outcome]:
    return [each for each in outcomes if each.state == state and catalogue.severity(each) != "informational"]


def _area(outcomes: Iterable[Outcome]) -> str:
    """Return whose repair it is: one fault of the mail system outweighs any number in the DNS."""
    return MAIL_SYSTEM if any(catalogue.check(each.check).area == "server" for each in outcomes) else DNS
