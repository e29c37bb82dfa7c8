"""The result page: whole, calm, and safe whatever stands in it."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import re
import time
from html.parser import HTMLParser

import check_reports
import pytest
from check_reports import HOSTILE, NOW, bad, good, hostile, mixed, server
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard.check import catalogue, specimens
from mailguard.check.changes import Change, Repair
from mailguard.check.outcome import Outcome
from mailguard.check.page import order, strips
from mailguard.check.page.document import Sender, masked, render, style
from mailguard.check.report import Report

VOID = {"meta", "path"}
EXCHANGE = Sender("a…@example.com", "mail.example.com [192.0.2.25]", "TLSv1.3", NOW + 30 * 86400)


class Page(HTMLParser):
    """elements: (tag, attributes) in order; texts: what a person reads; unbalanced: tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.unbalanced, self.texts, self._open = [], [], [], []
        self.feed(text)
        self.close()
        self.unbalanced += self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if not {"script", "style"} & set(self._open):
            self.texts.append(data)

    @property
    def text(self):
        return "\n".join(self.texts)

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]


REPORTS = {"mixed": mixed, "good": good, "bad": bad, "hostile": hostile}


@pytest.fixture(params=["ja", "en"])
def lang(request):
    return request.param


@pytest.fixture(params=sorted(REPORTS))
def page(request, lang):
    return Page(render(REPORTS[request.param](), lang, mixed(NOW - 86400), exchange=EXCHANGE, other="x.html"))


def test_every_element_is_closed_in_its_place(page):
    assert page.unbalanced == []


def test_nothing_can_run_and_nothing_is_asked_for(page):
    [script] = page.all("script")
    assert script == {"type": "application/json", "id": "report"}
    assert not {"img", "link", "iframe", "object", "form", "base", "audio", "video"} & {tag for tag, _ in page.elements}
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"style", "src", "srcset", "action"}
    for link in page.all("a"):
        assert re.fullmatch(r"#[a-z]+|x\.html|https://www\.rfc-editor\.org/rfc/rfc[0-9]+", link["href"])


def test_the_policy_allows_this_style_sheet_and_nothing_else(lang):
    text = render(mixed(), lang)
    policy = next(meta["content"] for meta in Page(text).all("meta") if meta.get("http-equiv"))
    sheet = re.search("<style>(.*)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in sheet
    assert "@import" not in sheet


def test_search_engines_and_other_sites_learn_nothing(page):
    meta = {each["name"]: each["content"] for each in page.all("meta") if "name" in each}
    assert "noindex" in meta["robots"]
    assert meta["referrer"] == "no-referrer"


def test_what_a_peer_says_is_text(lang):
    text = render(hostile(), lang, hostile(), exchange=Sender(HOSTILE, HOSTILE, HOSTILE, NOW))
    assert "<img" not in text
    assert "<script>" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "://evil" not in text.partition("<script type")[0]


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=60) | st.sampled_from(["]]>", "<!--", "--><x>", "&lt;b&gt;", "{domain}", "{0}", "%s", "\\u003c"])
)
def test_no_text_changes_the_structure(value):
    def made(text):
        outcome = Outcome("spf", "failure", "syntax", {"term": text, "record": text}, [text], subject=text)
        report = Report(text, NOW, 1.0, [outcome], [server(text, text, banner=text)])
        return Page(render(report, "en", exchange=Sender(text, text, "", NOW)))

    plain, page = made("plain"), made(value)
    assert page.unbalanced == []
    kinds = [(tag, sorted(attributes)) for tag, attributes in page.elements]
    # An empty subject is not listed, that is all the difference there may be.
    assert kinds == [(tag, sorted(attributes)) for tag, attributes in plain.elements] or not value


def test_the_data_is_the_report_and_ascii(lang):
    for report in (mixed(), hostile()):
        text = render(report, lang)
        data = re.search('<script type="application/json" id="report">(.*?)</script>', text, re.DOTALL)[1]
        assert json.loads(data) == report.as_dict()
        assert data.isascii()
        assert not set("<>&") & set(data)


def test_states_are_words_not_only_colours(page, lang):
    signs = [attributes for _, attributes in page.elements if "sign" in attributes.get("class", "").split()]
    assert all(attributes["aria-hidden"] == "true" for attributes in signs)
    words = {catalogue.STATES[state][lang] for state in catalogue.STATES}
    assert words <= set(page.texts)  # in the counts at least


