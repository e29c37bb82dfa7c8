"""A journal and what logrotate made of it: `journal`, `journal.1`, `journal.2.gz`, `journal-20261124.gz`."""

from __future__ import annotations

import os
import re
import stat
import zlib

from mailguard import journal
from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO

_ROTATED = re.compile(r"[.-][0-9][0-9T.-]*(?:\.gz)?")


def records(path: str, since: int, damaged: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield the records of a journal, those in its rotated files first; each file in its order.

    since: Unix time; files that nobody wrote to since then are not read.  damaged: called with the name of the file for
    each line that is no record, and for a file that cannot be read to its end.  ConfigurationError when there is no
    journal, or it cannot be read at all.
    """
    for name, file in _opened(path, since):
        with file:
            try:
                yield from journal.records(file, lambda _, name=name: damaged(name))  # type: ignore[misc]
            except (OSError, EOFError, zlib.error) as error:  # half of a compressed file, or none
                if not name.endswith(".gz"):
                    raise ConfigurationError(f"{show(name)}: {getattr(error, 'strerror', None) or error}") from None
                damaged(name)


def _opened(path: str, since: int) -> list[tuple[str, BinaryIO]]:
    """Open all files at once, oldest first, so that none is missed or read twice when they are renamed meanwhile."""
    try:
        names = [entry for entry in os.listdir(os.path.dirname(path) or ".") if _belongs(entry, os.path.basename(path))]
        opened = [_open(os.path.join(os.path.dirname(path), name)) for name in names]
    except OSError as error:
        raise ConfigurationError(f"{show(error.filename or path)}: {error.strerror}") from None
    if not opened:
        raise ConfigurationError(f"{show(path)}: there is no such journal")
    files = {status.st_ino: (status.st_mtime, name, file) for status, name, file in opened}
    return [(name, _plain(name, file)) for written, name, file in sorted(files.values(), key=_age) if written >= since]


def _age(opened: tuple[float, str, BinaryIO]) -> tuple[float, str]:
    return opened[:2]


def _belongs(entry: str, name: str) -> bool:
    return entry.startswith(name) and (entry == name or _ROTATED.fullmatch(entry, len(name)) is not None)


def _open(path: str) -> tuple[os.stat_result, str, BinaryIO]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would block
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(0, "is not a regular file", path)
    return status, path, open(descriptor, "rb")


def _plain(name: str, file: BinaryIO) -> BinaryIO:
    if not name.endswith(".gz"):
        return file
    import gzip

    return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
