"""An SMTP server for the replies alone: it takes mail for the mailbox of the service and for nobody else."""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from mailguard.check import token
from mailguard.check.hop import Transport
from mailguard.check.reply import LARGEST, handle
from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aiosmtpd.smtp import Envelope as Received
    from aiosmtpd.smtp import Session

    from mailguard.check.reply import Handled
    from mailguard.check.service import Service

_MOST_AT_ONCE = 8
_WORKERS = 2


class Handler:
    """What the server does with commands; send and report: see `Listener`."""

    def __init__(
        self,
        service: Service,
        send: Callable[[bytes, str, str], None],
        report: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._service = service
        self._send = send
        self._report = report
        self._clock = clock
        self._pool = ThreadPoolExecutor(_WORKERS)
        self._waiting = 0

    async def handle_RCPT(  # noqa: N802 (the library's name)
        self, _server: SMTP, _session: Session, envelope: Received, address: str, _options: list[str]
    ) -> str:
        """Take mail for our mailbox, one recipient for each mail."""
        if not _is_ours(self._service, address):
            return "550 5.1.1 no such mailbox here"
        if envelope.rcpt_tos:
            return "452 4.5.3 one recipient at a time"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Received) -> str:  # noqa: N802
        """Answer only when everything is done: a mail that was taken is never lost."""
        if self._waiting >= _MOST_AT_ONCE:
            return "451 4.3.2 too busy, try again later"
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, self._handle, _facts(session, envelope), _transport(server, session), envelope.content
            )
        finally:
            self._waiting -= 1

    def _handle(self, facts: Envelope, transport: Transport, content: bytes | str | None) -> str:
        raw = content if isinstance(content, bytes) else b""
        try:
            handled = handle(self._service, raw, facts, int(self._clock()), encrypted=transport)
            self._deliver(handled)
        except MailguardError as error:
            self._report(f"reply: {error}")
            return "451 4.3.0 try again later"
        self._report(f"reply: {handled.code}")
        return "250 2.0.0 ok"

    def _deliver(self, handled: Handled) -> None:
        if handled.mail is not None:
            self._send(handled.mail, "", handled.recipient)


class Listener(Controller):
    """The server; starts with `start`, ends with `stop`.

    address: (host, port); certificate: PEM file with chain and key, without which there is no STARTTLS; send: (mail,
    envelope sender, recipient); report: takes one line about each mail, for the log.
    """

    def __init__(
        self,
        service: Service,
        address: tuple[str, int],
        *,
        certificate: str | None,
        send: Callable[[bytes, str, str], None],
        report: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._own_name = service.host
        self._context = _context(certificate) if certificate else None
        super().__init__(Handler(service, send, report, clock), hostname=address[0], port=address[1])

    def factory(self) -> SMTP:
        """Return the protocol for one connection."""
        return SMTP(
            self.handler,
            data_size_limit=LARGEST,
            hostname=self._own_name,
            ident="ESMTP",
            tls_context=self._context,
            command_call_limit=50,
            loop=self.loop,
        )


def _context(path: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(path)
    except OSError as error:
        raise ConfigurationError(f"{show(path)}: {error.strerror or 'no certificate with its key'}") from None
    return context


def _is_ours(service: Service, address: str) -> bool:
    checked = token.mailbox(address)
    return checked is not None and token.folded(checked) == token.folded(service.address)


def _facts(session: Session, envelope: Received) -> Envelope:
    return Envelope(
        client_address=str(session.peer[0]) if session.peer else None,
        client_helo=session.host_name,
        sender=envelope.mail_from or "",
        recipients=envelope.rcpt_tos,
    )


def _transport(server: SMTP, session: Session) -> Transport:
    """Return how the mail came; where we offer no encryption its absence is no fault of the sender."""
    if session.ssl is None:
        return Transport(False if server.tls_context else None)
    spoken = session.ssl["ssl_object"]
    cipher = spoken.cipher()
    return Transport(True, spoken.version() or "", cipher[0] if cipher else "")
