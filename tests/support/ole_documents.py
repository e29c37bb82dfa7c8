"""Legacy documents in compound files, made piece by piece."""

from __future__ import annotations

import io
import struct

import olefile
from documents import ole, records


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


def word(
    text: str = "text that stays\r",
    cut: int = 0,
    tables: dict[int, bytes] | None = None,
    flags: int = 0,
    **streams: bytes,
) -> bytes:
    """A Word document of two pieces: 16-bit characters, from `cut` on 8-bit ones."""
    cut = cut or len(text)
    first, second = wide(text[:cut]), text[cut:].encode("cp1252")
    fib = bytearray(0x400)
    struct.pack_into("<2H", fib, 0, 0xA5EC, 0xC1)
    struct.pack_into("<H", fib, 0x0A, 0x0200 | flags)
    struct.pack_into("<i", fib, 0x4C, len(text))
    pieces = struct.pack("<3I", 0, cut, len(text))
    pieces += struct.pack("<HIH", 0, 0x400, 0) + struct.pack("<HIH", 0, (0x400 + len(first)) * 2 | 0x40000000, 0)
    table = bytearray(16)
    for number, data in {33: b"\x02" + struct.pack("<I", len(pieces)) + pieces, **(tables or {})}.items():
        struct.pack_into("<2I", fib, 0x9A + 8 * number, len(table), len(data))
        table += data
    return ole({"WordDocument": bytes(fib) + first + second, "1Table": bytes(table), **streams}, mini=True)


BOF = (0x809, struct.pack("<4H", 0x600, 5, 0, 0) + bytes(8))


SHEET_BOF = struct.pack("<4H", 0x600, 0x10, 0, 0) + bytes(8)


EOF = (0x0A, b"")


def sheet(kind: int = 0, place: int = 0) -> tuple[int, bytes]:
    return 0x85, struct.pack("<I2B", place, 0, kind) + b"\x05\0Sheet"


def excel(*globals_: tuple[int, bytes], cells: tuple = (), kind: int = 0, **streams: bytes) -> bytes:
    head = records(BOF, *globals_)
    place = len(head) + len(records(sheet(), EOF))
    bof = bytearray(SHEET_BOF)
    bof[2] = 0x40 if kind == 1 else 0x10
    number = (0x203, struct.pack("<3Hd", 0, 0, 0, 42.0))
    label = (0x204, struct.pack("<4HB", 1, 0, 0, 15, 0) + b"text that stays")
    return ole(
        {
            "Workbook": head + records(sheet(kind, place), EOF, (0x809, bytes(bof)), number, label, *cells, EOF),
            **streams,
        },
        mini=True,
    )


def atom(kind: int, data: bytes, instance: int = 0) -> bytes:
    return struct.pack("<2HI", instance << 4, kind, len(data)) + data


def container(kind: int, *inside: bytes) -> bytes:
    data = b"".join(inside)
    return struct.pack("<2HI", 0xF, kind, len(data)) + data


def powerpoint(
    *inside: bytes, user: bytes = b"\x5f\xc0\x91\xe3", place: int | None = None, properties: bytes = b""
) -> bytes:
    stream = container(1000, atom(4008, b"text that stays"), *inside)
    directory = len(stream)
    stream += atom(0x1772, struct.pack("<2I", 1 | 1 << 20, 0 if place is None else place))
    edit = len(stream)
    stream += atom(0x0FF5, struct.pack("<7I", 0, 0, 0, directory, 1, 1, 0))
    current = struct.pack("<2HI", 0, 0x0FF6, 20) + struct.pack("<I", 20) + user + struct.pack("<I", edit) + bytes(8)
    summary = {"\x05DocumentSummaryInformation": properties} if properties else {}
    return ole({"PowerPoint Document": stream, "Current User": current, **summary}, mini=True)


def streams(content: bytes) -> dict[str, bytes]:
    """What an independent reader finds."""
    with olefile.OleFileIO(io.BytesIO(content), raise_defects=olefile.DEFECT_INCORRECT) as file:
        return {"/".join(path): file.openstream(path).read() for path in file.listdir()}
