"""The worker processes, each with one mail at a time.

A mail on which a worker dies is tried by another one, and then held whole by one that does not read it; so is a mail
that takes too long.  Whatever is in a mail, the mail server gets an answer: "later" would bring it again for days.

No mail waits for a costly one.  Neither its size nor its client tells which mail will be costly (64 KB are enough, and
who attacks has many clients, or the same as everybody behind a relay), but time does: a worker that is still at a mail
after a second goes on with a lower priority, and another one takes its place, until there are twice as many, and one
more.  That one is for mails not known to be costly, those first of whose client no costly mail is at work; the mail
with which it turns slow goes back as soon as another one waits for it, and begins anew on a worker for costly mails.
So behind any number of costly mails that are at work, another mail waits a second, not until they are done.  (Where a
filter hands copies over, no mail goes back: in the middle of a delivery that could make a second copy.)
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections import deque
from contextlib import suppress
from socket import send_fds, socketpair

from mailguard import deadline
from mailguard.errors import MailguardError
from mailguard.milter import worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from mailguard.milter.metrics import Metrics
    from mailguard.settings import Filter

    Answer = tuple[int, int, int]

_GRACE_SECONDS = 10.0  # after the worker's own end
_SLOW_SECONDS = 1.0
_LOWER_PRIORITY = 10
_TRIES = 2  # before a mail is held
_MAILS = 2000  # of one worker, so that what a library may leak does not grow for ever
_BYTES = 256 << 20
_PAUSE_SECONDS = 1.0
_LEAVING_SECONDS = 5.0
_REAPING_SECONDS = 0.05


class WorkerLost(Exception):  # noqa: N818 (what happened, not an error of the program)
    """The process that had this mail is gone."""


class _Worker:
    """The parent's side of a worker process."""

    __slots__ = ("bytes", "connection", "filters", "job", "life", "mails", "pid", "slow", "timers")

    def __init__(self, pid: int, connection: object, filters: Sequence[Filter]) -> None:
        self.pid = pid
        self.life = _life(pid)
        self.connection = connection
        self.filters = filters
        self.job: _Job | None = None
        self.timers: list[asyncio.TimerHandle] = []
        self.slow = False
        self.mails = 0
        self.bytes = 0


