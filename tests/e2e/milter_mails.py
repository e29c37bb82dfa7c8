"""Mails for the milter, and many clients that send them."""

from __future__ import annotations

import base64
import contextlib
import re
import smtplib
import threading

import documents
from mail_system import RECIPIENTS, until
from messages import FRIEND, STRANGER, with_attachment
from milters import HELO, NOW, send

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
