"""Lines that repair: edited from what is there, never invented, tried, and with the mail that we hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_mail import MESSAGE, SELECTOR, record, rsa_key, sign

from mailguard.check import amended, catalogue, hop, rehearsal, repairs, sending
from mailguard.check.changes import Change, Changed, Repair
from mailguard.check.outcome import Outcome
from mailguard.check.report import Report
from mailguard.check.scene import Scene
from mailguard.dns import NODATA, NXDOMAIN, OK
from mailguard.dns.files import Zone
from mailguard.dns.lookups import Lookups
from mailguard.dns.presentation import read, written
from mailguard.envelope import Envelope
from mailguard.message.tree import parse
from mailguard.verify.judgement import VerifyOptions, judge

NOW = 1_700_000_000
ZONE = f"""
example.com              MX   10 mx.example.com
mx.example.com           A    192.0.2.9
example.com              TXT  v=spf1 ip4:192.0.2.1 -all
_dmarc.example.com       TXT  v=DMARC1; p=reject
mail.example.com         A    192.0.2.1
mail.example.com         TXT  v=spf1 a -all
1.2.0.192.in-addr.arpa   PTR  mail.example.com
{SELECTOR}               TXT  {record(2048).decode()}
"""


@pytest.fixture(scope="module")
def signed():
    return sign(MESSAGE, key=rsa_key(2048))


def told(raw, *, zone=ZONE, address="192.0.2.1", helo="mail.example.com", sender="joe@example.com"):
    """The outcomes of a mail by their check, with the lines that were tried."""
    message, lookups = parse(raw), Lookups(Zone(zone))
    arrival = hop.Arrival(
        Envelope(sender=sender, client_address=address, client_helo=helo), hop.Transport(True, "TLSv1.3", "x"), None
    )
    judgement = judge(message, arrival.envelope, VerifyOptions("mx.example.net", Zone(zone), chain=True), NOW)
    outcomes = sending.outcomes(message, arrival, judgement, lookups, NOW)
    report = Report("example.com", NOW, 1.0, outcomes)
    rehearsal.with_mail(report, message, arrival, "mx.example.net", lookups, NOW)
    return {outcome.check: outcome for outcome in outcomes}


def lines(outcome):
    return catalogue.repair_lines(outcome, "example.com", "postfix")


PTR = "1.2.0.192.in-addr.arpa. IN PTR"


@pytest.mark.parametrize(
    ("change", "helo", "pointer", "name"),
    [
        (("1.2.0.192.in-addr.arpa   PTR  mail.example.com", ""), "mail.example.com", f"{PTR} mail.example.com.", None),
        (("1.2.0.192.in-addr.arpa   PTR  mail.example.com", ""), "localhost", f"{PTR} mail.example.com.", "mail.example.com"),
        (("", ""), "localhost", None, "mail.example.com"),
        (("mail.example.com", "out.example.com"), "localhost", None, "out.example.com"),
        (  # the name that it gives does not exist yet: it comes with the record that makes it exist
            ("mail.example.com", "out.example.com"),
            "new.example.com",
            None,
            "out.example.com",
        ),
        (
            ("mail.example.com         A    192.0.2.1", ""),
            "localhost",
            "mail.example.com. IN A 192.0.2.1",
            None,
        ),
    ],
)  # fmt: skip
def test_a_repair_never_tells_to_keep_a_wrong_name(signed, change, helo, pointer, name):
    found = told(signed, zone=ZONE.replace(*change), helo=helo)
    if pointer:
        assert pointer in lines(found["fcrdns"])["record"]
    if name:
        assert lines(found["helo"])["postfix"] == f"postconf -e smtp_helo_name={name} && postfix reload"


def test_no_name_is_invented_where_a_usual_one_is_another_host(signed):
    zone = ZONE.replace("mail.example.com         A    192.0.2.1", "mail.example.com A 192.0.2.77")
    found = told(signed, zone=zone.replace("PTR  mail.example.com", "PTR  pool-1.isp.test"))
    assert lines(found["fcrdns"])["record"] == f"smtp.example.com. IN A 192.0.2.1\n{PTR} smtp.example.com."
    assert lines(found["fcrdns"])["before"] == f"{PTR} pool-1.isp.test."


def test_the_record_for_a_sender_by_ipv6_is_the_one_that_is_there_with_one_term_more(signed):
    found = told(signed, address="2001:db8::1")
    text = lines(found["spf.result"])
    assert text["record"] == 'example.com. IN TXT "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"'
    assert text["before"] == 'example.com. IN TXT "v=spf1 ip4:192.0.2.1 -all"'
    effect = found["spf.result"].repair.effect
    assert (effect.solved, effect.failures, effect.reply) == (True, 1, True)
    assert catalogue.effect(found["spf.result"], "en").endswith("1 failure fewer; your reply still passes.")


def test_who_sends_only_because_everybody_may_is_named_before_others_are_shut_out(signed):
    """With +all the reply passes; the record without it that leaves its server out would stop the user's own mail."""
    from mailguard.check import sender_policy

    zone = ZONE.replace("v=spf1 ip4:192.0.2.1 -all", "v=spf1 ip4:198.51.100.7 +all")
    lookups, message = Lookups(Zone(zone)), parse(signed)
    envelope = Envelope(sender="joe@example.com", client_address="192.0.2.1", client_helo="mail.example.com")
    arrival = hop.Arrival(envelope, hop.Transport(True, "TLSv1.3", "x"), None)
    judgement = judge(message, envelope, VerifyOptions("mx.example.net", Zone(zone), chain=True), NOW)
    found = sender_policy.check("example.com", lookups)
    report = Report("example.com", NOW, 1.0, found + sending.outcomes(message, arrival, judgement, lookups, NOW))
    scene = Scene("example.com", lookups, report.outcomes, NOW)
    report.rehearsal = rehearsal.Rehearsal(scene, [lambda stage: sender_policy.check("example.com", stage.resolver)])
    rehearsal.with_mail(report, message, arrival, "mx.example.net", lookups, NOW)
    assert found[0].reason == "pass-all"
    assert found[0].repair.after() == 'example.com. IN TXT "v=spf1 ip4:198.51.100.7 ip4:192.0.2.1 ~all"'
    assert found[0].repair.effect.reply


