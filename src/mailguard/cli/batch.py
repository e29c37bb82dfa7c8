"""`mailguard batch`: archives of mail through a pipeline."""

from __future__ import annotations

import os
import sys
from functools import partial

import click

from mailguard.cli.options import Time, config_option, journal_option, key_file_option, memory_limit_option
from mailguard.commands import ORDINARY
from mailguard.errors import ConfigurationError, DataError, MailguardError
from mailguard.findings import show, typed
from mailguard.streams import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from mailguard.batch.archive import ArchiveSummary
    from mailguard.batch.driver import Workers
    from mailguard.batch.progress import Progress
    from mailguard.batch.tally import Tally
    from mailguard.settings import Filter

_SHOWN_FAILURES = 1000
_FOR_STEPS = ("key_file", "journal", "memory_limit")


class _Now(Time):
    """A point in time (RFC 3339), or `date` for the time of each message itself."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return "date" if value == "date" else super().convert(value, param, ctx)


@click.command("batch", short_help=ORDINARY["batch"])
@click.argument("pipeline")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--output", metavar="PATH", required=True, help="The new archive; a folder for several inputs.")
@click.option("--jobs", metavar="N", type=click.IntRange(1, 1024), help="How many processes work (default: all cores).")
@click.option("--cluster", metavar="ADDR", help="Work on this Dask cluster: tls://HOST:PORT.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted job was.")
@click.option(
    "--now", "moment", metavar="RFC3339|date", type=_Now(), help="Present time for the filters; date: of each message."
)
@click.option("--report", metavar="FILE.html", help="Write a page about what was seen and done.")
@journal_option
@key_file_option
@memory_limit_option
@config_option
@click.pass_context
def command(context: click.Context, /, pipeline: str, inputs: tuple[str, ...], output: str, **values: Any) -> None:
    """Filter the messages of archives, as in: mailguard batch 'verify | quarantine' INPUT --output PATH.

    Each input becomes an archive of the same kind.  Status 0 when all messages were filtered, 65 when some could not be
    and stand in the output as they were or held, 1 when there is no output.
    """
    from mailguard import pipeline as chain
    from mailguard.batch.progress import Progress
    from mailguard.batch.tally import Tally
    from mailguard.cli.pipeline import defaults, filters

    os.umask(0o077)
    sys.unraisablehook = lambda _: None  # a pipe that could not be closed is nothing to be told
    given = defaults(context)
    given.values = {name: value for name, value in given.values.items() if name in _FOR_STEPS}
    make = partial(filters, pipeline, given)
    chain.check_records(make())
    workers = _workers(make, values["cluster"], values["jobs"])
    identity = [pipeline, repr(sorted(given.values.items())), given.config, _version()]
    tally = Tally()
    _stop_as_interrupted()
    try:
        with Progress() as progress:
            summaries = list(_run(make, identity, list(_pairs(inputs, output)), workers, progress, tally, values))
    except KeyboardInterrupt:
        workers.stop()
        raise MailguardError("interrupted; what is done is kept, and --resume goes on from there") from None
    except OSError as error:
        workers.stop()
        where = f"{show(str(error.filename))}: " if error.filename else ""
        raise MailguardError(f"{where}{error.strerror or show(str(error))}; --resume goes on from there") from None
    except BaseException:
        workers.stop()
        raise
    workers.stop()
    if values["report"]:
        _report(values["report"], summaries, tally, pipeline)
    _close(summaries, output)
    _tell(summaries)


def _close(summaries: list[tuple[str, ArchiveSummary]], output: str) -> None:
    """Say on a terminal what it all came to."""
    if os.isatty(2):
        total, changed = (sum(getattr(summary, name) for _, summary in summaries) for name in ("messages", "changed"))
        say(f"{total} messages in {typed(output)}, {changed} of them changed\n".encode("utf-8", "backslashreplace"))


def _report(path: str, summaries: list[tuple[str, ArchiveSummary]], tally: Tally, pipeline: str) -> None:
    from time import localtime, strftime

    from mailguard import safefile
    from mailguard.batch import page

    text = page.write(summaries, tally, pipeline, strftime("%Y-%m-%d %H:%M %z", localtime()))
    safefile.replace(path, [text.encode("utf-8", "backslashreplace")])


def _workers(make: partial[list[Filter]], cluster: str | None, jobs: int | None) -> Workers:
    from mailguard.batch.driver import Workers, pool

    if cluster is None:
        from mailguard.batch.worker import process

        jobs = jobs or _cores()
        return Workers(partial(pool, jobs, make), process, jobs)
    from mailguard.batch.cluster import Cluster, lost
    from mailguard.batch.cluster import process as process_there

    connected = Cluster(cluster)
    return Workers(connected.executor, process_there, jobs or connected.jobs, lost())


def _stop_as_interrupted() -> None:
    import signal

    def stop(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version() -> str:
    from importlib.metadata import version

    return version("mailguard")


def _pairs(inputs: tuple[str, ...], output: str) -> Any:
    """Yield (input, output): one input becomes the output, several go into it under their own names."""
    if len(inputs) == 1:
        yield inputs[0], output
        return
    names = [os.path.basename(os.path.normpath(each)) for each in inputs]
    if "-" in names or len(set(names)) < len(names):
        raise ConfigurationError("several inputs need different names, and none can be standard input")
    os.makedirs(output, mode=0o700, exist_ok=True)
    for path, name in zip(inputs, names, strict=True):
        yield path, os.path.join(output, name)


def _run(
    make: partial[list[Filter]],
    identity: list[str | None],
    pairs: list[tuple[str, str]],
    workers: Workers,
    progress: Progress,
    tally: Tally,
    values: dict[str, Any],
) -> Any:
    """Yield (input, summary) of each archive."""
    from time import time

    from mailguard.batch import archive, job

    moment = values["moment"]
    for path, target in pairs:
        if len(pairs) > 1 and values["resume"] and os.path.lexists(target) and not archive.unfinished(target):
            continue  # done before the interruption
        order = job.Order(
            make,
            identity,
            moment if isinstance(moment, int) else int(time()),
            resume=values["resume"],
            dated=moment == "date",
            counted=bool(values["report"]),
        )
        progress.begin(show(path))
        yield path, archive.run(path, target, order, workers, progress.seen, partial(_count, tally))


def _count(tally: Tally, record: dict[str, Any]) -> None:
    if "tally" in record:
        tally.merge(record["tally"])


def _tell(summaries: list[tuple[str, ArchiveSummary]]) -> None:
    """List the messages that failed: DataError when there are any."""
    failed = [(path, failure) for path, summary in summaries for failure in summary.failed]
    for path, failure in failed[:_SHOWN_FAILURES]:
        state = "held in a capsule" if failure["held"] else "left as it was"
        place = f"{show(path)}: message {failure['number']}, {show(failure['where'])}"
        say(f"mailguard: {place}, {state}: {failure['reason']}\n".encode("utf-8", "backslashreplace"))
    if failed:
        total = sum(summary.messages for _, summary in summaries)
        raise DataError(f"{len(failed)} of {total} messages failed; the output is complete, they stand in their places")