def _life(pid: int) -> int:
    """Return a descriptor that becomes readable when the process ends; -1 on systems without.

    The end of the connection tells less: processes that a filter left in the background keep it open.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


class _Job:
    __slots__ = ("answer", "client", "costly", "facts_size", "file", "size", "tries")

    def __init__(self, file: int, size: int, facts_size: int, client: str, answer: asyncio.Future[Answer]) -> None:
        self.file = os.dup(file)  # the mail may be forgotten while it waits
        self.size = size
        self.facts_size = facts_size
        self.client = client
        self.answer = answer
        self.tries = 0
        self.costly = False  # it has been at a worker for a second, and has gone back


class Pool:
    """Distributes mails to workers.

    filters: what new workers do; `use` replaces it, and workers of the old kind end with the mail they have; target:
    where workers log failures; seconds: for the content of a mail, in each filter.
    """

    def __init__(
        self,
        count: int,
        filters: Sequence[Filter],
        target: str,
        metrics: Metrics,
        say: Callable[[str], None],
        seconds: float = deadline.CONTENT_SECONDS,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._count = count
        self._filters = filters
        self._target = target
        self._seconds = seconds
        self._late_seconds = worker.whole_seconds(seconds) + _GRACE_SECONDS
        self._metrics = metrics
        self._say = say
        self._workers: dict[int, _Worker] = {}
        self._idle: list[_Worker] = []
        self._leaving: set[int] = set()
        self._empty = asyncio.Event()
        self._waiting: deque[_Job] = deque()
        self._stopping = False
        self._refill: asyncio.TimerHandle | None = None
        gc.collect()
        gc.freeze()  # or each worker copies the pages of what it only looks at
        self._fill()

    @property
    def busy(self) -> int:
        """How many mails are at work or wait for a worker."""
        return len(self._waiting) + sum(1 for each in self._workers.values() if each.job)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return list(self._workers)

    def submit(self, file: int, size: int, facts_size: int, client: str) -> asyncio.Future[Answer]:
        """Have a mail of a client filtered.

        The result is (outcome, start, length of the packets in the file), or WorkerLost.
        """
        job = _Job(file, size, facts_size, client, self._loop.create_future())
        self._waiting.append(job)
        self._distribute()
        return job.answer

    def use(self, filters: Sequence[Filter]) -> None:
        """Let all further mails go through these filters."""
        self._filters = filters
        for each in list(self._idle):
            self._retire(each)
        self._fill()

    async def stop(self) -> None:
        """End all workers; those without a mail may tell the log about the last one."""
        self._stopping = True
        for each in list(self._workers.values()):
            self._forget(each, kill=each.job is not None)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS):
                await self._empty.wait()

    def _distribute(self) -> None:
        self._make_room()
        while self._idle and (job := self._next()) is not None:
            self._waiting.remove(job)
            if job.answer.cancelled():
                os.close(job.file)
                continue
            each = self._idle.pop()
            if os.waitid(os.P_PID, each.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):  # dead, before anybody has told us
                self._waiting.appendleft(job)
                self._idle.append(each)
                self._lost(each)
            else:
                self._hand_over(each, job)

    def _make_room(self) -> None:
        """Let a mail that has turned out costly go back, where all are at such mails and another one waits."""
        if self._idle or all(job.costly for job in self._waiting):
            return
        own = [each for each in self._workers.values() if each.filters is self._filters]
        if len(own) <= 2 * self._count or not all(each.slow for each in own):
            return
        for each in reversed(own):
            if each.job and not each.job.costly and _may_begin_anew(each):
                job = self._part(each)
                job.costly = True
                job.tries -= 1
                self._waiting.appendleft(job)
                self._forget(each, kill=True)
                self._fill()
                return

    def _next(self) -> _Job | None:
        """Return the mail that comes next, if it may have a worker."""
        if len(self._idle) > 1 or len(self._workers) <= 2 * self._count:
            return self._waiting[0] if self._waiting else None
        costly = {each.job.client for each in self._workers.values() if each.slow and each.job}
        jobs = [job for job in self._waiting if not job.costly]
        return next((job for job in jobs if job.client not in costly), jobs[0] if jobs else None)

    def _hand_over(self, each: _Worker, job: _Job) -> None:
        each.job = job
        later = self._loop.call_later
        each.timers = [later(self._late_seconds, self._late, each), later(_SLOW_SECONDS, self._slow, each)]
        job.tries += 1
        order = worker.ORDER.pack(job.size, job.facts_size, job.tries > _TRIES)
        try:
            send_fds(each.connection, [order], [job.file])  # type: ignore[arg-type]
        except OSError:
            self._lost(each)

    def _slow(self, each: _Worker) -> None:
        """Let another worker take the place of one whose mail is costly."""
        each.slow = True
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, each.pid, _LOWER_PRIORITY)
        self._fill()
        self._distribute()

    def _late(self, each: _Worker) -> None:
        self._say(f"worker {each.pid} does not end in time and is killed")
        if each.job:
            each.job.tries = max(each.job.tries, _TRIES)  # nobody waits for a second time as long as this
        self._lost(each)

    def _answered(self, each: _Worker) -> None:
        try:
            data = each.connection.recv(worker.ANSWER.size)  # type: ignore[attr-defined]
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if len(data) < worker.ANSWER.size or each.job is None:
            self._lost(each)
            return
        job = self._part(each)
        os.close(job.file)
        if not job.answer.done():
            job.answer.set_result(worker.ANSWER.unpack(data))
        each.mails += 1
        each.bytes += job.size
        if each.slow or each.filters is not self._filters or each.mails >= _MAILS or each.bytes >= _BYTES:
            self._retire(each)
            self._fill()
        else:
            self._idle.append(each)
        self._distribute()

    def _part(self, each: _Worker) -> _Job:
        """Part a worker from its mail, and return that."""
        job = each.job
        assert job is not None
        each.job = None
        for timer in each.timers:
            timer.cancel()
        return job

    def _give_up(self, job: _Job) -> None:
        os.close(job.file)
        if not job.answer.done():
            job.answer.set_exception(WorkerLost())

    def _lost(self, each: _Worker) -> None:
        """Do without a worker that is gone, or must go; its mail goes to another one, before all that wait."""
        self._metrics.workers_lost += 1
        again = each.job is not None and each.job.tries <= _TRIES and not self._stopping
        fate = ("tried again" if again else "given up") if each.job else ""
        self._say(f"worker {each.pid} is lost" + (f"; its mail is {fate}" if fate else ""))
        if each.job is not None and again:
            self._waiting.appendleft(self._part(each))
            each.mails += 1
        worked = each.mails or each.job
        self._forget(each, kill=True)
        if worked:
            self._fill()
        elif self._refill is None:  # dead before its first mail: not as fast as the machine can fork
            self._refill = self._loop.call_later(_PAUSE_SECONDS, self._fill)
        self._distribute()

    def _retire(self, each: _Worker) -> None:
        """Let a worker without a mail end by itself."""
        self._forget(each, kill=False)

    def _forget(self, each: _Worker, *, kill: bool) -> None:
        self._loop.remove_reader(each.connection)  # type: ignore[arg-type]
        each.connection.close()  # type: ignore[attr-defined]
        if each.life >= 0:
            self._loop.remove_reader(each.life)
            os.close(each.life)
        del self._workers[each.pid]
        if each in self._idle:
            self._idle.remove(each)
        if kill:  # with all that works for it; not reaped yet, so the number is still its own
            with suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
        if each.job:
            self._give_up(self._part(each))
        self._leaving.add(each.pid)
        self._reap(each.pid, self._loop.time() + self._late_seconds)

    def _reap(self, pid: int, deadline: float) -> None:
        """Take the status of a child that ends, without waiting for it."""
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            self._leaving.discard(pid)
            if not self._workers and not self._leaving:
                self._empty.set()
            return
        if self._loop.time() > deadline:  # it has nothing to do and does not go
            os.kill(pid, signal.SIGKILL)
        self._loop.call_later(_REAPING_SECONDS, self._reap, pid, deadline)

    def _fill(self) -> None:
        self._refill = None
        while not self._stopping and self._are_few():
            try:
                self._start()
            except OSError as error:  # too many processes, no memory
                self._say(f"no worker can be started: {error.strerror}")
                self._refill = self._loop.call_later(_PAUSE_SECONDS, self._fill)
                break
        self._distribute()

    def _are_few(self) -> bool:
        """Tell whether another worker is wanted; one that is at a costly mail does not count."""
        own = [each.slow for each in self._workers.values() if each.filters is self._filters]
        return own.count(False) < self._count and len(own) <= 2 * self._count

    def _start(self) -> None:
        ours, theirs = socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            _become(theirs.detach(), self._filters, self._target, self._seconds)
        with suppress(OSError):  # whoever of both comes first
            os.setpgid(pid, pid)
        theirs.close()
        ours.setblocking(False)
        each = _Worker(pid, ours, self._filters)
        self._workers[pid] = each
        self._idle.append(each)
        self._loop.add_reader(ours, self._answered, each)
        if each.life >= 0:
            self._loop.add_reader(each.life, self._lost, each)


def _may_begin_anew(each: _Worker) -> bool:
    return all(mail_filter.verb != "duplicate" for mail_filter in each.filters)


def _become(file: int, filters: Sequence[Filter], target: str, seconds: float) -> NoReturn:
    """Turn a fork of this process into a worker: nothing of the parent's connections and signals stays."""
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        import syslog

        syslog.closelog()  # or it would take the number of its connection for its own
        os.dup2(file, 3, inheritable=False)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        from socket import socket

        worker.work(socket(fileno=3), filters, target, seconds)
    except BaseException:  # noqa: BLE001, S110 (the parent sees that it is gone)
        pass
    finally:
        os._exit(MailguardError.status)
