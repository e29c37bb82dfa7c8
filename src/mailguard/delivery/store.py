"""Delivery into a Maildir or an mbox on this machine.

Both are safe against a kill at any moment: the name, respectively the place, tells at the next try how far it came.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time

from mailguard.delivery.attempt import DELIVERED, PERMANENT, TEMPORARY, Attempt
from mailguard.delivery.copy import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mailguard.delivery.copy import Copy
    from mailguard.delivery.target import Target

_LOCK_PAUSE = 0.05
_STALE_LOCK = 300
_MBOXRD = re.compile(rb"^(>*From )", re.MULTILINE)
_LOCK = re.compile(rb"\s*([0-9]{1,9})\s*(?:([0-9a-z]+) ([0-9]{1,18})\n)?")
_FROM_LINE_LIMIT = 1000


def _attempted(target: Target, recipients: Sequence[str], work: Callable[[], str]) -> Attempt:
    attempt = Attempt()
    try:
        reply = work()
    except OSError as error:
        attempt.down = True
        attempt.note(f"! {target.name}: {error.strerror or error}")
        attempt.settle(recipients, TEMPORARY, f"4.2.0 {error.strerror or error}")
    except ValueError as error:
        attempt.note(f"! {target.name}: {error}")
        attempt.settle(recipients, PERMANENT, f"5.6.0 {error}")
    else:
        attempt.settle(recipients, DELIVERED, f"2.0.0 {reply}")
    return attempt


class Maildir:
    """A Maildir folder, made when it is missing.  The message is stored without a `From_` line, as Maildir wants it."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def deliver(self, copy: Copy, recipients: Sequence[str]) -> Attempt:
        """Store one copy for all recipients."""
        return _attempted(self._target, recipients, lambda: self._store(copy))

    def close(self) -> None:
        """Nothing stays open."""

    def _store(self, copy: Copy) -> str:
        root = self._target.path
        for folder in (root, *(os.path.join(root, name) for name in ("tmp", "new", "cur"))):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)
        name = file_name(copy)
        if not self._there(name):
            temporary = os.path.join(root, "tmp", name)
            write_new(temporary, copy.chunks())
            os.rename(temporary, os.path.join(root, "new", name))
        for folder in ("new", "cur"):
            _sync_directory(os.path.join(root, folder))
        return f"stored as {name}"

    def _there(self, name: str) -> bool:
        """Whether an earlier try got this far; a reader may have moved the file to cur/ since."""
        root = self._target.path
        if os.path.lexists(os.path.join(root, "new", name)):
            return True
        with os.scandir(os.path.join(root, "cur")) as entries:
            return any(entry.name.partition(":")[0] == name for entry in entries)


def file_name(copy: Copy) -> str:
    """Return the Maildir name of a copy: the same at every try, sorted by time."""
    seconds, fraction = divmod(copy.created, 1)
    return f"{int(seconds)}.M{int(fraction * 1e6):06d}{copy.identifier}.mailguard"


def write_new(path: str, chunks: Iterable[bytes]) -> None:
    """Write a private file durably, in place of what a killed try left under its name; OSError otherwise."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for chunk in chunks:
            write_all(descriptor, chunk)
        os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, or raise OSError."""
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Mbox:
    """An mbox file in the mboxrd form: "From " at the start of a line gets one more ">", and can lose it again."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def deliver(self, copy: Copy, recipients: Sequence[str]) -> Attempt:
        """Append one copy for all recipients."""
        return _attempted(self._target, recipients, lambda: self._append(copy))

    def close(self) -> None:
        """Nothing stays open."""

    def _append(self, copy: Copy) -> str:
        path = self._target.path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            with _locked(descriptor, path, self._target.timeout) as lock:
                return _append_locked(descriptor, copy, lock)
        finally:
            os.close(descriptor)


def _append_locked(descriptor: int, copy: Copy, lock: _DotLock) -> str:
    end = os.fstat(descriptor).st_size
    length = sum(map(len, mboxrd(copy)))
    if length <= end and _is_prefix(descriptor, end - length, end, mboxrd(copy)):
        return "was already stored"
    if lock.left_by == copy.identifier and _is_prefix(descriptor, lock.left_at, end, mboxrd(copy)):
        end = lock.left_at  # a killed try wrote this piece and nobody anything behind it
        os.ftruncate(descriptor, end)
    try:
        start = end + _end_message(descriptor, end)
        lock.announce(copy.identifier, start)
        for chunk in mboxrd(copy):
            write_all(descriptor, chunk)
        os.fsync(descriptor)
    except BaseException:
        os.ftruncate(descriptor, end)
        raise
    return f"stored at offset {start}"


def _end_message(descriptor: int, end: int) -> int:
    """Put an empty line behind the last message when there is none; return how many octets that took."""
    last = os.pread(descriptor, 2, max(end - 2, 0))
    missing = b"" if not end or last == b"\n\n" else b"\n" if last.endswith(b"\n") else b"\n\n"
    os.lseek(descriptor, end, os.SEEK_SET)
    write_all(descriptor, missing)
    return len(missing)


def _is_prefix(descriptor: int, start: int, end: int, chunks: Iterable[bytes]) -> bool:
    """Whether the file from `start` to its end holds these bytes or their beginning."""
    for chunk in chunks:
        present = os.pread(descriptor, min(len(chunk), max(end - start, 0)), start)
        if not chunk.startswith(present):
            return False
        start += len(present)
        if start >= end:
            return True
    return False


def mboxrd(copy: Copy) -> Iterator[bytes]:
    """Yield the copy as it stands in an mbox: separator, quoted message, empty line."""
    yield separator(copy)
    rest = b""
    for chunk in copy.chunks():
        piece = rest + chunk
        cut = piece.rfind(b"\n") + 1
        if not cut and len(piece) < 2 * CHUNK:
            rest = piece
            continue
        cut = cut or len(piece)
        yield _MBOXRD.sub(rb">\1", piece[:cut])
        rest = piece[cut:]
    yield _MBOXRD.sub(rb">\1", rest) + (b"\n\n" if rest else b"\n")


def separator(copy: Copy) -> bytes:
    """Return the `From_` line: the message's own one, else the envelope sender and the time (RFC 4155)."""
    own = copy.from_line
    if own and len(own) < _FROM_LINE_LIMIT:
        return own
    sender = re.sub(r"[^!-~]", "?", copy.sender or "") or "MAILER-DAEMON"
    return f"From {sender} {_asctime(copy.created)}\n".encode("ascii")


