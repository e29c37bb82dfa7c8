"""verify: one field and a seal on top, a verdict that no sender can write, and no other byte changed."""

from __future__ import annotations

import json
import re

import pytest
from arc_sets import seal as arc_seal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from message_generators import anything
from results_of_others import NASTY, independent
from signed_mail import FIELDS, MESSAGE, SELECTOR, sign
from verbs import KEY, NOW, RING, key, output, quarantine, release, sealed
from verified_mail import (
    FIXED,
    FRIEND,
    STRANGER,
    US,
    Down,
    header_fields,
    judged,
    methods,
    options,
    reported,
    signed,
    verified,
    zone,
)

from mailguard.dns import OK, SERVFAIL, STATUSES, TIMEOUT, Answer
from mailguard.dns.files import Zone
from mailguard.envelope import Envelope
from mailguard.errors import ContentLimit, MailguardError
from mailguard.message.header import end
from mailguard.message.tree import after_from_line, parse
from mailguard.release import resent
from mailguard.seal import KeyRing, field
from mailguard.verify import judgement as judgements
from mailguard.verify import verification
from mailguard.verify.trace import lines

some = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
DAY = 86400


def seal(raw, *, now=NOW, ring=RING):
    return field.read(parse(raw), ring, now).verdict


# The whole message


def test_a_whole_message():
    raw = sign(MESSAGE, key=FIXED, s="fixed").replace(b"\r\n", b"\n")
    assert (
        verified(raw, FRIEND)
        == (
            b"Mailguard-Seal: v=1; k=car; t=1790000000; l=26; s=verify; a=yes;\n"
            b"\td=example.com; n=mx.example.net;\n"
            b"\tbh=ZYflcyyqHdzyGHtS6gjfnhyzlP9d4gez1sAKsb1ITbQ=;\n"
            b"\tm=PPycvDue42w2V8m6qOuPqO2BSp0sdhZs3lJOnCDrWts=\n"
            b"Authentication-Results: mx.example.net;\n"
            b'\tspf=pass reason="192.0.2.1 is permitted by a:mail.example.com of\n'
            b' example.com" smtp.mailfrom=joe@example.com;\n'
            b'\tspf=none reason="mail.example.com publishes no SPF record"\n'
            b" smtp.helo=mail.example.com;\n"
            b"\tdkim=pass header.d=example.com header.i=@example.com header.s=fixed\n"
            b' header.a=ed25519-sha256 header.b="/rah/jPM";\n'
            b'\tdmarc=pass reason="dkim=example.com" header.from=example.com\n'
            b" policy.dmarc=reject;\n"
            b'\tiprev=pass reason="mail.example.com leads back to the address"\n'
            b" policy.iprev=192.0.2.1\n"
        )
        + raw
    )


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
@pytest.mark.parametrize("from_line", [b"", b"From joe@example.com Tue Nov 24 10:00:00 2026\n", b">From joe Tue Nov\n"])
@pytest.mark.parametrize("ring", [None, RING])
def test_nothing_but_the_new_fields_is_added_in_the_line_end_of_the_message(eol, from_line, ring):
    raw = MESSAGE.replace(b"\r\n", eol)
    out = verified(from_line + raw, FRIEND, ring=ring)
    assert out.startswith(from_line)
    assert out.endswith(raw)
    added = out[len(from_line) : -len(raw)]
    assert re.fullmatch(rb"(?:[!-~][^\r\n]*%b(?:[ \t][^\r\n]*%b)*)+" % (eol, eol), added)
    names = [each.name for each in header_fields(out)[: 2 if ring else 1]]
    assert names == [b"mailguard-seal", b"authentication-results"][0 if ring else 1 :]


def test_the_same_input_gives_the_same_bytes():
    raw = signed()
    assert verified(raw, FRIEND) == verified(raw, FRIEND)


# The verdict


def verdict(raw, envelope=None, text=None, **changed):
    result = judged(raw, envelope, text, **changed)
    found = seal(output(result))
    assert found.authenticated is result.authenticated
    assert found.author_domain == result.author_domain
    return result.authenticated


