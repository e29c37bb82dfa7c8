"""Files that are there completely or not at all, and lines that do not run into each other.

New content goes to a private dot-file in the same directory, is synced, and renamed; what a crash leaves behind is
swept by the next one who writes there, a day later.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NoReturn

_PREFIX = ".mailguard-"
_LEFTOVER_SECONDS = 86400
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_folder(path: str, *, parent: int | None = None, create: bool, private: bool = True) -> int:
    """Open a folder for what is ours alone, and return its descriptor.

    create: make it (only itself) when it is missing; private: nobody else may even look into it, otherwise nobody else
    may change it.  ConfigurationError when it is a symbolic link, belongs to somebody else or lets others in, or is
    missing and must not be made; OSError when the system refuses.
    """
    if create:
        try:
            os.mkdir(path, 0o700, dir_fd=parent)
        except FileExistsError:
            pass
        else:
            _sync_parent(path, parent)
    shown = show(path)
    try:
        descriptor = os.open(path, _FOLDER, dir_fd=parent)
    except (NotADirectoryError, FileNotFoundError) as error:
        raise ConfigurationError(f"{shown}: no folder of ours (symbolic links are refused): {error.strerror}") from None
    status = os.fstat(descriptor)
    problem = ""
    if status.st_uid != os.geteuid():
        problem = f"the folder belongs to user {status.st_uid}, not to {os.geteuid()}"
    elif private and status.st_mode & 0o077:
        problem = f"the folder lets others in: chmod 700 {shown}"
    elif status.st_mode & 0o022:
        problem = f"the folder can be changed by others: chmod go-w {shown}"
    if problem:
        os.close(descriptor)
        raise ConfigurationError(f"{shown}: {problem}")
    return descriptor


def _sync_parent(path: str, parent: int | None) -> None:
    """Make a new folder itself durable."""
    if parent is None:
        _sync_directory(os.path.dirname(os.path.abspath(path)))
    else:
        os.fsync(parent)


def replace(path: str, chunks: Iterable[bytes], mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Write a file so that readers see the old content or the new one, never a part, even after a crash.

    owner: user and group of the file, when they are not ours.  A symbolic link at `path` is replaced, not followed.
    MailguardError when it cannot be written.
    """
    _write(path, chunks, mode, owner, exclusive=False)


def replace_all(folder: int, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
    """Write files, (name, chunks), into an open folder like `replace`, but sweep and sync it only once.

    OSError when one cannot be written.
    """
    sweep(folder)
    for name, chunks in files:
        _put(name, chunks, 0o600, None, exclusive=False, folder=folder)
    os.fsync(folder)


def create(path: str, chunks: Iterable[bytes], mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Write a new file like `replace`; FileExistsError when something has that name already, a broken link included."""
    _write(path, chunks, mode, owner, exclusive=True)


def _write(path: str, chunks: Iterable[bytes], mode: int, owner: tuple[int, int] | None, *, exclusive: bool) -> None:
    directory = os.path.dirname(path) or "."
    try:
        sweep(directory)
        _put(path, chunks, mode, owner, exclusive=exclusive)
        _sync_directory(directory)
    except FileExistsError:
        if exclusive:
            raise
        _failed(path, "exists")
    except OSError as error:
        _failed(path, error.strerror)


def _put(
    path: str,
    chunks: Iterable[bytes],
    mode: int,
    owner: tuple[int, int] | None,
    *,
    exclusive: bool,
    folder: int | None = None,
) -> None:
    directory, name = os.path.split(path)
    temporary = os.path.join(directory or ".", f"{_PREFIX}{os.getpid()}-{os.urandom(8).hex()}-{name[:64]}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode, dir_fd=folder)
    try:
        _fill(descriptor, chunks, owner)
        if exclusive:
            os.link(temporary, path, follow_symlinks=False)  # unlike rename, link never replaces anything
            os.unlink(temporary)
        else:
            os.rename(temporary, path, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        _unlink(temporary, folder)
        raise


def _fill(descriptor: int, chunks: Iterable[bytes], owner: tuple[int, int] | None) -> None:
    try:
        if owner:
            os.fchown(descriptor, *owner)
        for chunk in chunks:
            _write_all(descriptor, chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        count = os.write(descriptor, rest)
        if not count:
            raise OSError(5, "takes no more data")
        rest = rest[count:]


def _unlink(path: str, folder: int | None = None) -> None:
    try:  # noqa: SIM105 (contextlib is not imported for this)
        os.unlink(path, dir_fd=folder)
    except OSError:
        pass  # swept later


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(path: str, reason: str | None) -> NoReturn:
    raise MailguardError(f"{show(path)}: {reason}") from None


def sweep(directory: str | int) -> None:
    """Remove what killed processes left in a directory: our temporary names, our own user's, older than a day."""
    from time import time

    oldest = time() - _LEFTOVER_SECONDS
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.name.startswith(_PREFIX):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_mtime < oldest and status.st_uid == os.geteuid() and entry.is_file(follow_symlinks=False):
                _unlink(entry.path, directory if isinstance(directory, int) else None)  # a path, or only a name


def append(path: str, line: bytes) -> None:
    """Append one line, its line end included, under a lock: lines of processes at the same time stay whole.

    A line of which only a part could be written is taken back; one that a killed process left without its end gets it,
    or this one would be lost with it.  MailguardError when it cannot be written; ConfigurationError when the file
    cannot be opened, is a link, somebody else's, or no regular file.
    """
    import fcntl

    descriptor = _open_to_append(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, b"\n" + line if _ends_within_a_line(descriptor, before) else line)
        except OSError:
            if os.fstat(descriptor).st_size > before:
                os.ftruncate(descriptor, before)
            raise
    except OSError as error:
        _failed(path, error.strerror)
    finally:
        os.close(descriptor)


def _ends_within_a_line(descriptor: int, size: int) -> bool:
    try:
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    except OSError:  # not ours to read
        return False


def check_append(path: str) -> None:
    """Make sure that `append` will find the file: ConfigurationError before any work instead of after it."""
    os.close(_open_to_append(path))


def _open_to_append(path: str) -> int:
    """Open a regular file of ours or root's, or /dev/null or its like; anything else could block, or lead elsewhere."""
    flags = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        try:
            descriptor = os.open(path, flags | os.O_RDWR, 0o600)
        except PermissionError:
            descriptor = os.open(path, flags | os.O_WRONLY, 0o600)
    except OSError as error:
        reason = "is a symbolic link" if os.path.islink(path) else error.strerror
        raise ConfigurationError(f"{show(path)}: {reason}") from None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        owner = _name(status.st_uid)
        problem = "" if status.st_uid in {0, os.geteuid()} else f"belongs to user {owner}"
        if problem and os.geteuid() == 0 and not owner.isdigit():  # runuser knows users by their names
            problem += f": runuser -u {owner} -- mailguard ..."
    else:
        problem = "" if _is_null(status) else "is not a regular file"
    if problem:
        os.close(descriptor)
        raise ConfigurationError(f"{show(path)}: {problem}")
    return descriptor


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _is_null(status: os.stat_result) -> bool:
    """Tell whether this is /dev/null or a device of the same driver, as /dev/full: none of them blocks."""
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) == os.major(os.stat(os.devnull).st_rdev)


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold the lock of a directory; MailguardError when it is not there."""
    import fcntl

    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        _failed(directory, error.strerror)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
