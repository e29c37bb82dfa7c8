"""The second level: nothing without proof, everything recognised, each result said for what it is."""

from __future__ import annotations

import contextlib
import email
import email.policy
import io
import socket
import threading
import zipfile

import pytest
import pyzipper
from check_lab import Authority
from check_service import ADDRESS, NOW, RECEIVED, ZONE, Bench, kept, reply
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped_server import Mapped, Server
from verbs import KEY

from mailguard.check import catalogue, control, specimens, target, trials
from mailguard.check.guard import Guard
from mailguard.check.reply import handle
from mailguard.check.start import begin
from mailguard.check.trials import Unwanted
from mailguard.dns.files import Zone
from mailguard.envelope import Envelope
from mailguard.formats.detect import detect
from mailguard.message.content import Content

PROVED = ZONE + f"_mailguard-check.example.com TXT {control.token('example.com', KEY)}\n"
OWN = "forged.example.net"


class Naive:
    """A mail server that takes any dot between line feeds for the end of a message.

    strict: only as it should; mail, end: what it says to mails of the checks and to those with a false end, None to
    hang up; slow: an event for which it waits before it says the latter.
    """

    def __init__(self, *, strict=False, mail=b"250 taken", end=b"250 taken", slow=None):
        self.ends = [b"\r\n.\r\n"] if strict else [b"\n.\n", b"\n.\r\n"]
        self.mail, self.end, self.slow = mail, end, slow

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(120)
        self.socket.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, contextlib.suppress(OSError):  # who hangs up early
            self.converse(connection)

    def converse(self, connection):
        def say(text):
            connection.sendall(text + b"\r\n")

        say(b"220 mx.example.com")
        data, inside = b"", False
        while received := connection.recv(65536):
            data += received
            while True:
                if inside:
                    ends = [at for mark in self.ends if (at := data.find(mark)) >= 0]
                    if not ends:
                        break
                    false = b"end of data" in data
                    data, inside = data[min(ends) :].partition(b".")[2].partition(b"\n")[2], False
                    if false and self.slow:
                        self.slow.wait(20)
                    said = self.end if false else self.mail
                    if said is None:
                        return
                    say(said)
                elif b"\r\n" in data:
                    line, _, data = data.partition(b"\r\n")
                    inside = line == b"DATA"
                    say({b"DATA": b"354 go on", b"QUIT": b"221 bye", b".": b"500 what"}.get(line, b"250 ok"))
                else:
                    break


@pytest.fixture
def patience(monkeypatch):
    """These servers take no false ending: nothing is waited for."""
    monkeypatch.setattr(target, "_QUICK", 0.02)


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


def taken_by(server):
    """The mails that a server took: those of the checks, and those with a false end."""
    mails = [read(envelope.content) for envelope, _ in server.taken]
    numbered = [mail for mail in mails if "[test " in mail["Subject"]]
    return numbered, [mail for mail in mails if mail not in numbered]


def recorded(bench):
    return kept(bench.folder / "state" / "tokens" / f"{bench.begun.exchange.name}.json")["report"]["outcomes"]


def record(bench):
    return {each["check"]: each["reason"] for each in recorded(bench)}


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
    mails, ends = taken_by(server)
    assert len(mails) == len(specimens.names(enforce=True)) == 9
    assert [mail["Subject"].rpartition(" ")[2] for mail in ends] == list(specimens.ENDINGS)
    for mail in mails + ends:
        assert mail["To"] == ADDRESS
        assert mail["Auto-Submitted"] == "auto-generated"
        assert "/stop/" in mail.get_body().get_content()
    for envelope, _ in server.taken:
        assert envelope.rcpt_tos == [ADDRESS]
        assert envelope.mail_from == bench.service.address
    for number, mail in enumerate(mails, 1):
        assert f"[test {number}/9]" in mail["Subject"]
        text = mail.get_body().get_content()
        assert "mail.example.com" in text
        assert "forward it as an attachment to check@checker.example.net" in text
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
    assert {(each.state, each.reason) for each in outcomes.values()} == {("unknown", "declined")}
    assert server.taken == []
    assert "S: 451 slow down" in outcomes["smuggling"].evidence


