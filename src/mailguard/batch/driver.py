"""Chunks to workers, parts into their order: what is lost on the way is done again.

Written against `concurrent.futures.Executor`, which a pool of processes and a cluster have in common.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from contextlib import contextmanager, suppress

from mailguard.batch import worker
from mailguard.batch.job import Task
from mailguard.errors import MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor, Future

    from mailguard.batch.job import Job
    from mailguard.settings import Filter

    Plan = Iterable[tuple[int, int, bool]]
    Counts = tuple[int, int, int]

_AHEAD = 64  # parts that wait for one before them
_DEATHS = 3  # of workers on the same message, after which it counts as failed
_LOOK_SECONDS = 1.0
_ALLOWED = "processes and threads: ulimit -u, TasksMax"
_RESUME = "--resume goes on from there"
_LOSSES = 100  # of chunks, one after the other, while nothing is done


class Workers:
    """Executors, one after the other: a pool of which a process died is broken, and a new one takes its place.

    make: returns an executor; process: the function that works on a task there; jobs: how many work at once; lost: what
    a task raises whose worker is gone.
    """

    def __init__(
        self,
        make: Callable[[], Executor],
        process: Callable[[Task], Counts],
        jobs: int,
        lost: tuple[type[BaseException], ...] = (BrokenExecutor,),
    ) -> None:
        self._make = make
        self._process = process
        self._executor: Executor | None = None
        self._failure: BaseException | None = None
        self.jobs = jobs
        self.lost = lost

    def submit(self, task: Task) -> Future[Counts]:
        """Give a task to a worker."""
        if self._executor is None:
            self._executor = self._make()
        try:
            return self._executor.submit(self._process, task)
        except BrokenExecutor:
            self.replace()
            return self.submit(task)
        except (RuntimeError, OSError) as error:  # no thread, no process
            raise MailguardError(f"no worker process can be started: {_reason(error)}; {_RESUME}") from None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notice it when the thread of the executor ends with an error: then nothing would ever be done again."""

        def note(ended: threading.ExceptHookArgs) -> None:
            ours = getattr(self._executor, "_executor_manager_thread", ended.thread)
            if ended.thread is ours:
                self._failure = ended.exc_value
            else:
                before(ended)

        before, threading.excepthook = threading.excepthook, note
        try:
            yield
        finally:
            threading.excepthook = before

    def check(self) -> None:
        """Raise MailguardError when the executor does nothing any more."""
        if self._failure is not None:
            raise MailguardError(f"the worker processes are lost: {_reason(self._failure)}; {_RESUME}")

    def replace(self) -> None:
        """Give up a broken executor."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)  # or the next one would be made beside threads of this one
        self._executor = None

    def stop(self) -> None:
        """End all workers, at once."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        for process in list((getattr(executor, "_processes", None) or {}).values()):
            process.kill()  # a part that is not complete is not there
        with suppress(RuntimeError):  # it waits for a thread that could not be started
            executor.shutdown(wait=True)  # soon: they are gone; the interpreter would stumble over its rest


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{show(text)} ({_ALLOWED}?)"


def pool(jobs: int, make: Callable[[], list[Filter]]) -> Executor:
    """Return a pool of worker processes that make their filters by `make`."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # A fork of a process with threads would copy their locks as they are at that moment.
    context = get_context("fork" if threading.active_count() == 1 else "forkserver")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=worker.begin, initargs=(make,))


class Run:
    """One job at work.

    plan: (start, stop, last) of each chunk, in order; there: names of the parts that an earlier run left; join: gets
    each task in order, as soon as its part and all before it are there; joined: how many already are in the output;
    seen: is told of each chunk that was done.
    """

    def __init__(
        self,
        job: Job,
        plan: Plan,
        workers: Workers,
        join: Callable[[Task], None],
        seen: Callable[[Task, Counts], None],
        joined: int = 0,
        there: Iterable[str] = (),
    ) -> None:
        self.job = job
        self.workers = workers
        self.join = join
        self.seen = seen
        self.joined = joined
        self.there = frozenset(there)
        self.tasks = (Task(job, number, start, stop, last=last) for number, (start, stop, last) in enumerate(plan))
        self.running: dict[Future[Counts], Task] = {}
        self.ready: dict[int, Task] = {}
        self.again: list[Task] = []
        self.deaths: dict[tuple[int, int], int] = {}
        self.losses = 0

    def run(self) -> None:
        """Work until all is joined; MailguardError when it cannot go on."""
        with self.workers.watched():
            while self.fill():
                done, _ = wait(self.running, _LOOK_SECONDS, FIRST_COMPLETED)
                if not done:
                    self.workers.check()
                for future in done:
                    self.collect(future, self.running.pop(future))
                self.advance()

    def fill(self) -> bool:
        """Give the workers enough to do; tell whether they have anything."""
        while len(self.running) < 2 * self.workers.jobs and len(self.ready) < _AHEAD:
            task = self.again.pop(0) if self.again else next(self.tasks, None)
            if task is None:
                break
            if task.number < self.joined:
                self.seen(task, (0, 0, 0))
            elif task.part in self.there:
                self.done(task, (0, 0, 0))
                self.advance()
            else:
                self.running[self.workers.submit(task)] = task
        return bool(self.running)

    def collect(self, future: Future[Counts], task: Task) -> None:
        """Take in what became of a task."""
        try:
            self.done(task, future.result())
        except self.workers.lost as error:
            self.lost(task, error.number if hasattr(error, "number") else worker.interrupted(task))

    def done(self, task: Task, counts: Counts) -> None:
        """Note a part that is there."""
        self.losses = 0
        self.ready[task.number] = task
        self.seen(task, counts)

    def advance(self) -> None:
        """Join what is next."""
        while (task := self.ready.pop(self.joined, None)) is not None:
            self.join(task)
            self.joined += 1

    def lost(self, task: Task, number: int | None) -> None:
        """Try a chunk again; without the message (`number`) on which workers died too often."""
        self.losses += 1
        if self.losses > _LOSSES:
            raise MailguardError(f"worker processes end as soon as they begin (memory? {_ALLOWED}?); {_RESUME}")
        skipped = list(task.skipped)
        if number is not None:
            deaths = self.deaths[task.number, number] = self.deaths.get((task.number, number), 0) + 1
            if deaths >= _DEATHS:
                skipped.append(number)
                self.losses = 0
        self.again.append(Task(self.job, task.number, task.start, task.stop, last=task.last, skipped=skipped))
