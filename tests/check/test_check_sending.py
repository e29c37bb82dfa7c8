"""What a reply shows about its sender: one good and one bad mail for each check, and unknown where nothing is known."""

from __future__ import annotations

import pytest
from arc_sets import KEY, seal
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_mail import MESSAGE as MAIL
from signed_mail import SELECTOR, ed25519_key, ed25519_record, record, rsa_key, sign

from mailguard.check import catalogue, hop, sending
from mailguard.dns import SERVFAIL, Answer
from mailguard.dns.files import Zone
from mailguard.dns.lookups import Lookups
from mailguard.envelope import Envelope
from mailguard.message.tree import parse
from mailguard.verify.client import networks, received_hop
from mailguard.verify.judgement import VerifyOptions, judge

NOW = 1_700_000_000
MESSAGE = MAIL.replace(b"Fri, 11 Jul 2003 21:00:37 -0700", b"Tue, 14 Nov 2023 22:13:20 +0000")
CLIENT = "from mail.example.com (mail.example.com [192.0.2.1])"
TLS13 = "(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))"
POSTFIX = f"{CLIENT}\r\n\t{TLS13}\r\n\tby mx.example.net (Postfix) with ESMTPS id 4Xyz for <check@example.net>; date"

ZONE = f"""
example.com              TXT  v=spf1 ip4:192.0.2.1 -all
_dmarc.example.com       TXT  v=DMARC1; p=reject
mail.example.com         A    192.0.2.1
mail.example.com         TXT  v=spf1 a -all
1.2.0.192.in-addr.arpa   PTR  mail.example.com
{SELECTOR}               TXT  {record(2048).decode()}
"""


class Down:
    def ask(self, name, rdtype, seconds):
        return Answer(SERVFAIL)


def arrived(raw, envelope=None, **options):
    return hop.arrival(parse(raw), envelope or Envelope(sender="joe@example.com"), **options)


def outcomes(raw, *, received=POSTFIX, zone=ZONE, source=None, envelope=None):
    source = source or Zone(zone)
    message = parse((f"Received: {received}\r\n".encode() if received else b"") + raw)
    arrival = hop.arrival(message, envelope or Envelope(sender="joe@example.com"))
    judgement = judge(message, arrival.envelope, VerifyOptions("mx.example.net", source, chain=True), NOW)
    found = sending.outcomes(message, arrival, judgement, Lookups(source), NOW)
    for outcome in found:
        assert catalogue.sentence(outcome, "ja", "example.com")
        assert "…" not in catalogue.sentence(outcome, "en", "example.com")
    return found


def states(*arguments, **options):
    return {outcome.check: (outcome.state, outcome.reason) for outcome in outcomes(*arguments, **options)}


@pytest.fixture(scope="module")
def signed():
    return sign(MESSAGE, key=rsa_key(2048))


def test_a_good_reply_is_good_in_everything(signed):
    assert states(signed) == {
        "spf.result": ("good", "good"),
        "spf.helo": ("good", "good"),
        "dkim": ("good", "good"),
        "align": ("good", "good"),
        "fcrdns": ("good", "good"),
        "helo": ("good", "good"),
        "tls.out": ("good", "good"),
        "fields": ("good", "good"),
        "lines": ("good", "good"),
        "arc": ("not-applicable", "none"),
        "leak": ("good", "good"),
    }


@pytest.mark.parametrize(
    ("change", "check", "expected"),
    [
        (("v=spf1 ip4:192.0.2.1 -all", "v=spf1 ip4:192.0.2.99 -all"), "spf.result", ("failure", "fail")),
        (("v=spf1 ip4:192.0.2.1 -all", "v=spf1 ip4:192.0.2.99 ~all"), "spf.result", ("failure", "fail")),
        (("v=spf1 ip4:192.0.2.1 -all", "v=spf1 ?all"), "spf.result", ("warning", "neutral")),
        (("v=spf1 ip4:192.0.2.1 -all", "v=spf1 nonsense:x"), "spf.result", ("failure", "permerror")),
        (("v=spf1 ip4:192.0.2.1 -all", "something"), "spf.result", ("failure", "none")),
        (("v=spf1 ip4:192.0.2.1 -all", "SERVFAIL"), "spf.result", ("unknown", "temperror")),
        (("v=spf1 a -all", "something"), "spf.helo", ("warning", "none")),
        (("v=spf1 a -all", "v=spf1 -all"), "spf.helo", ("failure", "fail")),
        (("v=DMARC1; p=reject", "something"), "align", ("not-applicable", "none")),
        (("v=DMARC1; p=reject", "SERVFAIL"), "align", ("unknown", "temperror")),
        (("PTR  mail.example.com", "PTR  NXDOMAIN"), "fcrdns", ("failure", "missing")),
        (("PTR  mail.example.com", "PTR  other.example.com"), "fcrdns", ("failure", "mismatch")),
        (("PTR  mail.example.com", "PTR  TIMEOUT"), "fcrdns", ("unknown", "temperror")),
        (("A    192.0.2.1", "A    192.0.2.9"), "helo", ("warning", "mismatch")),
        (("mail.example.com         A    192.0.2.1", ""), "helo", ("warning", "unresolved")),
        (("A    192.0.2.1", "A    SERVFAIL"), "helo", ("unknown", "temperror")),
        ((record(2048).decode(), "SERVFAIL"), "dkim", ("unknown", "temperror")),
        ((record(2048).decode(), record(2048, b"v=DKIM1; t=y; ").decode()), "dkim", ("failure", "invalid")),
    ],
)
def test_each_fault_in_the_dns_is_seen(signed, change, check, expected):
    assert change[0] in ZONE
    assert states(signed, zone=ZONE.replace(*change))[check] == expected


