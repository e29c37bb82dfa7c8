"""What a worker does: one chunk of messages through the pipeline, into a part file.

A message that fails keeps its place: held whole in a capsule where the pipeline holds things and there is a key, else
as it was.  Before each message the worker notes its number, so that the parent knows which one killed it.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from itertools import islice

from mailguard import dns, pipeline
from mailguard.archives import mbox
from mailguard.batch import tree
from mailguard.batch.job import FOLDER
from mailguard.batch.remote import at
from mailguard.batch.tally import Tally
from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError, ContentLimit, MailguardError
from mailguard.message import header
from mailguard.message.tree import after_from_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, NoReturn

    from mailguard.batch.job import Job, Task
    from mailguard.settings import Filter

_CPU_SECONDS = 700  # the kernel's own end of a message that hangs in a library
_FIELDS = 1000
_LONGEST_DATE = 1000
_HEADER = 1 << 18
_filters: list[Filter] = []  # of this process, made once
_errors: list[MailguardError] = []  # why there are none
_busy: list[str] = []  # the note of the message at work


def begin(make: Callable[[], list[Filter]]) -> None:
    """Make this process a worker that ends with its parent and leaves interrupts to it.

    Raises nothing: what goes wrong is the error of its first task, and so reaches the parent without a traceback.
    """
    import signal

    # multiprocessing shows its own end with a traceback; the parent notices it and says what follows from it.
    sys.stderr = io.StringIO()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _end_with_parent()
    try:
        pipeline.begin_worker()
        _filters[:] = make()
    except Exception as error:  # noqa: BLE001
        from mailguard.streams import describe

        _errors.append(error if isinstance(error, MailguardError) else MailguardError(describe(error)))


def _stop(_number: int, _frame: object) -> NoReturn:
    """End because somebody else failed: the message at work is not to blame."""
    for path in _busy:
        with suppress(OSError):
            os.unlink(path)
    os._exit(0)


def interrupted(task: Task) -> int | None:
    """Return the number of the message on which the worker of a task died, and forget it; None when none did."""
    path = task.note
    try:
        with open(path, "rb") as file:
            number = file.read(20)
        os.unlink(path)
    except FileNotFoundError:
        return None
    return int(number) if number.strip() else None


def _end_with_parent() -> None:
    """Watch the parent: the pool of a parent that was killed would wait for work for ever."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait
    from threading import Thread

    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(0)

    try:
        Thread(target=watch, daemon=True).start()
    except RuntimeError:  # the system allows no more; an exception here would be shown with its traceback
        os._exit(MailguardError.status)


def process(task: Task, filters: list[Filter] | None = None) -> tuple[int, int, int]:
    """Filter a chunk; return the numbers of messages, of changed and of failed ones.

    filters: instead of those that `begin` made.  ConfigurationError and OSError when no message could be filtered or
    written; then nothing is there.
    """
    if _errors and filters is None:
        raise _errors[0]
    dns.share(os.path.join(task.notes, "dns"))
    chunk = _Chunk(task, at(task.job.work), filters or _filters, durable=filters is not None)
    chunk.run()
    return chunk.messages, chunk.changed, len(chunk.failed)


