"""mailguard as a milter of a real Sendmail: it speaks the protocol in its own way."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import smtplib
import tempfile
from pathlib import Path

import pytest
from mail_system import RECIPIENTS, USER, rendered, until
from messages import STRANGER
from milter_mails import CASES as MAILS
from milter_mails import CHAIN, Load, attached, single
from milters import HELO, NOW, Milter, handed_over, send
from sendmail_system import PROGRAM, SendmailSystem


@pytest.fixture(autouse=True)
def _unpacked():
    if not PROGRAM.exists():
        pytest.skip("Sendmail is not unpacked: tests/run does that")


@contextlib.contextmanager
def filtered(site, pipeline, *options):
    # Sendmail takes no socket below a folder that others can write to, such as /tmp.
    folder = Path(tempfile.mkdtemp(prefix="mailguard-", dir="/run"))
    shutil.chown(folder, USER)
    folder.chmod(0o755)  # as RuntimeDirectory= of systemd
    milter = Milter(site, folder, pipeline, *options)
    lines = rendered("milter/sendmail.mc", {"/run/mailguard/milter/milter.sock": str(milter.socket)})
    milter.start()
    try:
        with SendmailSystem(site.folder, lines) as system:
            yield system, milter
    finally:
        with contextlib.suppress(ProcessLookupError):
            milter.process.kill()
        milter.process.wait(120)
        shutil.rmtree(folder)


TEXT = single(b"text/plain; charset=shift_jis", b"\x83\x65\x83\x58\r\n.\r\n..\r\n")
PROGRAM_MAIL = attached(b"a.exe", b"MZ\x90")
HEADERS = {
    "8 bit": [b"Subject: \x83e\x83X\x83g", b"X-A: \x83"],
    "blanks": [b"Subject:no blank", b"X-Three:   three", b"X-Tab:\tx", b"X-End: x  \t ", b"X-Empty:", b"X-Blank:  "],
    "folds": [b"Subject: a\r\n b\r\n\tc\r\n   d", b"References:\r\n <a@b>\r\n <c@d>"],
    "same names": [*(b"X-Same: %d" % (number % 3) for number in range(12)), b"x-same: 1"],
    "claims our results": [
        b"Authentication-Results: mx.rcpt.test; spf=pass",
        b"authentication-results: other.test; spf=pass",
        b"Authentication-Results: mx.rcpt.test;\r\n dkim=pass",
        b"Mailguard-Seal: v=1",
    ],
}
CASES = {
    **MAILS,
    "no body": single(b"text/plain", b""),
    **{f"{name}, {kind}": b"\r\n".join([*fields, raw]) for name, fields in HEADERS.items()
       for kind, raw in (("text", TEXT), ("program", PROGRAM_MAIL))},
}  # fmt: skip


def complete(raw):
    """With what Sendmail would add."""
    dated = b"" if b"\nDate:" in raw else b"Date: Tue, 03 Nov 2026 10:00:00 +0900\r\nMessage-Id: <1@sender.test>\r\n"
    return dated + raw


def test_what_sendmail_delivers_is_what_the_filters_write(site):
    records = site.home / "records"
    with filtered(site, CHAIN, "--json", str(records)) as (system, milter):
        for port in (system.plain, system.port):
            for raw in CASES.values():
                send(port, complete(raw))
                system.until_idle()
        assert milter.metric('mails_total{outcome="failed"}') == 0
    before, after = system.kept[: len(CASES)], system.kept[len(CASES) :]
    facts = ("--client-address", "127.0.0.1", "--client-helo", HELO, "--sender", STRANGER, "--log", "none")
    for name, plain, guarded in zip(CASES, before, after, strict=True):
        handed = handed_over(plain).replace(b"\n", b"\r\n")
        result = site.run("run", CHAIN, *facts, "--recipient", RECIPIENTS[0], raw=handed)
        assert result.returncode == 0, result.stderr
        assert handed_over(guarded) == result.stdout.replace(b"\r\n", b"\n"), name
    again = site.run("quarantine", "--log", "none", "--now", NOW, raw=handed_over(after[-1]).replace(b"\n", b"\r\n"))
    assert again.stdout.replace(b"\r\n", b"\n") == handed_over(after[-1])  # the seal holds
    clients = [record["client"] for record in map(json.loads, records.read_text().splitlines()) if "client" in record]
    assert {client["client_address"]["value"] for client in clients} == {"127.0.0.1"}
    assert {client["client_helo"]["value"] for client in clients} == {HELO}
    assert {client["sender"]["value"] for client in clients} == {STRANGER}
    assert re.search(r"queue=\w{14} ", milter.text())


def test_mixed_mails_on_24_connections_of_sendmail(site):
    with filtered(site, CHAIN) as (system, milter):
        with Load(system, milter) as load:
            load.until(0.3)
            milter.process.send_signal(signal.SIGHUP)
            until(lambda: milter.metric('reloads_total{result="done"}') == 1, milter.text)
        load.check()
        assert load.refused == []


def test_without_the_milter_sendmail_lets_senders_try_again(site):
    with filtered(site, CHAIN) as (system, milter):
        milter.stop()
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            send(system.port, complete(TEXT))
        assert 400 <= refused.value.smtp_code < 500
        assert system.kept == []
        milter.start()
        send(system.port, complete(TEXT))
        system.until_idle()
        assert len(system.kept) == 1
