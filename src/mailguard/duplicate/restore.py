"""Getting copies back out of a spool or a Maildir, in the order in which they came, byte for byte."""

from __future__ import annotations

import os
import re

from mailguard.delivery import Copy, store
from mailguard.duplicate import flush
from mailguard.errors import ConfigurationError
from mailguard.spool.entry import DamagedEntry
from mailguard.spool.queue import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TIME = re.compile(r"([0-9]{1,12})\.(?:M([0-9]{6}))?")


def is_maildir(path: str) -> bool:
    """Tell whether a folder is a Maildir."""
    return all(os.path.isdir(os.path.join(path, name)) for name in ("new", "cur"))


def copies(path: str, damaged: Callable[[str], None]) -> Iterator[Copy]:
    """Yield all copies in a spool (queue and failed) or Maildir, oldest first; each is readable until the next.

    damaged: is told of what cannot be read.  ConfigurationError when the folder is neither.
    """
    yield from _from_maildir(path) if is_maildir(path) else _from_spool(path, damaged)


def _from_spool(path: str, damaged: Callable[[str], None]) -> Iterator[Copy]:
    seen = set()
    with Spool(path, create=False) as spool:
        for entry in flush.entries(spool):
            if isinstance(entry, DamagedEntry):
                damaged(str(entry))
                continue
            try:
                if entry.identifier not in seen:
                    seen.add(entry.identifier)
                    yield entry.copy
            finally:
                entry.close()


def _from_maildir(path: str) -> Iterator[Copy]:
    files = []
    for folder in ("new", "cur"):
        with os.scandir(os.path.join(path, folder)) as found:
            files += [_place(entry) for entry in found if entry.is_file(follow_symlinks=False)]
    for moment, _, name, place in sorted(files):
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield _copy(descriptor, moment, name)
        finally:
            os.close(descriptor)


def _copy(descriptor: int, moment: float, name: str) -> Copy:
    size = os.fstat(descriptor).st_size
    return Copy(
        lambda offset, length: os.pread(descriptor, length, offset), size, sender=None, identifier=name, created=moment
    )


def _place(entry: os.DirEntry[str]) -> tuple[float, int, str, str]:
    """Sort by the time in the name, then by when the file was written."""
    written = entry.stat(follow_symlinks=False).st_mtime_ns
    match = _TIME.match(entry.name)
    moment = float(match[1]) + int(match[2] or 0) / 1e6 if match else written / 1e9
    return moment, written, entry.name, entry.path


def to_mbox(path: str, descriptor: int, damaged: Callable[[str], None]) -> int:
    """Write all copies as one mbox (mboxrd); return how many.

    An mbox cannot say that a message had no final newline; to_folder keeps that too.
    """
    count = 0
    for copy in copies(path, damaged):
        for chunk in store.mboxrd(copy):
            store.write_all(descriptor, chunk)
        count += 1
    return count


def to_folder(path: str, folder: str, damaged: Callable[[str], None]) -> int:
    """Write each copy into a file of its own in a new folder, numbered in order; return how many."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        raise ConfigurationError(f"{folder}: exists already; restoring needs a new folder") from None
    count = 0
    for count, copy in enumerate(copies(path, damaged), 1):
        store.write_new(os.path.join(folder, f"{count:08d}.eml"), copy.chunks(0))
    return count
