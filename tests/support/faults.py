"""Programs in which one system call goes wrong, by strace(1): each call once, with each error that it may have.

The processes are forked from one that has loaded everything, so that what is counted is the work on the message, and a
case takes a tenth of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

DEADLINE = 30
KILL = "KILL"
_NAMES = "ENOSPC EIO EACCES EINTR"
_OPENS = "ENOSPC EIO EMFILE EACCES EINTR"
ERRORS = {
    name: [*errors.split(), KILL]
    for names, errors in (
        ("open openat openat2", _OPENS),
        ("mkdir mkdirat link linkat rename renameat renameat2 unlink unlinkat rmdir symlink", _NAMES),
        ("write pwrite64 writev sendfile fsync fdatasync ftruncate fallocate", "ENOSPC EIO EINTR"),
        ("read pread64 readv lseek close getdents64 flock", "EIO EINTR"),
        ("stat lstat newfstatat statx fstat fstatfs statfs access faccessat faccessat2 readlink", "EIO EACCES"),
        ("chmod fchmod fchown utimensat chdir fchdir getcwd", "EIO EACCES"),
        ("pipe pipe2 dup dup2 dup3 socket socketpair epoll_create1 eventfd2 memfd_create", "EMFILE"),
        ("connect bind listen sendto sendmsg recvfrom recvmsg getsockopt setsockopt shutdown", "EIO EACCES EINTR"),
        ("getsockname getpeername", "EIO"),
        ("poll ppoll select pselect6 epoll_wait", "EINTR"),
        ("wait4 waitid", "EINTR ECHILD"),
        ("fork vfork clone clone3", "EAGAIN"),
        ("execve", "ENOMEM EACCES"),
        ("mmap mremap mprotect madvise", "ENOMEM"),
        ("fcntl ioctl prlimit64 getrandom sync setsid kill", "EIO"),
    )
    for name in names.split()
}
_HARMLESS = (
    "brk munmap exit exit_group futex rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack set_robust_list rseq gettid"
    " getpid getppid getuid geteuid getgid getegid umask setitimer getitimer alarm clock_gettime clock_nanosleep uname"
    " sched_yield sched_getaffinity restart_syscall set_tid_address arch_prctl getrusage times sysinfo tgkill"
    " rt_sigtimedwait rt_sigpending gettimeofday getgroups nanosleep"
)
HARMLESS = frozenset(_HARMLESS.split())
"""What cannot fail, or where a failure is the end of the C library (futex) or of allocators that have another way."""


class Case:
    """One fault: number, which call of that name, from 1."""

    __slots__ = ("error", "name", "number")

    def __init__(self, name: str, number: int, error: str) -> None:
        self.name = name
        self.number = number
        self.error = error

    def __str__(self) -> str:
        return f"{self.name}:{self.error}:{self.number}"

    @property
    def expression(self) -> str:
        """What strace's -e takes."""
        what = f"signal={self.error}" if self.error == KILL else f"error={self.error}"
        return f"inject={self.name}:{what}:when={self.number}"


def cases(calls: Counter[str]) -> list[Case]:
    """Return all faults of a program that made these calls."""
    unknown = calls.keys() - ERRORS.keys() - HARMLESS
    assert not unknown, f"which errors can these have? {sorted(unknown)}"
    return [
        Case(name, number, error)
        for name in sorted(calls.keys() & ERRORS.keys())
        for number in range(1, calls[name] + 1)
        for error in ERRORS[name]
    ]


class Done:
    """How a program ended: status; output, errors: what it wrote; calls: of the traced process."""

    __slots__ = ("calls", "errors", "output", "status")

    def __init__(self, status: int, output: bytes, errors: bytes, calls: Counter[str]) -> None:
        self.status = status
        self.output = output
        self.errors = errors
        self.calls = calls


class Zygote:
    """Runs programs; `with Zygote() as zygote`."""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _start(self) -> None:
        self._waiting, told = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("fault_zygote.py")), str(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[told],
            start_new_session=True,
        )
        os.close(told)

    def _stop(self) -> None:
        """End it, and whatever it started that is still in its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(DEADLINE)
        for file in (self._process.stdin, self._process.stdout):
            assert file
            with contextlib.suppress(OSError):
                file.close()
        os.close(self._waiting)

    def _hangs(self, what: str) -> NoReturn:
        self._stop()
        self._start()
        raise AssertionError(f"hangs: {what}")

    def run(
        self,
        folder: Path,
        arguments: list[str],
        environment: dict[str, str],
        raw: bytes = b"",
        *,
        depth: int | None = None,
        case: Case | None = None,
    ) -> Done:
        """Run a program in a folder; trace its process at that depth, with that fault."""
        assert self._process.stdin
        assert self._process.stdout
        (folder / ".in").write_bytes(raw)
        (folder / ".traced").unlink(missing_ok=True)
        order = {
            "arguments": arguments,
            "environment": environment,
            "folder": str(folder),
            "input": str(folder / ".in"),
            "output": str(folder / ".out"),
            "errors": str(folder / ".err"),
            "depth": depth,
        }
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answers = self._process.stdout.fileno()
        calls: Counter[str] = Counter()
        if depth is not None:
            ready, _, _ = select.select([self._waiting, answers], [], [], DEADLINE)
            if not ready:
                self._hangs("neither began nor ended")
            if self._waiting in ready:
                calls = self._traced(int(os.read(self._waiting, 100)), folder / ".trace", case)
        if not select.select([answers], [], [], DEADLINE)[0]:
            self._hangs("the program")
        status = int(self._process.stdout.readline())
        return Done(status, (folder / ".out").read_bytes(), (folder / ".err").read_bytes(), calls)

    def _traced(self, process: int, trace: Path, case: Case | None) -> Counter[str]:
        for _ in range(1 << 20):
            if re.search(r"\) T", Path(f"/proc/{process}/stat").read_text()):
                break
            os.sched_yield()
        words = ["-e", f"trace={case.name}", "-e", case.expression] if case else []
        with subprocess.Popen(
            ["strace", "-o", str(trace), *words, "-p", str(process)], stderr=subprocess.PIPE
        ) as tracer:
            assert tracer.stderr
            line = tracer.stderr.readline()
            assert b"attached" in line, line
            os.kill(process, signal.SIGCONT)
            try:
                tracer.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                tracer.wait(DEADLINE)
                self._hangs("the traced process")
        names = re.findall(r"^(?:[0-9]+ +)?([a-z_0-9]+)\(", trace.read_text(errors="replace"), re.MULTILINE)
        return Counter(names)


def sampled(found: list[Case], count: int, seed: int) -> Iterator[Case]:
    """Yield all cases, or as many as `count`, always the same ones for a seed, spread over all names and errors."""
    import random

    if len(found) <= count:
        yield from found
        return
    groups: dict[tuple[str, str], list[Case]] = {}
    for each in found:
        groups.setdefault((each.name, each.error), []).append(each)
    chosen = random.Random(seed)
    for group in groups.values():
        chosen.shuffle(group)
    order = list(groups.values())
    chosen.shuffle(order)
    turn = 0
    while count and any(order):
        group = order[turn % len(order)]
        turn += 1
        if group:
            count -= 1
            yield group.pop()
