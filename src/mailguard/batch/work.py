"""The folder beside the output in which a job works, and by which an interrupted one goes on.

`job.json` says which job it is; `progress.json` how many parts are in the output and how long it is then.  Parts are
written without waiting for the disk: they survive a kill of any process, and after a crash of the machine those that
were not yet joined are made again.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from mailguard import safefile
from mailguard.batch.place import Folder, is_there
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_JOB, _PROGRESS = "job.json", "progress.json"
_BOOT = "/proc/sys/kernel/random/boot_id"
_LOCK_SECONDS = 10.0


def _boot() -> str:
    """Return what changes with every start of the machine."""
    try:
        with open(_BOOT, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return os.urandom(16).hex()  # then parts of an earlier run are never trusted


class Work:
    """The working folder of the job with this output; made or found again by `begin`."""

    def __init__(self, output: str) -> None:
        self.output = os.path.abspath(output)
        folder, name = os.path.split(self.output)
        self.path = os.path.join(folder, f".{name}.mailguard-batch")
        self.place: Any = Folder(self.path)  # or remote.Remote
        self.joined = 0
        self.size = 0
        self.complete = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep other runs of the same job out of it: MailguardError while there is one."""
        import fcntl
        from time import monotonic, sleep

        if not is_there(self.path):
            self.refuse_existing()
        descriptor = safefile.open_folder(self.path, create=True)
        limit = monotonic() + _LOCK_SECONDS
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if monotonic() > limit:
                        raise MailguardError(f"{show(self.output)}: another process works on it") from None
                    sleep(0.05)  # workers of a run that was killed end in a moment
            yield
        finally:
            os.close(descriptor)

    def begin(self, job: dict[str, Any], *, resume: bool) -> dict[str, Any]:
        """Return the description of the job, that of the earlier run where one is resumed.

        job: `identity`, what must be the same, and whatever the earlier run decided.  ConfigurationError when the
        output exists, or the folder holds something and this is not the same job.
        """
        earlier = self._read(_JOB)
        if not earlier:
            self.refuse_existing()
            self.write(_JOB, job | {"boot": _boot()})
            return job
        if not resume:
            raise ConfigurationError(f"{show(self.path)}: an unfinished job; continue it with --resume, or remove it")
        if earlier["identity"] != job["identity"]:
            raise ConfigurationError(f"{show(self.path)}: an unfinished job with another pipeline, input or version")
        self._resume(earlier)
        return earlier

    def refuse_existing(self) -> None:
        """Raise ConfigurationError when the output is there."""
        if is_there(self.output):
            raise ConfigurationError(f"{show(self.output)}: exists already, and is never overwritten")

    def _resume(self, job: dict[str, Any]) -> None:
        progress = self._read(_PROGRESS)
        self.joined, self.size = progress.get("joined", 0), progress.get("size", 0)
        self.complete = progress.get("complete", False)
        if not self.complete:
            self.refuse_existing()
        trusted = self.trusts(job["boot"])
        for name in list(self.place.names()):
            if name.endswith((".tmp", ".at")) or (not trusted and name.endswith(".part")):
                self.place.remove(name)
        if not trusted:
            self.write(_JOB, job | {"boot": _boot()})

    def trusts(self, boot: str) -> bool:
        """Tell whether parts of a run in that life of the machine are on the disk."""
        return boot == _boot()

    def _read(self, name: str) -> dict[str, Any]:
        import json

        try:
            values: dict[str, Any] = json.loads(self.place.read(name))
        except FileNotFoundError:
            return {}
        return values

    def write(self, name: str, values: dict[str, Any]) -> None:
        """Write a small file that survives a crash of the machine."""
        import json

        self.place.write(name, [json.dumps(values).encode("ascii")], durable=True)

    def progress(self, joined: int, size: int, *, complete: bool = False) -> None:
        """Note how much is in the output."""
        self.write(_PROGRESS, {"joined": joined, "size": size, "complete": complete})

    @contextmanager
    def notes(self) -> Iterator[str]:
        """Give a folder of this machine for the notes of workers."""
        yield self.path

    def remove(self) -> None:
        """Remove the folder; the job is done.  What says so goes last: this too may be interrupted."""
        from shutil import rmtree

        for name in sorted(self.place.names(), key=lambda name: (name.endswith(".json"), name in {_JOB, _PROGRESS})):
            path = self.place.full(name)
            rmtree(path) if os.path.isdir(path) else self.place.remove(name)
        os.rmdir(self.path)
