"""Whom a verdict may come from besides our own look: other verifiers, ARC sealers, and only what the operator named."""

from __future__ import annotations

import pytest
from arc_sets import seal
from results_of_others import EXCHANGE, GOOGLE, OPENDKIM, OPENDMARC, RSPAMD
from signed_mail import MESSAGE, canonical_body, record, split
from verbs import output
from verified_mail import STRANGER, header_fields, judged, methods, reported, zone

RELAYS = {"trusted_relays": ["10.0.0.0/8", "2603:10a6::/32", "192.0.2.64/26"]}
RELAYED = {"client_address": "10.0.0.1", "client_helo": "front.example.net", "sender": "eve@evil.example"}

# What each service writes above and below its results, from the client to us.
CLIENT = "198.51.100.9"
OWN_HOP = (
    b"Received: from front.example.net (front.example.net [10.0.0.1])\r\n"
    b"\tby mx.example.net (Postfix) with ESMTPS id 4cX1; Tue, 24 Nov 2026 10:00:02 +0900\r\n"
)
EXCHANGE_HOPS = (
    (
        b"Received: from AM1PR01MB1.eurprd01.prod.outlook.example (2603:10a6::1) by\r\n"
        b" front.example.net (10.0.0.1) with Microsoft SMTP Server; Tue, 24 Nov 2026 01:00:01 +0000\r\n"
    ),
    (
        b"Received: from client.example (198.51.100.9) by\r\n AM1EUR01FT1.mail.protection.outlook.example (2603:10a6::2)"
        b" with Microsoft SMTP\r\n Server; Tue, 24 Nov 2026 01:00:00 +0000\r\n"
    ),
)
PLAIN_ENTRY = (
    b"Received: from client.example (client.example [198.51.100.9])\r\n\tby front.example.net; Tue, 24 Nov 2026"
    b" 10:00:00 +0900\r\n"
)
CASES = {
    "exchange-online": (OWN_HOP + EXCHANGE_HOPS[0], EXCHANGE, EXCHANGE_HOPS[1]),
    "google": (OWN_HOP, GOOGLE, PLAIN_ENTRY),
    "rspamd.example": (OWN_HOP, RSPAMD.replace(b"mx.example.net;", b"rspamd.example;"), PLAIN_ENTRY),
    "dmarc.example": (OWN_HOP, (OPENDKIM + OPENDMARC).replace(b"mx.example.net;", b"dmarc.example;"), PLAIN_ENTRY),
    "mx.example.net": (OWN_HOP, OPENDMARC, PLAIN_ENTRY),
}


@pytest.mark.parametrize("name", CASES)
def test_a_trusted_verifiers_pass_above_the_entry_counts_and_leaves_our_own_result_as_it_is(name):
    above, results, entry = CASES[name]
    result = judged(above + results + entry + MESSAGE, RELAYED, trusted_verifiers=[name], **RELAYS)
    assert result.authenticated
    assert "verdict.trusted-results" in {each.code for each in result.findings}
    assert result.details["client"]["client_address"]["value"] == CLIENT
    assert methods(output(result))["dmarc"] == ["fail"]


@pytest.mark.parametrize("name", CASES)
def test_it_counts_neither_unasked_nor_below_the_entry_nor_for_another_author(name):
    above, results, entry = CASES[name]
    raw = above + results + entry + MESSAGE
    assert not judged(raw, RELAYED, **RELAYS).authenticated
    assert not judged(raw, RELAYED, trusted_verifiers=["other.example"], **RELAYS).authenticated
    assert not judged(raw, RELAYED, trusted_verifiers=[name]).authenticated
    assert not judged(above + entry + results + MESSAGE, RELAYED, trusted_verifiers=[name], **RELAYS).authenticated
    other = raw.replace(b"From: Joe <joe@example.com>", b"From: Joe <joe@bank.example>")
    assert not judged(other, RELAYED, trusted_verifiers=[name], **RELAYS).authenticated
    failed = raw.replace(b"dmarc=pass", b"dmarc=fail")
    assert not judged(failed, RELAYED, trusted_verifiers=[name], **RELAYS).authenticated
    odd = raw.replace(b"From:", b"From :")
    assert not judged(odd, RELAYED, trusted_verifiers=[name], **RELAYS).authenticated
    twice = raw.replace(b"\r\nTo:", b"\r\nFrom: x@bank.example\r\nTo:")
    assert not judged(twice, RELAYED, trusted_verifiers=[name], **RELAYS).authenticated