@pytest.mark.usefixtures("patience")
def test_a_server_that_takes_nothing_in_the_clear_gets_it_encrypted(tmp_path):
    context = Authority(tmp_path).issue("mail.example.com", own=True).context()
    bench = done(tmp_path)
    with Server(context=context, required=True) as server:
        outcomes = sent(bench, server)
    assert {each.reason for each in outcomes.values()} == {"accepted", "good"}
    assert {encrypted for _, encrypted in server.taken} == {True}
    assert len(taken_by(server)[0]) == 9


def test_a_server_that_cannot_be_reached_is_unknown(tmp_path):
    bench = done(tmp_path)
    outcomes = trials.run(bench.service, ADDRESS, Mapped({}), NOW + 60)
    assert {(each.state, each.reason) for each in outcomes} == {("unknown", "unreachable")}
    assert {each.values["error"] for each in outcomes} == {"Connection refused"}


@pytest.mark.usefixtures("patience")
def test_the_next_address_of_a_server_is_used_when_the_first_does_not_answer(tmp_path):
    bench = done(tmp_path, zone=PROVED + "mail.example.com AAAA 2001:db8::1\n")
    with Server() as server:
        outcomes = sent(bench, server)
    assert outcomes["in.exe"].evidence[0] == "! mail.example.com [192.0.2.1]"
    assert outcomes["in.exe"].reason == "accepted"


# Several servers

TWO = PROVED + "example.com MX 20 spare.example.com\nspare.example.com A 192.0.2.2\n"


@pytest.mark.usefixtures("patience")
def test_each_mail_server_is_tried_and_told_apart(tmp_path):
    bench = done(tmp_path, zone=TWO)
    with Server(data="554 5.7.1 no") as first, Server() as second:
        guard = Mapped({"192.0.2.1": first, "192.0.2.2": second})
        outcomes = trials.run(bench.service, ADDRESS, guard, NOW + 60)
    reasons = {(each.subject, each.reason) for each in outcomes if each.check in specimens.ATTACHMENTS}
    assert reasons == {("mail.example.com", "refused"), ("spare.example.com", "accepted")}
    exe = next(mail for mail in taken_by(second)[0] if mail["Subject"].endswith("in.exe"))
    found = trials.collect(bench.service, exe.as_bytes(), NOW + 90)
    assert (found.subject, found.reason) == ("spare.example.com", "delivered")
    both = [(each["subject"], each["reason"]) for each in recorded(bench) if each["check"] == "in.exe"]
    assert sorted(both) == [("mail.example.com", "refused"), ("spare.example.com", "delivered")]


@pytest.mark.usefixtures("patience")
def test_a_server_that_declines_does_not_end_the_test_of_another(tmp_path):
    bench = done(tmp_path, zone=TWO)
    with Server(rcpt="451 later") as first, Server() as second:
        guard = Mapped({"192.0.2.1": first, "192.0.2.2": second})
        outcomes = trials.run(bench.service, ADDRESS, guard, NOW + 60)
    reasons = {(each.subject, each.reason) for each in outcomes if each.check != "smuggling"}
    assert reasons == {("mail.example.com", "declined"), ("spare.example.com", "accepted")}


@pytest.mark.usefixtures("patience")
def test_one_machine_with_two_names_gets_them_once(tmp_path):
    bench = done(tmp_path, zone=PROVED + "example.com MX 20 alias.example.com\nalias.example.com A 192.0.2.1\n")
    with Server() as server:
        sent(bench, server)
    assert len(taken_by(server)[0]) == 9


