"""quarantine: what is held and why, and that forged markers, hostile sizes and hostile header fields gain nothing."""

from __future__ import annotations

import base64
import email
import email.policy

import documents
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mails import EXE, PDF, TEXT, WITH_BOTH, WITH_EXE, WITH_PDF, attachment, mixed
from verbs import (
    KEY,
    NOW,
    RING,
    capsules,
    key,
    output,
    parts,
    quarantine,
    quarantined,
    release,
    rules,
    sealed,
    site,
    strip,
    verdict,
)

from mailguard.errors import ConfigurationError, MailguardError
from mailguard.message.grammar import check
from mailguard.message.tree import parse
from mailguard.passwords import Passwords
from mailguard.seal import KeyRing, field, keys

SUSPICIOUS = rules("suspicious")


def held(raw, rules_=SUSPICIOUS, site_=None):
    """Return the part numbers of what quarantine takes, after checking that it can be released."""
    result = quarantined(raw, rules_, site_)
    if result.changed:
        assert release(output(result)) == raw
    return [record["part"] for record in result.attachments if record["action"] == "quarantined"]


# Whose attachments


def test_everything_from_unauthenticated_and_only_the_dangerous_from_authenticated_senders():
    assert held(WITH_BOTH) == ["2", "3"]
    assert held(sealed(WITH_BOTH)) == ["3"]
    assert held(sealed(WITH_BOTH), rules("unauthenticated")) == []
    assert held(WITH_BOTH, rules("unauthenticated")) == ["2", "3"]
    assert held(sealed(WITH_BOTH), rules("always")) == ["2", "3"]
    assert held(sealed(WITH_BOTH, verdict(authenticated=False))) == ["2", "3"]
    assert held(sealed(WITH_BOTH, verdict(flags=["impersonating"]))) == ["2", "3"]


@pytest.mark.parametrize(
    ("author", "domain", "taken"),
    [
        (b"a@a.example", "a.example", ["3"]),
        (b"A <a@a.example>", "a.example", ["3"]),
        (b"x@a.example", "a.example", ["2", "3"]),
        (b"a@a.example", "b.example", ["2", "3"]),
        (b"a@a.example <x@a.example>", "a.example", ["2", "3"]),
        (b"a@a.example, x@a.example", "a.example", ["2", "3"]),
    ],
)
def test_only_the_authenticated_author_can_be_known(author, domain, taken):
    raw = sealed(WITH_BOTH.replace(b"From: a@a.example", b"From: " + author), verdict(author_domain=domain))
    assert held(raw, rules("suspicious", known=lambda address: address == "a@a.example")) == taken


def test_attachments_together_may_cost_as_much_as_one():
    many = documents.zipped({f"{number}.txt": b"x" for number in range(400)})
    raw = sealed(mixed(TEXT, *[attachment(many, b"a.zip", b"application/zip")] * 4))
    assert held(raw) == ["4", "5"]
    assert held(sealed(mixed(TEXT, *[attachment(PDF)] * 40))) == []


# Forgeries


OLD_CAPSULE = quarantine(WITH_EXE)
SEAL = OLD_CAPSULE[: OLD_CAPSULE.index(b"From: a@")]


def test_a_forged_seal_gains_nothing():
    forged = b"Mailguard-Seal: v=1; k=%s; t=%d; l=10; s=verify; a=yes; d=a.example; bh=%s=; m=%s=\n" % (
        KEY.name.encode(), NOW, b"A" * 43, b"A" * 43,
    )  # fmt: skip
    out = quarantine(forged + WITH_PDF, SUSPICIOUS)
    assert held(forged + WITH_PDF) == ["2"]
    assert out.count(b"Mailguard-") == 1
    assert not field.read(parse(out), RING, NOW).verdict.authenticated


