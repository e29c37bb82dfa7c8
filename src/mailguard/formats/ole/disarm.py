"""Legacy Word, Excel and PowerPoint in compound files: macros, objects and links taken out, the file written anew.

Storages and streams stay by a list; the streams with the document are changed in place as far as needed.  Documents
before Office 97 are refused unless nothing has to be changed, encrypted ones always.
"""

from __future__ import annotations

from mailguard.formats.disarmed import Disarmed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options
    from mailguard.formats.ole.compound import Node

KINDS: dict[str, tuple[str, str]] = {
    "worddocument": ("application/msword", "doc"),
    "workbook": ("application/vnd.ms-excel", "xls"),
    "book": ("application/vnd.ms-excel", "xls"),
    "powerpoint document": ("application/vnd.ms-powerpoint", "ppt"),
}
_PROPERTIES = frozenset({"\x05summaryinformation", "\x05documentsummaryinformation"})
_COMMON = _PROPERTIES | {"\x01compobj"}
_STREAMS: dict[str, frozenset[str]] = {
    "doc": _COMMON | {"worddocument", "0table", "1table", "data"},
    "xls": _COMMON | {"workbook", "book", "revision log", "user names"},
    "ppt": _COMMON | {"powerpoint document", "current user", "pictures"},
}
# Storages of which no stream holds anything but data, by kind.
_STORAGES: dict[str, frozenset[str]] = {
    "doc": frozenset({"msodatastore"}),
    "xls": frozenset({"_sx_db_cur", "_sx_db", "msodatastore"}),
    "ppt": frozenset({"msodatastore"}),
}
_NO_LINK = 20  # octets of the stream \x01Ole when it names no other document ([MS-OLEDS] 2.3.3)
_ENCRYPTED = frozenset({"encryptedpackage", "encryptioninfo", "encryptedsummary", "\x06dataspaces", "\x09drmcontent"})
_MACROS = frozenset({"macros", "vba", "_vba_project", "_vba_project_cur", "project", "projectwm", "dir"})


def disarm(content: bytes, _mime: str, options: Options) -> Disarmed:
    """Return the document without what acts or loads; Refused when it is damaged, encrypted or not understood."""
    from mailguard.formats.ole import compound

    root, stray = compound.read(content, options.quota)
    names = {child.name.lower() for child in root.children}
    if names & _ENCRYPTED:
        raise Refused("encrypted")
    found = {KINDS[name] for name in names if name in KINDS}
    if len(found) != 1:
        raise Refused("ambiguous" if found else "unknown-type")
    mime, extension = found.pop()
    codes = {"trailing-data"} if stray else set()
    codes |= _pruned(root, extension, options) | _document(root, extension, options)
    if not codes:
        return Disarmed(content, mime, extension)
    return Disarmed(compound.write(root), mime, extension, tuple(codes))


def _pruned(root: Node, extension: str, options: Options) -> set[str]:
    """Take storages and streams out that are not on the list; return the codes."""
    from mailguard.formats.ole.reader import STREAM

    codes: set[str] = set()
    kept = []
    for child in root.children:
        name = child.name.lower()
        if not options.metadata and name in _PROPERTIES:
            codes.add("metadata")
        elif (name == "\x01ole" and len(child.data) <= _NO_LINK) or name in (
            _STREAMS if child.kind == STREAM else _STORAGES
        )[extension]:
            kept.append(child)
        elif child.kind == STREAM or child.children:
            codes.add(_code(name))
    if extension == "xls" and {child.name.lower() for child in kept} >= {"workbook", "book"}:
        kept = [child for child in kept if child.name.lower() != "book"]  # the same again for Excel 5
        codes.add("unknown-part")
    if codes:
        root.children = kept
    return codes


def _code(name: str) -> str:
    if name in _MACROS:
        return "macro"
    if name in {"ctls", "\x03ocxname"}:
        return "activex"
    if name == "objectpool" or name.startswith(("mbd", "lnk", "\x01ole")) or name in {"package", "contents"}:
        return "embedded-object"
    return "unknown-part"


def _document(root: Node, extension: str, options: Options) -> set[str]:
    from mailguard.formats.ole import excel, links, powerpoint, word

    disarms = {"doc": word.disarm, "ppt": powerpoint.disarm, "xls": excel.disarm}
    codes = disarms[extension](root, options)
    if links.disarm(root, options):
        codes.add("hyperlink")
    return codes