@pytest.mark.usefixtures("patience")
def test_a_server_that_is_no_longer_there_leaves_the_page(tmp_path):
    bench = done(tmp_path, zone=TWO)
    with Server() as first, Server() as second:
        trials.run(bench.service, ADDRESS, Mapped({"192.0.2.1": first, "192.0.2.2": second}), NOW + 60)
        bench.service.source = Zone(PROVED)
        sent(bench, first, now=NOW + 2 * 86400)
    assert {each["subject"] for each in recorded(bench) if each["check"] == "in.exe"} == {"mail.example.com"}


# False ends of a message


def ends(folder, server):
    bench = done(folder)
    with server:
        outcome = sent(bench, server)["smuggling"]
    assert record(bench)["smuggling"] == outcome.reason
    return outcome


TAKEN = "LF.LF, LF.CRLF, CRLF.LF"


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("verdict", [b"250 taken", b"554 5.7.1 refused", b"451 later"])
def test_false_endings_that_a_server_takes_are_named(tmp_path, verdict):
    """Also when the mail itself is refused: what comes after it is a command all the same."""
    outcome = ends(tmp_path, Naive(end=verdict))
    assert (outcome.state, outcome.reason, outcome.values["endings"]) == ("failure", "taken", TAKEN)
    assert f"S: {verdict.decode()}" in outcome.evidence


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("verdict", [b"250 taken", b"550 5.5.2 bare LF", b"421 bye", b"521 bye", None])
def test_who_takes_only_the_true_end_is_good_whatever_it_says(tmp_path, verdict):
    outcome = ends(tmp_path, Naive(strict=True, end=verdict))
    assert (outcome.state, outcome.reason, outcome.values["count"]) == ("good", "good", "7")


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(("strict", "reason"), [(False, "taken"), (True, "good")])
def test_a_slow_server_is_judged_as_a_quick_one(tmp_path, monkeypatch, strict, reason):
    """It answers only when the true end of the message has come, too."""
    gone_on = threading.Event()
    asked = target._answers_once_more
    monkeypatch.setattr(target, "_answers_once_more", lambda dialogue: gone_on.set() or asked(dialogue))
    outcome = ends(tmp_path, Naive(strict=strict, slow=gone_on))
    assert outcome.reason == reason
    if not strict:
        assert outcome.values["endings"] == TAKEN
        assert "C: NOOP" in outcome.evidence


@pytest.mark.usefixtures("patience")
def test_what_a_silent_server_does_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(target, "_MESSAGE", 0.02)
    never = threading.Event()
    bench = done(tmp_path)
    with Naive(slow=never) as server:
        outcomes = sent(bench, server)
        never.set()
    outcome = outcomes["smuggling"]
    assert (outcome.state, outcome.reason) == ("unknown", "unclear")
    assert outcome.values["endings"] == ", ".join(specimens.ENDINGS)


@pytest.mark.usefixtures("patience")
def test_a_server_that_hangs_up_at_a_mail_gets_the_next_one(tmp_path):
    bench = done(tmp_path)
    with Naive(mail=None) as server:
        outcomes = sent(bench, server)
    assert outcomes.pop("smuggling").reason == "taken"
    assert {(each.state, each.reason) for each in outcomes.values()} == {("unknown", "broken")}
    assert len(outcomes) == 9


def test_without_time_everything_is_unknown(tmp_path):
    bench = done(tmp_path)
    with Server() as server:
        guard = Mapped({"192.0.2.1": server})
        guard.cancel()
        outcomes = trials.run(bench.service, ADDRESS, guard, NOW + 60)
    assert {(each.state, each.reason) for each in outcomes} == {("unknown", "late")}


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
    texts = [file.read_text() for file in bench.pages.iterdir()]
    for lang in ("ja", "en"):
        assert any(catalogue.sentence(outcome, lang) in text for text in texts)
    [kept] = [each for each in recorded(bench) if each["check"] == check]
    assert kept["evidence"][-2:] == ["S: 250 ok", "C: QUIT"]  # of the moment when it was taken


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


