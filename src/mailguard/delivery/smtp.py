"""Delivery by SMTP and LMTP (RFC 5321, RFC 2033).

smtplib speaks: greeting, EHLO, STARTTLS, AUTH.  It lacks bounded replies, a record of the dialogue, pipelining
(RFC 2920), sending in pieces and one answer per recipient, so these are here, on its connection.
"""

from __future__ import annotations

import re
import select
import smtplib
import socket
import ssl
import time

from mailguard.delivery import DELIVERED, PERMANENT, TEMPORARY, Attempt, wire
from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.delivery import Copy, Target

    Reply = tuple[int, bytes]

_REPLY = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?")
_REPLY_LINE = 4096
_REPLY_LINES = 200
_FINAL_REPLY_SECONDS = 600.0  # RFC 5321 4.5.3.2.6: an impatient client makes duplicates
_SESSION_SECONDS = 1800.0
_GROUP = 100  # recipients that every server must take (RFC 5321 4.5.3.1.8)
_UNSENDABLE = re.compile(r"[\x00-\x20\x7f<>]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_FAILURES = (OSError, smtplib.SMTPException, ssl.CertificateError, UnicodeError, ConfigurationError)


class Session:
    """One connection to a server, used for one message after another."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client: _Client | None = None

    def deliver(self, copy: Copy, recipients: Sequence[str]) -> Attempt:
        """Hand over one copy; every recipient has an outcome afterwards.  Failures are outcomes, not exceptions."""
        attempt = Attempt()
        if copy.smuggles:
            attempt.settle(recipients, PERMANENT, "5.6.0 not sent: a bare CR before a dot could end the message early")
            return attempt
        reused = self._client is not None
        for fresh in (False, True) if reused else (True,):
            client = self._connected(attempt, recipients)
            if client is None:
                break
            client.begin(attempt)
            if self._exchange(client, copy, recipients, attempt, fresh=fresh):
                break
        return attempt

    def close(self) -> None:
        """Say goodbye, without waiting for an answer."""
        client, self._client = self._client, None
        if client is not None:
            client.leave()

    def _connected(self, attempt: Attempt, recipients: Sequence[str]) -> _Client | None:
        if self._client is None:
            try:
                self._client = _open(self._target, attempt)
            except _FAILURES as error:
                attempt.down = True
                attempt.note(f"! {show(_text(error))}")
                attempt.settle(recipients, TEMPORARY, _text(error))
        return self._client

    def _exchange(
        self, client: _Client, copy: Copy, recipients: Sequence[str], attempt: Attempt, *, fresh: bool
    ) -> bool:
        """Send the message in as many transactions as needed; False when an old connection was found dead."""
        try:
            for group in _groups(_sendable(self._target, client, copy, recipients, attempt)):
                _Transaction(client, copy, attempt).run(group)
        except _FAILURES as error:
            attempt.note(f"! {show(_text(error))}")
            client.close()
            self._client = None
            if not (fresh or client.answered or attempt.outcomes):
                return False
            attempt.broken = True
            attempt.settle(recipients, TEMPORARY, _text(error))
        return True


def _groups(recipients: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(recipients), _GROUP):
        yield recipients[start : start + _GROUP]


def _text(error: BaseException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        reply = error.smtp_error
        return f"{error.smtp_code} {reply.decode('utf-8', 'backslashreplace') if isinstance(reply, bytes) else reply}"
    return f"4.4.1 {error}" if str(error) else f"4.4.1 {type(error).__name__}"


def _open(target: Target, attempt: Attempt) -> _Client:
    """Connect, encrypt, log in.  No refusal here says anything about the message, so all of them are temporary."""
    try:
        return _greeted(target, attempt, encrypt=target.starttls != "off")
    except ssl.SSLError as error:
        if target.scheme == "smtps" or target.starttls == "require":
            raise
        attempt.note(f"! {show(str(error))}; again without TLS")
        return _greeted(target, attempt, encrypt=False)


def _greeted(target: Target, attempt: Attempt, *, encrypt: bool) -> _Client:
    client = _Client(target)
    client.begin(attempt)
    try:
        _expect(client.connect(target.path or target.host, target.port), 220)
        _hello(client)
        if encrypt and target.scheme != "smtps":
            _encrypt(client, target)
        if target.option("credentials"):
            client.log_in(*_credentials(target.option("credentials") or ""))
    except BaseException:
        client.close()
        raise
    return client


def _hello(client: _Client) -> None:
    code, text = client.ehlo()
    if code != 250 and client.ehlo_msg == "ehlo":
        code, text = client.helo()
    _expect((code, text), 250)


def _encrypt(client: _Client, target: Target) -> None:
    if not client.has_extn("starttls"):
        if target.starttls == "require":
            raise smtplib.SMTPNotSupportedError("4.7.4 the server offers no STARTTLS")
        return
    try:
        client.starttls(context=_context(target))
    except smtplib.SMTPResponseException:
        if target.starttls == "require":
            raise
        return
    _hello(client)


def _context(target: Target) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=target.option("ca"))
    if target.scheme != "smtps" and target.starttls == "opportunistic":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _credentials(path: str) -> tuple[str, str]:
    from mailguard.seal.keys import private_text

    lines = private_text(path, "the credentials file").splitlines()
    if len(lines) != 2 or not all(lines):
        raise ConfigurationError(f"{path}: the credentials file has two lines, the user name and the password")
    return lines[0], lines[1]


def _expect(reply: Reply, code: int) -> None:
    if reply[0] != code:
        raise smtplib.SMTPResponseException(*reply)


def _sendable(
    target: Target, client: _Client, copy: Copy, recipients: Sequence[str], attempt: Attempt
) -> Sequence[str]:
    """Settle what this server cannot be given without changing content or addresses; return the other recipients."""
    obstacle = _obstacle(target, client, copy)
    if obstacle:
        attempt.settle(recipients, PERMANENT, obstacle)
    for recipient in recipients:
        if not _speakable(client, recipient):
            attempt.settle([recipient], PERMANENT, "5.1.3 not sent: the server cannot be told this recipient address")
    return [recipient for recipient in recipients if recipient not in attempt.outcomes]


def _obstacle(target: Target, client: _Client, copy: Copy) -> str:
    if not _speakable(client, copy.sender or ""):
        return "5.1.7 not sent: the server cannot be told this sender address"
    limit = client.esmtp_features.get("size", "")
    if limit.isdecimal() and 0 < int(limit[:18]) < copy.wire_size:
        return f"5.3.4 not sent: {copy.wire_size} octets, the server takes {int(limit[:18])}"
    if copy.eight_bit and not client.has_extn("8bitmime") and target.option("8bit") != "send":
        return "5.6.3 not sent: 8-bit content, and the server offers no 8BITMIME (8bit=send overrides)"
    return ""


def _speakable(client: _Client, address: str) -> bool:
    if _UNSENDABLE.search(_QUOTED.sub("", address)) or re.search(r"[\r\n\x00]", address):
        return False
    return address.isascii() or client.has_extn("smtputf8")


class _Transaction:
    """One MAIL, RCPT..., DATA with all its answers."""

    def __init__(self, client: _Client, copy: Copy, attempt: Attempt) -> None:
        self._client = client
        self._copy = copy
        self._attempt = attempt

    def run(self, recipients: Sequence[str]) -> None:
        """Settle the outcome of each recipient; leaves the connection ready for the next transaction."""
        accepted = self._envelope(recipients)
        if not accepted:
            self._reset()
            return
        code, text = self._client.docmd("DATA")
        if code != 354:
            self._decline(accepted, code, text)
            self._reset()
            return
        try:
            self._send()
        except OSError:
            self._refused_early(accepted)
            raise
        self._finish(accepted)

    def _envelope(self, recipients: Sequence[str]) -> list[str]:
        commands = [self._mail(recipients), *(self._rcpt(recipient) for recipient in recipients)]
        sender_reply, *replies = self._client.commands(commands)
        if sender_reply[0] != 250:
            self._decline(recipients, *sender_reply)
            return []
        accepted = []
        for recipient, (code, text) in zip(recipients, replies, strict=True):
            if 200 <= code < 300:
                accepted.append(recipient)
            else:
                self._decline([recipient], code, text)
        return accepted

    def _mail(self, recipients: Sequence[str]) -> str:
        has, sender = self._client.has_extn, self._copy.sender or ""
        command = f"MAIL FROM:<{sender}>"
        if has("size"):
            command += f" SIZE={self._copy.wire_size}"
        if has("8bitmime") and self._copy.eight_bit:
            command += " BODY=8BITMIME"
        if has("smtputf8") and not all(address.isascii() for address in (sender, *recipients)):
            command += " SMTPUTF8"
        return command

    def _rcpt(self, recipient: str) -> str:
        """Name a recipient; about a copy nobody may write to the sender (RFC 3461 4.1)."""
        return f"RCPT TO:<{recipient}>" + (" NOTIFY=NEVER" if self._client.has_extn("dsn") else "")

    def _send(self) -> None:
        for piece in wire(self._copy.chunks()):
            self._client.transmit(piece)

    def _refused_early(self, recipients: Sequence[str]) -> None:
        """Prefer the refusal that a server sent before it closed to the broken connection."""
        try:
            code, text = self._client.getreply()
        except (OSError, smtplib.SMTPException):
            return
        if code >= 400:
            self._decline(recipients, code, text)

    def _finish(self, accepted: Sequence[str]) -> None:
        if self._client.ahead:
            self._refused_early(accepted)
            raise smtplib.SMTPServerDisconnected("4.5.0 the server answered before the message ended")
        self._attempt.note("> (message and final dot)")
        self._client.transmit(b".\r\n")
        if self._client.ehlo_msg == "lhlo":
            for recipient in accepted:
                self._conclude([recipient], *self._client.final_reply())
        else:
            self._conclude(accepted, *self._client.final_reply())

    def _conclude(self, recipients: Sequence[str], code: int, text: bytes) -> None:
        if 200 <= code < 300:
            self._attempt.settle(recipients, DELIVERED, b"%d %s" % (code, text))
        else:
            self._decline(recipients, code, text)

    def _decline(self, recipients: Sequence[str], code: int, text: bytes) -> None:
        """Settle as not delivered, whatever the code: only the answer to the final dot can say otherwise."""
        self._attempt.settle(recipients, PERMANENT if code >= 500 else TEMPORARY, b"%d %s" % (code, text))
        if code == 421:
            raise smtplib.SMTPServerDisconnected("4.3.2 the server closes the connection")

    def _reset(self) -> None:
        self._client.docmd("RSET")


class _Client(smtplib.SMTP):
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
        self._host = host
        if self._target.scheme == "smtps":
            return _context(self._target).wrap_socket(connection, server_hostname=host)
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
