"""Delivery while a message waits: all targets at once, for a few seconds, and then without the message.

The work is done by a process of its own.  When the seconds are over, the message goes on and that process goes on too,
with the lock on the entry in its hand, until the last answer is in: to hang up on a server that is only slow would
make a second copy each time.  The breaker keeps the next messages from waiting for such a server.
"""

from __future__ import annotations

import contextlib
import os

from mailguard import delivery

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from typing import NoReturn

    from mailguard.delivery import Attempt, Copy, Session, Target
    from mailguard.spool.done import Room
    from mailguard.spool.entry import Entry
    from mailguard.spool.queue import Spool

    Outcomes = dict[str, tuple[str, str]]
    Order = tuple[Target, Sequence[str]]
    Tell = Callable[[str, Attempt], None]
    Work = Callable[[Tell], None]

SECONDS = 5.0
_DESCRIPTORS = 256


def deliver(spool: Spool, entry: Entry, names: Sequence[str], seconds: float, now: float) -> dict[str, Outcomes]:
    """Deliver an entry to these targets; return (status, reply) by recipient for each target that answered in time."""
    orders = [(entry.pending[name].target, list(entry.pending[name].recipients)) for name in names]
    copy = entry.copy

    def work(tell: Tell) -> None:
        from time import monotonic

        started = monotonic()
        for target, attempt, session in _all(copy, orders):
            elapsed = monotonic() - started
            entry.settle(target.name, attempt, now + elapsed)
            note_health(spool, target.name, attempt, elapsed, now + elapsed)
            tell(target.name, attempt)
            session.close()

    reports, _ = _in_background(work, seconds, keep={*spool.descriptors, entry.descriptor})
    for name in names:
        if name not in reports:
            spool.breakers.trip(name, now)
    return reports


def note_health(spool: Spool, name: str, attempt: Attempt, elapsed: float, now: float) -> None:
    """Open the breaker of a target that is down; close it only when the target is fast enough to be waited for."""
    if attempt.down:
        spool.breakers.trip(name, now)
    elif elapsed < SECONDS:
        spool.breakers.reset(name)


def deliver_unspooled(copy: Copy, orders: Sequence[Order], seconds: float, room: Room | None) -> dict[str, Outcomes]:
    """Deliver without a spool: what is not done in time is broken off, because the message will come again.

    room: in the done-journal, for these deliveries.
    """
    import signal

    def work(tell: Tell) -> None:
        for target, attempt, session in _all(copy, orders):
            if room is not None:
                room.remember(
                    (target.name, recipient)
                    for recipient, outcome in attempt.outcomes.items()
                    if outcome.status == delivery.DELIVERED
                )
            tell(target.name, attempt)
            session.close()

    reports, process = _in_background(work, seconds, keep=set() if room is None else {room.descriptor})
    if len(reports) < len(orders) and process:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return reports


def _all(copy: Copy, orders: Sequence[Order]) -> Iterator[tuple[Target, Attempt, Session]]:
    """Yield targets with what came of them, as they finish; the sessions are still open."""
    if len(orders) == 1:
        yield _one(copy, *orders[0])
        return
    from queue import SimpleQueue
    from threading import Thread

    finished: SimpleQueue[tuple[Target, Attempt, Session]] = SimpleQueue()
    for order in orders:
        Thread(target=lambda *order: finished.put(_one(copy, *order)), args=order).start()
    for _ in orders:
        yield finished.get()


def _one(copy: Copy, target: Target, recipients: Sequence[str]) -> tuple[Target, Attempt, Session]:
    session = delivery.session(target)
    return target, delivery.hand_over(session, copy, recipients), session


def _in_background(work: Work, seconds: float, keep: AbstractSet[int] = frozenset()) -> tuple[dict[str, Outcomes], int]:
    """Run `work` in a process of its own and collect what it tells within the time; also return its process id.

    Where no process can be had, nothing is told.
    """
    reading, writing = os.pipe()
    try:
        first = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        return {}, 0
    if not first:
        _detach(work, writing, keep)
    os.close(writing)
    with contextlib.suppress(ChildProcessError):  # the caller may ignore SIGCHLD
        os.waitpid(first, 0)
    try:
        return _collect(reading, seconds)
    finally:
        os.close(reading)


def _detach(work: Work, pipe: int, keep: AbstractSet[int]) -> NoReturn:
    """Become a process that nobody waits for, that holds nothing of the caller's open, and do the work."""
    try:
        os.setsid()
        if not os.fork():
            _release({pipe, *keep})
            os.write(pipe, b"%d\n" % os.getpid())
            work(lambda name, attempt: _tell(pipe, name, attempt))
    finally:
        os._exit(0)


def _release(keep: AbstractSet[int]) -> None:
    """Let go of whatever the caller had: its files, its signals."""
    import signal

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    for descriptor in range(3, _DESCRIPTORS):
        if descriptor not in keep:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _tell(pipe: int, name: str, attempt: Attempt) -> None:
    import json

    outcomes = {recipient: (outcome.status, outcome.reply) for recipient, outcome in attempt.outcomes.items()}
    line = json.dumps([name, outcomes]).encode("ascii") + b"\n"
    try:
        while line:
            line = line[os.write(pipe, line) :]
    except BrokenPipeError:
        pass  # the message has gone on


def _collect(pipe: int, seconds: float) -> tuple[dict[str, Outcomes], int]:
    import json
    from select import select
    from time import monotonic

    limit = monotonic() + seconds
    told = b""
    while (remaining := limit - monotonic()) > 0 and select([pipe], [], [], remaining)[0]:
        data = os.read(pipe, 1 << 16)
        if not data:
            break
        told += data
    process, *lines = told[: told.rfind(b"\n") + 1].splitlines() or [b"0"]
    reports: dict[str, Outcomes] = {}
    for name, outcomes in map(json.loads, lines):
        reports[name] = {recipient: (status, reply) for recipient, (status, reply) in outcomes.items()}
    return reports, int(process)