NO_RECORD = zone().replace("_dmarc.example.com       TXT  v=DMARC1; p=reject", "")


@pytest.mark.parametrize(
    ("raw", "envelope", "text", "expected"),
    [
        (MESSAGE, FRIEND, None, True),
        (MESSAGE, STRANGER, None, False),
        (signed(), STRANGER, None, True),
        (signed(), None, None, True),
        (MESSAGE, None, None, False),
        (signed().replace(b"Hi.", b"Ho."), STRANGER, None, False),
        (signed(d="evil.example"), STRANGER, None, False),
        (signed(), STRANGER, NO_RECORD, True),
        (MESSAGE, FRIEND, NO_RECORD, True),
        (MESSAGE, FRIEND | {"sender": "joe@mail.example.com"}, NO_RECORD + "mail.example.com TXT v=spf1 a -all", False),
        (MESSAGE, FRIEND | {"sender": "joe@mail.example.com"}, zone("mail.example.com TXT v=spf1 a -all"), True),
        (b"From: joe@example.com\r\n" + MESSAGE, FRIEND, None, False),
        (MESSAGE.replace(b"From: Joe <joe@example.com>", b"From: a@example.com, b@example.com"), FRIEND, None, False),
        (MESSAGE.replace(b"From:", b"From :"), FRIEND, None, False),
        (MESSAGE.replace(b"From: Joe <joe@example.com>\r\n", b""), FRIEND, None, False),
    ],
)
def test_who_is_authenticated(raw, envelope, text, expected):
    assert verdict(raw, envelope, text) is expected


@pytest.mark.parametrize(
    ("envelope", "changed", "expected"),
    [
        (STRANGER | {"sasl_username": "joe"}, {"own_domains": ["example.com"]}, True),
        (STRANGER, {"trusted_clients": ["198.51.100.0/24"], "own_domains": ["example.com"]}, True),
        (STRANGER | {"sasl_username": "joe"}, {"own_domains": ["com"]}, True),
        # For the domain of somebody else he speaks no more than anybody does.
        (STRANGER | {"sasl_username": "joe"}, {}, False),
        (STRANGER | {"sasl_username": "joe"}, {"own_domains": ["mail.example.com", "ample.com"]}, False),
        (STRANGER, {"trusted_clients": ["198.51.100.0/24"]}, False),
        (STRANGER, {"trusted_clients": ["203.0.113.0/24"]}, False),
        ({"client_address": "unknown"}, {"trusted_clients": ["0.0.0.0/0", "::/0"]}, False),
        # How a relay logged in says nothing about who wrote through it.
        (STRANGER | {"sasl_username": "relay"}, {"trusted_relays": ["198.51.100.0/24"]}, False),
    ],
)
def test_submission_by_our_own_user(envelope, changed, expected):
    assert verdict(MESSAGE, envelope, **changed) is expected
    assert verdict(b"From: x@other.example\r\n" + MESSAGE, envelope, **changed) is False
    assert verdict(MESSAGE.replace(b"From:", b"From :"), envelope, **changed) is False


def test_our_own_user_is_reported_by_his_name_and_judged_by_nothing_else():
    out = verified(MESSAGE, STRANGER | {"sasl_username": "joe; dmarc=pass"}, own_domains=["example.com"])
    assert methods(out) == {"auth": ["pass"], "dkim": ["none"], "dmarc": ["none"]}
    assert reported(out)[0].properties == {"smtp.auth": "joe; dmarc=pass"}


def test_without_an_option_the_domains_of_our_users_are_those_of_our_organization():
    raw = MESSAGE.replace(b"joe@example.com", b"joe@office.example.net")
    for name, expected in (("mx.example.net", True), ("example.net", True), ("MX.Example.Net.", True), ("mx", False),
                           ("mx.example.org", False), ("net", False)):  # fmt: skip
        assert judged(raw, STRANGER | {"sasl_username": "joe"}, authserv_id=name).authenticated is expected


