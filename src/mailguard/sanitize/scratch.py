"""A private directory for a program that runs without a sandbox: locked while in use, swept after a kill."""

from __future__ import annotations

import contextlib
import os
import time

from mailguard.errors import MailguardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "mailguard-sanitize-"
_FRESH = "mailguard-new-"
_OLD = 3_600


@contextlib.contextmanager
def scratch(owner: int | None) -> Iterator[str]:
    """Make a directory that is removed at the end, for the user with this number, or for us.

    It lies in another one that stays ours and holds the lock, so that a sweep leaves it alone.
    """
    import fcntl
    import shutil
    import tempfile

    sweep()
    try:
        fresh = tempfile.mkdtemp(prefix=_FRESH)
        lock = os.open(f"{fresh}/.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MailguardError(f"cannot make a scratch directory: {error.strerror}") from error
    folder = fresh
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.mkdir(f"{fresh}/work", 0o700)
        if owner is not None:
            os.chown(f"{fresh}/work", owner, owner)
            os.chmod(fresh, 0o711)  # noqa: S103 (to be passed through, not read)
        folder = fresh.replace(_FRESH, _PREFIX)
        os.rename(fresh, folder)
        yield f"{folder}/work"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep() -> None:
    """Remove scratch directories of ours whose owner was killed."""
    import shutil
    import tempfile

    root = tempfile.gettempdir()
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(root)):
            if entry.name.startswith((_PREFIX, _FRESH)) and _is_left(entry):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(entry: os.DirEntry[str]) -> bool:
    import fcntl

    try:
        known = entry.stat(follow_symlinks=False)
        if not entry.is_dir(follow_symlinks=False) or known.st_uid != os.geteuid():
            return False
        if not entry.name.startswith(_PREFIX):
            return known.st_mtime < time.time() - _OLD
        lock = os.open(f"{entry.path}/.lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
