"""Delivery: what reaches the other side is what came, every answer counts, and nothing hangs on anybody."""

from __future__ import annotations

import base64
import errno
import itertools
import mailbox
import os
import re
import stat
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from smtp_faults import STEPS, Authority, Fault, Server, on_wire

from mailguard import delivery
from mailguard.delivery import DELIVERED, PERMANENT, TEMPORARY, Copy, parse, store, wire
from mailguard.delivery.attempt import DIALOGUE_LINES
from mailguard.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

RAW = b"From: a@one.test\nSubject: x\n\n.\n..\n.text\nFrom here\n>From there\nend"
EIGHT_BIT = "From: a@one.test\n\nこんにちは\n".encode()
COUNTER = itertools.count()


def make(raw: bytes, sender: str | None = "a@one.test") -> Copy:
    return Copy(
        lambda offset, length: raw[offset : offset + length],
        len(raw),
        sender=sender,
        identifier=f"{next(COUNTER):032x}",
        created=1_700_000_000.25 + next(COUNTER),
    )


def deliver(url: str, raw: bytes = RAW, recipients=("b@two.test",), sender="a@one.test"):
    session = delivery.session(parse(url))
    try:
        return session.deliver(make(raw, sender), list(recipients))
    finally:
        session.close()


def statuses(attempt) -> list[str]:
    return [outcome.status for outcome in attempt.outcomes.values()]


# --- the bytes ---


def test_a_message_arrives_with_line_ends_of_the_wire_and_otherwise_unchanged():
    with Server() as server:
        assert statuses(deliver(server.url())) == [DELIVERED]
    assert [message.data for message in server.messages] == [on_wire(RAW)]


def test_a_line_with_only_a_dot_does_not_end_the_message_and_nothing_behind_it_is_a_command():
    attack = b"Subject: x\n\nhello\n.\nMAIL FROM:<evil@x>\nRCPT TO:<victim@x>\nDATA\nforged\n.\n"
    with Server() as server:
        deliver(server.url(), attack)
    assert len(server.copies(attack)) == 1
    assert not any("evil" in command for command in server.commands)


def test_the_next_message_on_the_connection_is_whole_after_one_without_final_newline():
    with Server() as server:
        session = delivery.session(parse(server.url()))
        for number in range(3):
            session.deliver(make(b"Subject: %d\n\nno newline" % number), ["b@two.test"])
        session.close()
    assert server.connections == 1
    assert [message.data for message in server.messages] == [b"Subject: %d\r\n\r\nno newline\r\n" % n for n in range(3)]


def test_header_bytes_keep_their_blanks():
    raw = b"Subject:  two blanks\nX-Empty:\nX-Tab:\tt\nDKIM-Signature: v=1;\n\tb=abc\n\nbody\n"
    with Server() as server:
        deliver(server.url(), raw)
    assert len(server.copies(raw)) == 1


def test_a_from_line_of_a_mailbox_is_no_part_of_the_message():
    with Server() as server:
        deliver(server.url(), b"From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\ny\n")
    assert server.messages[0].data == b"Subject: x\r\n\r\ny\r\n"


PIECES = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"\n.", b"\r\n.\r\n", b"x", b"From ", b"\x00", b"\xff"]),
    max_size=60,
).map(b"".join)


@given(PIECES, st.integers(1, 7))
@example(b"\n.\n", 1)
@example(b"a\r", 1)
def test_the_wire_form_does_not_depend_on_how_the_message_is_cut(raw, step):
    chunks = [raw[start : start + step] for start in range(0, len(raw), step)]
    assert b"".join(wire(chunks)) == b"".join(wire([raw]))


@given(PIECES)
def test_the_wire_form_unstuffed_is_the_message_and_holds_no_end_mark(raw):
    sent = b"".join(wire([raw]))
    assert b"\r\n.\r\n" not in b"\r\n" + sent
    assert not re.search(rb"(?<!\r)\n", sent)
    assert (b"\r\n" + sent).replace(b"\r\n..", b"\r\n.")[2:] == on_wire(b"x\n" + raw)[3:]