def test_headings_go_down_one_level_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_colour_can_be_read_in_light_and_dark():
    themes = re.findall(r":root \{\n(.*?)\n\s*\}", style()[0], re.DOTALL)[:2]
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", theme))
        states = ("good", "warning", "failure", "unknown", "not-applicable")
        for front in ("text", "quiet", "link", *states):
            for back in ("ground", "card", "code"):
                assert contrast(colours[front], colours[back]) >= 4.5, (front, back)
        for wash in ("good", "warning", "failure", "unknown"):
            for front in ("text", "quiet", *states):
                assert contrast(colours[front], colours[f"{wash}-wash"]) >= 4.5, (front, wash)
        for state in states:
            assert contrast(colours[state], colours["card"]) >= 4.5


def test_failures_are_open_and_say_evidence_reason_and_repair(lang):
    page = Page(render(bad(), lang))
    rows = [attributes for attributes in page.all("details") if attributes["class"].startswith("row ")]
    assert sum("open" in attributes for attributes in rows) == 3  # two hosts with the same fault are one row
    assert "mx1.example.com, mx2.example.com" in page.text
    for heading in {"ja": ("なぜ重要か", "直し方", "根拠"), "en": ("Why it matters", "How to repair it", "Evidence")}[
        lang
    ]:
        assert heading in page.texts


def test_five_repairs_at_most_the_gravest_first_and_nothing_that_is_only_information():
    found = order.repairs(bad())
    assert len(found) == 5
    assert found[0].outcome.check == "spf"
    assert all(catalogue.severity(group.outcome) != "informational" for group in found)


@pytest.mark.parametrize(
    ("outcomes", "first"),
    [
        (  # by virus and forgery together
            [("vrfy", "warning", "leak"), ("in.eicar", "failure", "delivered"), ("in.self", "failure", "delivered"),
             ("spf", "failure", "missing")],
            {"in.eicar", "in.self"},
        ),
        ([("spf", "failure", "missing"), ("tls.starttls", "failure", "missing")], {"tls.starttls"}),
        ([("spf", "failure", "missing"), ("vrfy", "warning", "leak")], {"spf"}),
        ([("dmarc", "warning", "none"), ("postmaster", "warning", "refused")], {"postmaster"}),
        ([("tls.starttls", "failure", "missing"), ("dane.tlsa", "failure", "no-tls")], {"dane.tlsa"}),
    ],
)  # fmt: skip
def test_what_makes_the_verdict_stands_first(outcomes, first):
    made = [
        Outcome(check, state, reason, severity="critical" if check == "dane.tlsa" else None)
        for check, state, reason in outcomes
    ]
    found = [group.outcome.check for group in order.repairs(Report("example.com", NOW, 1.0, made))]
    assert found[0] in first


WORDS_OF_THE_TRADE = re.compile(r"VRFY|EXPN|RCPT|EHLO|HELO|CNAME|TLSA|PTR|550|252|\bp=|AAAA|\bMX\b|\bTLS\b|Logjam|@|\{")


@pytest.mark.parametrize("check", catalogue.checks().values(), ids=list(catalogue.checks()))
def test_a_headline_is_for_everybody(check, lang):
    """What a check has no words of its own for is one of the mails that were sent in, whose sentences are plain."""
    headline = check.problem(lang)
    assert bool(headline) != check.id.startswith("in.")
    assert not WORDS_OF_THE_TRADE.search(headline)
    outcome = Outcome(check.id, "failure", "late")
    if headline:
        text = render(Report("example.com", NOW, 1.0, [outcome]), lang)
        assert catalogue.severity(outcome) == "informational" or f"<h3>{html.escape(headline)}</h3>" in text


