"""Office Open XML (ECMA-376): .docx, .xlsx, .pptx and their kin with macros, by lists of parts and relationships.

Parts, relationships and field codes stay when they are known to be harmless; macros, ActiveX, embedded objects and
everything that loads or starts something is taken out, and what refers to it with it.  The result has no macros, so a
.docm becomes a .docx.  Binary workbooks (.xlsb) stay when nothing has to be taken out, and are refused otherwise.
"""

from __future__ import annotations

from mailguard.formats.disarmed import Disarmed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options
    from mailguard.formats.office.document import Document
    from mailguard.formats.office.package import Package

_BINARY_MIME = "application/vnd.ms-excel.sheet.binary.macroenabled.12"


def disarm(content: bytes, _mime: str, options: Options) -> Disarmed:
    """Return the document without what acts or loads; Refused when it is damaged, encrypted or not understood."""
    from mailguard.formats.office import binary
    from mailguard.formats.office.content_types import BINARY_WORKBOOK
    from mailguard.formats.office.document import Document, kind_of
    from mailguard.formats.office.package import Package

    package = Package(content, options.quota)
    document = Document(package, options, disarm)
    _, main = document.kind()
    if main == BINARY_WORKBOOK:
        binary.check(package, options)
        if not package.tight:
            raise Refused("not-understood")
        return Disarmed(content, _BINARY_MIME, "xlsb")
    kind = kind_of(main)
    document.disarm()
    if not document.codes and package.tight:
        return Disarmed(content, kind.mime, kind.extension)
    return _changed(document, package, kind.mime, kind.extension)


def _changed(document: Document, package: Package, mime: str, extension: str) -> Disarmed:
    codes = document.codes | (set() if package.tight else {"trailing-data"})
    return Disarmed(document.finish(), mime, extension, tuple(codes))
