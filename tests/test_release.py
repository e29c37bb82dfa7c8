"""release, inspect and password: the way back, who may use it, and that nothing else comes out."""

from __future__ import annotations

import base64
import json
import re

import documents
import pytest
from mails import EXE, TEXT, WITH_BOTH, WITH_EXE, WITH_PDF, attachment, mixed
from verbs import (
    KEY,
    NOW,
    RING,
    capsules,
    key,
    key_line,
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

from mailguard.errors import ConfigurationError, DataError
from mailguard.findings import Result
from mailguard.message.tree import parse
from mailguard.outcome import opening
from mailguard.outcome.assessment import Bounded
from mailguard.passwords import Passwords
from mailguard.release import as_new, check_address, resent
from mailguard.seal import KeyRing, field, keys
from mailguard.seal.field import Seal

OUT = quarantine(WITH_EXE)
(CAPSULE,) = capsules(OUT)
BOB, ALICE = "bob@b.example", "alice@b.example"


# What is refused


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"Subject: x\n\nbody\n", "no capsule"),
        (b"PK\x03\x04" + bytes(100), "not a capsule"),
        (CAPSULE[:-1], "not a capsule|no capsule|damaged"),
        (CAPSULE[:-100], "not a capsule|no capsule|damaged"),
        (CAPSULE[:100] + b"x" + CAPSULE[101:], "damaged or forged"),
        (mixed(attachment(b"PK\x05\x06" + bytes(18), b"a.zip", b"application/zip")), "no capsule|not a capsule"),
        (b"\0", "no capsule"),
    ],
)
def test_what_is_no_capsule_or_damaged_is_refused(raw, why):
    with pytest.raises(DataError, match=why):
        release(raw)


def test_a_capsule_of_another_site_is_refused():
    with pytest.raises(DataError, match=f"made with the key {KEY.name}"):
        release(OUT, KeyRing([key(b"other")]))


def test_without_any_secret_there_is_no_way():
    with pytest.raises(ConfigurationError):
        release(OUT, None)


def test_a_wrong_password_file_is_told_so():
    passwords = Passwords.parse("* correct horse", "p")
    ring = KeyRing([keys.key_from_passwords(passwords.text)])
    out = quarantine(WITH_PDF, rules(), site(ring=ring, passwords=passwords))
    assert release(out, ring, passwords=passwords) == WITH_PDF
    other = Passwords.parse("* wrong horse\nx@b.example another", "p")
    with pytest.raises(DataError, match="no password"):
        release(out, KeyRing([keys.key_from_passwords(other.text)]), passwords=other)
    # The file may have got more lines since: then the capsule opens although the stand-in key is another.
    more = Passwords.parse("* correct horse\nx@b.example another", "p")
    assert release(out, KeyRing([keys.key_from_passwords(more.text)]), passwords=more) == WITH_PDF


def test_of_several_capsules_the_operator_chooses_one():
    two = mixed(
        *[attachment(capsules(quarantine(raw))[0], b"q.zip", b"application/zip") for raw in (WITH_PDF, WITH_EXE)]
    )
    with pytest.raises(DataError, match="several capsules"):
        release(two)
    for raw in (WITH_PDF, WITH_EXE):
        assert release(two, wanted=keys.grouped(quarantined(raw).quarantine_id).upper()) == raw
    with pytest.raises(DataError, match="no capsule with this id"):
        release(two, wanted="a" * 24)


def test_a_forged_capsule_beside_ours_does_not_stop_a_release():
    forged = capsules(quarantine(WITH_PDF, rules(), site(ring=KeyRing([key(b"other")]))))[0]
    damaged = CAPSULE[:80] + b"x" + CAPSULE[81:]
    for false in (forged, damaged):
        raw = mixed(attachment(false, b"q.zip", b"application/zip"), attachment(CAPSULE, b"q.zip", b"application/zip"))
        assert release(raw) == WITH_EXE


@pytest.mark.parametrize("words", [b"a", b"ab", b"abc", b"hello world", b"Best regards from me"])
@pytest.mark.parametrize("size", range(3))
def test_words_behind_the_base64_of_a_capsule_do_not_hide_it(words, size):
    original = WITH_PDF + b"x" * size
    text = base64.encodebytes(capsules(quarantine(original))[0])
    assert release(b"Subject: x\n\n" + text + words + b"\n") == original


# Sending on


def resend(raw, *recipients, now=NOW):
    return b"".join(resent(raw, KEY, now, recipients, "postmaster@b.example"))


def passes(raw, *recipients, verb=quarantine, now=NOW):
    return verb(raw, rules("suspicious"), site(recipients=recipients, now=now))