@pytest.mark.parametrize(
    "raw",
    [
        sealed(WITH_PDF, signer=key(b"other")),
        sealed(WITH_PDF, verdict(time=NOW - 8 * 86400)),
        b"From: boss@b.example\n" + sealed(WITH_PDF),
        b"X: malformed\rFrom: x\n" + sealed(WITH_PDF),
        b"Received: from x\n" + SEAL + WITH_PDF,
        b"Mailguard-Seal: x\n" + sealed(WITH_PDF),
        b"Received: from x\n" + sealed(mixed(TEXT, TEXT)).split(b"From: ")[0] + WITH_PDF,
    ],
    ids=["other key", "old", "From above", "malformed above", "of another message", "two", "of a clean one"],
)
def test_a_seal_that_is_not_true_gains_nothing(raw):
    result = quarantined(raw, SUSPICIOUS)
    assert result.action in {"quarantined", "held"}
    out = output(result)
    assert PDF not in [content for _, _, content in parts(out)]
    assert release(out) == raw


def test_a_replayed_capsule_is_an_attachment_like_any_other():
    (capsule,) = capsules(OLD_CAPSULE)
    raw = mixed(TEXT, attachment(capsule, b"quarantine-aaaa-bbbb.zip", b"application/zip"), EXE)
    assert held(raw) == ["2", "3"]
    assert len(capsules(quarantine(raw))) == 1
    # Nor does a real message with its real seal, to which a file was added.
    added = OLD_CAPSULE.replace(b"--xx--\n", b"--xx\n" + EXE + b"\n--xx--\n")
    assert added != OLD_CAPSULE
    out = quarantine(added)
    assert [name for _, name, _ in parts(out) if "exe" in name] == []
    assert release(out) == added


def test_a_copied_notice_and_placeholder_beside_a_dangerous_file_save_nothing():
    placeholder = strip(WITH_EXE)
    placeholder = placeholder[placeholder.index(b"--xx", placeholder.index(b"--xx") + 1) :].split(b"\n", 1)[1]
    placeholder = placeholder.partition(b"\n--xx")[0]
    notice = OLD_CAPSULE[OLD_CAPSULE.index(b"Content-Type: text/plain; charset=utf-8;") :].partition(b"\n--xx")[0]
    raw = mixed(TEXT, placeholder, notice, EXE)
    assert check(parse(raw)) == []
    assert held(raw) == ["3", "4"]


@pytest.mark.parametrize("junk", [b"\0", b"\x1b[2J", "\u202e".encode(), b"\xff", b"PK\x05\x06" + bytes(18)])
def test_nothing_but_shown_text_can_ride_in_a_placeholder(junk):
    text = b"An attachment was removed here.\n\nName: " + junk + b"\n"
    forged = (
        b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\nContent-Disposition: inline\n\n"
        + base64.encodebytes(text)
    )
    raw = mixed(TEXT, forged)
    assert held(raw) == ["2"]
    assert (
        held(mixed(TEXT, forged.replace(base64.encodebytes(text), base64.encodebytes(text.replace(junk, b"x"))))) == []
    )


def test_a_message_that_was_cut_after_sealing_is_tried_again():
    with pytest.raises(MailguardError, match="lost its end"):
        quarantine(OLD_CAPSULE[:-100])
    # By mail it has a Received field on top: then somebody cut it on purpose.
    assert quarantined(b"Received: from x\n" + OLD_CAPSULE[:-100]).action == "held"


# More than one run


def test_a_second_selection_adds_to_the_same_capsule():
    first = quarantined(WITH_BOTH, rules(types=["application/pdf"]))
    second = quarantined(output(first))
    assert second.quarantine_id == first.quarantine_id
    out = output(second)
    assert len(capsules(out)) == 1
    assert release(out) == WITH_BOTH
    assert [name for _, name, _ in parts(out)][1:] == [name for _, name, _ in parts(output(first))][2:]


def test_a_capsule_whose_password_is_lost_goes_into_another_one():
    site_ = site(passwords=Passwords.parse("* correct horse battery", "p"), recipients=["b@b.example"])
    first = quarantine(WITH_BOTH, rules(types=["application/pdf"]), site_)
    second = quarantined(first)
    assert second.action == "held"
    assert release(output(second)) == first