def test_nothing_counts_for_who_came_without_a_relay_or_behind_a_field_that_cannot_be_read():
    forged = OWN_HOP + OPENDMARC + PLAIN_ENTRY + MESSAGE
    assert not judged(forged, STRANGER, trusted_verifiers=["mx.example.net"], **RELAYS).authenticated
    unreadable = OWN_HOP + OPENDMARC + b"Received: from ??? by x\r\n" + PLAIN_ENTRY + MESSAGE
    assert not judged(unreadable, RELAYED, trusted_verifiers=["mx.example.net"], **RELAYS).authenticated


def test_a_trusted_verifier_takes_nothing_away():
    raw = OWN_HOP + OPENDMARC.replace(b"pass", b"fail") + PLAIN_ENTRY.replace(b"198.51.100.9", b"192.0.2.1") + MESSAGE
    envelope = RELAYED | {"sender": "joe@example.com"}
    assert judged(raw, envelope, trusted_verifiers=["mx.example.net"], **RELAYS).authenticated


# ARC

PASS = b"dmarc=pass header.from=example.com"
KEYS = "".join(
    f"arc._domainkey.{domain} TXT {record().decode()}\n"
    for domain in ("lists.example", "second.example", "evil.example")
)
COVERED = (b"from", b"subject", b"content-type")


def sealed(*sets, covered=COVERED, more=b""):
    raw, before = MESSAGE, []
    for instance, (domain, said) in enumerate(sets, 1):
        raw, before = seal(raw, instance, before=before, domain=domain, said=said, covered=covered, more=more)
    return raw


def vouched(raw, *sealers):
    result = judged(raw, STRANGER, zone(KEYS), trusted_sealers=sealers)
    assert methods(output(result))["dmarc"] == ["fail"]
    return result.authenticated


@pytest.mark.parametrize(
    ("sets", "trusted", "expected"),
    [
        ([(b"lists.example", PASS)], ["lists.example"], True),
        ([(b"lists.example", PASS)], ["LISTS.example."], True),
        ([(b"lists.example", PASS)], ["example"], False),
        ([(b"lists.example", PASS)], [], False),
        ([(b"lists.example", b"dmarc=fail header.from=example.com")], ["lists.example"], False),
        ([(b"lists.example", b"dkim=pass header.d=example.com")], ["lists.example"], False),
        ([(b"lists.example", PASS.replace(b"example.com", b"bank.example"))], ["lists.example"], False),
        ([(b"lists.example", PASS + b"; dmarc=fail header.from=example.com")], ["lists.example"], False),
        ([(b"lists.example", PASS + b"; (")], ["lists.example"], False),
        # The list changed the message, and the second sealer saw only that.
        ([(b"lists.example", PASS), (b"second.example", b"arc=pass")], ["lists.example", "second.example"], True),
        (
            [(b"lists.example", PASS), (b"second.example", b"dmarc=fail header.from=example.com")],
            ["lists.example", "second.example"],
            True,
        ),
        # What stands before an untrusted sealer may be his own invention.
        ([(b"lists.example", PASS), (b"evil.example", b"arc=pass")], ["lists.example"], False),
        ([(b"evil.example", PASS), (b"second.example", b"arc=pass")], ["second.example"], False),
        (
            [(b"second.example", b"dmarc=fail header.from=example.com"), (b"lists.example", PASS)],
            ["lists.example", "second.example"],
            False,
        ),
    ],
)
def test_a_trusted_sealer_may_vouch_for_the_author(sets, trusted, expected):
    assert vouched(sealed(*sets), *trusted) is expected