def test_who_writes_in_a_foreign_name_is_judged_as_everybody_and_people_are_told():
    result = judged(MESSAGE, STRANGER | {"sasl_username": "joe"})
    assert methods(output(result)) == {
        "auth": ["pass"], "spf": ["none", "none"], "dkim": ["none"], "dmarc": ["fail"], "iprev": ["permerror"]
    }  # fmt: skip
    assert "submission.foreign-author" in {each.code for each in result.findings}
    assert judged(signed(), STRANGER | {"sasl_username": "joe"}).authenticated  # with the key of that domain


@pytest.mark.parametrize(
    ("display", "flagged"),
    [
        (b'"boss@bank.example" <joe@example.com>', True),
        ('"boss＠bank.example" <joe@example.com>'.encode(), True),
        (b"Ayumi Sato <joe@example.com>", True),
        (b"Joe <joe@example.com>", False),
        (b"joe@example.com <joe@example.com>", False),
    ],
)
def test_who_pretends_to_be_somebody_else_is_marked(display, flagged):
    raw = MESSAGE.replace(b"Joe <joe@example.com>", display)
    result = judged(raw, FRIEND, persons=[("ayumi@rcpt.test", "Ayumi Sato")])
    assert ("impersonating" in seal(output(result)).flags) is flagged
    assert any(each.code.startswith("from.impersonating") for each in result.findings) is flagged


@pytest.mark.parametrize(
    ("author", "own", "flags"),
    [
        (b"Joe <joe@exarnple.net>", [], ("impersonating", "lookalike")),  # we are mx.example.net
        (b"Joe <joe@mx.example.net.evil.example>", [], ("impersonating", "lookalike")),
        (b"Joe <joe@legitirnate.test>", ["legitimate.test"], ("impersonating", "lookalike")),
        (b"Joe <joe@exarnple.net>", ["legitimate.test"], ()),
        (b"Joe <joe@example.net>", [], ()),
        (b"example.net <joe@evil.example>", [], ("impersonating",)),
    ],
)
def test_a_domain_that_looks_like_our_own_is_marked(author, own, flags):
    raw = MESSAGE.replace(b"Joe <joe@example.com>", author)
    assert seal(verified(raw, STRANGER, own_domains=own)).flags == flags


# What comes in under our name


