"""Archives: ZIP, tar, gzip, bzip2 and xz are opened, of RAR, 7z and CAB only names and encryption are seen.

What no unpacker of the standard library opens cannot be checked, and is unreadable.
"""

from __future__ import annotations

from mailguard.formats import magic
from mailguard.formats.archive.entries import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.archive.entries import Entry
    from mailguard.formats.budget import Found, Quota
    from mailguard.message.content import Content


def read(content: Content, names: Sequence[str], quota: Quota, mime: str) -> list[Entry]:
    """Return what is in an archive of these names and this type; raise Unreadable or TooLarge."""
    from mailguard.formats.archive import streams, tars, zip as zips

    if mime == magic.ZIP:
        return list(zips.read(content, names, quota))
    return tars.read(content, names, quota) if mime == magic.TAR else streams.read(content, names, quota, mime)


def examine_tar(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a tar file."""
    return members(read(content, names, quota, magic.TAR), quota)


def examine_gzip(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a gzip file."""
    return members(read(content, names, quota, magic.GZIP), quota)


def examine_bzip2(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a bzip2 file."""
    return members(read(content, names, quota, magic.BZIP2), quota)


def examine_xz(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine an xz file."""
    return members(read(content, names, quota, magic.XZ), quota)


def examine_sealed(_content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Report an archive of a kind that cannot be opened here."""
    yield "archive-unreadable"


def examine_zip(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a ZIP: the files in it, and the document or program as which some other program opens it."""
    from mailguard.formats.archive import packages

    return packages.examine(content, names, quota)
