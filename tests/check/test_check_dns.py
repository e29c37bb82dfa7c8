"""What the DNS shows about a domain: each check with a case where it passes, one where it fails, one without answer."""

from __future__ import annotations

import pytest
from check_lab import Dns
from hypothesis import given
from hypothesis import strategies as st

from mailguard.check import blocklists, catalogue, control, policies, routing, sender_policy, zones
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING
from mailguard.dns.lookups import Lookups
from mailguard.seal.keys import new_key, parse_key

HOSTS = "mx.good.test A 192.0.2.1\nmx.good.test AAAA 2001:db8::1\nmx2.good.test A 198.51.100.1\n"


def lookups(text, **options):
    return Lookups(Dns(text, **options), questions=2000)


def shown(outcomes):
    """State and reason of each outcome; every sentence can be said in both languages."""
    outcomes = list(outcomes)
    for outcome in outcomes:
        assert catalogue.sentence(outcome, "ja", "good.test")
        assert "…" not in catalogue.sentence(outcome, "en", "good.test")
    return {(outcome.state, outcome.reason) for outcome in outcomes}


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (f"good.test MX 10 mx.good.test\ngood.test MX 20 mx2.good.test\n{HOSTS}", (GOOD, "good")),
        ("good.test MX 0 .", (GOOD, "null")),
        (f"good.test MX 0 .\ngood.test MX 10 mx.good.test\n{HOSTS}", (FAILURE, "null-mixed")),
        ("good.test A 192.0.2.1", (WARNING, "implicit")),
        ("good.test TXT x", (FAILURE, "missing")),
        ("other.test TXT x", (UNKNOWN, "nonexistent")),
        ("good.test MX 10 gone.good.test", (FAILURE, "unresolved")),
        ("good.test MX 10 192.0.2.1", (FAILURE, "literal")),
        (
            f"good.test MX 10 alias.good.test\nalias.good.test CNAME mx.good.test\n{HOSTS}",
            (WARNING, "alias"),
        ),
        ("good.test MX SERVFAIL", (UNKNOWN, "dns-failed")),
        ("good.test MX 10 mx.good.test\nmx.good.test * TIMEOUT", (UNKNOWN, "dns-failed")),
    ],
)
def test_the_destination_of_mail_is_judged(zone, expected):
    found = routing.route("good.test", lookups(zone))
    assert shown(outcome for outcome in found.outcomes if outcome.check == "mx.exists") == {expected}


def test_one_lost_server_of_two_is_grave_but_no_veto():
    zone = f"good.test MX 10 mx.good.test\ngood.test MX 20 gone.good.test\n{HOSTS}"
    outcomes = routing.route("good.test", lookups(zone)).outcomes
    (outcome,) = (each for each in outcomes if each.reason == "unresolved")
    assert (catalogue.severity(outcome), outcome.values["hosts"]) == ("high", "gone.good.test")


def test_ipv6_is_judged_for_each_server():
    zone = f"good.test MX 10 mx.good.test\ngood.test MX 20 mx2.good.test\n{HOSTS}"
    outcomes = [each for each in routing.route("good.test", lookups(zone)).outcomes if each.check == "ipv6"]
    assert {(each.subject, each.state) for each in outcomes} == {("mx.good.test", GOOD), ("mx2.good.test", WARNING)}


TAKING_REPORTS = "good.test MX 10 mx.good.test\ntest A 192.0.2.1\nelse.example MX 10 mx.good.test\n"
FOREIGN_REPORTS = "_dmarc.good.test TXT v=DMARC1; p=reject; rua=mailto:d@else.example\n"
APEX = "good.test SOA ns1.good.test. h.good.test. 1 1 1 1 1\ngood.test MX 10 mx.good.test\n"


