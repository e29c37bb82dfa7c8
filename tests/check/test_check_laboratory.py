"""A laboratory: one right domain with a fault each, and other right domains; each fault is named, and nothing else is.

The cases are those of other programs (checkdmarc, internet.nl, Zonemaster, testssl), of RFCs, and of what people write.
"""

from __future__ import annotations

import base64
import contextlib
import time

import pytest
from check_lab import Authority, Dns, MailServer, WebServer, http, settings

from mailguard.check import catalogue
from mailguard.check.outcome import FAILURE, NOT_APPLICABLE, UNKNOWN, WARNING
from mailguard.check.scan import scan
from mailguard.dns.presentation import read, written

POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 604800\r\n"
ZONE = """
good.test SOA ns1.good.test. h.good.test. 1 1 1 1 1
good.test NS ns1.good.test
good.test NS ns2.good.test
ns1.good.test A 192.0.2.1
ns2.good.test A 198.51.100.1
good.test MX 10 mx.good.test
mx.good.test A 127.0.0.2
2.0.0.127.in-addr.arpa PTR mx.good.test
good.test TXT v=spf1 mx -all
good.test CAA 0 issue "ca.example"
_dmarc.good.test TXT v=DMARC1; p=reject; rua=mailto:d@good.test
_smtp._tls.good.test TXT v=TLSRPTv1; rua=mailto:t@good.test
_mta-sts.good.test TXT v=STSv1; id=20260101;
mta-sts.good.test A 127.0.0.3
else.test MX 10 mx.else.test
mx.else.test A 192.0.2.25
good.test._report._dmarc.else.test TXT v=DMARC1
"""
SPF = "good.test TXT v=spf1 mx -all"
DMARC = "_dmarc.good.test TXT v=DMARC1; p=reject; rua=mailto:d@good.test"
REPORTS = "_smtp._tls.good.test TXT v=TLSRPTv1; rua=mailto:t@good.test"
STS = "_mta-sts.good.test TXT v=STSv1; id=20260101;"
MX = "good.test MX 10 mx.good.test"
WEB = "\nmta-sts.good.test A 127.0.0.3"


def spf(text, more=""):
    return ZONE.replace(SPF, f"good.test TXT {text}\n{more}" if text else more)


def dmarc(text, more=""):
    return ZONE.replace(DMARC, f"_dmarc.good.test TXT {text}\n{more}" if text else more)


def exchanges(number, owner):
    return "".join(f"{owner} MX 10 mx{each}.{owner}\nmx{each}.{owner} A 192.0.2.{each + 1}\n" for each in range(number))


def includes(number):
    return "".join(f"i{each}.test TXT v=spf1 ip4:192.0.2.{each} -all\n" for each in range(number))