def test_a_dns_that_never_answers_is_no_fault_of_the_sender(signed):
    found = states(signed, source=Down())
    assert {found[check][0] for check in ("spf.result", "spf.helo", "dkim", "align", "fcrdns", "helo")} == {"unknown"}


def test_an_unsigned_or_changed_reply_fails(signed):
    assert states(MESSAGE)["dkim"] == ("failure", "none")
    assert states(signed.replace(b"lost the game", b"won the game"))["dkim"] == ("failure", "invalid")


def test_every_signature_is_judged_and_a_bad_one_beside_a_good_one_is_only_information(signed):
    both = sign(signed, key=rsa_key(2048)).replace(b"d=example.com", b"d=example.org", 1)
    found = [outcome for outcome in outcomes(both) if outcome.check == "dkim"]
    assert [outcome.reason for outcome in found] == ["invalid", "good"]
    assert [outcome.severity for outcome in found] == ["informational", None]
    assert found[1].values["bits"] == "2048"


def test_a_short_key_is_a_warning_and_ed25519_is_not_short():
    short = ZONE.replace(record(2048).decode(), record(1024).decode())
    assert states(sign(MESSAGE), zone=short)["dkim"] == ("warning", "short")
    curve = ZONE.replace(record(2048).decode(), ed25519_record().decode())
    assert states(sign(MESSAGE, key=ed25519_key()), zone=curve)["dkim"] == ("good", "good")


def test_a_signature_of_somebody_else_is_not_the_senders():
    zone = ZONE.replace(SELECTOR, "test._domainkey.example.org")
    assert states(sign(MESSAGE, key=rsa_key(2048), d="example.org"), zone=zone)["dkim"] == ("warning", "foreign")


def test_a_signature_that_leaves_out_what_people_see_is_a_warning():
    """RFC 6376 8.2: with l= anybody adds what he likes below; over From alone, any subject stands above."""
    key = rsa_key(2048)
    assert states(sign(MESSAGE, key=key, l="5"))["dkim"] == ("warning", "length")
    assert states(sign(MESSAGE, key=key, l="5") + b"more\r\n")["dkim"] == ("warning", "length")
    assert states(sign(MESSAGE, key=key, h="from"))["dkim"] == ("warning", "narrow")
    assert states(sign(MESSAGE, key=key, h="from:subject"))["dkim"] == ("good", "good")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((b"22:13:20 +0000", b"22:13:20 +0900"), "good"),
        ((b"14 Nov 2023", b"10 Nov 2023"), "good"),
        ((b"14 Nov 2023", b"14 Nov 2018"), "date-far"),
        ((b"14 Nov 2023", b"16 Nov 2023"), "date-far"),
        ((b"14 Nov 2023 22", b"yesterday"), "date-malformed"),
        ((b"Date: ", b"X-Date: "), "date-count"),
        ((b"Date: ", b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nDate: "), "date-count"),
        ((b"Message-ID: ", b"X-ID: "), "message-id"),
        ((b"<1@example.com>", b"<1>"), "message-id"),
    ],
)
def test_date_and_message_id_are_those_of_an_honest_program(change, expected):
    assert change[0] in MESSAGE
    assert states(MESSAGE.replace(*change))["fields"][1] == expected


