"""Presentations of PowerPoint 97 that LibreOffice wrote, with objects and macros added as PowerPoint adds them: by an edit."""

from __future__ import annotations

import io
import struct
import zlib

import olefile
import vba
from detectors import libreoffice
from documents import ole

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" xmlns:xlink="http://www.w3.org/1999/xlink"
 xmlns:script="urn:oasis:names:tc:opendocument:xmlns:script:1.0" xmlns:dom="http://www.w3.org/2001/xml-events"
 xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" office:version="1.2"
 office:mimetype="application/vnd.oasis.opendocument.presentation"><office:body><office:presentation><draw:page>
<draw:frame svg:x="1cm" svg:y="1cm" svg:width="20cm" svg:height="2cm"><draw:text-box><text:p>text that stays
 <text:a xlink:href="{link}">shown</text:a></text:p></draw:text-box></draw:frame>
<draw:rect svg:x="1cm" svg:y="4cm" svg:width="3cm" svg:height="2cm">{event}<text:p>box</text:p></draw:rect>
</draw:page></office:presentation></office:body></office:document>
"""
PROGRAM = """<office:event-listeners><presentation:event-listener script:event-name="dom:click" presentation:action="execute"
 xlink:href="file:///c:/windows/calc.exe" xlink:type="simple"/></office:event-listeners>"""
_LONGS = struct.Struct("<2I")
_NO_MACROS = struct.pack("<2H3I", 2, 0x400, 12, 0, 0)


def page(link: str = "https://example.com/", event: str = "") -> bytes:
    """A presentation of one slide, as flat OpenDocument."""
    return PAGE.format(link=link, event=event).encode()


def written(pages: dict[str, bytes]) -> dict[str, bytes]:
    """These as PowerPoint 97."""
    return libreoffice.converted({name: (data, "fodp") for name, data in pages.items()}, "ppt")


def atom(kind: int, data: bytes, instance: int = 0) -> bytes:
    return struct.pack("<2HI", instance << 4, kind, len(data)) + data


def container(kind: int, *inside: bytes) -> bytes:
    data = b"".join(inside)
    return struct.pack("<2HI", 0xF, kind, len(data)) + data


def edited(presentation: bytes, *inside: bytes, macros: bool = False, storage: bytes = b"") -> bytes:
    """The presentation after one more edit, which adds records to its document, an object or macros."""
    with olefile.OleFileIO(io.BytesIO(presentation)) as file:
        streams = {"/".join(path): file.openstream(path).read() for path in file.listdir()}
    stream, user = streams["PowerPoint Document"], streams["Current User"]
    (edit,) = struct.unpack_from("<I", user, 16)
    number, seed = struct.unpack_from("<2I", stream, edit + 8 + 16)
    (length,) = struct.unpack_from("<I", stream, 4)
    stream = stream.replace(_NO_MACROS + b"\1", _NO_MACROS + b"\2", 1)  # the version, which LibreOffice writes as 1
    document = bytearray(stream[8 : 8 + length])
    assert number == 1
    assert stream[2:4] == b"\xe8\x03"
    places = [len(stream)]
    if macros:
        struct.pack_into("<2I", document, document.index(_NO_MACROS) + 8, seed + 1, 1)
        storage = ole(vba.project(), mini=True)
    stream += container(
        1000, bytes(document[:-8]), *inside, bytes(document[-8:])
    )  # the end of the document stays the end
    if storage:
        places.append(len(stream))
        stream += atom(0x1011, struct.pack("<I", len(storage)) + zlib.compress(storage), 1)
    directory = len(stream)
    entries = _LONGS.pack(1 | 1 << 20, places[0])
    entries += _LONGS.pack(seed + 1 | 1 << 20, places[1]) if storage else b""
    stream += atom(0x1772, entries)
    streams["Current User"] = user[:16] + struct.pack("<I", len(stream)) + user[20:]
    stream += atom(0x0FF5, struct.pack("<7I", 0, 0x0300000D, edit, directory, 1, seed + 1, 0x120001))
    return ole(streams | {"PowerPoint Document": stream}, mini=True)
