"""Which module makes which type harmless, and which types the converters can read."""

from __future__ import annotations

from mailguard.errors import ConfigurationError
from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailguard.formats.disarmed import Disarmed, Options

    Disarm = Callable[[bytes, str, Options], Disarmed]

# Libraries without which a module cannot work.
_NEEDS = {
    "archive": ("libarchive", "py7zr"),
    "html": ("nh3",),
    "image": ("PIL", "lxml"),
    "mail": ("nh3",),
    "office": ("lxml", "oletools"),
    "ole": ("oletools",),
    "pdf": ("pikepdf",),
    "rtf": ("oletools",),
}
# Globs, first match wins.
_MODULES: tuple[tuple[str, str], ...] = (
    ("application/vnd.openxmlformats-officedocument.*", "office"),
    ("application/vnd.ms-*.macroenabled.12", "office"),
    ("application/msword", "ole"),
    ("application/vnd.ms-excel", "ole"),
    ("application/vnd.ms-powerpoint", "ole"),
    ("application/pdf", "pdf"),
    ("application/rtf", "rtf"),
    ("text/rtf", "rtf"),
    ("image/*", "image"),
    ("text/html", "html"),
    ("application/xhtml+xml", "html"),
    ("application/zip", "archive"),
    ("application/x-tar", "archive"),
    ("application/gzip", "archive"),
    ("application/x-bzip2", "archive"),
    ("application/x-xz", "archive"),
    ("application/x-7z-compressed", "archive"),
    ("application/vnd.rar", "archive"),
    ("message/rfc822", "mail"),
    ("application/vnd.ms-outlook", "mail"),
    ("application/vnd.ms-tnef", "mail"),
    ("multipart/related", "mail"),
    ("text/calendar", "calendar"),
    ("text/directory", "calendar"),
    ("text/vcard", "calendar"),
    ("text/x-vcard", "calendar"),
    ("text/*", "text"),
    ("application/json", "text"),
    ("application/xml", "text"),
    ("application/pkcs7-signature", "signed"),
    ("application/pgp-signature", "signed"),
    ("application/pgp-keys", "signed"),
)
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

    name = next((name for glob, name in _MODULES if fnmatchcase(mime, glob)), None)
    if name is None:
        raise Refused("unknown-type")
    needed(name)
    disarm: Disarm = import_module(f"mailguard.formats.{name}.disarm").disarm
    return disarm


def needed(family: str) -> None:
    """Raise ConfigurationError when a library is missing without which a family cannot be read."""
    from importlib.util import find_spec

    for library in _NEEDS.get(family, ()):
        if find_spec(library) is None:
            raise ConfigurationError(f'{library} is missing: sanitize needs pip install "mailguard[sanitize]"')


def becomes_pdf(mime: str) -> bool:
    """Tell whether the converter reads this type."""
    from fnmatch import fnmatchcase

    return any(fnmatchcase(mime, glob) for glob in _TO_PDF)
