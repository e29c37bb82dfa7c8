"""Archives and parts under a URL of fsspec (`s3://bucket/archive.mbox`), as workers on other machines can reach them.

Parts stay until all are there; then the output is written in one stream, and appears when that is complete.
Credentials are found by fsspec where it looks for them on each machine, and never stand in the URL.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from mailguard.archives import mbox
from mailguard.batch import files
from mailguard.batch.place import Folder, is_url
from mailguard.batch.work import Work
from mailguard.errors import ConfigurationError, MailguardError, installation
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from mailguard.batch.job import Job, Task

_PIECE = 1 << 22
_WINDOW = 1 << 20
_BEHIND = 4096  # octets behind a boundary that tell whether it is one
_AT_ONCE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})  # a file appears when it is closed


class Remote:
    """A folder under a URL; as `place.Folder`."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise ConfigurationError(f"URLs need an extra; {installation('cluster')}") from None
        self.path = url.rstrip("/")
        scheme, _, rest = self.path.partition("://")
        if "@" in rest.partition("/")[0]:
            raise ConfigurationError("no user or password in a URL, please; fsspec has its own places for them")
        try:
            self.system = fsspec.filesystem(scheme)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"{scheme}: {show(str(error))}") from None
        self._at_once = scheme in _AT_ONCE

    def full(self, name: str) -> str:
        """Return the URL of a file; a URL stays."""
        return name if is_url(name) else f"{self.path}/{name}" if name else self.path

    def exists(self, name: str) -> bool:
        """Tell whether the file is there."""
        self.system.invalidate_cache()
        return bool(self.system.exists(self.full(name)))

    def size(self, name: str) -> int:
        """Return the size of a file in octets."""
        return int(self.system.info(self.full(name))["size"])

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return a range of a file; MailguardError when it is not all there."""
        raw = bytes(self.system.cat_file(self.full(name), start=start or None, end=stop))
        if stop is not None and len(raw) < stop - start:
            raise MailguardError(f"{show(self.full(name))}: became shorter meanwhile")
        return raw

    def write(self, name: str, pieces: Iterable[bytes], *, durable: bool = False) -> None:  # noqa: ARG002
        """Write a file that is there completely or not at all."""
        url = self.full(name)
        temporary = url if self._at_once else f"{url}.{os.urandom(6).hex()}.tmp"
        file = self.system.open(temporary, "wb")
        try:
            for piece in pieces:
                file.write(piece)
        except BaseException:
            file.discard() if hasattr(file, "discard") else None
            raise
        file.close()
        if not self._at_once:
            self.system.mv(temporary, url)

    def names(self) -> Iterator[str]:
        """Yield the names of the files."""
        self.system.invalidate_cache()
        paths = self.system.ls(self.path, detail=False) if self.system.exists(self.path) else []
        yield from (str(path).rstrip("/").rpartition("/")[2] for path in paths)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self.exists(name):
            self.system.rm_file(self.full(name))


class RemoteWork(Work):
    """The working folder beside an output that is a URL.  Nothing there keeps a second run out: start only one."""

    def __init__(self, output: str) -> None:
        self.output = output.rstrip("/")
        folder, _, name = self.output.rpartition("/")
        self.path = f"{folder}/.{name}.mailguard-batch"
        self.place: Any = Remote(self.path)
        self.joined = 0
        self.size = 0
        self.complete = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Do nothing: there are no locks behind a URL."""
        yield

    def refuse_existing(self) -> None:
        """Raise ConfigurationError when the output is there."""
        if self.place.exists(self.output):
            raise ConfigurationError(f"{show(self.output)}: exists already, and is never overwritten")

    def trusts(self, _boot: str) -> bool:
        """Parts behind a URL survive a crash of this machine."""
        return True

    @contextmanager
    def notes(self) -> Iterator[str]:
        """Give a folder of this machine for the notes of workers."""
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix="mailguard-batch-") as folder:
            yield folder

    def remove(self) -> None:
        """Remove the folder; the job is done."""
        self.place.system.rm(self.path, recursive=True)


class RemoteSource:
    """One file behind a URL as input; a compressed one is unpacked into the working folder."""

    root = ""

    def __init__(self, url: str, work: Work) -> None:
        self.given = url
        self.path = url
        self.work = work
        self.place = Remote(url.rpartition("/")[0])
        self.compressed = False
        self.kind = mbox.MESSAGE
        self.size = 0

    def identity(self) -> list[Any]:
        """Return what changes when the file changes."""
        self.place.system.invalidate_cache()
        facts = self.place.system.info(self.given)
        return [self.given, facts["size"], str(facts.get("ETag") or facts.get("mtime") or facts.get("LastModified"))]

    def prepare(self) -> None:
        """Look at the beginning; MailguardError when the file is damaged."""
        self.size = self.place.size(self.path)
        if self.place.read(self.path, 0, min(2, self.size)) == files.GZIP:
            self.compressed = True
            if not self.work.place.exists("unpacked"):
                with self.place.system.open(self.given, "rb") as file:
                    self.work.place.write("unpacked", files.unpacked(file, self.given), durable=True)
            self.path = self.work.place.full("unpacked")
            self.place = self.work.place  # either knows where its files are
            self.size = self.place.size(self.path)
        self.kind = mbox.recognise(self.place.read(self.path, 0, min(self.size, _PIECE)))

    def plan(self, job: Job, size: int) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, stop, last) of each chunk; of an mbox only the places where chunks end are read."""
        start = 0
        while start < self.size:
            stop = self.size if job.kind == mbox.MESSAGE else self._stop(job.kind, start, size)
            yield start, stop, stop == self.size
            start = stop

    def _stop(self, kind: str, start: int, size: int) -> int:
        if start + size >= self.size:
            return self.size
        first = max(start, start + size - _BEHIND) if kind == mbox.MBOX else start
        length = _WINDOW if kind == mbox.MBOX else size + _WINDOW
        while True:
            end = min(first + length, self.size)
            window = self.place.read(self.path, first, end)
            stop = first + mbox.stop(window, kind, start + size - first)
            if end == self.size or stop + _BEHIND < end:
                return stop
            length *= 4


class RemoteOutput:
    """The output behind a URL: written when all parts are there."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def join(self, _task: Task) -> None:
        """Leave the part where it is."""

    def finish(self) -> None:
        """Write the output, whose place must be free; after a kill this may be done again."""
        place = self.work.place
        parts = sorted(name for name in place.names() if name.endswith(".part"))
        size = sum(place.size(name) for name in parts)
        if not self.work.complete:
            self.work.progress(0, size, complete=True)
        elif place.exists(self.work.output):
            return  # killed while the parts were removed
        self.work.refuse_existing()
        place.write(self.work.output, (piece for name in parts for piece in self._pieces(name)))

    def _pieces(self, name: str) -> Iterator[bytes]:
        size = self.work.place.size(name)
        for start in range(0, size, _PIECE):
            yield self.work.place.read(name, start, min(start + _PIECE, size))


def at(path: str) -> Folder | Remote:
    """Return the folder at a path or URL."""
    return Remote(path) if is_url(path) else Folder(path)