def report_of(mail, action):
    return (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\nAction: " + action + b"\r\n\r\n"
        b"--x\r\nContent-Type: message/rfc822\r\n\r\n" + mail + b"\r\n--x--\r\n"
    )


@pytest.mark.parametrize(
    ("action", "reason"), [(b"failed", "bounced"), (b"delayed", "accepted"), (b"relayed", "accepted")]
)
def test_only_a_report_of_failure_is_a_bounce(arrived, action, reason):
    bench, mails = arrived
    handle(bench.service, report_of(mails["in.exe"], action), Envelope(sender=""), NOW + 90)
    assert record(bench)["in.exe"] == reason


def test_a_receipt_is_no_bounce(arrived):
    bench, mails = arrived
    raw = (
        b"Content-Type: multipart/report; report-type=disposition-notification; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: message/disposition-notification\r\n\r\nDisposition: manual-action; displayed\r\n\r\n"
        b"--x\r\nContent-Type: message/rfc822\r\n\r\n" + mails["in.exe"] + b"\r\n--x--\r\n"
    )
    assert handle(bench.service, raw, Envelope(sender=""), NOW + 90).code == "no-token"
    assert record(bench)["in.exe"] == "accepted"


def forwarded(mail, *, author=ADDRESS, extra=b""):
    return (
        b"From: "
        + author.encode()
        + b"\r\nTo: check@checker.example.net\r\nSubject: Fwd\r\n"
        + extra
        + b"MIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\nIt is here.\r\n--y\r\n"
        b"Content-Type: message/rfc822\r\n\r\n" + mail + b"\r\n--y--\r\n"
    )


@pytest.mark.parametrize("check", specimens.names(enforce=True))
def test_who_got_a_mail_says_so_by_forwarding_it(arrived, check):
    bench, mails = arrived
    handled = handle(bench.service, forwarded(mails[check]), Envelope(sender=ADDRESS), NOW + 90)
    assert (handled.code, handled.mail) == ("arrived", None)
    assert record(bench)[check] == "delivered"


def test_a_forwarded_mail_without_its_attachment_says_nothing(arrived):
    """The mail program of the user may have left it out."""
    bench, mails = arrived
    mail = read(mails["in.exe"])
    text = mail.get_body().get_content()
    mail.clear_content()
    mail.set_content(text)
    raw = forwarded(mail.as_bytes())
    assert handle(bench.service, raw, Envelope(sender=ADDRESS), NOW + 90).code == "no-token"
    assert record(bench)["in.exe"] == "accepted"


@pytest.mark.parametrize(
    "options", [{"author": "ann@example.com"}, {"author": "nobody"}, {"extra": b"Auto-Submitted: auto-replied\r\n"}]
)
def test_nobody_else_and_no_program_says_what_arrived(arrived, options):
    bench, mails = arrived
    raw = forwarded(mails["in.self"], **options)
    assert handle(bench.service, raw, Envelope(sender=ADDRESS), NOW + 90).code == "no-token"
    assert record(bench)["in.self"] == "accepted"


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
    code = "a" * 26
    for mark in (f"{name}.in.exe.1.{code}", f"{'0' * 32}.in.exe.1.{code}", f"{name}.in.other.1.{code}"):
        assert trials.collect(bench.service, f"Mailguard-Check: {mark}\r\n\r\n".encode(), NOW) is None
    mark = trials.mark(bench.service, bench.begun.exchange, "in.exe", 1)
    for old, new in (("in.exe", "in.macro"), (".1.", ".2.")):
        assert trials.collect(bench.service, mark.replace(old, new).encode(), NOW) is None
    nowhere = trials.mark(bench.service, bench.begun.exchange, "in.exe", 2)
    assert trials.collect(bench.service, nowhere.encode(), NOW) is None
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