@pytest.mark.parametrize(
    "original", [WITH_BOTH, WITH_BOTH.replace(b"\n", b"\r\n"), WITH_BOTH[:-10], b"From x\n" + WITH_BOTH]
)
def test_a_released_message_passes_each_filter_once(original):
    raw = resend(original, BOB)
    once = passes(raw, BOB)
    assert once.endswith(original[parse(original).root.body :])
    for name in (b"Resent-Date", b"Resent-From", b"Resent-To", b"Resent-Message-ID", b"Subject"):
        assert once.count(b"\n" + name + b":") == 1
    both = passes(once, BOB, verb=strip)
    assert both.endswith(original[parse(original).root.body :])
    # A copy that was delivered opens no way for another.
    for verb in (quarantine, strip):
        again = passes(both, BOB, verb=verb)
        assert not again.endswith(original[parse(original).root.body :])


def test_it_passes_only_for_those_it_was_released_to():
    raw = resend(WITH_BOTH, BOB, ALICE)
    for recipients in ((BOB,), (ALICE,), (BOB, ALICE), (BOB.upper(),)):
        assert b"setup.exe" in passes(raw, *recipients)
    for recipients in ((), ("eve@b.example",), (BOB, "eve@b.example"), ("",)):
        assert b"setup.exe" not in passes(raw, *recipients)


def test_it_passes_only_soon_and_unchanged():
    raw = resend(WITH_BOTH, BOB)
    assert b"setup.exe" not in passes(raw, BOB, now=NOW + 8 * 86400)
    assert b"setup.exe" not in passes(raw.replace(b"Hello.", b"Hullo."), BOB)
    assert b"setup.exe" not in passes(raw.replace(b"Subject: hello", b"Subject: hullo"), BOB)
    assert b"setup.exe" not in passes(b"Subject: other\n" + raw, BOB)
    seal = raw[: raw.index(b"Resent-Date")]
    assert b"setup.exe" not in passes(seal + WITH_BOTH, BOB)
    assert b"setup.exe" in passes(b"Received: from x\n" + raw, BOB)


def test_a_seal_has_room_for_all_recipients():
    from mailguard.release import MOST_RECIPIENTS

    many = [f"user{number}@b.example" for number in range(MOST_RECIPIENTS)]
    assert field.read(parse(resend(WITH_PDF, *many)), RING, NOW).verdict is not None
    assert b"report.pdf" in passes(resend(WITH_PDF, *many), *many)


def test_seals_of_the_sender_do_not_come_along():
    raw = resend(b"Mailguard-Seal: forged\nMailguard-Other: x\n" + WITH_BOTH, BOB)
    assert raw.count(b"Mailguard-") == 1


def test_recipients_are_not_named_in_the_seal():
    seal = field.read(parse(resend(WITH_PDF, BOB)), RING, NOW).seal
    assert re.fullmatch("[0-9a-f]{24}", *seal.released)
    assert seal.released != (field.recipient_digest(key(b"other"), BOB),)


@pytest.mark.parametrize(
    "address", ["", "a", "a@", "@b", "a@b\nBcc: x", "a b@c", "<a@b>", "a@b, c@d", "a@b\x00", "a,b@c"]
)
def test_what_is_no_plain_address_is_no_recipient(address):
    with pytest.raises(ValueError, match="not an address"):
        check_address(address)


def test_nothing_released_is_assessed():
    with Bounded(resend(WITH_EXE, BOB), "quarantine", rules(), site(recipients=[BOB])) as bounded:
        result = bounded.assess()
    assert isinstance(result, Result)
    assert result.action == "released"


# Commands


@pytest.fixture
def key_option(tmp_path):
    path = tmp_path / "key"
    path.write_text(key_line(b"test".ljust(32, b".")))
    path.chmod(0o600)
    return ("--key-file", path)


def test_release_writes_the_original(mailguard, key_option):
    for raw in (OUT, CAPSULE):
        done = mailguard("release", *key_option, input=raw)
        assert (done.returncode, done.stdout, done.stderr) == (0, WITH_EXE, b"")


@pytest.mark.parametrize("command", ["release", "inspect", "password"])
@pytest.mark.parametrize("raw", [b"Subject: x\n\n", CAPSULE[:100] + b"x" + CAPSULE[101:], b"PK\x03\x04 foreign"])
def test_what_cannot_be_opened_is_status_65_one_line_and_no_output(mailguard, key_option, command, raw):
    done = mailguard(command, *key_option, input=raw)
    assert done.returncode == 65
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1


