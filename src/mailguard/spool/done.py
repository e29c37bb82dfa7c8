"""The done-journal: which copy reached which recipient at which target in the last seven days.

It keeps a mail system that tries a message again from having it copied again.  One small file per day and first octet
of the message digest, 16 octets per delivery; a full file pushes out its older half, so the journal never outgrows
8 days x 256 files x 2 x 128 KiB.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re

from mailguard.spool import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Place = tuple[str, str]

_DAYS = 7
_KEY = 16
_SHARED = 4
_FILE_LIMIT = 8192 * _KEY
_NAME = re.compile(r"([0-9]{1,9})\.[0-9a-f]{2}(?:\.old)?")


def key(digest: bytes, target: str, recipient: str) -> bytes:
    """Return the key of one delivery: message digest, target name, recipient ("" for a store).

    It begins with the digest, so that all deliveries of one message stand in one file.
    """
    import hashlib

    code = hashlib.sha256(digest)
    for value in (target, recipient):
        raw = value.encode("utf-8", "surrogateescape")
        code.update(len(raw).to_bytes(8, "big") + raw)
    return digest[:_SHARED] + code.digest()[: _KEY - _SHARED]


class Room:
    """Room in the journal for deliveries that are about to be made: to fill it, the disk need not have any.

    descriptor: the open file, for who works in another process.
    """

    __slots__ = ("_places", "descriptor")

    def __init__(self, descriptor: int, places: dict[Place, tuple[int, bytes]]) -> None:
        self.descriptor = descriptor
        self._places = places

    def remember(self, places: Iterable[Place]) -> None:
        """Record deliveries durably; a disk that refuses costs at most a second copy."""
        with contextlib.suppress(OSError):
            for place in places:
                position, entry = self._places[place]
                os.pwrite(self.descriptor, entry, position)
            os.fsync(self.descriptor)

    def close(self) -> None:
        """Close the file; what was not filled stays empty."""
        os.close(self.descriptor)


class Done:
    """The journal in its folder."""

    __slots__ = ("_folder",)

    def __init__(self, folder: int) -> None:
        self._folder = folder

    def known(self, keys: Iterable[bytes], now: float) -> set[bytes]:
        """Return those that were delivered in the last seven days (or, after a clock was set back, tomorrow)."""
        today = int(now // 86400)
        wanted = set(keys)
        found: set[bytes] = set()
        for first in {entry[0] for entry in wanted}:
            for day in range(today + 1, today - _DAYS - 1, -1):
                found |= self._in_file(f"{day}.{first:02x}", wanted) | self._in_file(f"{day}.{first:02x}.old", wanted)
        return found

    def add(self, keys: Iterable[bytes], now: float) -> None:
        """Record deliveries durably; OSError when the disk refuses."""
        files_of_keys: dict[str, list[bytes]] = {}
        for entry in keys:
            files_of_keys.setdefault(f"{int(now // 86400)}.{entry[0]:02x}", []).append(entry)
        for name, entries in files_of_keys.items():
            os.close(self._appended(name, b"".join(entries))[0])

    def room(self, digest: bytes, places: Sequence[Place], now: float) -> Room:
        """Return room for the records of these deliveries of one message; OSError when the disk has none."""
        descriptor, start = self._appended(f"{int(now // 86400)}.{digest[0]:02x}", bytes(_KEY * len(places)))
        return Room(
            descriptor,
            {place: (start + _KEY * number, key(digest, *place)) for number, place in enumerate(places)},
        )

    def prune(self, now: float) -> None:
        """Forget what is older than seven days."""
        today = int(now // 86400)
        for name in os.listdir(self._folder):
            match = _NAME.fullmatch(name)
            if match and not today - _DAYS <= int(match[1]) <= today + 1:
                files.remove(self._folder, name)

    def _in_file(self, name: str, wanted: set[bytes]) -> set[bytes]:
        data = files.read(self._folder, name)
        if not data:
            return set()
        return {entry for entry in wanted if _holds(data, entry)}

    def _appended(self, name: str, entries: bytes) -> tuple[int, int]:
        """Append records durably; return the open file and where they stand in it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self._folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size // _KEY * _KEY  # a write that was cut off is overwritten
            os.lseek(descriptor, size, os.SEEK_SET)
            files.write(descriptor, [entries])
            if size + len(entries) >= _FILE_LIMIT:
                with contextlib.suppress(FileNotFoundError):
                    os.rename(name, name + ".old", src_dir_fd=self._folder, dst_dir_fd=self._folder)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a copy of the descriptor may live on
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, size


def _holds(data: bytes, entry: bytes) -> bool:
    position = data.find(entry)
    while position >= 0 and position % _KEY:
        position = data.find(entry, position + 1)
    return position >= 0
