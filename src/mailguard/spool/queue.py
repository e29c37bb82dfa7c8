"""The queue itself: messages are put, taken, and counted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re

from mailguard import safefile
from mailguard.errors import MailguardError
from mailguard.spool import files
from mailguard.spool.breaker import Breakers
from mailguard.spool.done import Done, insist
from mailguard.spool.entry import DamagedEntry, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

    from mailguard.delivery import Target
    from mailguard.spool.done import Place, Room

__all__ = ["DamagedEntry", "Entry", "Spool", "UnavailableError", "check_envelope", "identifier"]

RESERVE = 64 << 20
_FOLDERS = ("tmp", "queue", "failed", "done", "targets")
_IDENTIFIER = re.compile(r"[0-9a-f]{32}")
_LEFTOVER_SECONDS = 600


class UnavailableError(MailguardError):
    """The spool takes no message now: disk full, quota, read-only."""


class Spool:
    """An open spool.

    quota: octets that all messages together may take, None for no limit; reserve: octets that must stay free.
    """

    def __init__(self, path: str, *, create: bool = True, quota: int | None = None, reserve: int = RESERVE) -> None:
        self.path = path
        self._quota = quota
        self._reserve = reserve
        self._folders: dict[str, int] = {}
        self._root = -1
        try:
            self._root = safefile.open_folder(path, create=create)
            for name in _FOLDERS:
                self._folders[name] = safefile.open_folder(name, parent=self._root, create=True)
        except OSError as error:
            self.close()
            raise UnavailableError(f"{path}: {error.strerror}") from None
        except MailguardError:
            self.close()
            raise
        self.done = Done(self._folders["done"])
        self.breakers = Breakers(self._folders["targets"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all folders."""
        for descriptor in (*self._folders.values(), self._root):
            if descriptor >= 0:
                os.close(descriptor)
        self._folders, self._root = {}, -1

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All open folders: what a process that goes on working in the spool must keep."""
        return (self._root, *self._folders.values())

    def folder(self, name: str) -> int:
        """Return the descriptor of a folder."""
        return self._folders[name]

    def put(
        self,
        pieces: Sequence[bytes | memoryview],
        *,
        sender: str | None,
        work: Sequence[tuple[Target, Sequence[str]]],
        digest: bytes,
        now: float,
    ) -> Entry | None:
        """Write a message durably and return its locked entry; None when the same one is in the queue already.

        pieces: the message, unchanged; work: targets with their recipients ([""] for a store).  MailguardError when
        the envelope cannot be right, UnavailableError when the disk does not take it.
        """
        import json

        name = identifier(digest, sender, work)
        size = sum(map(len, pieces))
        header = {
            "mailguard-spool": 1,
            "created": now,
            "sender": sender,
            "digest": digest.hex(),
            "size": size,
            "targets": [{"url": target.url, "recipients": list(recipients)} for target, recipients in work],
        }
        try:
            existing = self.look("queue", name)
            if existing is not None:
                existing.close()
                return None
            self._check_room(size)
            return self._store(name, [json.dumps(header).encode("ascii") + b"\n", *pieces])
        except OSError as error:
            raise UnavailableError(f"{self.path}: {error.strerror}") from None
        except DamagedEntry as error:
            raise UnavailableError(f"{self.path}: the same message is there, but {error}") from None

    def _store(self, name: str, pieces: Iterable[bytes | memoryview]) -> Entry | None:
        temporary = f"{name}.{os.urandom(8).hex()}"
        tmp, queue = self._folders["tmp"], self._folders["queue"]
        descriptor = files.create(tmp, temporary)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            files.write(descriptor, pieces)
            entry = Entry(self, "queue", name, descriptor)
            os.link(temporary, name, src_dir_fd=tmp, dst_dir_fd=queue)
            self._sync_queue(name)
        except FileExistsError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            with contextlib.suppress(OSError):  # swept later
                files.remove(tmp, temporary)
        return entry

    def _sync_queue(self, name: str) -> None:
        """Make a new entry durable, or take it back: what stands in the queue is delivered, so it must be counted.

        MailguardError, not OSError, when neither is possible: then the message comes again and finds its entry.
        """
        queue = self._folders["queue"]
        try:
            os.fsync(queue)
        except BaseException:
            try:
                files.remove(queue, name)
            except OSError as error:
                raise MailguardError(f"{self.path}: {error.strerror}") from None
            raise

    def take(self, folder: str, identifier: str) -> Entry | None:
        """Lock an entry for work; None when somebody else has it or it is gone; DamagedEntry when unreadable."""
        descriptor = self._open(folder, identifier)
        if descriptor is None:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if files.same(descriptor, self._folders[folder], identifier):
                return Entry(self, folder, identifier, descriptor)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def look(self, folder: str, identifier: str) -> Entry | None:
        """Open an entry for reading, locked or not; None when it is gone."""
        descriptor = self._open(folder, identifier)
        if descriptor is None:
            return None
        try:
            return Entry(self, folder, identifier, descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def _open(self, folder: str, identifier: str) -> int | None:
        try:
            return files.open_regular(self._folders[folder], identifier)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedEntry(f"{folder}/{identifier}: {error.strerror}") from None

    def identifiers(self, folder: str) -> Iterator[str]:
        """Yield the names of all entries in `queue` or `failed`."""
        with os.scandir(self._folders[folder]) as entries:
            yield from sorted(entry.name for entry in entries if _IDENTIFIER.fullmatch(entry.name))

    def room(self, digest: bytes, places: Sequence[Place], now: float) -> Room:
        """Return room in the done-journal for deliveries to these places, as far as they were not made yet.

        UnavailableError when there is none, or while another try of the same message is at work.
        """
        try:
            return self.done.room(digest, places, now)
        except BlockingIOError:
            raise UnavailableError(f"{self.path}: an earlier try of this message is still at work") from None
        except OSError as error:
            raise UnavailableError(f"{self.path}: {error.strerror}") from None

    def remember(self, keys: Iterable[bytes], now: float) -> None:
        """Write deliveries into the done-journal; a disk that keeps refusing costs at most a second copy."""
        found = list(keys)
        insist(lambda: self.done.add(found, now))

    def sweep(self, now: float) -> None:
        """Remove what killed processes left unfinished, and old pages of the done-journal."""
        for folder in ("tmp", "queue", "failed", "targets"):
            for name in os.listdir(self._folders[folder]):
                if folder == "tmp" or name.startswith("."):
                    self._sweep_one(self._folders[folder], name, now)
        self.done.prune(now)

    def _sweep_one(self, folder: int, name: str, now: float) -> None:
        try:
            descriptor = files.open_regular(folder, name)
        except OSError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if abs(now - os.fstat(descriptor).st_mtime) > _LEFTOVER_SECONDS:
                files.remove(folder, name)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)

    def _check_room(self, size: int) -> None:
        disk = os.fstatvfs(self._root)
        if disk.f_bavail * disk.f_frsize - size < self._reserve:
            raise UnavailableError(f"{self.path}: less than {self._reserve} octets would stay free")
        if self._quota is not None and self._used() + size > self._quota:
            raise UnavailableError(f"{self.path}: the quota of {self._quota} octets is used up")

    def _used(self) -> int:
        total = 0
        for name in ("queue", "failed"):
            with os.scandir(self._folders[name]) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):  # delivered meanwhile
                        total += entry.stat(follow_symlinks=False).st_size
        return total


def identifier(digest: bytes, sender: str | None, work: Sequence[tuple[Target, Sequence[str]]]) -> str:
    """Name an entry after its content, so that a second try finds it instead of making another; MailguardError."""
    import hashlib

    values = [sender or "", *(value for target, recipients in work for value in (target.name, *sorted(recipients)))]
    check_envelope(values)
    code = hashlib.sha256(digest)
    for value in values:
        raw = value.encode("utf-8", "surrogateescape")
        code.update(len(raw).to_bytes(8, "big") + raw)
    return code.hexdigest()[:32]


def check_envelope(addresses: Iterable[str]) -> None:
    """Refuse addresses that could become another line of a protocol or file; MailguardError."""
    for address in addresses:
        if re.search(r"[\r\n\x00]", address):
            raise MailguardError("an address of the envelope contains a line end or NUL")
