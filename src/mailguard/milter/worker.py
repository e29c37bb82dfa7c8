"""A worker process: one mail after the other from its parent, and behind each what the mail server shall do.

The parent hands over the file of the mail and two lengths, and gets an outcome and the place of the packets in the same
file; so mail content never goes through the parent.  The end of the connection means the end of the worker.
"""

from __future__ import annotations

import os
import signal
import struct

from mailguard import deadline, log, pipeline
from mailguard.envelope import Envelope
from mailguard.errors import MailguardError, RefusedMail
from mailguard.findings import show
from mailguard.message import header
from mailguard.milter import edit, protocol
from mailguard.streams import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket
    from typing import Any, NoReturn

    from mailguard.pipeline import Applied
    from mailguard.settings import Filter

ORDER = struct.Struct(">QQ?")
ANSWER = struct.Struct(">BQQ")
UNCHANGED, CHANGED, REFUSED, FAILED = range(4)
OUTCOMES = ("unchanged", "changed", "refused", "failed")
TRY_AGAIN = protocol.reply("451 4.3.0", "Mail filter failed, try again later")

_BATCH = 1 << 20


def work(connection: socket, filters: Sequence[Filter], target: str, seconds: float) -> NoReturn:
    """Be a worker until the parent closes the connection; target: where failures are logged; seconds: for content."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):
        # The parent decides, even when a signal goes to the whole group; ignored, it would be so for programs we start.
        signal.signal(number, lambda *_: None)
    deadline.shorten(seconds, whole_seconds(seconds))
    pipeline.begin_worker()
    worker = _Worker(filters, target)
    while True:
        order, files = _receive(connection)
        if len(order) < ORDER.size:
            os._exit(0)
        applied, answer = worker.answer(files[0], *ORDER.unpack(order))
        os.close(files[0])
        try:
            connection.sendall(answer)
        except OSError:
            os._exit(0)  # the parent is gone, and the mail server tries again
        if applied is not None:
            applied.report()


def _receive(connection: socket) -> tuple[bytes, list[int]]:
    from socket import recv_fds

    try:
        order, files, _, _ = recv_fds(connection, ORDER.size, 1)
    except OSError:
        return b"", []
    return order, files


class _Worker:
    __slots__ = ("_filters", "_target")

    def __init__(self, filters: Sequence[Filter], target: str) -> None:
        self._filters = filters
        self._target = target

    def answer(self, file: int, size: int, facts_size: int, hold: bool) -> tuple[Applied | None, bytes]:
        """Filter the mail in a file, or hold it at once; whatever goes wrong, there is an answer."""
        import json
        from time import time

        facts: dict[str, Any] = {}
        applied = None
        try:
            facts = json.loads(_read(file, size, facts_size))
            raw = _read(file, 0, size)
            _check(raw, facts["fields"])
            work = _hold if hold else pipeline.apply
            applied = work(self._filters, raw, envelope(facts), int(time()))
            outcome = CHANGED if applied.changed else UNCHANGED
            kind = {name: facts[name] for name in ("leading", "anywhere")}
            packets = edit.packets(raw, applied.output, **kind) if applied.changed else ()
            length = _write(file, size + facts_size, [*packets, protocol.CONTINUE])
        except BaseException as error:  # noqa: BLE001 (a mail that cannot be filtered is tried again)
            applied = None
            outcome, last = self._failed(error, facts)
            os.ftruncate(file, size + facts_size)
            length = _write(file, size + facts_size, [last])
        return applied, ANSWER.pack(outcome, size + facts_size, length)

    def _failed(self, error: BaseException, facts: dict[str, Any]) -> tuple[int, bytes]:
        refused = isinstance(error, RefusedMail)
        dsn = error.dsn if isinstance(error, MailguardError) else MailguardError.dsn
        action = "refused" if refused else "try-again"
        line = f"{dsn} mailguard: milter: queue={show(facts.get('queue_id'))} action={action}: {describe(error)}"
        log.write(line, self._target)
        if refused:
            return REFUSED, protocol.reply(f"550 {dsn}", str(error) or "Refused")
        return FAILED, TRY_AGAIN


def whole_seconds(seconds: float) -> float:
    """Return how long a mail may take whose content has so many seconds in each filter, before somebody else holds it.

    Postfix gives up after 300 seconds (milter_content_timeout).
    """
    return min(60 + 5 * seconds, deadline.DEADLINE_SECONDS)


def _hold(filters: Sequence[Filter], raw: bytes, about: Envelope, now: int) -> Applied:
    applied = pipeline.hold(filters, raw, about, now) or pipeline.unread(filters, raw, about, now)
    if applied is None:
        raise MailguardError("workers died on this mail, and there is no key to hold it with")
    return applied


def envelope(facts: dict[str, Any]) -> Envelope:
    """Return the envelope that the facts of a mail mean."""
    names = ("client_address", "client_helo", "sender", "recipients", "queue_id", "sasl_username", "tls")
    return Envelope(**{name: facts[name] for name in names})


def _check(raw: bytes, count: int) -> None:
    """Make sure that the header is read as the fields that the mail server has, or orders would hit other fields."""
    end, _ = header.end(raw, 0, len(raw))
    if sum(1 for _ in header.fields(raw, 0, end)) != count:
        raise MailguardError("the mail server sent a header field that is none, or several")


def _read(file: int, start: int, size: int) -> bytes:
    with open(file, "rb", buffering=0, closefd=False) as stream:
        stream.seek(start)
        data = stream.read(size)
    if len(data) != size:
        raise MailguardError("the spool lost a part of the message")
    return data


def _write(file: int, start: int, packets: Sequence[bytes]) -> int:
    """Write packets behind the message and return their length."""
    os.lseek(file, start, os.SEEK_SET)
    for first in range(0, len(packets), 64):
        view = memoryview(b"".join(packets[first : first + 64]))
        while view:
            view = view[os.write(file, view) :]
    return sum(map(len, packets))
