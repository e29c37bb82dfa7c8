"""How long a message may take: what costs too much is held whole, and a process that hangs ends.

Filters have one message, workers of a driver have many.  Both work in the main thread of their process, where alone
SIGALRM can interrupt: after CONTENT_SECONDS it raises ContentLimit("limit.time") in the verb, once, which catches it
and holds the message; after DEADLINE_SECONDS the process stops itself.  What hangs in a library where no handler runs
is ended from outside: by the kernel's timer of a filter, by the parent of a worker.

What content may take is processor time, of the process and all that it started: on a machine that does much else, an
ordinary message costs no more than on an idle one.  Three times as long by the clock is too long in any case, whatever
it waits for.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the module `signal` builds enumerations at import
import os
from time import monotonic

from mailguard.errors import ContentLimit, MailguardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

    from mailguard.findings import Result
    from mailguard.settings import Settings

DEADLINE_SECONDS = 300.0  # below 1000 s, after which Postfix kills the filter and bounces the mail
CONTENT_SECONDS = 100.0  # of processor time; after this the message is held whole, the rest is for holding it
_CLOCK_TIMES = 3
_TICK_SECONDS = 1.0
_LEAST_SECONDS = 0.02  # the kernel counts the time of other processes in hundredths


class _Clock:
    """What the signal handler must know: when the message began, whether content is at work, what ends the process.

    spent: processor time before the content; latest: when the time of the content is over on the monotonic clock.
    """

    __slots__ = ("in_content", "latest", "spent", "started", "stop")

    def __init__(self) -> None:
        self.started = monotonic()
        self.in_content = False
        self.spent = self.latest = 0.0
        self.stop: Callable[[], NoReturn] | None = None

    def remaining(self) -> float:
        return max(self.started + DEADLINE_SECONDS - monotonic(), 0.001)  # zero would disarm a timer

    def begin_content(self) -> None:
        self.spent = _of_this_process()
        by_clock = min(_CLOCK_TIMES * CONTENT_SECONDS, self.remaining() / 2)
        self.latest = monotonic() + by_clock
        self.in_content = True
        signal.setitimer(signal.ITIMER_REAL, min(CONTENT_SECONDS, by_clock))

    def for_content(self) -> float:
        """Return the seconds that the content has at least."""
        spent = _of_this_process() + _of_children("self") - self.spent
        return min(CONTENT_SECONDS - spent, self.latest - monotonic())


_clock = _Clock()


def begin(stop: Callable[[], NoReturn]) -> None:
    """Let time run for one message, since the start of the process; `stop` is called when the deadline is over."""
    _clock.stop = stop
    signal.signal(signal.SIGALRM, _alarm)
    _tick()


def count_from(moment: float) -> None:
    """Let the time of the message count from a moment of the monotonic clock, not from the start of the process."""
    _clock.started = moment


def started() -> float:
    """Return when the message began, on the monotonic clock."""
    return _clock.started


def grant(seconds: float) -> None:
    """Let the deadline be so much later, and only then send SIGALRM: somebody else does the work and ends first."""
    _clock.started += seconds
    signal.setitimer(signal.ITIMER_REAL, _clock.remaining())


def shorten(content: float, whole: float) -> None:
    """Let content have less time in this process, and a message, from now on."""
    global CONTENT_SECONDS, DEADLINE_SECONDS
    CONTENT_SECONDS, DEADLINE_SECONDS = min(content, CONTENT_SECONDS), min(whole, DEADLINE_SECONDS)


def restart() -> None:
    """Let time run from now, for the next message of the same process; without `begin` nothing happens."""
    if _clock.stop is not None:
        _clock.started = monotonic()
        _tick()


def rest() -> None:
    """Stop the time: no message is at work."""
    if _clock.stop is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _tick() -> None:
    """Let SIGALRM come every second, while a system call may block without end.

    A signal that arrives shortly before the call is only noted by the interpreter; the next tick interrupts the call,
    and then all handlers run.
    """
    signal.setitimer(signal.ITIMER_REAL, min(_TICK_SECONDS, _clock.remaining()), _TICK_SECONDS)


def _alarm(_number: int, _frame: FrameType | None) -> None:
    if _clock.in_content:
        left = _clock.for_content()
        if left > _LEAST_SECONDS:
            signal.setitimer(signal.ITIMER_REAL, left)
            return
        _clock.in_content = False
        signal.setitimer(signal.ITIMER_REAL, _clock.remaining())
        raise ContentLimit("limit.time")
    if _clock.stop is not None and _clock.remaining() < _TICK_SECONDS / 10:
        _clock.stop()


def budget(transform: Callable[[bytes, Settings], Result], raw: bytes, settings: Settings) -> Result:
    """Return what `transform` makes of a message, which may run into ContentLimit("limit.time") at any place.

    A chain of many steps stays below the deadline: each has at most half of what is left.  Without `begin` there is no
    limit.  (Around a call, not around a loop of its own: CPython 3.11 may look for the handler of an exception from a
    signal one instruction before a loop that begins a `try`.)
    """
    if _clock.stop is None:
        return transform(raw, settings)
    _clock.begin_content()
    try:
        return transform(raw, settings)
    except ContentLimit as limit:
        raise MailguardError(f"{limit.code}: the message costs too much and could not be held") from None
    finally:
        _clock.in_content = False
        _tick()


def _of_this_process() -> float:
    """Return its processor time, and that of its children that have ended."""
    return sum(os.times()[:4])


def _of_children(process: str) -> float:
    """Return the processor time of the children of a process that have not ended; 0 where proc(5) is missing."""
    seconds = 0.0
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children", "rb", buffering=0) as file:
                children = file.read(1 << 16).split()
            for child in children:
                seconds += _of_process(child.decode())
    except OSError:
        pass
    return seconds


def _of_process(process: str) -> float:
    try:
        with open(f"/proc/{process}/stat", "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
    except OSError:
        return 0.0  # it has ended meanwhile
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + _of_children(process)
