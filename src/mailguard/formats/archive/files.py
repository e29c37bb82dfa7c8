"""The files of an archive between reading and writing: safe paths, and what the policy says to each."""

from __future__ import annotations

from mailguard.filename import named, split
from mailguard.formats.archive.entries import slashed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.formats.disarmed import Options

PLACEHOLDER = "member-held"


class ArchiveFile:
    """One file, directory or link.

    path: with "/"; names: every path that a reader could see; data: octets, None for a directory; modified: seconds
    since 1970 or None; opened: whether it was encrypted; link: whether it only leads to another file.
    """

    __slots__ = ("data", "link", "modified", "names", "opened", "path")

    def __init__(
        self,
        path: str,
        data: bytes | None,
        names: Sequence[str] = (),
        modified: int | None = None,
        *,
        opened: bool = False,
        link: bool = False,
    ) -> None:
        self.path = path
        self.data = data
        self.names = tuple(dict.fromkeys((path, *names))) if path else tuple(names)
        self.modified = modified
        self.opened = opened
        self.link = link


def disarmed(files: list[ArchiveFile], options: Options) -> tuple[list[ArchiveFile], set[str]]:
    """Return the harmless files in order, and the codes of what was removed; raise Refused.

    Paths are made safe and unique; the policy of `options` (already those for the inside) decides about each file.
    Links are not written: the name of a file is what makes it a program, and a link gives it another one.
    """
    written: list[ArchiveFile] = []
    removed: set[str] = set()
    taken: set[str] = set()
    for file in files:
        if file.link:
            removed |= set(options.member(b"", file.names, options).removed)
            continue
        path = _safe_path(file.path)
        data = file.data
        if data is not None:
            result = options.member(data, file.names, options)
            if result.removed or result.data is not data:
                path, data = _renamed(path, result.extension, result.removed), result.data
                removed |= {"member-changed"} if PLACEHOLDER not in result.removed else set()
                removed |= set(result.removed)
        path = _unique(path, taken)
        if path != slashed(file.path) and data is file.data:
            removed.add("file-name")
        written.append(ArchiveFile(path, data, modified=file.modified))
    return written, removed


def _renamed(path: str, extension: str, removed: tuple[str, ...]) -> str:
    if not path:
        return path
    if PLACEHOLDER in removed and extension == "txt":
        return f"{path}.txt"
    folder, slash, name = path.rpartition("/")
    return folder + slash + named(name, extension)


def _safe_path(path: str) -> str:
    """Return the path with names that are safe everywhere."""
    path = slashed(path)
    if not path.strip("./"):
        return path
    return "./" * path.startswith("./") + "/".join(map(_safe_part, path.removeprefix("./").rstrip("/").split("/")))


def _safe_part(name: str) -> str:
    """Return the name; what starts with a dot or hyphen is ordinary in archives."""
    from mailguard.capsule.names import safe_name

    bare = name.lstrip(".-_")
    return name if bare and safe_name(bare) == bare else safe_name(name)


def _unique(path: str, taken: set[str]) -> str:
    """Return the path, with a number when some file system takes it for another one."""
    candidate = path
    number = 2
    while candidate and _key(candidate) in taken:
        stem, extension = split(path)
        if not stem or not extension or "/" in extension:
            candidate = f"{path} ({number})"
        else:
            candidate = f"{stem} ({number}).{extension}"
        number += 1
    taken.add(_key(candidate))
    return candidate


def _key(path: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFKC", path).casefold()
