"""Folders of messages, one in a file: Maildir, MH, `.eml` files, and any mixture in subfolders."""

from __future__ import annotations

import os
import re
import stat

from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAIL, OTHER, FOLDER = b"m", b"o", b"d"

_SIZES = re.compile(rb",([SW])=[0-9]{1,15}(?=[,:]|\Z)")
_NUMBER = re.compile(rb"[0-9]{1,15}")
_INDEX = b"dovecot.index"  # caches of contents that may change


def is_message(path: bytes) -> bool:
    """Tell by its name whether a file is a message: in cur or new, all digits (MH), or `.eml`."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) in {b"cur", b"new"}:
        return not name.startswith(b".")
    return _NUMBER.fullmatch(name) is not None or name[-4:].lower() == b".eml"


def entries(root: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield (MAIL, OTHER or FOLDER, size, path below root), sorted, without unfinished deliveries (tmp) and caches.

    ConfigurationError for an mbox among them, whose messages would pass unseen, and for a file that is neither regular
    nor a folder.
    """
    todo = [b""]
    while todo:
        folder = todo.pop()
        yield FOLDER, 0, folder
        with os.scandir(os.path.join(root, folder)) as found:
            names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        maildir = {(b"cur", True), (b"new", True)} <= set(names)
        for name, is_folder in names:
            path = os.path.join(folder, name)
            if is_folder and maildir and name == b"tmp":
                yield FOLDER, 0, path
            elif not is_folder and not name.startswith(_INDEX):
                yield _file(root, path)
        todo += [os.path.join(folder, name) for name, is_folder in reversed(names) if is_folder]
        if maildir:
            todo.remove(os.path.join(folder, b"tmp")) if (b"tmp", True) in names else None


def _file(root: bytes, path: bytes) -> tuple[bytes, int, bytes]:
    full = os.path.join(root, path)
    status = os.lstat(full)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{show(full)}: is neither a file nor a folder; links and devices are not followed")
    if is_message(path):
        return MAIL, status.st_size, path
    with open(full, "rb", buffering=0) as file:
        if file.read(5) == b"From ":
            raise ConfigurationError(f"{show(full)}: is an mbox; name it as an input of its own")
    return OTHER, status.st_size, path


def renamed(path: bytes, raw: bytes) -> bytes:
    """Return the name of a message whose content is new: the sizes in a Maildir name (S=, W=) are of the content."""
    folder, name = os.path.split(path)
    sizes = {b"S": len(raw), b"W": len(raw) + raw.count(b"\n") - raw.count(b"\r\n")}
    return os.path.join(folder, _SIZES.sub(lambda match: b",%s=%d" % (match[1], sizes[match[1]]), name))


def present(root: bytes, path: bytes) -> bytes | None:
    """Return the path of a message now: a reader may have moved it from new to cur, or changed its flags."""
    if os.path.lexists(os.path.join(root, path)):
        return path
    folder, name = os.path.split(path)
    parent, place = os.path.split(folder)
    if place not in {b"cur", b"new"}:
        return None
    unique = name.partition(b":")[0]
    for place in (b"cur", b"new"):
        folder = os.path.join(parent, place)
        for found in os.listdir(os.path.join(root, folder)):
            if found.partition(b":")[0] == unique:
                return os.path.join(folder, found)
    return None