def test_a_password_file_without_a_key_marks_our_capsule_too():
    passwords = Passwords.parse("* correct horse battery", "p")
    keyless = site(ring=KeyRing([keys.key_from_passwords(passwords.text)]), passwords=passwords)
    out = quarantine(WITH_BOTH, rules("suspicious"), keyless)
    assert quarantine(out, rules("always"), keyless) == out
    assert strip(out, rules("always"), keyless) == out
    assert release(out, keyless.ring, passwords=passwords) == WITH_BOTH


def test_a_multipart_that_loses_all_its_parts_goes_with_them():
    nested = mixed(attachment(PDF), mixed(EXE, top=b"X: y\n").replace(b"xx", b"zz"), top=b"X: y\n").replace(
        b"xx", b"yy"
    )
    out = quarantine(mixed(TEXT, nested))
    assert [kind for kind, _, _ in parts(out)] == ["text/plain", "text/plain", "application/zip"]
    assert [part.path for part in parse(out).parts()] == ["", "1", "2", "3"]


def test_old_seals_still_tell_our_capsule():
    later = site(now=NOW + 100 * 86400)
    assert quarantine(OLD_CAPSULE, rules(), later) == OLD_CAPSULE
    assert strip(OLD_CAPSULE, rules(), later) == OLD_CAPSULE


def test_a_capsule_of_a_retired_key_is_ours():
    ring = KeyRing([key(b"new"), KEY])
    assert quarantine(OLD_CAPSULE, rules(), site(ring=ring)) == OLD_CAPSULE
    assert release(OLD_CAPSULE, ring) == WITH_EXE


# Whole messages


HOSTILE = [
    b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: image/png\n\nx\n" * 100_000 + b"--b--\n",
    b"X: " + b"y" * 10_000_000 + b"\n\nbody\n",
    b"X: y\n" * 2_000_000 + b"\nbody\n",
    b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--bx\n" * 2_000_000,
    b"Content-Type: message/rfc822\n\n" * 100_000,
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 100_000,
    b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\nContent-Type: multipart/mixed\n\n",
    b"From " + b"x" * 1_000_000,
    b"From: " + b"(" * 1_000_000 + b"\nContent-Type: multipart/mixed\n\n",
    b"From: " + b'"\xff' * 100_000 + b"\nContent-Type: multipart/mixed\n\n",
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_sizes_are_held_or_pass_and_never_fail(number):
    raw = HOSTILE[number]
    result = quarantined(raw)
    out = output(result)
    if result.changed:
        assert result.action == "held"
        assert check(parse(out)) == []
        assert quarantine(out) == out
        assert len(out) < len(raw) * 1.4 + 100_000
    else:
        assert number == 7  # a mail of nothing but an mbox line


def test_many_attachments_fit_one_capsule():
    raw = mixed(TEXT, *[attachment(b"%d" % number, b"a.txt", b"text/plain") for number in range(1500)])
    out = quarantine(raw)
    assert release(out) == raw
    assert len(parts(out)) == 3


header_bytes = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(
            [
                b"\n", b"\r", b"\r\n", b"\n ", b"\0", b":", b'"', b"(", b")", b"<", b">", b"@", b",", b"\\", b" ", b"\t",
                b"\x85", "\u2028".encode(), b"\x1b$B", b"=?utf-8?q?=0D=0AX:_y?=", b"=?utf-8?b?", b"?=", b"Bcc: x@y.example",
                b"Content-Type: text/html", b"abc", "山田".encode(), b"\x82\xa0\x5c", b"boss@b.example", b"x" * 300,
            ]
        ),
        max_size=12,
    ).map(b"".join),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([b"Subject", b"From", b"To", b"Received", b"Message-ID", b"X-Loop", b"List-Id"]), header_bytes)
