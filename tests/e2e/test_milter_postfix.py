"""mailguard as a milter of a real Postfix: what is delivered is what the filters write, whatever is killed meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import smtplib
import subprocess
import threading

import pytest
from mail_system import RECIPIENTS, USER, installed, rendered, until
from messages import STRANGER, TEXT, with_attachment
from milters import HELO, NOW, PIPELINE, filtered, handed_over, send

from mailguard.milter import server
from mailguard.setup import milter as milter_setup


def case(fields=(), body=b"Text\r\n"):
    return b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


FROM = b"From: a@sender.test"
MIXED = b"--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/octet-stream; name=a.exe\r\n\r\nMZ\x90\0\x80\r\n--b--\r\n"
CASES = {
    "plain": case([FROM, b"Subject: plain"]),
    "attachment": with_attachment(),
    "attachment of 300 KB": with_attachment(300_000),
    "unauthenticated text": with_attachment(attachment=TEXT),
    "Shift_JIS": case([FROM, b"Subject: \x83e\x83X\x83g", b"X-\x83: \x83"], b"\x83\x65\r\n"),
    "blanks": case(
        [FROM, b"Subject:no blank", b"To:   three", b"X-Tab:\tx", b"X-End: x  \t ", b"X-Empty:", b"X-Blank:  "]
    ),
    "blank before the colon": case([FROM, b"Subject : x", b"To\t: y"]),
    "folds": case([FROM, b"Subject: a\r\n b\r\n\tc\r\n   d", b"References:\r\n <a@b>\r\n <c@d>"]),
    "folds of blanks": case([FROM, b"Subject: a\r\n \r\n b", b"X: \r\n \t\r\n y"]),
    "same names": case([FROM, *(b"X-Same: %d" % (number % 3) for number in range(12)), b"x-same: 1"]),
    "claims our results": case(
        [
            b"Authentication-Results: mx.rcpt.test; spf=pass",
            b"X-A: 1",
            b"authentication-results: other.test; spf=pass",
            b"Authentication-Results: mx.rcpt.test;\r\n dkim=pass",
            FROM,
            b"Authentication-Results: MX.rcpt.test.; dkim=pass",
            b"Mailguard-Seal: v=1",
        ]
    ),
    "no body": case([FROM], b""),
    "no empty line": FROM + b"\r\nSubject: x\r\n",
    "no header": b"\r\nbody\r\n",
    "a line that is no field": FROM + b"\r\nSubject: x\r\nno field\r\nTo: y\r\n\r\nbody\r\n",
    "bare CR": case([FROM, b"Subject: a\rb"], b"x\ry\r\n\r\r\n"),
    "no final line end": case([FROM], b"text"),
    "dots": case([FROM], b".\r\n..\r\n.x\r\n"),
    "long lines": case([FROM, b"X-Long: " + b"x" * 5000, b"X-Words:" + b" word" * 3000], b"y" * 9000 + b"\r\nz\r\n"),
    "NUL in the body": case([FROM, b"MIME-Version: 1.0", b"Content-Type: multipart/mixed; boundary=b"], MIXED),
    "NUL in the header": case([FROM, b"Content-Type: text/plain\0; name=a.exe", b"Subject: a\0b"], b"MZ\r\n"),
    "From_ line": b"From a@b Tue Nov 24 12:00:00 2026\r\n" + case([FROM]),
    "8-bit in HTML": case([FROM, b"Content-Type: text/html; charset=shift_jis"], b"<p>\x83\x65\x83\x58\r\n" * 3000),
}


def test_what_is_delivered_is_what_the_filters_write(site):
    """The same message through Postfix alone and then the filters, and through Postfix with the milter."""
    with filtered(site, main="local_header_rewrite_clients =\n") as (
        system,
        milter,
    ):  # no Date and Message-ID of its own
        for number, raw in enumerate(CASES.values()):
            marked = raw.replace(FROM, FROM + b"\r\nX-Case: %d" % number, 1) if FROM in raw else raw
            send(system.plain, marked)
        system.until_idle()
        before = system.delivered(RECIPIENTS[0])
        for number, raw in enumerate(CASES.values()):
            marked = raw.replace(FROM, FROM + b"\r\nX-Case: %d" % number, 1) if FROM in raw else raw
            send(system.port, marked)
        system.until_idle()
        after = system.delivered(RECIPIENTS[0])[len(before) :]
        assert len(before) == len(after) == len(CASES)
        facts = ("--client-address", "127.0.0.1", "--client-helo", HELO, "--sender", STRANGER, "--log", "none")
        expected = []
        for raw in before:
            handed = handed_over(raw).replace(b"\n", b"\r\n")
            result = site.run("run", PIPELINE, *facts, "--recipient", RECIPIENTS[0], raw=handed)
            assert result.returncode == 0, result.stderr
            expected.append(result.stdout.replace(b"\r\n", b"\n"))
        for raw in map(handed_over, after):
            assert raw in expected, min(expected, key=lambda other: abs(len(other) - len(raw)))
            expected.remove(raw)
        assert expected == []
        assert milter.metric('mails_total{outcome="failed"}') == 0


def test_a_mail_that_was_held_is_released_from_what_was_delivered_and_not_held_again(site):
    with filtered(site) as (system, _):
        send(system.plain, with_attachment())
        system.until_idle()
        send(system.port, with_attachment())
        system.until_idle()
        before, after = system.delivered(RECIPIENTS[0])
    released = site.run("release", raw=after)
    assert (released.returncode, released.stderr) == (0, b"")
    verdict, author, rest = released.stdout.partition(b"From: Somebody")  # quarantine reads what verify wrote
    assert author + rest == handed_over(before).replace(b"\n", b"\r\n")
    assert verdict.startswith(b"Mailguard-Seal: ")
    again = site.run("quarantine", "--now", NOW, "--log", "none", raw=after)
    assert (again.returncode, again.stdout) == (0, after)


SENDERS, MAILS = 8, 15


def test_nothing_is_lost_or_doubled_when_workers_and_the_milter_are_killed(site):
    """Senders try again after everything but 250; each 250 is one mail in the mailbox, and it was filtered."""
    with filtered(site) as (system, milter):
        accepted = []
        retries = []

        def sender(number):
            for mail in range(MAILS):
                raw = with_attachment().replace(b"Date:", b"X-Number: %d-%d\r\nDate:" % (number, mail), 1)
                until(lambda raw=raw: delivered(raw), milter.text)
                accepted.append(b"%d-%d" % (number, mail))

        def delivered(raw):
            try:
                send(system.port, raw)
            except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
                several = getattr(error, "recipients", {}).values()
                retries.extend([code for code, _ in several] or [error.smtp_code])
                return False
            return True

        threads = [threading.Thread(target=sender, args=(number,)) for number in range(SENDERS)]
        for thread in threads:
            thread.start()
        for share in (0.2, 0.4):
            until(lambda share=share: len(accepted) > share * SENDERS * MAILS, milter.text)
            for pid in milter.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for share in (0.6, 0.8):
            until(lambda share=share: len(accepted) > share * SENDERS * MAILS, milter.text)
            before = len(retries)
            milter.stop(signal.SIGKILL)
            until(lambda before=before: len(retries) > before, milter.text)  # somebody has noticed
            milter.start()
        for thread in threads:
            thread.join(120)
        system.until_idle()
        arrived = system.delivered(RECIPIENTS[0])
        assert len(accepted) == SENDERS * MAILS
        assert sorted(re.search(rb"^X-Number: (.*)$", raw, re.MULTILINE)[1] for raw in arrived) == sorted(accepted)
        assert all(b"quarantine-notice" in raw for raw in arrived)
        assert len(retries) >= 4
        assert all(400 <= code < 500 for code in retries)


def test_what_postfix_knows_about_the_client_reaches_verify(site):
    """By XCLIENT a client can say who it is; it counts like a real one."""
    certificate = site.folder / "certificate"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mx.rcpt.test"]
    subprocess.run(
        [*command, "-keyout", certificate, "-out", site.folder / "public"], check=True, capture_output=True, timeout=120
    )
    with certificate.open("ab") as file:
        file.write((site.folder / "public").read_bytes())
    main = "smtpd_authorized_xclient_hosts = 127.0.0.1\nsmtpd_tls_security_level = may\n"
    main += f"smtpd_tls_cert_file = {certificate}\nsmtpd_relay_restrictions = reject_unauth_destination\n"
    records = site.home / "records"
    with filtered(site, options=("--json", str(records)), main=main) as (system, _):
        for words in ("ADDR=192.0.2.7 HELO=one.example", "ADDR=192.0.2.8 HELO=two.example LOGIN=alice"):
            with smtplib.SMTP("127.0.0.1", system.port, HELO, timeout=60) as session:
                session.starttls()
                session.ehlo()
                assert session.docmd("XCLIENT", words)[0] == 220
                session.ehlo(words.partition("HELO=")[2].split()[0])
                session.sendmail("a@sender.test", RECIPIENTS[:1], CASES["plain"])
        system.until_idle()
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    first, second = [
        {name: fact["value"] for name, fact in line["client"].items() if name != "reason"}
        for line in lines
        if line["verb"] == "verify"
    ]
    assert (first["client_address"], first["client_helo"]) == ("192.0.2.7", "one.example")
    assert (second["client_address"], second["client_helo"]) == ("192.0.2.8", "two.example")
    assert second["sasl_username"] == "alice"
    assert "sasl_username" not in first
    assert first["sender"] == second["sender"] == "a@sender.test"
    assert first["recipients"] == [RECIPIENTS[0]]
    assert first["tls"].startswith("TLSv1.")


def test_mail_waits_while_the_milter_is_away(site):
    with filtered(site) as (system, milter):
        milter.stop()
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            send(system.port, CASES["plain"])
        assert refused.value.smtp_code == 451


def test_recipients_with_other_passwords_come_in_mails_of_their_own(site):
    passwords = site.home / "passwords"
    passwords.write_text("ayumi@rcpt.test one\nbob@rcpt.test two\nchie@rcpt.test one\n")
    shutil.chown(passwords, USER)
    passwords.chmod(0o600)
    with filtered(site, options=("--together", "alike", "--password-file", str(passwords))) as (system, _):
        with smtplib.SMTP("127.0.0.1", system.port, HELO, timeout=60) as session:
            refused = session.sendmail(STRANGER, list(RECIPIENTS), with_attachment(), ["BODY=8BITMIME"])
            assert {recipient: code for recipient, (code, _) in refused.items()} == {"bob@rcpt.test": 452}
            assert session.sendmail(STRANGER, list(refused), with_attachment(), ["BODY=8BITMIME"]) == {}
        system.until_idle()
        capsules = [re.search(rb"\nUEsDB[^-]*", raw)[0] for each in RECIPIENTS for raw in system.delivered(each)]
        assert len(capsules) == 3
        assert capsules[0] == capsules[2] != capsules[1]


def test_the_unit_starts_what_the_lines_of_the_mail_servers_name():
    unit = installed("mailguard-milter.service", {})
    command = shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1])
    assert "--dry-run" in command
    listen = command[command.index("--listen") + 1]
    assert listen == "unix:/var/spool/postfix/mailguard/milter.sock"
    assert "{ unix:mailguard/milter.sock, " in milter_setup.MILTER
    # Before ExecStartPre makes this folder there is none; and systemd removes RuntimeDirectory with all that is in it.
    assert "\nReadWritePaths=-/var/spool/postfix/mailguard\n" in unit
    folder = f"/run/{re.search(r'^RuntimeDirectory=(.*)$', unit, re.MULTILINE)[1]}/"
    assert f"unix:{folder}status.sock" in command
    assert f"S=unix:{folder}milter.sock, F=T," in rendered("milter/sendmail.mc", {})
    assert folder not in installed("mailguard-daemon.socket", {})
    assert int(re.search(r"^TimeoutStopSec=(.*)$", unit, re.MULTILINE)[1]) > server._FINISH_SECONDS


def test_systemd_understands_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    unit = tmp_path / "mailguard-milter.service"
    unit.write_text(installed("mailguard-milter.service", {"/opt/mailguard/bin/mailguard": "/bin/true"}))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False, timeout=120
    )
    assert "mailguard-milter" not in result.stderr, result.stderr
