"""Work on hostile content in a child process: what a library's C code does with it ends there.

The child has limits on memory and processor time, and gives its result through a pipe.  A crash, a
limit and an unexpected error are all the same to the caller: the content is refused.
"""

from __future__ import annotations

import contextlib
import os
import signal

from mailguard.errors import ContentLimit, MailguardError
from mailguard.formats.disarmed import Disarmed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from mailguard.formats.disarmed import Options

MEMORY = 256 << 20
"""Octets of memory that the child may take in addition to what the process has, unless less is said."""
SECONDS = 60
"""Processor time of the child."""
_LARGEST_RESULT = 256 << 20


def confined(
    work: Callable[[bytes, Options], Disarmed], content: bytes, options: Options, memory: int = MEMORY
) -> Disarmed:
    """Return what `work` returns, or raise its Refused; other endings are Refused("damaged") or ("over-limit").

    memory: octets that the child may take in addition to what this process has.  Unchanged content is returned as the
    same object.
    """
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise MailguardError(f"cannot start a process: {error.strerror}") from error
    if child == 0:
        _child(work, content, options, memory, writing)
    os.close(writing)
    status = None
    try:
        answer = _read(reading)
        status = os.waitpid(child, 0)[1]
    finally:
        os.close(reading)
        if status is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return _result(answer, status, content)


def _read(descriptor: int) -> bytes:
    pieces = []
    size = 0
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
        size += len(piece)
        if size > _LARGEST_RESULT:
            raise Refused("over-limit")
    return b"".join(pieces)


def _result(answer: bytes, status: int, content: bytes) -> Disarmed:
    head, mark, data = answer.partition(b"\n")
    if status or not mark:
        over = os.WIFSIGNALED(status) and os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL}
        raise Refused("over-limit" if over else "damaged")
    kind, *values = head.decode("ascii").split(" ")
    if kind == "refused":
        raise Refused(values[0])
    mime, extension, *removed = values
    return Disarmed(content if kind == "same" else data, mime, extension, tuple(removed))


def _child(
    work: Callable[[bytes, Options], Disarmed], content: bytes, options: Options, memory: int, descriptor: int
) -> NoReturn:
    """Work, write, and end without any of the parent's cleaning up."""
    status = 1
    try:
        _limit(memory)
        _answer(work, content, options, descriptor)
        status = 0
    except BaseException:  # noqa: BLE001 (nothing may return into the parent's code)
        status = 1
    finally:
        os._exit(status)


def _answer(work: Callable[[bytes, Options], Disarmed], content: bytes, options: Options, descriptor: int) -> None:
    data = b""
    try:
        result = work(content, options)
        kind = "same" if result.data is content else "changed"
        data = b"" if result.data is content else result.data
        head = " ".join((kind, result.mime, result.extension, *result.removed))
    except Refused as refusal:
        head = f"refused {refusal.code}"
    except (MemoryError, ContentLimit):
        head = "refused over-limit"
    except Exception as error:  # noqa: BLE001 (libraries raise anything for damaged content)
        head = f"refused {'over-limit' if 'alloc' in str(error) else 'damaged'}"
    with contextlib.suppress(BrokenPipeError):
        for piece in (head.encode("ascii") + b"\n", data):
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]


def _limit(memory: int) -> None:
    """Set the limits of the child; what it writes to stdout or stderr (C libraries do) goes nowhere."""
    import resource

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    _lower(resource.RLIMIT_AS, _size() + memory)


def _lower(kind: int, octets: int) -> None:
    import resource

    _, hard = resource.getrlimit(kind)
    limit = octets if hard == resource.RLIM_INFINITY else min(octets, hard)
    resource.setrlimit(kind, (limit, limit))


def _size() -> int:
    """Return the octets of address space in use."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 1 << 30
