"""An SMTP server for the replies alone: it takes mail for the mailbox of the service and for nobody else."""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from tempfile import SpooledTemporaryFile
from time import monotonic

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from mailguard.check import token
from mailguard.check.hop import Transport
from mailguard.check.reply import LARGEST, handle
from mailguard.check.shares import Shares, client_of
from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from aiosmtpd.smtp import Envelope as Received
    from aiosmtpd.smtp import Session

    from mailguard.check.reply import Handled
    from mailguard.check.service import Service

    File = SpooledTemporaryFile[bytes]

_WORKERS = 4
_WAITING = (4, 16)  # replies in work or waiting for it: of one client, of all
_CONNECTIONS = (20, 256)
_UNFINISHED = (2 * LARGEST, 16 * LARGEST)  # octets of mails on the disk, beyond the first `_FREE` of each
_FREE = 1 << 20
_IN_MEMORY = 1 << 16
_IDLE_SECONDS = 300.0  # RFC 5321 4.5.3.2.7
_SCARCE_SECONDS = 30.0  # where most places are taken
_SESSION_SECONDS = 900.0


class _NotTaken(Exception):  # noqa: N818 (a decision)
    """A message is not taken; the text is the reply."""


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
        self._waiting = Shares(*_WAITING)

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

    async def handle_exception(self, error: Exception) -> str:
        """Say in the log what is wrong with us; the mail comes again."""
        self._report(f"reply: {error!r}")
        return "451 4.3.0 try again later"

    async def take(self, server: SMTP, session: Session, envelope: Received, file: File) -> str:
        """Answer only when everything is done: a mail that was taken is never lost.  Closes the file."""
        client = _client(session)
        if not self._waiting.take(client):
            file.close()
            return "451 4.3.2 too busy, try again later"

        def done(_: object) -> None:
            self._waiting.give_back(client)
            file.close()

        facts, transport = _facts(session, envelope), _transport(server, session)
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._handle, facts, transport, file)
        work.add_done_callback(done)
        return await asyncio.shield(work)  # it goes on when the client has gone

    def _handle(self, facts: Envelope, transport: Transport, file: File) -> str:
        try:
            file.seek(0)
            handled = handle(self._service, file.read(), facts, int(self._clock()), encrypted=transport)
            self._deliver(handled)
        except MailguardError as error:
            self._report(f"reply: {error}")
            return "451 4.3.0 try again later"
        except Exception as error:  # noqa: BLE001 (a fault of ours must not bounce the mail either)
            self._report(f"reply: {error!r}")
            return "451 4.3.0 try again later"
        self._report(f"reply: {handled.code}")
        return "250 2.0.0 ok"

    def _deliver(self, handled: Handled) -> None:
        if handled.mail is None:
            return
        try:
            self._send(handled.mail, "", handled.recipient)
        except MailguardError:
            if handled.exchange:
                self._service.state.untold(handled.exchange)
            raise


