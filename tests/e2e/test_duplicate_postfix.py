"""duplicate beside real programs: Postfix takes the copies, systemd, cron and procmail start it as the examples say."""

from __future__ import annotations

import configparser
import contextlib
import fcntl
import re
import shlex
import shutil
import subprocess
import sys

from mail_system import READER, RECIPIENTS, USER, MailSystem, free_port, owned_folder, rendered, run_as, until
from messages import with_attachment
from smtp_faults import Authority

COMMAND = [sys.executable, "-m", "mailguard", "duplicate", "--log", "none"]
TRACE = (b"Return-Path:", b"X-Original-To:", b"Delivered-To:", b"Received:")


@contextlib.contextmanager
def archive(folder, port, main=""):
    """A Postfix that keeps copies for RECIPIENTS and refuses everybody else."""
    services = f"127.0.0.1:{port} inet n - n - - smtpd\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
    with MailSystem(folder, main=main, master=services, port=port) as system:
        yield system


def duplicate(folder, *arguments, raw=b""):
    command = [*COMMAND, "--spool", folder / "spool", *arguments]
    return subprocess.run(command, input=raw, capture_output=True, check=False, timeout=120)


def copy(folder, url, raw, sender="a@one.test", recipients=RECIPIENTS[:1]):
    words = [word for recipient in recipients for word in ("--recipient", recipient)]
    result = duplicate(folder, "--to", url, "--sender", sender, *words, raw=raw)
    assert (result.returncode, result.stdout, result.stderr) == (0, raw, b"")


def waiting(folder, name="queue"):
    return len(list((folder / "spool" / name).glob("?" * 32)))


def untraced(stored: bytes) -> bytes:
    """Without the fields that the archive put on top."""
    while stored.startswith(TRACE):
        stored = stored[re.search(rb"\n(?![ \t])", stored).end() :]
    return stored


RAWS = {
    "dots": b"From: a@one.test\nDate: Tue, 03 Nov 2026 10:00:00 +0900\nMessage-ID: <1@x>\n\n.\n..\n.text\nQUIT\n",
    "eight bit": "From: a@one.test\nDate: x\nMessage-ID: <2@x>\n\nこんにちは\n".encode(),
    "folded": b"From:a@one.test\nDate: x\nMessage-ID: <3@x>\nX-Odd:no  blank\n\tfolded\n \n\nbody\n",
    "long line": b"From: a@one.test\nDate: x\nMessage-ID: <4@x>\n\n" + b"x" * 5000 + b"\n",
    "attachment": with_attachment(300_000).replace(b"\r\n", b"\n"),
}


def test_postfix_stores_every_copy_byte_for_byte_with_its_envelope(folder):
    port = free_port()
    with archive(folder, port) as system:
        for sender in ("a@one.test", ""):
            for raw in RAWS.values():
                copy(folder, f"smtp://127.0.0.1:{port}", sender.encode().join([b"X: ", b"\n"]) + raw, sender)
        system.until_idle()
        stored = system.delivered(RECIPIENTS[0])
    for sender in ("a@one.test", ""):
        got = [untraced(mail) for mail in stored if mail.startswith(b"Return-Path: <%b>" % sender.encode())]
        assert sorted(got) == sorted(sender.encode().join([b"X: ", b"\n"]) + raw for raw in RAWS.values())
    assert not waiting(folder)


def test_a_message_without_final_newline_gets_one_and_the_next_is_whole(folder):
    port = free_port()
    with archive(folder, port) as system:
        for number in range(3):
            copy(folder, f"smtp://127.0.0.1:{port}?timeout=20", b"From: a@one.test\nMessage-ID: <%d@x>\n\nend" % number)
        system.until_idle()
        stored = system.delivered(RECIPIENTS[0])
    assert len(stored) == 3
    assert all(mail.endswith(b"\n\nend\n") for mail in stored)


def test_postfix_refuses_one_recipient_of_three(folder):
    port = free_port()
    recipients = [RECIPIENTS[0], "nobody@elsewhere.test", RECIPIENTS[1]]
    raw = RAWS["dots"]
    relaying = "smtpd_relay_restrictions = reject_unauth_destination\nmynetworks =\n"
    with archive(folder, port, relaying) as system:
        copy(folder, f"smtp://127.0.0.1:{port}", raw, recipients=recipients)
        system.until_idle()
        assert [len(system.delivered(each)) for each in RECIPIENTS] == [1, 1, 0]
    assert (waiting(folder), waiting(folder, "failed")) == (0, 1)
    listed = duplicate(folder, "--list").stdout.decode()
    assert "nobody@elsewhere.test: refused: 454" in listed or "nobody@elsewhere.test: refused: 554" in listed


def test_a_message_over_the_limit_of_postfix_is_held_without_being_sent(folder):
    port = free_port()
    with archive(folder, port, "message_size_limit = 100000\nvirtual_mailbox_limit = 0\n") as system:
        copy(folder, f"smtp://127.0.0.1:{port}", RAWS["attachment"])
        assert "exceeds size limit" not in system.log()
    assert waiting(folder, "failed") == 1


