"""Cells of tables in text that start programs, or reach outside of the table, when a spreadsheet opens it."""

from __future__ import annotations

import re

from mailguard.formats.budget import TooLarge, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_CELL = 8_192  # as long as formulas may be
_MOST = 4 << 20
_CELL_COST = 4
# A cell begins at the start, behind a separator or line end, whatever quotation marks and blanks stand there.
_CELL = (
    r"(?:\A|[\r\n,;\t%s])(?P<before>[\"'\0-\x08\x0b\x0c\x0e-\x20\x7f\x85\xa0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]*+)"
    r"(?![+-][\d.]*+(?:[eE][+-]?\d{1,4})?%%?(?:[,;\t\r\n\"]|\Z))(?P<formula>[=+@\uff0b\uff1d\uff20\u2212\uff0d-])"
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


class Formulas:
    """The formulas of one table, whose text may be given in several pieces; head: how it begins.

    Unreadable when the first line chooses a separator that is none.
    """

    __slots__ = ("_cells", "_read")

    def __init__(self, head: str) -> None:
        self._cells = re.compile(_CELL % re.escape(_own_separator(head)))
        self._read = 0

    def dangerous(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield where in the text a dangerous formula begins, and "dde" or "formula"; TooLarge for very many cells."""
        position = 0
        while match := self._cells.search(text, position):
            begin, position = match.span("formula")
            cell = _cell(text, begin, quoted='"' in match["before"])
            self._read += len(cell) + _CELL_COST
            if self._read > _MOST:
                raise TooLarge
            if code := _code(cell):
                yield begin, code


def _own_separator(text: str) -> str:
    """Return the separator that the first line chooses, "" for none of its own; Unreadable for an odd one."""
    match = _SEPARATOR.match(text.removeprefix("\ufeff"))
    separator = match["separator"] if match else ""
    if separator.isalnum() or separator in {"'", "=", "+", "-", "@"}:
        raise Unreadable
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


def _code(cell: str) -> str:
    """Return what a cell that begins so does, "" when it is no more than a number, a sign or a sum."""
    from unicodedata import normalize

    if not cell.isascii():
        cell = normalize("NFKC", cell)
    if _LINK.search(cell):
        return "dde"
    if cell[0] != "=" and not _FAR.search(cell) and all(call["blank"] for call in _CALL.finditer(cell)):
        return ""
    calls = len(_CALL.findall(cell))
    far = calls > len(_FUNCTION.findall(cell)) or "://" in cell or "\\\\" in cell or ("[" in cell and "!" in cell)
    return "formula" if far else ""
