"""Every verb through the milter of a real Postfix, and many mails at once while it reloads, stops and starts."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import smtplib
import threading

import documents
import pytest
from mail_system import RECIPIENTS, USER, owned_folder, until
from messages import FRIEND, STRANGER, with_attachment
from milters import HELO, NOW, filtered, handed_over, send

PROGRAM = b"MZ" + bytes(range(256)) * 20
PAGE = b'<p onclick="evil()">\x83\x65\x83\x58 <script>evil()</script></p>\r\n'


def single(kind, content, *more):
    """A mail with one part, which is no text."""
    fields = [b"From: a@sender.test", b"MIME-Version: 1.0", b"Content-Type: " + kind, *more]
    return b"\r\n".join([*fields, b"", content])


def encoded(content):
    return base64.encodebytes(content).replace(b"\n", b"\r\n")


def attached(name, content, boundary=b"b"):
    part = b"\r\n".join(
        [
            b"Content-Type: application/octet-stream; name=" + name,
            b"Content-Transfer-Encoding: base64",
            b"",
            encoded(content),
        ]
    )
    text = b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B$3$s\x1b(B\r\n"
    body = b"--%b\r\n%b\r\n--%b\r\n%b--%b--\r\n" % (boundary, text, boundary, part, boundary)
    return single(b'multipart/mixed;\r\n boundary="' + boundary + b'"', body)


AMBIGUOUS = attached(b"a.txt", b"text\n").replace(b"MIME-Version", b"Content-Type: text/plain\r\nMIME-Version", 1)
CASES = {
    "text": single(b"text/plain; charset=iso-2022-jp", b"\x1b$B$3$s\x1b(B\r\n"),
    "page that acts": single(b"text/html; charset=shift_jis", PAGE),
    "program without text": single(b"application/octet-stream; name=a.exe", encoded(PROGRAM), b"Content-Transfer-Encoding: base64"),
    "document with macros": attached(b"a.docm", documents.docm()),
    "archive with a program": attached(b"a.zip", documents.zipped({"a.exe": PROGRAM})),
    "several readings": AMBIGUOUS,
    "large": with_attachment(300_000),
}  # fmt: skip
PIPELINES = {
    "chain": f"verify --now {NOW} | quarantine --now {NOW} | sanitize --now {NOW}",
    "sanitize": f"sanitize --now {NOW}",
    "strip": f"verify --now {NOW} | strip --now {NOW}",
}


@pytest.mark.parametrize("name", PIPELINES)
def test_what_is_delivered_is_what_the_verbs_write_and_the_copy_is_what_came(site, name):
    copies = owned_folder(site.folder / "copies", USER)
    for each in ("cur", "new", "tmp"):
        owned_folder(copies / each, USER)
    pipeline = f"duplicate --to maildir:{copies} --spool {site.home}/spool | {PIPELINES[name]}"
    with filtered(site, pipeline, main="local_header_rewrite_clients =\n") as (system, milter):
        arrived = {}
        for kind, raw in CASES.items():
            for port in (system.plain, system.port):
                before = system.delivered(RECIPIENTS[0])
                send(port, raw)
                system.until_idle()
                arrived[kind, port] = system.delivered(RECIPIENTS[0])[len(before) :]
        assert milter.metric('mails_total{outcome="failed"}') == 0
        assert milter.metric('mails_total{outcome="unchanged"}') == (name == "sanitize")
    facts = ("--client-address", "127.0.0.1", "--client-helo", HELO, "--sender", STRANGER, "--log", "none")
    for kind in CASES:
        [before], [after] = arrived[kind, system.plain], arrived[kind, system.port]
        handed = handed_over(before).replace(b"\n", b"\r\n")
        result = site.run("run", PIPELINES[name], *facts, "--recipient", RECIPIENTS[0], raw=handed)
        assert result.returncode == 0, result.stderr
        assert handed_over(after) == result.stdout.replace(b"\r\n", b"\n"), kind
        assert (kind == "text") or handed_over(after) != handed_over(before)
    stored = sorted(file.read_bytes().replace(b"\r\n", b"\n") for file in (copies / "new").iterdir())
    assert stored == sorted(handed_over(arrived[kind, system.plain][0]) for kind in CASES)


# Under load: the same mails, each with a number of its own

SENDERS, MAILS = 24, 6
KINDS = list(CASES)
MARKS = {
    "page that acts": b"evil()",
    "program without text": encoded(PROGRAM)[:70],
    "archive with a program": encoded(documents.zipped({"a.exe": PROGRAM}))[:70],
    "large": base64.b64encode(b"MZThe attachment, which is a program. ")[:40],
}
CHAIN = PIPELINES["chain"]


class Load:
    """Many who send at once, each several mails through one connection; who is sent away begins again."""

    def __init__(self, system, milter):
        self.system = system
        self.milter = milter
        self.accepted = []
        self.refused = []
        self.threads = [threading.Thread(target=self._sender, args=(number,)) for number in range(SENDERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join(120)

    def until(self, share):
        until(lambda: len(self.accepted) >= share * SENDERS * MAILS, self.milter.text)

    def _sender(self, number):
        waiting = [number * MAILS + each for each in range(MAILS)]
        while waiting:
            with (
                contextlib.suppress(smtplib.SMTPException),
                smtplib.SMTP("127.0.0.1", self.system.port, HELO, timeout=60) as session,
            ):
                while waiting:
                    self._send(session, waiting[0])
                    self.accepted.append(waiting.pop(0))

    def _send(self, session, number):
        kind = KINDS[number % len(KINDS)]
        raw = CASES[kind].replace(b"Message-ID: <1@sender.test>\r\n", b"")
        raw = raw.replace(b"From:", b"Message-ID: <%d@load.test>\r\nFrom:" % number, 1)
        try:
            send(None, raw, FRIEND if kind == "text" else STRANGER, session=session)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
            several = [code for code, _ in getattr(error, "recipients", {}).values()]
            self.refused.extend(several or [error.smtp_code])
            raise

    def check(self):
        """Each mail that was accepted is there once, and filtered."""
        self.system.until_idle()
        arrived = self.system.delivered(RECIPIENTS[0])
        numbers = [int(re.search(rb"^Message-ID: <(.*)@load.test>$", raw, re.MULTILINE)[1]) for raw in arrived]
        assert sorted(numbers) == sorted(self.accepted) == list(range(SENDERS * MAILS))
        for number, raw in zip(numbers, arrived, strict=True):
            kind = KINDS[number % len(KINDS)]
            assert b"\nMailguard-Seal: " in raw
            assert MARKS.get(kind, b"\xff\xfe") not in raw, kind
            assert raw.endswith(b"\n\n\x1b$B$3$s\x1b(B\n") == (kind == "text")
        assert self.milter.metric('mails_total{outcome="failed"}') == 0
        assert self.milter.metric("workers_lost_total") == 0


def test_mixed_mails_on_24_connections_with_a_new_configuration_again_and_again(site):
    with filtered(site, CHAIN) as (system, milter):
        with Load(system, milter) as load:
            for count, share in enumerate((0.1, 0.3, 0.5, 0.7), 1):
                load.until(share)
                milter.process.send_signal(signal.SIGHUP)
                until(lambda count=count: milter.metric('reloads_total{result="done"}') == count, milter.text)
        load.check()
        assert load.refused == []


def test_a_graceful_stop_under_load_loses_and_doubles_nothing(site):
    with filtered(site, CHAIN) as (system, milter):
        with Load(system, milter) as load:
            for share in (0.2, 0.5):
                load.until(share)
                milter.stop()
                assert milter.process.returncode == 0
                assert not os.path.exists(milter.socket)
                milter.start()
        load.check()
        assert all(400 <= code < 500 for code in load.refused)
        assert re.findall(r"finishes (\d+) mails", milter.text())[1:]