class _Chunk:
    """A chunk at work: what was seen of it so far."""

    def __init__(self, task: Task, place: Any, filters: list[Filter], *, durable: bool) -> None:
        self.task = task
        self.job: Job = task.job
        self.place = place
        self.filters = filters
        self.durable = durable  # on another machine, whose crash the parent would not notice
        self.messages = 0
        self.changed = 0
        self.failed: list[dict[str, Any]] = []
        self.marker: int | None = None
        self.tally = Tally()

    def run(self) -> None:
        path = self.task.note
        self.marker = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        _busy.append(path)
        try:
            pieces = self.pieces()
            packed = _compressed(pieces) if self.job.compressed else pieces
            self.place.write(self.task.part, packed, durable=self.durable)
        finally:
            _busy.clear()
            os.close(self.marker)
            os.unlink(path)

    def pieces(self) -> Iterator[bytes]:
        """Yield the filtered chunk as it stands in the output; the record is written before it is complete."""
        yield from self.filtered()
        self.place.write(self.task.record, [self.record()], durable=self.durable)

    def record(self) -> bytes:
        import json

        values: dict[str, Any] = {"messages": self.messages, "changed": self.changed, "failed": self.failed}
        if self.job.order.counted:
            values["tally"] = self.tally.as_dict()
        return json.dumps(values, separators=(",", ":")).encode("ascii")

    def filtered(self) -> Iterator[bytes]:
        kind = self.job.kind
        source = self.job.source
        data = at(os.path.dirname(source)).read(source, self.task.start, self.task.stop)
        if kind == FOLDER:
            tree.filtered(self.job, data, self.message)
            return
        for segment in mbox.split(data, kind):
            separator = data[segment.stop : segment.end]
            if segment.start == segment.stop:
                yield separator
                continue
            raw = data[segment.start : segment.stop]
            output = self.message(mbox.message(raw, kind), f"octet {self.task.start + segment.start}")
            if output is None:
                yield raw
                yield separator
            else:
                yield mbox.written(output, kind, separator, last=self.task.last and segment.end == len(data))

    def message(self, raw: bytes, where: str) -> bytes | None:
        """Filter one message; None when it stays as it is."""
        number = self.messages
        self.messages += 1
        self.note(number)
        if number in self.task.skipped:
            return self.fail(raw, where, self.job.now, MailguardError("worker processes died on it"))
        order = self.job.order
        came = _received(raw, self.job.now) if order.dated or order.counted else None
        now = self.job.now if came is None or not order.dated else came
        try:
            applied = pipeline.apply(self.filters, raw, Envelope(), now)
        except ConfigurationError:
            raise
        except (Exception, ContentLimit) as error:  # noqa: BLE001 (the message keeps its place, whatever happened)
            return self.fail(raw, where, now, error)
        if order.counted:
            self.tally.add(raw, applied, came)
        applied.report()
        self.changed += applied.changed
        return applied.whole() if applied.changed else None

    def note(self, number: int) -> None:
        """Leave word of the message that is at work, and let its time begin."""
        import signal

        assert self.marker is not None
        os.pwrite(self.marker, b"%-20d" % number, 0)
        signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)

    def fail(self, raw: bytes, where: str, now: int, error: BaseException) -> bytes | None:
        from mailguard.streams import describe

        output = self.held(raw, now)
        reason = "out of memory" if isinstance(error, MemoryError) else describe(error)
        self.failed.append({"number": self.messages - 1, "where": where, "reason": reason, "held": output is not None})
        self.changed += output is not None
        return output

    def held(self, raw: bytes, now: int) -> bytes | None:
        """Return the message held whole; None when it must stay as it is, and be listed."""
        try:
            applied = pipeline.hold(self.filters, raw, Envelope(), now)
        except (Exception, ContentLimit):  # noqa: BLE001
            return None
        return None if applied is None else applied.whole()


def _compressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Compress to one gzip member (RFC 1952), without name and time, so that the same messages are the same octets."""
    import zlib

    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


def _received(raw: bytes, latest: int) -> int | None:
    """Return the Unix time of the topmost Received field, else of Date, if it is one between 1970 and `latest`."""
    start = after_from_line(raw)
    end, _ = header.end(raw, start, min(len(raw), start + _HEADER))
    date: bytes | None = None
    for field in islice(header.fields(raw, start, end), _FIELDS):
        if field.name == b"received":
            moment = _time(field.unfolded.rpartition(b";")[2], latest)
            if moment is not None:
                return moment
        elif field.name == b"date" and date is None:
            date = field.unfolded
    return _time(date or b"", latest)


def _time(value: bytes, latest: int) -> int | None:
    from email.utils import mktime_tz, parsedate_tz

    if len(value) > _LONGEST_DATE:
        return None
    try:
        parsed = parsedate_tz(value.decode("ascii", "replace"))
        moment = mktime_tz(parsed) if parsed else None
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return int(moment) if moment is not None and 0 <= moment <= latest else None