def test_the_record_of_another_domain_is_not_ours_to_change(signed):
    zone = f"{ZONE}bounces.else.test TXT v=spf1 -all\n"
    found = told(signed, zone=zone, sender="x@bounces.else.test")
    assert found["spf.result"].state == "failure"
    assert found["spf.result"].repair is None


def test_a_first_spf_record_lets_the_server_send_that_brought_the_mail(signed):
    zone = ZONE.replace("example.com              TXT  v=spf1 ip4:192.0.2.1 -all\n", "")
    report = Report("example.com", NOW, 1.0, [Outcome("spf", "failure", "missing")])
    scene = Scene("example.com", Lookups(Zone(zone)), report.outcomes, NOW)
    scene.mechanism = "ip4:192.0.2.1"
    texts = [repair.after() for repair in repairs.candidates(report.outcomes[0], scene)]
    assert texts == [
        'example.com. IN TXT "v=spf1 mx ip4:192.0.2.1 ~all"',
        'example.com. IN TXT "v=spf1 mx ~all"',
    ]


def test_a_mail_that_would_no_longer_pass_keeps_a_line_away(signed):
    """A misspelt DMARC record that would begin to reject the very mail that we hold is not repaired as it was meant."""
    zone = ZONE.replace("v=DMARC1; p=reject", "v=DMARC1, p=reject").replace(SELECTOR, "other._domainkey.example.com")
    message, lookups = parse(signed), Lookups(Zone(zone))
    envelope = Envelope(sender="x@else.test", client_address="192.0.2.1", client_helo="mail.example.com")
    arrival = hop.Arrival(envelope, hop.Transport(True, "TLSv1.3", "x"), None)
    broken = Outcome("dmarc", "failure", "misspelt", {"record": "v=DMARC1, p=reject"})
    report = Report("example.com", NOW, 1.0, [broken])
    from mailguard.check import policies

    scene = Scene("example.com", lookups, report.outcomes, NOW)
    report.rehearsal = rehearsal.Rehearsal(scene, [lambda stage: policies.dmarc("example.com", stage.resolver)])
    report.rehearsal.run(report.outcomes)
    assert broken.repair.after() == '_dmarc.example.com. IN TXT "v=DMARC1; p=reject"'
    rehearsal.with_mail(report, message, arrival, "mx.example.net", lookups, NOW)
    assert broken.repair is None