@pytest.mark.parametrize(
    ("options", "zone", "trusted", "expected"),
    [
        ({"signed": ["good.test"]}, APEX, True, (GOOD, "good")),
        ({"signed": ["good.test"]}, APEX, False, (UNKNOWN, "untrusted")),
        ({}, APEX, True, (WARNING, "unsigned")),
        ({}, APEX + "good.test DS 1 13 2 00", True, (UNKNOWN, "unvalidated")),
        ({"bogus": ["good.test"]}, APEX, True, (FAILURE, "bogus")),
        ({}, "good.test * TIMEOUT", True, (UNKNOWN, "dns-failed")),
        ({}, "good.test MX 10 mx.good.test\ngood.test SOA SERVFAIL", True, (UNKNOWN, "dns-failed")),
    ],
)
def test_dnssec_is_what_a_trusted_validating_server_says(options, zone, trusted, expected):
    source = Dns(zone, **options)
    outcome = zones.dnssec("dnssec.domain", "good.test", "MX", Lookups(source), source.unchecked, trusted=trusted)
    assert shown([outcome]) == {expected}


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("n1.test A 192.0.2.1\nn2.test A 198.51.100.1", (GOOD, "good")),
        ("n1.test A 192.0.2.1\nn2.test AAAA 2001:db8::1\nn2.test A 192.0.2.2", (WARNING, "same-network")),
        ("n1.test A 192.0.2.1\nn2.test A 192.0.2.2", (WARNING, "same-network")),
        ("n1.test A SERVFAIL\nn1.test AAAA SERVFAIL\nn2.test A SERVFAIL", (UNKNOWN, "dns-failed")),
    ],
)
def test_name_servers_stand_in_several_networks(zone, expected):
    zone = f"{APEX}good.test NS n1.test\ngood.test NS n2.test\n{zone}"
    assert shown([zones.name_servers("good.test", lookups(zone))]) == {expected}


def test_one_name_server_is_too_few():
    assert shown([zones.name_servers("good.test", lookups(APEX + "good.test NS n1.test"))]) == {(WARNING, "single")}


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ('good.test CAA 0 issue "ca.example"', (GOOD, "good")),
        ('mx.good.test CAA 0 iodef "mailto:a@good.test"\ngood.test CAA 0 issue "ca.example"', (WARNING, "missing")),
        ("good.test A 192.0.2.1", (WARNING, "missing")),
        ("good.test CAA SERVFAIL", (UNKNOWN, "dns-failed")),
    ],
)
def test_caa_is_looked_for_upwards(zone, expected):
    assert shown([zones.caa("mx.good.test", lookups(zone))]) == {expected}


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("1.2.0.192.in-addr.arpa PTR mx.good.test\nmx.good.test A 192.0.2.1", (GOOD, "good")),
        ("1.2.0.192.in-addr.arpa PTR mx.good.test\nmx.good.test A 192.0.2.9", (WARNING, "mismatch")),
        ("good.test A 192.0.2.1", (WARNING, "missing")),
        ("1.2.0.192.in-addr.arpa PTR SERVFAIL", (UNKNOWN, "dns-failed")),
    ],
)
def test_reverse_names_lead_back(zone, expected):
    assert shown([zones.reverse("mx.good.test", "192.0.2.1", lookups(zone))]) == {expected}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 mx -all", {(GOOD, "good")}),
        ("v=spf1 ip4:192.0.2.0/24 a:mx.good.test/24 exists:%{i}.x.test ~all", {(GOOD, "good")}),
        ("v=spf1 redirect=inc.test", {(GOOD, "good")}),
        ("v=spf1 +all", {(FAILURE, "pass-all")}),
        ("v=spf1 all", {(FAILURE, "pass-all")}),
        ("v=spf1 include:everybody.test -all", {(FAILURE, "pass-all")}),
        ("v=spf1 -include:everybody.test -all", {(GOOD, "good")}),
        ("v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", {(FAILURE, "pass-all")}),
        ("v=spf1 ip4:10.0.0.0/8 -all", {(WARNING, "wide")}),
        ("v=spf1 ip6:2001::/16 -all", {(WARNING, "wide")}),
        ("v=spf1 mx ?all", {(WARNING, "neutral-all")}),
        ("v=spf1 mx", {(WARNING, "open-ended")}),
        ("v=spf1 ptr -all", {(WARNING, "ptr")}),
        ("v=spf1 ipv4:192.0.2.1 -all", {(FAILURE, "syntax")}),
        ("v=spf1 ip4:192.0.2.300 -all", {(FAILURE, "syntax")}),
        ("v=spf1 redirect=a.test redirect=b.test", {(FAILURE, "syntax")}),
        ("v=spf1 include: -all", {(FAILURE, "syntax")}),
        ("v=spf1 all:x", {(FAILURE, "syntax")}),
        ("v=spf1 include:nowhere.test -all", {(FAILURE, "include")}),
        ("v=spf1 include:good.test -all", {(FAILURE, "loop")}),
        ("v=spf1 include:slow.test -all", {(UNKNOWN, "dns-failed")}),
        ("v=spf1 a:x1.test a:x2.test a:x3.test -all", {(FAILURE, "voids")}),
        ("v=spf1 " + " ".join(f"a:mx{n % 2 or ''}.good.test" for n in (0,) * 11) + " -all", {(FAILURE, "lookups")}),
        ("v=spf1 include:many.test a a a a +all", {(FAILURE, "lookups"), (FAILURE, "pass-all")}),
        ("v=spf1 " + "ip4:192.0.2.1 " * 700 + "-all", {(FAILURE, "long")}),
    ],
)
def test_an_spf_record_is_judged_for_every_client(record, expected):
    zone = (
        f"good.test TXT {record}\ngood.test A 192.0.2.1\ngood.test MX 10 mx.good.test\n{HOSTS}"
        "everybody.test TXT v=spf1 +all\ninc.test TXT v=spf1 ip4:192.0.2.1 -all\nslow.test TXT TIMEOUT\n"
        "many.test TXT v=spf1 " + "a:mx.good.test " * 8 + "-all\n"
    )
    assert shown(sender_policy.check("good.test", lookups(zone))) == expected


