"""What an attachment is, and whether it belongs to the dangerous class.

Judged by content and by every name and type a client could read; the most dangerous reading decides.
"""

from __future__ import annotations

import re
import struct

from mailguard.errors import ConfigurationError
from mailguard.filename import FileName, extension
from mailguard.formats import extensions, magic
from mailguard.formats.budget import DEPTH, Kind, Quota, TooLarge, Unreadable
from mailguard.formats.dangers import prefixed
from mailguard.formats.families import BY_NAME, LOOKS
from mailguard.formats.readings import sniff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailguard.formats.budget import Found
    from mailguard.message.content import Content

    Examiner = Callable[[Content, Sequence[str], Quota], Found]

UNKNOWN = "application/octet-stream"
_SAMPLE = 8_192
# What standard modules raise for numbers and text that make no sense.
_DAMAGE = (struct.error, ValueError, LookupError, ArithmeticError, EOFError)
_NAMES = 64

# Types that are dangerous whatever they contain.
_CODES: dict[str, str] = {
    magic.PE: "executable",
    magic.COM: "executable",
    magic.ELF: "executable",
    magic.JAVA: "executable",
    "application/java-archive": "executable",
    magic.LNK: "shortcut",
    magic.MSO: "macro",
    magic.ONENOTE: "onenote",
    magic.CHM: "chm",
    magic.DISK: "disk-image",
    magic.ISO: "disk-image",
    magic.SCRIPT: "script",
    "application/hta": "script",
    "application/vnd.debian.binary-package": "installer",
    "application/x-chrome-extension": "installer",
    "application/x-msi": "installer",
    "application/x-rpm": "installer",
    "application/x-xar": "installer",
    "application/x-msaccess": "macro",
}
# What libmagic calls the same.
_SYNONYMS: dict[str, str] = {
    "application/cdfv2": magic.OLE,
    "application/csv": magic.CSV,
    "application/vnd.ms-office": magic.OLE,
    "application/x-dosexec": magic.PE,
    "application/x-gzip": magic.GZIP,
    "application/x-rar": magic.RAR,
    "image/x-ms-bmp": "image/bmp",
    "text/rtf": magic.RTF,
    "text/x-svg": magic.SVG,
}
_VAGUE = frozenset(
    {UNKNOWN, "text/plain", "application/x-empty", "text/xml", "application/xml", "", magic.OLE, magic.PE}
)


class Detection:
    """What an attachment is.

    type: the best MIME type; types: every type that the content, a name or the declaration gives it;
    extension: harmless canonical extension of `type`, without dot, "bin" when unknown;
    dangerous: sorted codes of `dangerous.CODES`, empty for ordinary files.
    """

    __slots__ = ("dangerous", "extension", "type", "types")

    def __init__(self, mime: str, types: frozenset[str], dangerous: tuple[str, ...]) -> None:
        self.type = mime
        self.types = types
        self.extension = extensions.extension_of_type(mime)
        self.dangerous = dangerous

    def __repr__(self) -> str:
        return f"Detection({self.type!r}, {self.extension!r}, {self.dangerous})"


def detect(content: Content, names: Sequence[str], declared: str, quota: Quota | None = None) -> Detection:
    """Judge one attachment by its decoded content, all names any client could read, and its declared type.

    quota: what this and other attachments may cost together; without it, this one has its own.
    Never fails by content, and reads it piece by piece.  Raises ConfigurationError without libmagic.
    """
    declared = declared.partition(";")[0].strip().lower()
    by_libmagic = libmagic_type(content)
    codes = {extensions.danger_of_type(declared)}
    certain = b"\0" in content.read(0, _SAMPLE)  # of text libmagic only guesses: Markdown is JavaScript to it
    if certain:
        codes.add(extensions.danger_of_type(by_libmagic))
    codes.discard("")
    kinds: list[str] = []
    readings = sniff(content)
    quota = quota or Quota()
    # libmagic takes a mail with the source of a page in it for a page.
    stated = (declared,) if magic.MAIL in readings else (declared, by_libmagic)
    wanted = {kind for mime in stated for kind in BY_NAME.get(mime, ())}
    if certain and not readings:
        wanted |= {by_libmagic} & LOOKS.keys()
    _examine(_readings(content, names, wanted, readings, quota), quota, codes, kinds)
    types = {declared, by_libmagic, *readings, *kinds} - {""}
    for name in names[:_NAMES]:
        types |= extensions.types(FileName(name))
    best = _best(readings, kinds, by_libmagic, names, declared)
    return Detection(best, frozenset(types | {best}), tuple(sorted(codes)))