@given(PIECES)
def test_the_announced_size_is_the_size_on_the_wire_before_stuffing(raw):
    assert make(b"x\n" + raw).wire_size == len(on_wire(b"x\n" + raw))


@pytest.mark.parametrize("ending", [b"\r.\r\nMAIL FROM:<evil@x>\n", b"\r.\rMAIL", b"\r."])
def test_a_bare_cr_before_a_dot_is_not_sent_because_some_servers_end_the_message_there(ending):
    with Server() as server:
        attempt = deliver(server.url(), b"Subject: x\n\nhello" + ending)
    assert statuses(attempt) == [PERMANENT]
    assert not server.messages


def test_a_bare_cr_elsewhere_arrives_as_it_is():
    raw = b"Subject: x\n\none\rtwo\r\rthree\n"
    with Server() as server:
        deliver(server.url(), raw)
    assert len(server.copies(raw)) == 1


# --- the envelope ---


def test_the_envelope_is_kept_and_nobody_may_write_to_the_sender_about_a_copy():
    with Server() as server:
        deliver(server.url(), recipients=["b@two.test", '"odd local part"@two.test'])
    assert server.messages[0].sender.startswith("<a@one.test>")
    assert server.messages[0].recipients == ["b@two.test", '"odd local part"@two.test']
    assert all(command.endswith(" NOTIFY=NEVER") for command in server.commands if command.startswith("RCPT"))


def test_the_null_sender_stays_the_null_sender():
    with Server() as server:
        deliver(server.url(), sender="")
    assert server.messages[0].sender.startswith("<> ")


def test_recipients_that_the_server_refuses_are_told_apart_from_those_that_it_takes():
    refusals = {"gone@two.test": "550 5.1.1 unknown", "later@two.test": "451 4.2.0 busy"}
    with Server(refusals=refusals) as server:
        attempt = deliver(server.url(), recipients=["ok@two.test", "gone@two.test", "later@two.test"])
    assert {name: outcome.status for name, outcome in attempt.outcomes.items()} == {
        "ok@two.test": DELIVERED,
        "gone@two.test": PERMANENT,
        "later@two.test": TEMPORARY,
    }
    assert server.messages[0].recipients == ["ok@two.test"]


def test_a_message_is_not_sent_when_every_recipient_was_refused():
    with Server(refusals={"b@two.test": "550 5.1.1 unknown"}) as server:
        attempt = deliver(server.url())
    assert statuses(attempt) == [PERMANENT]
    assert attempt.outcomes["b@two.test"].reply == "550 5.1.1 unknown"
    assert "DATA" not in server.commands


def test_more_recipients_than_a_server_must_take_go_in_several_transactions():
    recipients = [f"r{number}@two.test" for number in range(250)]
    with Server() as server:
        attempt = deliver(server.url(), recipients=recipients)
    assert statuses(attempt) == [DELIVERED] * 250
    assert [len(message.recipients) for message in server.messages] == [100, 100, 50]
    assert [recipient for message in server.messages for recipient in message.recipients] == recipients


def test_a_recipient_of_thousands_of_octets_harms_nobody():
    with Server() as server:
        attempt = deliver(server.url(), recipients=["x" * 3000 + "@two.test", "b@two.test"])
    assert statuses(attempt) == [DELIVERED, DELIVERED]


@pytest.mark.parametrize(
    "address", ["a> SIZE=1\r\nRCPT TO:<evil", "a b@x", "a<b@x", "a\x00@x", 'a"\r\n"@x', "a\udcff@x"]
)
def test_an_address_that_could_be_a_command_is_never_sent(address):
    with Server() as server:
        attempt = deliver(server.url(), recipients=[address, "b@two.test"])
        assert statuses(deliver(server.url(), sender=address)) == [PERMANENT]
    assert statuses(attempt) == [PERMANENT, DELIVERED]
    assert not any("evil" in command for command in server.commands)


