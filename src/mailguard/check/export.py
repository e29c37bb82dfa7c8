"""A report for programs: with each outcome what the catalogue knows about it, so that nobody need copy that."""

from __future__ import annotations

from mailguard.check import catalogue
from mailguard.check.outcome import FAILURE, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.check.outcome import Outcome
    from mailguard.check.report import Report


def exported(report: Report, lang: str) -> dict[str, Any]:
    """Return the report as --json writes it.

    That is what is kept (`Report.as_dict`), and for each outcome: severity, area and who can repair it; sentence, what
    was seen; reference, the standard; and for what failed or is warned of headline, advice, and lines, the exact lines
    by kind; these texts are safe to show.
    """
    record = report.as_dict()
    software = {server.name: server.software for server in report.servers if server.banner}
    record["outcomes"] = [
        outcome.as_dict() | _told(outcome, report.domain, lang, software.get(outcome.subject, ""))
        for outcome in report.outcomes
    ]
    record["domain_unicode"] = shown_name(report.domain)
    record["verdict"] |= {"word": report.verdict.word(lang), "sentence": report.verdict.sentence(lang)}
    return record


def _told(outcome: Outcome, domain: str, lang: str, software: str) -> dict[str, Any]:
    check = catalogue.check(outcome.check)
    told: dict[str, Any] = {
        "severity": catalogue.severity(outcome),
        "area": check.area,
        "who": check.who,
        "sentence": catalogue.sentence(outcome, lang, domain),
        "reference": check.standard,
    }
    if outcome.state in {FAILURE, WARNING}:
        told |= {
            "headline": catalogue.headline(outcome, lang, domain),
            "advice": catalogue.repair(outcome, lang, domain),
            "lines": catalogue.repair_lines(outcome, domain, software),
            "effort": check.effort,
        }
    return told


def shown_name(domain: str) -> str:
    """Return a domain as people write it; one whose A-labels are no words stays as it is."""
    labels = domain.split(".")
    try:
        text = ".".join(label.encode("ascii").decode("idna") if label.startswith("xn--") else label for label in labels)
    except UnicodeError:
        return domain
    from mailguard.dns.names import domain_name

    return text if text.replace(".", "").replace("-", "").isalnum() and domain_name(text) == domain else domain
