"""External programs, shut in: they read content that an enemy wrote, with code that was not written for enemies.

With bubblewrap a program sees only /usr, fonts, the linker cache, a stub passwd and what the policy names; no network,
no capability, no environment but ours, and a scratch directory in memory that ends with it, whatever happens to us.
Without bubblewrap nothing runs unless the operator says so; the scratch directory is on disk then, locked while it is
in use, and swept at the next start after a kill.  A process beside the program kills both when we are killed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import time

from mailguard.errors import MailguardError
from mailguard.filename import split
from mailguard.formats.disarmed import ProgramRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import IO

    from mailguard.sanitize.policy import Program

BWRAP = "bwrap"
NONE = "none"

_PATH = "/usr/local/bin:/usr/bin:/bin"
_INSIDE = "/scratch"
_PREFIX = "mailguard-sanitize-"
_MEMORY = 6 << 30
_LARGEST_OUTPUT = 128 << 20
_LARGEST_FILE = 256 << 20
_SCRATCH = 512 << 20
_PROCESSES = 512
_OPEN_FILES = 512
_ERRORS_KEPT = 2_000
_PIECE = 1 << 16
_OLD = 3_600
_SEEN = ("/etc/fonts", "/var/cache/fontconfig", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/alternatives")
# The last command is not exec'ed where a file follows: its status must not be mixed up with that of cat.
_TO_STDOUT = 'exec "$@"'
# Reads the end of a pipe that only we could write to; its parent is init, so that no program waits for it.
_WATCH = '[ ! -r "$1" ] || ( (read -r _ <"$1"; kill -KILL 0) </dev/null >/dev/null 2>&1 & ); shift; '
_TO_FILE = 'result=$1; shift; "$@" >&2 || exit; [ -f "$result" ] || exit 0; exec cat "$result"'


class Kept(Exception):  # noqa: N818 (an answer)
    """The program ended with a status that the policy reads as: leave the content as it is."""


class Sandbox:
    """How programs run here: kind is BWRAP or NONE."""

    __slots__ = ("_bwrap", "kind")

    def __init__(self, kind: str = BWRAP) -> None:
        from shutil import which

        self.kind = kind
        self._bwrap = which("bwrap", path=_PATH) if kind == BWRAP else None

    def run(self, program: Program, content: bytes, mime: str, name: str) -> bytes:
        """Run a program over content of this type and (safe) name; return its output, not empty.

        ProgramRefused with the code program-missing, sandbox-missing, program-failed, program-refused or
        program-timeout; Kept.
        """
        status, output, said = self._finished(program, content, mime, name)
        if status == 0 and output:
            return output
        self._judge(program, status, said)
        raise ProgramRefused("program-failed", program.words[0], said)

    def check(self, program: Program, content: bytes, mime: str, name: str) -> None:
        """Run a program that judges content: status 0 is good; ProgramRefused for all others, unless Kept is said."""
        status, _, said = self._finished(program, content, mime, name)
        if status:
            with contextlib.suppress(Kept):
                self._judge(program, status, said)
                raise ProgramRefused("program-refused" if status == 1 else "program-failed", program.words[0], said)

    @staticmethod
    def _judge(program: Program, status: int, said: str) -> None:
        meaning = program.statuses.get(status)
        if meaning == "keep":
            raise Kept
        if meaning is not None:
            raise ProgramRefused("program-refused", program.words[0], said)

    def _finished(self, program: Program, content: bytes, mime: str, name: str) -> tuple[int, bytes, str]:
        """Return (exit status, output, stderr); ProgramRefused when it did not come to an end by itself."""
        from shutil import which

        if which(program.words[0], path=_PATH) is None:
            raise ProgramRefused("program-missing", program.words[0])
        if self.kind == BWRAP and self._bwrap is None:
            raise ProgramRefused("sandbox-missing", program.words[0])
        environment = {
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "MAILGUARD_TYPE": mime,
            "MAILGUARD_NAME": name,
        }
        run = self._in_bwrap if self._bwrap else self._in_the_open
        return run(program, content, _extension(name), environment)

    def _in_bwrap(
        self, program: Program, content: bytes, extension: str, environment: dict[str, str]
    ) -> tuple[int, bytes, str]:
        file = f"{_INSIDE}/content.{extension}"
        given, on_stdin = _given(program, content)
        passwd = _in_memory(b"nobody:x:65534:65534:nobody:/scratch:/usr/sbin/nologin\n")
        status_read, status_write = os.pipe()
        try:
            environment |= {"HOME": _INSIDE, "TMPDIR": _INSIDE}
            command = [
                str(self._bwrap),
                *_sandbox(environment, program.visible),
                *("--perms", "0600", "--file", str(given), file),
                *("--ro-bind-data", str(passwd), "/etc/passwd"),
                *("--json-status-fd", str(status_write)),
                "--",
                *_words(program, _INSIDE, file),
            ]
            process = _start(command, {}, (given, passwd, status_write), None)
            os.close(status_write)
            status_write = -1
            status, output, said = _Run(process, program, on_stdin).outcome()
            if b'"exit-code"' not in os.read(status_read, _PIECE):  # bubblewrap itself failed
                raise ProgramRefused("sandbox-missing", program.words[0], said)
            return status, output, said
        finally:
            for descriptor in (given, passwd, status_read, status_write):
                if descriptor >= 0:
                    os.close(descriptor)

    @staticmethod
    def _in_the_open(
        program: Program, content: bytes, extension: str, environment: dict[str, str]
    ) -> tuple[int, bytes, str]:
        with _scratch() as folder, _pipe() as alive:
            file = f"{folder}/content.{extension}"
            given, on_stdin = _given(program, content)
            os.close(given)
            with open(file, "xb", opener=_private) as written:
                written.write(b"" if on_stdin else content)
            shell, option, script, name, *words = _words(program, folder, file)
            command = (shell, option, _WATCH + script, name, f"/dev/fd/{alive}", *words)
            process = _start(command, environment | {"HOME": folder, "TMPDIR": folder}, (alive,), folder)
            return _Run(process, program, on_stdin).outcome()


def _given(program: Program, content: bytes) -> tuple[int, bytes]:
    """Return (descriptor of the content as a file, content for stdin): one of the two is empty."""
    as_file = any("{file}" in word for word in program.words)
    return _in_memory(content if as_file else b""), b"" if as_file else content


def _words(program: Program, folder: str, file: str) -> list[str]:
    """Return the command: a shell that runs the program's own words, and gives what it wrote to a file as output."""
    words = [word.replace("{scratch}", folder).replace("{file}", file) for word in program.words]
    if program.output:
        return ["/bin/sh", "-c", _TO_FILE, "sh", f"{folder}/{program.output}", *words]
    return ["/bin/sh", "-c", _TO_STDOUT, "sh", *words]