def test_a_hostile_spf_record_costs_few_questions_and_little_time():
    slashes = "a:" + "/" * 7000 + "x"
    (outcome,) = sender_policy.check("good.test", lookups(f"good.test TXT v=spf1 {slashes} -all"))
    assert (outcome.state, outcome.reason) == (FAILURE, "syntax")
    names = " ".join(f"a:h{n}.test" for n in range(500))
    source = Dns(f"good.test TXT v=spf1 include:more.test -all\nmore.test TXT v=spf1 {names} -all")
    found = shown(sender_policy.check("good.test", Lookups(source, questions=5000)))
    assert found == {(FAILURE, "lookups"), (FAILURE, "voids")}
    assert len(source.questions) < 200
    source = Dns(f"good.test TXT v=spf1 include:more.test -all\nmore.test TXT v=spf1 {names} {slashes} {slashes} -all")
    assert shown(sender_policy.check("good.test", Lookups(source))) == {(FAILURE, "long")}


def test_the_number_of_spf_records_counts():
    assert shown(sender_policy.check("good.test", lookups("good.test TXT hello"))) == {(FAILURE, "missing")}
    two = "good.test TXT v=spf1 -all\ngood.test TXT v=spf1 mx -all"
    assert shown(sender_policy.check("good.test", lookups(two))) == {(FAILURE, "multiple")}
    assert shown(sender_policy.check("good.test", lookups("good.test TXT SERVFAIL"))) == {(UNKNOWN, "dns-failed")}


def test_when_there_were_too_many_questions_nothing_is_said_to_be_missing():
    exhausted = Lookups(Dns(APEX), questions=0)
    outcomes = [
        *routing.route("good.test", exhausted).outcomes,
        *sender_policy.check("good.test", exhausted),
        *policies.dmarc("good.test", exhausted),
        policies.tlsrpt("good.test", exhausted),
        policies.bimi("good.test", exhausted, enforced=True),
        zones.caa("good.test", exhausted),
        zones.dnssec("dnssec.domain", "good.test", "MX", exhausted, Dns(APEX).unchecked, trusted=True),
    ]
    assert {outcome.state for outcome in outcomes} == {UNKNOWN}


def test_everybody_may_send_is_a_veto_and_a_wide_range_is_not():
    for record, severity in (("v=spf1 +all", "critical"), ("v=spf1 ip4:10.0.0.0/8 -all", "medium")):
        (outcome,) = sender_policy.check("good.test", lookups(f"good.test TXT {record}"))
        assert catalogue.severity(outcome) == severity


@given(st.text(st.sampled_from("v=spf1 allincludemxptr:ip46%{}/.-+~?0123456789_redirect=exp"), max_size=200))
def test_any_text_is_an_spf_record_or_none(text):
    zone = Dns("other.test A 192.0.2.1")
    zone.zone._records["good.test"] = {"TXT": [f"v=spf1 {text}".encode()]}
    assert shown_states(sender_policy.check("good.test", Lookups(zone, questions=500)))


