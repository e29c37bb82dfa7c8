"""Work on hostile content in a child process: what a library's C code does with it ends there.

The child has limits on memory and processor time, and gives its result through a pipe.  A crash, a
limit and an unexpected error are all the same to the caller: the content is refused.

A fork costs more than a small page.  So the small contents of a message that one module works on share a child, which
gets them one after the other; a large one has a child of its own, which sees it without a copy.  A shared child that
ends takes the content with it that it has, and the next content gets another child.  `dismiss` ends it with its
message: no message sees a process in which another one was at work.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the module `signal` builds enumerations at import
import os

from mailguard.errors import ContentLimit, MailguardError
from mailguard.formats.disarmed import Disarmed, Options, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Work = Callable[[bytes, Options], Disarmed]

MEMORY = 256 << 20
"""Octets of memory that the child may take in addition to what the process has, unless less is said."""
SECONDS = 60
"""Processor time of the child for one content."""
_LARGEST_RESULT = 256 << 20
_SMALL = 1 << 18
_LENGTH = 8  # octets in which the length of what follows is written


def confined(work: Work, content: bytes, options: Options, memory: int = MEMORY) -> Disarmed:
    """Return what `work` returns, or raise its Refused; other endings are Refused("damaged") or ("over-limit").

    work: one that is no function of a module has a child of its own; memory: octets that the child may take in addition
    to what this process has.  Unchanged content is returned as the same object.
    """
    if len(content) > _SMALL or "<" in work.__qualname__:
        own = _Child(lambda answers, _orders: _answer(work, content, options, memory, answers))
        try:
            return _result(own.answer(), content)
        finally:
            own.end()
    child = _shared.get(work.__module__)
    if child is None:
        child = _shared[work.__module__] = _Child(lambda answers, orders: _serve(options, answers, orders))
    try:
        child.order((work.__module__, work.__qualname__, memory, *options.plain(), content))
        answer = child.answer()
    except BaseException:  # not even the end of the time may leave a child behind that is in the middle of something
        _shared.pop(work.__module__).end()
        raise
    return _result(answer, content)


_shared: dict[str, _Child] = {}


def dismiss() -> None:
    """End the children that the contents of the message shared."""
    while _shared:
        _shared.popitem()[1].end()


class _Child:
    """A child process; live: what it does, with the descriptors that it writes answers to and reads orders from."""

    __slots__ = ("_orders", "_process", "_reading")

    def __init__(self, live: Callable[[int, int], None]) -> None:
        self._reading, answers = os.pipe()
        orders, self._orders = os.pipe()
        try:
            self._process = os.fork()
        except OSError as error:
            for descriptor in (self._reading, answers, orders, self._orders):
                os.close(descriptor)
            raise MailguardError(f"cannot start a process: {error.strerror}") from error
        if self._process == 0:
            _be_child(live, answers, orders, (self._reading, self._orders))
        os.close(answers)
        os.close(orders)

    def order(self, values: tuple[Any, ...]) -> None:
        """Say what it shall do; the answer says what became of it, also when it is gone."""
        import marshal

        data = marshal.dumps(values)
        try:  # noqa: SIM105 (contextlib is slow to import)
            _write(self._orders, len(data).to_bytes(_LENGTH, "big"), data)
        except BrokenPipeError:
            pass

    def answer(self) -> bytes:
        """Return what it wrote; Refused for a child that ended instead."""
        data = _read(self._reading, _LARGEST_RESULT)
        if data is None:
            status = self.end()
            over = os.WIFSIGNALED(status) and os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL}
            raise Refused("over-limit" if over else "damaged")
        return data

    def end(self) -> int:
        """End it, if it is still there, and return its status."""
        process, self._process = self._process, 0
        if not process:
            return 0
        os.close(self._orders)
        status = os.waitpid(process, os.WNOHANG)
        if not status[0]:
            if _is_open(self._reading):
                os.kill(process, signal.SIGKILL)
            status = os.waitpid(process, 0)
        os.close(self._reading)
        return status[1]


def _is_open(descriptor: int) -> bool:
    """Tell whether somebody still has the other end of a pipe: a child without it is about to end by itself."""
    import select

    poll = select.poll()
    poll.register(descriptor, 0)
    return not poll.poll(0)


def _read(descriptor: int, largest: int) -> bytes | None:
    """Return what was written with its length before it, None where the other end was closed before it was complete."""
    head = _exactly(descriptor, _LENGTH)
    if len(head) < _LENGTH:
        return None
    length = int.from_bytes(head, "big")
    if length > largest:
        raise Refused("over-limit")
    data = _exactly(descriptor, length)
    return data if len(data) == length else None


def _exactly(descriptor: int, length: int) -> bytes:
    pieces = []
    while length and (piece := os.read(descriptor, min(length, 1 << 20))):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def _write(descriptor: int, *pieces: bytes) -> None:
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]


def _result(answer: bytes, content: bytes) -> Disarmed:
    head, mark, data = answer.partition(b"\n")
    if not mark:
        raise Refused("damaged")
    kind, *values = head.decode("ascii").split(" ")
    if kind == "refused":
        raise Refused(values[0])
    mime, extension, *removed = values
    return Disarmed(content if kind == "same" else data, mime, extension, tuple(removed))


# In the child


def _be_child(live: Callable[[int, int], None], answers: int, orders: int, others: tuple[int, ...]) -> NoReturn:
    """Work, write, and end without any of the parent's cleaning up."""
    status = 1
    try:
        for descriptor in others:
            os.close(descriptor)
        _shared.clear()  # what is confined in here has children of its own
        _prepare()
        live(answers, orders)
        status = 0
    except BaseException:  # noqa: BLE001 (nothing may return into the parent's code)
        status = 1
    finally:
        os._exit(status)


def _serve(first: Options, answers: int, orders: int) -> None:
    """Do what is ordered until nobody orders any more; first: has what a message deals with members by."""
    import marshal
    import sys
    from importlib import import_module

    size = _size()
    while (order := _read(orders, 2 * _SMALL)) is not None:
        module, name, memory, *values, content = marshal.loads(order)  # noqa: S302 (from our parent)
        work = sys.modules.get(module) or import_module(module)
        for part in name.split("."):
            work = getattr(work, part)
        _answer(work, content, Options.of(values, first.member), memory, answers, size)  # type: ignore[arg-type]


def _answer(
    work: Work, content: bytes, options: Options, memory: int, descriptor: int, size: int | None = None
) -> None:
    _limit(memory, size or _size())
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
    written = head.encode("ascii") + b"\n"
    _write(descriptor, (len(written) + len(data)).to_bytes(_LENGTH, "big"), written, data)


def _prepare() -> None:
    """Let signals have their ordinary effect; what is written to stdout or stderr (C libraries do) goes nowhere."""
    import resource

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit(memory: int, size: int) -> None:
    """Set the limits for one content; size: octets that are there without it."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + SECONDS)
    _lower(resource.RLIMIT_AS, size + memory)


def _lower(kind: int, value: int) -> None:
    import resource

    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _size() -> int:
    """Return the octets of address space in use."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 1 << 30
