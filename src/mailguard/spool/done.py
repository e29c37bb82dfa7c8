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
import struct

from mailguard.spool import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Place = tuple[str, str]

_DAYS = 7
_KEY = 16
_SHARED = 4
_TRIES = 3
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


def insist(write: Callable[[], None]) -> None:
    """Write what is known only here, again if the disk refuses: nobody could be told that it was not written."""
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):
            write()
            return


class Room:
    """Room in the journal for deliveries that are about to be made: to fill it, the disk need not have any.

    delivered: places that got the message before; descriptor: the open file, whose lock keeps another try of the same
    message away, for who works in another process.
    """

    __slots__ = ("_places", "delivered", "descriptor")

    def __init__(self, descriptor: int, places: dict[Place, tuple[int, bytes]], delivered: set[Place]) -> None:
        self.descriptor = descriptor
        self.delivered = delivered
        self._places = places

    def remember(self, places: Iterable[Place]) -> None:
        """Record deliveries durably; a disk that keeps refusing costs at most a second copy."""
        found = [self._places[place] for place in places]

        def write() -> None:
            for position, entry in found:
                os.pwrite(self.descriptor, entry, position)
            os.fsync(self.descriptor)

        insist(write)

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
            descriptor = self._open(name)
            try:
                self._append(descriptor, name, b"".join(entries))
            finally:
                os.close(descriptor)

    def room(self, digest: bytes, places: Sequence[Place], now: float) -> Room:
        """Return room for deliveries of one message, where they were not made yet.

        OSError when the disk has none, BlockingIOError while another try of the message is at work.
        """
        keys = {place: key(digest, *place) for place in places}
        name = f"{int(now // 86400)}.{digest[0]:02x}"
        descriptor = self._open(name)
        try:
            _lock(descriptor, digest)
            known = self.known(keys.values(), now)
            missing = [place for place in places if keys[place] not in known]
            start = self._append(descriptor, name, bytes(_KEY * len(missing)))
        except BaseException:
            os.close(descriptor)
            raise
        found = {place: (start + _KEY * number, keys[place]) for number, place in enumerate(missing)}
        return Room(descriptor, found, set(places) - set(missing))

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

    def _open(self, name: str) -> int:
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._folder)

    def _append(self, descriptor: int, name: str, entries: bytes) -> int:
        """Append records durably; return where they stand in the file."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            size = os.fstat(descriptor).st_size // _KEY * _KEY  # a write that was cut off is overwritten
            os.lseek(descriptor, size, os.SEEK_SET)
            files.write(descriptor, [entries])
            if size + len(entries) >= _FILE_LIMIT:
                with contextlib.suppress(FileNotFoundError):
                    os.rename(name, name + ".old", src_dir_fd=self._folder, dst_dir_fd=self._folder)
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # another process may keep the file open
        return size


def _lock(descriptor: int, digest: bytes) -> None:
    """Lock a message, which belongs to the open file until the last process closes it; BlockingIOError.

    An octet that is far behind the end of any page stands for it, so messages on the same page do not wait.
    """
    if hasattr(fcntl, "F_OFD_SETLK"):
        octet = _FILE_LIMIT + int.from_bytes(digest[:6], "big")
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, octet, 1, 0))


def _holds(data: bytes, entry: bytes) -> bool:
    position = data.find(entry)
    while position >= 0 and position % _KEY:
        position = data.find(entry, position + 1)
    return position >= 0