@pytest.mark.parametrize(
    ("name", "generic"),
    [
        ("mail.example.com", False),
        ("mx1.example.com", False),
        ("mail-2.example.com", False),
        ("p192-0-2-1.isp.example", True),
        ("1.2.0.192.isp.example", True),
        ("host-c0000201.isp.example", True),
        ("user192000002001.isp.example", True),
        ("dyn12.isp.example", True),
        ("x.dhcp.isp.example", True),
        ("pool-7.isp.example", True),
        ("dynamics.example", False),
        ("users.example.com", False),
        ("mail0.v2.r1.example.com", False),
    ],
)
def test_a_name_that_a_provider_gives_to_any_line_is_generic(signed, name, generic):
    zone = ZONE.replace("PTR  mail.example.com", f"PTR  {name}") + f"{name} A 192.0.2.1\n"
    assert states(signed, zone=zone)["fcrdns"] == (("warning", "generic") if generic else ("good", "good"))


@pytest.mark.parametrize(
    ("hop_of", "expected"),
    [
        (POSTFIX.replace("TLSv1.3", "TLSv1.1"), ("failure", "old")),
        (
            POSTFIX.replace("TLSv1.3 with cipher TLS_AES_256_GCM_SHA384", "TLSv1.2 with cipher DES-CBC3-SHA"),
            ("failure", "weak"),
        ),
        (
            POSTFIX.replace("TLSv1.3 with cipher TLS_AES_256_GCM_SHA384", "TLSv1.2 with cipher ECDHE-RSA-AES128-SHA"),
            ("good", "good"),
        ),
        (POSTFIX.replace(f"\r\n\t{TLS13}", "").replace("ESMTPS", "ESMTP"), ("failure", "none")),
        (POSTFIX.replace(f"\r\n\t{TLS13}", ""), ("good", "encrypted")),
    ],
)
def test_a_hop_without_encryption_or_with_an_old_one_fails(signed, hop_of, expected):
    assert states(signed, received=hop_of)["tls.out"] == expected


def test_a_chain_of_forwarders_is_good_until_somebody_changes_what_they_sealed(signed):
    zone = f"{ZONE}\n{KEY} TXT {record(1024).decode()}\n"
    sealed, _ = seal(signed, 1)
    assert states(sealed, zone=zone)["arc"] == ("good", "good")
    assert states(sealed.replace(b"lost the game", b"won the game"), zone=zone)["arc"] == ("warning", "broken")


def test_without_any_trace_of_the_client_nothing_is_said_about_it(signed):
    found = states(signed, received="")
    assert found["spf.result"] == ("unknown", "no-client")
    assert found["fcrdns"] == found["helo"] == ("unknown", "no-client")
    assert found["tls.out"] == ("unknown", "unrecorded")
    assert found["dkim"] == ("good", "good")


def test_without_an_envelope_sender_spf_is_unknown(signed):
    assert states(signed, envelope=Envelope())["spf.result"] == ("unknown", "no-sender")


@pytest.mark.parametrize(
    ("helo", "expected"), [("localhost", "no-name"), ("[192.0.2.1]", "no-name"), ("unknown.example.com", "unresolved")]
)
def test_odd_names_in_helo(signed, helo, expected):
    envelope = Envelope(sender="joe@example.com", client_address="192.0.2.1", client_helo=helo)
    assert states(signed, envelope=envelope)["helo"] == ("warning", expected)


def test_long_lines_and_control_characters():
    assert states(MESSAGE + b"x" * 999 + b"\r\n")["lines"] == ("warning", "long")
    assert states(MESSAGE + b"x" * 998 + b"\r\n")["lines"] == ("good", "good")
    assert states(MESSAGE + b"a\rb\r\n")["lines"] == ("warning", "control")
    assert states(MESSAGE + b"a\0b\r\n")["lines"] == ("warning", "control")


def test_what_leaks_from_inside_is_named():
    inside = (
        b"Received: from pc (pc.corp [10.1.2.3]) by mail.example.com with ESMTPA id 1; date\r\nX-Mailer: Foo 1.2\r\n"
    )
    [leak] = [outcome for outcome in outcomes(inside + MESSAGE) if outcome.check == "leak"]
    assert (leak.state, leak.reason) == ("warning", "found")
    assert leak.evidence == ("Received: 10.1.2.3", "X-Mailer: Foo 1.2")
    assert (
        states(inside.replace(b"10.1.2.3", b"127.0.0.1").replace(b"X-Mailer", b"X-Other") + MESSAGE)["leak"][0]
        == "good"
    )


