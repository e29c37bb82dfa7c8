"""What content is by its own structure: every reading that some program makes of it."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.message.content import Content

HEAD = 1 << 16
TAIL = (1 << 16) + 22

PE = "application/vnd.microsoft.portable-executable"
COM = "application/x-msdos-program"
ELF = "application/x-executable"
JAVA = "application/java-vm"
LNK = "application/x-ms-shortcut"
ONENOTE = "application/onenote"
CHM = "application/vnd.ms-htmlhelp"
DISK = "application/x-raw-disk-image"
ISO = "application/x-iso9660-image"
OLE = "application/x-ole-storage"
ZIP = "application/zip"
RAR = "application/vnd.rar"
SEVEN_ZIP = "application/x-7z-compressed"
CAB = "application/vnd.ms-cab-compressed"
GZIP = "application/gzip"
BZIP2 = "application/x-bzip2"
XZ = "application/x-xz"
TAR = "application/x-tar"
PDF = "application/pdf"
RTF = "application/rtf"
TNEF = "application/vnd.ms-tnef"
CMS = "application/pkcs7-mime"
HTML = "text/html"
SVG = "image/svg+xml"
MHTML = "multipart/related"
MSO = "application/x-mso"
MAIL = "message/rfc822"
CALENDAR = "text/calendar"
BIFF = "application/vnd.ms-excel"
OLD_WORD = "application/msword"
OFFICE_XML = "application/vnd.ms-office.flat-xml"
CSV = "text/csv"
TEXT = "text/plain"
XML = "application/xml"
SCRIPT = "application/x-script"

# Offset, octets there, type.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"X5O!P%@AP[4\\PZX54(P^)", COM),  # printable code: the beginning of the file by which virus scanners are tried
    (0, b"ActiveMime", MSO),  # macros and OLE objects beside a page that Word saved (editdata.mso, oledata.mso)
    (0, b"\x9b\xa5!\0", OLD_WORD),
    (0, b"\xdb\xa5-\0", OLD_WORD),
    (0, b"\xfe7\0#", OLD_WORD),
    (0, b"\x7fELF", ELF),
    (0, b"\xfe\xed\xfa\xce", ELF),
    (0, b"\xfe\xed\xfa\xcf", ELF),
    (0, b"\xce\xfa\xed\xfe", ELF),
    (0, b"\xcf\xfa\xed\xfe", ELF),
    (0, b"\xca\xfe\xba\xbe", JAVA),
    (0, b"dex\n03", JAVA),
    (0, b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", LNK),
    (0, b"\xe4R\\{\x8c\xd8\xa7M\xae\xb1Sx\xd0)\x96\xd3", ONENOTE),
    (0, b"\xa1/\xffC\xd9\xefvL\x9e\xe2\x10\xea\x57\x22\x76\x5f", ONENOTE),
    (0, b"ITSF\x03\0\0\0", CHM),
    (0, b"?_\x03\0", CHM),
    (0, b"vhdxfile", DISK),
    (0, b"conectix", DISK),
    (0, b"MSWIM\0\0\0", DISK),
    (0, b"WLPWM\0\0\0", DISK),
    (0, b"KDMV", DISK),
    (0, b"QFI\xfb", DISK),
    (0x40, b"\x7f\x10\xda\xbe", DISK),
    # File systems that 7-Zip 22 opens: squashfs, cramfs, ext, HFS+, APFS, a GUID partition table, Android sparse.
    (0, b"hsqs", DISK),
    (0, b"sqsh", DISK),
    (0, b"\x45\x3d\xcd\x28", DISK),
    (0x438, b"\x53\xef\x01\0", DISK),
    (0x400, b"H+\0\x04", DISK),
    (0x20, b"NXSB", DISK),
    (0x200, b"EFI PART", DISK),
    (0, b"\x3a\xff\x26\xed", DISK),
    (0x8001, b"CD001", ISO),
    (0x8001, b"BEA01", ISO),
    (0x8801, b"CD001", ISO),
    (0x8801, b"BEA01", ISO),
    (0x9311, b"CD001", ISO),
    (0x9319, b"CD001", ISO),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (0, b"\x0e\x11\xfc\x0d\xd0\xcf\x11\xe0", OLE),
    (0, b"MSCF\0\0\0\0", CAB),
    (0, b"ISc(", CAB),
    (0, b"\x1f\x8b", GZIP),
    (0, b"BZh", BZIP2),
    (0, b"\xfd7zXZ\0", XZ),
    (0, b"\x5d\0\0", "application/x-lzma"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"\x04\x22\x4d\x18", "application/x-lz4"),
    (0, b"\x1f\x9d", "application/x-compress"),
    (0, b"\x60\xea", "application/x-arj"),
    (2, b"-lh", "application/x-lzh-compressed"),
    (2, b"-lz", "application/x-lzh-compressed"),
    (7, b"**ACE**", "application/x-ace-compressed"),
    (0, b"ALZ\x01", "application/x-ace-compressed"),
    (0, b"EGGA", "application/x-ace-compressed"),
    (257, b"ustar", TAR),
    (0, b"!<arch>\ndebian", "application/vnd.debian.binary-package"),
    (0, b"\xed\xab\xee\xdb", "application/x-rpm"),
    (0, b"!<arch>\n", "application/x-archive"),
    (0, b"WARC/", "application/warc"),  # bsdtar unpacks it
    (0, b"xar!", "application/x-xar"),
    (0, b"07070", "application/x-cpio"),
    (0, b"\xc7\x71", "application/x-cpio"),
    (0, b"Cr24", "application/x-chrome-extension"),
    (4, b"Standard Jet DB", "application/x-msaccess"),
    (4, b"Standard ACE DB", "application/x-msaccess"),
    (0, b"\x78\x9f\x3e\x22", TNEF),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"\0\0\x01\0\x01\0", "image/vnd.microsoft.icon"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
)

# ContentInfo of CMS (RFC 5652 3) in DER or BER: a SEQUENCE that begins with an identifier of PKCS #7 or S/MIME.
_CMS = re.compile(
    rb"0(?:\x80|[\0-\x7f]|\x81.|\x82..|\x83...|\x84....)\x06(?:\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07|\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01)",
    re.DOTALL,
)
_PDF = re.compile(rb"%PDF-|%!PS-Adobe-\d\.\d PDF-")
_BIFF = re.compile(
    rb"\x09[\0\x02\x04]([\x04\x06]\0..[\x10\x20\x40]\0|[\x04\x06]\0..\0\x01)|\x09\x08[\x08\x10]\0\0[\x05\x06]",
    re.DOTALL,
)
# Whole headers of a stream: their first octets alone stand in many files.
_GZIP = re.compile(rb"\x1f\x8b\x08[\0-\x1f].{4}[\0\x02\x04][\0-\x0d\xff]", re.DOTALL)
_BZIP2 = re.compile(rb"BZh[1-9]1AY&SY")
_LOCAL = re.compile(rb"PK\x03\x04.{22}(?:[^\0]\0|.[\x01-\x03])", re.DOTALL)  # a file in a ZIP, with a name
_TAR = re.compile(rb"[0-7 \0]{8}.{101}ustar[\0 ]", re.DOTALL)  # the sum, and the mark (POSIX.1, ustar)
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
    b"avif": "image/avif",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
}

_MEDIA = ("image/", "audio/", "video/")
# Archives and containers: what is in them is not a second reading of themselves.
_CONTAINERS = frozenset({ZIP, OLE, TAR, TNEF, ISO, DISK, GZIP, BZIP2, XZ, CAB, RAR, SEVEN_ZIP, ONENOTE})


def structures(content: Content) -> list[str]:
    """Return all structural readings, what stands first in the content first, without duplicates."""
    head = content.read(0, HEAD)
    tail = content.read(max(content.size - TAIL, 0), TAIL)
    found = dict.fromkeys(_at_start(head))
    found.update(dict.fromkeys(_anywhere(content, head, tail, frozenset(found))))
    return list(found)


def is_polyglot(content: Content, found: list[str]) -> bool:
    """Say whether the structural readings (from `structures`) contradict each other.

    A PDF stored at the start of an archive, or a ZIP somewhere near the end of a container, is content of theirs.
    """
    strong = [mime for mime in found if mime in _CONTAINERS or mime in {PDF, RTF} or mime.startswith(_MEDIA)]
    if len(strong) < 2 or {DISK, ISO} >= set(strong):
        return False
    if strong[0] not in _CONTAINERS:
        return True
    others = set(strong[1:]) - {PDF, DISK, ISO}
    if others == {ZIP}:
        tail = content.read(max(content.size - TAIL, 0), TAIL)
        at = zip_end(tail)
        return at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail)
    return bool(others)


def _at_start(head: bytes) -> Iterator[str]:
    if head[:2] in {b"MZ", b"ZM"} and b"\0" in head[2:64]:
        yield PE
    if head[:4] in {b"PK\x03\x04", b"PK\x05\x06"} or head[:8] in {b"PK00PK\x03\x04", b"PK\x07\x08PK\x03\x04"}:
        yield ZIP
    for offset, magic, mime in _MAGIC:
        if head.startswith(magic, offset):
            yield mime
    if _CMS.match(head):
        yield CMS
    if _BIFF.match(head):
        yield BIFF
    if head[4:8] == b"ftyp":
        yield _BRANDS.get(head[8:12], "video/mp4")
    yield from _pictures(head)
    if len(head) >= 512 and head[510:512] == b"\x55\xaa" and (b"NTFS" in head[:16] or b"FAT" in head[:96]):
        yield DISK
    if head[257:262] != b"ustar" and tar_checksum(head[:512]):
        yield TAR


def _pictures(head: bytes) -> Iterator[str]:
    if head[:4] == b"RIFF":
        yield {b"WEBP": "image/webp", b"WAVE": "audio/x-wav", b"AVI ": "video/x-msvideo"}.get(
            head[8:12], "application/octet-stream"
        )
    if (
        head[:2] == b"BM"
        and head[6:10] == b"\0\0\0\0"
        and head[14:18] in {b"\x0c\0\0\0", b"(\0\0\0", b"l\0\0\0", b"|\0\0\0"}
    ):
        yield "image/bmp"


def tar_checksum(block: bytes) -> bool:
    """Say whether a block of 512 bytes is a tar header by its checksum (POSIX.1 ustar, also of older tars)."""
    if len(block) < 512 or not block[0]:
        return False
    try:
        stated = int(block[148:156].strip(b" \0") or b"-1", 8)
    except ValueError:
        return False
    return stated == sum(block[:148]) + 256 + sum(block[156:])


def _anywhere(content: Content, head: bytes, tail: bytes, first: frozenset[str]) -> Iterator[str]:
    if _PDF.search(head, 0, 1024 + 24):
        yield PDF
    if re.match(rb"[\0\s\xef\xbb\xbf]{0,64}+\{\\rt", head):
        yield RTF
    if tail[-512:].startswith(b"koly") or any(tail[-size:].startswith(b"conectix") for size in (512, 511)):
        yield DISK
    if zip_end(tail) >= 0:
        yield ZIP
    if head.startswith((b"Rar!\x1a\x07", b"RE~^")):
        yield RAR
    elif head.startswith(b"7z\xbc\xaf\x27\x1c"):
        yield SEVEN_ZIP
    elif PDF in first or any(mime.startswith(_MEDIA) for mime in first) or (not first and b"\0" in head):
        yield from _appended(content)


def _appended(content: Content) -> Iterator[str]:
    """Look for archives that unpackers find behind a picture or document, or in what is nothing else (7-Zip 26)."""
    from mailguard.formats.budget import windows

    found = set()
    for window in windows(content.chunks(), 512):
        if b"Rar!\x1a\x07" in window:
            found.add(RAR)
        if b"7z\xbc\xaf\x27\x1c" in window:
            found.add(SEVEN_ZIP)
        if b"\xfd7zXZ\0" in window:
            found.add(XZ)
        if _GZIP.search(window):
            found.add(GZIP)
        if b"1AY&SY" in window and _BZIP2.search(window):
            found.add(BZIP2)
        if _LOCAL.search(window):
            found.add(ZIP)
        if b"MSCF\0\0\0\0" in window:
            found.add(CAB)
        if any(tar_checksum(window[match.start() - 148 : match.start() + 364]) for match in _TAR.finditer(window, 148)):
            found.add(TAR)
    yield from sorted(found)


def zip_end(tail: bytes) -> int:
    """Return the offset in `tail` (the end of the content) of the last end-of-central-directory record, or -1.

    A record counts when it is plausible by itself: one disk, and the comment does not reach over the end.
    """
    position = len(tail)
    for _ in range(64):
        position = tail.rfind(b"PK\x05\x06", 0, position)
        if position < 0:
            return -1
        record = tail[position : position + 22]
        if len(record) == 22 and record[4:8] in {b"\0\0\0\0", b"\xff\xff\xff\xff"}:
            comment = int.from_bytes(record[20:22], "little")
            if position + 22 + comment <= len(tail):
                return position
    return -1