FAULTS = {
    # SPF
    "no SPF": (spf(""), ("spf", FAILURE, "missing")),
    "SPF +all": (spf("v=spf1 mx +all"), ("spf", FAILURE, "pass-all")),
    "SPF all": (spf("v=spf1 mx all"), ("spf", FAILURE, "pass-all")),
    "SPF ?all": (spf("v=spf1 mx ?all"), ("spf", WARNING, "neutral-all")),
    "SPF without all": (spf("v=spf1 mx"), ("spf", WARNING, "open-ended")),
    "two SPF": (spf("v=spf1 mx -all", "good.test TXT v=spf1 a -all"), ("spf", FAILURE, "multiple")),
    "SPF with a semicolon": (spf("v=spf1; mx -all"), ("spf", FAILURE, "misspelt")),
    "SPF with a blank before": (spf('" v=spf1 mx -all"'), ("spf", FAILURE, "misspelt")),
    "SPF in typographic quotes": (spf("“v=spf1 mx -all”"), ("spf", FAILURE, "misspelt")),
    "SPF in quotes within quotes": (spf(r'"\"v=spf1 mx -all\""'), ("spf", FAILURE, "misspelt")),
    "SPF with blanks around =": (spf("v = spf1 mx -all"), ("spf", FAILURE, "misspelt")),
    "SPF without version": (spf("spf1 mx -all"), ("spf", FAILURE, "misspelt")),
    "SPF version 2": (spf("v=spf2 mx -all"), ("spf", FAILURE, "misspelt")),
    "SPF without v=": (spf("include:_spf.else.test ~all"), ("spf", FAILURE, "misspelt")),
    "SPF with an odd term": (spf("v=spf1 mx ipv4:192.0.2.1 -all"), ("spf", FAILURE, "syntax")),
    "SPF with a bad range": (spf("v=spf1 ip4:192.0.2.300 -all"), ("spf", FAILURE, "syntax")),
    "SPF with a comma": (spf("v=spf1 mx, -all"), ("spf", FAILURE, "syntax")),
    "SPF with 11 lookups": (
        spf("v=spf1 " + " ".join(f"include:i{each}.test" for each in range(11)) + " -all", includes(11)),
        ("spf", FAILURE, "lookups"),
    ),
    "SPF with voids": (spf("v=spf1 mx a:x1.good.test a:x2.good.test a:x3.good.test -all"), ("spf", FAILURE, "voids")),
    "SPF include nowhere": (spf("v=spf1 include:gone.test -all"), ("spf", FAILURE, "include")),
    "SPF loop": (spf("v=spf1 include:good.test -all"), ("spf", FAILURE, "loop")),
    "SPF wide": (spf("v=spf1 mx ip4:10.0.0.0/8 -all"), ("spf", WARNING, "wide")),
    "SPF everybody in halves": (spf("v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all"), ("spf", FAILURE, "pass-all")),
    "SPF everybody by include": (
        spf("v=spf1 include:all.test -all", "all.test TXT v=spf1 +all"),
        ("spf", FAILURE, "pass-all"),
    ),
    "SPF mx with 11 MX": (
        spf("v=spf1 mx:many.test -all", exchanges(11, "many.test")),
        ("spf", FAILURE, "exchanges"),
    ),
    "SPF text after all": (spf("v=spf1 mx -all ip4:192.0.2.7"), ("spf", WARNING, "after-all")),
    # DMARC
    "no DMARC": (dmarc(""), ("dmarc", FAILURE, "missing")),
    "DMARC p=none": (dmarc("v=DMARC1; p=none; rua=mailto:d@good.test"), ("dmarc", WARNING, "none")),
    "DMARC without p": (dmarc("v=DMARC1; rua=mailto:d@good.test"), ("dmarc", WARNING, "none")),
    "two DMARC": (
        dmarc("v=DMARC1; p=reject", "_dmarc.good.test TXT v=DMARC1; p=none"),
        ("dmarc", FAILURE, "multiple"),
    ),
    "DMARC p=rejected": (dmarc("v=DMARC1; p=rejected"), ("dmarc", FAILURE, "malformed")),
    "DMARC without a semicolon": (dmarc("v=DMARC1 p=reject"), ("dmarc", FAILURE, "misspelt")),
    "DMARC with commas": (dmarc("v=DMARC1, p=reject"), ("dmarc", FAILURE, "misspelt")),
    "DMARC with p first": (dmarc("p=reject; v=DMARC1"), ("dmarc", FAILURE, "misspelt")),
    "DMARC in quotes within quotes": (dmarc(r'"\"v=DMARC1; p=reject\""'), ("dmarc", FAILURE, "misspelt")),
    "DMARC in typographic quotes": (dmarc("“v=DMARC1; p=reject”"), ("dmarc", FAILURE, "misspelt")),
    "DMARC version 2": (dmarc("v=DMARC2; p=reject"), ("dmarc", FAILURE, "misspelt")),
    "DMARC in lower case": (dmarc("v=dmarc1; p=reject"), ("dmarc", FAILURE, "misspelt")),
    "DMARC at the apex": (dmarc("", "good.test TXT v=DMARC1; p=reject"), ("dmarc", FAILURE, "misplaced")),
    "DMARC t=y": (dmarc("v=DMARC1; p=reject; t=y; rua=mailto:d@good.test"), ("dmarc", WARNING, "testing")),
    "DMARC sp=none": (dmarc("v=DMARC1; p=reject; sp=none; rua=mailto:d@good.test"), ("dmarc", WARNING, "subdomains")),
    "DMARC np=none": (dmarc("v=DMARC1; p=reject; np=none; rua=mailto:d@good.test"), ("dmarc", WARNING, "subdomains")),
    "DMARC adkim=strict": (
        dmarc("v=DMARC1; p=reject; adkim=strict; rua=mailto:d@good.test"),
        ("dmarc", WARNING, "odd-value"),
    ),
    "DMARC aspf=relaxed": (
        dmarc("v=DMARC1; p=reject; aspf=relaxed; rua=mailto:d@good.test"),
        ("dmarc", WARNING, "odd-value"),
    ),
    "DMARC psd=y": (dmarc("v=DMARC1; p=reject; psd=y; rua=mailto:d@good.test"), ("dmarc", WARNING, "psd")),
    "DMARC rua without mailto": (dmarc("v=DMARC1; p=reject; rua=d@good.test"), ("dmarc", WARNING, "odd-reports")),
    "DMARC rua by https": (dmarc("v=DMARC1; p=reject; rua=https://good.test/d"), ("dmarc", WARNING, "odd-reports")),
    "DMARC rua nowhere": (dmarc("v=DMARC1; p=reject; rua=mailto:d@gone.test"), ("dmarc", WARNING, "dead-reports")),
    "DMARC rua at a null MX": (
        dmarc("v=DMARC1; p=reject; rua=mailto:d@null.test", "null.test MX 0 ."),
        ("dmarc", WARNING, "dead-reports"),
    ),
    "DMARC rua at strangers": (
        dmarc("v=DMARC1; p=reject; rua=mailto:d@other.test", "other.test MX 10 mx.else.test"),
        ("dmarc", WARNING, "foreign-reports"),
    ),
    # Routes
    "no MX": (ZONE.replace(MX, "good.test A 127.0.0.2"), ("mx.exists", WARNING, "implicit"), ("mtasts.match", FAILURE, "unmatched"), ("tls.cert", FAILURE, "name")),
    "MX nowhere": (ZONE.replace(MX, f"{MX}\ngood.test MX 20 gone.good.test"), ("mx.exists", FAILURE, "unresolved"), ("mtasts.match", FAILURE, "unmatched")),
    "MX is an address": (ZONE.replace(MX, f"{MX}\ngood.test MX 20 192.0.2.9"), ("mx.exists", FAILURE, "literal"), ("mtasts.match", FAILURE, "unmatched")),
    "MX is an alias": (
        ZONE.replace(MX, "good.test MX 10 alias.good.test\nalias.good.test CNAME mx.good.test"),
        ("mx.exists", WARNING, "alias"),
        ("mtasts.match", FAILURE, "unmatched"),
    ),
    "null MX beside another": (ZONE.replace(MX, f"{MX}\ngood.test MX 0 ."), ("mx.exists", FAILURE, "null-mixed")),
    # MTA-STS and TLS-RPT
    "MTA-STS misspelt": (ZONE.replace(STS, "_mta-sts.good.test TXT v=STS1; id=1;"), ("mtasts.record", WARNING, "misspelt")),
    "MTA-STS without id": (ZONE.replace(STS, "_mta-sts.good.test TXT v=STSv1;"), ("mtasts.record", FAILURE, "malformed")),
    "MTA-STS twice": (ZONE.replace(STS, f"{STS}\n{STS[:-3]}2;"), ("mtasts.record", FAILURE, "multiple")),
    "no MTA-STS": (ZONE.replace(STS, ""), ("mtasts.record", WARNING, "missing")),
    "MTA-STS without a server": (ZONE.replace(WEB, ""), ("mtasts.policy", FAILURE, "no-address")),
    "MX not in the policy": (
        ZONE.replace(MX, f"{MX}\n" + "".join(
            f"good.test MX {20 + each} mx{each}.good.test\nmx{each}.good.test A 127.0.0.2\n" for each in range(12)
        )),
        ("mtasts.match", FAILURE, "unmatched"),
        ("mx.reach", UNKNOWN, "unvisited"),
        ("spf", FAILURE, "exchanges"),
    ),
    "TLS-RPT misspelt": (
        ZONE.replace(REPORTS, "_smtp._tls.good.test TXT v=TLSRPT1; rua=mailto:t@good.test"),
        ("tlsrpt", WARNING, "misspelt"),
    ),
    "TLS-RPT nowhere": (
        ZONE.replace(REPORTS, "_smtp._tls.good.test TXT v=TLSRPTv1; rua=mailto:t@gone.test"),
        ("tlsrpt", WARNING, "dead"),
    ),
    "TLS-RPT without rua": (ZONE.replace(REPORTS, "_smtp._tls.good.test TXT v=TLSRPTv1;"), ("tlsrpt", FAILURE, "malformed")),
    # DNS
    "one name server": (ZONE.replace("good.test NS ns2.good.test\n", ""), ("ns", WARNING, "single")),
    "name servers together": (ZONE.replace("198.51.100.1", "192.0.2.2"), ("ns", WARNING, "same-network")),
    "CAA for nobody": (ZONE.replace('issue "ca.example"', 'issue ";"'), ("caa", WARNING, "nobody")),
    "no CAA": (ZONE.replace('good.test CAA 0 issue "ca.example"', ""), ("caa", WARNING, "missing")),
    "PTR missing": (ZONE.replace("2.0.0.127.in-addr.arpa PTR mx.good.test", ""), ("mx.ptr", WARNING, "missing")),
    "PTR elsewhere": (ZONE.replace("arpa PTR mx.good", "arpa PTR ns1.good"), ("mx.ptr", WARNING, "mismatch")),
    "TLSA of another certificate": (ZONE + "_25._tcp.mx.good.test TLSA 3 1 1 " + "00" * 32, ("dane.tlsa", FAILURE, "mismatch")),
    "TLSA fails": (ZONE + "_25._tcp.mx.good.test TLSA SERVFAIL", ("dane.tlsa", FAILURE, "servfail")),
    "TLSA of no use": (ZONE + "_25._tcp.mx.good.test TLSA 1 1 1 " + "00" * 32, ("dane.tlsa", WARNING, "unusable")),
}  # fmt: skip

