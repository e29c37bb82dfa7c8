"""The report as a mail (RFC 5322) that no filter of ours has a reason to touch: one plain text."""

from __future__ import annotations

from mailguard.message import encoding
from mailguard.message.safe_header import encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE = 78  # RFC 5322 2.1.1
_LONGEST_LINE = 998


def write(text: str, subject: str, author: str, recipients: Sequence[str], now: int) -> bytes:
    """Return the mail, with line feeds as line ends.

    text: its body; author, recipients: addresses (ASCII, checked); now: Unix time.  It says that a program wrote it, so
    that no program answers (RFC 3834).
    """
    from email.utils import formatdate
    from hashlib import sha256

    identifier = sha256(f"{now} {author} {' '.join(recipients)} {text}".encode()).hexdigest()[:32]
    head = [
        b"From: mailguard <" + author.encode("ascii") + b">",
        b"To: " + b",\n ".join(recipient.encode("ascii") for recipient in recipients),
        _folded(b"Subject: " + encoded(subject)),
        b"Date: " + formatdate(now, localtime=True).encode("ascii"),
        b"Message-ID: <report." + identifier.encode("ascii") + b"@" + author.rpartition("@")[2].encode("ascii") + b">",
        b"Auto-Submitted: auto-generated",
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=utf-8",
    ]
    body = text.encode("utf-8", "backslashreplace")
    if not body.isascii() or any(len(line) > _LONGEST_LINE for line in body.split(b"\n")):
        head.append(b"Content-Transfer-Encoding: base64")
        body = encoding.base64(body)
    return b"\n".join(head) + b"\n\n" + body


def _folded(field: bytes) -> bytes:
    """Fold a field at its blanks where a line would be longer than 78 octets."""
    lines = [b""]
    for word in field.split(b" "):
        if len(lines[-1]) + 1 + len(word) > _LINE:
            lines.append(b"")
        lines[-1] += b" " + word
    return b"\n".join(lines).removeprefix(b" ")
