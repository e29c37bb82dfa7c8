"""The work for one client, in a process of its own that becomes like the client and ends with the message."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress

from mailguard import deadline, streams
from mailguard.daemon import request
from mailguard.daemon.client import notify
from mailguard.errors import MailguardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

    from mailguard.daemon.server import DaemonProgram

_CLIENT_SECONDS = 20.0  # for the request, and for the go
_READER_SECONDS = 60.0  # for a client that fetches its output from the connection
_LARGEST_REQUEST = 16 << 20
_PIECE = 1 << 16
_DESCRIPTORS = 4
_NAMESPACES = ("mnt", "net", "user", "uts")
_FOLLOWED = ("CORE", "CPU", "FSIZE", "NOFILE", "NPROC", "STACK")
_OWN = ("AS", "DATA")
"""Limits of what a process has: the worker has much that the client would not have, so it cannot live with them."""
CHANGED = 3
"""Status of a worker that found the program on the disk to be another one than that which is loaded."""
_own_namespaces: dict[str, int] = {}


class DaemonClient(streams.Caller):
    """The client of a worker, at the other end of a connection; descriptors: those that it passed, or none."""

    __slots__ = ("connection", "descriptors", "request")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.descriptors: list[int] = []
        self.request = self._receive()

    def _receive(self) -> request.Request:
        data, ancillary, _, _ = self.connection.recvmsg(
            _PIECE, socket.CMSG_SPACE(4 * _DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, passed in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self.descriptors = list(memoryview(passed[: len(passed) // 4 * 4]).cast("i"))
        if len(self.descriptors) not in {0, _DESCRIPTORS}:
            raise MailguardError("another protocol")
        buffer = bytearray(data)
        while (found := request.parse(bytes(buffer))) is None:
            piece = self.connection.recv(_PIECE)
            if not piece or len(buffer) > _LARGEST_REQUEST:
                raise MailguardError("the client gave up")
            buffer += piece
        return found

    def check(self) -> None:
        """Take notice of signals; end the process when the client is gone, before the message is written."""
        while self.descriptors:
            try:
                numbers = self.connection.recv(_PIECE)
            except BlockingIOError:
                return
            except OSError:
                numbers = b""
            if not numbers:
                os._exit(MailguardError.status)
            for number in set(numbers) & {signal.SIGTERM, signal.SIGHUP, signal.SIGINT}:
                os.kill(os.getpid(), number)
        if _is_closed(self.connection):
            os._exit(MailguardError.status)

    def look(self, _number: int, _frame: FrameType | None) -> None:
        """Handle SIGIO."""
        self.check()

    def done(self, status: int) -> None:
        """Tell the status, and send what was written to a client that passed no descriptors."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        with suppress(OSError):
            self.connection.settimeout(_READER_SECONDS)
            length = 0 if self.descriptors else os.fstat(1).st_size
            self.connection.sendall(b"done %d %d\n" % (status, length))
            for descriptor in () if self.descriptors else (1, 2):
                with open(descriptor, "rb", buffering=0, closefd=False) as written:
                    self.connection.sendfile(written)


