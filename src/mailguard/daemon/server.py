"""The server: everything loaded, one process for each message, and nothing between two messages."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import select
import signal
import socket
import sys
from contextlib import suppress

from mailguard import safefile
from mailguard.daemon import worker
from mailguard.daemon.rehearsal import rehearse
from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.formats.families import LIBRARIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import NoReturn

_BACKLOG = 512
_FIRST_ACTIVATED = 3  # SD_LISTEN_FDS_START
_WAITING = 2  # processes that are ready when a client comes
_LOOK_SECONDS = 1.0
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_NOT_FOR_FILTERS = {f"mailguard.{name}" for name in ("archives", "batch", "check", "doctor", "milter", "report")}
_LIBRARIES = (
    "base64", "bz2", "concurrent.futures.thread", "cryptography.hazmat.primitives.ciphers", "dkim", "dns.resolver",
    "email.parser", "hashlib", "hmac", "json", "lxml.etree", "lxml.html", "lzma", "magic", "oletools.olevba",
    "PIL.Image", "pybase64", "publicsuffixlist", "pyzipper", "spf", "ssl", "subprocess", "syslog", "tempfile",
    "tomllib", "zipfile",
    *(name for name in LIBRARIES if name != "py7zr"),  # heavy, and for 7z with a password alone
)  # fmt: skip


class DaemonProgram:
    """What the workers run: filters, names of commands; run: filters one message, as sys.argv says, and ends."""

    def __init__(self, filters: Collection[str], run: Callable[[], NoReturn]) -> None:
        self.filters = filters
        self.run = run
        self._state: dict[str, tuple[int, ...]] = {}

    def load(self) -> None:
        """Import what any message could need, and remember in which state the files are."""
        package = os.path.dirname(os.path.dirname(__file__))
        for name in (*_modules([package], "mailguard."), *_LIBRARIES):
            _load(name)
        rehearse()
        folders = {folder for folder, _, _ in os.walk(package) if not folder.endswith("__pycache__")}
        self._state = {path: _identity(path) for path in (*folders, *sys.path)}
        gc.collect()
        gc.freeze()  # the collector would touch, and so copy, every page in every worker

    def is_changed(self) -> bool:
        """Tell whether mailguard or a library was installed anew since.

        Whatever installs puts new files in the place of the old ones, so the folders have changed; to look at every
        file of the program would take longer than most messages.
        """
        return any(_identity(path) != state for path, state in self._state.items())


def _modules(folders: list[str], prefix: str) -> Iterator[str]:
    for _, name, is_package in pkgutil.iter_modules(folders, prefix):
        if name.replace(".cli.", ".") not in _NOT_FOR_FILTERS:
            yield name
            if is_package:
                yield from _modules([os.path.join(folder, name.rpartition(".")[2]) for folder in folders], f"{name}.")


def _load(name: str) -> None:
    with suppress(ImportError):  # an extra that is not installed
        importlib.import_module(name)


def _identity(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def serve(path: str, program: DaemonProgram, limit: int, tell: Callable[[str], None]) -> None:
    """Serve filters on a socket until a signal comes, or the program on the disk is another one; workers finish first.

    limit: how many messages are filtered at the same time.  ConfigurationError when there cannot be a socket.
    """
    if sys.getfilesystemencoding() != "utf-8":
        raise ConfigurationError("the daemon needs a locale with UTF-8, or none")
    os.umask(0o077)
    _check_folder(os.path.dirname(os.path.abspath(path)))
    listener = _activated(path)
    bound = listener is None
    listener = listener or _bind(path)
    try:
        program.load()
        tell(f"listening on {show(path)}")
        _Server(listener, program, limit).serve()
    finally:
        if bound:
            os.unlink(path)


def _check_folder(folder: str) -> None:
    """Make sure that nobody else can take the socket away or put his own there."""
    try:
        os.close(safefile.open_folder(folder, create=True))
    except OSError as error:
        raise ConfigurationError(f"{show(folder)}: {error.strerror}") from None


def _activated(path: str) -> socket.socket | None:
    """Return the socket that systemd has opened for us (sd_listen_fds(3)), None without one."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    listener = socket.socket(fileno=_FIRST_ACTIVATED)
    listener.set_inheritable(False)
    if listener.getsockname() != os.path.abspath(path):
        raise ConfigurationError(f"{show(path)}: the service manager listens elsewhere")
    return listener


