"""Delivery by SMTP and LMTP (RFC 5321, RFC 2033).

One transaction carries up to 100 recipients, each has an answer of its own, and only the answer to the final dot can
say that a copy was delivered.
"""

from __future__ import annotations

import re
import smtplib
import ssl

from mailguard.delivery.attempt import DELIVERED, PERMANENT, TEMPORARY, Attempt
from mailguard.delivery.client import SmtpClient, tls_context
from mailguard.delivery.copy import wire
from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.delivery.copy import Copy
    from mailguard.delivery.target import Target

    Reply = tuple[int, bytes]

_GROUP = 100  # recipients that every server must take (RFC 5321 4.5.3.1.8)
_UNSENDABLE = re.compile(r"[\x00-\x20\x7f<>]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_EARLY_SECONDS = 5.0  # for the answer of a server that has broken off
_FAILURES = (OSError, smtplib.SMTPException, ValueError, ConfigurationError)


class SmtpSession:
    """One connection to a server, used for one message after another."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client: SmtpClient | None = None

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

    def _connected(self, attempt: Attempt, recipients: Sequence[str]) -> SmtpClient | None:
        if self._client is None:
            try:
                self._client = _open(self._target, attempt)
            except _FAILURES as error:
                attempt.down = True
                attempt.note(f"! {show(_text(error))}")
                attempt.settle(recipients, TEMPORARY, _text(error))
        return self._client

    def _exchange(
        self, client: SmtpClient, copy: Copy, recipients: Sequence[str], attempt: Attempt, *, fresh: bool
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
            attempt.down = isinstance(error, TimeoutError)
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


def _open(target: Target, attempt: Attempt) -> SmtpClient:
    """Connect, encrypt, log in.  No refusal here says anything about the message, so all of them are temporary."""
    try:
        return _greeted(target, attempt, encrypt=target.starttls != "off")
    except ssl.SSLError as error:
        if target.scheme == "smtps" or target.starttls == "require":
            raise
        attempt.note(f"! {show(str(error))}; again without TLS")
        return _greeted(target, attempt, encrypt=False)


def _greeted(target: Target, attempt: Attempt, *, encrypt: bool) -> SmtpClient:
    client = SmtpClient(target)
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


def _hello(client: SmtpClient) -> None:
    code, text = client.ehlo()
    if code in {500, 502} and client.ehlo_msg == "ehlo":  # RFC 5321 3.2
        code, text = client.helo()
    _expect((code, text), 250)


def _encrypt(client: SmtpClient, target: Target) -> None:
    if not client.has_extn("starttls"):
        if target.starttls == "require":
            raise smtplib.SMTPNotSupportedError("4.7.4 the server offers no STARTTLS")
        return
    try:
        client.starttls(context=tls_context(target))
    except smtplib.SMTPResponseException:
        if target.starttls == "require":
            raise
        return
    _hello(client)


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
    target: Target, client: SmtpClient, copy: Copy, recipients: Sequence[str], attempt: Attempt
) -> Sequence[str]:
    """Settle what this server cannot be given without changing content or addresses; return the other recipients."""
    obstacle = _obstacle(target, client, copy)
    if obstacle:
        attempt.settle(recipients, PERMANENT, obstacle)
    for recipient in recipients:
        if not _speakable(client, recipient):
            attempt.settle([recipient], PERMANENT, "5.1.3 not sent: the server cannot be told this recipient address")
    return [recipient for recipient in recipients if recipient not in attempt.outcomes]


def _obstacle(target: Target, client: SmtpClient, copy: Copy) -> str:
    if not _speakable(client, copy.sender or ""):
        return "5.1.7 not sent: the server cannot be told this sender address"
    limit = client.esmtp_features.get("size", "")
    if limit.isdecimal() and 0 < int(limit[:18]) < copy.wire_size:
        return f"5.3.4 not sent: {copy.wire_size} octets, the server takes {int(limit[:18])}"
    if copy.eight_bit and not client.has_extn("8bitmime") and target.option("8bit") != "send":
        return "5.6.3 not sent: 8-bit content, and the server offers no 8BITMIME (8bit=send overrides)"
    return ""


def _speakable(client: SmtpClient, address: str) -> bool:
    if _UNSENDABLE.search(_QUOTED.sub("", address)) or re.search(r"[\r\n\x00\ud800-\udfff]", address):
        return False  # the surrogates stand for octets that are not UTF-8
    return address.isascii() or client.has_extn("smtputf8")


class _Transaction:
    """One MAIL, RCPT..., DATA with all its answers."""

    def __init__(self, client: SmtpClient, copy: Copy, attempt: Attempt) -> None:
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
        self._send(accepted)
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

    def _send(self, accepted: Sequence[str]) -> None:
        for piece in wire(self._copy.chunks()):  # our own disk may fail too: then the server has nothing to say
            try:
                self._client.transmit(piece)
            except OSError:
                self._refused_early(accepted)
                raise

    def _refused_early(self, recipients: Sequence[str]) -> None:
        """Prefer the refusal that a server sent before it closed to the broken connection."""
        try:
            code, text = self._client.getreply(_EARLY_SECONDS)
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
