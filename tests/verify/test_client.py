"""Who connected is told by the operator or by our own relays, never by what a sender can write."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError
from mailguard.verify.client import client_address, facts, networks, received_hop

POSTFIX = (
    b"from helo.example (host.example [203.0.113.9])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n"
    b'\t (Client CN "x.example", Issuer "Y (Z)" (verified OK)))\r\n\tby mx.example.net (Postfix) with ESMTPS id 4X; '
    b"Tue, 24 Nov 2026 08:00:00 +0000"
)
RELAY = b"from relay.example.net (relay.example.net [10.0.0.2]) by store.example.net (Postfix) with ESMTP id 1"
LOCALHOST = b"from localhost (localhost [127.0.0.1]) by mx.example.net (Postfix) with ESMTP id 2"
PICKUP = b"by mx.example.net (Postfix, from userid 33)\n\tid 3; Tue, 24 Nov 2026 08:00:00 +0000"
FORGED = b"from good.example (good.example [192.0.2.1]) by relay.example.net (Postfix) with ESMTP id 9"
TRUSTED = networks(["10.0.0.0/8", "127.0.0.0/8", "2001:db8:1::/48"])


def message(*received, top=b""):
    return top + b"".join(b"Received: " + value + b"\n" for value in received) + b"From: a@example.com\n\nbody\n"


def walk(*received, trusted=TRUSTED, top=b"", **envelope):
    return facts(Envelope(**envelope), raw=message(*received, top=top), trusted_relays=trusted)


def found(client):
    return client.envelope.client_address, client.envelope.client_helo


@pytest.mark.parametrize(
    ("value", "address", "helo"),
    [
        (POSTFIX, "203.0.113.9", "helo.example"),
        (b"from [192.168.1.5] (unknown [203.0.113.9]) by mx (Postfix) with SMTP", "203.0.113.9", "[192.168.1.5]"),
        (b"from h (unknown [IPv6:2001:db8::9]) (Authenticated sender: u) by mx (Postfix) with", "2001:db8::9", "h"),
        (b"from h.example (r.example [203.0.113.9] (may be forged))\n\tby mx (8.15.2/8.15.2) with ESMTP id", "203.0.113.9", "h.example"),
        (b"from h.example (IDENT:user@r.example [203.0.113.9]) by mx (8.9.3) with", "203.0.113.9", "h.example"),
        (b"from h.example ([203.0.113.9]) by mx (8.15.2/8.15.2) with ESMTP id", "203.0.113.9", "h.example"),
        (b"from r.example ([203.0.113.9] helo=h.example)\n\tby mx with esmtps (Exim 4.96)", "203.0.113.9", "h.example"),
        (b"from r.example ([203.0.113.9]:4711 helo=[10.1.1.1] ident=x) by mx with esmtp (Exim 4.96)", "203.0.113.9", "[10.1.1.1]"),
        (b"from r.example ([2001:db8::9]) by mx with esmtp (Exim 4.96)", "2001:db8::9", "r.example"),
        (b"from [203.0.113.9] (helo=h.example) by mx with esmtp (Exim 4.96)", "203.0.113.9", "h.example"),
        (b"from [203.0.113.9]:25 (port=25 helo=h.example) by mx with esmtp (Exim 4.96)", "203.0.113.9", "h.example"),
        (b"from [203.0.113.9] by mx with smtp (Exim 4.96)", "203.0.113.9", None),
        (b"from h.example (203.0.113.9) by AM6.mail.protection.outlook.com (10.1.2.3) with Microsoft SMTP Server", "203.0.113.9", "h.example"),
        (b"from AM6PR01.example (2001:db8::9) by DB8.example (2001:db8:1::5) with Microsoft SMTP Server (version=TLS1_2)", "2001:db8::9", "AM6PR01.example"),
        (b"from mail-ed1.example (mail-ed1.example. [203.0.113.9])\r\n        by mx.google.com with SMTPS id x", "203.0.113.9", "mail-ed1.example"),
        (b"from h (h [::ffff:203.0.113.9]) by mx with", "203.0.113.9", "h"),
        (b'from h (r [203.0.113.9]) (Client CN "x) (x [10.0.0.1]", Issuer "(((") by mx with', "203.0.113.9", "h"),
        (b"from [203.0.113.9] (ident=a@[10.0.0.1]) by mx with", "203.0.113.9", None),
    ],
)  # fmt: skip
def test_the_address_that_the_server_saw_is_read(value, address, helo):
    hop = received_hop(value)
    assert (hop.address, hop.helo) == (ip_address(address), helo)


@pytest.mark.parametrize(
    "value",
    [
        PICKUP,
        b"by 2002:a05:6402:1234:b0:123 with SMTP id x; Tue",
        b"(from root@localhost)\n\tby mx.example.net (8.15.2/8.15.2/Submit) id 4",
        b"from user by mx.example.net with local (Exim 4.96)",
    ],
)
def test_a_handover_inside_a_host_is_recognised(value):
    assert received_hop(value).address is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"from h.example by mx.example.net with ESMTP",  # no address: the server saw one and did not write it
        b"from h (unknown [10.0.0.1%eth0]) by mx with",
        b"from h (unknown [999.0.0.1]) by mx with",
        b"from x([10.0.0.1]) (r.example [203.0.113.9]) by mx with",
        b"from h (helo=a [10.0.0.1]) by mx with",
        b"from [203.0.113.9] (ident=a [10.0.0.1]) by mx with",
        b"from [10.0.0.1] (strange comment [203.0.113.9] here) by mx with",
        b"from unknown (HELO x) (203.0.113.9) by 0 with SMTP",
        b"from h (r [203.0.113.9]) by mx with " + b"x" * 9000,
    ],
)
def test_what_cannot_be_read_with_certainty_is_not_read(value):
    assert received_hop(value) is None


def test_the_client_of_a_message_that_came_directly_is_in_the_topmost_field():
    client = walk(POSTFIX, FORGED)
    assert found(client) == ("203.0.113.9", "helo.example")
    assert client.sources == {"client_address": "header line 1", "client_helo": "header line 1"}


def test_the_walk_goes_through_trusted_relays_and_stops_at_the_first_stranger():
    client = walk(LOCALHOST, RELAY, POSTFIX, FORGED, RELAY)
    assert found(client) == ("203.0.113.9", "helo.example")
    assert client.sources["client_address"] == "header line 3"


def test_the_line_is_counted_in_the_message_not_in_the_header():
    raw = b"From sender Tue Nov 24 08:00:00 2026\n" + message(POSTFIX, top=b"X-A: 1\n\tfolded\n")
    client = facts(Envelope(), raw=raw, start=raw.index(b"\n") + 1, trusted_relays=TRUSTED)
    assert client.sources["client_address"] == "header line 4"


def test_a_local_handover_is_passed_only_where_loopback_is_trusted():
    assert found(walk(PICKUP, POSTFIX)) == ("203.0.113.9", "helo.example")
    client = walk(PICKUP, POSTFIX, trusted=networks(["10.0.0.0/8"]))
    assert found(client) == (None, None)
    assert "handed over locally" in client.reason


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        ((), "no Received field"),
        ((RELAY,), "header line 1: the message began at a trusted relay"),
        ((RELAY, b"nonsense", POSTFIX), "header line 2: this Received field cannot be read with certainty"),
        ((RELAY,) * 101 + (POSTFIX,), "header line 101: this Received field cannot be read with certainty"),
    ],
)
def test_without_certainty_there_is_no_client_and_a_reason(received, reason):
    client = walk(*received)
    assert found(client) == (None, None)
    assert client.reason == reason


def test_a_field_name_that_no_mail_system_writes_ends_the_walk():
    raw = b"Received: " + RELAY + b"\nReceived : " + POSTFIX.replace(b"\r", b"") + b"\n\n"
    assert found(facts(Envelope(), raw=raw, trusted_relays=TRUSTED)) == (None, None)


def test_options_win_over_the_environment_and_the_walk():
    environment = {
        "CLIENT_ADDRESS": "198.51.100.1",
        "CLIENT_HELO": "env.example",
        "SENDER": "e@example.com",
        "RECIPIENT": "r@example.net",
    }
    client = facts(
        Envelope(client_address="192.0.2.7"), environment=environment, raw=message(POSTFIX), trusted_relays=TRUSTED
    )
    assert found(client) == ("192.0.2.7", "env.example")
    assert (client.envelope.sender, client.envelope.recipients) == ("e@example.com", ("r@example.net",))
    assert client.sources == {
        "client_address": "option", "client_helo": "environment", "sender": "environment", "recipients": "environment",
    }  # fmt: skip


def test_a_client_that_is_one_of_our_relays_is_not_the_client():
    client = walk(RELAY, POSTFIX, client_address="10.0.0.2", client_helo="relay.example.net", sender="a@example.com")
    assert found(client) == ("203.0.113.9", "helo.example")
    assert client.sources == {"sender": "option", "client_address": "header line 2", "client_helo": "header line 2"}
    assert found(walk(RELAY, client_address="10.0.0.2", client_helo="relay.example.net")) == (None, None)


@pytest.mark.parametrize("unknown", ["", "unknown"])
def test_unknown_and_empty_facts_are_absent(unknown):
    client = facts(Envelope(), environment={"CLIENT_ADDRESS": unknown, "CLIENT_HELO": unknown, "SASL_USERNAME": ""})
    assert (found(client), client.sources, client.reason) == ((None, None), {}, "no client address")


@pytest.mark.parametrize(("text", "sender"), [("", ""), ("MAILER-DAEMON", ""), ("<a@example.com>", "a@example.com")])
def test_the_environments_null_sender_is_understood(text, sender):
    client = facts(Envelope(), environment={"SENDER": text})
    assert (client.envelope.sender, client.sources) == (sender, {"sender": "environment"})


def test_the_json_form_holds_each_fact_with_its_source_shown_inert():
    client = facts(Envelope(client_helo="x\r\ny", recipients=["a@example.com"]))
    assert client.as_dict() == {
        "client_helo": {"value": "x\\r\\ny", "source": "option"},
        "recipients": {"value": ["a@example.com"], "source": "option"},
    }


def test_the_environment_is_not_read_unless_given(monkeypatch):
    monkeypatch.setenv("CLIENT_ADDRESS", "192.0.2.1")
    assert found(facts(Envelope())) == (None, None)


def test_the_sender_comes_from_a_return_path_above_our_received_field_only():
    top = b"Delivered-To: b@example.net\nReturn-Path: <a@example.com>\n"
    client = walk(POSTFIX, top=top)
    assert (client.envelope.sender, client.sources["sender"]) == ("a@example.com", "header line 2")
    assert walk(POSTFIX, top=b"Return-Path: <>\n").envelope.sender == ""
    assert walk(POSTFIX + b"\nReturn-Path: <evil@example.com>").envelope.sender is None
    assert walk(POSTFIX, top=top, sender="option@example.com").envelope.sender == "option@example.com"


def test_without_trusted_relays_nothing_is_walked():
    assert found(walk(POSTFIX, trusted=())) == (None, None)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "x", "10.0.0.0/33", ""])
def test_what_is_no_network_is_a_configuration_error(text):
    with pytest.raises(ConfigurationError, match="not a network"):
        networks([text])


@given(st.text(max_size=70))
def test_any_text_is_an_address_or_none(text):
    address = client_address(text)
    assert address is None or ip_address(str(address)) == address


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_as_received_fields_are_walked(values):
    client = walk(*values)
    assert client.envelope.client_address is None or client.sources["client_address"].startswith("header line")


PIECES = [
    b"from ",
    b"by ",
    b"(",
    b")",
    b"[",
    b"]",
    b"10.0.0.1",
    b"203.0.113.9",
    b"helo=",
    b"ident=",
    b"a@",
    b" ",
    b"\n\t",
    b"x.example",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_no_combination_of_pieces_stops_the_walk(pieces):
    walk(b"".join(pieces), POSTFIX)


@given(
    helo=st.text(
        st.characters(codec="utf-8", exclude_characters=" \t\r\n\x0b\x0c()\x85\xa0", exclude_categories=["Cs"]),
        min_size=1,
        max_size=60,
    ),
)
def test_no_helo_can_stand_in_for_the_address_that_the_server_saw(helo):
    written = (
        helo.encode().replace(b"\x1c", b"").replace(b"\x1d", b"").replace(b"\x1e", b"").replace(b"\x1f", b"") or b"x"
    )
    for form in (
        b"from %s (host.example [203.0.113.9]) by mx (Postfix) with",
        b"from %s (203.0.113.9) by mx (1.2.3.4) with",
    ):
        hop = received_hop(form % written)
        assert hop is None or hop.address == ip_address("203.0.113.9")


@pytest.mark.parametrize("unit", [b"(", b"from (", b" (a)", b"((a)", b"[1", b"x@", b"helo=a ", b"\n ", b" by"])
def test_a_field_of_any_length_beyond_the_limit_is_not_read(unit):
    assert received_hop(b"from h " + unit * 3000) is None
