"""What is written: journal, records and log, spools, temporary files, and the disks below them."""

from __future__ import annotations

import os
import stat

from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.doctor.secrets import as_owner
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.doctor.row import Setup

WRITTEN = ("journal", "json", "log")
"""Options that name files which grow."""
_SYSLOG = "/dev/log"
_LARGE = 1 << 30
_FULL = 64 << 20  # what the spool keeps free
_SCARCE = 0.05


def records(setup: Setup) -> Iterator[Row]:
    """Look at the files that grow with each mail."""
    if not setup.files.get("journal"):
        what = "none is configured: list and report have nothing to tell"
        yield Row("journal", WARNING, what, 'journal = "/var/lib/mailguard/journal" in mailguard.toml')
    for option in WRITTEN:
        for path in setup.files.get(option, ()):
            if path == "syslog":
                yield from _syslog()
                continue
            yield from _record(option, path)
            yield from _disk(option, os.path.dirname(path) or ".")


def _syslog() -> Iterator[Row]:
    """Look whether somebody listens to syslog(3), which itself says nothing where nobody does."""
    if not os.path.exists(_SYSLOG):
        what = f"{_SYSLOG} is not there: what the filters saw is told nowhere, in observation too"
        yield Row("log", WARNING, what, 'log = "/var/lib/mailguard/log" in mailguard.toml, or a syslog daemon')


def _record(name: str, path: str) -> Iterator[Row]:
    shown = show(path)
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        folder = os.path.dirname(os.path.abspath(path))
        if os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            yield Row(name, GOOD, f"{shown}: not there yet, made with the first mail")
        else:
            yield Row(name, FAILURE, f"{shown}: cannot be made in this folder", f"install -d -o USER {show(folder)}")
        return
    if not stat.S_ISREG(status.st_mode):
        yield Row(name, FAILURE, f"{shown}: is not a regular file, so every mail waits", f"rm {shown}")
    elif status.st_uid not in {0, os.geteuid()} and not os.geteuid():
        yield Row(
            name, WARNING, f"{shown}: belongs to another user than the one who runs this", as_owner(status.st_uid)
        )
    elif status.st_uid not in {0, os.geteuid()} or not os.access(path, os.W_OK, effective_ids=True):
        yield Row(name, FAILURE, f"{shown}: this user cannot write to it, so every mail waits", f"chown USER {shown}")
    else:
        yield _content(name, path, status)


def _content(name: str, path: str, status: os.stat_result) -> Row:
    shown = show(path)
    if status.st_mode & 0o077:
        return Row(name, WARNING, f"{shown}: others can read who gets which mail", f"chmod 600 {shown}")
    if status.st_size > _LARGE:
        return Row(name, WARNING, f"{shown}: {_size(status.st_size)}", "let logrotate(8) rotate it")
    if name != "log" and status.st_size and not _ends_with_line(path):
        return Row(name, WARNING, f"{shown}: the last line has no end, from a crash or an editor", f"echo >> {shown}")
    return Row(name, GOOD, f"{shown}: {_size(status.st_size)}")


def _ends_with_line(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def spools(setup: Setup) -> Iterator[Row]:
    """Look at the folders that keep mail."""
    for path in setup.spools:
        shown = show(path)
        try:
            status = os.stat(path)
        except OSError as error:
            yield Row("spool", FAILURE, f"{shown}: {error.strerror}", f"install -d -o USER -m 0700 {shown}")
            continue
        if status.st_uid != os.geteuid():
            yield Row("spool", WARNING, f"{shown}: belongs to another user", as_owner(status.st_uid))
        elif status.st_mode & 0o077:
            yield Row("spool", FAILURE, f"{shown}: is open to others", f"chmod 700 {shown}")
        else:
            yield Row("spool", GOOD, f"{shown}: {_waiting(path)} waiting")
        yield from _disk("spool", path)


def _waiting(path: str) -> int:
    try:
        return len(os.listdir(os.path.join(path, "queue")))
    except OSError:
        return 0


def temporary(_setup: Setup) -> Iterator[Row]:
    """Write a temporary file."""
    import tempfile

    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
    except OSError as error:
        yield Row(
            "temporary files", FAILURE, f"cannot be written: {show(str(error))}", "chmod 1777 /tmp, or free its disk"
        )
        return
    folder = tempfile.gettempdir()
    yield Row("temporary files", GOOD, show(folder))
    yield from _disk("temporary files", folder)


def _disk(name: str, folder: str) -> Iterator[Row]:
    """Tell that there is little room, or few inodes; nothing when all is well."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return  # told already
    free = disk.f_bavail * disk.f_frsize
    shown = show(folder)
    if free < _FULL:
        yield Row(f"{name}: disk", FAILURE, f"{shown}: {_size(free)} free; mail waits", f"free room in {shown}")
    elif free < _SCARCE * disk.f_blocks * disk.f_frsize:
        yield Row(f"{name}: disk", WARNING, f"{shown}: only {_size(free)} free", f"free room in {shown}")
    if disk.f_files and disk.f_favail < _SCARCE * disk.f_files:
        yield Row(f"{name}: disk", WARNING, f"{shown}: only {disk.f_favail} more files", f"remove files from {shown}")


def _size(octets: int) -> str:
    size = float(octets)
    for unit in ("octets", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.0f} GiB"