class _Connection(SMTP):
    """One connection, whose messages go to a file: the library keeps each line in memory, as an object of its own.

    octets: shared by all; take: gets (server, session, envelope, file), see `Handler.take`.
    """

    def __init__(self, octets: Shares, handler: Handler, **options: Any) -> None:
        self._octets = octets
        self._take = handler.take
        super().__init__(handler, **options)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 (the library's name)
        """Take a message."""
        if await self.check_helo_needed():
            return
        assert self.session is not None
        assert self.envelope is not None
        if arg or not self.envelope.rcpt_tos:
            await self.push("501 5.5.4 syntax: DATA" if arg else "503 5.5.1 RCPT comes first")
            return
        await self.push("354 end with <CR><LF>.<CR><LF>")
        file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (who takes it closes it)
        try:
            await self._message(file)
        except _NotTaken as error:
            file.close()
            said = str(error)
        except BaseException:
            file.close()
            raise
        else:
            said = await self._take(self, self.session, self.envelope, file)
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(said)

    async def _message(self, file: File) -> None:
        """Read up to the end of the message; raises _NotTaken then, not before (RFC 5321 4.2.5)."""
        client = _client(self.session)
        refused, size, taken = "", 0, 0
        try:
            while (line := await self._line()) != b".\r\n":
                size += len(line)
                if not refused and size > _FREE + taken:
                    refused = self._room(client, size)
                    taken += 0 if refused else _FREE
                refused = refused or _written(file, line)
        finally:
            self._octets.give_back(client, taken)
        if refused:
            raise _NotTaken(refused)

    def _room(self, client: str, size: int) -> str:
        """Take room for another `_FREE` octets; return the reply where there is none, "" otherwise."""
        if size > LARGEST:
            return "552 5.3.4 message too large"
        return "" if self._octets.take(client, _FREE) else "452 4.3.1 no room for it now, try again later"

    async def _line(self) -> bytes:
        """Return the next line with its end; nothing of one that is longer than RFC 5321 4.5.3.1.6 lets it be."""
        long = False
        while True:
            try:
                line = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as error:
                await self._reader.read(error.consumed)
                long = True
            else:
                return b"" if long else bytes(line)


def _client(session: Session | None) -> str:
    return client_of(str(session.peer[0]) if session and session.peer else "")


def _written(file: File, line: bytes) -> str:
    """Write a line without the dot of SMTP before it; return the reply where that cannot be done, "" otherwise."""
    if not line:
        return "500 5.5.2 line too long"
    try:
        file.write(line.removeprefix(b"."))
    except OSError:
        return "452 4.3.1 no room for it now, try again later"
    return ""


class _Places:
    """The open connections; a place is free when the socket is closed, whoever closed it, and how."""

    def __init__(self, by_client: int, in_all: int) -> None:
        self._by_client = by_client
        self._in_all = in_all
        self._open: dict[asyncio.WriteTransport, tuple[str, float]] = {}

    def take(self, transport: asyncio.WriteTransport) -> bool:
        """Take a place for a new connection; False where there is none.  Who has been here too long must leave."""
        now = monotonic()
        for each, (_, since) in list(self._open.items()):
            if each.get_extra_info("socket").fileno() < 0:
                del self._open[each]
            elif now - since > _SESSION_SECONDS:
                each.abort()
        client = client_of(str(transport.get_extra_info("peername")[0]))
        own = sum(each == client for each, _ in self._open.values())
        if own >= self._by_client or len(self._open) >= self._in_all:
            return False
        self._open[transport] = (client, now)
        return True

    @property
    def scarce(self) -> bool:
        """Whether most places are taken."""
        return 4 * len(self._open) > 3 * self._in_all


class _Door(asyncio.Protocol):
    """Who connects, before there is anything of the server: being refused costs next to nothing.

    make: makes the protocol of who may stay.
    """

    def __init__(self, places: _Places, make: Callable[[], asyncio.Protocol]) -> None:
        self._places = places
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let somebody in, or say that there is no place."""
        assert isinstance(transport, asyncio.Transport)
        if transport.get_extra_info("peername") is None:
            transport.abort()  # gone already
        elif self._places.take(transport):
            made = self._make()
            transport.set_protocol(made)
            made.connection_made(transport)
        else:
            transport.write(b"421 4.7.0 too many connections, try again later\r\n")
            transport.close()


class Listener(Controller):
    """The server; starts with `start`, ends with `stop`.

    address: (host, port); certificate: PEM file with chain and key, without which there is no STARTTLS; send: (mail,
    envelope sender, recipient); report: takes one line about each mail, for the log; descriptors: how many connections
    the process can have.
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
        descriptors: int = 2 * _CONNECTIONS[1],
    ) -> None:
        by_client, in_all = _CONNECTIONS
        self._places = _Places(by_client, min(in_all, descriptors // 2))
        self._octets = Shares(*_UNFINISHED)
        self._own_name = service.host
        self._context = _context(certificate) if certificate else None
        super().__init__(Handler(service, send, report, clock), hostname=address[0], port=address[1])

    def factory(self) -> asyncio.Protocol:
        """Return the protocol for one connection."""
        return _Door(self._places, self._connection)

    def _connection(self) -> SMTP:
        return _Connection(
            self._octets,
            self.handler,
            data_size_limit=LARGEST,
            hostname=self._own_name,
            ident="ESMTP",
            tls_context=self._context,
            command_call_limit=50,
            timeout=_SCARCE_SECONDS if self._places.scarce else _IDLE_SECONDS,
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