def shown_states(outcomes):
    return [catalogue.sentence(outcome, "en", "good.test") for outcome in outcomes]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("_dmarc.good.test TXT v=DMARC1; p=reject; rua=mailto:d@good.test", {(GOOD, "good")}),
        ("_dmarc.test TXT v=DMARC1; p=reject; sp=quarantine; rua=mailto:d@test", {(GOOD, "good")}),
        ("_dmarc.test TXT v=DMARC1; p=reject; sp=none; rua=mailto:d@test", {(WARNING, "none")}),
        ("_dmarc.good.test TXT v=DMARC1; p=none; rua=mailto:d@good.test", {(WARNING, "none")}),
        ("_dmarc.good.test TXT v=DMARC1; p=reject", {(WARNING, "no-reports")}),
        ("_dmarc.good.test TXT v=DMARC1; p=reject; t=y; rua=mailto:d@good.test", {(WARNING, "testing")}),
        ("_dmarc.good.test TXT v=DMARC1; p=reject; sp=none; rua=mailto:d@good.test", {(WARNING, "subdomains")}),
        ("_dmarc.good.test TXT v=DMARC1; p=reject; np=none; rua=mailto:d@good.test", {(WARNING, "subdomains")}),
        ("_dmarc.good.test TXT v=DMARC1; p=reject; pct=50; rua=mailto:d@good.test", {(WARNING, "obsolete")}),
        ("_dmarc.good.test TXT v=DMARC1; p=reject; rua=mailto:d@else.example", {(WARNING, "foreign-reports")}),
        (
            FOREIGN_REPORTS + "good.test._report._dmarc.else.example TXT v=DMARC1",
            {(GOOD, "good")},
        ),
        (
            FOREIGN_REPORTS + "good.test._report._dmarc.else.example TXT TIMEOUT",
            {(GOOD, "good")},
        ),
        ("_dmarc.good.test TXT v=DMARC1; p=forbid", {(FAILURE, "malformed")}),
        (
            "_dmarc.good.test TXT v=DMARC1; p=reject\n_dmarc.good.test TXT v=DMARC1; p=none",
            {(FAILURE, "multiple")},
        ),
        ("good.test TXT v=DMARC1; p=reject", {(FAILURE, "misplaced")}),
        ("good.test TXT v=DMARC2; p=reject", {(FAILURE, "missing")}),
        ("_dmarc.good.test TXT SERVFAIL", {(UNKNOWN, "dns-failed")}),
    ],
)
def test_a_dmarc_record_is_judged_by_rfc_9989(zone, expected):
    assert shown(policies.dmarc("good.test", lookups(f"{zone}\n{TAKING_REPORTS}"))) == expected


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("_smtp._tls.good.test TXT v=TLSRPTv1; rua=mailto:t@good.test", (GOOD, "good")),
        ("_smtp._tls.good.test TXT v=TLSRPTv1;rua=mailto:t@good.test,https://good.test/x;", (GOOD, "good")),
        ("_smtp._tls.good.test TXT v=TLSRPTv1", (FAILURE, "malformed")),
        ("_smtp._tls.good.test TXT v=TLSRPTv1; rua=ftp://x", (FAILURE, "malformed")),
        (
            "_smtp._tls.good.test TXT v=TLSRPTv1; rua=mailto:a@b\n_smtp._tls.good.test TXT v=TLSRPTv1; rua=mailto:a@b",
            (FAILURE, "multiple"),
        ),
        ("good.test A 192.0.2.1", (WARNING, "missing")),
        ("_smtp._tls.good.test TXT TIMEOUT", (UNKNOWN, "dns-failed")),
    ],
)
def test_reports_about_tls_are_asked_for(zone, expected):
    assert shown([policies.tlsrpt("good.test", lookups(f"{zone}\n{TAKING_REPORTS}"))]) == {expected}


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("default._bimi.good.test TXT v=BIMI1; l=https://good.test/l.svg; a=", (GOOD, "good")),
        ("default._bimi.good.test TXT v=BIMI1; l=; a=", (NOT_APPLICABLE, "declined")),
        ("default._bimi.good.test TXT v=BIMI1; l=http://good.test/l.svg", (WARNING, "malformed")),
        ("good.test A 192.0.2.1", (NOT_APPLICABLE, "absent")),
        ("default._bimi.good.test TXT SERVFAIL", (UNKNOWN, "dns-failed")),
    ],
)
def test_a_logo_can_be_shown(zone, expected):
    resolver = lookups(zone + "\n_dmarc.good.test TXT v=DMARC1; p=reject")
    assert policies.enforced("good.test", resolver)
    assert shown([policies.bimi("good.test", resolver, enforced=True)]) == {expected}