def test_without_pipelining_each_command_waits_for_its_answer():
    with Server(extensions=("8BITMIME",)) as server:
        assert statuses(deliver(server.url())) == [DELIVERED]
    assert server.commands[1:4] == ["MAIL FROM:<a@one.test>", "RCPT TO:<b@two.test>", "DATA"]


# --- what the server can ---


def test_an_8_bit_message_is_announced_as_such():
    with Server() as server:
        deliver(server.url(), EIGHT_BIT)
    assert "BODY=8BITMIME" in server.messages[0].sender
    assert len(server.copies(EIGHT_BIT)) == 1


def test_an_8_bit_message_is_held_where_the_server_could_damage_it_unless_the_operator_says_send():
    with Server(extensions=()) as server:
        held = deliver(server.url(), EIGHT_BIT)
        sent = deliver(server.url("?8bit=send"), EIGHT_BIT)
    assert (statuses(held), statuses(sent)) == ([PERMANENT], [DELIVERED])
    assert len(server.copies(EIGHT_BIT)) == len(server.messages) == 1


def test_a_message_over_the_announced_size_is_not_sent():
    with Server(extensions=("SIZE 50",)) as server:
        assert statuses(deliver(server.url())) == [PERMANENT]
    assert not server.messages


def test_an_address_with_other_letters_needs_smtputf8():
    with Server() as able, Server(extensions=()) as unable:
        assert statuses(deliver(able.url(), recipients=["あ@two.test"])) == [DELIVERED]
        assert statuses(deliver(unable.url(), recipients=["あ@two.test", "b@two.test"])) == [PERMANENT, DELIVERED]
        assert statuses(deliver(unable.url(), sender="あ@one.test")) == [PERMANENT]
    assert able.messages[0].sender.endswith(" SMTPUTF8")
    assert "RCPT TO:<あ@two.test> NOTIFY=NEVER" in able.commands


def test_an_old_server_without_ehlo_gets_helo():
    with Server(Fault("ehlo", "502 5.5.1 what?"), extensions=()) as server:
        assert statuses(deliver(server.url())) == [DELIVERED]
    assert any(command.startswith("HELO ") for command in server.commands)


def test_the_name_in_ehlo_can_be_chosen():
    with Server() as server:
        deliver(server.url("?helo=mx.one.test"))
    assert server.commands[0] == "EHLO mx.one.test"


# --- LMTP ---


@pytest.mark.parametrize("by_path", [True, False])
def test_lmtp_has_an_answer_for_each_recipient(tmp_path, by_path):
    refusals = {"full@two.test": "552 5.2.2 over quota", "busy@two.test": "451 4.2.0 later"}
    path = tmp_path / "lmtp" if by_path else None
    with Server(lmtp=True, path=path, final_refusals=refusals) as server:
        attempt = deliver(server.url(), recipients=["ok@two.test", "full@two.test", "busy@two.test"])
    assert statuses(attempt) == [DELIVERED, PERMANENT, TEMPORARY]
    assert server.commands[0].startswith("LHLO ")


# --- faults ---

ACTIONS = ["hang", "close", "garbage", "drip", "endless", "421 4.3.2 closing", "451 4.3.0 later", "554 5.7.1 never"]


@pytest.mark.parametrize(("step", "action"), list(itertools.product(STEPS, ACTIONS)))
def test_a_fault_never_looks_like_success(step, action):
    with Server(Fault(step, action)) as server:
        attempt = deliver(server.url("?timeout=0.5"))
    refused = action.startswith("554") and step not in {"connect", "ehlo"}
    assert statuses(attempt) == [PERMANENT if refused else TEMPORARY]
    assert not server.messages
    if action in {"hang", "close"} and step in {"connect", "ehlo"}:
        assert attempt.down
    assert len(attempt.dialogue) <= DIALOGUE_LINES


