"""Tables as text: msodde finds DDE in CSV; the csv module and openpyxl read the cells of the rest."""

from __future__ import annotations

import csv
import io
import re

from detectors.oletools_peers import fields

OUTSIDE = ("HYPERLINK", "WEBSERVICE", "IMPORTXML")


def cells(content: bytes, encoding: str = "", separators: str = ",;\t^") -> list[str]:
    """Every cell that any program could see: in the encoding, or UTF-8, read with each separator."""
    for codec in (encoding or "utf-8-sig", "cp932", "latin-1"):
        try:
            text = content.decode(codec)
            break
        except UnicodeDecodeError:
            continue
    return [cell for sign in separators for row in csv.reader(io.StringIO(text), delimiter=sign) for cell in row]


def started(encoding: str = ""):
    """A detector: cells that begin as a formula does and call a program."""

    def detector(content: bytes) -> list[str]:
        begin = r"[\s\x0b\xa0]*[=+@\uff1d-].*?\w\s*\|\s*'.*'\s*!"
        return [cell for cell in cells(content, encoding) if re.match(begin, cell, re.DOTALL)]

    return detector


def outside(content: bytes) -> list[str]:
    """Cells with a formula that reaches out."""
    begin = re.compile(rf"\s*=.*\b(?:{'|'.join(OUTSIDE)})\(", re.DOTALL)
    return [cell for cell in cells(content) if begin.match(cell)]


DETECTORS = {
    "call": (fields, started()),
    "call in quotes": (fields, started()),
    "call behind a function": (fields, started()),
    "call behind a plus": (fields, started()),
    "call with a semicolon": (started(),),
    "call with a tab": (started(),),
    "call behind blanks": (fields, started()),
    "call of Excel": (fields, started()),
    "long call": (started(),),
    "call behind a hard blank": (started(),),
    "call behind a chosen separator": (started(),),
    "wide equals sign": (started(),),
    "wide equals sign in Shift_JIS": (started("cp932"),),
    "call behind a vertical tab": (started(),),
    "call with a blank": (started(),),
    "call over lines": (started(),),
    "function behind quotes": (outside,),
    "function behind a semicolon": (outside,),
    "function behind a decimal comma": (outside,),
    "call behind a byte order mark": (started(),),
    "link": (outside,),
    "web service": (outside,),
    "import": (outside,),
    "call in UTF-16": (started("utf-16"),),
}
