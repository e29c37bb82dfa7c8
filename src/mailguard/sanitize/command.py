"""External programs, shut in: they read content that an enemy wrote, with code that was not written for enemies.

With bubblewrap a program sees what `bubblewrap` says, and makes only the system calls of `syscalls`; its scratch
directory lies in memory and ends with it, whatever happens to us.  Without bubblewrap nothing runs unless the operator
says so; the scratch directory is on disk then.  A process beside the program kills both when we are killed.  Nothing
runs as root in either: what root starts runs as nobody.
"""

from __future__ import annotations

import contextlib
import os

from mailguard.errors import MailguardError
from mailguard.filename import split
from mailguard.formats.disarmed import ProgramRefused
from mailguard.sanitize import account, bubblewrap, syscalls
from mailguard.sanitize.bubblewrap import INSIDE, SIZES
from mailguard.sanitize.process import RunningProgram, other_user, start
from mailguard.sanitize.scratch import scratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.sanitize.policy import Program

BWRAP = "bwrap"
NONE = "none"

_LONGEST_FIND = 2_000  # octets of what a scanner says
_PATH = "/usr/local/bin:/usr/bin:/bin"
_PASSWD = b"nobody:x:65534:65534:nobody:/scratch:/usr/sbin/nologin\n"
# The last command is not exec'ed where a file follows: its status must not be mixed up with that of cat.
_TO_STDOUT = 'exec "$@"'
# Reads the end of a pipe that only we could write to; its parent is init, so that no program waits for it.
_WATCH = '[ ! -r "$1" ] || ( (read -r _ <"$1"; kill -KILL 0) </dev/null >/dev/null 2>&1 & ); shift; '
_TO_FILE = 'result=$1; shift; "$@" >&2 || exit; [ -f "$result" ] || exit 0; exec cat "$result"'


class Kept(Exception):  # noqa: N818 (an answer)
    """The program ended with a status that the policy reads as: leave the content as it is."""


class Sandbox:
    """How programs run here.

    kind: BWRAP or NONE; secrets: files that no program may see (key, passwords, configuration); memory: octets for one
    program and everything it starts, None for what suits this machine.
    """

    __slots__ = ("_bwrap", "kind", "memory", "secrets")

    def __init__(self, kind: str = BWRAP, secrets: Sequence[str] = (), memory: int | None = None) -> None:
        from shutil import which

        self.kind = kind
        self.secrets = tuple(secrets)
        self.memory = memory or account.limit()
        self._bwrap = which("bwrap", path=_PATH) if kind == BWRAP else None

    def run(self, program: Program, content: bytes, mime: str, name: str) -> bytes:
        """Run a program over content of this type and (safe) name; return its output, not empty.

        ProgramRefused with the code program-missing, sandbox-missing, program-failed, program-refused,
        program-timeout or program-memory; Kept.
        """
        status, output, said = self._finished(program, content, mime, name)
        if status == 0 and output:
            return output
        self._judge(program, status, said)
        raise ProgramRefused("program-failed", program.words[0], said)

    def check(self, program: Program, content: bytes, mime: str, name: str) -> None:
        """Run a program that judges content: status 0 is good; ProgramRefused for all others, unless Kept is said.

        What it says is what it found: see `_find`.
        """
        status, output, said = self._finished(program, content, mime, name)
        if status:
            said = _find(output[:_LONGEST_FIND].decode("utf-8", "backslashreplace"), said)
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
        file = f"{INSIDE}/content.{extension}"
        machine = syscalls.machine()
        if machine is None:
            raise ProgramRefused(
                "sandbox-missing", program.words[0], f"no list of system calls for {os.uname().machine}"
            )
        try:
            view = list(
                bubblewrap.options(environment | {"HOME": INSIDE, "TMPDIR": INSIDE}, program.visible, self.secrets)
            )
        except bubblewrap.Exposed as error:
            raise ProgramRefused("sandbox-missing", program.words[0], str(error)) from None
        given, on_stdin = _given(program, content)
        passwd, calls = _in_memory(_PASSWD), _in_memory(syscalls.program(machine))
        status_read, status_write = os.pipe()
        try:
            command = [
                *(str(self._bwrap), *view),
                *("--perms", "0600", "--file", str(given), file),
                *("--ro-bind-data", str(passwd), "/etc/passwd"),
                *(*bubblewrap.closed(), "--seccomp", str(calls), "--json-status-fd", str(status_write), "--"),
                *_words(program, INSIDE, file),
            ]
            process = start(command, {}, (given, passwd, calls, status_write), "/")
            os.close(status_write)
            status_write = -1
            status, output, said = RunningProgram(
                process, program, on_stdin, memory=self.memory, folders=SIZES
            ).outcome()
            if b'"exit-code"' not in os.read(status_read, 1 << 16):  # bubblewrap itself failed
                raise ProgramRefused("sandbox-missing", program.words[0], said)
            return status, output, said
        finally:
            for descriptor in (given, passwd, calls, status_read, status_write):
                if descriptor >= 0:
                    os.close(descriptor)

    def _in_the_open(
        self, program: Program, content: bytes, extension: str, environment: dict[str, str]
    ) -> tuple[int, bytes, str]:
        user = other_user()
        with scratch(user) as folder, _pipe(user) as alive:
            file = f"{folder}/content.{extension}"
            given, on_stdin = _given(program, content)
            os.close(given)
            with open(file, "xb", opener=_private) as written:
                written.write(b"" if on_stdin else content)
                if user is not None:
                    os.fchown(written.fileno(), user, user)
            shell, option, script, name, *words = _words(program, folder, file)
            command = (shell, option, _WATCH + script, name, f"/dev/fd/{alive}", *words)
            process = start(command, environment | {"HOME": folder, "TMPDIR": folder}, (alive,), folder)
            return RunningProgram(process, program, on_stdin, memory=self.memory, folders={}).outcome()


def _find(output: str, errors: str) -> str:
    """Return what a scanner found, as it names it.

    clamscan and clamdscan (ClamAV 0.103 to 1.4) write "FILE: NAME FOUND" on stdout, before a summary and beside
    warnings on stderr (size limits, the age of their data); others write a line on either.
    """
    lines = [line.strip() for line in (*output.splitlines(), *errors.splitlines())]
    named = next((line for line in lines if line.endswith(" FOUND")), "")
    if named:
        return named.rpartition(": ")[2].removesuffix(" FOUND")
    return output.strip() or errors


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


@contextlib.contextmanager
def _pipe(owner: int | None) -> Iterator[int]:
    """Make a pipe and give its end for reading: as long as we live, nothing comes out of it, and no end."""
    reading, writing = os.pipe()
    try:
        if owner is not None:
            os.fchown(reading, owner, owner)  # it is opened by its name, /dev/fd
        yield reading
    finally:
        os.close(reading)
        os.close(writing)