def dangers(content: Content, names: Sequence[str]) -> set[str]:
    """Return the codes of what content and names show, without a type that anybody states."""
    codes: set[str] = set()
    quota = Quota()
    _examine(_readings(content, names, set(), sniff(content), quota), quota, codes, [])
    return codes


def libmagic_type(content: Content) -> str:
    """Return the MIME type that libmagic sees at the start of the content.

    Only a bounded sample is given to it, and few blank lines: it is a large C program with a history, and needs
    quadratic time for them.
    """
    try:
        import magic as libmagic
    except ImportError as error:
        raise ConfigurationError("libmagic is missing (Debian: apt install libmagic1)") from error
    try:
        sample = re.sub(rb"(?m)^(?:[ \t\r\v\f]{0,99}+\n){17,}", b"\n" * 16, content.read(0, _SAMPLE))
        mime = str(libmagic.from_buffer(sample, mime=True)).lower()
    except (libmagic.MagicException, UnicodeError):
        return UNKNOWN
    return _SYNONYMS.get(mime, mime)


def _best(readings: list[str], kinds: list[str], by_libmagic: str, names: Sequence[str], declared: str) -> str:
    dangerous = [mime for mime in readings if mime in _CODES]
    for mime in (*dangerous[:1], *kinds[:1], *(mime for mime in readings if mime != magic.XML)):
        if mime != magic.OLE or by_libmagic in _VAGUE:
            return mime
    if by_libmagic == "application/javascript":
        return _best_text(names, declared, magic.TEXT)
    if by_libmagic not in _VAGUE:
        return by_libmagic
    if by_libmagic.startswith("text/") or by_libmagic == magic.XML:
        return _best_text(names, declared, by_libmagic)
    return UNKNOWN


def _best_text(names: Sequence[str], declared: str, by_libmagic: str) -> str:
    """Text has no signature of its own: a name or declaration of a text type is believed."""
    named = [extensions.type_of_extension(extension(name)) for name in names[:_NAMES]]
    for mime in (*named, declared):
        if mime.startswith("text/") or mime in {"application/json", magic.XML}:
            return mime
    return by_libmagic


def _examine(whole: Found, quota: Quota, codes: set[str], kinds: list[str]) -> None:
    """Examine the content and what is inside, depth first; the stack is never deeper than DEPTH + 2.

    A document in the last archive is read with its parts.
    """
    stack = [("", whole)]
    while stack:
        prefix, found = stack[-1]
        item = next(found, None)
        if item is None:
            stack.pop()
        elif isinstance(item, str):
            codes.add(prefixed(prefix, item))
        elif isinstance(item, Kind):
            if len(stack) == 1:
                kinds.append(item.mime)
        elif len(stack) > DEPTH + (not item.prefix):
            codes.add(prefixed(prefix, "archive-deep"))
        else:
            readings = sniff(item.content)
            stack.append((prefix or item.prefix, _readings(item.content, item.names, set(), readings, quota)))


def _readings(content: Content, names: Sequence[str], wanted: set[str], found: list[str], quota: Quota) -> Found:
    """Yield what all names and all structural readings of one content say."""
    for name in names[:_NAMES]:
        file_name = FileName(name)
        yield from sorted(extensions.dangers(file_name))
        wanted = wanted | {kind for mime in extensions.types(file_name) for kind in BY_NAME.get(mime, ())}
    if magic.is_polyglot(content, found):
        yield "polyglot"
    for mime in dict.fromkeys((*found, *sorted(wanted))):
        if mime in _CODES:
            yield _CODES[mime]
        elif mime in LOOKS and content.size:
            yield from _guarded(mime, content, names, quota)


def _guarded(mime: str, content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Run one examiner; what it cannot read is dangerous, with the code of that type."""
    module, function, unreadable = LOOKS[mime]
    try:
        yield from _examiner(module, function)(content, names, quota)
    except TooLarge:
        yield "archive-large"
    except (Unreadable, *_DAMAGE):
        yield unreadable


def _examiner(module: str, function: str) -> Examiner:
    from importlib import import_module

    examiner: Examiner = getattr(import_module(f"mailguard.formats.{module}"), function)
    return examiner