def test_no_header_value_leaves_its_place_when_a_message_is_held(name, value):
    raw = b"From x\nDate: today\n" + name + b": " + value + b"\nContent-Type: multipart/mixed\n\nno boundary"
    result = quarantined(raw, rules(tag="[held]"))
    out = output(result)
    if result.action != "held":
        return  # the value ended the header
    head = out[: parse(out).root.body].replace(b"\r\n", b"\n")
    ours = {b"mailguard-seal", b"date", b"mime-version", b"content-type", b"subject"}
    allowed = ours | {one.name for one in parse(raw).fields if not one.name.startswith((b"content-", b"bcc"))}
    message = parse(out)
    assert {one.name for one in message.fields} <= allowed
    assert head[7:].translate(None, bytes(range(32, 127)) + b"\n\t") == b""
    assert check(message) == []
    theirs = email.message_from_bytes(out, policy=email.policy.compat32)
    assert [key.lower().encode() for key in theirs] == [one.name for one in message.fields]
    assert all(len(line) <= 998 for line in head.split(b"\n"))
    assert theirs.get_content_type() == "multipart/mixed"


def test_what_a_display_name_quotes_does_not_become_an_address():
    for name in ('"boss@b.example, 山田"', '"山田 <boss@b.example>,"', '"a\\", boss@b.example, 山"'):
        raw = b"From: " + name.encode() + b" <x@y.example>\nContent-Type: multipart/mixed\n\n"
        author = email.message_from_bytes(quarantine(raw), policy=email.policy.default)["from"]
        assert [address.addr_spec for address in author.addresses] == ["x@y.example"]


def test_a_message_behind_a_bare_carriage_return_does_not_pass_as_a_field():
    raw = WITH_EXE.replace(b"\n", b"\r")
    out = quarantine(raw)
    assert b"From: a@a.example\n" in out
    assert b"setup.exe" not in out
    assert release(out) == raw


@pytest.mark.parametrize("line", [b"From x\rContent-Type: text/html\r\r<b>", b"From \x1b[2J\0", b"From " + b"x" * 5000])
def test_the_mbox_line_of_a_held_message_is_printable_and_short(line):
    raw = line + b"\nContent-Type: multipart/mixed\n\n"
    out = quarantine(raw)
    first = out.split(b"\n")[0]
    assert first.startswith(b"From ")
    assert first.decode("ascii").isprintable()
    assert len(first) <= 500
    assert release(out) == raw


# Subject and structure


@pytest.mark.parametrize(
    ("subject", "tagged"),
    [
        (b"Subject: hello\n", b"Subject: =?UTF-8?B?44CQ6ZqU6Zui44CR?= hello\n"),
        (b"Subject:hello\n", b"Subject: =?UTF-8?B?44CQ6ZqU6Zui44CR?= hello\n"),
        (b"Subject:\n hello\n", b"Subject: =?UTF-8?B?44CQ6ZqU6Zui44CR?=\n hello\n"),
        (b"Subject:\n", b"Subject: =?UTF-8?B?44CQ6ZqU6Zui44CR?=\n"),
        (b"", b"Subject: =?UTF-8?B?44CQ6ZqU6Zui44CR?=\n"),
    ],
)
def test_a_subject_is_tagged_once(subject, tagged):
    raw = WITH_PDF.replace(b"Subject: hello\n", subject)
    out = quarantine(raw, rules(tag="【隔離】"))
    assert tagged in out
    assert quarantine(out, rules(tag="【隔離】")) == out
    assert release(out) == raw


def test_a_tag_cannot_bring_a_field():
    out = quarantine(WITH_PDF, rules(tag="[held]\nBcc: x@y.example"))
    assert not parse(out).root.field(b"bcc")


def test_only_what_is_signed_and_untouched_stays_signed():
    armor = b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
    signature = b"Content-Type: application/pgp-signature; name=signature.asc\n\n" + armor
    signed = mixed(TEXT, signature, subtype=b'signed; protocol="application/pgp-signature"')
    assert held(signed) == []
    inner = mixed(TEXT, attachment(PDF)).partition(b"MIME-Version: 1.0\n")[2].replace(b"xx", b"yy")
    signed = mixed(inner, signature, subtype=b'signed; protocol="application/pgp-signature"')
    assert held(signed) == ["1.2", "2"]
    out = quarantine(signed)
    assert b"multipart/signed" not in out
    assert [kind for kind, _, _ in parts(out)] == ["text/plain", "text/plain", "application/zip"]


