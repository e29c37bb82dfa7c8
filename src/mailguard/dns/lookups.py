"""All DNS questions of one message: asked once, counted, limited in number and time, and kept for the trace.

What was asked ahead is on its way while its answers are not needed yet, and nobody waits for an answer but who needs
it: a name server that keeps silent costs those who ask for its names, and nobody else.
"""

from __future__ import annotations

from mailguard.dns.answer import BADNAME, LIMIT, TIMEOUT, TYPES, Answer, remembered
from mailguard.dns.names import domain_name, macro_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future, ThreadPoolExecutor
    from typing import Any, Self

    from mailguard.dns.answer import Question, Record, Source

_WORKERS = 32
_RECORDS = 100
_TEXT = 65536
_PATIENCE = 2  # time-outs below one domain, after which it is asked nothing more


class Lookups:
    """The `Resolver` for one message.

    source: where to ask; questions: how many may reach it; seconds: how long all of them together may take, counted
    from the first; owner: tells whose a name is: whose servers have kept silent twice is asked nothing more.  Beyond
    the number the answer is LIMIT, beyond the time TIMEOUT.
    As a context it ends with nothing on its way.
    """

    def __init__(
        self,
        source: Source,
        *,
        questions: int = 200,
        seconds: float = 40.0,
        owner: Callable[[str], str] | None = None,
    ) -> None:
        from threading import Lock

        self.rounds = 0
        self._source = source
        self._questions = questions
        self._seconds = seconds
        self._owner = owner
        self._begun: float | None = None
        self._order: dict[Question, None] = {}
        self._answers: dict[Question, Answer] = {}
        self._underway: dict[Question, tuple[Future[Answer | None], int]] = {}
        self._silences: dict[str, int] = {}
        self._asked = 0
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is not None:  # who is told to stop does not wait for answers
            self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def query(self, name: str, rdtype: str, *, macro: bool = False, seconds: float | None = None) -> Answer:
        """Answer one question, from memory where it was asked before.

        rdtype: one of `TYPES`; macro: the name comes from an SPF macro and may hold any printable ASCII; seconds: from
        the first question on, for this one.  `rounds` counts how many answers in a row were waited for.
        """
        assert rdtype in TYPES, rdtype
        asked = macro_name(name) if macro else domain_name(name)
        if asked is None:
            return Answer(BADNAME)
        question = (asked, rdtype)
        if question in self._answers:
            return self._answers[question]
        underway = self._underway.get(question)
        if underway is not None:
            future, number = underway
            answer = future.result()
        elif self._take(question):
            number = self.rounds + 1
            answer = self._ask(question, seconds)
        else:
            return self._keep(question, Answer(LIMIT))
        self.rounds = max(self.rounds, number)
        return Answer(TIMEOUT) if answer is None else self._keep(question, answer)

    def prefetch(self, questions: Iterable[Question], *, seconds: float | None = None) -> None:
        """Ask several questions at the same time, without waiting; what is no name or beyond the limit is left out.

        seconds: from the first question on, for these.  What the source knows is asked of nobody, and needs no thread.
        """
        wanted: dict[Question, None] = {}
        for name, rdtype in questions:
            assert rdtype in TYPES, rdtype
            asked = domain_name(name)
            if asked is not None and (asked, rdtype) not in self._order and not self._is_known((asked, rdtype)):
                wanted[asked, rdtype] = None
        if len(wanted) < 2 and self._pool is None:
            return  # whoever needs the answer asks
        for question in wanted:
            if self._take(question):
                future = self._workers().submit(self._ask, question, seconds)
                self._underway[question] = future, self.rounds + 1

    def _is_known(self, question: Question) -> bool:
        """Take the answer of a source that need not ask anybody."""
        answer = remembered(self._source, *question)
        if answer is None or answer.temporary or not self._take(question):
            return False
        self._keep(question, answer if _acceptable(answer) else Answer(LIMIT))
        return True

    def hurried(self, seconds: float) -> Hurried:
        """Return a resolver for what may take only so long, counted from the first question of the message."""
        return Hurried(self, seconds)

    def trace(self) -> list[dict[str, Any]]:
        """Return every answer in the order in which it was first asked for, as written by --json and --explain."""
        for question, (future, _) in list(self._underway.items()):
            answer = None if question in self._answers or future.cancelled() else future.result()
            if answer is not None:
                self._keep(question, answer)
        found = ((question, self._answers[question]) for question in self._order if question in self._answers)
        return [{"name": name, "type": rdtype, **answer.as_dict()} for (name, rdtype), answer in found]

    def _take(self, question: Question) -> bool:
        """Tell whether one more question may be asked, and count it."""
        with self._lock:
            if self._asked >= self._questions:
                return False
            self._asked += 1
            self._order.setdefault(question)
            return True

    def _keep(self, question: Question, answer: Answer) -> Answer:
        with self._lock:
            self._order.setdefault(question)
            return self._answers.setdefault(question, answer)

    def _workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(_WORKERS)
            return self._pool

    def _ask(self, question: Question, seconds: float | None) -> Answer | None:
        """Ask the source; None when the time is up before."""
        from time import monotonic

        now = monotonic()
        with self._lock:
            if self._begun is None:
                self._begun = now
        left = self._begun + min(self._seconds, self._seconds if seconds is None else seconds) - now
        if left <= 0:
            return None
        if self._silences and self._silences.get(self._whose(question), 0) >= _PATIENCE:
            return Answer(TIMEOUT)
        answer = self._source.ask(*question, left)
        if answer.status == TIMEOUT and self._owner is not None:
            with self._lock:
                whose = self._whose(question)
                self._silences[whose] = self._silences.get(whose, 0) + 1
        return answer if _acceptable(answer) else Answer(LIMIT)

    def _whose(self, question: Question) -> str:
        return self._owner(question[0]) if self._owner is not None else ""


class Hurried:
    """A `Resolver` with the questions of another, for a shorter time."""

    def __init__(self, lookups: Lookups, seconds: float) -> None:
        self._lookups = lookups
        self._seconds = seconds

    def query(self, name: str, rdtype: str, *, macro: bool = False) -> Answer:
        """Answer as `Lookups` does, TIMEOUT when the shorter time is over."""
        return self._lookups.query(name, rdtype, macro=macro, seconds=self._seconds)

    def prefetch(self, questions: Iterable[Question]) -> None:
        """Ask as `Lookups` does."""
        self._lookups.prefetch(questions, seconds=self._seconds)


def _acceptable(answer: Answer) -> bool:
    return len(answer.records) <= _RECORDS and sum(map(_size, answer.records)) <= _TEXT


def _size(record: Record) -> int:
    return len(record) if isinstance(record, (bytes, str)) else len(record[1])
