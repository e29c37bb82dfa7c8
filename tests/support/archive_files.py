"""Archives that hold programs, archives that programs read differently, and ordinary ones."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib

import documents
import py7zr

ZIP, TAR, GZIP, BZIP2, XZ = (
    "application/zip", "application/x-tar", "application/gzip", "application/x-bzip2", "application/x-xz",
)  # fmt: skip
EVIL = b"MZ" + bytes(200)


def tar(*infos: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "/etc/passwd") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in infos:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, link
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def seven_zip(**options) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", **options) as packed:
        packed.writestr(b"text", "folder/a.txt")
        packed.writestr(EVIL, "\u65e5\u672c.exe")
    return buffer.getvalue()


def seven_zip_of(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as packed:
        for name, data in files:
            packed.writestr(data, name)
    return buffer.getvalue()


def cabinet(*files: tuple[str, bytes]) -> bytes:
    """A cabinet whose files are not compressed ([MS-CAB])."""
    data, entries = b"".join(data for _, data in files), b""
    place = 0
    for name, content in files:
        entries += struct.pack("<2I4H", len(content), place, 0, 0x5A21, 0, 0x80) + name.encode() + b"\0"
        place += len(content)
    begin = 36 + 8 + len(entries)
    folder = struct.pack("<I2H", begin, 1, 0)
    block = struct.pack("<I2H", 0, len(data), len(data)) + data
    size = begin + len(block)
    head = struct.pack("<4s5I2B5H", b"MSCF", 0, size, 0, 44, 0, 3, 1, 1, len(files), 0, 0, 0)
    return head + folder + entries + block


def rar_5(*files: tuple[str, bytes]) -> bytes:
    """A RAR archive of version 5 whose files are not compressed."""

    def block(body: bytes, data: bytes = b"") -> bytes:
        sized = bytes((len(body),)) + body
        return struct.pack("<I", zlib.crc32(sized)) + sized + data

    blocks = [block(b"\1\0\0")]
    for name, data in files:
        raw, size = name.encode(), bytes((len(data) & 0x7F | 0x80, len(data) >> 7))
        body = b"\2\2" + size + b"\4" + size + b"\xa4\x83\2" + struct.pack("<I", zlib.crc32(data)) + b"\0\1"
        blocks.append(block(body + bytes((len(raw),)) + raw, data))
    return b"Rar!\x1a\x07\1\0" + b"".join(blocks) + block(b"\5\0\0")


def rar_4(*files: tuple[str, bytes]) -> bytes:
    """A RAR archive of version 4 whose files are not compressed."""

    def block(kind: int, flags: int, body: bytes, data: bytes = b"") -> bytes:
        rest = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(rest) & 0xFFFF) + rest + data

    blocks = [block(0x73, 0, bytes(6))]
    for name, data in files:
        size, total = len(data), zlib.crc32(data)
        head = struct.pack("<2IB2I2BHI", size, size, 3, total, 0x5A210000, 20, 0x30, len(name), 0x81A4)
        blocks.append(block(0x74, 0x8000, head + name.encode(), data))
    return b"Rar!\x1a\x07\0" + b"".join(blocks) + block(0x7B, 0x4000, b"")


def zip_with_extra(number: int, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        info = zipfile.ZipInfo("a.txt")
        info.extra = struct.pack("<2H", number, len(data)) + data
        packed.writestr(info, b"x")
    return buffer.getvalue()


def gzip_named(name: bytes) -> bytes:
    plain = gzip.compress(b"text", mtime=0)
    return plain[:3] + b"\x08" + plain[4:10] + name + b"\0" + plain[10:]


def tar_number(size: bytes) -> bytes:
    """Make a tar whose one file states its size in another way."""
    header = bytearray(tar(("a", b"x")))
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


def zip_link(target: str = "/etc/passwd", kind: int = 0o120777) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, kind << 16
        packed.writestr(info, target)
    return buffer.getvalue()


AMBIGUOUS = {
    "ZIP of two names": (documents.zip_disagreeing(), ZIP),
    "ZIP with a hidden file": (documents.zip_hidden_member(), ZIP),
    "ZIP behind something": (b"prefix" + documents.zipped({"a.txt": b"x"}), ZIP),
    "ZIP before something": (documents.zipped({"a.txt": b"x"}) + b"trailer", ZIP),
    "two ZIPs": (documents.zipped({"a.txt": b"x"}) + documents.zipped({"b.txt": b"x"}), ZIP),
    "ZIP to the folder above": (documents.zipped({"../a.txt": b"x"}), ZIP),
    "ZIP to the root": (documents.zipped({"/a.txt": b"x"}), ZIP),
    "ZIP to a drive": (documents.zipped({"C:a.txt": b"x"}), ZIP),
    "ZIP to the folder above by backslashes": (documents.zipped({"a\\..\\b.txt": b"x"}), ZIP),
    "ZIP with a link": (zip_link(), ZIP),
    "tar with a link": (tar(("a", b""), kind=tarfile.SYMTYPE), TAR),
    "tar with a hard link": (tar(("a", b""), kind=tarfile.LNKTYPE), TAR),
    "tar with a device": (tar(("a", b""), kind=tarfile.CHRTYPE), TAR),
    "tar with two of a name": (tar(("a.txt", b"x"), ("a.txt", b"y")), TAR),
    "tar with a file as a folder": (tar(("a", b"x"), ("a/b.txt", b"y")), TAR),
    "tar with an odd number": (tar_number(b"0o0000000001"), TAR),
    "tar with an underscore in a number": (tar_number(b"0_0000000001"), TAR),
    "tar with a binary number": (tar_number(b"\x80" + bytes(10) + b"\1"), TAR),
    "tar with a sparse file": (tar(("a", b""), kind=b"S"), TAR),
    "ZIP with a file as a folder": (documents.zipped([("a", b"x"), ("a/b.txt", b"y")]), ZIP),
    "ZIP with another name beside": (zip_with_extra(0x7075, b"\1" + bytes(4) + b"../evil.txt"), ZIP),
    "gzip to the folder above": (gzip_named(b"../../evil.txt"), GZIP),
    "two tars": (tar(("a.txt", b"x")) + tar(("b.txt", b"y")), TAR),
    "gzip before something": (gzip.compress(b"a", mtime=0) + b"tail", GZIP),
    "ZIP with a link to the folder above": (zip_link("../a"), ZIP),
    "ZIP with a device": (zip_link("a", 0o020777), ZIP),
    "tar with a link to the folder above": (tar(("a/b", b""), kind=tarfile.SYMTYPE, link="../../c"), TAR),
    "tar with a file behind a link": (
        tar(("a", b""), kind=tarfile.SYMTYPE, link="b")[:512] + tar(("a/c", b"x")),
        TAR,
    ),
    "bzip2 before something": (bz2.compress(b"a") + b"tail", BZIP2),
    "xz before something": (lzma.compress(b"a") + b"tail", XZ),
}
PROGRAMS = {
    "program in a ZIP": documents.zipped({"a.txt": b"text", "evil.exe": EVIL}),
    "program under another name in a ZIP": documents.zipped({"a.txt": b"text", "b.txt": EVIL}),
    "program in a ZIP in a ZIP": documents.zipped({"a.txt": b"text", "in.zip": documents.zipped({"evil.exe": EVIL})}),
    "program in a tar": tar(("a.txt", b"text"), ("evil.exe", EVIL)),
    "program in a compressed tar": gzip.compress(tar(("a.txt", b"text"), ("evil.exe", EVIL)), mtime=0),
    "program in gzip": gzip.compress(EVIL, mtime=0),
    "program in bzip2": bz2.compress(EVIL),
    "program in xz": lzma.compress(EVIL),
    "program in 7z": seven_zip(),
}
"""Archives of any kind with a program."""
THREATS = PROGRAMS | {name: content for name, (content, _) in AMBIGUOUS.items()}


_TEXTS = (("a.txt", b"text"), ("日本.txt", "見積書".encode()))
_PROGRAM = (("a.txt", b"text"), ("b.bin", EVIL))
_JUNK = bytes(range(200)) * 3
FOREIGN = {
    "files in 7z": (seven_zip_of(*_TEXTS), "a.7z"),
    "files in a cabinet": (cabinet(*_TEXTS), "a.cab"),
    "files in RAR 5": (rar_5(*_TEXTS), "a.rar"),
    "files in RAR 4": (rar_4(("a.txt", b"text")), "a.rar"),
}
"""Archives that libarchive opens, of texts."""
FOREIGN_THREATS = {
    "program in a cabinet": cabinet(*_PROGRAM),
    "program in RAR 5": rar_5(*_PROGRAM),
    "program in RAR 4": rar_4(*_PROGRAM),
    "name of a program in RAR 5": rar_5(("a.js", b"text")),
    "7z behind other data": _JUNK + seven_zip_of(*_TEXTS),
    "RAR 5 before other data": rar_5(*_TEXTS) + _JUNK,
    "RAR 5 without its end": rar_5(*_TEXTS)[:-8],
    "RAR 5 with a service": rar_5(*_TEXTS, ("STM", b"text")).replace(
        b"\2\2\x84\0\4\x84\0\xa4", b"\3\2\x84\0\4\x84\0\xa4"
    ),
    "cabinet before other data": cabinet(*_TEXTS) + _JUNK,
    "cabinet behind other data": b"\0data" * 200 + cabinet(*_PROGRAM),
    "tar behind other data": b"\0data" * 200 + PROGRAMS["program in a tar"],
    "ZIP without its end": b"\0" + PROGRAMS["program in a ZIP"][:-30],
    "file in a ZIP behind other data": _JUNK + PROGRAMS["program in a ZIP"][:-90] + _JUNK,
}


ORDINARY = {
    "files and folders": (documents.zipped({"a.txt": b"text", "b/日本.txt": b"text", ".gitignore": b"*.txt\n"}), ZIP),
    "streamed": (documents.zip_streamed(), ZIP),
    "ZIP in a ZIP": (documents.nested_zip(2), ZIP),
    "tar with a long name": (tar(("a.txt", b"text"), ("x" * 110 + ".txt", b"text")), TAR),
    "gzip": (gzip.compress(b"text", mtime=0), GZIP),
    "tar in gzip": (gzip.compress(tar(("a.txt", b"text")), mtime=0), GZIP),
    "bzip2": (bz2.compress(b"text"), BZIP2),
    "xz": (lzma.compress(b"text"), XZ),
    "gzip in two streams": (gzip.compress(b"text", mtime=0) * 2 + bytes(9), GZIP),
    "bzip2 in two streams": (bz2.compress(b"text") * 2, BZIP2),
    "xz in two streams": (lzma.compress(b"text") + bytes(4) + lzma.compress(b"text"), XZ),
    "ZIP with a link within": (zip_link("b.txt"), ZIP),
    "tar with a link within": (tar(("a/b", b""), kind=tarfile.SYMTYPE, link="../c.txt"), TAR),
    "tar with a hard link within": (tar(("a/b", b""), kind=tarfile.LNKTYPE, link="c.txt"), TAR),
    "ZIP with backslashes": (documents.zipped({"a\\b.txt": b"text"}), ZIP),
}
"""Archives that nobody has to change: content, type."""
