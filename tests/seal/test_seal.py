"""A sender who writes, copies, moves or repeats a seal gains nothing; transport does not break an honest one."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from message_generators import anything, conforming
from verbs import KEY, NOW, RING, key, key_line, sealed, verdict

from mailguard.errors import ConfigurationError, DataError
from mailguard.message.tree import parse
from mailguard.seal import KeyRing, field, keys
from mailguard.seal.body import digest
from mailguard.seal.field import Seal

RAW = b"From: a@a.example\nTo: b@b.example\nSubject: hello\n there\nContent-Type: text/plain\n\nline one\nFrom two\n\n"
SEALED = sealed(RAW)


def read(raw, now=NOW, ring=RING):
    return field.read(parse(raw), ring, now)


def counts(raw, **arguments):
    return read(raw, **arguments).verdict is not None


def test_an_honest_seal_counts():
    reading = read(SEALED)
    assert reading.fresh
    assert reading.verdict.authenticated
    assert reading.verdict.author_domain == "a.example"
    assert reading.verdict.verbs == ("verify",)
    assert not reading.cut


def test_every_value_comes_back():
    seal = Seal(
        NOW, ("verify", "quarantine"), authenticated=True, author_domain="a.example", authserv_id="mx.b.example",
        flags=("impersonating", "temperror"), quarantine_id="k" * 24, released=("0" * 24, "1" * 24), used=("strip",),
    )  # fmt: skip
    found = read(sealed(RAW, seal)).seal
    assert {name: getattr(found, name) for name in Seal.__slots__} == {
        name: getattr(seal, name) for name in Seal.__slots__
    }


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(anything())
def test_any_message_with_a_header_can_be_sealed_and_read(raw):
    raw = b"Subject: x\n" + raw
    message = parse(raw)
    assume(message.limit is None and not message.root.field(field.NAME))
    assert counts(sealed(raw))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(anything())
def test_reading_a_seal_never_raises_and_nothing_unsealed_counts(raw):
    reading = read(raw)
    assert reading.verdict is None
    assert reading.reason


# Transport


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw + b"\n\n\n",
        lambda raw: raw.rstrip(b"\n"),
        lambda raw: b"Return-Path: <x@y.example>\nDelivered-To: b@b.example\n" + raw,
        lambda raw: b"From x Tue Nov 24 10:00:00 2026\n" + raw,
        lambda raw: b"Received: from here\n\tby there; now\nX-Spam-Status: No\n" + raw,
        lambda raw: b"Authentication-Results: other.example; spf=pass\n" + raw,
        lambda raw: raw.replace(b"Subject: hello\n there", b"Subject:   hello\n\t  there  "),
        lambda raw: raw.replace(b"Subject:", b"SUBJECT:"),
        lambda raw: raw.replace(b"To: b@", b"Bcc: c@c.example\nStatus: RO\nTo: b@"),
        lambda raw: raw.replace(
            b"\n\n", b"\nStatus: RO\nX-UID: 7\nX-Keywords: $Junk\nLines: 4\nContent-Length: 9\n\n", 1
        ),
        lambda raw: b"From x Tue Nov 24 10:00:00 2026\nX-IMAPbase: 1700000000 7 $Junk\nX-IMAP: 1 7\n" + raw,
        lambda raw: b"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys:    \n" + raw,
    ],
)
def test_what_transport_does_leaves_the_seal_valid(change):
    assert counts(change(SEALED))


# Attackers


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"a=yes", b"a=no "),
        lambda raw: raw.replace(b"d=a.example", b"d=b.example"),
        lambda raw: raw.replace(b"line one", b"line two"),
        lambda raw: raw.replace(b"Subject: hello", b"Subject: hello!"),
        lambda raw: raw.replace(b"Content-Type: text/plain\n", b""),
        lambda raw: raw.replace(b"To: b@", b"X-New: 1\nTo: b@"),
        lambda raw: raw.replace(
            b"To: b@b.example\nSubject: hello\n there\n", b"Subject: hello\n there\nTo: b@b.example\n"
        ),
        lambda raw: raw + b"more\n",
        # What some reader takes for another field: in a field of transport, or by another spelling of a name.
        lambda raw: raw.replace(b"To: b@", b"Bcc: c@c.example\rFrom: boss@b.example\nTo: b@"),
        lambda raw: raw.replace(b"To: b@", b"Status: RO\0\nTo: b@"),
        lambda raw: raw.replace(b"To: b@", b"X-UID : 7\nTo: b@"),
        lambda raw: raw.replace(b"\nFrom: a@", b"\nFrom : a@"),
        lambda raw: raw.replace(b"\nSubject: hello", b"\nSubject\n : hello"),
        lambda raw: raw.replace(b"\nTo: b@", b"\n To: b@"),
        lambda raw: raw.replace(b"Mailguard-Seal: v=1", b"Mailguard-Seal: v=2"),
        lambda raw: raw.replace(b"Mailguard-Seal:", b"Mailguard-Seal :"),
        lambda raw: re.sub(rb"m=[A-Za-z0-9+/]{4}", b"m=AAAA", raw),
        lambda raw: re.sub(rb"t=\d+", b"t=%d" % (NOW + 100), raw),
    ],
)
def test_a_changed_message_or_seal_counts_for_nothing(change):
    changed = change(SEALED)
    assert changed != SEALED
    assert not counts(changed)


@pytest.mark.parametrize(
    "above",
    [
        b"From: boss@b.example", b"Sender: x@y.example", b"Reply-To: x@y.example", b"To: x@y.example", b"Cc: x@y.example",
        b"Date: now", b"Subject: other", b"Message-ID: <x@y.example>", b"MIME-Version: 1.0", b"Content-Type: text/html",
        b"content-disposition: attachment", b"Mailguard-Other: x", b"FROM: x@y.example", b"From : x@y.example",
        b"no colon", b"X: a\rFrom: x@y.example", b"X: a\0", b": empty name", b"X Y: blank in name",
        "X-ü: not ascii".encode(), b"Disposition-Notification-To: x@y.example", b"Mail-Reply-To: x@y.example",
        b"Resent-From: x@y.example", b"Mail-Followup-To: x@y.example", b"Return-Receipt-To: x@y.example",
        b"References: <x@y.example>", b"In-Reply-To: <x@y.example>",
    ],
)  # fmt: skip
def test_fields_that_readers_obey_do_not_stand_above_a_seal(above):
    assert not counts(above + b"\n" + SEALED)


@pytest.mark.parametrize(
    "odd", [b"From : a@b.example", b"Bcc: c@c.example\rX: y", b"no colon", b"X Y: z", b"Subject\n : t"]
)
def test_what_was_malformed_when_it_was_sealed_is_covered_as_it_stands(odd):
    raw = sealed(odd + b"\n" + RAW)
    assert counts(raw)
    assert counts(raw.replace(b"\n", b"\r\n"))
    assert not counts(raw.replace(odd, odd.replace(b" ", b"  ")))
    assert not counts(raw.replace(odd + b"\n", b""))


def test_results_in_our_name_do_not_stand_above_a_seal():
    ours = sealed(RAW, verdict(authserv_id="mx.b.example"))
    assert counts(b"Authentication-Results: other.example; spf=pass\n" + ours)
    for value in (b"mx.b.example; spf=pass", b'"MX.B.example" 1; spf=pass', b"(c) mx.b.example. ; spf=pass"):
        assert not counts(b"Authentication-Results: " + value + b"\n" + ours)


def test_two_seals_are_none():
    seal = SEALED[: SEALED.index(b"From: a@")]
    assert not counts(seal + SEALED)
    assert not counts(SEALED.replace(b"To: b@", b"Mailguard-Seal: x\nTo: b@"))
    assert not counts(SEALED.replace(b"To: b@", b"mailguard-seal : x\nTo: b@"))


def test_the_seal_of_another_message_counts_for_nothing():
    seal = SEALED[: SEALED.index(b"From: a@")]
    assert not counts(seal + RAW.replace(b"hello", b"invoice"))


def test_a_seal_of_another_site_counts_for_nothing():
    assert not counts(sealed(RAW, signer=key(b"other")))
    assert counts(sealed(RAW, signer=key(b"other")), ring=KeyRing([KEY, key(b"other")]))


def test_a_seal_from_a_password_file_carries_no_verdict():
    stand_in = keys.key_from_passwords("bob secret")
    reading = read(sealed(RAW, signer=stand_in), ring=KeyRing([stand_in]))
    assert reading.seal is not None
    assert reading.verdict is None


def test_a_verdict_counts_for_seven_days_and_the_seal_for_ever():
    seal = sealed(RAW, verdict(time=NOW))
    assert counts(seal, now=NOW + 7 * 86400 - 1)
    assert not counts(seal, now=NOW + 7 * 86400)
    assert read(seal, now=NOW + 10**9).seal is not None
    assert counts(seal, now=NOW - 200)
    assert not counts(seal, now=NOW - 3600)


def test_a_message_that_lost_its_end_on_the_way_to_us_is_told_from_a_forged_one():
    assert read(SEALED[:-12]).cut
    assert read(SEALED[: SEALED.index(b"\n\n") + 2]).cut
    # What came by mail has a Received field on top: then a cut is a sender's doing, and must not cost a 75.
    assert not read(b"Received: from x\n" + SEALED[:-12]).cut
    assert not read(SEALED + b"more\n").cut
    assert not read(SEALED.replace(b"hello", b"HELLO")[:-12]).cut


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(conforming(), st.integers(0, 10_000), st.integers(0, 255))
def test_no_octet_of_a_sealed_message_can_be_another(made, place, octet):
    raw = sealed(b"Subject: x\n" + made.raw[parse(made.raw).start :])
    place %= len(raw)
    changed = raw[:place] + bytes([octet]) + raw[place + 1 :]
    reading = read(changed)
    if reading.verdict is not None:
        ours, theirs = parse(raw), parse(changed)
        assert digest([raw[ours.root.body :]]) == digest([changed[theirs.root.body :]])

        def relaxed(message):
            return [(f.name, b" ".join(f.unfolded.split())) for f in message.fields if f.name not in field._TRANSPORT]

        assert relaxed(ours) == relaxed(theirs)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"", b"\n\n"]), max_size=12))
def test_the_digest_of_a_body_does_not_depend_on_its_pieces_or_line_ends(pieces):
    whole = b"".join(pieces)
    assert digest(pieces) == digest([whole])
    lf = whole.replace(b"\r\n", b"\n")
    if b"\r" not in lf:  # a bare CR before a line end would become part of it
        assert digest([lf]) == digest([whole])
        assert digest([lf.replace(b"\n", b"\r\n")]) == digest([whole])


def test_a_seal_is_folded_and_ascii():
    for line in sealed(RAW, verdict(author_domain="a" * 60 + ".example")).split(b"\n")[:6]:
        assert len(line) < 78 or line.startswith(b"From: ")
        assert line.isascii()


@pytest.mark.parametrize("domain", ["a b", "a;a=yes", "a\nX: y", "日本.example", ""])
def test_a_domain_that_is_no_name_is_left_out_of_the_seal(domain):
    found = read(sealed(RAW, verdict(author_domain=domain))).seal
    assert found.author_domain is None
    assert found.authenticated


# Keys and ids


def test_an_id_that_was_mistyped_or_invented_is_refused():
    identifier = keys.capsule_id(KEY, b"content")
    assert keys.check_id(RING, keys.grouped(identifier).upper()) == (KEY, identifier)
    assert keys.check_id(RING, f"  {identifier[:5]} - {identifier[5:]}\n") == (KEY, identifier)
    for place in range(24):
        other = "a" if identifier[place] != "a" else "b"
        with pytest.raises(DataError):
            keys.check_id(RING, identifier[:place] + other + identifier[place + 1 :])
    for text in ("", "x", identifier + "a", identifier[:-1], "é" * 24, keys.capsule_id(key(b"other"), b"content")):
        with pytest.raises(DataError):
            keys.check_id(RING, text)


def test_passwords_are_long_without_look_alikes_and_differ():
    one, other = (keys.password(KEY, keys.capsule_id(KEY, content)) for content in (b"1", b"2"))
    assert one != other
    assert re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){5}[a-hjkmnp-z2-9]{4}", one)
    assert keys.password(key(b"other"), "x") != keys.password(KEY, "x")


def test_values_cannot_run_into_each_other():
    assert KEY.mac("p", b"ab", b"c") != KEY.mac("p", b"a", b"bc")
    assert KEY.mac("p", b"a") != KEY.mac("q", b"a")


@pytest.mark.parametrize("text", ["", "# nothing\n", "garbage\n", "mailguard-key-1 abc AAAA\n", "\xff"])
def test_a_file_that_holds_no_key_is_refused(tmp_path, text):
    path = tmp_path / "key"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        keys.load(str(path))


def test_a_damaged_key_is_refused(tmp_path):
    line = key_line(b"x" * 32)
    assert keys.parse_key(line).name == line.split()[1]
    with pytest.raises(ValueError, match="damaged"):
        keys.parse_key(line.replace("eHh4", "eHh5", 1))


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "key"
    path.write_text(key_line(b"x" * 32))
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        keys.load(str(path))
    with pytest.raises(ConfigurationError, match="directory"):
        keys.load(str(tmp_path))


def test_the_first_key_seals_and_the_others_still_open(tmp_path):
    path = tmp_path / "key"
    path.write_text("# comment\n\n" + key_line(b"new".ljust(32)) + "\n" + key_line(b"old".ljust(32)) + "\n")
    path.chmod(0o600)
    ring = keys.load(str(path))
    assert ring.active.name == keys.parse_key(key_line(b"new".ljust(32))).name
    assert len(ring.keys) == 2