def _sandbox(environment: Mapping[str, str], visible: Sequence[str]) -> Iterator[str]:
    """Yield the options of bubblewrap (version 0.8 or newer)."""
    yield from ("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv")
    for name, value in environment.items():
        yield from ("--setenv", name, value)
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        if os.path.islink(f"/{name}"):
            yield from ("--symlink", f"usr/{name}", f"/{name}")
        elif os.path.isdir(f"/{name}"):
            yield from ("--ro-bind", f"/{name}", f"/{name}")
    yield from ("--proc", "/proc", "--dev", "/dev", "--perms", "0700", "--size", str(_SCRATCH), "--tmpfs", _INSIDE)
    yield from ("--perms", "1777", "--size", str(_SCRATCH), "--tmpfs", "/tmp")  # noqa: S108 (one of its own)
    for path in (*_SEEN, *visible):
        yield from ("--ro-bind-try", path, path)
    yield from ("--chdir", _INSIDE)


def _in_memory(content: bytes) -> int:
    """Return a descriptor of an unnamed file with this content, to be read from its start."""
    try:
        descriptor = os.memfd_create("content")
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError as error:
        raise MailguardError(f"cannot hold a file in memory: {error.strerror}") from error
    return descriptor


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _extension(name: str) -> str:
    last = split(name)[1]
    return last if last.isalnum() and last.isascii() else "bin"


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


def _start(
    command: Sequence[str], environment: Mapping[str, str], descriptors: tuple[int, ...], folder: str | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=folder or "/",
            pass_fds=descriptors,
            start_new_session=True,
            preexec_fn=lambda: _limits(300),  # noqa: PLW1509 (there are no threads)
        )
    except OSError as error:
        raise MailguardError(f"{command[0]}: {error.strerror}") from error


class _Run:
    """One process: written to and read from at the same time, so that neither side ever waits for the other."""

    def __init__(self, process: subprocess.Popen[bytes], program: Program, content: bytes) -> None:
        self.process = process
        self.program = program
        self.rest = memoryview(content)
        self.output: list[bytes] = []
        self.size = 0
        self.said = b""
        self.limit = time.monotonic() + program.timeout

    def outcome(self) -> tuple[int, bytes, str]:
        try:
            self._exchange()
            status = self.process.wait(max(self.limit - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            raise ProgramRefused("program-timeout", self.program.words[0], self._text()) from None
        finally:
            self._end()
        return status, b"".join(self.output), self._text()

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
                ready = selector.select(max(self.limit - time.monotonic(), 0))
                if time.monotonic() >= self.limit:
                    raise subprocess.TimeoutExpired("", 0)
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


@contextlib.contextmanager
def _pipe() -> Iterator[int]:
    """Make a pipe and give its end for reading: as long as we live, nothing comes out of it, and no end."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """Make a private directory that is removed at the end; it is locked, so that a sweep leaves it alone."""
    import fcntl
    import shutil
    import tempfile

    sweep()
    try:
        fresh = tempfile.mkdtemp(prefix="mailguard-new-")
        lock = os.open(f"{fresh}/.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MailguardError(f"cannot make a scratch directory: {error.strerror}") from error
    folder = fresh
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = fresh.replace("mailguard-new-", _PREFIX)
        os.rename(fresh, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep() -> None:
    """Remove scratch directories of ours whose owner was killed."""
    import shutil
    import tempfile

    root = tempfile.gettempdir()
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(root)):
            if entry.name.startswith((_PREFIX, "mailguard-new-")) and _is_left(entry):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(entry: os.DirEntry[str]) -> bool:
    import fcntl

    try:
        known = entry.stat(follow_symlinks=False)
        if not entry.is_dir(follow_symlinks=False) or known.st_uid != os.geteuid():
            return False
        if not entry.name.startswith(_PREFIX):
            return known.st_mtime < time.time() - _OLD
        lock = os.open(f"{entry.path}/.lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
