"""The life of the milter: start, connections, a new configuration on SIGHUP, and an end that finishes what it has."""

from __future__ import annotations

import asyncio
import os
import signal
from time import time

from mailguard import log, pipeline
from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError
from mailguard.milter.mail import nameless
from mailguard.milter.metrics import Metrics, Status, notify
from mailguard.milter.pool import Pool
from mailguard.milter.session import MilterSession
from mailguard.settings import Filter, Settings
from mailguard.streams import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket
    from typing import Any

    from mailguard.milter.listener import Address
    from mailguard.passwords import Passwords

    Load = Callable[[], "Configuration"]

_FINISH_SECONDS = 320.0  # a mail at work needs no more; systemd's TimeoutStopSec is longer
_DELIVER_SECONDS = 30.0  # for a client that is still sending when the milter ends
# An answer with an attachment, so that everything is needed that mail may need.
_TRIAL = (
    b"Subject: trial\r\nIn-Reply-To: <trial@mailguard.invalid>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: application/octet-stream\r\n\r\ntrial\r\n"
)


class MilterOptions:
    """What does not change while the milter runs.

    listen: where mail servers connect; status: where health and metrics are told, or None; workers, connections: how
    many of each; largest: bytes of a message; seconds: for its content, in each filter; spool: folder of the mails at
    work; alike: "all", "alike" or "one", which recipients may share one mail; log: where failures are logged.
    """

    __slots__ = ("alike", "connections", "largest", "listen", "log", "seconds", "spool", "status", "workers")

    def __init__(  # noqa: PLR0913 (plain values)
        self,
        listen: Address,
        *,
        status: Address | None = None,
        workers: int,
        connections: int,
        largest: int,
        seconds: float,
        spool: str,
        alike: str = "all",
        log: str = "syslog",
    ) -> None:
        self.listen = listen
        self.status = status
        self.workers = workers
        self.connections = connections
        self.largest = largest
        self.seconds = seconds
        self.spool = spool
        self.alike = alike
        self.log = log


class Configuration:
    """What SIGHUP loads anew: the filters, and the passwords by which recipients are alike (None: all are)."""

    __slots__ = ("filters", "passwords")

    def __init__(self, filters: Sequence[Filter], passwords: Passwords | None = None) -> None:
        self.filters = filters
        self.passwords = passwords

    def try_out(self) -> None:
        """Filter a small message without any effect, so that whatever is wrong at the site is known before mail comes.

        It has no sender, so that no name server is asked.  What the filters have read for it, key and lists, they keep,
        and workers have it from their start.  MailguardError and OSError as from any mail.
        """
        pipeline.check_records(self.filters)
        pipeline.chain([(mail_filter, _without_effect(mail_filter.settings)) for mail_filter in self.filters], _TRIAL)
        if any(mail_filter.verb == "verify" for mail_filter in self.filters):
            _import_verification()


def _without_effect(settings: Settings) -> Settings:
    return Settings(Envelope(), settings.now, key_file=settings.key_file, dry_run=True, log="none")


def _import_verification() -> None:
    """Import what the trial does not need and nearly every mail does, so that workers have it from their start."""
    import mailguard.dns.live
    import mailguard.verify.arc
    import mailguard.verify.dkim
    import mailguard.verify.iprev
    import mailguard.verify.spf_evaluation  # noqa: F401


def serve(options: MilterOptions, load: Load) -> None:
    """Run until SIGTERM or SIGINT; load: reads the configuration.

    MailguardError when it cannot begin.
    """
    os.umask(0o077)
    configuration = load()
    configuration.try_out()
    try:
        os.close(nameless(options.spool))
    except OSError as error:
        raise ConfigurationError(f"the spool: {describe(error)}") from None
    listeners = [(each, each.listen()) for each in (options.listen, options.status) if each]
    try:
        asyncio.run(MilterServer(options, load, configuration).run([listener for _, listener in listeners]))
    finally:
        for address, listener in listeners:
            address.close(listener)