def test_it_is_visible_who_vouched():
    result = judged(sealed((b"lists.example", PASS)), STRANGER, zone(KEYS), trusted_sealers=["lists.example"])
    assert "verdict.trusted-sealer" in {each.code for each in result.findings}
    (arc,) = (each for each in reported(output(result)) if each.method == "arc")
    assert arc.reason == "the trusted sealer lists.example reports DMARC pass for example.com"


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"Hi.", b"Ho."),
        lambda raw: raw.replace(b"Joe <", b"Boss <"),
        lambda raw: raw.replace(b"cv=none", b"cv=pass"),
        lambda raw: b"Content-Type: text/html\r\n" + raw,
        lambda raw: b"Subject: other\r\n" + raw,
    ],
)
def test_a_sealer_vouches_only_for_what_his_seal_covers(change):
    assert not vouched(change(sealed((b"lists.example", PASS))), "lists.example")


def test_a_seal_that_leaves_out_the_author_vouches_for_nothing():
    assert not vouched(sealed((b"lists.example", PASS), covered=(b"subject", b"content-type")), "lists.example")


def test_a_seal_that_leaves_out_the_type_vouches_for_what_shows_in_the_body():
    raw = sealed((b"lists.example", PASS), covered=(b"from", b"subject"))
    assert vouched(raw, "lists.example")
    assert not vouched(raw.replace(b"text/plain", b"text/html"), "lists.example")
    assert not vouched(raw.replace(b"text/plain", b"text/plain; charset=utf-7"), "lists.example")


def why_not(raw, *sealers):
    result = judged(raw, STRANGER, zone(KEYS), trusted_sealers=sealers)
    assert not result.authenticated
    (arc,) = (each for each in reported(output(result)) if each.method == "arc")
    assert arc.result == "pass"
    return arc.reason.partition("; not believed: ")[2]


def test_it_is_visible_why_a_chain_is_not_believed():
    raw = sealed((b"lists.example", PASS), covered=(b"from", b"subject"))
    html = raw.replace(b"text/plain", b"text/html")
    reason = "content-type is not signed, and the body does not begin and end as HTML does"
    assert why_not(html, "lists.example") == reason
    assert why_not(raw, "second.example") == "lists.example is no trusted sealer"
    assert why_not(sealed((b"lists.example", b"dmarc=fail header.from=example.com")), "lists.example") == (
        "lists.example reports no DMARC pass"
    )
    assert why_not(sealed((b"lists.example", b"spf=pass smtp.mailfrom=x@y.example")), "lists.example") == (
        "no trusted sealer says anything about example.com"
    )
    assert why_not(sealed((b"lists.example", PASS + b"; (")), "lists.example") == (
        "the results of lists.example cannot be read"
    )
    assert why_not(sealed((b"lists.example", PASS), covered=(b"subject",)), "lists.example") == "from is not signed"


def test_a_seal_behind_whose_end_anybody_can_write_vouches_for_nothing():
    length = len(canonical_body(split(MESSAGE)[1], "relaxed"))
    raw = sealed((b"lists.example", PASS), more=b"; l=%d" % length)
    assert methods(output(judged(raw, STRANGER, zone(KEYS), chain=True)))["arc"] == ["pass"]
    assert not vouched(raw, "lists.example")


def test_a_chain_that_cannot_be_judged_now_is_a_temporary_failure_only_for_who_trusts_a_sealer():
    raw = sealed((b"lists.example", PASS))
    text = zone("arc._domainkey.lists.example TXT SERVFAIL")
    flagged = judged(raw, STRANGER, text, trusted_sealers=["lists.example"])
    assert "verdict.temperror" in {each.code for each in flagged.findings}
    assert "verdict.temperror" not in {each.code for each in judged(raw, STRANGER, text).findings}


def test_the_fields_of_a_chain_stay():
    raw = sealed((b"lists.example", PASS))
    names = [each.name for each in header_fields(output(judged(raw, STRANGER, zone(KEYS))))]
    assert names[2:5] == [b"arc-seal", b"arc-message-signature", b"arc-authentication-results"]