@pytest.mark.parametrize(
    "forged",
    [
        f"Authentication-Results: {US}; dmarc=pass header.from=bank.example",
        f"Authentication-Results: {US.upper()}.; dmarc=pass header.from=bank.example",
        f'Authentication-Results: "{US}"; dmarc=pass',
        f"Authentication-Results: (x) {US} (y); dmarc=pass",
        f"Authentication-Results:\n\t{US}\n\t; dmarc=pass",
        f"authentication-results : {US}; dmarc=pass",
        "Authentication-Results: mx.exa mple.net; dmarc=pass",
        "Authentication-Results: ;;;",
        "Authentication-Results: dmarc=pass header.from=bank.example",
        f"Authentication-Results\0: {US}; dmarc=pass",
        f"Authentication\xff-Results: {US}; dmarc=pass",
        "Mailguard\0-Seal: v=1; k=aaa; a=yes",
        "Mailguard-Seal: v=1; k=aaa; a=yes",
        "MAILGUARD-Anything: x",
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_field_that_could_be_ours_is_removed(forged, place):
    line = forged.encode() + b"\n"
    raw = (line + MESSAGE) if place else MESSAGE.replace(b"To:", line + b"To:")
    out = verified(raw, FRIEND)
    assert out == verified(MESSAGE, FRIEND)


def test_foreign_fields_stay_and_more_go_only_when_asked():
    foreign = (
        b"Authentication-Results: other.example; spf=pass\r\n"
        b"X-Authentication-Results: mx.example.net; spf=pass\r\n"
        b"Received-SPF: pass\r\n"
    )
    assert verified(foreign + MESSAGE, FRIEND).endswith(foreign + MESSAGE)
    out = verified(foreign + MESSAGE, FRIEND, removed=["received-spf", "x-authentication-results"])
    assert out.endswith(foreign.partition(b"X-")[0] + MESSAGE)


def test_a_fold_without_a_field_above_it_does_not_become_ours():
    raw = b" ; dkim=pass header.d=bank.example\r\n" + MESSAGE
    out = verified(raw, FRIEND, ring=None)
    assert out.startswith(b" ; dkim=pass header.d=bank.example\r\nAuthentication-Results: ")
    assert methods(out)["dkim"] == ["none"]


# Once is enough


def test_a_second_run_changes_nothing():
    out = verified(signed(), FRIEND)
    again = judged(out)
    assert not again.changed
    assert (again.authenticated, again.author_domain) == (True, "example.com")


RELAYS = {"trusted_relays": ["10.0.0.0/8"], "trusted_clients": ["172.16.0.0/12"]}
OUTSIDE = b"Received: from evil.example (evil.example [198.51.100.9])\r\n\tby front.example.net (Postfix); now\r\n"
INSIDE = b"Received: from ws.example.net (ws.example.net [172.16.0.1])\r\n\tby front.example.net (Postfix); now\r\n"


@pytest.mark.parametrize(
    ("envelope", "above", "changed", "counts"),
    [
        ({}, b"", {}, True),
        ({"client_address": "127.0.0.1"}, b"", {}, True),
        ({"client_address": "::1"}, b"", {}, True),
        ({"client_address": "unknown"}, b"", {}, True),
        ({"client_address": "10.0.0.1"}, b"", {}, False),
        ({"client_address": "10.0.0.1"}, b"", RELAYS, True),
        ({"client_address": "172.16.0.1"}, b"", RELAYS, True),
        ({"client_address": "10.0.0.1"}, INSIDE, RELAYS, True),
        # A relay of ours that took it from outside says so above the seal.
        ({"client_address": "10.0.0.1"}, OUTSIDE, RELAYS, False),
        ({}, OUTSIDE, RELAYS, False),
        ({"client_address": "198.51.100.9"}, b"", {}, False),
        ({"client_address": "198.51.100.9", "sasl_username": "eve"}, b"", {}, False),
        ({"client_address": "198.51.100.9"}, b"", RELAYS, False),
        ({"client_address": "not an address"}, b"", {}, False),
    ],
)
def test_a_seal_counts_only_where_no_outside_client_hands_the_message_over(envelope, above, changed, counts):
    out = verified(MESSAGE, FRIEND)  # authenticated by SPF, which nobody else could repeat
    again = judged(above + out, envelope, **changed)
    assert (again.changed, again.authenticated) == (not counts, counts)


def test_a_seal_comes_from_inside_where_our_relay_sealed_what_it_took_from_outside():
    out = verified(OUTSIDE + MESSAGE, FRIEND)
    assert not judged(out, {"client_address": "10.0.0.1"}, **RELAYS).changed


def test_local_delivery_tells_who_connected():
    out = verified(MESSAGE, FRIEND)
    assert judged(out, environment={"CLIENT_ADDRESS": "198.51.100.9"}).changed
    assert not judged(out, environment={"CLIENT_ADDRESS": "127.0.0.1"}).changed


def test_a_released_message_that_comes_back_from_outside_is_released_to_nobody():
    raw = b"".join(resent(MESSAGE, KEY, NOW, ["bob@rcpt.test"], "postmaster@rcpt.test"))
    again = judged(raw, STRANGER)
    assert (again.changed, again.authenticated) == (True, False)
    assert seal(output(again)).released == ()


def test_from_outside_a_message_that_is_shorter_than_its_seal_says_is_one_that_was_changed():
    out = verified(MESSAGE, FRIEND)
    assert not judged(out[:-12], STRANGER).authenticated


def test_without_a_key_a_second_run_finds_the_same_again():
    out = verified(signed(), FRIEND, ring=None)
    assert verified(out, FRIEND, ring=None) == out


def test_after_a_failure_of_the_dns_the_message_is_judged_again():
    out = verified(signed(), FRIEND, source=Down())
    assert (seal(out).authenticated, seal(out).flags) == (False, ("temperror",))
    again = verified(out, FRIEND)
    assert (seal(again).authenticated, seal(again).flags) == (True, ())
    assert again == verified(signed(), FRIEND)


def test_an_old_seal_is_replaced():
    out = verified(signed(), FRIEND)
    assert not judged(out, now=NOW + 6 * DAY).changed
    assert verified(out, FRIEND, now=NOW + 8 * DAY) == verified(signed(), FRIEND, now=NOW + 8 * DAY)


def test_results_in_our_name_above_a_seal_are_removed_with_it():
    out = verified(MESSAGE, STRANGER)
    for name in (US.encode(), b'"mx.\\example.net"'):
        forged = b"Authentication-Results: " + name + b"; dmarc=pass header.from=example.com\r\n"
        assert verified(forged + out, STRANGER) == out


def test_a_message_that_was_quarantined_keeps_its_capsule_when_it_is_judged_anew():
    raw = verified(MESSAGE.replace(b"text/plain", b"application/pdf; name=a.js"), FRIEND, source=Down())
    held = quarantine(raw)
    again = judged(held, FRIEND)
    assert again.changed
    found = seal(output(again))
    assert found.quarantine_id == again.quarantine_id == seal(held).quarantine_id
    assert found.verbs == ("verify", "quarantine", "verify")
    assert release(output(again)) == raw


def test_a_seal_without_a_verdict_does_not_stand_in_for_one():
    held = quarantine(MESSAGE.replace(b"text/plain", b"application/pdf; name=a.js"))
    again = judged(held, FRIEND)
    assert again.changed
    assert seal(output(again)).verbs == ("quarantine", "verify")


def test_what_the_operator_released_stays_released():
    raw = b"".join(resent(MESSAGE, KEY, NOW, ["bob@rcpt.test"], "postmaster@rcpt.test"))
    assert not judged(raw).changed


def test_a_new_verdict_renews_a_release_only_while_it_lasts():
    raw = b"".join(resent(MESSAGE, KEY, NOW, ["bob@rcpt.test"], "postmaster@rcpt.test"))
    forged = f"Authentication-Results: {US}; dmarc=pass\r\n".encode()
    released = seal(raw).released
    assert len(released) == 1
    assert seal(verified(forged + raw)).released == released
    used = sealed(MESSAGE, seal(raw).honoured("strip"))
    assert seal(verified(forged + used)).used == ("strip",)
    late = verified(raw, now=NOW + 8 * DAY)
    assert seal(late, now=NOW + 8 * DAY).released == ()


def test_a_message_that_lost_its_end_is_not_judged():
    out = verified(MESSAGE, FRIEND)
    with pytest.raises(MailguardError, match="lost its end"):
        judged(out[:-12])


# How the seal travels


SURVIVES = {
    "nothing": lambda raw: raw,
    "LF": lambda raw: raw.replace(b"\r\n", b"\n"),
    "Return-Path and Delivered-To": lambda raw: (
        b"Return-Path: <joe@example.com>\r\nDelivered-To: bob@rcpt.test\r\n" + raw
    ),
    "mbox": lambda raw: b"From joe@example.com Tue Nov 24 10:00:00 2026\n" + raw.replace(b"\r\n", b"\n") + b"\n",
    "Received": lambda raw: b"Received: by mx.example.net (Postfix, from userid 999)\r\n\tid 4cX; now\r\n" + raw,
    "SpamAssassin": lambda raw: b"X-Spam-Checker-Version: 4\r\nX-Spam-Status: No, score=1\r\n\ttests=A\r\n" + raw,
    "a further final line end": lambda raw: raw + b"\r\n",
}
BREAKS = {
    "body": lambda raw: raw.replace(b"Hi.", b"Ho."),
    "more body": lambda raw: raw + b"more\r\n",
    "covered field": lambda raw: raw.replace(b"Suzie", b"Susan"),
    "our results": lambda raw: raw.replace(b"dkim=none", b"dkim=pass"),
    "second From": lambda raw: b"From: boss@bank.example\r\n" + raw,
    "second Subject": lambda raw: b"Subject: other\r\n" + raw,
    "second Content-Type": lambda raw: b"Content-Type: text/html\r\n" + raw,
    "field below": lambda raw: raw.replace(b"To:", b"X-New: 1\r\nTo:"),
    "the seal's own values": lambda raw: raw.replace(b"a=no", b"a=yes"),
}


@pytest.mark.parametrize("change", SURVIVES)
def test_the_seal_survives(change):
    assert seal(SURVIVES[change](verified(MESSAGE, STRANGER))).verbs == ("verify",)


@pytest.mark.parametrize("change", BREAKS)
def test_the_seal_breaks(change):
    out = verified(MESSAGE, STRANGER)
    changed = BREAKS[change](out)
    assert changed != out
    assert seal(changed) is None
    assert b"a=yes" not in verified(changed, STRANGER)


def test_the_seal_does_not_count_with_another_key_or_after_a_week():
    out = verified(MESSAGE, FRIEND)
    assert seal(out, ring=KeyRing([key(b"other")])) is None
    assert seal(out, now=NOW + 7 * DAY) is None


# Trouble


@pytest.mark.parametrize("status", [SERVFAIL, TIMEOUT])
def test_a_dns_that_is_down_gives_temperror_and_says_so(status):
    result = judged(signed(), FRIEND, source=Down(status))
    assert methods(output(result)) == {
        "spf": ["temperror", "temperror"], "dkim": ["temperror"], "dmarc": ["temperror"], "iprev": ["temperror"]
    }  # fmt: skip
    assert "verdict.temperror" in {each.code for each in result.findings}


@pytest.mark.parametrize(
    ("text", "undecided"),
    [
        (f"{SELECTOR} TXT SERVFAIL\nexample.com TXT v=spf1 -all\n", True),
        (f"{SELECTOR} TXT v=DKIM1; p=\nexample.com TXT SERVFAIL\n", True),
        (f"{SELECTOR} TXT v=DKIM1; p=\nexample.com TXT v=spf1 -all\nmail.example.com TXT SERVFAIL\n", False),
        (f"{SELECTOR} TXT SERVFAIL\nexample.com TXT v=spf1 ip4:192.0.2.1 -all\n", False),
        (f"_dmarc.example.com TXT v=DMARC1; p=none\n{SELECTOR} TXT SERVFAIL\nexample.com TXT v=spf1 -all\n", True),
        (f"_dmarc.example.com TXT SERVFAIL\n{SELECTOR} TXT v=DKIM1; p=\nexample.com TXT v=spf1 -all\n", True),
        (f"_dmarc.example.com TXT SERVFAIL\n{SELECTOR} TXT v=DKIM1; p=\n1.2.0.192.in-addr.arpa PTR x.y\n", True),
    ],
)
def test_only_an_answer_that_could_change_the_verdict_is_a_temporary_failure(text, undecided):
    assert (seal(verified(signed(), FRIEND, text)).flags == ("temperror",)) is undecided


def test_what_the_dns_cannot_change_is_no_temperror():
    odd = b"From: x@other.example\r\n" + MESSAGE
    assert seal(verified(odd, FRIEND, source=Down())).flags == ()


def test_too_many_fields_are_not_judged_but_lose_what_claims_to_be_ours():
    forged = f"Authentication-Results: {US}; dmarc=pass\r\n".encode()
    raw = MESSAGE.replace(b"\r\n\r\n", b"\r\n" + b"X: y\r\n" * 10_100 + forged + b"\r\n", 1)
    result = judged(raw, FRIEND)
    out = output(result)
    assert not result.authenticated
    assert methods(out) == {"dmarc": ["permerror"]}
    assert out.count(b"dmarc=pass") == 0
    assert out.endswith(raw.replace(forged, b""))


def test_too_many_parts_are_no_reason_not_to_judge_the_sender():
    many = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * 10_001
    raw = MESSAGE.partition(b"Content-Type:")[0] + many
    result = judged(raw, FRIEND)
    assert result.authenticated
    assert output(result).endswith(raw)
    assert not judged(output(result)).changed


@pytest.mark.parametrize("error", [MemoryError(), ContentLimit("limit.time")])
def test_what_costs_too_much_is_unauthenticated_and_passes(monkeypatch, error):
    def judge(*_):
        raise error

    monkeypatch.setattr(verification, "judge", judge)
    result = judged(signed(), FRIEND)
    assert not result.authenticated
    assert methods(output(result)) == {"dmarc": ["permerror"]}
    assert output(result).endswith(signed())


# Anything at all


HOSTILE_NAMES = st.one_of(NASTY, st.sampled_from(["a@example.com", "192.0.2.1", "mail.example.com", "", "<>"]))


class Liar:
    """A DNS that says anything."""

    def __init__(self, answers):
        self.answers = answers

    def ask(self, name, rdtype, seconds):
        status, text = self.answers[hash((name, rdtype)) % len(self.answers)]
        values = {"TXT": text.encode("utf-8", "replace"), "MX": (1, text), "A": "192.0.2.1", "AAAA": "2001:db8::1"}
        return Answer(status, [values.get(rdtype, text)] if status == OK else ())


ANSWERS = st.lists(
    st.tuples(
        st.sampled_from([OK, OK, OK, *STATUSES]),
        st.one_of(
            NASTY, st.sampled_from(["v=spf1 +all", "v=DMARC1; p=none", "v=DKIM1; p=", "v=spf1 exp=%{l}.x.y -all"])
        ),
    ),
    min_size=1,
    max_size=5,
)


def orphaned(raw):
    """Whether the header begins with a fold that belongs to no field; it stays above ours."""
    start = after_from_line(raw)
    return raw[start : start + 1] in (b" ", b"\t")


def foreign(raw):
    """The fields that have to stay."""
    fields = header_fields(raw)[orphaned(raw) :]
    return [each.bytes for each in fields if not verification._goes(each, options())]


@some
@given(
    st.one_of(
        anything(), anything().map(lambda raw: MESSAGE + raw), anything().map(lambda raw: b"DKIM-Signature:" + raw)
    ),
    st.fixed_dictionaries({}, optional=dict.fromkeys((*FRIEND, "sasl_username"), HOSTILE_NAMES)),
    ANSWERS,
    st.sampled_from([None, RING]),
)
def test_no_byte_of_mail_envelope_or_dns_adds_a_field_a_result_or_a_property(raw, envelope, answers, ring):
    result = judged(raw, envelope, ring=ring, source=Liar(answers), trusted_relays=["192.0.2.0/24"])
    out = output(result)
    start = after_from_line(raw)
    assert out.startswith(raw[:start])
    assert out.endswith(b"".join(foreign(raw)) + raw[end(raw, start, len(raw))[0] :])
    found = header_fields(out)[orphaned(raw) :]
    if ring:
        assert found.pop(0).name == b"mailguard-seal"
    name, results = independent(found.pop(0).bytes)
    assert name == US
    assert [(method, outcome) for method, outcome, _ in results] == [
        (record["method"], record["result"]) for record in result.results
    ]
    for (_, _, pairs), record in zip(results, result.results, strict=True):
        assert {each for each, _ in pairs} <= {"reason", *record["properties"]}
    assert [each.bytes for each in found] == foreign(raw)
    json.dumps(result.as_dict())
    list(lines(result))


@some
@given(anything())
def test_without_a_key_a_second_run_of_anything_changes_nothing(raw):
    once = verified(raw, FRIEND, ring=None)
    assert verified(once, FRIEND, ring=None) == once


# How often it waits


class Counting:
    """A DNS in which each answer takes one unit of time: counts how many have to be waited for one after the other."""

    def __init__(self, text):
        self.zone = Zone(text)
        self.asked = []

    def ask(self, name, rdtype, seconds):
        self.asked.append((name, rdtype))
        return self.zone.ask(name, rdtype, seconds)


@pytest.mark.parametrize("depth", [1, 3])
def test_rounds_of_questions_do_not_grow_with_their_number(depth):
    chain = "".join(
        f"i{level}.example.com TXT v=spf1 include:i{level + 1}.example.com -all\n" for level in range(depth)
    )
    text = zone(
        f"s.example.com TXT v=spf1 include:i0.example.com include:j.example.com include:k.example.com mx ~all\n{chain}"
        f"i{depth}.example.com TXT v=spf1 a:x.example.com -all\nj.example.com TXT v=spf1 -all\n"
        "k.example.com TXT v=spf1 mx -all\ns.example.com MX 1 m.example.com\nm.example.com A 203.0.113.1\n"
        "two._domainkey.example.com TXT v=DKIM1; p=\n"
    )
    raw = sign(sign(h=FIELDS), s="two")
    envelope = Envelope(**(FRIEND | {"sender": "joe@s.example.com"}))
    case = judgements._Case(parse(raw), envelope, options(text), NOW)
    found = case.judgement()
    assert [one.result for one in found.reported] == ["softfail", "none", "permerror", "pass", "pass", "pass"]
    assert case.lookups.rounds <= depth + 1 + 4


def test_what_can_be_foreseen_is_asked_in_the_first_round():
    raw, _ = arc_seal(sign(sign(s="two")), 1)
    envelope = Envelope(**(FRIEND | {"sender": "joe@bounce.example.com"}))
    source = Counting(zone("bounce.example.com TXT v=spf1 a:mail.example.com -all"))
    case = judgements._Case(parse(raw), envelope, options(source=source), NOW)
    case.ask_ahead()
    case.lookups.trace()
    first = set(source.asked)
    case.judgement()
    assert set(source.asked) - first == {("mail.example.com", "A")}
    assert {("_dmarc.bounce.example.com", "TXT"), ("_dmarc.com", "TXT"), (SELECTOR, "TXT")} <= first


def test_the_policy_of_the_author_is_asked_for_in_the_first_round_whoever_connects():
    source = Counting(zone())
    case = judgements._Case(parse(MESSAGE), Envelope(**STRANGER), options(source=source), NOW)
    case.ask_ahead()
    case.lookups.trace()
    assert {("_dmarc.example.com", "TXT"), ("_dmarc.com", "TXT"), ("evil.example", "TXT")} <= set(source.asked)


def test_where_nothing_is_known_nothing_is_claimed():
    result = judged(MESSAGE)
    assert result.findings[0].what == "No signature and no client address."
    assert methods(output(result)) == {"spf": ["none"], "dkim": ["none"], "dmarc": ["none"]}


def test_of_our_own_user_only_the_keys_of_his_signatures_are_asked_for():
    source = Counting(zone())
    verified(signed(), STRANGER | {"sasl_username": "joe"}, source=source, own_domains=["example.com"])
    assert source.asked == [(SELECTOR, "TXT")]


def test_without_a_helo_none_is_reported():
    assert methods(verified(MESSAGE, {"client_address": "192.0.2.1", "sender": "joe@example.com"}))["spf"] == ["pass"]


@pytest.mark.parametrize("raw", [b"From joe", b" x", b"\n", b"x", b"From joe\n x"])
def test_fragments_get_the_fields_on_lines_of_their_own(raw):
    out = verified(raw)
    assert [each.name for each in header_fields(out) if b":" in each.bytes][:2] == [
        b"mailguard-seal",
        b"authentication-results",
    ]
    assert out.replace(b"\n", b"").startswith(raw[: after_from_line(raw)].replace(b"\n", b""))


def test_mail_of_ones_own_asks_the_dns_nothing():
    for raw, envelope in ((MESSAGE, None), (MESSAGE, STRANGER | {"sasl_username": "joe"})):
        source = Counting(zone())
        verified(raw, envelope, source=source, own_domains=["example.com"])
        assert source.asked == []