def test_inspect_tells_and_password_opens(mailguard, key_option):
    done = mailguard("inspect", *key_option, "--json", input=OUT)
    facts = json.loads(done.stdout)
    assert facts["quarantine_id"] == quarantined(WITH_EXE).quarantine_id
    assert [file["name"] for file in facts["files"]] == ["setup.exe"]
    assert facts["files"][0]["dangerous"] == ["executable"]
    text = mailguard("inspect", *key_option, input=CAPSULE).stdout.decode()
    assert "setup.exe" in text
    assert "DANGER" in text
    password = mailguard("password", *key_option, input=OUT).stdout.strip()
    from mailguard import capsule

    assert capsule.open(CAPSULE, password).restore() == WITH_EXE
    assert mailguard("password", *key_option, "--id-only", facts["quarantine_id"]).stdout.strip() == password
    wrong = mailguard("password", *key_option, "--id-only", "a" * 24)
    assert (wrong.returncode, wrong.stdout) == (65, b"")


def test_inspect_shows_nothing_hostile(mailguard, key_option):
    raw = mixed(
        attachment(b"x", b"a\x1b]0;x\x07b.txt"), top=b"From: \x1b[2J <x@y.example>\nSubject: =?utf-8?q?=1b[2J?=\n"
    )
    done = mailguard("inspect", *key_option, input=quarantine(raw))
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    assert b"\x07" not in done.stdout


def test_resend_asks_for_recipients_that_a_seal_has_room_for(mailguard, key_option):
    assert mailguard("release", *key_option, "--resend", input=OUT).returncode == 2
    many = [word for number in range(101) for word in ("--recipient", f"u{number}@b.example")]
    assert mailguard("release", *key_option, "--resend", *many, input=OUT).returncode == 2
    now = ("--now", "2026-09-21T13:46:40Z")
    done = mailguard(
        "release", *key_option, *now, "--resend", "--recipient", BOB, "--resent-from", "p@b.example", input=OUT
    )
    assert done.returncode == 0
    passed = mailguard("quarantine", *key_option, *now, "--recipient", BOB, "--log", "none", input=done.stdout)
    assert [name for _, name, _ in parts(passed.stdout)] == ["", "setup.exe"]


# --safe


def test_safe_writes_what_sanitize_makes_of_the_original_and_keeps_that(mailguard, key_option, tmp_path):
    raw = mixed(TEXT, attachment(documents.docm(), b"report.docm"), EXE)
    made = mailguard("release", "--safe", "--lang", "en", *key_option, input=quarantine(raw))
    assert (made.returncode, made.stderr) == (0, b"")
    assert [name for _, name, _ in parts(made.stdout)][1] == "report.docx"
    assert documents.EXE not in [data for _, _, data in parts(made.stdout)]
    assert release(made.stdout) == raw
    again = mailguard("release", *key_option, input=made.stdout)
    assert again.stdout == raw
    plain = mailguard(
        "release", "--safe", *key_option, input=quarantine(mixed(TEXT, attachment(b"text\n", b"a.txt", b"text/plain")))
    )
    assert plain.stdout == mixed(TEXT, attachment(b"text\n", b"a.txt", b"text/plain"))


def test_safe_and_resend_pass_the_filters_with_the_harmless_message(mailguard, key_option):
    raw = mixed(TEXT, attachment(documents.docm(), b"report.docm"))
    options = ("--safe", "--resend", "--recipient", BOB, "--now", "2026-09-21T14:13:20Z")
    made = mailguard("release", *options, *key_option, input=quarantine(raw)).stdout
    assert b"Resent-To: bob@b.example" in made
    result = quarantined(made, rules(), site(recipients=[BOB]))
    assert result.action == "released"
    out = output(result)
    assert "report.docx" in [name for _, name, _ in parts(out)]
    assert documents.docm() not in [data for _, _, data in parts(out)]
    assert release(out) == raw


def test_what_was_released_or_sanitized_before_is_made_harmless_all_the_same():
    raw = mixed(TEXT, attachment(documents.docm(), b"report.docm"))
    for seal in (
        verdict(released=[field.recipient_digest(KEY, BOB)]),
        Seal(NOW, ("verify", "sanitize"), authenticated=True, author_domain="a.example"),
    ):
        assert as_new(sealed(raw, seal), RING, NOW, "sanitize") == raw
    for other in (raw, sealed(raw), sealed(raw, verdict(released=["0" * 24]), key(b"other"))):
        assert as_new(other, RING, NOW, "sanitize") == other


def test_the_capsule_is_found_whatever_is_around_it():
    assert opening.find(b"junk" + CAPSULE + b"\r\n") == [CAPSULE]
    assert opening.find(OUT) == [CAPSULE]
    assert opening.find(b"") == []