@pytest.mark.parametrize("action", ["250 2.1.0 too early", "220 what", "354 go"])
@pytest.mark.parametrize("step", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_a_wrong_positive_answer_is_not_taken_for_the_final_one(step, action):
    with Server(Fault(step, action)) as server:
        attempt = deliver(server.url("?timeout=0.5"))
    assert statuses(attempt) == [DELIVERED if server.messages else TEMPORARY]


@pytest.mark.parametrize("action", ["multi-line", "split"])
@pytest.mark.parametrize("step", [step for step in STEPS if step != "content"])
def test_replies_of_several_lines_or_packets_keep_the_dialogue_in_step(step, action):
    fault = Fault(step, action)
    with Server(fault, extensions=() if step == "ehlo" else ("PIPELINING",)) as server:
        session = delivery.session(parse(server.url()))
        first = session.deliver(make(RAW), ["b@two.test", "c@two.test"])
        second = session.deliver(make(RAW), ["d@two.test"])
        session.close()
    assert statuses(first) + statuses(second) == [DELIVERED] * 3
    assert [message.recipients for message in server.messages] == [["b@two.test", "c@two.test"], ["d@two.test"]]


@pytest.mark.parametrize("step", ["connect", "mail", "rcpt", "data"])
def test_a_server_that_answers_twice_is_out_of_step_and_not_believed(step):
    with Server(Fault(step, "twice")) as server:
        attempt = deliver(server.url("?timeout=0.5"))
    assert statuses(attempt) == [TEMPORARY]


def test_an_answer_before_the_end_of_the_message_is_not_the_final_answer():
    with Server(Fault("data", "354 go\r\n250 2.0.0 kept already")) as server:
        assert statuses(deliver(server.url("?timeout=0.5"))) == [TEMPORARY]


def test_a_lost_final_answer_means_again_although_the_copy_may_be_there():
    with Server(Fault("final", "drop", times=1)) as server:
        assert statuses(deliver(server.url())) == [TEMPORARY]
        assert statuses(deliver(server.url())) == [DELIVERED]
    assert len(server.copies(RAW)) == 2


def test_after_a_fault_the_next_message_gets_a_connection_of_its_own():
    with Server(Fault("data", "garbage", times=1)) as server:
        session = delivery.session(parse(server.url()))
        assert statuses(session.deliver(make(RAW), ["b@two.test"])) == [TEMPORARY]
        assert statuses(session.deliver(make(RAW), ["b@two.test"])) == [DELIVERED]
        session.close()
    assert server.connections == 2


def test_a_connection_that_died_between_two_messages_is_opened_again():
    with Server() as server:
        session = delivery.session(parse(server.url()))
        session.deliver(make(RAW), ["b@two.test"])
        server.fault = Fault("mail", "close", times=1)
        assert statuses(session.deliver(make(RAW), ["b@two.test"])) == [DELIVERED]
        session.close()
    assert len(server.messages) == 2


def test_a_refusal_in_the_middle_of_the_message_is_heard():
    with Server(Fault("content", "552 5.3.4 too big")) as server:
        attempt = deliver(server.url(), b"Subject: x\n\n" + b"line\n" * 1_000_000)
    assert attempt.outcomes["b@two.test"].reply == "552 5.3.4 too big"
    assert statuses(attempt) == [PERMANENT]


def test_a_disk_that_fails_in_the_middle_of_the_message_is_no_reason_to_listen_to_the_server():
    """The server waits for the rest, we waited for its answer: each message took the whole time of an answer."""
    reads = []

    def read(offset: int, length: int) -> bytes:
        reads.append(offset)
        if len(reads) > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return RAW[offset : offset + length]

    with Server() as server:
        session = delivery.session(parse(server.url("?timeout=3600")))  # the limit of a test is shorter
        copy = Copy(read, len(RAW), sender="a@one.test", identifier="a" * 32, created=1e9)
        found = delivery.hand_over(session, copy, ["b@two.test"])
        session.close()
        assert statuses(found) == [TEMPORARY]
        assert server.messages == []
    assert len(reads) == 2


def test_a_server_that_is_not_there_is_down():
    with Server() as server:
        url = server.url()
    attempt = deliver(url)
    assert attempt.down
    assert statuses(attempt) == [TEMPORARY]


def test_the_dialogue_of_a_refusal_shows_commands_and_answers_safely():
    with Server(Fault("rcpt", "550 5.1.1 no \x1b[31m such user")) as server:
        attempt = deliver(server.url())
    assert any(line.startswith("> RCPT TO:<b@two.test>") for line in attempt.dialogue)
    assert any(line.startswith("< 550 5.1.1 no \\x1b") for line in attempt.dialogue)
    assert "\x1b" not in "".join(attempt.dialogue) + attempt.outcomes["b@two.test"].reply


# --- TLS and AUTH ---


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def test_a_verified_certificate_is_accepted_by_starttls_and_by_smtps(authority):
    with Server(tls=authority.context()) as server:
        assert statuses(deliver(server.url(f"?starttls=require&ca={authority.file}"))) == [DELIVERED]
        assert "STARTTLS" in server.commands
    with Server(tls=authority.context(), implicit_tls=True) as server:
        assert statuses(deliver(server.url(f"?ca={authority.file}"))) == [DELIVERED]


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("wrong", ["address", "expired", "authority"])
def test_a_wrong_certificate_gets_no_message(authority, tmp_path, wrong, implicit):
    context = authority.context(
        "127.0.0.2" if wrong == "address" else "127.0.0.1", days=-1 if wrong == "expired" else 1
    )
    ca = Authority(tmp_path).file if wrong == "authority" else authority.file
    with Server(tls=context, implicit_tls=implicit) as server:
        attempt = deliver(server.url(f"?ca={ca}" + ("" if implicit else "&starttls=require")))
    assert attempt.down
    assert statuses(attempt) == [TEMPORARY]
    assert not server.messages
    assert not any(command.startswith("MAIL") for command in server.commands)


def test_where_tls_is_required_a_server_without_it_gets_no_message():
    with Server() as server:
        assert statuses(deliver(server.url("?starttls=require"))) == [TEMPORARY]
    assert not server.messages


def test_opportunistic_tls_encrypts_without_asking_who_it_is(authority):
    with Server(tls=authority.context("127.0.0.2")) as server:
        assert statuses(deliver(server.url())) == [DELIVERED]
    assert "STARTTLS" in server.commands


def test_tls_can_be_left_off(authority):
    with Server(tls=authority.context()) as server:
        assert statuses(deliver(server.url("?starttls=off"))) == [DELIVERED]
    assert "STARTTLS" not in server.commands


def credentials_file(folder: Path, text: str = "user\nsecret word\n", mode: int = 0o600) -> Path:
    file = folder / "credentials"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_fault_of_our_own_is_an_outcome_like_any_other(monkeypatch):
    session = delivery.session(parse("smtp://127.0.0.1:1"))
    monkeypatch.setattr(session, "deliver", lambda *_: 1 // 0)
    attempt = delivery.hand_over(session, make(RAW), ["b@two.test", "c@two.test"])
    assert statuses(attempt) == [TEMPORARY, TEMPORARY]
    assert attempt.broken


def test_credentials_come_from_a_file_and_appear_in_no_record(authority, tmp_path):
    secret = base64.b64encode(b"\0user\0secret word").decode()
    file = credentials_file(tmp_path)
    with Server(tls=authority.context(), credentials=secret) as server:
        attempt = deliver(server.url(f"?starttls=require&ca={authority.file}&credentials={file}"))
    assert statuses(attempt) == [DELIVERED]
    assert f"AUTH PLAIN {secret}" in server.commands
    record = "\n".join(attempt.dialogue)
    assert secret not in record
    assert "secret word" not in record


def test_wrong_credentials_leave_the_message_in_the_queue(authority, tmp_path):
    with Server(tls=authority.context(), credentials="other") as server:
        file = credentials_file(tmp_path)
        attempt = deliver(server.url(f"?starttls=require&ca={authority.file}&credentials={file}"))
    assert statuses(attempt) == [TEMPORARY]
    assert attempt.down


def test_a_credentials_file_that_others_can_read_is_refused(authority, tmp_path):
    with Server(tls=authority.context(), credentials="x") as server:
        file = credentials_file(tmp_path, mode=0o644)
        attempt = deliver(server.url(f"?starttls=require&ca={authority.file}&credentials={file}"))
    assert statuses(attempt) == [TEMPORARY]
    assert not any(command.startswith("AUTH") for command in server.commands)


# --- target URLs ---


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("smtp://mx.two.test", "smtp://mx.two.test:25"),
        ("smtp://MX.two.test:2525?timeout=3", "smtp://mx.two.test:2525"),
        ("smtps://[::1]", "smtps://[::1]:465"),
        ("lmtp://mx.two.test", "lmtp://mx.two.test:24"),
        ("lmtp:/run/lmtp", "lmtp:/run/lmtp"),
        ("lmtp:///run/lmtp", "lmtp:/run/lmtp"),
        ("maildir:/var/copy", "maildir:/var/copy"),
        ("maildir:///var/my%20copy", "maildir:/var/my copy"),
        ("mbox:/var/copy?timeout=9", "mbox:/var/copy"),
        ("exec:/usr/sbin/sendmail -C /etc/x", "exec:/usr/sbin/sendmail -C /etc/x"),
    ],
)
def test_a_target_is_known_by_its_place_not_by_its_options(url, name):
    assert parse(url).name == name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mx.two.test",
        "http://mx.two.test",
        "smtp://",
        "smtp://mx:0",
        "smtp://mx:65536",
        "smtp://user:secret@mx.two.test",
        "smtp://mx\nRCPT",
        "smtp://mx?starttls=maybe",
        "smtp://mx?verify=no",
        "smtp://mx?timeout=0",
        "smtp://mx?timeout=soon",
        "smtp://mx?helo=a%0d%0aDATA",
        "smtp://mx?ca=/etc/ca",
        "smtp://mx?credentials=/etc/secret",
        "smtp://mx?starttls=opportunistic&credentials=/etc/secret",
        "smtps://mx?starttls=off",
        "maildir:relative",
        "maildir:/x?timeout=1",
        "mbox:/x%0a",
        "exec:sendmail",
    ],
)
def test_what_is_no_target_is_refused_without_showing_a_password(url):
    with pytest.raises(ConfigurationError) as caught:
        parse(url)
    assert "secret@" not in str(caught.value)


