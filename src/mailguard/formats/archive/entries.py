"""What every reader of archives gives: a list of what is in one, not unpacked yet, seen by all programs alike."""

from __future__ import annotations

from mailguard.formats.budget import TooLarge, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mailguard.formats.budget import Found, Quota
    from mailguard.message.content import Content

DEEPEST = 32
_BOMB = 16 << 20
_RATIO = 500


class DamagedArchive(Unreadable):
    """The archive ends too early, or what is in it does not unpack."""


class ArchiveEntry:
    """One file, directory or link.

    path: with "/", "" where the archive gives none; names: every name that a reader could see; place: the content where
    it lies in the archive as it is, None where it has to be unpacked, and for directories and links; pieces: unpacks
    it; packed: octets in the archive; modified: seconds since 1970 or None; link: where a link leads, else None.
    """

    __slots__ = ("encrypted", "link", "modified", "names", "packed", "path", "pieces", "place")

    def __init__(
        self,
        path: str,
        names: Sequence[str] = (),
        *,
        place: Content | None = None,
        pieces: Callable[[], Iterable[bytes]] | None = None,
        packed: int = 0,
        modified: int | None = None,
        link: str | None = None,
    ) -> None:
        self.path = path
        self.names = list(dict.fromkeys((path, *names))) if path else list(names)
        self.place = place
        self.pieces = pieces
        self.packed = packed
        self.modified = modified
        self.link = link
        self.encrypted = False

    @property
    def file(self) -> bool:
        """Whether this is a file, not a directory or link."""
        return self.place is not None or self.pieces is not None

    def unpacked(self) -> Iterator[bytes]:
        """Yield the content of a file; raise TooLarge when it is much more than is packed, Unreadable for damage."""
        size = 0
        for piece in self.place.chunks() if self.place is not None else (self.pieces or tuple)():
            size += len(piece)
            if size > _BOMB and self.packed * _RATIO < size:
                raise TooLarge
            yield piece


def members(entries: Sequence[ArchiveEntry], quota: Quota, prefix: str = "archive") -> Found:
    """Yield every file for examination; what is encrypted, and a link, shows its names only."""
    from mailguard.formats.budget import Member
    from mailguard.message.content import Content

    for entry in entries:
        if entry.encrypted:
            yield "encrypted-archive"
        if entry.encrypted or entry.link is not None:
            yield Member(Content.of(b""), entry.names, prefix)
        elif entry.place is not None:
            yield Member(entry.place, entry.names, prefix)
        elif entry.file:
            with quota.unpacked(entry.unpacked()) as unpacked:
                yield Member(unpacked, entry.names, prefix)


def checked(entries: list[ArchiveEntry]) -> list[ArchiveEntry]:
    """Return the entries; raise Unreadable for paths that lead elsewhere, or where programs overwrite one by another.

    A link is harmless that stays in the archive, whether a program makes it or not; nothing may lie behind one.
    """
    seen: set[str] = set()
    plain: set[str] = set()
    for entry in entries:
        if not entry.path:
            continue
        for name in entry.names:
            _check_inside(name)
        path = slashed(entry.path).removeprefix("./").rstrip("/")
        if path in seen:
            raise Unreadable
        seen.add(path)
        if entry.file or entry.link is not None:
            plain.add(path)
        if entry.link is not None:
            _check_link(path, entry.link)
    if any(above in plain for path in seen for above in _above(path)):
        raise Unreadable
    return entries


def slashed(path: str) -> str:
    """Return a path with "/" only: archivers of .NET before 4.6.1 write backslashes, and unpackers undo it."""
    return path.replace("\\", "/")


def _check_inside(path: str) -> None:
    path = slashed(path)
    parts = path.removeprefix("./").rstrip("/").split("/")
    if path.startswith("/") or path[1:2] == ":" or "\0" in path or len(parts) > DEEPEST:
        raise Unreadable
    if any(part in {"", ".", ".."} for part in parts) and parts not in (["."], [""]):
        raise Unreadable


def _check_link(path: str, target: str) -> None:
    import posixpath

    target = slashed(target)
    inside = posixpath.normpath(posixpath.join("/" + path.rpartition("/")[0], target))
    depth = path.count("/")
    if target.startswith("/") or not target or ":" in target or "\0" in target or inside in {"/", f"/{path}"}:
        raise Unreadable
    if target.split("/").count("..") > depth:
        raise Unreadable


def _above(path: str) -> Iterator[str]:
    """Yield the directories in which a path lies."""
    for _ in range(DEEPEST):
        path = path.rpartition("/")[0]
        if not path:
            return
        yield path
