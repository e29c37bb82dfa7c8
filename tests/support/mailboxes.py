"""Archives of messages, made for tests."""

from __future__ import annotations

import os
import random
import signal

from mailguard.archives import mbox
from mailguard.envelope import Envelope
from mailguard.errors import MailguardError
from mailguard.findings import Result
from mailguard.settings import Filter, Settings

NOW = "2026-01-31T09:00:00Z"


FROM = b"From a@example.com Mon Jan  1 10:00:00 2024\n"


STRIP = "strip --when always --log none"


def mail(number, size=3000, line=b">From me\n"):
    attachment = b"\n".join([random.Random(number).randbytes(30).hex().encode()] * (size // 60))
    return (
        b"From: a%d@example.com\nTo: b@example.org\nSubject: %d\nDate: Mon, 01 Jan 2024 10:00:%02d +0900\n"
        b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=xx\n\n--xx\n\nHello\n"
        % (number, number, number % 60)
        + line
        + b"--xx\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename=a.bin\n\n"
        + attachment
        + b"\n--xx--\n"
    )


def mailbox(count, size=3000):
    return b"".join(FROM + mail(number, size) + b"\n" for number in range(count))


def subjects(data):
    return [
        next(line for line in data[item.start : item.stop].split(b"\n") if line.startswith(b"Subject:"))
        for item in mbox.split(data, mbox.recognise(data))
    ]


def failing(count):
    """Steps of which the second kills its process on some messages, and fails on others."""

    def transform(raw: bytes, settings: Settings) -> Result:
        if b"\nSubject: 7\n" in raw:
            os.kill(os.getpid(), signal.SIGKILL)
        if b"\nSubject: 9\n" in raw:
            raise ZeroDivisionError("nine")
        if b"\nSubject: 11\n" in raw:
            raise MailguardError("the disk is full")
        return Result("strip", [raw, b"seen\n"], changed=True)

    return [Filter("strip", transform, Settings(Envelope(), 0, key_file=count, log="none"))]