SERVERS = {
    "no STARTTLS": (
        {"tls": None},
        ("tls.starttls", FAILURE, "missing"),
    ),
    "AUTH in the clear": ({"login": True}, ("auth.plain", FAILURE, "offered")),
    "banner localhost": (
        {"banner": "220 localhost.localdomain ESMTP", "ehlo": "localhost.localdomain"},
        ("banner", WARNING, "unresolved"),
    ),
    "banner with a version": ({"banner": "220 mx.good.test Sendmail 8.15.2"}, ("banner", WARNING, "version")),
    "banner without a name": ({"banner": "220 welcome"}, ("banner", WARNING, "no-name")),
    "banner of another": ({"ehlo": "ns1.good.test"}, ("banner", WARNING, "different")),
    "everybody is a recipient": ({"recipients": lambda _: "250 ok"}, ("rcpt.unknown", WARNING, "accepted")),
    "no postmaster": (
        {"recipients": lambda to: "250 ok" if "abuse" in to else "550 no such user"},
        ("postmaster", WARNING, "refused"),
    ),
    "no abuse": (
        {"recipients": lambda to: "250 ok" if "postmaster" in to else "550 no such user"},
        ("abuse", WARNING, "refused"),
    ),
    "it refuses": ({"banner": "554 no service here"}, ("mx.reach", FAILURE, "refusing")),
    "it is no SMTP": ({"banner": "SSH-2.0-x"}, ("mx.reach", FAILURE, "hung-up")),
    "it hangs up": ({"first": lambda _: None}, ("mx.reach", FAILURE, "hung-up")),
    "it executes what came before TLS": ({"inject": True}, ("tls.injection", FAILURE, "executed")),
}

