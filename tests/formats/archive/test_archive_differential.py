"""No program of the field unpacks a program from an archive that the look at it called harmless.

Mutations of all archives of the tests; what is dangerous by our reading needs no second one.  A long run by hand:
MUTATIONS=100000 tests/run tests/formats/archive/test_archive_differential.py --timeout 0
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import archive_files
import documents
import pytest

from mailguard.formats.detect import detect
from mailguard.message.content import Content

COUNT = int(os.environ.get("MUTATIONS", "1500"))
PROGRAMS = {
    "7-Zip": ("7z", "x", "-y", "-p", "-o{folder}", "{}"),
    "bsdtar": ("bsdtar", "-xf", "{}", "-C", "{folder}"),
    "unzip": ("unzip", "-o", "-qq", "-P", "", "-d", "{folder}", "{}"),
    "GNU tar": ("tar", "-xf", "{}", "-C", "{folder}"),
    "Python": ("python3", "-m", "zipfile", "-e", "{}", "{folder}"),
}
ENDINGS = {b"PK": "zip", b"7z": "7z", b"\x1f\x8b": "gz", b"BZ": "bz2", b"\xfd7": "xz", b"Rar": "rar", b"MSCF": "cab"}
SPECIMENS = [
    *archive_files.THREATS.values(),
    *(content for content, _ in archive_files.ORDINARY.values()),
    *archive_files.FOREIGN_THREATS.values(),
    *(content for content, _ in archive_files.FOREIGN.values()),
    documents.zipped([("[Content_Types].xml", b"<Types/>"), ("a.exe", archive_files.EVIL)]),
    documents.zipped(
        [("mimetype", b"application/vnd.oasis.opendocument.text"), ("Pictures/a.exe", archive_files.EVIL)]
    ),
]
MARKS = re.compile(rb"Rar!|7z\xbc\xaf|MSCF|PK\x01\x02|PK\x03\x04|PK\x05\x06|PK\x07\x08|ustar|\x1f\x8b|BZh|\xfd7zXZ")
PACKERS = [gzip.compress, bz2.compress, lzma.compress]


def _flipped(luck, data):
    data = bytearray(data)
    for _ in range(luck.randint(1, 3)):
        data[luck.randrange(len(data))] = luck.choice((0, 1, 8, 0x20, 0xFF, luck.randrange(256)))
    return bytes(data)


def _field(luck, data):
    """Change a field behind one of the marks of headers."""
    places = [match.start() for match in MARKS.finditer(data)] or [0]
    data = bytearray(data)
    place = luck.choice(places) + luck.randint(4, 46)
    if place < len(data):
        data[place] = luck.choice((0, 1, 8, 9, 12, 0x20, 0xFF, data[place] ^ 1, luck.randrange(256)))
    return bytes(data)


def _joined(luck, data):
    gap = luck.choice((b"", b"", bytes(4), bytes(512), b"\r\n", b"PK\x07\x08" + bytes(12), luck.randbytes(30)))
    pair = [data, luck.choice(SPECIMENS)]
    luck.shuffle(pair)
    return gap.join(pair)


def _cut(luck, data):
    start = luck.randrange(len(data))
    return data[:start] + data[start + luck.choice((1, 4, 12, 22, 46, 512)) :]


def _inserted(luck, data):
    """Put a piece of another archive somewhere, also within a comment that reaches over it."""
    other = luck.choice(SPECIMENS)
    if luck.random() < 0.5 and b"PK\x05\x06" in data:
        at = data.rindex(b"PK\x05\x06")
        return data[: at + 20] + len(other).to_bytes(2, "little")[:2] + other if len(other) < 1 << 16 else data
    place = luck.randrange(len(data))
    return data[:place] + other + data[place:]


def _packed(luck, data):
    half = luck.randrange(len(data))
    pack = luck.choice(PACKERS)
    return luck.choice((pack(data), pack(data[:half]) + pack(data[half:])))


MUTATIONS = (_flipped, _field, _field, _joined, _cut, _inserted, _packed)


def _summed(data):
    """Put the sums of tar headers right, so that a change in one is read."""
    if data[257:262] != b"ustar":
        return data
    data = bytearray(data)
    for start in range(0, len(data) - 511, 512):
        if data[start + 257 : start + 262] == b"ustar":
            data[start + 148 : start + 156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % (sum(data[start : start + 512]) & 0o777777)
    return bytes(data)


def unpacked(content, folder):
    """Which program unpacks a program; ending: as which a mail could name the archive."""
    ending = next((ending for begin, ending in ENDINGS.items() if content.startswith(begin)), "tar")
    path = os.path.join(folder, f"archive.{ending}")
    with open(path, "wb") as file:
        file.write(content)
    found = []
    for name, command in PROGRAMS.items():
        out = os.path.join(folder, "out")
        os.mkdir(out)
        arguments = [one.replace("{folder}", out).replace("{}", path) for one in command]
        subprocess.run(arguments, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        for at, _, names in os.walk(out):
            for one in (os.path.join(at, one) for one in names):
                if os.path.isfile(one) and not os.path.islink(one) and Path(one).read_bytes()[:2] == b"MZ":
                    found.append(f"{name}: {one}")
        shutil.rmtree(out, ignore_errors=True)
    return found


def test_the_programs_unpack_what_is_there():
    with tempfile.TemporaryDirectory(prefix="mailguard-differential-") as folder:
        found = unpacked(archive_files.PROGRAMS["program in a ZIP"], folder)
        assert {one.partition(":")[0] for one in found} == set(PROGRAMS) - {"GNU tar"}
        found = unpacked(archive_files.PROGRAMS["program in a compressed tar"], folder)
        assert {one.partition(":")[0] for one in found} >= {"GNU tar", "bsdtar"}


@pytest.mark.skipif(not all(map(shutil.which, ("7z", "bsdtar", "unzip", "tar"))), reason="an unpacker is not installed")
def test_no_program_unpacks_a_program_from_what_looks_harmless():
    luck = random.Random(13)
    harmless = 0
    with tempfile.TemporaryDirectory(prefix="mailguard-differential-") as folder:
        for _ in range(COUNT):
            content = luck.choice(SPECIMENS)
            for _ in range(luck.randint(1, 3)):
                content = _summed(luck.choice(MUTATIONS)(luck, content or b"x")) or b"x"
            if detect(Content.of(content), ["a.bin"], "").dangerous:
                continue
            harmless += 1
            assert not unpacked(content, folder), content.hex()
    assert harmless > COUNT // 100
