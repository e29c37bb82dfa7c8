"""The clock: seals and signatures expire by it."""

from __future__ import annotations

import os

from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.doctor.row import Setup

_TOLERANCE = 300
_UNSYNCHRONIZED = 5  # TIME_ERROR of adjtimex(2)


def clock(setup: Setup) -> Iterator[Row]:
    """Compare the clock with the times of files, and ask the kernel whether somebody keeps it right."""
    from time import gmtime, strftime, time

    now = time()
    newest, path = max((_written(path), path) for path in _files(setup))
    shown = strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(now))
    repair = "apt-get install systemd-timesyncd, and see: timedatectl"
    if newest > now + _TOLERANCE:
        later = strftime("%Y-%m-%d %H:%M", gmtime(newest))
        yield Row("clock", FAILURE, f"it is {shown}, but {show(path)} was written later ({later})", repair)
    elif _kernel_state() == _UNSYNCHRONIZED:
        yield Row("clock", WARNING, f"{shown}; nothing keeps it right, says the kernel", repair)
    else:
        yield Row("clock", GOOD, shown)


def _files(setup: Setup) -> list[str]:
    """Return files that were surely written in the past, the program itself among them."""
    named = [path for paths in setup.files.values() for path in paths]
    return [__file__, *filter(None, (setup.key_file, *named))]


def _written(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _kernel_state() -> int:
    """Return what adjtimex(2) says about the clock; 0 where there is no such call."""
    import ctypes

    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024)))  # struct timex with modes = 0: a look
    except (OSError, AttributeError):
        return 0
