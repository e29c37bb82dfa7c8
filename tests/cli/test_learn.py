"""Those to whom our users write become known, and nobody else."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verbs import sealed, verdict

from mailguard.addresses import AddressList, parse_pattern
from mailguard.cli.learn import _add
from mailguard.seal import keys

MAIL = b"""From: joe@rcpt.test
To: "Sato, Ayumi" <Ayumi@Example.com>, bob@example.org
Cc: undisclosed: carol@example.net;
Subject: x

eve@body.example
"""


@pytest.fixture
def known(tmp_path):
    return tmp_path / "known"


def learn(mailguard, known, raw=MAIL, *arguments, status=0):
    process = mailguard("learn", "--log", "none", "--known", known, *arguments, input=raw)
    assert (process.returncode, process.stdout) == (status, b""), process.stderr
    return known.read_text()


def test_the_recipients_in_the_header_are_added(mailguard, known):
    assert learn(mailguard, known) == "ayumi@example.com\nbob@example.org\ncarol@example.net\n"
    assert known.stat().st_mode & 0o777 == 0o600


def test_the_envelope_is_believed_before_the_header(mailguard, known):
    assert learn(mailguard, known, MAIL, "--recipient", "dan@example.com") == "dan@example.com\n"


def test_a_second_time_adds_nothing(mailguard, known):
    once = learn(mailguard, known)
    assert learn(mailguard, known) == once


def test_what_the_operator_wrote_is_respected(mailguard, known):
    known.write_text("# ours\n!ayumi@example.com\nexample.org\n*@wrong")
    learn(mailguard, known, status=1)
    known.write_text("# ours\n!ayumi@example.com\nexample.org\nDan <dan@example.com>")
    text = learn(mailguard, known)
    assert text == "# ours\n!ayumi@example.com\nexample.org\nDan <dan@example.com>\ncarol@example.net\n"


@pytest.mark.parametrize("value", [b"auto-replied", b"auto-generated (x)", b"No, really"])
def test_nothing_is_learned_from_what_a_program_wrote(mailguard, known, value):
    assert learn(mailguard, known, b"Auto-Submitted: " + value + b"\n" + MAIL) == ""
    assert learn(mailguard, known, b"Auto-Submitted: no\n" + MAIL) != ""


@pytest.mark.parametrize(
    "name", ["*", "example.com", "@example.com", "!eve@example.com", "*@example.com", "a b@c.d", "#@c.d"]
)
def test_no_recipient_becomes_a_pattern_for_others(mailguard, known, name):
    assert learn(mailguard, known, f"To: {name}\n\n".encode()) == ""
    assert learn(mailguard, known, MAIL, f"--recipient={name}") == ""


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.text(max_size=20), st.from_regex(r"[!*#\w.]{0,5}@[\w.*]{0,8}"))))
def test_the_list_stays_readable_and_holds_mailboxes_only(tmp_path_factory, addresses):
    path = tmp_path_factory.mktemp("known") / "known"
    _add(str(path), addresses)
    if path.exists():
        AddressList.read(str(path))
        for line in path.read_text().splitlines():
            assert line.partition("@")[0] not in {"", "*"}
            assert parse_pattern(line) == line
            assert any(AddressList.parse(line, "").matches(each) for each in addresses)


def test_an_unreadable_message_or_list_is_told(mailguard, known):
    assert mailguard("learn", "--known", known).returncode == 1
    assert mailguard("learn", "--known", known / "x", input=MAIL).returncode == 1
    assert mailguard("learn", input=MAIL).returncode == 2


RECEIPT = b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n" + MAIL


def test_why_nothing_was_learned_is_told(mailguard, known, tmp_path):
    log = tmp_path / "log"
    process = mailguard(
        "learn", "--known", known, "--log", log, "--explain", "--sender", "joe@rcpt.test", input=RECEIPT
    )
    assert process.returncode == 0
    assert process.stderr.decode().startswith("info: learn.receipt: no user wrote this himself. Receipts: ")
    assert log.read_text() == "learn msgid= from=joe@rcpt.test to= learned-known=0 codes=learn.receipt\n"
    process = mailguard("learn", "--known", known, "--log", log, "--explain", "--sender=", input=MAIL)
    assert b"learn.null-sender" in process.stderr
    process = mailguard("learn", "--known", known, "--log", log, "--explain", input=MAIL)
    assert process.stderr == b"known: 3 learned\n"


def test_the_files_are_made_although_nothing_is_learned(mailguard, known, tmp_path):
    conversations = tmp_path / "conversations"
    process = mailguard("learn", "--known", known, "--conversations", conversations, "--log=none", input=b"\n")
    assert process.returncode == 0, process.stderr
    assert known.read_bytes() == b""
    assert conversations.stat().st_mode & 0o777 == 0o600
    plain = b"From: a@example.com\nIn-Reply-To: <x@y>\n\nHello\n"
    for arguments in (["strip"], ["quarantine", "--known", known]):
        process = mailguard(*arguments, "--log=none", "--conversations", conversations, input=plain)
        assert (process.returncode, process.stdout) == (0, plain), process.stderr


def test_conversations_need_the_key_and_a_file(mailguard, tmp_path):
    conversations = tmp_path / "conversations"
    without = {"MAILGUARD_KEY_FILE": ""}
    process = mailguard("learn", "--conversations", conversations, "--log=none", env=without, input=MAIL)
    assert process.returncode == 1
    assert b"mailguard init" in process.stderr
    named = b"References: <x@y>\nContent-Type: image/png\n" + MAIL
    process = mailguard("quarantine", "--conversations", conversations, "--log=none", input=named)
    assert (process.returncode, process.stdout) == (75, b"")
    assert process.stderr.startswith(b"4.3.5 mailguard: ")
    assert b"conversations" in process.stderr


def test_a_harmless_answer_of_somebody_else_is_told_by_every_filter(mailguard, tmp_path, key_file):
    conversations, log = tmp_path / "conversations", tmp_path / "log"
    sent = b"Message-ID: <u1@rcpt.test>\n" + MAIL
    assert mailguard("learn", "--conversations", conversations, "--log=none", input=sent).returncode == 0
    ring = keys.load(str(key_file))
    text = b"From: eve@hacked.test\nIn-Reply-To: <u1@rcpt.test>\nSubject: Re: x\n\nPlease look at this.\n"
    seal = verdict(author_domain="hacked.test", time=int(time.time()))
    answer = sealed(text, seal, ring.active)
    config = tmp_path / "config"
    for verb in ("quarantine", "strip", "sanitize"):
        config.write_text(f'log = "{log}"\n[{verb}]\nconversations = "{conversations}"\n')
        log.unlink(missing_ok=True)
        for arguments in (["--conversations", conversations, "--log", log], ["--config", config]):
            process = mailguard(verb, *arguments, input=answer)
            assert (process.returncode, process.stdout) == (0, answer), process.stderr
        assert [line.rpartition("codes=")[2] for line in log.read_text().splitlines()] == ["reply.foreign"] * 2
