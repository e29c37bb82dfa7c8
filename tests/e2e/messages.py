"""The sample mail of these tests."""

from __future__ import annotations

import base64
import random

# A word of the attachment's content as it stands in the base64 text of the mail.
ATTACHMENT = base64.b64encode(b"MZ" + b"The attachment, which is a program. " * 60)[:76]


def with_attachment(size: int = 0) -> bytes:
    """A mail (CRLF, 8-bit body text) from a stranger with a Windows program; `size` bytes more that do not compress."""
    content = base64.b64encode(b"MZ" + b"The attachment, which is a program. " * 60 + random.Random(1).randbytes(size))
    lines = b"\r\n".join(content[start : start + 76] for start in range(0, len(content), 76))
    return (
        b"From: Stranger <stranger@sender.test>\r\n"
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
        b'Content-Type: application/octet-stream; name="report.exe"\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="report.exe"\r\n'
        b"\r\n" + lines + b"\r\n--=_b--\r\n"
    )
