"""How much memory a message may take: the process limits itself, so that the kernel never has to choose what ends.

What is limited is memory that is written to (RLIMIT_DATA, which counts all private mappings since Linux 4.7).  Address
space would also count what is only reserved: 64 MiB for each thread in the GNU C library.  Only the soft limit is set,
and only while a message is read and changed: what holds the message afterwards has the reserve, and programs that are
started have limits of their own.
"""

from __future__ import annotations

import os

from mailguard.errors import RefusedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_CLOSE = 32 << 20
"""So close to the limit, a library that cannot be loaded and a thread that cannot be started lack memory."""
TIMES = 5
"""So many times its own size a message may take in any case."""


class Limit:
    """A context in which no more than so many octets are to be had, and five times the size of the message.

    allowed: octets, 0 for no limit; size: of the message.  What exceeds it raises MemoryError; what was there before
    does not count.
    """

    __slots__ = ("_before", "_limit", "_octets")

    def __init__(self, allowed: int, size: int) -> None:
        self._octets = allowed + TIMES * size if allowed else 0
        self._before: tuple[int, int] | None = None
        self._limit = 0

    def __enter__(self) -> None:
        if not self._octets:
            return
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        self._limit = _size() + self._octets
        if soft == resource.RLIM_INFINITY or self._limit < soft:
            resource.setrlimit(resource.RLIMIT_DATA, (self._limit, hard))
            self._before = soft, hard

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is None:
            return
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, self._before)
        if isinstance(error, Exception) and not isinstance(error, RefusedMail) and _size() + _CLOSE > self._limit:
            raise MemoryError from error


def _size() -> int:
    """Return the octets that count; on a system that does not tell, enough for the libraries of any filter."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read(200).split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 1 << 29