RIGHT = {
    "as it should be": ZONE,
    "SPF ~all": spf("v=spf1 mx ~all"),
    "SPF redirect": spf("v=spf1 redirect=r.test", "r.test TXT v=spf1 ip4:192.0.2.1 -all"),
    "SPF with 10 lookups": spf(
        "v=spf1 " + " ".join(f"include:i{each}.test" for each in range(10)) + " -all", includes(10)
    ),
    "SPF in capitals": spf("V=SPF1 MX -ALL"),
    "SPF with two blanks": spf("v=spf1  mx  -all "),
    "SPF with a modifier of the future": spf("v=spf1 mx moo=x -all"),
    "SPF mx with 10 MX": spf("v=spf1 mx:many.test -all", exchanges(10, "many.test")),
    "SPF with two voids": spf("v=spf1 mx a:x1.good.test a:x2.good.test -all"),
    "other TXT beside SPF": ZONE + "good.test TXT google-site-verification=spf\ngood.test TXT v=verify p=reject",
    "DMARC p=quarantine": dmarc("v=DMARC1; p=quarantine; rua=mailto:d@good.test"),
    "DMARC with blanks": dmarc("v=DMARC1 ; p = reject ; rua = mailto:d@good.test ;"),
    "DMARC strict": dmarc("v=DMARC1; p=reject; adkim=s; aspf=R; fo=1; psd=n; rua=mailto:d@good.test"),
    "DMARC rua at agreeing strangers": dmarc("v=DMARC1; p=reject; rua=mailto:d@else.test!10m"),
    "DMARC twice rua": dmarc("v=DMARC1; p=reject; rua=mailto:d@good.test, mailto:d@else.test"),
    "DMARC of the organization": ZONE.replace(DMARC, "_dmarc.test TXT v=DMARC1; p=reject; rua=mailto:d@good.test\n"),
    "null MX": dmarc("v=DMARC1; p=reject; rua=mailto:d@else.test").replace(MX, "good.test MX 0 .").replace(
        SPF, "good.test TXT v=spf1 -all"
    ).replace(STS, "").replace(REPORTS, ""),
    "TLS-RPT by https": ZONE.replace("rua=mailto:t@good.test", "rua=https://good.test/r"),
    "CAA with a second issuer": ZONE + 'good.test CAA 0 issue ";"',
    "two preferences of the same server": ZONE + "good.test MX 20 mx.good.test",
}  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def leaf(authority):
    return authority.issue("mx.good.test", "alias.good.test", *(f"mx{each}.good.test" for each in range(12)))


