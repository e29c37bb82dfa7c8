"""Where archives and parts are: a folder of this machine or a URL of fsspec."""

from __future__ import annotations

import os
from contextlib import suppress

from mailguard.errors import MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def is_url(text: str) -> bool:
    """Tell whether this is a URL and not a path."""
    return "://" in text


def is_there(path: str) -> bool:
    """Tell whether something has this name; OSError when that cannot be found out, where os.path would say no."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


class Folder:
    """A folder of this machine, or one that all machines share."""

    def __init__(self, path: str) -> None:
        self.path = path

    def full(self, name: str) -> str:
        """Return the path of a file; an absolute one stays."""
        return os.path.join(self.path, name)

    def exists(self, name: str) -> bool:
        """Tell whether the file is there."""
        return is_there(self.full(name))

    def size(self, name: str) -> int:
        """Return the size of a file in octets."""
        return os.stat(self.full(name)).st_size

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return a range of a file; MailguardError when it is not all there."""
        with open(self.full(name), "rb", buffering=0) as file:
            if stop is None:
                return file.readall()
            file.seek(start)
            pieces = []
            while start < stop and (piece := file.read(stop - start)):
                pieces.append(piece)
                start += len(piece)
        if start < stop:
            raise MailguardError(f"{show(self.full(name))}: became shorter meanwhile")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, name: str, pieces: Iterable[bytes], *, durable: bool = False) -> None:
        """Write a file that is there completely or not at all, with `durable` also after a crash of the machine."""
        temporary = self.full(f"{name}.{os.getpid()}-{os.urandom(6).hex()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.writelines(pieces)
                file.flush()
                if durable:
                    os.fsync(descriptor)
            os.rename(temporary, self.full(name))
        except BaseException:
            os.unlink(temporary)
            raise

    def names(self) -> Iterator[str]:
        """Yield the names of the files."""
        yield from os.listdir(self.path)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self.full(name))
