"""SPF is judged by RFC 7208, and whatever stands in envelope or DNS neither stops it nor earns a pass."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailguard.dns import Answer
from mailguard.dns.files import Zone
from mailguard.dns.lookups import Lookups
from mailguard.envelope import Envelope
from mailguard.verify import iprev, spf

RESULTS = {"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"}
FRIEND = "192.0.2.1"
STRANGER = "198.51.100.1"
ZONE = """
example.com        TXT   v=spf1 mx -all
example.com        MX    10 mail.example.com
mail.example.com   A     192.0.2.1
mail.example.com   TXT   v=spf1 a ~all
"""


def check(zone=ZONE, client=FRIEND, sender="user@example.com", helo="mail.example.com", **options):
    return spf.check(Envelope(client_address=client, client_helo=helo, sender=sender), resolver(zone), 0, **options)


def resolver(zone):
    return Lookups(Zone(zone))


def result(*arguments, **options):
    return check(*arguments, **options)[0].result


def test_mail_from_comes_first_then_helo_each_with_its_own_result():
    first, second = check(client=STRANGER)
    assert (first.identity, first.result, first.properties) == (
        "mailfrom",
        "fail",
        {"smtp.mailfrom": "user@example.com"},
    )
    assert (second.identity, second.result, second.properties) == (
        "helo",
        "softfail",
        {"smtp.helo": "mail.example.com"},
    )


def test_a_result_tells_the_reason_the_domain_and_the_mechanism():
    first, second = check()
    assert (first.result, first.domain, first.mechanism) == ("pass", "example.com", "mx")
    assert first.reason == "192.0.2.1 is permitted by mx of example.com"
    assert second.reason == "192.0.2.1 is permitted by a of mail.example.com"


def test_the_null_sender_is_postmaster_at_helo():
    first, second = check(
        "mail.example.com TXT v=spf1 exists:%{l}.example.com -all\npostmaster.example.com A 127.0.0.2\n", sender=""
    )
    assert (first.result, first.domain, first.properties) == (
        "pass",
        "mail.example.com",
        {"smtp.mailfrom": "postmaster@mail.example.com"},
    )
    assert second.result == "pass"


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        ({"client": None}, ("no client address", "no client address")),
        ({"client": "unknown"}, ("no client address", "no client address")),
        ({"client": "fe80::1%eth0"}, ("not a client address: fe80::1%eth0",) * 2),
        ({"client": "192.0.2.300"}, ("not a client address: 192.0.2.300",) * 2),
        ({"client": "list"}, ("not a client address: list",) * 2),
        ({"sender": None, "helo": None}, ("no sender address", "no HELO")),
        ({"sender": "", "helo": None}, ("null sender: no HELO", "no HELO")),
        ({"sender": "user", "helo": "[192.0.2.1]"}, ("the sender is no address", "not a domain name: [192.0.2.1]")),
        ({"sender": "user@[192.0.2.1]", "helo": "localhost"}, ("not a domain name: [192.0.2.1]", "not a domain name: localhost")),
        ({"sender": "user@ex\x00ample.com", "helo": "a..b"}, ("not a domain name: ex\\x00ample.com", "not a domain name: a..b")),
        ({"sender": "u(comment)@example.com", "helo": "a b.c"}, ("the sender is no address", "not a domain name: a b.c")),
        ({"sender": "u\r\nX: y@example.com", "helo": "x" * 300}, ("the sender is no address", "not a domain name: " + "x" * 200 + "…")),
    ],
)  # fmt: skip
def test_where_nothing_can_be_said_the_result_is_none_with_the_reason(facts, reasons):
    results = check(**facts)
    assert [one.result for one in results] == ["none", "none"]
    assert tuple(one.reason for one in results) == reasons


@pytest.mark.parametrize(
    "client",
    [FRIEND, "[192.0.2.1]", "::ffff:192.0.2.1", "[IPv6:::ffff:192.0.2.1]", "IPv6:::FFFF:192.0.2.1", " 192.0.2.1 "],
)
def test_every_form_of_the_clients_address_is_understood(client):
    assert result(client=client) == "pass"


@pytest.mark.parametrize(
    ("path", "parsed"),
    [
        ("user@example.com", ("user", "example.com")),
        ("@a.example,@b.example:user@example.com", ("user", "example.com")),
        ("@example.com", ("", "example.com")),
        ('"a@b"@example.com', ('"a@b"', "example.com")),
        ("user@victim.example@example.com", ("user@victim.example", "example.com")),
        ("\u7528\u6237@example.com", ("\u7528\u6237", "example.com")),
        ("a b@example.com", ("a b", "example.com")),
        ('"a\\"b@c(d"@example.com', ('"a\\"b@c(d"', "example.com")),
        ("user", None),
        ("", None),
        ("user@example.com>", ("user", "example.com>")),
        ("<user@example.com", None),
        ('"open@example.com', None),
        ("user\n@example.com", None),
        ("user(x)@example.com", None),
        ("x" * 600 + "@example.com", None),
    ],
)
def test_addresses_are_read_by_rfc_5321(path, parsed):
    assert spf.mailbox(path) == parsed


def test_a_trick_with_two_at_signs_is_judged_for_the_last_domain():
    assert check(sender="user@example.com@other.example")[0].domain == "other.example"


def test_domains_are_asked_for_as_a_labels():
    zone = "xn--bcher-kva.example TXT v=spf1 ip4:192.0.2.1 -all\n"
    assert check(zone, sender="x@b\u00fccher.example")[0].domain == "xn--bcher-kva.example"
    assert result(zone, sender="x@B\u00dcCHER.example") == "pass"


VOID = "example.com TXT v=spf1 a:one.example a:two.example a:three.example a:four.example ip6:2001:db8::/32 ip4:192.0.2.1 -all\n"


@pytest.mark.parametrize(
    ("client", "kind", "value"), [("2001:db8::1", "A", "203.0.113.1"), (FRIEND, "AAAA", "2001:db8:1::1")]
)
def test_hosts_without_addresses_of_the_clients_family_are_no_void_lookups(client, kind, value):
    hosts = "".join(f"{name}.example {kind} {value}\n" for name in ("one", "two", "three", "four"))
    assert result(VOID + hosts, client=client) == "pass"


@pytest.mark.parametrize("missing", ["", "one.example TXT x\ntwo.example TXT x\nthree.example TXT x\n"])
@pytest.mark.parametrize("client", ["2001:db8::1", FRIEND])
def test_three_terms_with_void_lookups_are_one_too_many(client, missing):
    first = check(VOID + missing, client=client)[0]
    assert (first.result, first.reason) == ("permerror", "more than 2 void lookups")


def test_the_hosts_of_one_mx_are_one_term():
    zone = "example.com TXT v=spf1 mx ip4:192.0.2.1 -all\n" + "".join(
        f"example.com MX 1 h{n}.example\n" for n in range(5)
    )
    assert result(zone) == "pass"


def test_dns_errors_behind_ptr_are_no_match_and_no_temperror():
    zone = "example.com TXT v=spf1 ptr ip4:192.0.2.1 -all\n1.2.0.192.in-addr.arpa PTR slow.example.com\nslow.example.com A TIMEOUT\n"
    assert result(zone) == "pass"
    assert result(zone.replace("PTR slow.example.com", "PTR SERVFAIL")) == "pass"


def test_ptr_matches_a_confirmed_name_of_the_domain():
    zone = (
        "example.com TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR host.example.com\nhost.example.com A 192.0.2.1\n"
    )
    assert result(zone) == "pass"
    assert result(zone, client=STRANGER) == "fail"


@pytest.mark.parametrize("status", ["SERVFAIL", "TIMEOUT"])
@pytest.mark.parametrize("name", ["example.com", "inner.example", "host.example"])
def test_a_dns_failure_anywhere_on_the_way_is_temperror(status, name):
    zone = "example.com TXT v=spf1 include:inner.example -all\ninner.example TXT v=spf1 a:host.example ?all\nhost.example A 203.0.113.1\n"
    zone = "\n".join(line for line in zone.split("\n") if not line.startswith(name)) + f"\n{name} * {status}\n"
    first = check(zone)[0]
    assert (first.result, status in first.reason, name in first.reason) == ("temperror", True, True)


def test_beyond_the_time_limit_the_result_is_temperror():
    first = check(seconds=-1.0)[0]
    assert (first.result, first.reason) == ("temperror", "SPF took too long")


def test_beyond_the_number_of_lookups_the_result_is_permanent():
    envelope = Envelope(client_address=FRIEND, client_helo="mail.example.com", sender="user@example.com")
    assert spf.check(envelope, Lookups(Zone(ZONE), questions=1), 0)[0].result == "permerror"


@pytest.mark.parametrize("term", ["a:" + ".a" * 300, "x" * 513, "a:%{l}" + "%{" * 300, "exists:" + "%{d}." * 110])
def test_a_term_of_absurd_length_is_not_evaluated(term):
    first = check(f"example.com TXT v=spf1 {term} +all\n")[0]
    assert (first.result, first.reason) == ("permerror", "SPF record or term too long: example.com")


def test_a_name_of_very_many_macros_is_not_expanded():
    first = check("example.com TXT v=spf1 exists:" + "%{s}" * 17 + ".example +all\n")[0]
    assert (first.result, first.reason) == ("permerror", "too many macros")


def test_a_record_of_absurd_length_is_not_evaluated():
    assert result("example.com TXT v=spf1" + " ip4:192.0.2.1" * 600 + "\n") == "permerror"


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 a:%{l99999999999999999999}.example -all",
        "v=spf1 exists:%{l" + "9" * 400 + "}.example -all",
        "v=spf1 redirect=example.com",
        "v=spf1 include:example.com",
        "v=spf1 a:%{p}.%{p}.%{p} -all",
        "v=spf1 ip4:192.0.2.1/99999999999999999999 -all",
        "v=spf1 ip6:::/0 a//999 -all",
        "v=spf1 mx:%{ir}.%{v}.%{d2}._spf.%{d} -all",
        "v=spf1 exp=%{l}.%{ -all",
        "v=spf1 \\000 \\010 -all",
        "v=spf1 a:\\255.example -all",
    ],
)
def test_strange_records_have_a_result_that_is_no_pass(record):
    assert result(f"example.com TXT {record}\n", client=STRANGER) in RESULTS - {"pass"}


@given(
    sender=st.text(max_size=100),
    helo=st.text(max_size=100),
    client=st.one_of(st.text(max_size=30), st.ip_addresses().map(str)),
)
def test_no_envelope_stops_spf_or_earns_a_pass(sender, helo, client):
    zone = "example.com TXT v=spf1 exists:%{l}.%{h}.%{s}.example.com a:%{h} -all exp=%{l}.example.com\n"
    for one in check(zone, client, sender + "@example.com", helo):
        assert one.result in RESULTS - {"pass"}
        assert one.reason.isprintable()


class Noise:
    """A source that answers every question with the same records, whatever their type."""

    def __init__(self, records):
        self.records = records

    def ask(self, name, rdtype, seconds):
        return Answer("OK", self.records.get(rdtype, []), 60)


@given(
    text=st.binary(max_size=200).filter(lambda text: text[:6].lower() != b"v=spf1"),
    name=st.text(max_size=40),
)
def test_no_text_without_a_record_in_it_earns_a_pass(text, name):
    source = Noise({"TXT": [text], "PTR": [name], "MX": [(1, name)], "A": [FRIEND]})
    for one in spf.check(
        Envelope(client_address=FRIEND, client_helo="a.example", sender="x@b.example"), Lookups(source), 0
    ):
        assert one.result == "none"


@given(
    record=st.lists(
        st.one_of(
            st.text("%{}dslohipvcrt0129.-+,/_= ", max_size=30),
            st.sampled_from(
                [
                    "a",
                    "mx",
                    "ptr",
                    "exists:",
                    "include:",
                    "redirect=",
                    "exp=",
                    "a:",
                    "mx:",
                    "ip4:1.2.3.4",
                    "ip6:::1",
                    "//64",
                    "/0",
                ]
            ),
        ),
        max_size=12,
    ),
    name=st.text(max_size=40),
)
@example(["exists:", "0.c"], "")
def test_no_record_stops_spf(record, name):
    source = Noise(
        {"TXT": [b"v=spf1 " + "".join(record).encode()], "PTR": [name], "MX": [(1, name)], "A": ["203.0.113.1"]}
    )
    envelope = Envelope(client_address=FRIEND, client_helo="a.example", sender="x@b.example")
    for one in spf.check(envelope, Lookups(source), 0):
        assert one.result in RESULTS
        # The address itself stands in no answer, but a name that exists is permission enough.
        assert one.result != "pass" or "/0" in str(one.as_dict()) or one.mechanism.startswith("exists")
        assert one.reason.isprintable()


EXPLAINED = 'example.com TXT v=spf1 ip4:192.0.2.1 -all exp=why.example.com\nwhy.example.com TXT "%{i} lies\\013\\010X-Evil: %{r}"\n'


def test_an_explanation_is_fetched_only_after_a_fail_and_shown_inert():
    questions = resolver(EXPLAINED)
    assert spf.check(Envelope(client_address=FRIEND, sender="u@example.com"), questions, 0)[0].explanation is None
    assert [one["name"] for one in questions.trace()] == ["example.com"]
    failed = check(EXPLAINED, client=STRANGER, receiver="mx.example.net")[0]
    assert failed.explanation == "198.51.100.1 lies\r\nX-Evil: mx.example.net"
    assert failed.as_dict()["explanation"] == "198.51.100.1 lies\\r\\nX-Evil: mx.example.net"


@pytest.mark.parametrize(
    "text", ["why.example.com TXT " + "x" * 1025, "why.example.com TXT SERVFAIL", 'why.example.com TXT "\\200"', ""]
)
def test_an_explanation_that_cannot_be_had_leaves_the_fail_as_it_is(text):
    failed = check("example.com TXT v=spf1 -all exp=why.example.com\n" + text + "\n")[0]
    assert (failed.result, failed.explanation) == ("fail", None)


INCLUDES = """
example.com        TXT   v=spf1 include:a.example include:b.example include:c.example -all
a.example          TXT   v=spf1 mx:a.example ?all
a.example          MX    1 mx1.a.example
a.example          MX    2 mx2.a.example
mx1.a.example      A     203.0.113.1
mx2.a.example      A     203.0.113.2
b.example          TXT   v=spf1 a:h1.b.example a:h2.b.example exists:%{ir}.b.example ?all
h1.b.example       A     203.0.113.3
h2.b.example       A     203.0.113.4
1.100.51.198.b.example TXT x
c.example          TXT   v=spf1 ptr:c.example ip4:192.0.2.1 ?all
1.100.51.198.in-addr.arpa PTR h.c.example.net
h.c.example.net    A     203.0.113.5
mail.example.com   TXT   v=spf1 a ~all
mail.example.com   A     203.0.113.6
"""


def test_three_includes_cost_rounds_of_latency_not_one_for_each_record():
    envelope = Envelope(client_address=STRANGER, client_helo="mail.example.com", sender="user@example.com")
    questions = resolver(INCLUDES)
    questions.prefetch(spf.lookups(envelope))
    assert [one.result for one in spf.check(envelope, questions, 0)] == ["fail", "softfail"]
    include_depth = 1
    assert questions.rounds <= include_depth + 4
    assert len(questions.trace()) == 14


def test_nothing_is_asked_ahead_that_stands_behind_a_match():
    questions = resolver("example.com TXT v=spf1 ip4:192.0.2.0/24 include:a.example include:b.example -all\n")
    spf.check(Envelope(client_address=FRIEND, sender="u@example.com"), questions, 0)
    assert [one["name"] for one in questions.trace()] == ["example.com"]


def test_a_fault_of_the_library_is_permerror_and_no_pass(monkeypatch):
    import spf as pyspf

    monkeypatch.setattr(pyspf.query, "check0", lambda *_: {}["x"])
    first = check()[0]
    assert (first.result, first.reason) == ("permerror", "the record cannot be evaluated (KeyError)")


def test_what_is_known_up_front_is_named_for_prefetch():
    envelope = Envelope(client_address="2001:db8::1", client_helo="mail.example.com", sender="u@Example.com")
    reverse = ".".join(reversed("20010db8" + "0" * 23 + "1")) + ".ip6.arpa"
    assert spf.lookups(envelope) == [("example.com", "TXT"), ("mail.example.com", "TXT"), (reverse, "PTR")]
    assert spf.lookups(Envelope(client_helo="mail.example.com", sender="u@example.com")) == []
    assert spf.lookups(Envelope(client_address=FRIEND, client_helo="[x]", sender="")) == [
        ("1.2.0.192.in-addr.arpa", "PTR")
    ]


def test_an_evil_tree_of_includes_costs_a_bounded_number_of_questions():
    zone = "".join(
        f"{name}.example TXT v=spf1 {' '.join(f'include:{name}{branch}.example' for branch in range(10))} -all\n"
        for name in [
            "x",
            *(f"x{one}" for one in range(10)),
            *(f"x{one}{two}" for one in range(10) for two in range(10)),
        ]
    )
    questions = resolver(zone)
    first = spf.check(Envelope(client_address=FRIEND, sender="u@x.example"), questions, 0)[0]
    assert first.result == "permerror"
    assert len(questions.trace()) <= 60


def test_the_json_form_holds_shown_values_only():
    first = check(sender="u\u202ex@example.com")[0].as_dict()
    assert first["properties"] == {"smtp.mailfrom": "u\\u202ex@example.com"}
    assert (first["method"], first["result"]) == ("spf", "pass")


def test_without_a_client_address_neither_pyspf_nor_dnspython_is_imported():
    code = (
        "import sys; from mailguard.envelope import Envelope; from mailguard.verify import spf;"
        "spf.check(Envelope(sender='u@example.com', client_helo='a.example'), None, 0);"
        "sys.exit('spf' in sys.modules or 'dns' in sys.modules or 'ipaddress' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


IPREV = "1.2.0.192.in-addr.arpa PTR other.example\n1.2.0.192.in-addr.arpa PTR host.example\nhost.example A 192.0.2.1\n"


@pytest.mark.parametrize(
    ("zone", "client", "expected", "name"),
    [
        (IPREV, FRIEND, "pass", "host.example"),
        (IPREV.replace("A 192.0.2.1", "A 192.0.2.2"), FRIEND, "fail", ""),
        (IPREV.replace("A 192.0.2.1", "A TIMEOUT"), FRIEND, "temperror", ""),
        (IPREV.replace("PTR host.example", "PTR SERVFAIL"), FRIEND, "temperror", ""),
        (IPREV, STRANGER, "permerror", ""),
        (IPREV, None, None, ""),
        ("1.2.0.192.in-addr.arpa PTR b\\000d..name\n", FRIEND, "fail", ""),
    ],
)
def test_iprev_is_the_reverse_name_that_leads_back(zone, client, expected, name):
    found = iprev.check(client, resolver(zone))
    assert (found.result, found.name) == (expected, name)


def test_iprev_works_for_ipv6():
    reverse = ".".join(reversed("20010db8" + "0" * 23 + "1")) + ".ip6.arpa"
    found = iprev.check("2001:db8::1", resolver(f"{reverse} PTR host.example\nhost.example AAAA 2001:0db8:0::1\n"))
    assert (found.result, found.properties) == ("pass", {"policy.iprev": "2001:db8::1"})