class MilterServer:
    """All connections, the workers, and what happens to them."""

    def __init__(self, options: MilterOptions, load: Load, configuration: Configuration) -> None:
        self.options = options
        self.metrics = Metrics()
        self.sessions: set[MilterSession] = set()
        self.pool: Pool
        self._load = load
        self._configuration = configuration
        self._listener: socket | None = None
        self._accepting = False
        self._connecting: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._done = asyncio.Event()

    async def run(self, listeners: Sequence[socket]) -> None:
        """Serve until stopped; listeners: for mail servers and, when there is a second, for status."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unforeseen)
        options, filters = self.options, self._configuration.filters
        self.pool = Pool(options.workers, filters, options.log, self.metrics, self.say, options.seconds)
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop)
            loop.add_signal_handler(signal.SIGHUP, self._reload)
            if len(listeners) > 1:
                await asyncio.start_server(Status(self).answer, sock=listeners[1])
            self._listener = listeners[0]
            self._accept_more()
            self.say(f"listens at {self.options.listen.text} with {self.options.workers} workers")
            notify("READY=1")
            await self._done.wait()
        finally:
            await self.pool.stop()
        self.say("ends")

    def say(self, line: str) -> None:
        """Tell the log what happened."""
        log.write(f"milter: {line}", self.options.log)

    def trouble(self) -> str:
        """Return why no mail can be filtered now; empty when it can."""
        if self._stopping:
            return "is ending"
        return "" if self.pool.pids else "has no worker"

    # Connections.

    def _accept_more(self) -> None:
        if self._listener and not self._accepting and not self._stopping:
            self._accepting = True
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept_no_more(self) -> None:
        if self._listener and self._accepting:
            self._accepting = False
            asyncio.get_running_loop().remove_reader(self._listener)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except OSError as error:  # gone again, or no descriptors: the others go on
            if error.errno not in _GONE:
                self.say(f"accepts nothing for a second: {error.strerror}")
                self._accept_no_more()
                asyncio.get_running_loop().call_later(1.0, self._accept_more)
            return
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(lambda: MilterSession(self), connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        if len(self.sessions) + len(self._connecting) >= self.options.connections:
            self._accept_no_more()  # the next ones wait in the backlog

    def opened(self, session: MilterSession) -> None:
        """Count a connection."""
        self.metrics.connections += 1
        self.sessions.add(session)

    def closed(self, session: MilterSession) -> None:
        """Forget a connection."""
        self.sessions.discard(session)
        if len(self.sessions) < self.options.connections:
            self._accept_more()
        self.finished(session)

    def finished(self, session: MilterSession) -> None:
        """Close a connection that has had its answer, when the milter ends."""
        if self._stopping:
            session.close()
            if not any(each.mail for each in self.sessions):
                self._done.set()

    # Recipients.

    @property
    def splits(self) -> bool:
        """Whether some recipients are sent away to come with a mail of their own."""
        return self.options.alike != "all"

    def alike(self, first: bytes, other: bytes) -> bool:
        """Tell whether two recipients may share one mail."""
        passwords = self._configuration.passwords
        if self.options.alike == "one" or passwords is None:
            return self.options.alike != "one"
        found = [passwords.lookup([Envelope(recipients=[_text(each)]).recipients[0]]) for each in (first, other)]
        return found[0] == found[1]

    # Configuration and end.

    def _reload(self) -> None:
        notify("RELOADING=1")
        try:
            configuration = self._load()
            configuration.try_out()
        except BaseException as error:  # noqa: BLE001 (whatever it is, the old one works)
            self.metrics.reloads["failed"] += 1
            self.say(f"keeps the old configuration: {describe(error)}")
        else:
            self.metrics.reloads["done"] += 1
            self.metrics.loaded = time()
            self._configuration = configuration
            self.pool.use(configuration.filters)
            self.say("has a new configuration")
        notify("READY=1")

    def _stop(self) -> None:
        """End when the mails that are here have their answers; at once when asked a second time."""
        loop = asyncio.get_running_loop()
        if self._stopping:
            self._done.set()
            return
        self._accept_no_more()
        self._stopping = True
        notify("STOPPING=1")
        self.say(f"finishes {sum(1 for each in self.sessions if each.mail)} mails")
        for session in [each for each in self.sessions if not each.mail]:
            session.close()
        loop.call_later(_DELIVER_SECONDS, self._send_away)
        loop.call_later(_FINISH_SECONDS, self._done.set)
        if not any(each.mail for each in self.sessions):
            self._done.set()

    def _send_away(self) -> None:
        """Do not wait for those who are still sending."""
        for session in [each for each in self.sessions if not each.asked]:
            session.close()

    def _unforeseen(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.say(describe(error) if error else str(context.get("message", ""))[:200])


def _text(address: bytes) -> str:
    return address.decode("utf-8", "surrogateescape")


_GONE = frozenset({4, 11, 103, 104, 71})  # EINTR, EAGAIN, ECONNABORTED, ECONNRESET, EPROTO
