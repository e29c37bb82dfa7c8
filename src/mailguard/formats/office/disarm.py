"""Office Open XML (ECMA-376): .docx, .xlsx, .pptx and their kin with macros, by lists of parts and relationships.

Parts, relationships and field codes stay when they are known to be harmless; macros, ActiveX, embedded objects and
everything that loads or starts something is taken out, and what refers to it with it.  The result has no macros, so a
.docm becomes a .docx.  Binary workbooks (.xlsb) stay when nothing has to be taken out, and are refused otherwise.
"""

from __future__ import annotations

from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options
    from mailguard.formats.office.document import Document
    from mailguard.formats.office.package import Package

_BINARY_MIME = "application/vnd.ms-excel.sheet.binary.macroenabled.12"


def disarm(content: bytes, _mime: str, options: Options) -> Disarmed:
    """Return the document without what acts or loads; Refused when it is damaged, encrypted or not understood."""
    from mailguard.formats.archive import zip as archive
    from mailguard.formats.budget import TooLarge, Unreadable
    from mailguard.formats.office import binary
    from mailguard.formats.office.content_types import BINARY_WORKBOOK
    from mailguard.formats.office.document import Document, kind_of
    from mailguard.formats.office.package import Package

    try:
        whole = Content.of(content)
        package = Package.of_zip(whole, archive.entries(whole), options.quota)
    except Unreadable as error:
        raise Refused("damaged") from error
    except TooLarge as error:
        raise Refused("over-limit") from error
    document = Document(package, options, disarm, _acts)
    _, main = document.kind()
    if main == BINARY_WORKBOOK:
        binary.check(package, options)
        if package.beside:
            raise Refused("not-understood")
        return Disarmed(content, _BINARY_MIME, "xlsb")
    kind = kind_of(main)
    document.disarm()
    if not document.codes and not package.beside:
        return Disarmed(content, kind.mime, kind.extension)
    return _changed(document, package, kind.mime, kind.extension)


def _changed(document: Document, package: Package, mime: str, extension: str) -> Disarmed:
    codes = document.codes | ({package.beside} - {""})
    return Disarmed(document.finish(), mime, extension, tuple(codes))


def _acts(data: bytes, name: str) -> bool:
    from mailguard.formats.detect import dangers

    return bool(dangers(Content.of(data), [name]))
