"""What is to be done, seen before it is done: files as they are and as they will be."""

from __future__ import annotations

import difflib
import os
import stat

from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class WrittenFile:
    """A file that is written whole.

    path: the file itself, not a link to it; before, after: its octets, None where it is not there; mode, owner: of what
    is written, those of the file where there is one; is_shared: only some of its lines are ours.
    """

    __slots__ = ("after", "before", "is_shared", "mode", "owner", "path")

    def __init__(self, path: str, after: bytes, mode: int = 0o644, *, is_shared: bool = False) -> None:
        self.path = os.path.realpath(path)
        self.before = content(self.path)
        self.after = after
        self.mode = mode
        self.owner: tuple[int, int] | None = None
        self.is_shared = is_shared
        if self.before is not None:
            status = os.stat(self.path)
            self.mode = stat.S_IMODE(status.st_mode)
            if os.geteuid() == 0:  # nobody else may give files away
                self.owner = (status.st_uid, status.st_gid)

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to write."""
        return self.before != self.after

    def difference(self, *, whole: bool) -> Iterator[str]:
        """Yield lines that show what is written; whole: also all of a new file."""
        if self.before is None and not whole:
            yield f"new file {show(self.path)}: {len(self.after.splitlines())} lines"
            return
        before = (self.before or b"").decode("utf-8", "replace").splitlines()
        after = self.after.decode("utf-8", "replace").splitlines()
        old = show(self.path) if self.before is not None else "(nothing)"
        for line in difflib.unified_diff(before, after, old, show(self.path), lineterm="", n=1):
            yield line if line.isprintable() else show(line, 500)


def content(path: str) -> bytes | None:
    """Return the octets of a regular file, None where nothing is; ConfigurationError for anything else."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigurationError(f"{show(path)}: is not a regular file")
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        if os.path.islink(path):
            raise ConfigurationError(f"{show(path)}: is a link to nothing") from None
        return None
    except OSError as error:
        raise ConfigurationError(f"{show(path)}: {error.strerror}") from None


class Setting:
    """A line of main.cf or master.cf that is ours: how postconf(1) names it, its value before and after.

    kind: `main` (name=value), `option` (service/type/name=value) or `service` (service/type=line); before: None where
    there was none.
    """

    __slots__ = ("after", "before", "kind", "name")

    def __init__(self, kind: str, name: str, before: str | None, after: str) -> None:
        self.kind = kind
        self.name = name
        self.before = before
        self.after = after


class SetupPlan:
    """All that one command would do, in the order in which it is done.

    name: what is set up; account: the user that must be made, "" for none; folders: (path, mode, user) that are
    missing; key: where a site key must be made, "" where there is one; files; settings: what changes in the files of
    Postfix; postfix: its folder, where it must read its files anew; services: units that are enabled and started before
    the files of Postfix are written; restart: those that run already and must start again; notes: lines for who reads
    it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.account = ""
        self.folders: list[tuple[str, int, str]] = []
        self.key = ""
        self.files: list[WrittenFile] = []
        self.mail_server_files: list[WrittenFile] = []
        self.settings: list[Setting] = []
        self.postfix = ""
        self.services: list[str] = []
        self.restart: list[str] = []
        self.notes: list[str] = []

    def folder(self, path: str, mode: int, user: str) -> None:
        """Ask for a folder where there is none."""
        if not os.path.isdir(path):
            self.folders.append((path, mode, user))

    def file(self, file: WrittenFile) -> None:
        """Ask for a file to be as it says."""
        if file.is_changed:
            self.files.append(file)

    @property
    def is_empty(self) -> bool:
        """Whether everything is as it should be already."""
        return not (
            self.account
            or self.folders
            or self.key
            or self.files
            or self.mail_server_files
            or self.services
            or self.restart
        )

    def lines(self, *, whole: bool) -> Iterator[str]:
        """Yield what would be done; whole: with all of the new files."""
        if self.account:
            yield f"new user {self.account}"
        for path, mode, user in self.folders:
            yield f"new folder {show(path)} ({user}, {mode:o})"
        if self.key:
            yield f"new site key {show(self.key)}"
        for file in (*self.files, *self.mail_server_files):
            yield from file.difference(whole=whole)
        for unit in self.services:
            yield f"enable and start {unit}"
        for unit in self.restart:
            yield f"restart {unit}"
        if self.mail_server_files:
            yield "postfix reload"
        yield from (f"note: {note}" for note in self.notes)
