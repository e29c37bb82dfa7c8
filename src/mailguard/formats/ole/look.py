"""Legacy Office, MSI and Outlook messages in compound files: what acts when opened, as sanitize reads them.

References: [MS-DOC], [MS-XLS], [MS-PPT], [MS-OXMSG], [MS-OFFCRYPTO].
"""

from __future__ import annotations

import re

from mailguard.formats.budget import Kind
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import FEATURES, Options, Refused
from mailguard.formats.ole.disarm import KINDS, disarm
from mailguard.formats.ole.reader import NONE, STORAGE, STREAM, CompoundFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Found, Quota
    from mailguard.formats.ole.reader import DirectoryEntry
    from mailguard.message.content import Content

_MACROS = frozenset({"vba", "_vba_project", "_vba_project_cur", "macros", "projectwm"})
_OBJECTS = frozenset({"\x01ole10native", "\x01ole10itemname", "package", "\x03ocxname", "ctls", "\x03objinfo"})
_ENCRYPTED = frozenset({"encryptedpackage", "encryptioninfo", "encryptedsummary", "\x09drmcontent"})
_OUTLOOK = ("__properties_version", "__substg1.0_", "__nameid_version")  # [MS-OXMSG] 2.2
_INSTALLERS = tuple(bytes((number, 0x10, 0x0C, 0)) for number in (0x82, 0x84, 0x86))


def look(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Yield the dangers of a compound file."""
    compound = CompoundFile(content)
    entries = {entry.name.lower(): entry for entry in compound.entries if entry.kind in {STORAGE, STREAM}}
    yield from _by_names(entries)
    if compound.root.class_id[:4] in _INSTALLERS and compound.root.class_id[4:] == b"\0\0\0\0\xc0\0\0\0\0\0\0F":
        yield Kind("application/x-msi")
        yield "installer"
    if any(name.startswith(_OUTLOOK) for name in entries):
        from mailguard.formats.mail.look import examine_outlook

        yield Kind("application/vnd.ms-outlook")
        yield from examine_outlook(content, names, quota)
        return
    yield from _office(content, entries, quota)


def _by_names(names: dict[str, DirectoryEntry]) -> Iterator[str]:
    if not _MACROS.isdisjoint(names):
        yield "macro"
    if not _ENCRYPTED.isdisjoint(names):
        yield "encrypted-document"


def _office(content: Content, names: dict[str, DirectoryEntry], quota: Quota) -> Found:
    """Judge a document by what sanitize would take out of it; of one that it does not know, the names tell."""
    yield from (Kind(mime) for name, (mime, _) in KINDS.items() if name in names)
    if "visiodocument" in names:
        yield Kind("application/vnd.visio")
    if any(map(_is_object, names.values())):
        yield "embedded-object"
    quota.count_octets(content.size)
    try:
        codes = disarm(content.whole(), "", Options(frozenset(FEATURES))).removed
    except Refused as refused:
        codes = (refused.code,)
    yield from sorted({danger(code) for code in codes} - {""})


def _is_object(entry: DirectoryEntry) -> bool:
    name = entry.name.lower()
    if name == "objectpool":
        return entry.child != NONE
    return name in _OBJECTS or (entry.kind == STORAGE and re.fullmatch(r"(?:mbd|lnk)[0-9a-f]{8}", name) is not None)


def examine_old(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine a document from before compound files (Word 1 and 2, Excel 2 to 4): programs open it, this does not."""
    record = content.read(0, 8)  # the first record of Excel says what the sheet is ([MS-XLS] 2.4.21, dt)
    yield "xlm" if record[:1] == b"\x09" and record[6:8] in {b"\x40\0", b"\0\x01"} else "document-unreadable"
