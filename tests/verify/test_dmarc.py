"""DMARC results and the verdict.  The tree walk itself is in conformance/test_dmarc_walk.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_mail import Zone

from mailguard.message.tree import parse
from mailguard.verify import dmarc
from mailguard.verify.author import scan
from mailguard.verify.method import MethodResult
from mailguard.verify.policy import POLICIES, DmarcRecord

REJECT = {"_dmarc.example.com": b"v=DMARC1; p=reject"}


class Spf:
    def __init__(self, domain, result="pass", identity="mailfrom"):
        self.domain, self.result, self.identity = domain, result, identity


def dkim(domain, result="pass"):
    return MethodResult("dkim", result, "", {"header.d": domain})


def evaluate(author="example.com", *, zone=REJECT, signed=(), spf=(), **options):
    who = scan(parse(f"From: <joe@{author}>\n\n".encode()))
    return dmarc.evaluate(who, signed, spf, Zone(zone), **options)


def judge(raw, *, zone=REJECT, signed=(), spf=()):
    author = scan(parse(raw + b"\n\n"))
    result = dmarc.evaluate(author, signed, spf, Zone(zone))
    return dmarc.verdict(author, signed, spf, result), result


@pytest.mark.parametrize(
    ("author", "record", "signed", "spf", "expected"),
    [
        ("example.com", b"p=reject", [dkim("example.com")], [], "pass"),
        ("example.com", b"p=reject", [dkim("EXAMPLE.com.")], [], "pass"),
        ("example.com", b"p=reject", [dkim("mail.example.com")], [], "pass"),
        ("mail.example.com", b"p=reject", [dkim("example.com")], [], "pass"),
        ("a.example.com", b"p=reject", [dkim("b.example.com")], [], "pass"),
        ("example.com", b"p=reject", [dkim("example.org")], [], "fail"),
        ("example.com", b"p=reject", [dkim("example.org"), dkim("example.com")], [], "pass"),
        ("example.com", b"p=reject", [dkim("notexample.com")], [], "fail"),
        ("example.com", b"p=reject", [dkim("com")], [], "fail"),
        ("example.com", b"p=reject", [dkim("example.com", "fail")], [], "fail"),
        ("example.com", b"p=reject", [dkim("example.com", "policy")], [], "fail"),
        ("example.com", b"p=reject; adkim=s", [dkim("mail.example.com")], [], "fail"),
        ("example.com", b"p=reject; adkim=s", [dkim("example.com")], [], "pass"),
        ("example.com", b"p=reject", [], [Spf("example.com")], "pass"),
        ("example.com", b"p=reject", [], [Spf("bounce.example.com")], "pass"),
        ("example.com", b"p=reject; aspf=s", [], [Spf("bounce.example.com")], "fail"),
        ("example.com", b"p=reject", [], [Spf("example.com", "softfail")], "fail"),
        ("example.com", b"p=reject", [], [Spf("example.com", identity="helo")], "fail"),
        ("example.com", b"p=reject", [dkim("example.com", "temperror")], [], "temperror"),
        ("example.com", b"p=reject", [dkim("example.org", "temperror")], [], "fail"),
        ("example.com", b"p=reject", [dkim("example.com", "temperror")], [Spf("example.com")], "pass"),
        ("example.com", b"p=reject", [], [Spf("example.com", "temperror")], "temperror"),
    ],
)
def test_alignment(author, record, signed, spf, expected):
    assert (
        evaluate(author, zone={"_dmarc.example.com": b"v=DMARC1; " + record}, signed=signed, spf=spf).result == expected
    )


@pytest.mark.parametrize(
    ("author", "record", "policy"),
    [
        ("example.com", b"p=reject; sp=none; np=none", "reject"),
        ("example.com", b"p=quarantine; t=y", "none"),
        ("example.com", b"p=reject; t=y", "quarantine"),
        ("example.com", b"p=REJECT", "reject"),
        ("example.com", b"p=reject; pct=1; unknown=x;; =", "reject"),
        ("there.example.com", b"p=reject; sp=quarantine; np=none", "quarantine"),
        ("there.example.com", b"p=reject; np=none", "reject"),
        ("gone.example.com", b"p=none; sp=quarantine; np=reject", "reject"),
        ("gone.example.com", b"p=none; sp=quarantine", "quarantine"),
        ("gone.example.com", b"p=quarantine", "quarantine"),
        ("example.com", b"p=bad; rua=mailto:a@example.com", "none"),
        ("example.com", b"p=reject; sp=bad; rua=mailto:a@example.com", "none"),
        ("example.com", b"rua=mailto:a@example.com", "none"),
    ],
)
def test_the_policy_that_applies(author, record, policy):
    zone = {"_dmarc.example.com": b"v=DMARC1; " + record, "there.example.com": b"x"}
    result = evaluate(author, zone=zone)
    assert (result.result, result.properties) == ("fail", {"header.from": author, "policy.dmarc": policy})


@pytest.mark.parametrize("record", [b"p=bad", b"adkim=s", b"p=reject; sp=bad", b"rua=nonsense"])
def test_a_record_without_valid_policy_or_report_address_does_not_apply(record):
    result = evaluate(zone={"_dmarc.example.com": b"v=DMARC1; " + record}, signed=[dkim("example.com")])
    assert (result.result, result.properties) == ("none", {"header.from": "example.com"})


def test_a_registry_policy_applies_below_it():
    zone = {"_dmarc.bank.example": b"v=DMARC1; p=reject; sp=quarantine; psd=y", "mega.bank.example": b"x"}
    assert evaluate("mega.bank.example", zone=zone).properties["policy.dmarc"] == "quarantine"
    aligned = evaluate("mega.bank.example", zone=zone, signed=[dkim("giant.bank.example")])
    assert aligned.result == "fail"


@pytest.mark.parametrize("status", ["SERVFAIL", "TIMEOUT"])
def test_a_dns_failure_is_neither_pass_nor_fail(status):
    assert evaluate(zone={"_dmarc.example.com": status}, signed=[dkim("example.com")]).result == "temperror"
    assert evaluate(zone={"_dmarc.com": status}).result == "temperror"
    assert (
        evaluate("a.example.com", zone={**REJECT, "_dmarc.com": status}, signed=[dkim("b.example.com")]).result
        == "temperror"
    )


def test_a_failure_above_does_not_matter_for_the_author_domain_itself():
    result = evaluate(zone={**REJECT, "_dmarc.com": "SERVFAIL"}, signed=[dkim("example.com")])
    assert result.result == "pass"


def test_a_failure_while_an_identifier_is_walked_is_a_temperror():
    zone = {**REJECT, "_dmarc.mail.example.com": "TIMEOUT"}
    assert evaluate(zone=zone, signed=[dkim("mail.example.com")]).result == "temperror"


def test_each_identifier_has_its_own_walk():
    zone = {**REJECT, "_dmarc.other.example.com": b"v=DMARC1; p=none; psd=n"}
    assert evaluate(zone=zone, signed=[dkim("mail.other.example.com")]).result == "fail"


def test_prefetch_names_every_question_about_the_author():
    author = scan(parse(b"From: <joe@a.b.example.com>\n\n"))
    resolver = Zone({"_dmarc.example.com": b"v=DMARC1; p=none; np=reject"})
    dmarc.evaluate(author, [], [], resolver)
    assert set(resolver.asked) <= set(dmarc.lookups("a.b.example.com"))


def test_many_identifiers_ask_only_about_possible_relatives():
    resolver = Zone(REJECT)
    author = scan(parse(b"From: <joe@example.com>\n\n"))
    dmarc.evaluate(author, [dkim(f"x{number}.example.org") for number in range(20)], [], resolver)
    assert all(not name.endswith(".org") for name, _ in resolver.asked)


@pytest.mark.parametrize(
    ("domain", "other", "expected"),
    [
        ("a.example.co.uk", "b.example.co.uk", "pass"),
        ("a.co.uk", "b.co.uk", "fail"),
        ("a.example.co.uk", "co.uk", "fail"),
    ],
)
def test_the_public_suffix_list_can_be_compared_with(domain, other, expected):
    zone = {"_dmarc.example.co.uk": b"v=DMARC1; p=reject", "_dmarc.a.co.uk": b"v=DMARC1; p=reject"}
    assert evaluate(domain, zone=zone, signed=[dkim(other)], suffix_list=True).result == expected


def test_several_author_domains_never_pass_and_the_strictest_failing_policy_shows():
    raw = b"From: <a@example.com>, <b@example.org>"
    zone = {"_dmarc.example.com": b"v=DMARC1; p=none", "_dmarc.example.org": b"v=DMARC1; p=quarantine"}
    verdict, result = judge(raw, zone=zone, signed=[dkim("example.com"), dkim("example.org")])
    assert (result.result, verdict.authenticated) == ("permerror", False)
    verdict, result = judge(raw, zone=zone, signed=[dkim("example.com")])
    assert (result.result, result.properties["policy.dmarc"], verdict.authenticated) == ("fail", "quarantine", False)
    _, result = judge(raw, zone=zone)
    assert result.properties == {"header.from": "example.com,example.org", "policy.dmarc": "quarantine"}


def test_a_message_without_author_has_an_explicit_result():
    verdict, result = judge(b"To: x")
    assert (result.result, result.properties, verdict.authenticated) == ("permerror", {}, False)


# The verdict


@pytest.mark.parametrize(
    ("zone", "signed", "spf", "expected"),
    [
        (REJECT, [dkim("mail.example.com")], [], True),
        (REJECT, [], [], False),
        ({}, [dkim("example.com")], [], True),
        ({}, [], [Spf("example.com")], True),
        ({}, [dkim("mail.example.com")], [], False),
        ({}, [dkim("com")], [], False),
        ({}, [], [Spf("bounce.example.com")], False),
        ({}, [], [Spf("example.com", identity="helo")], False),
        ({}, [dkim("example.com", "policy")], [], False),
        ({}, [dkim("example.com", "neutral")], [], False),
        ({"_dmarc.example.com": "SERVFAIL"}, [dkim("example.com")], [], False),
        ({"_dmarc.example.com": b"v=DMARC1; p=none"}, [dkim("example.org")], [], False),
        ({"_dmarc.example.com": b"v=DMARC1; p=none"}, [dkim("example.com")], [], True),
    ],
)
def test_authenticated(zone, signed, spf, expected):
    verdict, _ = judge(b"From: Joe <joe@example.com>", zone=zone, signed=signed, spf=spf)
    assert verdict.authenticated is expected, verdict.reason


@pytest.mark.parametrize(
    "raw",
    [
        b"From : joe@example.com",
        b"From: joe@example.com\nFrom: joe@example.com",
        b"From: joe@example.com, ann@example.com",
        b"From: <@relay.example:joe@example.com>",
        b"From: joe@example.com trailing",
        b"From: joe\0@example.com",
        b"Subject: x\rFrom: y@example.com\nFrom: joe@example.com",
    ],
)
def test_an_odd_from_is_never_authenticated(raw):
    verdict, result = judge(raw, signed=[dkim("example.com")], spf=[Spf("example.com")])
    assert not verdict.authenticated
    assert result.method == "dmarc"


@given(st.binary(max_size=80).map(lambda junk: b"v=DMARC1;" + junk))
def test_any_record_is_read(record):
    policy = DmarcRecord(record)
    assert policy.p in POLICIES
    assert policy.for_subdomain(exists=True) in POLICIES
    assert policy.for_subdomain(exists=False) in POLICIES


@given(st.binary(max_size=60), st.lists(st.text(max_size=20), max_size=3))
def test_any_from_and_any_signer_give_one_result(value, signers):
    verdict, result = judge(b"From: " + value, signed=[dkim(signer) for signer in signers])
    assert result.result in {"pass", "fail", "none", "temperror", "permerror"}
    assert not verdict.authenticated or result.result in {"pass", "none"}
