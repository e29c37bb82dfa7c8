"""The server: everything loaded, one process for each message, and nothing between two messages."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import select
import signal
import socket
import stat
import sys
from contextlib import suppress

from mailguard.daemon import worker
from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import NoReturn

_BACKLOG = 512
_FIRST_ACTIVATED = 3  # SD_LISTEN_FDS_START
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_NOT_FOR_FILTERS = {"archives", "batch", "check", "doctor", "milter", "report"}
_LIBRARIES = (
    "base64", "bz2", "cryptography.hazmat.primitives.ciphers", "dkim", "dns.resolver", "email.parser", "hashlib",
    "hmac", "json", "libarchive", "lxml.etree", "lxml.html", "lzma", "magic", "nh3", "oletools.olevba", "pikepdf",
    "PIL.Image", "pybase64", "publicsuffixlist", "pypdfium2", "pyzipper", "spf", "ssl", "subprocess", "syslog",
    "tempfile", "tomllib", "zipfile",
)  # fmt: skip


class Program:
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
        if name.rpartition(".")[2] not in _NOT_FOR_FILTERS:
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


def serve(path: str, program: Program, limit: int, tell: Callable[[str], None]) -> None:
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
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    status = os.stat(folder)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigurationError(f"{show(folder)}: the folder of the socket must be ours and have mode 0700")


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
    def __init__(self, listener: socket.socket, program: Program, limit: int) -> None:
        self.listener = listener
        self.program = program
        self.limit = limit
        self.workers: set[int] = set()
        self.stopping = False
        self.wakeup, self.bell = socket.socketpair()

    def serve(self) -> None:
        """Accept and fork until it is enough, and wait for the workers."""
        self.listener.setblocking(False)
        self.wakeup.setblocking(False)
        self.bell.setblocking(False)
        for number in (*_STOPPING, signal.SIGCHLD):
            signal.signal(number, self._note)
        signal.set_wakeup_fd(self.bell.fileno(), warn_on_full_buffer=False)
        while self.workers or not self.stopping:
            if self._is_called():
                self._accept()
            self._reap()
            if self.stopping:
                self.listener.close()  # who waits there does the work himself
        signal.set_wakeup_fd(-1)

    def _note(self, number: int, _frame: object) -> None:
        self.stopping |= number in _STOPPING

    def _is_called(self) -> bool:
        """Wait until something happens; tell whether it is a client, and there may be one more worker."""
        accepting = not self.stopping and len(self.workers) < self.limit
        watched = [self.wakeup, self.listener] if accepting else [self.wakeup]
        ready, _, _ = select.select(watched, [], [])
        if self.wakeup in ready:
            self.wakeup.recv(1 << 12)
        return self.listener in ready and not self.stopping

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        try:
            process = os.fork()
        except OSError:
            connection.close()  # the client does the work itself
            return
        if process:
            self.workers.add(process)
            connection.close()
            return
        signal.set_wakeup_fd(-1)
        for ours in (self.listener, self.wakeup, self.bell):
            ours.close()
        worker.work(connection, self.program)

    def _reap(self) -> None:
        while self.workers:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            self.workers.discard(process)
            self.stopping |= os.waitstatus_to_exitcode(status) == worker.CHANGED
