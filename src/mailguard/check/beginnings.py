"""Checks that begin in threads of their own: no page waits for the name servers of somebody else, or for our mail."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from mailguard.check.shares import Shares
from mailguard.check.start import Unreachable, begin
from mailguard.check.state import Denied, network
from mailguard.errors import MailguardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailguard.check.service import Service

SENT = "sent"
ADDRESS = "address"  # is none
DOMAIN = "domain"  # takes no mail
LIMIT = "limit"
LATER = "later"  # a fault of ours, or the DNS does not answer
ASKED = "asked"  # it takes a while

_WORKERS = 4
_QUEUED = (4, 64)
_SECONDS = 4.0


class Beginnings:
    """What begins checks.

    send: (mail, envelope sender, recipient), raises MailguardError; report: takes a line for the log; waiting: how many
    threads may wait for what comes of it, and how long: the others are told at once that it takes a while.
    """

    def __init__(
        self,
        service: Service,
        send: Callable[[bytes, str, str], None],
        report: Callable[[str], None],
        *,
        waiting: int,
        seconds: float = _SECONDS,
    ) -> None:
        self._service = service
        self._send = send
        self._report = report
        self._queued = Shares(*_QUEUED)
        self._waiting = threading.Semaphore(waiting)
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(_WORKERS)

    def begin(self, address: str, lang: str, now: int, client: str) -> str:
        """Begin a check; return what came of it, one of the words above.  client: IP address of who asks."""
        name = network(client)
        if not self._queued.take(name):
            return LIMIT
        work = self._pool.submit(self._begin, address, lang, now, client)
        work.add_done_callback(lambda _: self._queued.give_back(name))
        if not self._waiting.acquire(blocking=False):
            return ASKED
        try:
            return work.result(self._seconds)
        except TimeoutError:
            return ASKED
        finally:
            self._waiting.release()

    def _begin(self, address: str, lang: str, now: int, client: str) -> str:
        try:
            begun = begin(self._service, address, lang, now, client)
            self._send(begun.mail, begun.sender, begun.exchange.address)
        except Unreachable as error:
            return {"dns": LATER, "address": ADDRESS}.get(error.reason, DOMAIN)
        except Denied as error:
            # Whether an address is stopped is nobody's business.
            return {"stopped": SENT, "room": LATER}.get(error.reason, LIMIT)
        except MailguardError as error:
            self._report(f"start: {error}")
            return LATER
        return SENT
