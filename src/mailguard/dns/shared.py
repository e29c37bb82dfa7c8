"""Answers that several processes share in a file, no longer than their TTL."""

from __future__ import annotations

from mailguard.dns.answer import NODATA, NXDOMAIN, OK, Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from mailguard.dns.answer import Source

_TABLE = "CREATE TABLE IF NOT EXISTS answers (question TEXT PRIMARY KEY, ends REAL, answer TEXT)"
_LOCK_SECONDS = 1.0


class Shared:
    """A `Source` that writes the answers of another one into a file, where other processes find them.

    path: of the file, in a folder of our own; servers: what tells sources apart; clock: Unix time.  Failures are never
    remembered; a file that cannot be used only costs questions.
    """

    def __init__(self, source: Source, path: str, servers: str, clock: Callable[[], float] | None = None) -> None:
        from threading import Lock
        from time import time

        self._source = source
        self._path = path
        self._servers = servers
        self._clock = clock or time
        self._lock = Lock()
        self._file: sqlite3.Connection | None = None

    def ask(self, name: str, rdtype: str, seconds: float) -> Answer:
        """Answer from the file while the answer's TTL lasts, else from the source."""
        question = f"{name} {rdtype}"
        found = self.remembered(name, rdtype)
        if found is not None:
            return found
        answer = self._source.ask(name, rdtype, seconds)
        if answer.status in {OK, NODATA, NXDOMAIN} and answer.ttl > 0:
            self._keep(question, answer)
        return answer

    def _opened(self) -> sqlite3.Connection:
        import sqlite3

        if self._file is None:
            self._file = sqlite3.connect(
                self._path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=OFF")
            self._file.execute(_TABLE)
        return self._file

    def remembered(self, name: str, rdtype: str) -> Answer | None:
        """Answer from the file."""
        import json
        import sqlite3

        from mailguard.dns.files import restored

        question = f"{name} {rdtype}"
        try:
            with self._lock:
                rows = self._opened().execute(
                    "SELECT ends, answer FROM answers WHERE question = ?", (f"{question} {self._servers}",)
                )
                row = rows.fetchone()
            left = int(row[0] - self._clock()) if row else 0
            return restored(question, json.loads(row[1]) | {"ttl": left}) if left > 0 else None
        except (sqlite3.Error, ValueError, KeyError, TypeError):
            return None

    def _keep(self, question: str, answer: Answer) -> None:
        import json
        import sqlite3
        from contextlib import suppress

        values = (f"{question} {self._servers}", self._clock() + answer.ttl, json.dumps(answer.as_dict()))
        with suppress(sqlite3.Error), self._lock:
            self._opened().execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", values)
