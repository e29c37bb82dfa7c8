"""The table of families: which folder knows a type, what looks into it, what makes it harmless, what both need.

Detection, the policy's choice of a module, and what the daemon loads beforehand are read from it.
"""

from __future__ import annotations

from mailguard.errors import ConfigurationError, installation
from mailguard.formats import magic
from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailguard.formats.disarmed import Disarmed, Options

    Disarm = Callable[[bytes, str, Options], Disarmed]


class Family:
    """One family of files, which is the folder formats/NAME.

    looks: types by content -> "module function" in the folder, which yields what acts; unreadable: the danger of what
    it cannot read; by_name: types that have no signature -> types as which they are read when a name or the
    declaration says so; disarms: globs of types that its `disarm` makes harmless, first match of all families wins;
    needs: modules of libraries without which `disarm` cannot work.
    """

    __slots__ = ("by_name", "disarms", "looks", "name", "needs", "unreadable")

    def __init__(
        self,
        name: str,
        looks: dict[str, str],
        *,
        unreadable: str = "document-unreadable",
        by_name: dict[str, tuple[str, ...]] | None = None,
        disarms: tuple[str, ...] = (),
        needs: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.looks = looks
        self.unreadable = unreadable
        self.by_name = by_name or {}
        self.disarms = disarms
        self.needs = needs


# Compressors and archives that nothing here opens.
_SEALED = (
    "application/x-lz4", "application/x-lzma", "application/zstd", "application/x-compress", "application/x-arj",
    "application/x-lzh-compressed", "application/x-ace-compressed", "application/warc", "application/x-archive",
    "application/x-cpio",
)  # fmt: skip
_TABLES = ("text/csv", "text/tab-separated-values", "text/comma-separated-values")
_CARDS = ("text/calendar", "text/vcard", "text/x-vcard", "text/directory")
_S_MIME = ("application/pkcs7-mime", "application/x-pkcs7-mime")
FAMILIES = (
    Family(
        "office",
        {magic.OFFICE_XML: "flat look"},
        disarms=("application/vnd.openxmlformats-officedocument.*", "application/vnd.ms-*.macroenabled.12"),
        needs=("lxml", "oletools"),
    ),
    Family(
        "ole",
        {magic.OLE: "look look", magic.BIFF: "look examine_old", magic.OLD_WORD: "look examine_old"},
        disarms=("application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"),
        needs=("oletools",),
    ),
    Family("pdf", {magic.PDF: "look look"}, disarms=("application/pdf",), needs=("pikepdf",)),
    Family("rtf", {magic.RTF: "look look"}, disarms=("application/rtf", "text/rtf"), needs=("oletools",)),
    Family("svg", {}, disarms=("image/svg+xml",), needs=("PIL", "lxml")),
    Family("image", {}, disarms=("image/*",), needs=("PIL",)),
    Family(
        "html",
        {
            magic.HTML: "look examine_html",
            magic.SVG: "look examine_svg",
            magic.XML: "look examine_xml",
        },
        by_name={
            "application/xhtml+xml": (magic.HTML, magic.XML),
            "application/xml": (magic.XML,),
            "text/xml": (magic.XML,),
            "text/html": (magic.HTML,),
            "image/svg+xml": (magic.SVG,),
        },
        disarms=("text/html", "application/xhtml+xml"),
        needs=("nh3",),
    ),
    Family(
        "archive",
        {
            magic.ZIP: "look examine_zip",
            magic.TAR: "look examine_tar",
            magic.GZIP: "look examine_gzip",
            magic.BZIP2: "look examine_bzip2",
            magic.XZ: "look examine_xz",
            magic.RAR: "look examine_rar",
            magic.SEVEN_ZIP: "look examine_7z",
            magic.CAB: "look examine_cab",
            **dict.fromkeys(_SEALED, "look examine_sealed"),
        },
        unreadable="archive-unreadable",
        disarms=(magic.ZIP, magic.TAR, magic.GZIP, magic.BZIP2, magic.XZ, magic.SEVEN_ZIP, magic.RAR, magic.CAB),
        needs=("libarchive", "py7zr"),
    ),
    Family(
        "mail",
        {magic.MAIL: "look examine", magic.MHTML: "look examine_web_archive", magic.TNEF: "tnef examine"},
        by_name={"message/rfc822": (magic.MAIL,), "multipart/related": (magic.MHTML,)},
        disarms=(magic.MAIL, "application/vnd.ms-outlook", magic.TNEF, magic.MHTML),
        needs=("nh3",),
    ),
    Family(
        "calendar",
        {magic.CALENDAR: "look examine"},
        by_name=dict.fromkeys(_CARDS, (magic.CALENDAR,)),
        disarms=_CARDS,
    ),
    Family(
        "text",
        {magic.CSV: "look examine"},
        by_name=dict.fromkeys(_TABLES, (magic.CSV,)),
        disarms=("text/*", "application/json", "application/xml"),
    ),
    Family(
        "signed",
        {magic.CMS: "look examine"},
        by_name=dict.fromkeys(_S_MIME, (magic.CMS,)),
        disarms=("application/pkcs7-signature", "application/pgp-signature", "application/pgp-keys"),
    ),
)
LOOKS = {
    mime: (f"{family.name}.{module}", function, "tnef-unreadable" if mime == magic.TNEF else family.unreadable)
    for family in FAMILIES
    for mime, (module, function) in ((mime, place.split()) for mime, place in family.looks.items())
}
"""Type by content -> (module below formats, its function, the danger of what it cannot read)."""
BY_NAME = {mime: readings for family in FAMILIES for mime, readings in family.by_name.items()}
"""Text of these types has no signature: a name or a declared type is enough to have it read so."""
LIBRARIES = tuple(sorted({library for family in FAMILIES for library in family.needs}))
"""Modules of libraries that reading or writing some file needs."""

_TO_PDF = (
    "application/msword",
    "application/rtf",
    "application/vnd.ms-excel*",
    "application/vnd.ms-powerpoint*",
    "application/vnd.ms-word*",
    "application/vnd.oasis.opendocument.*",
    "application/vnd.openxmlformats-officedocument.*",
    "text/csv",
    "text/html",
    "text/plain",
    "text/rtf",
)


def module(mime: str) -> Disarm:
    """Return the function that makes content of this type harmless.

    Refused("unknown-type") when there is none, ConfigurationError when a library is missing.
    """
    from fnmatch import fnmatchcase
    from importlib import import_module

    family = next((family for family in FAMILIES if any(fnmatchcase(mime, glob) for glob in family.disarms)), None)
    if family is None:
        raise Refused("unknown-type")
    needed(family.name)
    disarm: Disarm = import_module(f"mailguard.formats.{family.name}.disarm").disarm
    return disarm


def becomes_pdf(mime: str) -> bool:
    """Tell whether the converter reads this type."""
    from fnmatch import fnmatchcase

    return any(fnmatchcase(mime, glob) for glob in _TO_PDF)


def needed(name: str) -> None:
    """Raise ConfigurationError when a library is missing without which a family cannot be read."""
    from importlib.util import find_spec

    for library in next(family.needs for family in FAMILIES if family.name == name):
        if find_spec(library) is None:
            raise ConfigurationError(f"{library} is missing, which sanitize needs; {installation('sanitize')}")