def _bind(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if _is_served(path):
        raise ConfigurationError(f"{show(path)}: another daemon listens there")
    with suppress(FileNotFoundError):
        os.unlink(path)
    try:
        listener.bind(path)
    except OSError as error:
        raise ConfigurationError(f"{show(path)}: {error.strerror or error}") from None
    listener.listen(_BACKLOG)
    return listener


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            raise ConfigurationError(f"{show(path)}: {error.strerror or error}") from None
    return True


class _Server:
    """Keeps a few workers waiting at the socket; one that has a client says so, and another takes its place."""

    def __init__(self, listener: socket.socket, program: DaemonProgram, limit: int) -> None:
        self.listener = listener
        self.program = program
        self.limit = limit
        self.waiting: set[int] = set()
        self.working: set[int] = set()
        self.stopping = False
        self.wakeup, self.bell = socket.socketpair()
        self.taken, self.take = os.pipe()
        self.end, self.life = os.pipe()  # closed when this process ends, however it does

    def serve(self) -> None:
        """Fork until it is enough, and wait for the workers."""
        for blocking in (self.listener, self.wakeup, self.bell):
            blocking.setblocking(False)
        for number in (*_STOPPING, signal.SIGCHLD):
            signal.signal(number, self._note)
        signal.set_wakeup_fd(self.bell.fileno(), warn_on_full_buffer=False)
        self._fork(_WAITING)
        while not self.stopping:
            called = self._wait()
            self._reap()
            self._fork(1 if called else _WAITING)  # a fork now would take the time of the message that just came
        self.listener.close()  # who waits there does the work himself
        os.close(self.life)
        while self.waiting or self.working:
            self._wait()
            self._reap()
        signal.set_wakeup_fd(-1)

    def _note(self, number: int, _frame: object) -> None:
        self.stopping |= number in _STOPPING

    def _fork(self, wanted: int) -> None:
        while len(self.waiting) < wanted and len(self.waiting) + len(self.working) < self.limit:
            try:
                process = os.fork()
            except OSError:
                return  # tried again in a second; clients do the work themselves
            if not process:
                self._work()
            self.waiting.add(process)

    def _wait(self) -> bool:
        """Wait until a worker has a client (true), a worker ended, a signal came, or it is time to look again."""
        bell = self.wakeup.fileno()
        ready, _, _ = select.select(
            [bell, self.taken], [], [], None if len(self.waiting) == _WAITING else _LOOK_SECONDS
        )
        if bell in ready:
            self.wakeup.recv(1 << 12)
        if self.taken in ready:
            processes = memoryview(os.read(self.taken, 4 << 8)).cast("i")
            self.working.update(self.waiting.intersection(processes))
            self.waiting.difference_update(processes)
        return self.taken in ready

    def _reap(self) -> None:
        while self.waiting or self.working:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            self.waiting.discard(process)
            self.working.discard(process)
            self.stopping |= os.waitstatus_to_exitcode(status) == worker.CHANGED

    def _work(self) -> NoReturn:
        """Be a worker: wait for a client, work for it, and end."""
        try:
            worker.begin()
            signal.set_wakeup_fd(-1)
            os.close(self.life)
            connection = self._accept()
            os.write(self.take, os.getpid().to_bytes(4, sys.byteorder))
            for ours in (self.wakeup, self.bell, self.listener):
                ours.close()
            for descriptor in (self.taken, self.take, self.end):
                os.close(descriptor)
            worker.work(connection, self.program)
        finally:
            os._exit(0)  # nothing may return into the server

    def _accept(self) -> socket.socket:
        with select.epoll() as poll:
            poll.register(self.end)
            poll.register(self.listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)  # one client wakes one worker
            while True:
                if any(descriptor == self.end for descriptor, _ in poll.poll()):
                    os._exit(0)
                with suppress(BlockingIOError, ConnectionAbortedError):  # another worker was faster
                    return self.listener.accept()[0]