# --- Maildir and mbox ---


def test_a_maildir_holds_the_bytes_as_they_came(tmp_path):
    path = tmp_path / "copies"
    raw = b"Subject: x\r\n\nmixed\r\nno newline"
    assert statuses(deliver(f"maildir:{path}", raw, [""])) == [DELIVERED]
    (file,) = (path / "new").iterdir()
    assert file.read_bytes() == raw
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list((path / "tmp").iterdir())


@pytest.mark.parametrize("moved", [False, True])
def test_a_second_try_finds_the_first_in_the_maildir_even_when_it_was_read_meanwhile(tmp_path, moved):
    session = delivery.session(parse(f"maildir:{tmp_path}/copies"))
    copy = make(RAW)
    session.deliver(copy, [""])
    if moved:
        (file,) = (tmp_path / "copies/new").iterdir()
        file.rename(tmp_path / "copies/cur" / f"{file.name}:2,S")
    assert statuses(session.deliver(copy, [""])) == [DELIVERED]
    assert len([*(tmp_path / "copies/new").iterdir(), *(tmp_path / "copies/cur").iterdir()]) == 1


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_a_store_that_cannot_be_written_is_tried_again(tmp_path, kind):
    (tmp_path / "file").write_text("")
    attempt = deliver(f"{kind}:{tmp_path}/file/below", recipients=[""])
    assert statuses(attempt) == [TEMPORARY]
    assert attempt.down


