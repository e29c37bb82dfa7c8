"""What a job is: the same for every chunk, small, and without any content or secret, because it travels in tasks."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailguard.settings import Filter

FOLDER = "folder"  # beside the kinds of archives.mbox: the source is a listing of files


class Order:
    """What is wanted of every archive.

    make: returns the filters of the pipeline, wherever it is called (it can be pickled); identity: what must be the
    same when a job is resumed; now: Unix time for the filters; dated: take the time of each message instead; resume: go
    on with an interrupted job; counted: count for a report.
    """

    __slots__ = ("counted", "dated", "identity", "make", "now", "resume")

    def __init__(
        self,
        make: Callable[[], list[Filter]],
        identity: list[str | None],
        now: int,
        *,
        resume: bool = False,
        dated: bool = False,
        counted: bool = False,
    ) -> None:
        self.make = make
        self.identity = identity
        self.now = now
        self.resume = resume
        self.dated = dated
        self.counted = counted


class Job:
    """One archive and what is done with it.

    source: path or URL of the archive, for FOLDER of the listing of its files; root: for FOLDER, where these files are;
    kind: of archives.mbox, or FOLDER; work: path or URL of the folder for parts; compressed: whether parts are
    compressed (gzip); now: Unix time, of the first run where one is resumed; notes: folder for the notes of workers on
    this machine.
    """

    __slots__ = ("compressed", "kind", "notes", "now", "order", "root", "source", "work")

    def __init__(
        self,
        order: Order,
        source: str,
        kind: str,
        work: str,
        now: int,
        *,
        notes: str,
        root: str = "",
        compressed: bool = False,
    ) -> None:
        self.order = order
        self.source = source
        self.kind = kind
        self.work = work
        self.now = now
        self.notes = notes
        self.root = root
        self.compressed = compressed


class Task:
    """One chunk of a job: `source[start:stop]`.

    last: whether it ends the source; skipped: messages that killed workers; notes: folder of the worker's machine in
    which it notes with which message it is busy.
    """

    __slots__ = ("job", "last", "notes", "number", "skipped", "start", "stop")

    def __init__(
        self, job: Job, number: int, start: int, stop: int, *, last: bool, skipped: Sequence[int] = ()
    ) -> None:
        self.job = job
        self.number = number
        self.start = start
        self.stop = stop
        self.last = last
        self.skipped = tuple(skipped)
        self.notes = job.notes

    @property
    def part(self) -> str:
        """The name of the file with the filtered messages of this chunk."""
        return f"{self.number:08d}.part"

    @property
    def record(self) -> str:
        """The name of the file that tells what happened to them."""
        return f"{self.number:08d}.json"

    @property
    def note(self) -> str:
        """The path of the file in which a worker notes with which message it is busy."""
        return os.path.join(self.notes, f"{self.number:08d}.at")
