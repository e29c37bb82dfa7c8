"""Archives that are one file: an mbox, a compressed one, a single message, standard input."""

from __future__ import annotations

import errno
import mmap
import os

from mailguard.archives import mbox
from mailguard.batch.place import is_url
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from gzip import GzipFile
    from io import FileIO
    from typing import Any

    from mailguard.batch.job import Job, Task
    from mailguard.batch.work import Work

STDIN = "-"
GZIP = b"\x1f\x8b"
_PIECE = 1 << 20
_UNSYNCED = 1 << 26
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})
"""What link(2) says where the file system has none; another error is one of this moment, and rename would replace."""
_SMALLEST, _LARGEST = 1 << 18, 1 << 24


def chunk_size(size: int, jobs: int) -> int:
    """Return how large chunks should be: some for each worker, and none that takes much memory."""
    return max(_SMALLEST, min(_LARGEST, size // (jobs * 32)))


class FileSource:
    """One file as input; what cannot be read at any place (compressed, stdin) is unpacked into the working folder."""

    def __init__(self, path: str, work: Work) -> None:
        self.given = path
        self.path = path if path == STDIN else os.path.abspath(path)
        self.work = work
        self.compressed = False
        self.kind = mbox.MESSAGE
        self.size = 0
        self.root = ""

    def identity(self) -> list[Any]:
        """Return what changes when the file changes."""
        if self.given == STDIN:
            return [STDIN]
        path = os.path.abspath(self.given)
        status = os.stat(path)
        return [path, status.st_size, status.st_mtime_ns, status.st_ino]

    def prepare(self) -> None:
        """Make the file readable at any place; MailguardError when it is damaged."""
        place = self.work.place
        if self.path == STDIN:
            if not place.exists("stdin"):
                with open(0, "rb", buffering=0, closefd=False) as stdin:
                    place.write("stdin", _not_empty(_pieces(stdin)), durable=True)
            self.path = place.full("stdin")
        with open(self.path, "rb", buffering=0) as file:
            self.compressed = file.read(2) == GZIP
        if self.compressed:
            if is_url(self.work.path):
                raise ConfigurationError(f"{show(self.given)}: is compressed, so its output stays on this machine")
            if not place.exists("unpacked"):
                place.write("unpacked", unpacked(self.path, self.given), durable=True)
            self.path = place.full("unpacked")

        data = self.data()
        self.kind = mbox.recognise(data)
        self.size = len(data)

    def data(self) -> mmap.mmap | bytes:
        """Return the file as memory that is read when it is looked at."""
        with open(self.path, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def plan(self, job: Job, size: int) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, stop, last) of each chunk; only the places where chunks end are read."""
        data = self.data()
        for start, stop in mbox.chunks(data, job.kind, size):
            yield start, stop, stop == len(data)
            if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                data.madvise(mmap.MADV_DONTNEED)  # or the whole archive counts as memory of this process


def _pieces(file: FileIO | GzipFile) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _not_empty(pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, None)
    if first is None:
        raise MailguardError("nothing on standard input: the program before this one failed?")
    yield first
    yield from pieces


def unpacked(file: Any, name: str) -> Iterator[bytes]:
    """Yield what the members of a gzip file hold (RFC 1952); file: path or binary file; name: of it, for a person."""
    import gzip
    import zlib

    try:
        with gzip.open(file) as opened:
            yield from _pieces(opened)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise MailguardError(f"{show(name)}: is damaged: {show(str(error))}") from None


class FileOutput:
    """The output while it grows, part by part."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.name = work.place.full("output")
        self.size = work.size
        self.joined = work.joined
        self.pending: list[str] = []
        self.unsynced = 0
        if not work.complete:
            self.descriptor = os.open(self.name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.ftruncate(self.descriptor, self.size)
            os.lseek(self.descriptor, self.size, os.SEEK_SET)

    def join(self, task: Task) -> None:
        """Append the part of a task."""
        with open(self.work.place.full(task.part), "rb", buffering=0) as part:
            while piece := memoryview(part.read(_PIECE)):
                while piece:
                    piece = piece[os.write(self.descriptor, piece) :]
            length = part.tell()
        self.size += length
        self.unsynced += length
        self.joined = task.number + 1
        self.pending.append(task.part)
        if self.unsynced >= _UNSYNCED:
            self.sync()

    def sync(self, *, complete: bool = False) -> None:
        """Make sure of what was appended, and only then remove the parts."""
        os.fsync(self.descriptor)
        self.work.progress(self.joined, self.size, complete=complete)
        for name in self.pending:
            self.work.place.remove(name)
        self.pending = []
        self.unsynced = 0

    def finish(self) -> None:
        """Put the output into its place, which must be free; after a kill this may be done again."""
        if not self.work.complete:
            self.sync(complete=True)
            os.close(self.descriptor)
        try:
            _link(self.name, self.work.output)
        except FileNotFoundError:  # done before a kill, and half of the folder removed; if not, this is an error
            os.lstat(self.work.output)
        folder = os.open(os.path.dirname(self.work.output), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(folder)
        os.close(folder)


def _link(source: str, target: str) -> None:
    """Give a file its name; unlike rename, this never replaces anything."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        if os.path.samefile(source, target):
            return
        raise ConfigurationError(f"{show(target)}: exists already, and is never overwritten") from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS or os.path.lexists(target):
            raise
        os.rename(source, target)
