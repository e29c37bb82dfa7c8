"""The catalogue is complete in both languages, and the verdict follows the gravest finding."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailguard.check import catalogue
from mailguard.check.outcome import SEVERITIES, STATES, Outcome
from mailguard.check.report import Report
from mailguard.check.verdict import SENTENCES, WORDS, judge

CHECKS = catalogue.checks()


def placeholders(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
def test_every_check_says_everything_in_both_languages(check):
    assert check.severity in SEVERITIES
    assert check.area in {"server", "dns"}
    assert check.who in {"dns", "mta", "provider"}
    assert check.standard
    assert check.effort >= 0
    for kind in ("question", "good", "why", "repair"):
        texts = [check.text(kind, lang) for lang in ("ja", "en")]
        assert all(texts)
        assert placeholders(texts[0]) == placeholders(texts[1])
        assert texts[1].isascii()
    for reason in check.reasons.values():
        assert set(reason) == {"ja", "en"}
        assert placeholders(reason["ja"]) == placeholders(reason["en"])


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
def test_the_lines_of_a_repair_hold_no_value_that_a_shell_would_obey(check):
    hostile = "$(id)`id`;|&\n'\"<>\\"
    names = {name for line in check.lines.values() for name in placeholders(line)}
    lines, harmless = (
        catalogue.repair_lines(
            Outcome(check.id, "failure", "late", dict.fromkeys(names, value), subject=value), "good.test"
        )
        for value in (hostile, "good.test")
    )
    for kind, line in lines.items():
        assert "id)" not in line
        assert line.count("$(") == harmless[kind].count("$(")


def test_lines_of_other_software_are_left_out():
    outcome = Outcome("relay", "failure", "open")
    assert set(catalogue.repair_lines(outcome, "good.test", "postfix")) == {"postfix"}
    assert set(catalogue.repair_lines(outcome, "good.test")) == {"postfix", "exim", "opensmtpd"}


def test_every_word_of_a_verdict_has_a_sentence():
    assert WORDS.keys() == SENTENCES.keys()


@pytest.mark.parametrize(
    ("outcomes", "code", "status"),
    [
        ([], "unconfirmed", 3),
        ([("spf", "good", None)], "safe", 0),
        ([("spf", "good", None), ("caa", "warning", None), ("abuse", "failure", None)], "safe", 0),
        ([("dnssec.domain", "warning", None)], "dns", 1),
        ([("dnssec.domain", "failure", None)], "dns", 2),
        ([("dnssec.domain", "failure", None), ("tls.versions", "warning", None)], "mail-system", 2),
        ([("relay", "failure", None), ("dnssec.domain", "failure", None)], "danger", 2),
        ([("relay", "warning", "medium")], "mail-system", 1),
        ([("spf", "failure", "critical")], "danger", 2),
        ([("in.eicar", "failure", None), ("in.self", "failure", None)], "danger", 2),
        ([("in.eicar", "failure", None), ("in.enforce", "failure", None)], "danger", 2),
        ([("in.eicar", "failure", None), ("in.exe", "failure", None), ("in.self", "good", None)], "mail-system", 2),
        ([("in.self", "failure", None), ("in.enforce", "failure", None)], "mail-system", 2),
        ([("spf", "unknown", None)], "unconfirmed", 3),
        ([("postmaster", "unknown", None), ("spf", "good", None)], "safe", 0),
        ([("spf", "unknown", None), ("dmarc", "failure", None)], "dns", 2),
        ([("spf", "unknown", None), ("dnssec.domain", "warning", None)], "unconfirmed", 3),
        ([("spf", "not-applicable", None)], "safe", 0),
    ],
)
def test_the_verdict_is_the_worst_finding_and_unknown_is_no_failure(outcomes, code, status):
    verdict = judge(Outcome(check, state, "late", severity=severity) for check, state, severity in outcomes)
    assert (verdict.code, verdict.status) == (code, status)
    assert sum(verdict.counts.values()) == len(outcomes)


@given(
    st.builds(
        Outcome,
        st.sampled_from(sorted(CHECKS)),
        st.sampled_from(STATES),
        st.just("unreachable"),
        st.dictionaries(st.sampled_from(["address", "error"]), st.text()),
        st.lists(st.text(), max_size=5),
        subject=st.text(),
        severity=st.sampled_from([None, *SEVERITIES]),
    )
)
def test_any_outcome_survives_storage_and_can_be_said_on_one_line(outcome):
    report = Report("good.test", 1, 0.5, [outcome])
    copy = Report.from_dict(report.as_dict())
    assert copy.as_dict() == report.as_dict()
    said = catalogue.sentence(copy.outcomes[0], "ja", "good.test")
    assert said.isprintable() or "\u3000" in said
