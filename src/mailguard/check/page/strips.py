"""Two strips to compare with: the eight points of mschecker.jp, and what the large receivers ask of senders."""

from __future__ import annotations

from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING
from mailguard.check.page.markup import sign, state
from mailguard.check.page.order import worst
from mailguard.check.page.words import word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.check.report import Report

_POINTS = ("receive-tls", "send-tls", "authentication", "dmarc", "ptr", "relay", "dnsbl", "dnssec")
_RULES = (  # what is asked of all senders, of bulk senders, or of nobody
    ("rule-one", "all", "all", "bulk"),
    ("rule-both", "bulk", "bulk", "bulk"),
    ("rule-dmarc", "bulk", "bulk", "bulk"),
    ("rule-ptr", "all", "all", "not-asked"),
    ("rule-tls", "all", "not-asked", "not-asked"),
)


class States:
    """The states of the points, from the outcomes of one report."""

    __slots__ = ("_report",)

    def __init__(self, report: Report) -> None:
        self._report = report

    def of(self, *checks: str) -> str:
        """Return the worst state of these checks; unknown when none was made."""
        found = worst(each for each in self._report.outcomes if each.check in checks)
        return UNKNOWN if found in {None, NOT_APPLICABLE} else str(found)

    def point(self, name: str) -> str:
        """Return the state of one of the eight points."""
        if name == "authentication":
            return self._both()
        return self.of(*_CHECKS[name])

    def rule(self, name: str) -> str:
        """Return the state of one rule of the large receivers: a policy of none is enough for them."""
        if name == "rule-one":
            return min((self.of("spf.result"), self.of("dkim")), key=_BEST.index)
        if name == "rule-both":
            return self._both()
        if name == "rule-dmarc":
            published = self.of("dmarc")
            return _worse(self.of("align"), GOOD if published == WARNING else published)
        return self.of(*_CHECKS["ptr" if name == "rule-ptr" else "send-tls"])

    def _both(self) -> str:
        return _worse(self.of("spf.result"), self.of("dkim"))


_CHECKS = {
    "receive-tls": ("tls.starttls",),
    "send-tls": ("tls.out",),
    "dmarc": ("dmarc",),
    "ptr": ("fcrdns",),
    "relay": ("relay",),
    "dnsbl": ("dnsbl.ip", "dnsbl.domain"),
    "dnssec": ("dnssec.domain", "dnssec.mx"),
}
_BEST = (GOOD, WARNING, UNKNOWN, FAILURE)


def _worse(*states: str) -> str:
    return max(states, key=_BEST.index)


def points(report: Report, lang: str) -> str:
    """Return the eight points of mschecker.jp in its order."""
    states = States(report)
    items = []
    for name in _POINTS:
        found = states.point(name)
        items.append(f"<li>{sign(found)}<span>{word(name, lang)}{state(found, lang)}</span></li>")
    return (
        f'<h2>{word("strip", lang)}</h2><p class="note">{word("strip-note", lang)}</p>'
        f'<ul class="strip card">{"".join(items)}</ul>'
    )


def rules(report: Report, lang: str) -> str:
    """Return what Google, Yahoo and Microsoft ask of senders."""
    states = States(report)
    rows = []
    for name, *asked in _RULES:
        cells = "".join(f"<td>{word(each, lang)}</td>" for each in asked)
        rows.append(f'<tr><th scope="row">{word(name, lang)}</th><td>{state(states.rule(name), lang)}</td>{cells}</tr>')
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("Google", "Yahoo", "Microsoft"))
    return (
        f'<h2>{word("rules", lang)}</h2><p class="note">{word("rules-note", lang)}</p><div class="card wide"><table>'
        f'<thead><tr><th scope="col">{word("rule", lang)}</th><th scope="col">{word("result", lang)}</th>{heads}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