def candidates(check, reason, values=None, *, zone=ZONE, subject="", domain="example.com", others=(), **known):
    outcome = Outcome(check, "failure", reason, values, subject=subject)
    scene = Scene(domain, Lookups(Zone(zone)), [outcome, *others], NOW)
    for name, value in known.items():
        setattr(scene, name, value)
    return list(repairs.candidates(outcome, scene))


def test_the_authority_in_use_is_named_for_this_host_alone():
    issuers = {"mx.example.com": "Let's Encrypt"}
    [repair] = candidates("caa", "missing", subject="mx.example.com", issuers=issuers)
    assert repair.after() == 'mx.example.com. IN CAA 0 issue "letsencrypt.org"'
    closed = ZONE + 'mx.example.com CAA 0 issue ";"\nmx.example.com CAA 0 iodef "mailto:a@b.c"\n'
    [repair] = candidates(
        "caa", "nobody", {"place": "mx.example.com"}, zone=closed, subject="mx.example.com", issuers=issuers
    )
    assert repair.before() == 'mx.example.com. IN CAA 0 issue ";"'
    assert not candidates("caa", "missing", subject="mx.example.com", issuers={"mx.example.com": "Some CA"})
    assert not candidates("caa", "missing", subject="mx.else.test", issuers={"mx.else.test": "Let's Encrypt"})


def test_reports_go_to_no_mailbox_that_refuses_them():
    assert "rua=mailto:postmaster@" in candidates("tlsrpt", "missing")[0].after()
    refusing = Outcome("postmaster", "warning", "refused")
    assert not candidates("tlsrpt", "missing", others=[refusing])
    [repair] = candidates("dmarc", "missing", zone=ZONE.replace("_dmarc", "x"), others=[refusing])
    assert repair.after().endswith('"v=DMARC1; p=none"')


def test_who_has_mail_with_a_provider_lets_that_provider_send():
    zone = "example.com MX 1 aspmx.l.google.com\naspmx.l.google.com A 192.0.2.3\n"
    [repair] = candidates("spf", "missing", zone=zone)
    assert repair.after() == 'example.com. IN TXT "v=spf1 include:_spf.google.com ~all"'


def test_where_an_alias_stands_nothing_can_be_put_beside_it():
    zone = "_dmarc.example.com CNAME x.hosted.test\nx.hosted.test TXT v=DMARC1; p=none\n"
    assert not candidates("dmarc", "none", {"place": "example.com", "record": "v=DMARC1; p=none"}, zone=zone)


def test_every_server_stands_in_a_first_policy():
    zone = ZONE + "example.com MX 20 mx2.example.com\nmx2.example.com A 192.0.2.8\n"
    first, testing = candidates("mtasts.policy", "no-address", zone=zone)
    assert first.file == "version: STSv1\nmode: enforce\nmx: mx.example.com\nmx: mx2.example.com\nmax_age: 1209600"
    assert "mode: testing" in testing.file


def test_a_policy_keeps_its_lines_and_gets_a_new_id():
    policy = "version: STSv1\r\nmode: testing\r\nmx: a.example.com\r\nmx: *.b.example.com\r\nmax_age: 86401\r\n"
    zone = ZONE + "_mta-sts.example.com TXT v=STSv1; id=1;\n"
    [repair] = candidates("mtasts.policy", "testing", zone=zone, policy=policy)
    assert repair.file == "version: STSv1\nmode: enforce\nmx: a.example.com\nmx: *.b.example.com\nmax_age: 86401"
    assert repair.after() == f'_mta-sts.example.com. IN TXT "v=STSv1; id={NOW};"'
    [repair] = candidates("mtasts.match", "unmatched", {"missing": "mx.example.com"}, zone=zone, policy=policy)
    assert "mx: *.b.example.com\nmx: mx.example.com\nmax_age" in repair.file


