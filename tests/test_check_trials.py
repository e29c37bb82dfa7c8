"""The second level: nothing without proof, everything recognised, each result said for what it is."""

from __future__ import annotations

import contextlib
import email
import email.policy
import io
import json
import socket
import threading
import zipfile

import pytest
import pyzipper
from check_service import ADDRESS, NOW, RECEIVED, ZONE, Bench, reply
from hypothesis import given, settings
from hypothesis import strategies as st
from test_check_start import Mapped, Server
from verbs import KEY

from mailguard.attachments.detect import detect
from mailguard.check import catalogue, control, specimens, trials
from mailguard.check.guard import Guard
from mailguard.check.reply import handle
from mailguard.check.start import begin
from mailguard.check.trials import Unwanted
from mailguard.dns.files import Zone
from mailguard.envelope import Envelope
from mailguard.message.content import Content

PROVED = ZONE + f"_mailguard-check.example.com TXT {control.token('example.com', KEY)}\n"
OWN = "forged.example.net"


class Naive:
    """A mail server that takes any dot between line feeds for the end of a message."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):  # who hangs up early
                self.talk(connection)

    def talk(self, connection):
        def say(text):
            connection.sendall(text + b"\r\n")

        say(b"220 mx.example.com")
        data, inside = b"", False
        while received := connection.recv(65536):
            data += received
            while True:
                if inside:
                    ends = [at for mark in (b"\n.\n", b"\n.\r\n") if (at := data.find(mark)) >= 0]
                    if not ends:
                        break
                    data, inside = data[min(ends) :].partition(b".")[2].partition(b"\n")[2], False
                    say(b"250 taken")
                elif b"\r\n" in data:
                    line, _, data = data.partition(b"\r\n")
                    inside = line == b"DATA"
                    say(b"354 go on" if inside else b"250 ok")
                else:
                    break


@pytest.fixture
def patience(monkeypatch):
    """These servers take no false ending: nothing is waited for."""
    monkeypatch.setattr(trials, "_WAIT", 0.02)


def done(folder, address=ADDRESS, zone=PROVED):
    bench = Bench(folder, source=Zone(zone))
    begun = begin(bench.service, address, "en", NOW)
    local = address.partition("@")[0]
    assert handle(bench.service, reply(begun.token, sender=f"{local}@example.com"), Envelope(sender=address), NOW).mail
    bench.begun = begun
    return bench


def sent(bench, servers, *, now=NOW + 60, address=ADDRESS, forged=OWN):
    guard = Mapped({"192.0.2.1": servers})
    return {each.check: each for each in trials.run(bench.service, address, guard, now, forged_domain=forged)}


def record(bench):
    text = (bench.folder / "state" / "tokens" / f"{bench.begun.exchange.name}.json").read_text()
    return {each["check"]: each["reason"] for each in json.loads(text)["report"]["outcomes"]}


def read(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


@pytest.mark.usefixtures("patience")
def test_every_mail_goes_to_the_registered_address_and_says_what_it_is(tmp_path):
    bench = done(tmp_path)
    with Server() as server:
        outcomes = sent(bench, server)
    assert {name: each.reason for name, each in outcomes.items()} == {
        **dict.fromkeys(specimens.names(enforce=True), "accepted"),
        "smuggling": "good",
    }
    mails = [read(envelope.content) for envelope, _ in server.taken]
    assert len(mails) == len(specimens.names(enforce=True)) == 9
    for number, (envelope, _) in enumerate(server.taken, 1):
        mail = mails[number - 1]
        assert envelope.rcpt_tos == [mail["To"]] == [ADDRESS]
        assert envelope.mail_from == bench.service.address
        assert f"[test {number}/9]" in mail["Subject"]
        assert mail["Auto-Submitted"] == "auto-generated"
        assert "/stop/" in mail.get_body().get_content()
    authors = {mail["Subject"].rpartition(" ")[2]: mail["From"].addresses[0].addr_spec for mail in mails}
    assert authors["in.self"] == ADDRESS
    assert authors["in.enforce"] == f"billing@{OWN}"
    assert authors["in.exe"] == bench.service.address
    assert all(catalogue.sentence(each, "ja") and catalogue.sentence(each, "en") for each in outcomes.values())


def test_specimens_are_what_they_seem(tmp_path):
    def kinds(check):
        name, media_type, content = specimens.ATTACHMENTS[check]()
        return detect(Content.of(content), [name], media_type).dangerous

    for check in ("in.macro", "in.exe", "in.dblext", "in.html-smuggle", "in.encrypted-zip", "in.eicar"):
        assert kinds(check), check
    assert len(specimens._eicar()) == 68
    inner = zipfile.ZipFile(io.BytesIO(specimens.ATTACHMENTS["in.eicar.zip"]()[2]))
    assert inner.read("test.com") == specimens._eicar()
    with pyzipper.AESZipFile(io.BytesIO(specimens.ATTACHMENTS["in.encrypted-zip"]()[2])) as locked:
        assert locked.infolist()[0].flag_bits & 1


def test_no_source_of_ours_holds_the_virus_in_one_piece():
    with open(specimens.__file__, "rb") as file:
        assert b"EICAR-STANDARD-ANTIVIRUS" not in file.read()


@pytest.mark.usefixtures("patience")
def test_what_a_server_says_is_the_result(tmp_path):
    for replies, reason in (({"data": "554 5.7.1 dangerous"}, "refused"), ({"data": "451 later"}, "deferred")):
        folder = tmp_path / reason
        folder.mkdir()
        bench = done(folder)
        with Server(**replies) as server:
            outcomes = sent(bench, server)
        assert {each.reason for name, each in outcomes.items() if name != "smuggling"} == {reason}
        assert record(bench)["in.eicar"] == reason
    assert outcomes["in.eicar"].state == "unknown"


def test_a_server_that_declines_is_left_alone(tmp_path):
    bench = done(tmp_path)
    with Server(rcpt="451 slow down") as server:
        outcomes = sent(bench, server)
    assert {each.reason for each in outcomes.values()} == {"declined"}
    assert server.taken == []
    assert "smuggling" not in outcomes


def test_false_endings_that_a_server_takes_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "_WAIT", 1.5)
    bench = done(tmp_path)
    with Naive() as server:
        outcome = sent(bench, server)["smuggling"]
    assert (outcome.state, outcome.reason) == ("failure", "taken")
    assert outcome.values["endings"] == "LF.LF, LF.CRLF, CRLF.LF"
    assert record(bench)["smuggling"] == "taken"


# Consent


@pytest.mark.parametrize(
    ("address", "zone", "reason"),
    [
        (ADDRESS, ZONE, "proof"),
        (ADDRESS, PROVED.replace("mailguard-check=", "mailguard-check=x"), "proof"),
        ("ann@example.com", PROVED, "exchange"),
        ("nonsense", PROVED, "exchange"),
    ],
)
def test_nothing_is_sent_without_an_answer_and_a_proof(tmp_path, address, zone, reason):
    bench = done(tmp_path, zone=zone)
    with Server() as server, pytest.raises(Unwanted, match=reason):
        sent(bench, server, address=address)
    assert server.taken == []


def test_an_unanswered_confirmation_is_no_consent(tmp_path):
    bench = Bench(tmp_path, source=Zone(PROVED))
    begin(bench.service, ADDRESS, "en", NOW)
    with pytest.raises(Unwanted, match="exchange"):
        sent(bench, None)


@pytest.mark.usefixtures("patience")
def test_postmaster_needs_no_record(tmp_path):
    bench = done(tmp_path, "postmaster@example.com", ZONE)
    with Server() as server:
        assert sent(bench, server, address="postmaster@example.com")
    assert server.taken


@pytest.mark.usefixtures("patience")
def test_once_a_day_is_enough_and_who_stopped_gets_none(tmp_path):
    bench = done(tmp_path)
    with Server() as server:
        sent(bench, server)
        with pytest.raises(Unwanted, match="again"):
            sent(bench, server, now=NOW + 3600)
        sent(bench, server, now=NOW + 60 + 86400)
        name = bench.service.stop_links(ADDRESS)[0].rpartition("/")[2]
        from mailguard.check import token

        bench.service.state.stop(token.stopped_name(bench.service.ring, name))
        with pytest.raises(Unwanted, match="stopped"):
            sent(bench, server, now=NOW + 60 + 3 * 86400)


def test_private_servers_get_none(tmp_path):
    bench = done(tmp_path)
    with pytest.raises(Unwanted, match="domain"):
        trials.run(bench.service, ADDRESS, Guard(5), NOW + 60)


# What arrived


@pytest.fixture
def arrived(tmp_path, patience):
    """A bench, and the mails that its server took, by check."""
    bench = done(tmp_path)
    with Server() as server:
        sent(bench, server)
    mails = {read(envelope.content)["Subject"].rpartition(" ")[2]: envelope.content for envelope, _ in server.taken}
    return bench, mails


@pytest.mark.parametrize("check", specimens.names(enforce=True))
def test_a_mail_that_arrived_is_a_failure(arrived, check):
    bench, mails = arrived
    outcome = trials.collect(bench.service, RECEIVED + mails[check], NOW + 90)
    assert (outcome.check, outcome.state, outcome.reason) == (check, "failure", "delivered")
    assert record(bench)[check] == "delivered"
    assert any("It arrived as it was sent" in file.read_text() for file in bench.pages.iterdir())


def test_a_mail_that_arrived_without_its_attachment_is_good(arrived):
    bench, mails = arrived
    for check in specimens.ATTACHMENTS:
        mail = read(mails[check])
        text = mail.get_body().get_content()
        mail.clear_content()
        mail.set_content(text)
        assert trials.collect(bench.service, mail.as_bytes(), NOW + 90).reason == "disarmed", check


def test_a_mail_in_quarantine_is_good(arrived):
    bench, mails = arrived
    assert trials.collect(bench.service, mails["in.exe"], NOW + 90, held=True).state == "good"
    assert record(bench)["in.exe"] == "held"


def test_a_bounce_is_a_warning_and_comes_by_reply(arrived):
    bench, mails = arrived
    raw = (
        b"Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
        + mails["in.exe"]
    )
    assert handle(bench.service, raw, Envelope(sender=""), NOW + 90).code == "bounced"
    assert record(bench)["in.exe"] == "bounced"


@pytest.mark.usefixtures("patience")
def test_what_is_known_is_not_forgotten_by_a_second_run(arrived):
    bench, mails = arrived
    trials.collect(bench.service, mails["in.exe"], NOW + 90)
    with Server() as server:
        sent(bench, server, now=NOW + 2 * 86400)
    assert record(bench)["in.exe"] == "delivered"


def test_nobody_can_invent_a_result(arrived):
    bench, _ = arrived
    name = bench.begun.exchange.name
    for mark in (f"{name}.in.exe.{'a' * 26}", f"{'0' * 32}.in.exe.{'a' * 26}", f"{name}.in.other.{'a' * 26}"):
        assert trials.collect(bench.service, f"Mailguard-Check: {mark}\r\n\r\n".encode(), NOW) is None
    swapped = trials.mark(bench.service, bench.begun.exchange, "in.exe").replace("in.exe", "in.macro")
    assert trials.collect(bench.service, swapped.encode(), NOW) is None
    assert record(bench)["in.exe"] == "accepted"


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_any_mail_may_be_given(tmp_path_factory, raw):
    bench = Bench(tmp_path_factory.mktemp("bench"))
    assert trials.collect(bench.service, raw, NOW) is None


# The commands


def test_probe_says_why_not(mailguard, tmp_path):
    words = ["--address", "check@checker.example.net", "--state", tmp_path / "state", "--url", "https://check.test/"]
    process = mailguard("check", "probe", *words, "joe@example.com")
    assert (process.returncode, process.stdout) == (1, b"")
    assert b"no check of this address is done" in process.stderr
    assert mailguard("check", "probe", *words, "--forged-domain", "a b", "joe@example.com").returncode == 3


def test_collect_is_silent_about_other_mail_and_never_bounces_any(mailguard, tmp_path):
    words = ["--address", "check@checker.example.net", "--state", tmp_path / "state", "--url", "https://check.test/"]
    process = mailguard("check", "collect", *words, input=b"any\xff\0")
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
    for more in (["--no-such-option"], ["--key-file", tmp_path / "absent"]):
        process = mailguard("check", "collect", *words, *more, input=b"x")
        assert (process.returncode, process.stdout) == (75, b"")