def test_a_time_is_that_of_the_place_where_the_service_is(lang, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert "2026-11-18 20:26 JST" in render(mixed(1_795_001_160), lang)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_one_filter_repairs_what_it_lets_through():
    through = [Outcome(check, "failure", "delivered") for check in specimens.names(enforce=True)]
    found = order.repairs(Report("example.com", NOW, 1.0, through))
    assert [group.outcome.check for group in found] == ["in.self", "in.eicar"]


def test_a_repair_names_the_servers_that_need_it(lang):
    outcomes = [Outcome("tls.starttls", "failure", "missing", subject="mx2.example.com")]
    text = render(Report("example.com", NOW, 1.0, outcomes, [server(), server("mx2.example.com")]), lang)
    sentence = catalogue.sentence(outcomes[0], lang)
    assert f"{sentence} <small>(mx2.example.com)</small></p>" in text


def test_dialogues_are_shown_whole_though_they_repeat_themselves_and_the_same_one_once():
    said = [["! mx1", "C: NOOP", "S: 250 ok", "C: NOOP"], ["! mx2", "C: NOOP", "S: 250 ok", "C: NOOP"]]
    found = [Outcome("smuggling", "failure", "taken", {"endings": "LF.LF"}, lines) for lines in (*said, said[0])]
    [group] = order.groups(found)
    assert group.evidence == said[0] + said[1]


def test_the_mails_that_were_sent_are_counted(lang):
    outcomes = [Outcome(check, "failure", "delivered") for check in specimens.names(enforce=True)]
    outcomes += [Outcome("in.exe", "unknown", "declined", subject="mx2.example.com")]
    text = Page(render(Report("example.com", NOW, 1.0, outcomes), lang)).text
    assert {"ja": "試験メール 9 通", "en": "test mails sent: 9"}[lang] in text


def test_a_cheap_repair_comes_before_a_dear_one_of_the_same_harm():
    outcomes = [Outcome("dnssec.domain", "warning", "unsigned"), Outcome("mtasts.record", "warning", "missing")]
    dear, cheap = (catalogue.check(each.check) for each in outcomes)
    assert (dear.severity, dear.effort > cheap.effort) == (cheap.severity, True)
    found = order.repairs(Report("example.com", NOW, 1.0, outcomes))
    assert [group.outcome.check for group in found] == ["mtasts.record", "dnssec.domain"]


def test_lines_are_for_the_software_that_runs_there():
    outcome = Outcome("tls.starttls", "failure", "missing", subject="mx1.example.com")
    for software in ("postfix", "exim"):
        report = Report("example.com", NOW, 1.0, [outcome], [server(software=software)])
        [group] = order.repairs(report)
        assert order.software(report, group) == software
    [group] = order.repairs(mixed())[:1]
    different = Report("example.com", NOW, 1.0, [outcome], [server(), server("mx2.example.com", software="exim")])
    assert order.software(different, order.groups([Outcome("dmarc", "failure", "missing")])[0]) == ""


def test_unknown_is_no_failure_and_worse_than_nothing():
    unknown = Outcome("mx.reach", "unknown", "late")
    assert order.summary([unknown]) == "unknown"
    assert order.summary([unknown, Outcome("mx.exists", "good", "good")]) == "good"
    assert order.summary([Outcome("mx.exists", "not-applicable", "null-mx")]) == "not-applicable"
    assert order.summary([Outcome("caa", "failure", "missing")]) == "warning"  # informational


def test_what_does_not_apply_is_folded(lang):
    page = Page(render(mixed(), lang))
    assert [each["class"] for each in page.all("details")].count("fold") == 1


def test_what_is_unknown_for_one_reason_is_folded():
    checks = ("tls.versions", "tls.ciphers", "tls.kex", "vrfy")
    values = {"address": "192.0.2.1", "error": "timed out"}
    outcomes = [Outcome(check, "unknown", "unreachable", values, subject="mx1.example.com") for check in checks]
    page = Page(render(Report("example.com", NOW, 1.0, [*outcomes, Outcome("mx.reach", "unknown", "late")]), "en"))
    assert [each["class"] for each in page.all("details")] == ["row unknown", "fold"]
    assert "4 unknown for the same reason" in page.texts
    few = Page(render(Report("example.com", NOW, 1.0, outcomes[:2]), "en"))
    assert [each["class"] for each in few.all("details")] == ["row unknown", "row unknown"]


def test_what_changed_since_the_last_run_is_said():
    before = mixed(NOW - 86400)
    before.outcomes[5] = Outcome("spf", "failure", "missing")
    changed = render(mixed(), "en", before).partition("What changed since 2026-11-17")[2].partition("</section>")[0]
    assert Page(changed).texts[-3:] == ["failure", " → ", "good"]
    assert changed.count("<li>") == 1
    assert "Nothing changed." in render(mixed(), "en", mixed(NOW - 86400))
    assert "changed" not in Page(render(mixed(), "en")).text


def test_the_eight_points_of_mschecker_and_the_rules_of_receivers():
    outcomes = [
        Outcome("tls.starttls", "good", "good"),
        Outcome("spf.result", "good", "good"),
        Outcome("dkim", "failure", "none"),
        Outcome("dmarc", "warning", "none"),
        Outcome("align", "good", "good"),
        Outcome("relay", "not-applicable", "not-proven"),
        Outcome("dnssec.domain", "good", "good"),
        Outcome("dnssec.mx", "warning", "unsigned"),
    ]
    states = strips.States(Report("example.com", NOW, 1.0, outcomes))
    assert states.point("receive-tls") == "good"
    assert states.point("send-tls") == "unknown"
    assert states.point("authentication") == "failure"  # both are needed
    assert states.point("relay") == "unknown"
    assert states.point("dnssec") == "warning"
    assert states.rule("rule-one") == "good"
    assert states.rule("rule-both") == "failure"
    assert states.rule("rule-dmarc") == "good"  # p=none is enough for the receivers


def test_checks_that_the_strips_name_exist():
    known = catalogue.checks()
    named = {check for checks in strips._CHECKS.values() for check in checks} | {"spf.result", "dkim", "align"}
    assert named <= set(known)


def test_two_addresses_of_a_host_that_say_the_same_are_one_row_and_counted_once():
    reply = {"reply": "220 mx1"}
    outcomes = [
        Outcome("mx.reach", "good", "good", reply | {"address": address}, [f"S: 220 mx1 {address}"], subject="mx1")
        for address in ("192.0.2.1", "192.0.2.2")
    ]
    for pointer in ("1.test", "2.test"):
        outcomes.append(Outcome("mx.ptr", "warning", "missing", subject="mx1"))
        outcomes[-1].repair = Repair([Change(pointer, "PTR", [], ["mx1"])])
    text = render(Report("example.com", NOW, 1.0, outcomes), "en")
    assert text.count("220 mx1 <small>(mx1)</small>") == 1
    assert "220 mx1 192.0.2.1\nS: 220 mx1 192.0.2.2" in text
    assert "1 of 1 good" in text
    assert text.count("There is no reverse name <small>") == 2


def test_one_record_is_repaired_once():
    spf = [
        Outcome("spf", "failure", "missing"),
        Outcome("spf.result", "failure", "none", {"value": "example.com"}),
    ]
    assert len(order.repairs(Report("example.com", NOW, 1.0, spf))) == 1


def test_an_unconfirmed_result_says_what_could_not_be_asked(lang):
    values = {"name": "example.com", "type": "TXT", "status": "SERVFAIL"}
    outcomes = [Outcome(check, "unknown", "dns-failed", values) for check in ("spf", "dmarc", "caa")]
    said = render(Report("example.com", NOW, 1.0, outcomes), lang).partition('class="said">')[2].partition("</p>")[0]
    questions = [catalogue.check(check).text("question", lang) in said for check in ("spf", "dmarc", "caa")]
    assert questions == [True, True, False]


def test_warnings_that_are_for_information_are_called_so():
    text = render(Report("example.com", NOW, 1.0, [Outcome("caa", "warning", "missing")]), "en")
    assert "Nothing to repair was found. The warnings are for information." in text


def test_the_way_of_the_mail_shows_what_is_not_encrypted():
    text = render(bad(), "en", exchange=Sender("a…@example.com", "mail.example.com", "", NOW))
    assert text.count("not encrypted") == 2
    assert "encrypted, TLS 1.3" in render(good(), "en")
    assert "not confirmed" in render(Report("example.com", NOW, 1.0, good().outcomes), "en")


def test_an_address_is_masked():
    assert masked("alice@example.com") == "a…@example.com"


def test_samples_know_their_reasons():
    for make in REPORTS.values():
        for outcome in make().outcomes:
            assert catalogue.sentence(outcome, "ja", "example.com")
    assert check_reports.HOSTILE in hostile().domain
