"""Every check: what it asks, what good is, why it matters, how to repair it, in Japanese and English.

The texts stand in `texts/*.toml`, one file for each tile of the page.  A file holds one table for each check:

    [spf]
    severity = "high"             # critical, high, medium or informational
    area = "server"               # whose repair decides the verdict: server or dns
    standard = "RFC 7208 3.2"
    effort = 10                   # minutes of a repair
    who = "dns"                   # who can do it: dns, mta or provider
    postfix = "postconf -e ..."   # and exim, opensmtpd: exact lines, if any
    ja = { question = "...", good = "...", why = "...", repair = "...", problem = "..." }   # problem: for users, if any
    en = { ... }
    [spf.reasons]
    missing = { ja = "...", en = "There is no SPF record" }

Placeholders in braces are values of the outcome, and `domain` and `subject`; every value is shown by `show`.
"""

from __future__ import annotations

import re
from functools import cache

from mailguard.check.outcome import FAILURE, WARNING
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mailguard.check.outcome import Outcome

TILES = {
    "receiving": {"ja": "受信", "en": "Receiving"},
    "sending": {"ja": "送信", "en": "Sending"},
    "spoofing": {"ja": "なりすまし", "en": "Forged senders"},
    "content": {"ja": "危険なメール", "en": "Dangerous mail"},
    "dns": {"ja": "DNS・評判", "en": "DNS and reputation"},
}
"""The five tiles of the page, in their order; each is a file of texts."""

STATES = {
    "good": {"ja": "合格", "en": "good"},
    "warning": {"ja": "注意", "en": "warning"},
    "failure": {"ja": "不合格", "en": "failure"},
    "unknown": {"ja": "未確認", "en": "unknown"},
    "not-applicable": {"ja": "対象外", "en": "not applicable"},
}

LINES = ("postfix", "exim", "opensmtpd")
_VALUE = 400
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_HARMLESS = re.compile(r"[A-Za-z0-9._:/+=@, -]++")  # in a line that somebody may paste into a shell
_MAILTO = "mailto[:]"