def test_what_came_while_postfix_was_down_is_delivered_once_when_it_is_back(folder):
    port = free_port()
    raws = [b"From: a@one.test\nDate: x\nMessage-ID: <%d@x>\n\n%d\n" % (number, number) for number in range(5)]
    for raw in raws:
        copy(folder, f"smtp://127.0.0.1:{port}", raw)
    assert waiting(folder) == 5
    with archive(folder, port) as system:
        flushes = [subprocess.Popen([*COMMAND, "--spool", folder / "spool", "--flush", "--all"]) for _ in range(2)]
        assert [flush.wait(120) for flush in flushes] == [0, 0]
        system.until_idle()
        assert sorted(map(untraced, system.delivered(RECIPIENTS[0]))) == sorted(raws)
        assert "pipelining" not in system.log().lower()
    assert not waiting(folder)


def test_postfix_speaks_verified_tls(folder):
    port = free_port()
    authority = Authority(folder)
    authority.context("127.0.0.1")
    tls = (
        f"smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {folder}/127.0.0.11.pem\n"
        f"smtpd_tls_key_file = {folder}/127.0.0.11.key\nsmtpd_tls_loglevel = 1\n"
    )
    with archive(folder, port, tls) as system:
        copy(folder, f"smtp://127.0.0.1:{port}?starttls=require&ca={authority.file}", RAWS["dots"])
        system.until_idle()
        assert untraced(system.delivered(RECIPIENTS[0])[0]) == RAWS["dots"]
        assert "TLS connection established" in system.log()


def test_postfix_takes_copies_from_its_sendmail(folder):
    port = free_port()
    with archive(folder, port) as system:
        copy(folder, f"exec:/usr/sbin/sendmail -C {folder}/etc -G", RAWS["dots"], "", RECIPIENTS[:2])
        system.until_idle()
        assert [len(system.delivered(each)) for each in RECIPIENTS] == [1, 1, 0]
        (mail,) = system.delivered(RECIPIENTS[0])
    assert mail.startswith(b"Return-Path: <>")
    assert untraced(mail) == RAWS["dots"]


# --- the examples ---


def example(site, name):
    places = {"/opt/mailguard/bin": str(site.folder), "/var/spool/mailguard/copies": str(site.work / "copies")}
    return rendered(name, places)


def spooled(site):
    """Three copies wait."""
    for number in range(3):
        raw = b"Message-ID: <%d@x>\n\nx\n" % number
        words = ["--to", f"mbox:{site.work}/box", "--spool", site.work / "copies", "--timeout", "0", "--log", "none"]
        assert site.run("duplicate", *words, raw=raw).stdout == raw
    assert not (site.work / "box").exists()


def test_the_units_of_systemd_are_right_and_deliver_what_waits(site):
    service, timer = site.folder / "mailguard-flush.service", site.folder / "mailguard-flush.timer"
    service.write_text(example(site, "duplicate/mailguard-flush.service"))
    timer.write_text(rendered("duplicate/mailguard-flush.timer", {}))
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", service, timer],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "mailguard-flush" not in checked.stderr, checked.stderr
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(service)
    spooled(site)
    result = run_as(USER, shlex.split(unit["Service"]["ExecStart"]))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert (site.work / "box").read_bytes().count(b"Message-ID") == 3


def test_the_line_for_cron_delivers_what_waits_and_says_nothing(site):
    line = example(site, "duplicate/crontab").splitlines()[-1]
    command = re.fullmatch(r"\* \* \* \* \* mailguard (.*)", line)[1]
    spooled(site)
    result = run_as(USER, ["sh", "-c", command])
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert (site.work / "box").read_bytes().count(b"Message-ID") == 3


def test_the_archive_of_the_recipe_holds_what_was_received_before_it_was_judged_and_moved(reader_site):
    site = reader_site
    recipe = site.folder / "procmailrc"
    recipe.write_text(
        rendered("duplicate/procmailrc", {"/opt/mailguard/bin": str(site.folder), "$HOME": str(site.home)})
    )
    shutil.chown(recipe, READER)
    recipe.chmod(0o600)
    for name in ("", "/new", "/cur", "/tmp"):
        owned_folder(site.home / f"Maildir{name}", READER)
    raw = with_attachment().replace(b"\r\n", b"\n")
    result = run_as(READER, ["procmail", "-m", recipe], input=raw)
    assert result.returncode == 0, result.stderr
    (kept,) = (file.read_bytes() for file in (site.home / "copies/new").iterdir())
    (delivered,) = (file.read_bytes() for file in (site.home / "Maildir/new").iterdir())
    assert kept == raw + b"\n"  # procmail ends every mail with an empty line
    assert b"Mailguard-Seal:" in delivered


def test_the_background_delivery_does_not_keep_the_mail_system_waiting(folder):
    """A caller that reads our output to its end, as Postfix does, must see that end when we leave."""
    from smtp_faults import Fault, Server

    with Server(Fault("final", "slow")) as server:
        copy(folder, f"{server.url()}?timeout=50", RAWS["dots"])
        assert not server.messages
        (entry,) = (folder / "spool/queue").glob("?" * 32)
        server.released.set()
        with entry.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
        until(lambda: not waiting(folder), lambda: "the entry is still there")
        assert len(server.messages) == 1