def _asctime(moment: float) -> str:
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(moment)
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{days[weekday]} {months[month - 1]} {day:2d} {hour:02d}:{minute:02d}:{second:02d} {year}"


class _DotLock:
    """PATH.lock, as other mail programs know it: the process id in the first line; ours adds what it is writing."""

    def __init__(self, mailbox: str) -> None:
        self._path = mailbox + ".lock"
        self._descriptor: int | None = None
        self.left_by = ""
        self.left_at = 0

    def acquire(self) -> None:
        """Take the lock, also from a process that is dead; BlockingIOError when somebody holds it.

        A folder that does not let us is no obstacle: there the fcntl lock must do, as for everybody.
        """
        try:
            self._descriptor = _made(self._path, b"%d\n" % os.getpid())
        except PermissionError:
            return
        except FileExistsError:
            self._clear_dead()
            raise BlockingIOError from None

    def announce(self, identifier: str, offset: int) -> None:
        """Leave word for the next try, should this one be killed."""
        if self._descriptor is not None:
            os.write(self._descriptor, f"{identifier} {offset}\n".encode("ascii"))

    def release(self) -> None:
        """Give the lock back; what cannot be removed names a process that is soon dead."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(self._descriptor)

    def _clear_dead(self) -> None:
        """Remove a lock whose holder is dead, or so old that it must be; we hold the fcntl lock meanwhile."""
        with contextlib.suppress(OSError):
            with open(self._path, "rb") as file:
                age = abs(time.time() - os.fstat(file.fileno()).st_mtime)
                match = _LOCK.fullmatch(file.read(200))
            if age > _STALE_LOCK or (match and not _alive(int(match[1]))):
                os.unlink(self._path)
                if match and match[2]:
                    self.left_by, self.left_at = match[2].decode("ascii"), int(match[3])


def _made(path: str, content: bytes) -> int:
    """Make a lock file that has its content from the first moment, and return it open for more; OSError otherwise.

    An empty one, after a kill or on a full disk, would stop every program that respects it until it is old.
    """
    try:
        flags = getattr(os, "O_TMPFILE", os.O_EXCL) | os.O_WRONLY | os.O_CLOEXEC
        descriptor = os.open(os.path.dirname(path) or ".", flags, 0o600)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR}:
            raise
        return _made_by_name(path, content)
    try:
        write_all(descriptor, content)
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)  # which makes it follow the link (open(2))
    except FileExistsError:
        os.close(descriptor)
        raise
    except OSError as error:
        os.close(descriptor)
        if error.errno not in {errno.ENOENT, errno.EPERM, errno.EXDEV}:  # without /proc
            raise
        return _made_by_name(path, content)
    return descriptor


def _made_by_name(path: str, content: bytes) -> int:
    """Do the same where there are no files without a name (NFS)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, content)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(descriptor)
        raise
    return descriptor


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def _locked(descriptor: int, path: str, seconds: float) -> Iterator[_DotLock]:
    """Lock as Debian's mail programs do: fcntl first, then PATH.lock."""
    import fcntl

    limit = time.monotonic() + seconds
    _until(limit, lambda: fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB))
    lock = _DotLock(path)
    _until(limit, lock.acquire)
    try:
        yield lock
    finally:
        lock.release()


def _until(limit: float, lock: Callable[[], None]) -> None:
    while True:
        try:
            lock()
        except (BlockingIOError, PermissionError):  # fcntl may say either
            if time.monotonic() >= limit:
                raise TimeoutError(errno.ETIMEDOUT, "the mailbox is locked by another program") from None
            time.sleep(_LOCK_PAUSE)
        else:
            return
