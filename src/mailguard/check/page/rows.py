"""The results themselves: one part for each tile, in it one row for each finding."""

from __future__ import annotations

from html import escape

from mailguard.check import catalogue
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING
from mailguard.check.page.markup import foreign, lines, record, sign, standard, state
from mailguard.check.page.order import OutcomeGroup, groups, software, tile
from mailguard.check.page.words import word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.check.report import Report

_MOST_SUBJECTS = 12
_LONGEST_LINE = 500
_MANY = 3


def part(report: Report, name: str, lang: str) -> str:
    """Return the rows of one tile, the worst first; what does not apply is folded."""
    found = groups(tile(report, name))
    silent = _silent(report, found, lang)
    told = [group for group in found if group.state != NOT_APPLICABLE and group not in silent]
    folded = [group for group in found if group.state == NOT_APPLICABLE]
    head = f'<section><h2 id="{name}">{escape(catalogue.TILES[name][lang])}</h2>'
    if not found:
        reason = word("no-reply" if name == "sending" else "nothing-here", lang)
        return f'{head}<p class="note">{reason}</p></section>'
    rows = "".join(_row(report, group, lang) for group in told)
    folds = _fold(report, silent, "unanswered", lang) + _fold(report, folded, "inapplicable", lang)
    return f"{head}{rows}{folds}</section>"


def _silent(report: Report, found: Sequence[OutcomeGroup], lang: str) -> list[OutcomeGroup]:
    """Return what is unknown for a reason that many others have too, as a server that cannot be reached."""
    unknown = [group for group in found if group.state == UNKNOWN]
    reasons = [_observed(report, group, lang) for group in unknown]
    return [group for group, reason in zip(unknown, reasons, strict=True) if reasons.count(reason) >= _MANY]


def _row(report: Report, group: OutcomeGroup, lang: str) -> str:
    check = catalogue.check(group.outcome.check)
    return (
        f'<details class="row {group.state}"{" open" if group.state == FAILURE else ""}><summary>{sign(group.state)}'
        f'{state(group.state, lang)}<div class="title"><h3>{escape(check.text("question", lang))}</h3>'
        f'<div class="observed">{_observed(report, group, lang)}</div></div></summary>'
        f'<div class="more">{_more(report, group, lang)}</div></details>'
    )


def where(group: OutcomeGroup, lang: str) -> str:
    """Return the servers that a finding is about, "" for one about the domain."""
    subjects = ", ".join(foreign(each) for each in group.subjects[:_MOST_SUBJECTS])
    further = len(group.subjects) - _MOST_SUBJECTS
    if further > 0:
        subjects += " " + word("more-servers", lang, count=further)
    return f" <small>({subjects})</small>" if subjects else ""


def _observed(report: Report, group: OutcomeGroup, lang: str) -> str:
    return escape(catalogue.sentence(group.outcome, lang, report.domain)) + where(group, lang)


def _more(report: Report, group: OutcomeGroup, lang: str) -> str:
    check = catalogue.check(group.outcome.check)
    pieces = [_evidence(group.evidence, lang), _said("why", check.text("why", lang), lang)]
    if group.state in {FAILURE, WARNING}:
        kinds = catalogue.repair_lines(group.outcome, report.domain, software(report, group))
        exact = lines(kinds, lang, catalogue.effect(group.outcome, lang))
        pieces.append(_said("repair", catalogue.repair(group.outcome, lang, report.domain), lang, exact))
    elif group.state != GOOD:
        pieces.append(_said("good", check.text("good", lang), lang))
    pieces.append(f'<p class="quiet">{word("reference", lang, standard=standard(check.standard))}</p>')
    return "".join(pieces)


def _said(heading: str, text: str, lang: str, rest: str = "") -> str:
    return f"<div><h4>{word(heading, lang)}</h4><p>{escape(text)}</p>{rest}</div>"


def _evidence(evidence: Sequence[str], lang: str) -> str:
    if not evidence:
        return ""
    text = "\n".join(record(line, _LONGEST_LINE) for line in evidence)
    return f'<div><h4>{word("evidence", lang)}</h4><pre class="evidence" dir="ltr">{text}</pre></div>'


def _fold(report: Report, folded: Sequence[OutcomeGroup], title: str, lang: str) -> str:
    if not folded:
        return ""
    items = "".join(
        f"<li>{escape(catalogue.check(group.outcome.check).text('question', lang))} "
        f'<span class="observed">{_observed(report, group, lang)}</span></li>'
        for group in folded
    )
    text = word(title, lang, count=len(folded))
    return f'<details class="fold"><summary>{text}</summary><ul>{items}</ul></details>'