@pytest.fixture(scope="module")
def mail(leaf):
    with MailServer(tls=leaf.context()) as server:
        yield server


@pytest.fixture(scope="module")
def web(authority):
    with WebServer(authority.issue("mta-sts.good.test").context(), http(POLICY)) as server:
        yield server


def scanned(zone, authority, *servers):
    made = settings(Dns(zone, signed=["good.test"]), *servers, ca_file=authority.file, now=int(time.time()))
    return scan("good.test", made)


def found(report):
    """What is said, and of that what is not merely informational."""
    for outcome in report.outcomes:
        for lang in ("ja", "en"):
            assert catalogue.sentence(outcome, lang, "good.test")
        assert "…" not in catalogue.sentence(outcome, "en", "good.test"), outcome
    grave = {
        (each.check, each.state, each.reason)
        for each in report.outcomes
        if each.state in {FAILURE, WARNING, UNKNOWN} and catalogue.severity(each) != "informational"
    }
    return {(each.check, each.state, each.reason) for each in report.outcomes}, grave


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_dns_is_named_and_nothing_else(name, authority, mail, web):
    zone, *expected = FAULTS[name]
    said, grave = found(scanned(zone, authority, mail, web))
    assert set(expected) <= said
    assert grave <= set(expected)


@pytest.mark.parametrize("name", SERVERS)
def test_a_fault_of_the_server_is_named_and_hides_nothing_good(name, authority, leaf, web):
    attributes, expected = SERVERS[name]
    with MailServer(**{"tls": leaf.context()} | attributes) as server:
        said, grave = found(scanned(ZONE, authority, server, web))
    assert expected in said
    assert {each for each in grave if each[1] != UNKNOWN} <= {expected}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_raises_no_alarm(name, authority, mail, web):
    report = scanned(RIGHT[name], authority, mail, web)
    assert found(report)[1] == set()
    assert report.verdict.code == "safe"


def test_dane_makes_a_certificate_of_ones_own_right(authority, web):
    """RFC 7672 3.1.1: with usage 3 neither issuer nor name nor date count; a policy that is enforced counts all the same."""
    own = authority.issue("other.test", own=True)
    zone = ZONE.replace(STS, "") + f"_25._tcp.mx.good.test TLSA {own.tlsa()}\n"
    with MailServer(tls=own.context()) as server:
        report = scanned(zone, authority, server, web)
        assert found(report)[1] == set()
        assert ("tls.cert", WARNING, "self-signed") in found(report)[0]
        assert report.verdict.code == "safe"
        enforced = scanned(zone + STS, authority, server, web)
    assert ("tls.cert", FAILURE, "self-signed") in found(enforced)[1]


def test_a_domain_that_sends_and_takes_nothing_is_not_dangerous(authority):
    zone = "good.test SOA ns1.good.test. h.good.test. 1 1 1 1 1\ngood.test TXT v=spf1 -all\n" + DMARC
    report = scanned(zone, authority)
    assert ("mx.exists", WARNING, "unused") in found(report)[0]
    assert report.verdict.code != "danger"


