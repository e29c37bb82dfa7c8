"""The bar on a terminal: how much is done, how fast, and how long it will take.  Elsewhere silence."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from mailguard.batch.driver import Counts
    from mailguard.batch.job import Task


_NAME = 24


def _end(name: str) -> str:
    """Return the end of a long name, so that there is room for the numbers."""
    return name if len(name) <= _NAME else f"…{name[-_NAME + 1 :]}"


class Progress:
    """A context in which the progress of one archive after the other is shown on stderr."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._messages = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
            from rich.table import Column
            from rich.text import Text

            class _Messages(TextColumn):
                def render(self, task):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
                    elapsed = task.finished_time or task.elapsed or 0
                    rate = task.fields["messages"] / elapsed if elapsed else 0
                    return Text(f"{task.fields['messages']:,} messages, {rate:,.0f}/s")

            # Drawn when something is done: a thread for it would be in the way of new worker processes.
            self._bar = Progress(
                TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
                BarColumn(bar_width=None),
                DownloadColumn(table_column=Column(no_wrap=True)),
                _Messages("", table_column=Column(no_wrap=True)),
                TimeRemainingColumn(table_column=Column(no_wrap=True)),
                console=Console(stderr=True),
                auto_refresh=False,
                expand=True,
            )
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, name: str) -> None:
        """Begin the bar of the next archive."""
        self._messages = 0
        if self._bar is not None:
            self._task = self._bar.add_task(_end(name), total=None, messages=0)
            self._bar.refresh()

    def seen(self, size: int, task: Task, counts: Counts) -> None:
        """Move on by one chunk of an archive of this size."""
        if self._bar is None or self._task is None:
            return
        self._messages += counts[0]
        self._bar.update(self._task, total=size, advance=task.stop - task.start, messages=self._messages, refresh=True)
