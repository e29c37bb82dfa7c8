"""Work on the spool: deliver what is due, show what waits, give what failed another chance."""

from __future__ import annotations

from mailguard import delivery
from mailguard.delivery import DELIVERED, PERMANENT
from mailguard.duplicate.attempt import note_health
from mailguard.spool.entry import DamagedEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.delivery import Attempt, Session, Target
    from mailguard.spool.entry import Entry
    from mailguard.spool.queue import Spool

_STRIKES = 3


class Delivery:
    """One line of what a flush did: which entry, to which target, with what answers."""

    __slots__ = ("attempt", "entry", "name")

    def __init__(self, entry: Entry, name: str, attempt: Attempt) -> None:
        self.entry = entry
        self.name = name
        self.attempt = attempt

    @property
    def status(self) -> str:
        """The worst outcome."""
        statuses = {outcome.status for outcome in self.attempt.outcomes.values()}
        return PERMANENT if PERMANENT in statuses else DELIVERED if statuses == {DELIVERED} else "temporary"


class Flush:
    """One run over the queue; several may run at once, each entry belongs to who locks it.

    everything: also what is not due; replacements: targets by name whose options replace those in the entries.
    """

    def __init__(
        self, spool: Spool, now: float, *, everything: bool = False, replacements: Sequence[Target] = ()
    ) -> None:
        self._spool = spool
        self._now = now
        self._everything = everything
        self._replacements = {target.name: target for target in replacements}
        self._sessions: dict[str, Session] = {}
        self._strikes: dict[str, int] = {}
        self.damaged: list[str] = []

    def run(self) -> Iterator[Delivery]:
        """Deliver, one entry after the other, over one connection per target; yield what happened."""
        self._spool.sweep(self._now)
        try:
            for identifier in self._spool.identifiers("queue"):
                yield from self._try(identifier)
        finally:
            for session in self._sessions.values():
                session.close()

    def _try(self, identifier: str) -> Iterator[Delivery]:
        try:
            entry = self._spool.take("queue", identifier)
        except DamagedEntry as error:
            self.damaged.append(str(error))
            return
        if entry is None:
            return
        try:
            if entry.skip_done(self._now):
                entry.save()
            for name in list(entry.pending):
                if self._may_try(entry, name):
                    yield Delivery(entry, name, self._deliver(entry, name))
        finally:
            entry.close()

    def _may_try(self, entry: Entry, name: str) -> bool:
        due = self._everything or entry.pending[name].is_due(self._now)
        return due and self._strikes.get(name, 0) < _STRIKES

    def _deliver(self, entry: Entry, name: str) -> Attempt:
        from time import monotonic

        item = entry.pending[name]
        if name not in self._sessions:
            self._sessions[name] = delivery.session(self._replacements.get(name) or item.target)
        started = monotonic()
        attempt = delivery.hand_over(self._sessions[name], entry.copy, item.recipients)
        elapsed = monotonic() - started
        entry.settle(name, attempt, self._now + elapsed)
        note_health(self._spool, name, attempt, elapsed, self._now + elapsed)
        self._count_strike(name, attempt)
        return attempt

    def _count_strike(self, name: str, attempt: Attempt) -> None:
        """Leave a target for the rest of this run when it is down, or broke off three times in a row."""
        if attempt.down:
            self._strikes[name] = _STRIKES
        elif attempt.broken:
            self._strikes[name] = self._strikes.get(name, 0) + 1
        else:
            self._strikes[name] = 0


def entries(spool: Spool, folders: Sequence[str] = ("queue", "failed")) -> Iterator[Entry | DamagedEntry]:
    """Yield all entries, open for reading, oldest first; close each."""
    waiting: list[tuple[float, int, str, str]] = []
    for folder in folders:
        for identifier in spool.identifiers(folder):
            try:
                entry = spool.look(folder, identifier)
            except DamagedEntry as error:
                yield error
                continue
            if entry is not None:
                waiting.append((entry.created, entry.written, folder, identifier))
                entry.close()
    for _, _, folder, identifier in sorted(waiting):
        entry = spool.look(folder, identifier)
        if entry is not None:
            yield entry


def retry_failed(spool: Spool) -> tuple[int, int]:
    """Move everything in failed/ back into the queue, due at once; return (moved, left because in work)."""
    moved = left = 0
    for identifier in spool.identifiers("failed"):
        entry = spool.take("failed", identifier)
        if entry is None:
            left += 1
            continue
        try:
            done = entry.move_to_queue()
        finally:
            entry.close()
        moved, left = moved + done, left + (not done)
    return moved, left