@pytest.mark.parametrize(
    ("more", "state"), [("", FAILURE), ("good.test MX 20 mx4.good.test\nmx4.good.test A 127.0.0.2", WARNING)]
)
def test_who_has_only_ipv6_is_not_reached_by_everybody(more, state):
    from mailguard.check import routing
    from mailguard.dns.lookups import Lookups

    zone = Dns(f"good.test MX 10 mx.good.test\nmx.good.test AAAA 2001:db8::1\n{more}")
    outcomes = routing.route("good.test", Lookups(zone)).outcomes
    assert [each.state for each in outcomes if each.reason == "no-ipv4"] == [state]


def test_a_server_that_says_nothing_is_a_failure(authority, web, monkeypatch):
    from mailguard.check import dialogue

    monkeypatch.setattr(dialogue, "GREETING_SECONDS", 0.2)
    with MailServer() as server:
        server.first = lambda _: server.stopped.wait(60)
        said, _ = found(scanned(ZONE, authority, server, web))
    assert ("mx.reach", FAILURE, "silent") in said


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.1.1", "192.168.1.1"])
def test_a_private_address_is_said_to_be_one(authority, address):
    from mailguard.check.guard import Guard

    made = settings(Dns(ZONE.replace("127.0.0.2", address), signed=["good.test"]), ca_file=authority.file)
    made.guard = Guard(20)
    said, _ = found(scan("good.test", made))
    assert ("mx.reach", FAILURE, "private") in said


def test_not_applicable_is_said_of_a_domain_that_takes_no_mail(authority):
    said, _ = found(scanned(RIGHT["null MX"], authority))
    for check in ("mtasts.record", "tlsrpt", "tls.starttls", "dane.tlsa"):
        assert (check, NOT_APPLICABLE, "null-mx") in said


def applied(zone, repair):
    """The zone as text with the lines of a repair in the place of those that go."""
    rows = zone.split("\n")
    for change in repair.changes:
        rows = [
            row
            for row in rows
            if row.split(None, 2)[:2] != [change.name, change.rdtype]
            or read(row.split(None, 2)[2], change.rdtype) not in change.before
        ]
        rows += [f"{change.name} {change.rdtype} {written(record)}" for record in change.after]
    return "\n".join(rows)


