"""The filter's side: everything is handed over, or nothing has happened.

It imports almost nothing, because it stands in for a start that costs much more.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the module `signal` builds enumerations at import
import _socket as socket
import fcntl
import os
import sys

from mailguard import deadline, streams
from mailguard.daemon import request
from mailguard.errors import MailguardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

_PATIENCE_SECONDS = 20.0  # for a server that has all its workers at work
_WORKER_FIRST_SECONDS = 10.0  # the worker has the same deadline, and tells of it
_LONGEST_ANSWER = 1000
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def hand_over(path: str, arguments: Sequence[str]) -> None:
    """Let the server at this socket do the work and end with its status; return when it must be done here.

    After `streams.begin`.
    """
    if sys.getfilesystemencoding() != "utf-8":
        return  # the server would read other arguments
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    waited_for = {number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN}
    waited_for |= {signal.SIGIO, signal.SIGALRM}
    try:
        connection.settimeout(_PATIENCE_SECONDS)
        connection.connect(os.fsencode(path))
        if _user(connection) not in {0, os.geteuid()} or ask(connection, arguments) != b"ready\n":
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)  # with the go they are the worker's
        connection.sendall(b"go\n")
    except OSError:
        connection.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, waited_for)
        return
    _wait(connection, waited_for)


def _user(connection: socket.socket) -> int:
    """Return the uid of the process that made the server's socket; systemd, which is root, may have been it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder)


def ask(connection: socket.socket, arguments: Sequence[str]) -> bytes:
    """Send the request; return the line of the answer: `ready` when a worker waits for the go."""
    folder = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    passed = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2, folder))
    data = request.compose(
        list(map(os.fsencode, arguments)), os.environb, request.fingerprint(), repr(deadline.started())
    )
    sent = connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
    if sent < len(data):  # nothing at all would fail where the answer is there already
        connection.sendall(data[sent:])
    os.close(folder)
    return _line(connection)


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST_ANSWER:
        piece = connection.recv(_LONGEST_ANSWER)
        if not piece:
            break
        line += piece
    return line


def _wait(connection: socket.socket, signals: set[int]) -> NoReturn:
    """Pass on signals until the worker is done, and end with its status.

    All of them are blocked and fetched one by one, the news that the connection has something to read (SIGIO) as well:
    so none is missed between a look and a wait.
    """
    deadline.grant(_WORKER_FIRST_SECONDS)
    connection.setblocking(False)
    notify(connection)
    answer = b""
    while not answer.endswith(b"\n"):
        try:
            piece = connection.recv(_LONGEST_ANSWER)
        except BlockingIOError:
            number = signal.sigwait(signals)
            if number == signal.SIGALRM:
                streams.fail(MailguardError("the daemon did not end within the deadline"))
            if number != signal.SIGIO:
                _tell(connection, number)
            continue
        except OSError:
            break
        if not piece:
            break
        answer += piece
    word, _, status = answer.partition(b" ")
    if word != b"done":
        streams.fail(MailguardError("the daemon's worker died; the message must be tried again"))
    os._exit(int(status.split()[0]))


def notify(connection: socket.socket) -> None:
    """Let SIGIO come whenever there is something to read, or the other side has closed."""
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)


def _tell(connection: socket.socket, number: int) -> None:
    try:  # noqa: SIM105 (contextlib is slow to import)
        connection.send(bytes([number]))
    except OSError:
        pass  # it is done already
