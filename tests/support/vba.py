"""A real VBA project ([MS-OVBA]) that starts a program when its document is opened, for detectors that read the code."""

from __future__ import annotations

import struct

CODE = """Attribute VB_Name = "Module1"\r
Sub AutoOpen()\r
    Shell "calc.exe", 1\r
End Sub\r
Sub Workbook_Open()\r
    Shell "calc.exe", 1\r
End Sub\r
"""


def project(code: str = CODE) -> dict[str, bytes]:
    """The streams of a project of one module, by their paths."""
    lines = ['ID="{00000000-0000-0000-0000-000000000000}"', "Module=Module1", 'Name="Project"', "", "[Workspace]"]
    return {
        "PROJECT": "\r\n".join([*lines, "Module1=0, 0, 0, 0, C", ""]).encode(),
        "VBA/_VBA_PROJECT": b"\xcc\x61\xff\xff\0\0\0",
        "VBA/dir": compressed(_directory()),
        "VBA/Module1": compressed(code.encode("cp1252")),
    }


def compressed(data: bytes) -> bytes:
    """A compressed container of literal tokens only (2.4.1)."""
    container = b"\x01"
    for start in range(0, len(data), 3600):
        piece = data[start : start + 3600]
        chunk = b"".join(b"\0" + piece[place : place + 8] for place in range(0, len(piece), 8))
        container += struct.pack("<H", 0xB000 | len(chunk) - 1) + chunk
    return container


def _directory() -> bytes:
    """The dir stream (2.3.4.2): what the project is, no references, one module."""

    def record(number: int, data: bytes) -> bytes:
        return struct.pack("<HI", number, len(data)) + data

    name = b"Module1"
    return b"".join(
        [
            record(0x01, struct.pack("<I", 3)),  # 64-bit Windows
            record(0x02, struct.pack("<I", 0x409)),
            record(0x14, struct.pack("<I", 0x409)),
            record(0x03, struct.pack("<H", 1252)),
            record(0x04, b"Project"),
            record(0x05, b"") + record(0x40, b""),
            record(0x06, b"") + record(0x3D, b""),
            record(0x07, bytes(4)),
            record(0x08, bytes(4)),
            struct.pack("<HIIH", 0x09, 4, 1, 1),  # the version: its size is not that of what follows
            record(0x0C, b"") + record(0x3C, b""),
            record(0x0F, struct.pack("<H", 1)),
            record(0x13, b"\xff\xff"),
            record(0x19, name) + record(0x47, name.decode().encode("utf-16-le")),
            record(0x1A, name) + record(0x32, name.decode().encode("utf-16-le")),
            record(0x1C, b"") + record(0x48, b""),
            record(0x31, bytes(4)),  # the code begins at once
            record(0x1E, bytes(4)),
            record(0x2C, b"\xff\xff"),
            record(0x21, b""),
            record(0x2B, b""),
            record(0x10, b""),
        ]
    )
