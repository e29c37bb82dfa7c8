"""Files below the spool, always by folder descriptor and name: no path that somebody could bend, no symbolic link."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def open_regular(folder: int, name: str, flags: int = os.O_RDONLY) -> int:
    """Open an existing regular file (no link, no device); OSError otherwise."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    if os.fstat(descriptor).st_mode & 0o170000 != 0o100000:
        os.close(descriptor)
        raise OSError(22, "not a regular file", name)
    return descriptor


def create(folder: int, name: str) -> int:
    """Make a new private file; FileExistsError when the name is taken."""
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)


def read(folder: int, name: str) -> bytes | None:
    """Return the content of a regular file, None when there is none."""
    try:
        descriptor = open_regular(folder, name)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        return file.read()


def write(descriptor: int, pieces: Iterable[bytes | memoryview], *, durable: bool = True) -> None:
    """Write all pieces and make them durable; OSError when that fails."""
    for piece in pieces:
        view = memoryview(piece)
        while view:
            written = os.write(descriptor, view)
            if not written:
                raise OSError(28, "takes no more data")
            view = view[written:]
    if durable:
        os.fsync(descriptor)


def replace(folder: int, name: str, data: bytes, *, durable: bool = True) -> None:
    """Put a file in place of another in one step; afterwards either the old or the new content is there."""
    temporary = f".{name}.{os.getpid()}"
    remove(folder, temporary)
    descriptor = create(folder, temporary)
    try:
        write(descriptor, [data], durable=durable)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        remove(folder, temporary)
        raise
    finally:
        os.close(descriptor)
    if durable:
        os.fsync(folder)


def remove(folder: int, name: str) -> None:
    """Remove a file if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def exists(folder: int, name: str) -> bool:
    """Tell whether a name is taken, by whatever."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def same(descriptor: int, folder: int, name: str) -> bool:
    """Tell whether an open file is the one that has this name."""
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
