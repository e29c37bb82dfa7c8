"""The result page: one HTML file that needs nothing else, runs nothing and asks nobody for anything.

Every value from DNS, mail or a peer passes through `show` and is escaped; the content security policy forbids all but
the page's own style sheet, which it knows by its hash.
"""

from __future__ import annotations

from functools import cache
from html import escape

from mailguard.check import catalogue
from mailguard.check.export import shown_name
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING
from mailguard.check.page import order, rows, strips
from mailguard.check.page.markup import foreign, lines, moment, state
from mailguard.check.page.words import word
from mailguard.check.verdict import DANGER, DNS, MAIL_SYSTEM, SAFE, UNCONFIRMED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.check.page.order import OutcomeGroup
    from mailguard.check.report import Report

_COLOURS = {DANGER: FAILURE, MAIL_SYSTEM: FAILURE, DNS: WARNING, SAFE: GOOD, UNCONFIRMED: UNKNOWN}
_MOST_QUESTIONS = 5
_ARROW = (
    '<svg viewBox="0 0 400 16" preserveAspectRatio="xMaxYMid slice" aria-hidden="true" focusable="false">'
    '<path d="M0 8H396M386 2l10 6-10 6" fill="none" stroke="currentColor" stroke-width="2"/></svg>'
)


class Sender:
    """What a page says about the exchange of mails.

    address: of whom asked, masked by `masked`; server: name and address of the server that brought the reply, as they
    came; tls: TLS version of that hop, "" for none, None when unknown; expires: Unix time when the page goes.
    """

    __slots__ = ("address", "expires", "server", "tls")

    def __init__(self, address: str, server: str, tls: str | None, expires: int) -> None:
        self.address = address
        self.server = server
        self.tls = tls
        self.expires = expires


