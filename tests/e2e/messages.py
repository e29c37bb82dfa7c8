"""The sample mail of these tests."""

from __future__ import annotations

import base64
import random

FRIEND = "friend@partner.test"
STRANGER = "stranger@sender.test"
PROGRAM = "report.exe", "application/octet-stream", b"MZ" + b"The attachment, which is a program. " * 60
TEXT = "report.txt", "text/plain", b"The attachment, which is a text.\r\n" * 60

# The first line of the program as it stands in the mail.
ATTACHMENT = base64.b64encode(PROGRAM[2])[:76]


def with_attachment(size: int = 0, *, attachment=PROGRAM, author: str = STRANGER) -> bytes:
    """A mail (CRLF, 8-bit body text) with an attachment; `size` bytes more that do not compress."""
    name, media_type, content = (value if isinstance(value, bytes) else value.encode() for value in attachment)
    encoded = base64.b64encode(content + random.Random(1).randbytes(size))
    lines = b"\r\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76))
    return (
        b"From: Somebody <" + author.encode() + b">\r\n"
        b"To: ayumi@rcpt.test, bob@rcpt.test, chie@rcpt.test\r\n"
        b"Subject:  A report  with odd   spaces\r\n"
        b"Date: Tue, 03 Nov 2026 10:00:00 +0900\r\n"
        b"Message-ID: <1@sender.test>\r\n"
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed;\r\n boundary="=_b"\r\n'
        b"\r\n"
        b"--=_b\r\n"
        b"Content-Type: text/plain; charset=UTF-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n"
        b"\r\n"
        b"Body text \xe3\x81\x93\xe3\x82\x93\r\n"
        b"From here on, a line that mailboxes like to quote.\r\n"
        b"--=_b\r\n"
        b"Content-Type: " + media_type + b'; name="' + name + b'"\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="' + name + b'"\r\n'
        b"\r\n" + lines + b"\r\n--=_b--\r\n"
    )
