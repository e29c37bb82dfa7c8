"""Plain text, tables and data in text: everything stays but formulas of tables that could start a program."""

from __future__ import annotations

import re

from mailguard.formats import extensions, magic
from mailguard.formats.budget import TooLarge, Unreadable
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.readings import sniff
from mailguard.formats.text.formulas import Formulas
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_LARGEST = 64 << 20
_TABLES = frozenset({"text/csv", "text/tab-separated-values", "text/comma-separated-values", "application/csv"})
# What a text program opens and nothing runs.  Source code (text/x-c, text/x-java) is plain text too: it gets a name
# that says so.
_PLAIN = frozenset({"text/plain", "text/markdown", "text/css"})
_XML = frozenset({magic.XML, "text/xml"})
_PLAIN_READINGS = frozenset({magic.CSV, magic.TEXT})
_MARKS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_JSON = "application/json"
_SHEETS = re.compile(r"\.(?:csv|tsv|tab|prn|dif)[. ]{0,9}$", re.IGNORECASE)
_NOTE = "(formula) "


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:
    """Return text of this type as it is, and tables with their dangerous formulas made text.

    Plain text is a table too when a name in `options.names` makes a spreadsheet open it.  Refused: scripts, XML that
    acts in a browser or starts a program, and all that is something else than text ("not-understood"), XML that is none
    ("damaged"), what only looks like text ("unknown-type"), text that is also a page, a mail or a shortcut
    ("ambiguous"), more than 64 MiB, or very many formulas ("over-limit").
    """
    mime = mime.partition(";")[0].strip().lower()
    if len(content) > _LARGEST:
        raise Refused("over-limit")
    _check(content, mime)
    extension = extensions.extension_of_type(mime)
    if mime not in _TABLES and not any(_SHEETS.search(name) for name in options.names):
        own = "xml" if mime in _XML else extension if mime in {"text/markdown", _JSON} else "txt"
        return Disarmed(content, mime, own)
    text, codec = _decoded(content)
    written = _without_formulas(text)
    if written == text:
        return Disarmed(content, mime, extension)
    return Disarmed(written.encode(codec), mime, extension, ("formula",))


def _decoded(content: bytes) -> tuple[str, str]:
    """Return the text, and the codec that gives back exactly these octets."""
    marked = [codec for mark, codec in _MARKS if content.startswith(mark)]
    for codec in marked or ("utf-8", "cp932"):
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        if text.encode(codec, "replace") == content:
            return text, codec
    return content.decode("latin-1"), "latin-1"


def _check(content: bytes, mime: str) -> None:
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    if mime not in _TABLES | _PLAIN | _XML and mime != _JSON and not mime.startswith("text/x-"):
        raise Refused("not-understood")
    if b"\0" in content and not wide:
        raise Refused("unknown-type")
    if wide:
        _check_wide(content)
    readings = set(sniff(Content.of(content))) - _PLAIN_READINGS
    if mime in _XML:
        _check_xml(content)
        readings.discard(magic.XML)
    if magic.SCRIPT in readings or magic.LNK in readings:
        raise Refused("not-understood")
    if readings:
        raise Refused("ambiguous")


def _check_xml(content: bytes) -> None:
    from mailguard.formats.html import xml

    try:
        reading = xml.read(Content.of(content))
    except Unreadable as error:
        raise Refused("damaged") from error
    if reading.codes or reading.starts:
        raise Refused("not-understood")


def _check_wide(content: bytes) -> None:
    codec = "utf-16-le" if content.startswith(b"\xff\xfe") else "utf-16-be"
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        raise Refused("not-understood") from error
    if "\0" in text:
        raise Refused("not-understood")


def _without_formulas(text: str) -> str:
    kept = []
    copied = 0
    try:
        for begin, _ in Formulas(text).dangerous(text):
            kept += [text[copied:begin], _NOTE]
            copied = begin
    except TooLarge as error:
        raise Refused("over-limit") from error
    except Unreadable as error:
        raise Refused("ambiguous") from error
    return "".join((*kept, text[copied:]))
