"""Messages as files, and what they carry."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import documents
from calendar_lines import ACTING, CALENDAR


def message_file(name="evil.exe", data=b"MZ" + bytes(99), page="<p>hello</p>") -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"] = "a@example.com", "b@example.com"
    message["Date"], message["Subject"] = "Tue, 24 Nov 2026 09:00:00 +0000", "test"
    message.set_content("hello text")
    message.add_alternative(page, subtype="html")
    message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    message.set_boundary("outer")
    next(message.iter_parts()).set_boundary("inner")
    return message.as_bytes()


WEB_ARCHIVE = (
    b'From: <Saved>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>text<script>evil()</script></p>\r\n--b--\r\n"
)


THREATS = {
    "message with a program": (message_file(), "a.eml"),
    "message with a script": (message_file("a.txt", b"text", "<p>hello<script>evil()</script></p>"), "a.eml"),
    "message in a message with a program": (message_file("inner.eml", message_file()), "a.eml"),
    "winmail.dat with a program": (documents.tnef("evil.exe", b"MZ" + bytes(99)), "winmail.dat"),
    "Outlook message with a program": (documents.msg("evil.exe", documents.EXE), "a.msg"),
    "web archive with a script": (WEB_ARCHIVE, "a.mht"),
} | {f"calendar: {name}": (CALENDAR % lines, "a.ics") for name, lines in ACTING.items()}
"""What it is: (content, file name)."""
