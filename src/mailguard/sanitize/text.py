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
_SHEETS = re.compile(r"\.(?:csv|tsv|tab|prn|dif)[. ]{0,9}$", re.IGNORECASE)
_LONGEST_CELL = 8_192  # as long as formulas may be
_MOST = 4 << 20
_CELL_COST = 4
# A cell begins at the start, behind a separator or line end, whatever quotation marks and blanks stand there.
_CELL = (
    r"(?:\A|[\r\n,;\t%s])(?P<before>[\"'\0-\x08\x0b\x0c\x0e-\x20\x7f\x85\xa0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]*+)"
    r"(?![+-][\d.]*+%%?(?:[,;\t\r\n\"]|\Z))(?P<formula>[=+@\uff0b\uff1d\uff20\u2212\uff0d-])"
)
_SEPARATOR = re.compile(r"\s{0,20}+\"?sep=(?P<separator>[^\r\n\"])\"?[\r\n]", re.IGNORECASE)
_PIECE = re.compile(r"\"[^\"\r\n]*+\"?|'[^'\r\n]*+'?|[(),;\t\r\n]|[^\"'(),;\t\r\n]++")
_QUOTED = re.compile(r"[^\"]*+(?:\"\"[^\"]*+)*")
_LINK = re.compile(r"[\w.)'\"\]]\s{0,99}\|[^!]{0,8192}!")
_CALL = re.compile(r"(?<![A-Za-z0-9_.])[A-Za-z][A-Za-z0-9_.]{1,40}(?P<blank>\s{0,20})\(")
# Behind "+", "-" and "@" a word and a blank before a parenthesis are ordinary text, but for these words.
_FAR = re.compile(
    r"(?:WEBSERVICE|HYPERLINK|RTD|CALL|REGISTER(?:\.ID)?|IMAGE|FILTERXML|EXEC|DDE|IMPORT\w{2,10})\s{1,20}\(",
    re.IGNORECASE,
)
# Functions that only count; a formula with any other, or that looks into other files, is made text.
_FUNCTION = re.compile(
    r"(?<![\w.])(?:ABS|AND|AVERAGE|CONCATENATE|COUNTA?|COUNTIF|DATE|DAY|IF|IFERROR|INT|LEFT|LEN|LOWER|MAX|MID|MIN|MOD|MONTH"
    r"|NOT|NOW|OR|PRODUCT|RIGHT|ROUND|ROUNDDOWN|ROUNDUP|ROW|SUBTOTAL|SUM|SUMIF|SUMPRODUCT|TEXT|TODAY|TRIM|UPPER|VALUE"
    r"|VLOOKUP|YEAR)\s{0,20}\(",
    re.IGNORECASE,
)
_NOTE = "(formula) "


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:
    """Return text of this type as it is, and tables with their dangerous formulas made text.

    Plain text is a table too when a name in `options.names` makes a spreadsheet open it.  Refused: scripts and all that
    is something else than text ("not-understood"), text that is also a page, a mail or a shortcut ("ambiguous"), more
    than 64 MiB, or very many formulas ("over-limit").
    """
    mime = mime.partition(";")[0].strip().lower()
    if len(content) > _LARGEST:
        raise Refused("over-limit")
    _check(content, mime)
    extension = file_names.extension_of_type(mime)
    if mime not in _TABLES and not any(_SHEETS.search(name) for name in options.names):
        return Disarmed(content, mime, extension if mime in {"text/markdown", _JSON} else "txt")
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
    position = copied = read = 0
    cells = re.compile(_CELL % re.escape(_own_separator(text)))
    while match := cells.search(text, position):
        begin, position = match.span("formula")
        cell = _cell(text, begin, quoted='"' in match["before"])
        read += len(cell) + _CELL_COST
        if read > _MOST:
            raise Refused("over-limit")
        if _dangerous(cell):
            kept += [text[copied:begin], _NOTE]
            copied = begin
    return "".join((*kept, text[copied:]))


def _own_separator(text: str) -> str:
    """Return the separator that the first line chooses, "" for none of its own."""
    match = _SEPARATOR.match(text.removeprefix("\ufeff"))
    separator = match["separator"] if match else ""
    if separator.isalnum() or separator in {"'", "=", "+", "-", "@"}:
        raise Refused("ambiguous")
    return separator


def _cell(text: str, begin: int, *, quoted: bool) -> str:
    """Return the cell as far as some program may read it: separators in parentheses or quotes belong to it."""
    if quoted:
        found = _QUOTED.match(text, begin, begin + _LONGEST_CELL)
        return found[0].replace('""', '"') if found else ""
    depth = 0
    end = begin
    for piece in _PIECE.finditer(text, begin, begin + _LONGEST_CELL):
        if piece[0] == "(":
            depth += 1
        elif piece[0] == ")":
            depth -= 1
        elif piece[0] in "\r\n" or (
            piece[0] in ",;\t" and depth <= 0 and not text[piece.end() : piece.end() + 1].isdigit()
        ):
            break
        end = piece.end()
    return text[begin:end]


def _dangerous(cell: str) -> bool:
    """Tell whether a cell that begins so is more than a number, a sign or a sum."""
    from unicodedata import normalize

    if not cell.isascii():
        cell = normalize("NFKC", cell)
    if _LINK.search(cell):
        return True
    if cell[0] != "=" and not _FAR.search(cell) and all(call["blank"] for call in _CALL.finditer(cell)):
        return False
    calls = len(_CALL.findall(cell))
    return calls > len(_FUNCTION.findall(cell)) or "://" in cell or "\\\\" in cell or ("[" in cell and "!" in cell)