# Nobody can know from outside what should stand there.
WITHOUT = {
    "SPF without v=", "SPF with a bad range", "SPF with 11 lookups", "SPF with voids", "SPF include nowhere", "SPF loop",
    "SPF wide", "SPF everybody in halves", "SPF everybody by include", "SPF mx with 11 MX", "one name server",
    "name servers together", "CAA for nobody", "no CAA", "TLSA fails",
}  # fmt: skip
# A record that was not in force begins by watching.
STEPS = {"no DMARC", "two DMARC", "DMARC p=rejected"}
KEPT = {
    "SPF +all": "v=spf1 mx ~all",
    "SPF ?all": "v=spf1 mx ~all",
    "SPF without all": "v=spf1 mx ~all",
    "two SPF": "v=spf1 mx a -all",
    "SPF with a semicolon": "v=spf1 mx -all",
    "SPF in typographic quotes": "v=spf1 mx -all",
    "SPF with an odd term": "v=spf1 mx ip4:192.0.2.1 -all",
    "SPF text after all": "v=spf1 mx ip4:192.0.2.7 -all",
    "DMARC p=none": "v=DMARC1; p=quarantine; rua=mailto:d@good.test",
    "DMARC with p first": "v=DMARC1; p=reject",
    "DMARC rua at strangers": "v=DMARC1",
    "DMARC rua nowhere": "v=DMARC1; p=reject; rua=mailto:postmaster@good.test",
    "DMARC psd=y": "v=DMARC1; p=reject; rua=mailto:d@good.test",
    "TLS-RPT misspelt": "v=TLSRPTv1; rua=mailto:t@good.test",
    "MTA-STS misspelt": "v=STSv1; id=1;",
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_line_that_is_offered_repairs_its_fault_and_breaks_nothing(name, authority, mail, web):
    """The lines are put into the zone, and the domain is diagnosed again, by all connections and from the beginning."""
    zone, (check, _, reason), *_ = FAULTS[name]
    before = scanned(zone, authority, mail, web)
    repairs = {(each.check, each.reason): each for each in before.outcomes if each.repair is not None}
    assert ((check, reason) not in repairs) == (name in WITHOUT)
    for key, outcome in repairs.items():
        repair = outcome.repair
        lines = catalogue.repair_lines(outcome, "good.test")
        assert lines.get("record", "") == repair.after()
        assert "[" not in lines.get("record", "") + lines.get("file", "")
        assert {effect for effect in ("ja", "en") if catalogue.effect(outcome, effect)} == {"ja", "en"}
        if key == (check, reason) and name in KEPT:
            assert repair.changes[-1].after == (KEPT[name].encode(),)
        if repair.file:
            with WebServer(web.tls, http(repair.file.replace("\n", "\r\n"))) as served:
                address = f"mta-sts.good.test A {served.address}"
                after = scanned(f"{applied(zone, repair)}\n{address}", authority, mail, served)
        else:
            after = scanned(applied(zone, repair), authority, mail, web)
        left = [each for each in after.outcomes if each.check == key[0] and each.reason == key[1]]
        assert len(left) < len([each for each in before.outcomes if (each.check, each.reason) == key])
        new = found(after)[1] - found(before)[1]
        assert {each[0] for each in new} <= ({check} if name in STEPS else set()), new
        if key == (check, reason) and name not in STEPS:
            assert repair.effect.solved


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"192.0.2.1": True, "198.51.100.1": True}, None),
        ({"192.0.2.1": True, "198.51.100.1": False}, "ns2.good.test"),
        ({"192.0.2.1": True, "198.51.100.1": None}, None),  # perhaps it is our network
        ({"192.0.2.1": None, "198.51.100.1": None}, None),
        ({"192.0.2.1": False, "198.51.100.1": False}, None),
    ],
)
def test_a_name_server_that_does_not_serve_the_zone_is_lame(answers, expected):
    from mailguard.check import zones
    from mailguard.dns.lookups import Lookups

    outcome = zones.name_servers("good.test", Lookups(Dns(ZONE)), lambda address, _: answers[address])
    assert (outcome.reason, outcome.values.get("lame")) == (("lame", expected) if expected else ("good", None))


OAKLEY = {  # RFC 2409 6.2 and RFC 3526 3
    1024: "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651E"
    "CE65381FFFFFFFFFFFFFFFF",
    2048: "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651E"
    "CE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1"
    "746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898F"
    "A051015728E5A8AACAA68FFFFFFFFFFFFFFFF",
}


@pytest.mark.parametrize(
    ("ciphers", "bits", "expected"),
    [
        ("DHE+AESGCM:ECDHE+AESGCM", 1024, ("tls.ciphers", WARNING, "short-prime")),
        ("DHE+AESGCM:ECDHE+AESGCM", 2048, None),
        ("ADH+AES:AECDH+AES:ECDHE+AESGCM", 2048, ("tls.ciphers", WARNING, "anonymous")),
        ("ADH+AES:AES128-SHA:ECDHE+AESGCM", 2048, ("tls.ciphers", WARNING, "anonymous")),
        ("AES128-SHA:DHE+AESGCM:ECDHE+AESGCM", 1024, ("tls.ciphers", WARNING, "short-prime")),
        ("AES128-SHA:ECDHE+AESGCM", 2048, ("tls.ciphers", WARNING, "fading")),
    ],
)
def test_what_servers_exchange_keys_by(ciphers, bits, expected, authority, web, tmp_path):
    """Of OpenSSL, through its whole flight: the prime stands in ServerKeyExchange, behind the certificates."""
    leaf = authority.issue("mx.good.test", bits=2048)
    context = leaf.context(old=True)
    context.minimum_version = 0x303
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    prime = b"\0" + bytes.fromhex(OAKLEY[bits])
    numbers = b"\x02\x82" + len(prime).to_bytes(2, "big") + prime + b"\x02\x01\x02"
    der = b"\x30\x82" + len(numbers).to_bytes(2, "big") + numbers
    parameters = tmp_path / "dh.pem"
    parameters.write_text(
        f"-----BEGIN DH PARAMETERS-----\n{base64.encodebytes(der).decode()}-----END DH PARAMETERS-----\n"
    )
    context.load_dh_params(parameters)
    with MailServer(tls=context) as server:
        said, grave = found(scanned(ZONE, authority, server, web))
    ciphers = {each for each in said if each[0] == "tls.ciphers" and each[1] != "good"}
    assert ciphers == ({expected} if expected else set())
    assert grave <= ciphers


