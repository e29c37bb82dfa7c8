"""One connection of the mail server: commands in, one mail at a time, replies out.

Nothing of one mail is left for the next: all that belongs to a mail is in one `Mail`, which is made by MAIL and dropped
at its end, by an abort, and by the next MAIL; facts about the client are dropped when another one is announced.
"""

from __future__ import annotations

import asyncio
import os
from time import monotonic

from mailguard.errors import MailguardError
from mailguard.findings import show
from mailguard.milter import protocol, worker
from mailguard.milter.mail import Mail
from mailguard.milter.pool import WorkerLost
from mailguard.milter.protocol import ProtocolError
from mailguard.streams import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

    from mailguard.milter.pool import Answer
    from mailguard.milter.server import MilterServer

_PROGRESS_SECONDS = 30.0  # Postfix waits 300 s for each sign of life
_IDLE_SECONDS = 7210.0  # as libmilter; mail servers keep a connection as long as their client's
_SMALL = 1 << 18
_SPLIT = protocol.reply("452 4.5.3", "Too many recipients, send this one separately")


class MilterSession(asyncio.Protocol):
    """What one connection has said; `server` has what is common to all."""

    def __init__(self, server: MilterServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._agreement: protocol.Agreement | None = None
        self._client: dict[str, str | None] = {}
        self._macros: dict[int, dict[str, str]] = {}
        self.mail: Mail | None = None
        self._in_body = False
        self._answer: asyncio.Future[Answer] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = self._submitted = monotonic()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.opened(self)
        self._wait(_IDLE_SECONDS, self._idle)

    def data_received(self, data: bytes) -> None:
        """Take what came, and obey the commands that are complete."""
        self._heard = monotonic()
        self._buffer += data
        self._obey()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget everything; a mail at work loses its reader, so its result is thrown away."""
        if self._timer:
            self._timer.cancel()
        self._drop()
        self._transport = None
        self._server.closed(self)

    # Commands.

    def _obey(self) -> None:
        if not self.asked and self._transport:
            try:
                for letter, data in protocol.packets(self._buffer):
                    self._command(letter, data)
                    if self.asked or not self._transport:
                        return
            except ProtocolError as error:
                self._server.say(f"a connection is closed: {error}")
                self.close()
            except Exception as error:  # noqa: BLE001 (one connection must not end the others)
                self._server.say(f"a connection is closed: {describe(error)}")
                self.close()

    def _command(self, letter: int, data: bytes) -> None:
        command = self._COMMANDS.get(letter)
        if command is None or (self._agreement is None and letter != ord("O")):
            raise ProtocolError(f"unexpected command {show(bytes([letter]))}")
        reply = command(self, data)
        if letter in _ANSWERED and (reply or letter not in self._agreement.silent):  # type: ignore[union-attr]
            self._write(reply or protocol.CONTINUE)

    def _negotiate(self, data: bytes) -> None:
        self._agreement = protocol.Agreement(data, answer_recipients=self._server.splits)
        self._write(self._agreement.packet())

    def _define(self, data: bytes) -> None:
        stage = data[0] if data else 0
        if stage not in self._COMMANDS:
            raise ProtocolError("macros of an unknown command")
        if stage in _BEGINNING:
            self._drop()  # they are about what comes now
        self._macros[stage] = protocol.macros(data)

    def _connect(self, data: bytes) -> None:
        macros = self._macros.get(ord("C"), {})
        self._other_client(b"")
        self._macros[ord("C")] = macros
        self._client["client_address"] = protocol.client_address(data)

    def _helo(self, data: bytes) -> None:
        self._client["client_helo"] = protocol.text(protocol.texts(data)[0])

    def _sender(self, data: bytes) -> None:
        if self.mail is not None:
            self._drop()
        self._in_body = False
        assert self._agreement is not None
        options = self._server.options
        self.mail = Mail(protocol.texts(data)[0], options.spool, options.largest, leading=self._agreement.leading)

    def _recipient(self, data: bytes) -> bytes | None:
        mail = self._known()
        address = protocol.texts(data)[0]
        if self._server.splits and mail.recipients and not self._server.alike(mail.recipients[0], address):
            return _SPLIT
        mail.add_recipient(address)
        return None

    def _data(self, _data: bytes) -> None:
        self._known()

    def _field(self, data: bytes) -> None:
        mail = self._known()
        if self._in_body:
            raise ProtocolError("a header field after the header")
        mail.add_field(*protocol.field(data))

    def _end_of_header(self, _data: bytes) -> None:
        self._known().add(b"\r\n")
        self._in_body = True

    def _body(self, data: bytes) -> None:
        if not self._in_body:
            self._end_of_header(b"")
        self._known().add(data)

    def _end_of_message(self, data: bytes) -> None:
        self._body(data)
        mail = self._known()
        self._server.metrics.received(mail.size)
        if mail.refusal:
            self._server.metrics.mails["refused"] += 1
            self._reply(mail.refusal)
            return
        try:
            size, facts_size = mail.complete(self._facts(mail))
        except MailguardError as error:
            self._fail(str(error))
            return
        self._submitted = monotonic()
        self._answer = self._server.pool.submit(mail.file, size, facts_size, self._client.get("client_address") or "")
        self._answer.add_done_callback(self._answered)
        if self._transport:
            self._transport.pause_reading()
        self._wait(_PROGRESS_SECONDS, self._progress)

    def _abort(self, _data: bytes) -> None:
        self._drop()

    def _other_client(self, _data: bytes) -> None:
        self._drop()
        self._client = {}
        self._macros = {}

    def _quit(self, _data: bytes) -> None:
        self.close()

    def _unknown(self, _data: bytes) -> None:
        """Another SMTP command, which the mail server answers itself."""

    _COMMANDS: ClassVar[dict[int, Callable[[MilterSession, bytes], bytes | None]]] = {
        ord("O"): _negotiate,
        ord("D"): _define,
        ord("C"): _connect,
        ord("H"): _helo,
        ord("M"): _sender,
        ord("R"): _recipient,
        ord("T"): _data,
        ord("L"): _field,
        ord("N"): _end_of_header,
        ord("B"): _body,
        ord("E"): _end_of_message,
        ord("A"): _abort,
        ord("K"): _other_client,
        ord("Q"): _quit,
        ord("U"): _unknown,
    }

    # The end of a mail.

    def _facts(self, mail: Mail) -> dict[str, Any]:
        return {
            "client_address": self._client.get("client_address"),
            "client_helo": self._client.get("client_helo"),
            "sender": protocol.text(mail.sender),
            "recipients": [protocol.text(address) for address in mail.recipients],
            "queue_id": self._macro("i"),
            "sasl_username": self._macro("auth_authen"),
            "tls": " ".join(filter(None, map(self._macro, ("tls_version", "cipher")))),
            "anywhere": (self._macro("v") or "").startswith("Postfix"),
        }

    def _answered(self, answer: asyncio.Future[Answer]) -> None:
        if answer is not self._answer or self.mail is None:
            return  # nobody waits any more
        try:
            outcome, start, length = answer.result()
        except WorkerLost:
            self._fail("its worker is lost")
            return
        self._server.metrics.answered(worker.OUTCOMES[outcome], monotonic() - self._submitted)
        if length <= _SMALL:
            self._reply(os.pread(self.mail.file, length, start))
        else:
            self._sending = asyncio.ensure_future(self._send(start, length))

    async def _send(self, start: int, length: int) -> None:
        """Send packets from the file without taking them into memory."""
        assert self.mail is not None
        assert self._transport is not None
        with os.fdopen(os.dup(self.mail.file), "rb", buffering=0) as file:  # the mail may be forgotten meanwhile
            try:
                await asyncio.get_running_loop().sendfile(self._transport, file, start, length)
            except (OSError, RuntimeError):
                self.close()
                return
        self._sending = None
        self._reply(b"")

    def _fail(self, reason: str) -> None:
        self._server.metrics.mails["failed"] += 1
        self._server.say(f"queue={show(self._macro('i'))} action=try-again: {reason}")
        self._reply(worker.TRY_AGAIN)

    def _reply(self, packets: bytes) -> None:
        """Send the last of what concerns this mail, and go on with what came meanwhile."""
        self._write(packets)
        self._drop()
        self._wait(_IDLE_SECONDS, self._idle)
        if self._transport:
            self._transport.resume_reading()
            self._server.finished(self)
            asyncio.get_running_loop().call_soon(self._obey)

    def _progress(self) -> None:
        if self._answer is not None and self._sending is None:
            self._write(protocol.PROGRESS)
            self._wait(_PROGRESS_SECONDS, self._progress)

    # State.

    @property
    def asked(self) -> bool:
        """Whether a complete mail of this connection waits for its reply."""
        return self._answer is not None

    def _known(self) -> Mail:
        if self.mail is None:
            raise ProtocolError("no mail has begun")
        return self.mail

    def _macro(self, name: str) -> str | None:
        """Return a macro as it was last defined, for this mail or this client."""
        values = [stage[name] for number in _STAGES if name in (stage := self._macros.get(number, {}))]
        return values[-1] if values else None

    def _drop(self) -> None:
        """Forget the mail, and the macros that were about it."""
        if self.mail is not None:
            self.mail.close()
            self.mail = None
        for stage in set(self._macros) - _ABOUT_CLIENT:
            del self._macros[stage]
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def close(self) -> None:
        """End the connection when what was written is out."""
        if self._transport:
            self._transport.close()
            self._transport = None

    def _write(self, data: bytes) -> None:
        if self._transport and data:
            self._transport.write(data)

    def _wait(self, seconds: float, then: Any) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _idle(self) -> None:
        quiet = monotonic() - self._heard
        if self.asked or quiet < _IDLE_SECONDS:
            self._wait(max(_IDLE_SECONDS - quiet, 1), self._idle)
        else:
            self.close()


_ANSWERED = frozenset(map(ord, protocol.WITHOUT_REPLY))
_STAGES = b"CHMRTNE"
_ABOUT_CLIENT = frozenset(b"CH")
_BEGINNING = frozenset(b"CHM")
