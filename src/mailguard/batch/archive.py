"""One archive from input to output."""

from __future__ import annotations

import json
import os
from functools import partial

from mailguard.batch import files, remote, tree
from mailguard.batch.driver import Run
from mailguard.batch.job import Job
from mailguard.batch.place import is_url
from mailguard.batch.work import Work
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mailguard.batch.driver import Counts, Workers
    from mailguard.batch.job import Order, Task

    Source = files.FileSource | tree.FolderSource | remote.RemoteSource


class ArchiveSummary:
    """What became of an archive: numbers of messages, and the failed ones as dictionaries (see `batch.worker`)."""

    __slots__ = ("changed", "failed", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.changed = 0
        self.failed: list[dict[str, Any]] = []

    def add(self, record: dict[str, Any]) -> None:
        """Add the record of the next chunk."""
        for failure in record["failed"]:
            self.failed.append(failure | {"number": self.messages + failure["number"] + 1})
        self.messages += record["messages"]
        self.changed += record["changed"]


def run(
    source: str,
    output: str,
    order: Order,
    workers: Workers,
    seen: Callable[[int, Task, Counts], None],
    record: Callable[[dict[str, Any]], None],
) -> ArchiveSummary:
    """Filter an archive into its output.

    seen: told of each chunk that is done, with the size of the whole; record: of each chunk's record, at the end.
    MailguardError when it could not be done; with order.resume it goes on from there next time.
    """
    work = _work(output)
    made = _source(source, work)
    with work.locked():
        return _run(made, work, order, workers, seen, record)


def _work(output: str) -> Work:
    return remote.RemoteWork(output) if is_url(output) else Work(output)


def _source(source: str, work: Work) -> Source:
    if os.path.isdir(source):
        if isinstance(work, remote.RemoteWork):
            raise ConfigurationError("a folder of messages becomes a folder; a URL is for an mbox")
        return tree.FolderSource(source, work)
    if is_url(source):
        return remote.RemoteSource(source, work)
    if isinstance(work, remote.RemoteWork) and source == files.STDIN:
        raise ConfigurationError("standard input becomes a file of this machine; copy it to the URL first")
    return files.FileSource(source, work)


def _output(source: Source, work: Work) -> Any:
    """Return what the parts become."""
    if isinstance(source, tree.FolderSource):
        return tree.TreeOutput(work)
    return remote.RemoteOutput(work) if isinstance(work, remote.RemoteWork) else files.FileOutput(work)


def _run(
    source: Source,
    work: Work,
    order: Order,
    workers: Workers,
    seen: Callable[[int, Task, Counts], None],
    record: Callable[[dict[str, Any]], None],
) -> ArchiveSummary:
    identity = _identity(source)
    wanted = {
        "identity": [*order.identity, order.dated, order.counted, identity],
        "now": order.now,
        "jobs": workers.jobs,
    }
    known = work.begin(wanted, resume=order.resume)
    if not work.complete:
        try:
            source.prepare()
        except BaseException:
            if known is wanted:  # nothing was done that could be resumed
                work.remove()
            raise
    result = _output(source, work)
    if not work.complete:
        with work.notes() as notes:
            job = Job(
                order,
                source.path,
                source.kind,
                work.path,
                known["now"],
                notes=notes,
                root=source.root,
                compressed=source.compressed,
            )
            plan = source.plan(job, files.chunk_size(source.size, known["jobs"]))
            Run(job, plan, workers, result.join, partial(seen, source.size), work.joined, work.place.names()).run()
        if _identity(source) != identity:
            raise MailguardError(f"{show(source.given)}: was changed meanwhile; nothing was put into its place")
    summary = _summary(work, record)
    result.finish()
    work.remove()
    return summary


def _identity(source: Source) -> list[Any]:
    try:
        return source.identity()
    except OSError as error:
        raise ConfigurationError(f"{show(source.given)}: {error.strerror or show(str(error))}") from None


def _summary(work: Work, record: Callable[[dict[str, Any]], None]) -> ArchiveSummary:
    """Read what the workers noted about their chunks."""
    summary = ArchiveSummary()
    for name in sorted(name for name in work.place.names() if name.endswith(".json") and name[:8].isdigit()):
        note = json.loads(work.place.read(name))
        summary.add(note)
        record(note)
    return summary


def unfinished(output: str) -> bool:
    """Tell whether an interrupted job with this output can be resumed."""
    work = _work(output)
    return bool(work.place.exists("job.json"))
