"""Archives: ZIP, tar, gzip, bzip2 and xz are opened, of RAR, 7z and CAB only names and encryption are seen.

What no unpacker of the standard library opens cannot be checked, and is unreadable.
"""

from __future__ import annotations

from functools import partial

from mailguard.formats import magic
from mailguard.formats.archive import zip as zips
from mailguard.formats.archive.entries import members
from mailguard.formats.budget import Kind, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.archive.entries import Entry
    from mailguard.formats.budget import Found, Quota
    from mailguard.message.content import Content


def read(content: Content, names: Sequence[str], quota: Quota, mime: str) -> list[Entry]:
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


def examine_sealed(_content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Report an archive of a kind that cannot be opened here."""
    yield "archive-unreadable"


def examine_zip(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a ZIP: the files in it, and the document or program as which some other program opens it."""
    from mailguard.formats.office import look as office

    found = zips.entries(content)
    inside = {entry.name for entry in found}
    if any(name.lower() == "[content_types].xml" for name in inside) and not _package(inside):
        yield from _document(office.examine_ooxml(content, found, quota))
        yield from _beside_markup(content, found, quota)
    elif found and found[0].name == "mimetype" and "META-INF/manifest.xml" in inside:
        yield from _document(office.examine_opendocument(content, found, quota))
        yield from _beside_markup(content, found, quota)
    else:
        if _package(inside) or "AndroidManifest.xml" in inside:
            yield "installer"
        if "META-INF/MANIFEST.MF" in inside:
            yield Kind("application/java-archive")
            yield "executable"
        yield from members(found, quota) if _is_beside(content) else _examine(content, names, quota, magic.ZIP)


def _beside_markup(content: Content, found: list[zips.Entry], quota: Quota) -> Found:
    """Examine what a document carries as files: an unpacker takes it for an archive."""
    if not zips.is_tight(content, found) and not _is_beside(content):
        yield "archive-unreadable"
    for entry in found:
        quota.count_member()
        if not entry.name.lower().endswith((".xml", ".rels")):
            yield from members([entry], quota, "")


def _is_beside(content: Content) -> bool:
    """Tell whether the file begins as something else (a tar, a program): then a ZIP at its end lies in it."""
    return magic.sniff(content)[0] != magic.ZIP


def _document(found: Found) -> Found:
    try:
        yield from found
    except Unreadable:
        yield "document-unreadable"


def _package(inside: set[str]) -> bool:
    return not inside.isdisjoint({"AppxManifest.xml", "AppxMetadata/AppxBundleManifest.xml"})
