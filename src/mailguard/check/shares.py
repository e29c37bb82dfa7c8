"""What a service gives to one client, and to all: connections, places in a queue, octets, lines in the log.

Each has two bounds, as those of Postfix' anvil(8): nobody's share is so large that nothing is left for the others.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_RESERVED = 256  # descriptors for logs, name servers, diagnoses and their connections
_WANTED = 4096
_QUIET_SECONDS = 60.0
_MOST_KINDS = 50


class Shares:
    """Something of which there is only so much; by_client: for one, in_all: for everybody."""

    def __init__(self, by_client: int, in_all: int) -> None:
        self._by_client = by_client
        self._in_all = in_all
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}
        self._total = 0

    def take(self, client: str, amount: int = 1) -> bool:
        """Take some for a client; False, and nothing is taken, where there is not enough."""
        with self._lock:
            own = self._taken.get(client, 0) + amount
            if own > self._by_client or self._total + amount > self._in_all:
                return False
            self._taken[client] = own
            self._total += amount
            return True

    def give_back(self, client: str, amount: int = 1) -> None:
        """Give back what was taken."""
        with self._lock:
            self._total -= amount
            left = self._taken.pop(client, 0) - amount
            if left:
                self._taken[client] = left


def client_of(address: str) -> str:
    """Return who has an IP address: of IPv6, a client has at least a /64."""
    from ipaddress import ip_network

    try:
        return str(ip_network(f"{address.partition('%')[0]}/{64 if ':' in address else 32}", strict=False))
    except ValueError:
        return address


def descriptors() -> int:
    """Return how many connections may be open in this process, which is allowed as many as it may allow itself."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _WANTED:
        soft = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = _WANTED if soft == resource.RLIM_INFINITY else min(_WANTED, soft)
    return max(most - _RESERVED, 16)


class Brief(logging.Handler):
    """What the libraries of a server log, in one line each without a traceback, the same at most once in a minute.

    A stranger decides how often it happens; say: takes one line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say
        self._said: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless one like it was written just now."""
        now, kind = monotonic(), f"{record.name}: {record.msg}".partition("\n")[0]
        if now - self._said.get(kind, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return
        if len(self._said) >= _MOST_KINDS:
            self._said.clear()
        self._said[kind] = now
        cause = f": {record.exc_info[1]}" if record.exc_info and record.exc_info[1] else ""
        said = record.getMessage().partition("\n")[0]
        self._say(f"{record.name}: {said}{cause}"[:500])
