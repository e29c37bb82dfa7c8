"""Those to whom our users write become known, and nobody else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailguard.addresses import AddressList, parse_pattern
from mailguard.cli.learn import _add

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
    process = mailguard("learn", "--known", known, *arguments, input=raw)
    assert (process.returncode, process.stdout) == (status, b""), process.stderr
    return known.read_text() if known.exists() else ""


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