def masked(address: str) -> str:
    """Return an address so that whoever knows it recognises it and nobody else learns it."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"


def render(
    report: Report,
    lang: str,
    previous: Report | None = None,
    *,
    exchange: Sender | None = None,
    other: str | None = None,
) -> str:
    """Return the page as HTML text, ready to be encoded in UTF-8.

    lang: ja or en; previous: an earlier report about the same domain, to compare with; exchange: of the mails that led
    to this page; other: file name of the same page in the other language.
    """
    pieces = [
        _head(report, lang),
        "<main>",
        _top(report, lang, exchange, other),
        _band(report, lang, exchange),
        _tiles(report, lang),
        _repairs(report, lang),
        _changes(report, previous, lang) if previous else "",
        _path(report, lang, exchange),
        *(rows.part(report, name, lang) for name in catalogue.TILES),
        strips.points(report, lang),
        strips.rules(report, lang),
        _foot(lang, exchange),
        "</main>",
        _data(report),
        "</html>\n",
    ]
    return "".join(pieces)


@cache
def style() -> tuple[str, str]:
    """Return the style sheet and the policy that allows nothing else."""
    import base64
    import hashlib
    import os

    with open(os.path.join(os.path.dirname(__file__), "style.css"), encoding="utf-8") as file:
        sheet = file.read()
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode("ascii")
    return sheet, f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _head(report: Report, lang: str) -> str:
    sheet, policy = style()
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex, nofollow, noarchive"><meta name="referrer" content="no-referrer">'
        f"<title>{word('title', lang)}: {foreign(report.domain)}</title><style>{sheet}</style>"
    )


def _top(report: Report, lang: str, exchange: Sender | None, other: str | None) -> str:
    when = word("made", lang, when=moment(report.started))
    whom = f" · {word('for', lang, address=foreign(exchange.address))}" if exchange else ""
    another = "ja" if lang == "en" else "en"
    link = f'<p><a href="{escape(other or "")}" hreflang="{another}" lang="{another}">{word("other", lang)}</a></p>'
    return (
        f'<header><div class="top"><p class="kind">{word("title", lang)}</p>{link if other else ""}</div>'
        f'<h1>{_named(report.domain)}</h1><p class="quiet">{when}{whom}</p></header>'
    )


def _named(domain: str) -> str:
    """Return a domain as people write it, and beside it as the DNS does."""
    written = shown_name(domain)
    return foreign(written) + (f" <small>({foreign(domain)})</small>" if written != domain else "")


def _band(report: Report, lang: str, exchange: Sender | None) -> str:
    verdict = report.verdict
    found = order.counts(order.groups(report.outcomes))
    counts = "".join(
        f"<li>{state(name, lang)} <b>{found[name]}</b></li>"
        for name in (GOOD, WARNING, FAILURE, UNKNOWN, NOT_APPLICABLE)
    )
    return (
        f'<section class="verdict {_COLOURS[verdict.code]}"><p class="word">{escape(verdict.word(lang))}</p>'
        f'<p class="said">{_said(report, lang)}</p><ul class="counts">{counts}</ul>'
        f'<p class="done">{_done(report, lang)}{word("done-reply", lang) if exchange else ""}</p></section>'
    )


def _done(report: Report, lang: str) -> str:
    """Return what the diagnosis did to the servers."""
    connections = sum(server.connections for server in report.servers)
    mails = order.trials(report)
    said = word("done", lang, servers=len(report.servers), connections=connections, seconds=f"{report.duration:.1f}")
    return said + (word("done-trials", lang, count=mails) if mails else "")


def _said(report: Report, lang: str) -> str:
    """Return the sentence of the verdict, what to begin with, and what unknown means."""
    verdict = report.verdict
    sentences = [escape(verdict.sentence(lang))]
    first = order.repairs(report)[:2]
    if first:
        names = word("join", lang).join(_problem(report, group, lang) for group in first)
        sentences.append(word("first", lang, names=names))
    if verdict.code == UNCONFIRMED:
        sentences.append(_unconfirmed(report, lang))
    unknown = order.counts(order.groups(report.outcomes))[UNKNOWN]
    if unknown and verdict.code != UNCONFIRMED:
        sentences.append(word("unknown-note", lang, count=unknown))
    return ("" if lang == "ja" else " ").join(sentences)


def _unconfirmed(report: Report, lang: str) -> str:
    """Return the questions that would have to be answered first."""
    important = [each.check for each in report.outcomes if each.state == UNKNOWN and order.is_important(each)]
    questions = [escape(catalogue.check(name).text("question", lang)) for name in dict.fromkeys(important)]
    names = word("join-questions", lang).join(questions[:_MOST_QUESTIONS])
    return word("unconfirmed", lang, names=names) if names else ""


def _problem(report: Report, group: OutcomeGroup, lang: str) -> str:
    return escape(catalogue.headline(group.outcome, lang, report.domain))


def _tiles(report: Report, lang: str) -> str:
    items = []
    for name, title in catalogue.TILES.items():
        outcomes = order.tile(report, name)
        found = order.summary(outcomes)
        counts = order.counts(order.groups(outcomes))
        count = sum(counts.values()) - counts[NOT_APPLICABLE]
        what = f"{state(found, lang)}<small>{word('of', lang, good=counts[GOOD], count=count)}</small>"
        what = what if count else f"<small>{word('untested', lang)}</small>"
        items.append(f'<li><a class="{found}" href="#{name}"><b>{escape(title[lang])}</b>{what}</a></li>')
    return f'<nav aria-label="{word("tiles", lang)}"><ul class="tiles">{"".join(items)}</ul></nav>'


def _repairs(report: Report, lang: str) -> str:
    found = order.repairs(report)
    head = f"<section><h2>{word('repairs', lang)}</h2>"
    if not found:
        warned = any(each.state in {FAILURE, WARNING} for each in report.outcomes)
        none = word("repairs-optional" if warned else "repairs-none", lang)
        return f'{head}<p class="note">{none}</p></section>'
    items = "".join(f"<li>{_repair(report, group, lang)}</li>" for group in found)
    return f'{head}<ol class="repairs card">{items}</ol></section>'


def _repair(report: Report, group: OutcomeGroup, lang: str) -> str:
    check = catalogue.check(group.outcome.check)
    kinds = catalogue.repair_lines(group.outcome, report.domain, order.software(report, group))
    about = escape(catalogue.sentence(group.outcome, lang, report.domain)) + rows.where(group, lang)
    tags = (word(catalogue.severity(group.outcome), lang), _effort(check.effort, lang), word(check.who, lang))
    return (
        f'<h3>{_problem(report, group, lang)}</h3><p class="about">{about}</p>'
        f'<ul class="tags"><li>{state(group.state, lang)}</li>{"".join(f"<li>{tag}</li>" for tag in tags)}</ul>'
        f"<p>{escape(catalogue.repair(group.outcome, lang, report.domain))}</p>"
        f"{lines(kinds, lang, catalogue.effect(group.outcome, lang))}"
    )


def _effort(minutes: int, lang: str) -> str:
    return word("minutes", lang, count=minutes) if minutes < 60 else word("hours", lang, count=round(minutes / 60))


def _changes(report: Report, previous: Report, lang: str) -> str:
    """Return which checks have another state than in an earlier report; what was made only once is no change."""
    items = []
    for name, check in catalogue.checks().items():
        before, now = (order.worst(each for each in one.outcomes if each.check == name) for one in (previous, report))
        if before and now and before != now:
            became = word("became", lang, before=state(before, lang), now=state(now, lang))
            items.append(f"<li><span>{escape(check.text('question', lang))}</span> <span>{became}</span></li>")
    none = f'<p class="note">{word("changes-none", lang)}</p>'
    listed = f'<ul class="changes card">{"".join(items)}</ul>' if items else none
    return f"<section><h2>{word('changes', lang, when=moment(previous.started))}</h2>{listed}</section>"


def _path(report: Report, lang: str, exchange: Sender | None) -> str:
    ways = [_way(lang, ("world", ""), ("mx", _servers(report, lang)), _received(report))]
    if exchange:
        ways.append(_way(lang, ("sender", foreign(exchange.server)), ("us", ""), exchange.tls))
    return f'<section><h2>{word("path", lang)}</h2><div class="card">{"".join(ways)}</div></section>'


def _servers(report: Report, lang: str) -> str:
    names = list(dict.fromkeys(server.name for server in report.servers))
    further = f" {word('more-servers', lang, count=len(names) - 1)}" if len(names) > 1 else ""
    return f"{foreign(names[0])}{further}" if names else word("no-hop", lang)


def _received(report: Report) -> str | None:
    """Return the oldest TLS version of all mail servers that answered, "" when one has none, None without any."""
    versions = [server.tls for server in report.servers if server.banner]
    return min(versions, default=None)


def _way(lang: str, start: tuple[str, str], end: tuple[str, str], tls: str | None) -> str:
    if tls is None:
        found, said = UNKNOWN, word("no-hop", lang)
    elif tls:
        found, said = GOOD, word("encrypted", lang, tls=foreign(tls.replace("TLSv", "TLS "), 20))
    else:
        found, said = FAILURE, word("clear", lang)
    nodes = [f'<li class="node"><b>{word(name, lang)}</b><span>{what}</span></li>' for name, what in (start, end)]
    return f'<ol class="path">{nodes[0]}<li class="hop {found}">{_ARROW}{said}</li>{nodes[1]}</ol>'


def _foot(lang: str, exchange: Sender | None) -> str:
    expires = f" {word('expires', lang, when=moment(exchange.expires))}" if exchange else ""
    private = f"<p>{word('private', lang)}{expires}</p>" if exchange else ""
    return f"<footer><p>{word('scope', lang)}</p>{private}</footer>"


def _data(report: Report) -> str:
    """Return the report as data: ASCII without a character that could end the element or begin another."""
    import json

    text = json.dumps(report.as_dict(), separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="report">{text}</script>'