class Check:
    """One entry of the catalogue.

    id; tile: key of `TILES`; severity; area: "server" or "dns"; standard; effort: minutes; who: dns, mta or provider;
    lines: templates of exact lines by kind (`LINES`).
    """

    __slots__ = ("_texts", "area", "effort", "id", "lines", "reasons", "severity", "standard", "tile", "who")

    def __init__(self, name: str, tile: str, record: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        self.id = name
        self.tile = tile
        self.severity: str = record["severity"]
        self.area: str = record["area"]
        self.standard: str = record["standard"]
        self.effort: int = record["effort"]
        self.who: str = record["who"]
        self.lines: dict[str, str] = {kind: record[kind] for kind in LINES if kind in record}
        self.reasons: dict[str, dict[str, str]] = {**shared, **record.get("reasons", {})}
        self._texts: dict[str, dict[str, str]] = {lang: record[lang] for lang in ("ja", "en")}

    def text(self, kind: str, lang: str) -> str:
        """Return a text; kind: question, good, why or repair; lang: ja or en."""
        return self._texts[lang][kind]

    def problem(self, lang: str) -> str:
        """Return what is wrong for people who know no word of the trade, "" where the sentences say it so."""
        return self._texts[lang].get("problem", "")


@cache
def checks() -> dict[str, Check]:
    """Return all checks by id, in the order of the page."""
    shared = _read("shared")["reasons"]
    return {name: Check(name, tile, record, shared) for tile in TILES for name, record in _flat(_read(tile))}


def check(name: str) -> Check:
    """Return the check with this id; KeyError when there is none."""
    return checks()[name]


def severity(outcome: Outcome) -> str:
    """Return how grave an outcome is, were it a failure: its own severity, or that of its check."""
    return outcome.severity or check(outcome.check).severity


def sentence(outcome: Outcome, lang: str, domain: str = "") -> str:
    """Return what was seen, in one sentence that is safe to show."""
    return check(outcome.check).reasons[outcome.reason][lang].format_map(_Values(_values(outcome, domain)))


def headline(outcome: Outcome, lang: str, domain: str = "") -> str:
    """Return what is wrong in words for everybody; where the check has none, the sentence is plain enough."""
    return check(outcome.check).problem(lang) or sentence(outcome, lang, domain)


def repair(outcome: Outcome, lang: str, domain: str = "") -> str:
    """Return how to repair it, in words."""
    return check(outcome.check).text("repair", lang).format_map(_Values(_values(outcome, domain)))


def repair_lines(outcome: Outcome, domain: str, software: str = "") -> dict[str, str]:
    """Return the exact lines of a repair by kind; software: leave out those of other mail servers.

    before, record: of the DNS, as they are and as they should be; file: an MTA-STS policy; these were tried, and hold
    nothing but letters, digits and plain punctuation.  So do lines for a mail server: one that would need a value that
    is not known, is empty, or has anything else is left out.
    """
    repair = outcome.repair
    found: dict[str, str] = {}
    if repair is not None:
        before = "\n".join(verbatim(line, 4 * _VALUE) for line in repair.before().split("\n"))
        found = {"before": before, "record": repair.after() or "", "file": repair.file}
    wanted = {software} if software in LINES else set(LINES)
    raw = {"domain": domain, "subject": outcome.subject or domain, **outcome.values}
    raw |= {"wanted": repair.helo} if repair else {}
    values = {name: value for name, value in raw.items() if _HARMLESS.fullmatch(value)}
    found |= {
        kind: text.strip("\n").format_map(_Values(values))
        for kind, text in check(outcome.check).lines.items()
        if kind in wanted and {match[1] for match in _PLACEHOLDER.finditer(text)} <= values.keys()
    }
    return {kind: text for kind, text in found.items() if text}


def effect(outcome: Outcome, lang: str) -> str:
    """Return what the repair did when it was tried, in one sentence, "" without one."""
    tried = outcome.repair and outcome.repair.effect
    if not outcome.repair or not tried:
        return ""
    texts = _read("shared")["effects"]
    said = [
        texts[one if count == 1 else many][lang].format(count=count)
        for count, one, many in ((tried.failures, "failure", "failures"), (tried.warnings, "warning", "warnings"))
        if count > 0 and (tried.solved or one == "warning")
    ]
    said = said or [texts["gone" if tried.solved else "step"][lang]]
    if tried.reply is not None:
        said.append(texts["passes" if tried.reply else "fails"][lang])
    together = ("、" if lang == "ja" else "; ").join(said)
    return str(texts["served" if outcome.repair.file else "tried"][lang].format(said=together))


def verbatim(value: str, limit: int = _VALUE) -> str:
    """Show a record as it stands: where reports go (RFC 9990, RFC 8460) is no link that anybody could be lured to."""
    return show(value, limit).replace(_MAILTO, "mailto:")


def told(outcome: Outcome) -> dict[str, str]:
    """Return those values that its texts show: two outcomes that differ in others say the same to a reader."""
    entry = check(outcome.check)
    texts = [entry.reasons[outcome.reason]["ja"]]
    if outcome.state in {FAILURE, WARNING}:
        texts += [entry.text("repair", "ja"), *entry.lines.values()]
    names = {match[1] for text in texts for match in _PLACEHOLDER.finditer(text)}
    return {name: value for name, value in outcome.values.items() if name in names}


class _Values(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "…"


def _values(outcome: Outcome, domain: str) -> dict[str, str]:
    values = {"domain": domain, "subject": outcome.subject or domain, **outcome.values}
    return {name: (verbatim if name == "record" else show)(value, _VALUE) for name, value in values.items()}


@cache
def _read(name: str) -> dict[str, Any]:
    import os
    import tomllib

    with open(os.path.join(os.path.dirname(__file__), "texts", f"{name}.toml"), "rb") as file:
        return tomllib.load(file)


def _flat(tables: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    """Return the entries of dotted tables: those with a severity, wherever they stand, in the order of the file."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for name, table in tables.items():
        if isinstance(table, dict) and name not in {"ja", "en", "reasons"}:
            if "severity" in table:
                found.append((prefix + name, table))
            found += _flat(table, f"{prefix}{name}.")
    return found
