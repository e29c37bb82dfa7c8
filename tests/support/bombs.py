"""Small files that would become very large, very many or very deep; each made by a function without arguments."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zlib

import documents
import py7zr
import zip_quine


def forty_two() -> bytes:
    """Make ZIPs of sixteen copies in each other; the innermost are 64 MB of zeros: 4 TB altogether."""
    data = documents.zip_bomb(64 << 20)
    for level in range(4):
        data = documents.zipped({f"{level}-{number}.zip": data for number in range(16)})
    return data


def overlap() -> bytes:
    """Make a ZIP whose directory names one packed file 900 times."""
    data = zlib.compress(bytes(8 << 20), 9)[2:-4]
    check, names = zlib.crc32(bytes(8 << 20)), [b"%04d.txt" % number for number in range(900)]
    sizes = struct.pack("<3I2H", check, len(data), 8 << 20, 8, 0)
    local = struct.pack("<I5H", 0x04034B50, 20, 0, 8, 0, 33) + sizes + names[0] + data
    entries = [
        struct.pack("<I6H", 0x02014B50, 20, 20, 0, 8, 0, 33) + sizes + struct.pack("<3H2I", 0, 0, 0, 0, 0) + name
        for name in names
    ]
    directory = b"".join(entries)
    end = struct.pack("<I4H2IH", 0x06054B50, 0, 0, len(names), len(names), len(directory), len(local), 0)
    return local + directory + end


def quoted_overlap() -> bytes:
    """Make a ZIP in which each file packs the headers of the following ones as its own content."""
    kernel = zlib.compress(bytes(8 << 20), 9)[2:-4]
    count, body, entries = 100, b"", []
    content, packed, places = bytes(8 << 20), kernel, []
    for number in range(count - 1, -1, -1):
        name = b"%04d.txt" % number
        sizes = struct.pack("<3I2H", zlib.crc32(content), len(packed), len(content), 8, 0)
        header = struct.pack("<I5H", 0x04034B50, 20, 0, 8, 0, 33) + sizes + name
        body = header + (packed if number == count - 1 else b"") + (body if number < count - 1 else b"")
        places.append((name, sizes, len(body)))
        quote = struct.pack("<B2H", 0, len(header), len(header) ^ 0xFFFF)
        body, packed, content = quote + body, quote + header + packed, header + content
    body = body[5:]
    for name, sizes, length in reversed(places):
        entries.append(
            struct.pack("<I6H", 0x02014B50, 20, 20, 0, 8, 0, 33)
            + sizes
            + struct.pack("<3H2I", 0, 0, 0, 0, len(body) - length if length < len(body) else 0)
            + name
        )
    directory = b"".join(entries)
    return body + directory + struct.pack("<I4H2IH", 0x06054B50, 0, 0, count, count, len(directory), len(body), 0)


def deep_zip() -> bytes:
    return documents.nested_zip(1000)


def deep_tar() -> bytes:
    data = b"text"
    for level in range(1000):
        data = documents.gz(documents.tar(f"{level}.tgz", data))
    return data


def deep_gzip() -> bytes:
    data = b"text"
    for _ in range(1000):
        data = gzip.compress(data)
    return data


def deep_mail() -> bytes:
    head = b"From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n"
    return head * 1000 + documents.EML


def seven_zip() -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as packed:
        packed.writestr(bytes(66 << 20), "a.txt")
    return buffer.getvalue()


def large_gzip() -> bytes:
    return gzip.compress(bytes(100 << 20))


def large_bzip2() -> bytes:
    return bz2.compress(bytes(100 << 20))


def large_xz() -> bytes:
    return lzma.compress(bytes(100 << 20), preset=0)


def many_members() -> bytes:
    return documents.zipped([(f"{number}.txt", b"") for number in range(100_000)])


def image() -> bytes:
    """Make a WebP of one colour: 100 MB of pixels from less than 1 KB."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGBA", (5_000, 5_000), "red").save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def large_image() -> bytes:
    """Make a PNG of 900 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", 30_000, 30_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(30_000 * 3_751))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def million_objects() -> bytes:
    objects = b"".join(b"%d 0 obj<</A %d 0 R>>endobj\n" % (number, number + 1) for number in range(1, 1_000_001))
    objects += b"1000002 0 obj<</Type/Catalog/Pages 1000003 0 R/PieceInfo 1 0 R>>endobj\n"
    objects += b"1000003 0 obj<</Type/Pages/Count 1/Kids[1000004 0 R]>>endobj\n"
    objects += b"1000004 0 obj<</Type/Page/MediaBox[0 0 9 9]/Parent 1000003 0 R>>endobj\n"
    return b"%PDF-1.4\n" + objects + b"trailer<</Root 1000002 0 R>>\n%%EOF\n"


def object_stream() -> bytes:
    return documents.pdf_object_stream(b"1 0 " + b" " * (100 << 20))


_ENTITIES = "".join(f'<!ENTITY a{number} "{f"&a{number - 1};" * 10}">' for number in range(1, 12))
_LAUGHS = f'<!DOCTYPE x [<!ENTITY a0 "ha">{_ENTITIES}]>'


def entities() -> bytes:
    """Make a document whose text is a thousand million laughs."""
    main = documents.word_main("<w:p><w:r><w:t>&a11;</w:t></w:r></w:p>").decode()
    return documents.ooxml("docx", main=main.replace("<w:document", f"{_LAUGHS}<w:document", 1).encode())


def entities_of_a_drawing() -> bytes:
    return f'<?xml version="1.0"?>{_LAUGHS}<svg xmlns="http://www.w3.org/2000/svg"><text>&a11;</text></svg>'.encode()


def long_entities() -> bytes:
    """Make a workbook that names one long entity very often."""
    text = f'<!DOCTYPE x [<!ENTITY a "{"a" * 100_000}">]><sst>{"&a;" * 100_000}</sst>'
    return documents.ooxml("xlsx", {"xl/sharedStrings.xml": text.encode()})


def large_part() -> bytes:
    """Make a document whose main part is 100 MB of the same element."""
    body = b"<w:p/>" * (17 << 20)
    main = documents.word_main("MARK").replace(b"MARK", body)
    return documents.ooxml("docx", main=main)


def deep_elements() -> bytes:
    return documents.ooxml("docx", main=documents.word_main("<w:p>" * 500_000 + "</w:p>" * 500_000))


def deep_rtf() -> bytes:
    return rb"{\rtf1 " + b"{" * 5_000_000


def deep_page() -> bytes:
    return b"<html><body>" + b"<div onclick=x>" * 500_000


def dense_page() -> bytes:
    """Make a page of a million elements that is to be written anew."""
    return b"<html><body><p onclick=x>x</p>" + b"<p>x</p>" * 1_000_000


def dense_drawing() -> bytes:
    return b'<svg xmlns="http://www.w3.org/2000/svg">' + b"<g/>" * 2_400_000 + b"</svg>"


def compound_file() -> bytes:
    """Make a legacy document with a stream that claims to be 2 GB."""
    data = bytearray(documents.doc())
    place = data.find("WordDocument".encode("utf-16-le"))
    data[place + 0x78 : place + 0x7C] = struct.pack("<I", 0x7FFFFFFF)
    return bytes(data)


BOMBS = {
    name: function
    for name, function in globals().items()
    if callable(function) and getattr(function, "__module__", "") == __name__
} | {"zip_quine": zip_quine.quine}
