"""One mail on its way through the milter: its bytes in a file that nobody else can open, its envelope in memory."""

from __future__ import annotations

import os

from mailguard.errors import MailguardError
from mailguard.milter import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PIECE = 1 << 16
_RECIPIENTS = 20_000
_ENVELOPE = 1 << 22
TOO_BIG = protocol.reply("552 5.3.4", "Message too big for the filter")
TOO_MANY = protocol.reply("452 4.5.3", "Too many recipients")


class Mail:
    """A message while it comes in: header fields, an empty line, the body, all with CRLF line ends.

    It goes through a small buffer to a file without a name, so that no large mail is in the memory of this
    process.
    refusal: the reply that this mail gets whatever else comes; error: what went wrong at the site.
    """

    __slots__ = ("_buffer", "_envelope", "_largest", "error", "fields", "file", "leading", "recipients", "refusal",
                 "sender", "size")  # fmt: skip

    def __init__(self, sender: bytes, folder: str, largest: int, *, leading: bool) -> None:
        self.sender = sender
        self.recipients: list[bytes] = []
        self.leading = leading
        self.fields = 0
        self.size = 0
        self.refusal: bytes | None = None
        self.error: OSError | None = None
        self._largest = largest
        self._envelope = len(sender)
        self._buffer = bytearray()
        self.file = -1
        try:
            self.file = nameless(folder)
        except OSError as error:
            self.error = error

    def add_recipient(self, address: bytes) -> None:
        """Take a recipient; far more than any mail server allows make the mail wait."""
        self._envelope += len(address)
        if len(self.recipients) >= _RECIPIENTS or self._envelope > _ENVELOPE:
            self.refusal = TOO_MANY
        else:
            self.recipients.append(address)

    def add_field(self, name: bytes, value: bytes) -> None:
        """Take a header field; its folds come with LF, as mail servers keep them."""
        if b"\n" in value:
            value = value.replace(b"\n", b"\r\n")
        self.fields += 1
        self.add(b"%b:%b%b\r\n" % (name, b"" if self.leading else b" ", value))

    def add(self, data: bytes) -> None:
        """Take bytes of the message; over the size that is allowed nothing more is kept."""
        self.size += len(data)
        if self.size > self._largest:
            self.refusal = TOO_BIG
        if self.refusal or self.error:
            return
        self._buffer += data
        if len(self._buffer) >= _PIECE:
            self._flush()

    def complete(self, facts: dict[str, Any]) -> tuple[int, int]:
        """Append the facts and return the lengths (message, facts): MailguardError when the file took not all."""
        import json

        written = json.dumps(facts | {"fields": self.fields, "leading": self.leading}).encode("ascii")
        self._buffer += written
        self._flush()
        if self.error:
            raise MailguardError(f"the spool: {self.error.strerror}")
        return self.size, len(written)

    def _flush(self) -> None:
        try:
            view = memoryview(self._buffer)
            while view:
                view = view[os.write(self.file, view) :]
        except OSError as error:
            self.error = error
        self._buffer = bytearray()

    def close(self) -> None:
        """Forget the message."""
        if self.file >= 0:
            os.close(self.file)
        self.file = -1


def nameless(folder: str) -> int:
    """Open a new file that has no name, so that nothing is left of it when the process dies.  OSError."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except (AttributeError, OSError):  # another system, or a file system without it
        from tempfile import mkstemp

        file, path = mkstemp(prefix=".mailguard-", dir=folder)
        os.unlink(path)
        return file
