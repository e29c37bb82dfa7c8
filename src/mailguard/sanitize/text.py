"""Plain text and tables in text: everything stays but formulas of tables that could start a program."""

from __future__ import annotations

import re

from mailguard.attachments import names as file_names
from mailguard.attachments import signatures
from mailguard.message.content import Content
from mailguard.sanitize.disarmed import Disarmed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.sanitize.disarmed import Options

_LARGEST = 64 << 20
_TABLES = frozenset({"text/csv", "text/tab-separated-values", "text/comma-separated-values", "application/csv"})
# What a text program opens and nothing runs; source code comes under the name of text.
_PLAIN = frozenset(
    {"text/plain", "text/markdown", "text/css", "text/x-diff", "text/x-patch", "text/x-tex", "text/x-c", "text/x-c++"}
)
_PLAIN_READINGS = frozenset({signatures.CSV, signatures.TEXT})
_MARKS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_JSON = "application/json"
# A cell begins at the start, behind a separator or line end, whatever quotation marks stand there.
_CELL = re.compile(
    r"(?:\A\ufeff?|[\r\n,;\t|])[ \"'\u3000]{0,20}+(?P<formula>[=+@\uff0b\uff1d\uff20-][^\r\n\t;]{0,2000})"
)
_LINK = re.compile(r"[\w.]['\"]?\|[^\r\n!|]{1,400}!")
_CALL = re.compile(r"(?<![A-Za-z0-9_.])[A-Za-z][A-Za-z0-9_.]{1,40}\(")
# Functions that only count; a formula with any other, or that looks into other files, is made text.
_FUNCTION = re.compile(
    r"(?<![\w.])(?:ABS|AND|AVERAGE|CONCATENATE|COUNTA?|COUNTIF|DATE|DAY|IF|IFERROR|INT|LEFT|LEN|LOWER|MAX|MID|MIN|MOD|MONTH"
    r"|NOT|NOW|OR|PRODUCT|RIGHT|ROUND|ROUNDDOWN|ROUNDUP|ROW|SUBTOTAL|SUM|SUMIF|SUMPRODUCT|TEXT|TODAY|TRIM|UPPER|VALUE"
    r"|VLOOKUP|YEAR)\(",
    re.IGNORECASE,
)
_NOTE = "(formula) "


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:  # noqa: ARG001 (the interface of all formats)
    """Return text of this type as it is, and tables with their dangerous formulas made text.

    Refused: scripts and all that is something else than text ("not-understood"), text that is also a page, a mail or
    a shortcut ("ambiguous"), more than 64 MiB ("over-limit").
    """
    mime = mime.partition(";")[0].strip().lower()
    if len(content) > _LARGEST:
        raise Refused("over-limit")
    _check(content, mime)
    extension = file_names.extension_of_type(mime)
    if mime not in _TABLES:
        return Disarmed(content, mime, extension if mime in {"text/markdown", _JSON} else "txt")
    codec = next((codec for mark, codec in _MARKS if content.startswith(mark)), "latin-1")
    text = content.decode(codec, "surrogatepass" if codec != "latin-1" else "strict")
    written = _without_formulas(text)
    if written == text:
        return Disarmed(content, mime, extension)
    data = written.encode(codec, "surrogatepass" if codec != "latin-1" else "strict")
    return Disarmed(data, mime, extension, ("formula",))


def _check(content: bytes, mime: str) -> None:
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    if mime not in _TABLES | _PLAIN and mime != _JSON:
        raise Refused("not-understood")
    if b"\0" in content and not wide:
        raise Refused("not-understood")
    if wide:
        _check_wide(content)
    readings = set(signatures.sniff(Content.of(content))) - _PLAIN_READINGS
    if signatures.SCRIPT in readings or signatures.LNK in readings:
        raise Refused("not-understood")
    if readings:
        raise Refused("ambiguous")


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
    position = 0
    while match := _CELL.search(text, position):
        begin = match.start("formula")
        kept.append(text[position:begin])
        if _dangerous(match["formula"]):
            kept.append(_NOTE)
        kept.append(text[begin])
        position = begin + 1
    kept.append(text[position:])
    return "".join(kept)


def _dangerous(formula: str) -> bool:
    """Tell whether a cell that begins so is more than a number, a sign or a sum."""
    if _LINK.search(formula):
        return True
    cell = _cell(formula)
    if cell[0] in "+-" and not _CALL.search(cell):
        return False
    calls = len(_CALL.findall(cell))
    return calls > len(_FUNCTION.findall(cell)) or "://" in cell or "\\\\" in cell or ("[" in cell and "!" in cell)


def _cell(formula: str) -> str:
    """Return the cell up to the comma that ends it; one within parentheses belongs to it."""
    depth = 0
    for position, character in enumerate(formula):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth <= 0:
            return formula[:position]
    return formula
