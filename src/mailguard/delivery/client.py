"""The SMTP connection.

smtplib speaks: greeting, EHLO, STARTTLS, AUTH.  It lacks bounded replies, a record of the dialogue, pipelining
(RFC 2920) and sending in pieces, so these are added to its client here.
"""

from __future__ import annotations

import re
import select
import smtplib
import socket
import ssl
import time

from mailguard.delivery.attempt import Attempt
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.delivery.target import Target

    Reply = tuple[int, bytes]

_REPLY = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?")
_REPLY_LINE = 4096
_REPLY_LINES = 200
_FINAL_REPLY_SECONDS = 600.0  # RFC 5321 4.5.3.2.6: an impatient client makes duplicates
_SESSION_SECONDS = 1800.0


def tls_context(target: Target) -> ssl.SSLContext:
    """Return what TLS to speak with a target: verified, except where it is only opportunistic (RFC 7435)."""
    context = ssl.create_default_context(cafile=target.option("ca"))
    if target.scheme != "smtps" and target.starttls == "opportunistic":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class SmtpClient(smtplib.SMTP):
    """smtplib's client with limits for every reply, and a record of what was said."""

    def __init__(self, target: Target) -> None:
        name = target.option("helo") or _host_name()
        super().__init__(local_hostname=name, timeout=target.timeout)
        self.ehlo_msg = "lhlo" if target.scheme == "lmtp" else "ehlo"
        self.command_encoding = "utf-8"
        self.answered = False
        self._target = target
        self._attempt = Attempt()
        self._limit = 0.0
        self._buffer = b""
        self._secret = False

    def begin(self, attempt: Attempt) -> None:
        """Record what follows in this attempt, and give it its time."""
        self._attempt = attempt
        self._limit = time.monotonic() + _SESSION_SECONDS
        self.answered = False

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        if self._target.path:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            connection.connect(self._target.path)
            return connection
        connection = socket.create_connection((host, port), timeout)
        # The final dot is a packet of its own and must not wait for the acknowledgement of the one before.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = host
        if self._target.scheme == "smtps":
            return tls_context(self._target).wrap_socket(connection, server_hostname=host)
        return connection

    def connect(self, host: str = "localhost", port: int = 0, source_address: object = None) -> Reply:  # noqa: ARG002
        """Open the connection and read the greeting."""
        self._attempt.note(f"! connecting to {self._target.name}")
        self._host = host
        self.sock = self._get_socket(host, port, self._target.timeout)
        return self.getreply()

    def starttls(self, *, context: ssl.SSLContext) -> Reply:  # type: ignore[override]
        """Encrypt; whatever came in clear behind the answer is an attack (RFC 3207 5)."""
        reply = super().starttls(context=context)
        self._check_step()
        return reply

    def log_in(self, user: str, password: str) -> None:
        """Authenticate; the record shows that, but not with what."""
        self._secret = True
        try:
            self.login(user, password)
        finally:
            self._secret = False

    def commands(self, commands: Sequence[str]) -> list[Reply]:
        """Send MAIL and all RCPT, in one go where the server can pipeline, and return all replies.

        DATA is not among them: a server that refused every recipient may still say 354, and would then have to be
        sent an empty message (RFC 2920 3.1).
        """
        if self.has_extn("pipelining"):
            self._check_step()
            for command in commands:
                self._attempt.note(f"> {show(command)}")
            self.send("".join(f"{command}\r\n" for command in commands))
            return [self.getreply() for _ in commands]
        replies = [self.docmd(commands[0])]
        for command in commands[1:]:
            replies.append(self.docmd(command) if replies[0][0] == 250 else replies[0])
        return replies

    def putcmd(self, cmd: str, args: str = "") -> None:
        """Send and record one command."""
        self._check_step()
        self._attempt.note("> (authentication)" if self._secret else f"> {show(f'{cmd} {args}'.strip())}")
        super().putcmd(cmd, args)

    def transmit(self, piece: bytes) -> None:
        """Send a piece of the message, in the time that one reply may take."""
        sock = self._socket()
        sock.settimeout(self._remaining(self._target.timeout))
        sock.sendall(piece)

    def final_reply(self) -> Reply:
        """Read the reply to the final dot, with the patience that keeps copies single."""
        return self.getreply(_FINAL_REPLY_SECONDS if self._target.option("timeout") is None else None)

    def getreply(self, seconds: float | None = None) -> Reply:
        """Read one reply, of any number of lines up to a limit, within `seconds`.

        SMTPServerDisconnected when it is no reply: nothing that follows could be trusted.
        """
        limit = time.monotonic() + self._remaining(seconds or self._target.timeout)
        texts: list[bytes] = []
        codes = set()
        for _ in range(_REPLY_LINES):
            line = self._line(limit)
            self._attempt.note(f"< {show(line)}")
            match = _REPLY.fullmatch(line)
            if match is None:
                break
            codes.add(match[1])
            texts.append((match[3] or b"").strip())
            if match[2] != b"-":
                break
        else:
            match = None
        if match is None or len(codes) != 1:
            self.close()
            raise smtplib.SMTPServerDisconnected("4.5.0 the server's answer is no SMTP reply")
        self.answered = True
        return int(match[1]), b"\n".join(texts)

    def leave(self) -> None:
        """Send QUIT and close: the answer would change nothing."""
        try:
            if self.sock:
                self.transmit(b"QUIT\r\n")
        except (OSError, smtplib.SMTPException):
            pass
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._buffer = b""
        super().close()

    @property
    def ahead(self) -> bool:
        """Whether the server has said something that was not asked; over TLS only what was read already counts."""
        sock = self._socket()
        return bool(self._buffer) or (not isinstance(sock, ssl.SSLSocket) and bool(select.select([sock], [], [], 0)[0]))

    def _check_step(self) -> None:
        if self._buffer:
            raise smtplib.SMTPServerDisconnected("4.5.0 the server said more than it was asked")

    def _line(self, limit: float) -> bytes:
        while b"\n" not in self._buffer:
            sock = self._socket()
            remaining = limit - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("timed out")
            sock.settimeout(remaining)
            data = sock.recv(_REPLY_LINE)
            if not data:
                raise smtplib.SMTPServerDisconnected("4.4.2 the server closed the connection")
            self._buffer += data
            if len(self._buffer) > _REPLY_LINE * _REPLY_LINES:
                raise smtplib.SMTPServerDisconnected("4.5.0 the server's answer does not end")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.removesuffix(b"\r")

    def _socket(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("4.4.2 the connection is closed")
        return self.sock

    def _remaining(self, seconds: float) -> float:
        remaining = min(seconds, self._limit - time.monotonic())
        if remaining <= 0:
            raise TimeoutError("the whole exchange took too long")
        return remaining


def _host_name() -> str:
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9._-]+", name) else "localhost"