def test_an_mbox_holds_several_messages_that_can_be_told_apart(tmp_path):
    path = tmp_path / "box"
    raws = [b"Subject: 1\n\nFrom here\n>From there\n", b"Subject: 2\n\nno newline", b"Subject: 3\n\nFrom\n\n\n"]
    for raw in raws:
        assert statuses(deliver(f"mbox:{path}", raw, [""], sender="")) == [DELIVERED]
    text = path.read_bytes()
    assert text.count(b"From MAILER-DAEMON ") == 3
    assert b"\n>From here\n>>From there\n" in text
    assert len(mailbox.mbox(path)) == 3
    assert not (tmp_path / "box.lock").exists()


@given(
    raws=st.lists(PIECES.map(lambda raw: b"S: x\n\n" + raw), min_size=1, max_size=4),
    before=st.sampled_from([b"", b"From x y\n\nz\n\n", b"From x y\n\nz\n", b"From x y\n\nz"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_an_mbox_gives_back_what_was_put_in(tmp_path, raws, before):
    path = tmp_path / f"box{next(COUNTER)}"
    path.write_bytes(before)
    for raw in raws:
        assert statuses(deliver(f"mbox:{path}", raw, [""])) == [DELIVERED]
    pieces = re.split(rb"(?:\A|(?<=\n\n))From [^\n]*\n", path.read_bytes())[1:]
    found = [re.sub(rb"^>(>*From )", rb"\1", piece, flags=re.MULTILINE)[:-1] for piece in pieces[bool(before) :]]
    assert found == [raw if raw.endswith(b"\n") else raw + b"\n" for raw in raws]


def test_an_own_from_line_becomes_the_separator_of_the_mbox(tmp_path):
    raw = b"From own@line.test Thu Jan  1 00:00:00 1970\nSubject: x\n\ny\n"
    deliver(f"mbox:{tmp_path}/box", raw, [""])
    assert (tmp_path / "box").read_bytes() == raw + b"\n"


def test_a_copy_that_is_in_the_mbox_already_is_not_appended_again(tmp_path):
    session = delivery.session(parse(f"mbox:{tmp_path}/box"))
    copy = make(RAW)
    session.deliver(copy, [""])
    size = (tmp_path / "box").stat().st_size
    assert statuses(session.deliver(copy, [""])) == [DELIVERED]
    assert (tmp_path / "box").stat().st_size == size


def dead_process() -> int:
    process = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-S", "-c", ""])
    os.waitpid(process, 0)
    return process


@pytest.mark.parametrize("length", [0, 1, 30, 60, 100_000])
def test_what_a_killed_try_left_in_the_mbox_is_replaced(tmp_path, length):
    copy = make(b"Subject: x\n\n" + b"0123456789\n" * 20_000)
    block = b"".join(store.mboxrd(copy))
    path = tmp_path / "box"
    first = b"From x y\n\nfirst\n\n"
    path.write_bytes(first + block[:length])
    (tmp_path / "box.lock").write_text(f"{dead_process()}\n{copy.identifier} {len(first)}\n")
    assert statuses(delivery.session(parse(f"mbox:{path}")).deliver(copy, [""])) == [DELIVERED]
    assert path.read_bytes() == first + block


def test_a_message_that_only_begins_like_another_does_not_replace_it(tmp_path):
    session = delivery.session(parse(f"mbox:{tmp_path}/box"))
    session.deliver(make(b"Subject: x\n\none\n"), [""])
    session.deliver(make(b"Subject: x\n\none\n\ntwo\n"), [""])
    assert (tmp_path / "box").read_bytes().count(b"Subject: x") == 2


@pytest.mark.parametrize("nameless", [True, False])
def test_a_lock_that_cannot_be_written_does_not_stay(tmp_path, monkeypatch, nameless):
    """An empty one stops every program that respects it, for minutes."""
    if not nameless:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)  # what a file system without them makes of it: EISDIR

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            store._DotLock(str(tmp_path / "box")).acquire()
    assert list(tmp_path.iterdir()) == []
    lock = store._DotLock(str(tmp_path / "box"))
    lock.acquire()
    assert (tmp_path / "box.lock").read_text() == f"{os.getpid()}\n"
    with pytest.raises(BlockingIOError):
        store._DotLock(str(tmp_path / "box")).acquire()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_has_its_content_from_the_first_moment(tmp_path, monkeypatch):
    seen = []
    works = os.write
    monkeypatch.setattr(os, "write", lambda *arguments: (seen.append(list(tmp_path.iterdir())), works(*arguments))[1])
    lock = store._DotLock(str(tmp_path / "box"))
    lock.acquire()
    lock.release()
    assert seen == [[]]


def test_a_locked_mbox_is_tried_again_later_and_stays_as_it_was(tmp_path):
    path = tmp_path / "box"
    path.write_bytes(b"From x y\n\nfirst\n\n")
    (tmp_path / "box.lock").write_text(f"{os.getpid()}\n")
    attempt = deliver(f"mbox:{path}?timeout=0.1", recipients=[""])
    assert statuses(attempt) == [TEMPORARY]
    assert path.read_bytes() == b"From x y\n\nfirst\n\n"
    assert (tmp_path / "box.lock").exists()


def test_a_symbolic_link_in_the_place_of_an_mbox_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / "box").symlink_to("precious")
    assert statuses(deliver(f"mbox:{tmp_path}/box", recipients=[""])) == [TEMPORARY]
    assert (tmp_path / "precious").read_text() == "text"


# --- programs ---


def program(folder: Path, body: str) -> str:
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return f"exec:{file}"


def test_a_program_gets_the_message_and_the_envelope_as_sendmail_does(tmp_path):
    url = program(tmp_path, f'cat >{tmp_path}/mail; printf "%s\\n" "$@" >{tmp_path}/arguments')
    attempt = deliver(f"{url} -x 'two words'", recipients=["b@two.test", "-odd@two.test"], sender="")
    assert statuses(attempt) == [DELIVERED, DELIVERED]
    assert (tmp_path / "mail").read_bytes() == RAW
    expected = ["-x", "two words", "-i", "-f", "<>", "--", "b@two.test", "-odd@two.test"]
    assert (tmp_path / "arguments").read_text().splitlines() == expected


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("cat >/dev/null; exit 75", TEMPORARY),
        ("cat >/dev/null; exit 1", TEMPORARY),
        ("cat >/dev/null; kill -9 $$", TEMPORARY),
        ("cat >/dev/null; echo unknown user; exit 67", PERMANENT),
        ("exit 0", TEMPORARY),
        ("head -c 10 >/dev/null; exit 0", TEMPORARY),
        ("cat >/dev/null; head -c 1000000 /dev/zero; exit 0", DELIVERED),
        ("cat >/dev/null; exec sleep 600", TEMPORARY),
        ("exec sleep 600", TEMPORARY),
        ("cat >/dev/null; sleep 600 & exit 0", DELIVERED),
    ],
)
def test_a_program_has_the_message_only_when_it_read_all_of_it_and_says_0(tmp_path, body, status):
    big = b"Subject: x\n\n" + b"x" * 1_000_000 + b"\n"
    attempt = deliver(program(tmp_path, body) + "?timeout=1", big)
    assert statuses(attempt) == [status]


def test_a_program_that_is_missing_is_down(tmp_path):
    attempt = deliver(f"exec:{tmp_path}/missing")
    assert attempt.down
    assert statuses(attempt) == [TEMPORARY]