def test_dnssec_and_dane_are_proved_behind_a_name_server_that_does_not_validate(authority, web):
    """Nothing of what the name server says about DNSSEC counts: the chain is ours, and the DS that is missing is named."""
    from check_signed import Signed

    own = authority.issue("other.test", own=True)
    tlsa = own.tlsa()
    above = "$TTL 300\n{0} SOA ns.{0} h.{0} 1 1 1 1 1\n{0} NS ns1.good.test.\n"
    texts = {
        ".": "$TTL 300\n. SOA ns. h. 1 1 1 1 1\n. NS ns.\ntest. NS ns1.good.test.\n",
        "test": above.format("test.") + "good.test. NS ns1.good.test.\n",
        "good.test": above.format("good.test.") + "good.test. MX 10 mx.good.test.\nmx.good.test. A 127.0.0.2\n"
        f"_25._tcp.mx.good.test. TLSA {tlsa}\n",
    }
    zone = ZONE.replace(STS, "") + f"_25._tcp.mx.good.test TLSA {tlsa}\n"
    now = int(time.time())
    with MailServer(tls=own.context()) as server:
        for undelegated, expected in (((), ("good", "good")), (("good.test",), (WARNING, "no-ds"))):
            signed = Signed(texts, now, undelegated=undelegated)
            made = settings(Dns(zone), server, web, ca_file=authority.file, now=now)
            made.trusted, made.signatures, made.anchors = False, signed, signed.anchors
            report = scan("good.test", made)
            outcomes = {each.check: each for each in report.outcomes}
            assert (outcomes["dnssec.domain"].state, outcomes["dnssec.domain"].reason) == expected
            assert (outcomes["dnssec.mx"].state, outcomes["dnssec.mx"].reason) == expected
            assert outcomes["dane.tlsa"].reason == ("unsigned" if undelegated else "good")
            if undelegated:
                line = catalogue.repair_lines(outcomes["dnssec.domain"], "good.test")["record"]
                assert line == f"good.test. IN DS {signed.ds('good.test')}"
                assert outcomes["dnssec.domain"].repair.effect.solved
            else:
                assert int(outcomes["dnssec.domain"].values["ends"]) > now
                assert found(report)[1] == set()


@pytest.mark.parametrize("alike", [True, False])
def test_the_second_address_of_a_server_is_looked_at_closely_only_where_it_differs(authority, leaf, web, alike):
    """With the 6 s that postscreen waits, a server of two addresses takes less than 120 s."""
    zone = ZONE + "mx.good.test A 127.0.0.12\n12.0.0.127.in-addr.arpa PTR mx.good.test\n"
    other = leaf if alike else authority.issue("mx.good.test")
    with MailServer(tls=leaf.context()) as one, MailServer("127.0.0.12", tls=other.context()) as two:
        report = scanned(zone, authority, one, two, web)
    assert report.verdict.code == "safe"
    assert found(report)[1] == set()
    closely = sorted(each.values["address"] for each in report.outcomes if each.check == "tls.versions")
    assert closely == (["127.0.0.2"] if alike else ["127.0.0.12", "127.0.0.2"])
    if alike:
        assert 6 * (one.connections + two.connections) <= 120
        assert two.connections <= 2


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((), (UNKNOWN, "port-closed")),
        (("127.0.0.21",), (FAILURE, "refused")),
        (("127.0.0.21", "127.0.0.22"), (FAILURE, "refused")),
    ],
)
def test_a_port_that_is_closed_from_here_is_no_fault_of_the_server(authority, web, there, expected):
    zone = ZONE + "a.witness.test A 127.0.0.21\nb.witness.test A 127.0.0.22\n"
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(MailServer(address)) for address in there]
        made = settings(Dns(zone, signed=["good.test"]), web, *servers, ca_file=authority.file, now=int(time.time()))
        made.witnesses = ("a.witness.test", "b.witness.test")
        report = scan("good.test", made)
    outcomes = {(each.state, each.reason) for each in report.outcomes if each.check == "mx.reach"}
    assert outcomes == {expected}
    assert all(server.commands == [] for server in servers)
    if expected[0] == UNKNOWN:
        assert report.verdict.code == "unconfirmed"
