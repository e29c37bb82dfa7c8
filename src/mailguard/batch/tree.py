"""Archives that are folders: a listing of the files is cut into chunks, and each message becomes a file again."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from mailguard.archives import folders
from mailguard.batch.job import FOLDER
from mailguard.batch.place import is_there
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from mailguard.batch.job import Job, Task
    from mailguard.batch.work import Work

_LISTING = "listing"
_FILES = 200  # in a chunk
_UNSYNCED = 100  # chunks
_TEMPORARY = b".mailguard-"
_GZIP = b"\x1f\x8b"


class FolderSource:
    """A folder as input.  Its listing is made once: what arrives later belongs to another job."""

    kind = FOLDER
    compressed = False

    def __init__(self, path: str, work: Work) -> None:
        self.given = path
        self.root = os.path.abspath(path)
        self.work = work
        self.path = work.place.full(_LISTING)
        self.size = 0

    def identity(self) -> list[Any]:
        """Return what changes when this is another folder."""
        status = os.stat(self.root)
        return [self.root, status.st_ino]

    def prepare(self) -> None:
        """Make the listing; ConfigurationError when something in the folder cannot be dealt with."""
        if os.path.commonpath([self.root, self.work.output]) == self.root:
            raise ConfigurationError(f"{show(self.work.output)}: is inside of the input")
        if not self.work.place.exists(_LISTING):
            entries = folders.entries(os.fsencode(self.root))
            lines = (b"%s%d %s\0" % entry for entry in entries)
            self.work.place.write(_LISTING, lines, durable=True)
        self.size = os.path.getsize(self.path)

    def plan(self, _job: Job, size: int) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, stop, last) of each chunk of the listing."""
        data = self.work.place.read(_LISTING)
        start = position = total = files = 0
        while position < len(data):
            end = data.index(b"\0", position) + 1
            total += int(data[position + 1 : data.index(b" ", position)])
            files += 1
            position = end
            if total >= size or files >= _FILES or end == len(data):
                yield start, end, end == len(data)
                start, total, files = end, 0, 0


class TreeOutput:
    """The new folder; the workers put the files into it, and here it is only counted."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.path = work.place.full("tree")
        self.joined = work.joined
        self.pending: list[str] = []
        if not work.complete:
            os.makedirs(self.path, mode=0o700, exist_ok=True)

    def join(self, task: Task) -> None:
        """Take note of a part."""
        self.joined = task.number + 1
        self.pending.append(task.part)
        if len(self.pending) >= _UNSYNCED:
            self.sync()

    def sync(self, *, complete: bool = False) -> None:
        """Wait for the disk, once for many files, and only then count them as there."""
        os.sync()
        self.work.progress(self.joined, 0, complete=complete)
        for name in self.pending:
            self.work.place.remove(name)
        self.pending = []

    def finish(self) -> None:
        """Put the folder into its place, which must be free; after a kill this may be done again."""
        if not self.work.complete:
            self._sweep()
            self.sync(complete=True)
        if not is_there(self.work.output):
            os.rename(self.path, self.work.output)
            os.sync()
        elif is_there(self.path):  # otherwise done before a kill
            raise ConfigurationError(f"{show(self.work.output)}: exists already, and is never overwritten")

    def _sweep(self) -> None:
        """Remove what killed workers left."""
        for folder, _, names in os.walk(os.fsencode(self.path)):
            for name in names:
                if name.startswith(_TEMPORARY):
                    os.unlink(os.path.join(folder, name))


def filtered(job: Job, listing: bytes, message: Callable[[bytes, str], bytes | None]) -> None:
    """Filter the files of a piece of the listing into the new folder; `message` returns None for what stays.

    MailguardError when a file cannot be read or written.
    """
    root, target = os.fsencode(job.root), os.fsencode(os.path.join(job.work, "tree"))
    for entry in listing.split(b"\0")[:-1]:
        kind, path = entry[:1], entry.partition(b" ")[2]
        if kind == folders.FOLDER:
            os.makedirs(os.path.join(target, path), mode=0o700, exist_ok=True)
            continue
        found = folders.present(root, path) if kind == folders.MAIL else path
        if found is None:
            raise MailguardError(f"{show(path)}: was removed meanwhile; begin again without --resume")
        raw, status = _read(os.path.join(root, found))
        if kind == folders.MAIL and raw and not raw.startswith(_GZIP):
            output = message(raw, os.fsdecode(found))
            if output is not None:
                found, raw = folders.renamed(found, output), output
        elif kind == folders.MAIL and raw:
            raise ConfigurationError(f"{show(found)}: is compressed; unpack the messages of this folder first")
        _write(os.path.join(target, found), raw, status)


def _read(path: bytes) -> tuple[bytes, os.stat_result]:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        return file.readall(), status


def _write(path: bytes, raw: bytes, status: os.stat_result) -> None:
    """Write a file with the permissions and times of another one, in place of what a killed worker left."""
    folder, name = os.path.split(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    temporary = os.path.join(folder, b"%s%d-%s" % (_TEMPORARY, os.getpid(), os.urandom(6).hex().encode("ascii")))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb", buffering=0) as file:
        rest = memoryview(raw)
        while rest:
            rest = rest[file.write(rest) :]
        with suppress(PermissionError):  # only root can give files away
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.rename(temporary, os.path.join(folder, name))
