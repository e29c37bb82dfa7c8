"""Legacy Word, Excel and PowerPoint: LibreOffice, olevba, msodde and oleid; olefile and a walk over records for the rest."""

from __future__ import annotations

import re
import struct

from detectors.libreoffice import Flat
from detectors.oletools_peers import fields, indicators, macro_storage, macros, stream, streams

_HEAD = struct.Struct("<2HI")


def table(number: int):
    """A detector: a table of a Word document, by its place in the FIB ([MS-DOC] 2.5.6), that is not empty."""
    return lambda content: _table(content, number).strip(b"\0\xff\x40")


def _table(content: bytes, number: int) -> bytes:
    found = streams(content)
    place, length = struct.unpack_from("<2I", found["WordDocument"], 0x9A + 8 * number)
    return found["1Table"][place : place + length]


def field_types(*wanted: int):
    """A detector: types of fields in the table of fields (2.8.25), whatever the text says."""

    def detector(content: bytes) -> list[int]:
        data = _table(content, 16)
        begin = 4 * ((len(data) - 4) // 6 + 1)
        return [
            kind
            for mark, kind in zip(data[begin::2], data[begin + 1 :: 2], strict=True)
            if mark == 0x13 and kind in wanted
        ]

    return detector


def excel_records(content: bytes):
    """(number, data) of every record of a workbook."""
    data, position = streams(content)["Workbook"], 0
    while position + 4 <= len(data):
        number, length = struct.unpack_from("<2H", data, position)
        yield number, data[position + 4 : position + 4 + length]
        position += 4 + length


def macro_sheets(content: bytes) -> list[bytes]:
    """Sheets that say that they hold macros, in the list of sheets or at their own beginning."""
    found = [data for number, data in excel_records(content) if number == 0x85 and data[5] == 1]
    return found + [data for number, data in excel_records(content) if number == 0x809 and data[2:4] == b"\x40\0"]


def links(content: bytes) -> list[str]:
    """Links that msodde lists, to a program and its topic or to a place elsewhere; not to a book in the same folder."""
    return [line for line in fields(content).splitlines() if re.search(r".[ \x03].|\x01\x01@|://|\\\\", line)]


def powerpoint_records(content: bytes):
    """(instance, type, data) of every record of a presentation, with those within containers."""
    waiting = [streams(content)["PowerPoint Document"]]
    while waiting:
        data, position = waiting.pop(), 0
        while position + 8 <= len(data):
            version, kind, length = _HEAD.unpack_from(data, position)
            inside = data[position + 8 : position + 8 + length]
            yield version >> 4, kind, inside
            waiting += [inside] if version & 0xF == 0xF else []
            position += 8 + length


def records(*kinds: int):
    """A detector: records of these types."""
    return lambda content: [kind for _, kind, _ in powerpoint_records(content) if kind in kinds]


def actions(content: bytes) -> list[int]:
    """What a click starts: 1 a macro, 2 a program, 5 an object ([MS-PPT] 2.8.2)."""
    return [data[8] for _, kind, data in powerpoint_records(content) if kind == 0x0FF3 and data[8] in {1, 2, 5}]


def strings(pattern: str):
    """A detector: strings anywhere in the presentation."""

    def detector(content: bytes) -> list[str]:
        found = [data.decode("utf-16-le") for _, kind, data in powerpoint_records(content) if kind == 0x0FBA]
        return [text for text in found if re.search(pattern, text)]

    return detector


def text(*words: str):
    """What LibreOffice shows as text: of a field that it does not know, the code too."""
    return Flat("//text:p[" + " or ".join(f"contains(., '{word}')" for word in words) + "]")


def cells(expression: str):
    """Formulas of cells as LibreOffice reads them."""
    return Flat(f"//@table:formula[contains(., '{expression}')]")


def names(attribute: str, part: str):
    """Names as LibreOffice reads them."""
    return Flat(f"//table:named-expression[contains(@table:{attribute}, '{part}')]")


UNKNOWN_FUNCTION = "#NAME!("  # so LibreOffice calls a function that only macro sheets have
DETECTORS = {
    "Word macros": (macros, Flat("//ooo:source-code")),
    "Word DDE": (text("DDEAUTO"),),
    "Word DDE over two pieces": (text("DDEAUTO"),),
    "Word DDE by the table of fields": (field_types(45, 46),),
    "Word picture from elsewhere": (text("INCLUDEPICTURE"),),
    "Word link": (text("ms-msdt"),),
    "Word link behind a switch": (text("ms-msdt"),),
    "Word template": (Flat("//meta:template[contains(@xlink:href, 'evil')]"),),
    "Word commands": (table(24),),
    "Word object": (indicators("ObjectPool"), stream("ObjectPool")),
    "Excel macros": (macros, Flat("//ooo:source-code")),
    "Excel macro sheet": (macro_sheets, cells(UNKNOWN_FUNCTION)),
    "Excel automatic name": (names("name", "Auto_Open"),),
    "Excel automatic name in letters": (names("name", "Auto_Open"),),
    "Excel name that acts": (names("expression", UNKNOWN_FUNCTION),),
    "Excel call": (cells(UNKNOWN_FUNCTION),),
    "Excel DDE": (links,),
    "Excel book elsewhere": (links,),
    "Excel link": (Flat("//@xlink:href[starts-with(., 'ms-msdt')]"),),
    "Excel link by formula": (cells("HYPERLINK("),),
    "Excel link by formula and cell": (cells("HYPERLINK("),),
    "Excel object": (stream("MBD"),),
    "Excel control": (stream("Ctls"),),
    "PowerPoint macros": (macro_storage, records(0x1011)),
    "PowerPoint object": (records(0x0FCC),),
    "PowerPoint control": (records(0x0FEE),),
    "PowerPoint program": (actions, strings("evil")),
    "PowerPoint link": (strings("ms-msdt"),),
    "PowerPoint link by its name": (strings("ms-msdt"),),
    "PowerPoint link by the list": (lambda content: b"_PID_HLINKS" in b"".join(streams(content).values()),),
    "PowerPoint film": (strings("evil"),),
}
