"""Answers kept between the messages of one process, no longer than their TTL."""

from __future__ import annotations

from collections import OrderedDict

from mailguard.dns.answer import NODATA, NXDOMAIN, OK, Answer, remembered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailguard.dns.answer import Question, Source


class Cached:
    """A `Source` that remembers the latest `size` answers of another one; failures are never remembered.

    clock: seconds that only grow.
    """

    def __init__(self, source: Source, *, size: int = 10_000, clock: Callable[[], float] | None = None) -> None:
        from threading import Lock
        from time import monotonic

        self._source = source
        self._size = size
        self._clock = clock or monotonic
        self._answers: OrderedDict[Question, tuple[float, Answer]] = OrderedDict()
        self._lock = Lock()

    def ask(self, name: str, rdtype: str, seconds: float) -> Answer:
        """Answer from memory while the answer's TTL lasts, else from the source."""
        kept = self._kept((name, rdtype))
        if kept is not None:
            return kept
        answer = self._source.ask(name, rdtype, seconds)
        if answer.status in {OK, NODATA, NXDOMAIN} and answer.ttl > 0:
            self._remember((name, rdtype), answer)
        return answer

    def remembered(self, name: str, rdtype: str) -> Answer | None:
        """Answer from memory, or from that of the source."""
        kept = self._kept((name, rdtype))
        if kept is None:
            kept = remembered(self._source, name, rdtype)
            if kept is not None and kept.ttl > 0:
                self._remember((name, rdtype), kept)
        return kept

    def _kept(self, question: Question) -> Answer | None:
        now = self._clock()
        with self._lock:
            end, answer = self._answers.get(question, (0.0, None))
            if answer is None:
                return None
            if end <= now:
                del self._answers[question]
                return None
            self._answers.move_to_end(question)
        return Answer(answer.status, answer.records, int(end - now), authenticated_data=answer.authenticated_data)

    def _remember(self, question: Question, answer: Answer) -> None:
        end = self._clock() + answer.ttl
        with self._lock:
            self._answers[question] = end, answer
            self._answers.move_to_end(question)
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)
