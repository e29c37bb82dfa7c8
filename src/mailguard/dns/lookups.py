"""All DNS questions of one message: asked once, counted, limited in number and time, and kept for the trace."""

from __future__ import annotations

from mailguard.dns import BADNAME, LIMIT, TIMEOUT, TYPES, Answer
from mailguard.dns.names import domain_name, macro_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mailguard.dns import Question, Record, Source

_WORKERS = 32
_RECORDS = 100
_TEXT = 65536


class Lookups:
    """The `Resolver` for one message.

    source: where to ask; questions: how many may reach it; seconds: how long all of them together may take, counted
    from the first.  Beyond the number the answer is LIMIT, beyond the time TIMEOUT.
    rounds: how often somebody had to wait for the source, which is the latency in units of one answer.
    """

    def __init__(self, source: Source, *, questions: int = 200, seconds: float = 40.0) -> None:
        from threading import Lock

        self.rounds = 0
        self._source = source
        self._questions = questions
        self._seconds = seconds
        self._end: float | None = None
        self._answers: dict[Question, Answer] = {}
        self._asked = 0
        self._lock = Lock()

    def query(self, name: str, rdtype: str, *, macro: bool = False) -> Answer:
        """Answer one question, from memory where it was asked before.

        rdtype: one of `TYPES`; macro: the name comes from an SPF macro and may hold any printable ASCII.
        """
        assert rdtype in TYPES, rdtype
        asked = macro_name(name) if macro else domain_name(name)
        if asked is None:
            return Answer(BADNAME)
        question = (asked, rdtype)
        if question in self._answers:
            return self._answers[question]
        if not self._take(1):
            return self._keep(question, Answer(LIMIT))
        return self._keep(question, self._ask(question))

    def prefetch(self, questions: Iterable[Question]) -> None:
        """Ask several questions at the same time and wait for all; what is no name or beyond the limit is left out."""
        wanted: dict[Question, None] = {}
        for name, rdtype in questions:
            assert rdtype in TYPES, rdtype
            asked = domain_name(name)
            if asked is not None and (asked, rdtype) not in self._answers:
                wanted[asked, rdtype] = None
        chosen = list(wanted)[: self._questions - self._asked]
        if not chosen or not self._take(len(chosen)):
            return
        for question, answer in zip(chosen, self._together(chosen), strict=True):
            self._keep(question, answer)

    def trace(self) -> list[dict[str, Any]]:
        """Return every answer in the order in which it was first asked for, as written by --json and --explain."""
        return [{"name": name, "type": rdtype, **answer.as_dict()} for (name, rdtype), answer in self._answers.items()]

    def _take(self, number: int) -> bool:
        with self._lock:
            if self._asked + number > self._questions:
                return False
            self._asked += number
            self.rounds += 1
            return True

    def _keep(self, question: Question, answer: Answer) -> Answer:
        with self._lock:
            return self._answers.setdefault(question, answer)

    def _together(self, questions: list[Question]) -> list[Answer]:
        if len(questions) == 1:
            return [self._ask(questions[0])]
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(min(_WORKERS, len(questions)))
        try:
            answers = list(pool.map(self._ask, questions))
        except BaseException:
            pool.shutdown(wait=False)  # who is told to stop does not wait for answers
            raise
        pool.shutdown()
        return answers

    def _ask(self, question: Question) -> Answer:
        from time import monotonic

        now = monotonic()
        with self._lock:
            if self._end is None:
                self._end = now + self._seconds
        if self._end <= now:
            return Answer(TIMEOUT)
        answer = self._source.ask(*question, self._end - now)
        return answer if _acceptable(answer) else Answer(LIMIT)


def _acceptable(answer: Answer) -> bool:
    return len(answer.records) <= _RECORDS and sum(map(_size, answer.records)) <= _TEXT


def _size(record: Record) -> int:
    return len(record) if isinstance(record, (bytes, str)) else len(record[1])