def test_a_mail_that_is_only_an_attachment_gets_a_text():
    raw = b"Subject: scan\nContent-Language: ja\n" + attachment(PDF)
    out = quarantine(raw)
    kinds = [kind for kind, _, _ in parts(out)]
    assert kinds == ["text/plain", "text/plain", "application/zip"]
    assert "このメールには本文がありません" in parts(out)[0][2].decode()
    assert b"report.pdf" not in out
    assert release(out) == raw


# Keys


def test_without_a_key_mail_waits():
    with pytest.raises(ConfigurationError):
        quarantine(WITH_PDF, rules(), site(ring=None))


def test_passwords_of_recipients_open_their_capsules():
    passwords = Passwords.parse("b@b.example correct horse\n* other horse", "p")
    out = quarantine(WITH_PDF, rules(), site(passwords=passwords, recipients=["b@b.example"]))
    assert release(out, passwords=passwords) == WITH_PDF
    from mailguard import capsule

    assert capsule.open(capsules(out)[0], b"correct horse").restore() == WITH_PDF


@pytest.mark.parametrize("number", [9_990, 9_997, 9_998, 9_999, 10_000])
def test_a_message_just_below_a_limit_is_the_same_after_a_second_run(number):
    parts = b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\nA\n" * (number - 1) + b"--x--\n"
    fields = b"X: y\n" * (number - 2) + b"Content-Type: application/pdf; name=a.pdf\n\n%PDF-1.4\n"
    for raw in (parts, fields):
        once = quarantine(raw)
        assert quarantine(once) == once


@pytest.mark.parametrize("levels", [97, 98, 99, 100, 101])
def test_a_message_just_below_the_limit_of_levels_is_the_same_after_a_second_run(levels):
    head = b"".join(b"Content-Type: multipart/related; boundary=x%d\n\n--x%d\n" % (i, i) for i in range(levels))
    tail = b"".join(b"\n--x%d--\n" % i for i in reversed(range(levels)))
    raw = b"Subject: deep\n" + head + b"Content-Type: application/pdf; name=a.pdf\n\n%PDF-1.4" + tail
    once = quarantine(raw)
    assert quarantine(once) == once


SIGNED = b'Content-Type: multipart/signed; protocol="application/pgp-signature"; micalg=pgp-sha1; boundary=sig\n'
PARTS = (
    b"--sig\n"
    + mixed(TEXT, EXE).partition(b"MIME-Version: 1.0\n")[2]
    + b"\n--sig\nContent-Type: application/pgp-signature; name=s.asc\n\n"
    b"-----BEGIN PGP SIGNATURE-----\n\niQAA\n-----END PGP SIGNATURE-----\n--sig--\n"
)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("act", [quarantine, strip])
def test_of_equal_fields_none_is_left_as_it_was(act, count, nested):
    """One multipart/mixed beside a multipart/signed would be two readings of our own output."""
    entity = SIGNED * count + b"\n" + PARTS
    top = b"From: a@a.example\nTo: b@b.example\nMIME-Version: 1.0\n"
    outer = b"Content-Type: multipart/mixed; boundary=out\n\n--out\n" + entity + b"--out--\n"
    raw = top + (outer if nested else entity)
    output = act(raw)
    assert b"multipart/signed" not in output
    assert not check(parse(output))
    again = quarantine(output, rules("always"), site(now=NOW + 1))
    assert parse(again).root.content_type == b"multipart/mixed"
    if act is quarantine:
        assert release(output) == raw
        assert release(again) == raw


def test_each_subject_gets_the_tag():
    raw = WITH_EXE.replace(b"Subject: ", b"Subject: x\nSubject: ", 1) if b"Subject: " in WITH_EXE else WITH_EXE
    raw = b"Subject: x\nSubject: x\n" + raw
    output = quarantine(raw, rules(tag="[held]"))
    subjects = [field.unfolded for field in parse(output).fields if field.name == b"subject"]
    assert len(subjects) >= 2
    assert all(subject.startswith(b"[held]") for subject in subjects)