HOPS = {
    f"{CLIENT} {TLS13} by mx.example.net (Postfix) with ESMTPS id 1; d": (True, "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    f"{CLIENT} (using TLSv1 with cipher AES128-SHA (128/128 bits)) (No client certificate requested)"
    " by mx.example.net (Postfix) with ESMTPS id 1; d": (True, "TLSv1", "AES128-SHA"),
    f"{CLIENT} by mx.example.net (Postfix) with ESMTP id 1; d": (False, "", ""),
    f"{CLIENT} by mx.example.net (Postfix) with ESMTPS id 1; d": (True, "", ""),
    "from mail.example.com ([192.0.2.1] helo=mail.example.com) by mx.example.net with esmtps"
    "  (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.96) (envelope-from <a@b>) id 1 for c@d; d": (
        True,
        "TLSv1.3",
        "TLS_AES_256_GCM_SHA384",
    ),
    "from [192.0.2.1] (helo=x) by mx.example.net with esmtps (TLS1.2) tls TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 (Exim)": (
        True,
        "TLSv1.2",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    ),
    "from x ([192.0.2.1] helo=x) by mx with esmtps (TLSv1.2:ECDHE-RSA-AES256-GCM-SHA384:256) (Exim 4.90)": (
        True,
        "TLSv1.2",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    "from x ([192.0.2.1] helo=x) by mx.example.net with esmtp (Exim 4.96) id 1": (False, "", ""),
    f"{CLIENT} by mx.example.net (8.17.1/8.17.1) with ESMTPS id 1 (version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384"
    " bits=256 verify=NO)": (True, "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    f"{CLIENT} by mx.example.net with LMTP id 1; d": (None, "", ""),
    f"{CLIENT} by mx.example.net": (None, "", ""),
}


@pytest.mark.parametrize("value", HOPS)
def test_the_encryption_of_a_hop_is_read(value):
    found = hop.transport(received_hop(value.encode()))
    assert (found.encrypted, found.version, found.cipher) == HOPS[value]


@pytest.mark.parametrize(
    "value",
    [
        f"{CLIENT} by mx.example.net (Postfix) with ESMTP id 1 for <a{TLS13}@b>; d",
        f"{CLIENT} by mx.example.net (Postfix) with ESMTP id 1 {TLS13}",
        "from x ([192.0.2.1] helo=x) by mx with esmtp (Exim 4.96) (envelope-from <with esmtps (TLS1.3) tls X>) id 1",
    ],
)
def test_words_of_the_client_are_no_encryption(value):
    assert hop.transport(received_hop(value.encode())).encrypted is False


@pytest.mark.parametrize("helo", ["x(using", "(using TLSv1.3 with cipher X (1/1 bits))", "a) (b [192.0.2.9])"])
def test_a_helo_cannot_forge_the_hop(helo):
    raw = f"Received: from {helo} (unknown [192.0.2.1]) by mx.example.net (Postfix) with ESMTP id 1; d\r\n\r\n".encode()
    arrival = arrived(raw)
    assert arrival.transport.encrypted is not True
    assert arrival.envelope.client_address != "192.0.2.9"


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_received_field_is_read_without_an_error(value):
    raw = b"Received: from a (a [192.0.2.1])" + value + b"\r\n\r\n"
    assert arrived(raw).transport.encrypted in {True, False, None}


def test_only_our_own_field_counts():
    other = f"Received: {POSTFIX}\r\n".encode()
    ours = b"Received: from h (h [198.51.100.7]) by mx.example.net (Postfix) with ESMTP id 1; d\r\n"
    arrival = arrived(ours + other + b"\r\n")
    assert (arrival.envelope.client_address, arrival.transport.encrypted) == ("198.51.100.7", False)


def test_own_relays_are_walked_through():
    ours = b"Received: from relay (relay [10.0.0.5]) by store.example.net (Postfix) with ESMTP id 1; d\r\n"
    raw = ours + f"Received: {POSTFIX}\r\n\r\n".encode()
    arrival = arrived(raw, trusted_relays=networks(["10.0.0.0/8"]))
    assert (arrival.envelope.client_address, arrival.transport.version) == ("192.0.2.1", "TLSv1.3")


def test_a_field_about_another_client_than_the_known_one_says_nothing():
    arrival = arrived(f"Received: {POSTFIX}\r\n\r\n".encode(), Envelope(client_address="203.0.113.1"))
    assert arrival.transport.encrypted is None
    assert arrival.field is None


def test_the_environment_of_local_delivery_is_read():
    environment = {"CLIENT_ADDRESS": "192.0.2.1", "CLIENT_HELO": "h.example.com", "SENDER": "joe@example.com"}
    arrival = arrived(f"Received: {POSTFIX}\r\n\r\n".encode(), Envelope(), environment=environment)
    assert (arrival.envelope.client_helo, arrival.transport.version) == ("h.example.com", "TLSv1.3")