def test_all_keys_of_a_host_stand_in_its_tlsa_records():
    zone = ZONE + "_25._tcp.mx.example.com TLSA 3 1 1 00\n_25._tcp.mx.example.com TLSA 3 1 1 aa\n"
    digests = {"mx.example.com": ["aa", "bb", "aa"]}
    [repair] = candidates("dane.tlsa", "mismatch", zone=zone, subject="mx.example.com", digests=digests)
    assert repair.before() == "_25._tcp.mx.example.com. IN TLSA 3 1 1 00"
    assert [record for change in repair.changes for record in change.after] == ["3 1 1 aa", "3 1 1 bb"]


HOSTILE = ["$(id)", "`id`", 'x" y', "a\\b", "a\nb", "a|b", "a&b", "<b>", "a'b", "\u202e", "é"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_nobody_should_paste_is_not_shown(text):
    zone = Zone("example.com A 192.0.2.1")
    scene = Scene("example.com", Lookups(zone), [], NOW)
    spf = Change("example.com", "TXT", [], [f"v=spf1 {text} -all".encode()])
    assert not Repair([spf]).pasted
    assert not Repair([Change(f"{text}.example.com", "A", [], ["192.0.2.1"])]).pasted
    assert not Repair(file=f"mx: {text}").pasted or text == "a\nb"
    assert not Repair(helo=text).pasted
    assert list(repairs.candidates(Outcome("helo", "warning", "no-name", {"helo": text, "address": text}), scene)) == []


def test_a_long_record_stands_in_several_strings():
    text = "v=spf1 " + " ".join(f"ip4:192.0.2.{number}" for number in range(40)) + " -all"
    change = Change("example.com", "TXT", [], [text.encode()])
    [line] = change.lines(change.after)
    strings = line.partition(" TXT ")[2]
    assert strings.count('" "') == 2
    assert read(strings, "TXT") == text.encode()


def test_the_dns_as_it_would_be():
    zone = Lookups(Zone("example.com TXT a\nexample.com TXT b\nexample.com A 192.0.2.1\nother.test A 192.0.2.2"))
    changed = Changed(
        zone, [Change("example.com", "TXT", [b"a"], [b"c"]), Change("x.new.test", "A", [], ["192.0.2.3"])]
    )
    assert changed.query("Example.com.", "TXT").texts == (b"b", b"c")
    assert changed.ask("example.com", "A", 1.0).names == ("192.0.2.1",)
    assert [changed.query(name, "A").status for name in ("x.new.test", "new.test", "y.new.test")] == [
        OK,
        NODATA,
        NXDOMAIN,
    ]
    assert changed.query("x.new.test", "TXT").status == NODATA
    gone = Changed(zone, [Change("other.test", "A", ["192.0.2.2"], [])])
    assert gone.query("other.test", "A").status == NODATA


@given(st.text(alphabet="v=DMARC1;p=reject, \tnoquarantine&\"'\\:@mailto.exampl-ru", max_size=60))
def test_any_record_can_be_read_as_it_was_meant(text):
    meant = amended.respelt(text, "DMARC1")
    assert meant.startswith("v=DMARC1")
    assert amended.respelt(meant, "DMARC1") == meant
    assert str(amended.Tags(meant).set("p", "none")).count("p=none") >= 1


def test_a_repair_survives_storage():
    repair = Repair([Change("example.com", "MX", [(0, "")], [(10, "mx.example.com")])], file="a: b", helo="x.test")
    copy = Repair.from_dict(repair.as_dict())
    assert copy.as_dict() == repair.as_dict()
    assert copy.before() == "example.com. IN MX 0 ."
    assert [written(each) for each in copy.changes[0].after] == ["10 mx.example.com"]
