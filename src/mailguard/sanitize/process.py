"""One run of an external program: its user, its limits, and the exchange with it until it ends or is ended."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import time

from mailguard.errors import MailguardError
from mailguard.formats.disarmed import ProgramRefused
from mailguard.sanitize import account

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

    from mailguard.sanitize.policy import Program

NOBODY = 65534
"""Who runs what root starts: nobody, on every Linux the one whom no file belongs to."""

_MEMORY = 4 << 30
_LARGEST_OUTPUT = 128 << 20
_LARGEST_FILE = 256 << 20
_PROCESSES = 512
_OPEN_FILES = 512
_ERRORS_KEPT = 2_000
_PIECE = 1 << 16
_LOOK = 0.05


def other_user() -> int | None:
    """Return the user that a program must run as, None where that is our own: never root, in a sandbox or not."""
    return NOBODY if os.geteuid() == 0 else None


def _limits(timeout: int) -> None:
    """Set the limits of a program; runs in the child before the program starts."""
    for what, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, timeout + 1),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_DATA, _MEMORY),  # not what is left for the message
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_NPROC, _PROCESSES),
    ):
        most = resource.getrlimit(what)[1]
        limit = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(what, (limit, limit))
    os.umask(0o077)


def start(
    command: Sequence[str], environment: Mapping[str, str], descriptors: tuple[int, ...], folder: str
) -> subprocess.Popen[bytes]:
    """Start a command, never as root, in a session of its own, with limits.

    ProgramRefused where it may not be started at all, which no retry mends; MailguardError for what passes.
    """
    user = other_user()
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
            pass_fds=descriptors,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
            preexec_fn=lambda: _limits(300),  # noqa: PLW1509 (there are no threads)
        )
    except PermissionError as error:
        raise ProgramRefused(
            "sandbox-missing", command[0], f"{error.filename or command[0]}: {error.strerror}"
        ) from error
    except OSError as error:
        raise MailguardError(f"{command[0]}: {error.strerror}") from error


class RunningProgram:
    """One process: written to and read from at the same time, so that neither side ever waits for the other."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        program: Program,
        content: bytes,
        *,
        memory: int,
        folders: Mapping[str, int],
    ) -> None:
        self.process = process
        self.program = program
        self.rest = memoryview(content)
        self.output: list[bytes] = []
        self.size = 0
        self.said = b""
        self.limit = time.monotonic() + program.timeout
        self.memory = memory
        self.folders = folders
        self.looked = 0.0

    def outcome(self) -> tuple[int, bytes, str]:
        """Return (exit status, output, stderr); ProgramRefused: program-timeout, program-memory, over-limit."""
        try:
            self._exchange()
            status = self._ended()
        finally:
            self._end()
        return status, b"".join(self.output), self._text()

    def _ended(self) -> int:
        """Wait for the end of a program that has closed its streams."""
        while True:
            self._look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(_LOOK)

    def _look(self) -> None:
        """Look, now and then, whether time and memory are still within their limits."""
        now = time.monotonic()
        if now >= self.limit:
            raise ProgramRefused("program-timeout", self.program.words[0], self._text())
        if now >= self.looked + _LOOK:
            self.looked = now
            if account.held(self.process.pid, self.folders) > self.memory:
                raise ProgramRefused("program-memory", self.program.words[0], self._text())

    def _text(self) -> str:
        return self.said.decode("utf-8", "backslashreplace")

    def _end(self) -> None:
        """Kill all that is left of the process group and wait for the leader."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        self.process.wait()

    def _exchange(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with selectors.DefaultSelector() as selector:
            for stream, events, act in (
                (self.process.stdin, selectors.EVENT_WRITE, self._write),
                (self.process.stdout, selectors.EVENT_READ, self._read),
                (self.process.stderr, selectors.EVENT_READ, self._read_errors),
            ):
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, events, act)
            while selector.get_map():
                ready = selector.select(_LOOK)
                self._look()
                for key, _ in ready:
                    if not key.data():
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]

    def _write(self) -> bool:
        """Write a piece; False when there is nothing more to write, or nobody who reads."""
        assert self.process.stdin is not None
        try:
            if self.rest:
                self.rest = self.rest[os.write(self.process.stdin.fileno(), self.rest[:_PIECE]) :]
        except BrokenPipeError:
            return False
        return bool(self.rest)

    def _read(self) -> bool:
        piece = _piece(self.process.stdout)
        self.size += len(piece)
        if self.size > _LARGEST_OUTPUT:
            raise ProgramRefused("over-limit", self.program.words[0])
        self.output.append(piece)
        return bool(piece)

    def _read_errors(self) -> bool:
        piece = _piece(self.process.stderr)
        self.said = (self.said + piece)[:_ERRORS_KEPT]
        return bool(piece)


def _piece(stream: IO[bytes] | None) -> bytes:
    assert stream is not None
    return os.read(stream.fileno(), _PIECE)
