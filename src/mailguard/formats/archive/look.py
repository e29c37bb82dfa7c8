"""Archives: ZIP, tar, gzip, bzip2 and xz are opened here, RAR, 7z and CAB in a child process by libarchive.

What is not opened cannot be checked, and is unreadable.
"""

from __future__ import annotations

from functools import partial

from mailguard.formats import magic
from mailguard.formats.archive import zip as zips
from mailguard.formats.archive.entries import members
from mailguard.formats.budget import Kind, Member, TooLarge, Unreadable
from mailguard.formats.readings import sniff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.archive.entries import ArchiveEntry
    from mailguard.formats.budget import Found, Quota
    from mailguard.message.content import Content


def read(content: Content, names: Sequence[str], quota: Quota, mime: str) -> list[ArchiveEntry]:
    """Return what is in an archive of these names and this type; raise Unreadable or TooLarge."""
    from mailguard.formats.archive import streams, tars
    from mailguard.formats.archive import zip as zips

    if mime == magic.ZIP:
        return list(zips.read(content, names, quota))
    return tars.read(content, names, quota) if mime == magic.TAR else streams.read(content, names, quota, mime)


def _examine(content: Content, names: Sequence[str], quota: Quota, mime: str) -> Found:
    """Examine an archive of files."""
    yield from members(read(content, names, quota, mime), quota)


examine_tar, examine_gzip, examine_bzip2, examine_xz = (
    partial(_examine, mime=mime) for mime in (magic.TAR, magic.GZIP, magic.BZIP2, magic.XZ)
)


def _examine_foreign(content: Content, _names: Sequence[str], quota: Quota, mime: str) -> Found:
    """Examine what libarchive opens; of what it does not open, and of encrypted archives, names are examined."""
    from mailguard.formats.archive import foreign, listing
    from mailguard.formats.disarmed import DisarmQuota, Options, Refused
    from mailguard.message.content import Content

    for name in listing.entries(content, mime):
        quota.count_member()
        if isinstance(name, str):
            yield Member(Content.of(b""), [name], "archive")
        else:
            yield "encrypted-archive"
            raise Unreadable
    try:
        files = foreign.read(content.whole(), Options(quota=DisarmQuota(quota.members, quota.octets)))
    except Refused as refused:
        raise TooLarge if refused.code == "over-limit" else Unreadable from refused
    for file in files:
        if mime == magic.SEVEN_ZIP:  # of which the listing gives no names
            quota.count_member()
        if file.data is not None:
            quota.count_octets(len(file.data))
            yield Member(Content.of(file.data), list(file.names), "archive")


examine_rar, examine_7z, examine_cab = (
    partial(_examine_foreign, mime=mime) for mime in (magic.RAR, magic.SEVEN_ZIP, magic.CAB)
)


def examine_sealed(_content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Report an archive of a kind that cannot be opened here."""
    yield "archive-unreadable"


def examine_zip(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a ZIP: the files in it, and the document or program as which some other program opens it."""
    found = zips.entries(content)
    inside = {entry.name for entry in found}
    is_document = False
    # In a file that begins as something else (a tar, a program) a ZIP at its end is a file of it.
    alone = sniff(content)[0] == magic.ZIP
    if not _package(inside):
        for item in _documents(content, found, quota, alone=alone):
            is_document = is_document or isinstance(item, Kind)
            yield item
    if is_document:
        return
    if _package(inside) or "AndroidManifest.xml" in inside:
        yield "installer"
    if "META-INF/MANIFEST.MF" in inside:
        yield Kind("application/java-archive")
        yield "executable"
    yield from _examine(content, names, quota, magic.ZIP) if alone else members(found, quota)


def _documents(content: Content, found: list[zips.ZipEntry], quota: Quota, *, alone: bool) -> Found:
    """Examine a ZIP as the documents for which office programs take it; what is in them is examined as files too."""
    try:
        if "[content_types].xml" in {entry.name.lower() for entry in found}:
            from mailguard.formats.office import look as office

            yield from office.look(content, found, quota, alone=alone)
        if any(entry.name in zips.OPEN_DOCUMENT for entry in found):
            from mailguard.formats.office import opendocument

            yield from opendocument.look(found, quota)
    except Unreadable:
        yield "document-unreadable"


def _package(inside: set[str]) -> bool:
    return not inside.isdisjoint({"AppxManifest.xml", "AppxMetadata/AppxBundleManifest.xml"})