def _is_closed(connection: socket.socket) -> bool:
    """Tell whether the client has closed the connection altogether; one direction is closed when a message ends."""
    import select

    poll = select.poll()
    poll.register(connection, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def begin() -> None:
    """Do what can be done before there is a client: signals are handled no longer as the server does."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    with suppress(OSError):  # every client is refused then
        _own_namespaces.update((name, os.stat(f"/proc/self/ns/{name}").st_ino) for name in _NAMESPACES)


def work(connection: socket.socket, program: DaemonProgram) -> NoReturn:
    """Do the work for a client, and end the process."""
    accepted = time.monotonic()
    connection.settimeout(_CLIENT_SECONDS)
    try:
        client = _prepared(connection, program)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the client does the work itself)
        _refuse(connection, error)
    try:
        deadline.count_from(min(client.request.started or accepted, accepted))
        _take_place(client)
        program.run()
    except BaseException as error:  # noqa: BLE001 (nothing may return into the server)
        streams.fail(error)


class _Changed(MailguardError):  # noqa: N818 (a state)
    pass


def _prepared(connection: socket.socket, program: DaemonProgram) -> DaemonClient:
    """Become like the client and get its go; whatever is raised here, nothing of the client's was touched."""
    pid, user, group = memoryview(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)).cast("i")
    if (user, group) != (os.geteuid(), os.getegid()):
        raise MailguardError("another user or group")
    client = DaemonClient(connection)
    asked = client.request
    if program.is_changed():
        raise _Changed("mailguard was installed anew; the daemon must be started again")
    if asked.fingerprint and asked.fingerprint != request.fingerprint():
        raise MailguardError("the client is another installation of mailguard")
    if not asked.arguments or os.fsdecode(asked.arguments[0]) not in program.filters:
        raise MailguardError("no filter")
    _check_namespaces(pid)
    _follow_limits(pid)
    _follow_environment(client)
    if client.descriptors:
        os.fchdir(client.descriptors[3])
        connection.sendall(b"ready\n")
        if connection.recv(3) != b"go\n":
            os._exit(0)
    return client


def _refuse(connection: socket.socket, error: BaseException) -> NoReturn:
    reason = streams.describe(error)
    with suppress(OSError):
        connection.sendall(f"refused {reason}\n".encode())
        os.write(2, f"mailguard daemon: refused a client: {reason}\n".encode())
    os._exit(CHANGED if isinstance(error, _Changed) else 0)


def _check_namespaces(pid: int) -> None:
    """Make sure that the same names mean the same files and hosts to the client."""
    try:
        for name in _NAMESPACES:
            if os.stat(f"/proc/{pid}/ns/{name}").st_ino != _own_namespaces.get(name):
                raise MailguardError(f"the client is in another {name} namespace")
        if not os.path.samestat(os.stat(f"/proc/{pid}/root"), os.stat("/")):
            raise MailguardError("the client has another root directory")
    except OSError:
        raise MailguardError("the client cannot be examined in /proc") from None


def _follow_limits(pid: int) -> None:
    for name in _OWN:
        if resource.prlimit(pid, getattr(resource, f"RLIMIT_{name}"))[0] != resource.RLIM_INFINITY:
            raise MailguardError("the client's memory is limited")
    for name in _FOLLOWED:
        number = getattr(resource, f"RLIMIT_{name}")
        wanted, own = resource.prlimit(pid, number), resource.getrlimit(number)
        if wanted == own:
            continue
        soft, hard = (_value(limit) for limit in wanted)
        if soft > _value(own[1]):
            raise MailguardError(f"the daemon's limit of {name} is lower than the client's")
        highest = min(hard, _value(own[1]))
        resource.setrlimit(number, (wanted[0], resource.RLIM_INFINITY if highest == _value(-1) else int(highest)))


def _value(limit: int) -> float:
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def _follow_environment(client: DaemonClient) -> None:
    os.environb.clear()
    os.environb.update(client.request.environment)
    time.tzset()
    sys.argv[:] = ["mailguard", *map(os.fsdecode, client.request.arguments)]


def _take_place(client: DaemonClient) -> None:
    """Put the client's descriptors in the place of ours; from now on we are the filter."""
    passed = client.descriptors[:3] or [os.memfd_create("mailguard", os.MFD_CLOEXEC) for _ in range(3)]
    for target, descriptor in enumerate(passed):
        os.dup2(descriptor, target)
        os.close(descriptor)
    streams.begin(client)
    client.connection.setblocking(not client.descriptors)
    signal.signal(signal.SIGIO, client.look)
    notify(client.connection)
    client.check()
    if not client.descriptors:
        _receive_message(client)


def _receive_message(client: DaemonClient) -> None:
    """Make a file of what the connection brings, and of it standard input."""
    with open(0, "wb", closefd=False) as file:  # buffered: one write of the system may end at a limit without an error
        file.write(client.request.rest)  # which is empty when the message has not begun to arrive
        while piece := client.connection.recv(_PIECE):
            file.write(piece)
        file.seek(0)