def test_a_logo_needs_a_policy():
    resolver = lookups(
        "default._bimi.good.test TXT v=BIMI1; l=https://good.test/l.svg\n_dmarc.good.test TXT v=DMARC1; p=none"
    )
    assert not policies.enforced("good.test", resolver)
    assert shown([policies.bimi("good.test", resolver, enforced=False)]) == {(WARNING, "weak-dmarc")}


LIVE = "2.0.0.127.bl.test A 127.0.0.2\n2.0.0.127.small.test A 127.0.0.2\n"
LISTS = (blocklists.Blocklist("bl.test"), blocklists.Blocklist("small.test", major=False))


@pytest.mark.parametrize(
    ("zone", "expected", "severity"),
    [
        (LIVE, (GOOD, "good"), "critical"),
        (LIVE + "1.2.0.192.bl.test A 127.0.0.10", (FAILURE, "listed"), "critical"),
        (LIVE + "1.2.0.192.small.test A 127.0.0.2", (WARNING, "listed"), "informational"),
        (LIVE + "1.2.0.192.bl.test A 127.255.255.254", (GOOD, "good"), "critical"),
        (LIVE + "1.2.0.192.bl.test A 203.0.113.1", (GOOD, "good"), "critical"),
        ("other.test A 192.0.2.1", (UNKNOWN, "silent"), "medium"),
        ("2.0.0.127.bl.test A 127.255.255.254\n1.2.0.192.bl.test A 127.0.0.2", (UNKNOWN, "silent"), "medium"),
        ("2.0.0.127.bl.test TIMEOUT".replace(" T", " A T"), (UNKNOWN, "silent"), "medium"),
        (
            "2.0.0.127.bl.test A 127.0.0.2\n1.0.0.127.bl.test A 127.0.0.2\n1.2.0.192.bl.test A 127.0.0.2",
            (UNKNOWN, "silent"),
            "medium",
        ),
    ],
)
def test_a_block_list_counts_only_when_it_is_alive_and_serves_us(zone, expected, severity):
    outcome = blocklists.address("mx.good.test", "192.0.2.1", LISTS, lookups(zone))
    assert shown([outcome]) == {expected}
    assert catalogue.severity(outcome) == severity


def test_a_list_of_domains_names_its_own_test_entries():
    lists = (blocklists.Blocklist("dbl.test", present="dbltest.com", absent="invalid"),)
    live = "dbltest.com.dbl.test A 127.0.1.2\n"
    assert shown([blocklists.domain("good.test", lists, lookups(live))]) == {(GOOD, "good")}
    listed = live + "good.test.dbl.test A 127.0.1.2"
    assert shown([blocklists.domain("good.test", lists, lookups(listed))]) == {(FAILURE, "listed")}


def test_an_ipv6_address_is_asked_for_nibble_by_nibble():
    source = Dns(LIVE)
    blocklists.address("mx.good.test", "2001:db8::1", LISTS[:1], Lookups(source))
    name = "1." + "0." * 23 + "8.b.d.0.1.0.0.2.bl.test"
    assert (name, "A") in source.questions


def test_control_is_proved_by_a_record_that_fits_key_and_domain():
    key, other = (parse_key(new_key()) for _ in range(2))
    zone = f"_mailguard-check.good.test TXT {control.token('good.test', key)}\n"
    zone += f"_mailguard-check.bad.test TXT {control.token('good.test', key)}"
    resolver = lookups(zone)
    assert control.proved("good.test", resolver, key)
    assert not control.proved("good.test", resolver, other)
    assert not control.proved("bad.test", resolver, key)
    assert not control.proved("none.test", resolver, key)
