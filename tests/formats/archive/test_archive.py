"""Archives: every file by the policy, readers' disagreements refused, bombs bounded, clean ones unchanged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile

import documents
import py7zr
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard.formats.archive import disarm as archive
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Disarmed, Options, Refused
from mailguard.message.content import Content

ZIP, TAR, GZIP, BZIP2, XZ, SEVEN_ZIP, RAR = (
    "application/zip", "application/x-tar", "application/gzip", "application/x-bzip2", "application/x-xz",
    "application/x-7z-compressed", "application/vnd.rar",
)  # fmt: skip
_EVIL = b"MZ" + bytes(200)


def _member(content: bytes, names, options: Options) -> Disarmed:
    found = detect(Content.of(content), names, "")
    if found.type in {ZIP, TAR, GZIP, BZIP2, XZ}:
        options.names = tuple(names)
        try:
            return archive.disarm(content, found.type, options)
        except Refused:
            return Disarmed(b"held", "text/plain", "txt", ("member-held",))
    if found.dangerous:
        return Disarmed(b"held", "text/plain", "txt", ("member-held",))
    return Disarmed(content, found.type, found.extension)


def _disarm(content: bytes, mime: str, **switches) -> Disarmed:
    return archive.disarm(content, mime, Options(member=_member, **switches))


def _tar(*infos: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in infos:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _files(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archived:
        return {name: archived.read(name) for name in archived.namelist()}


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (documents.zipped({"a.txt": b"text", "b/日本.txt": b"text", ".gitignore": b"x"}), ZIP),
        (documents.zip_streamed(), ZIP),
        (documents.nested_zip(2), ZIP),
        (_tar(("a.txt", b"text"), ("x" * 110 + ".txt", b"text")), TAR),
        (gzip.compress(b"text", mtime=0), GZIP),
        (gzip.compress(_tar(("a.txt", b"text")), mtime=0), GZIP),
        (bz2.compress(b"text"), BZIP2),
        (lzma.compress(b"text"), XZ),
    ],
)
def test_a_clean_archive_comes_back_as_the_same_bytes(content, mime):
    result = _disarm(content, mime)
    assert result.data is content
    assert result.removed == ()


def test_a_dangerous_file_becomes_a_text_and_the_others_stay():
    result = _disarm(documents.zipped({"a.txt": b"text", "evil.exe": _EVIL}), ZIP)
    assert _files(result.data) == {"a.txt": b"text", "evil.exe.txt": b"held"}
    assert result.removed == ("member-held",)
    assert detect(Content.of(result.data), ["a.zip"], "").dangerous == ()
    assert _disarm(documents.zipped({"a.txt": b"text", "evil.exe": _EVIL}), ZIP).data == result.data


def test_a_tar_is_written_as_a_tar_that_python_reads():
    result = _disarm(_tar(("a.txt", b"text"), ("evil.exe", _EVIL)), TAR)
    with tarfile.open(fileobj=io.BytesIO(result.data)) as tar:
        assert tar.getnames() == ["a.txt", "evil.exe.txt"]
        assert tar.extractfile("a.txt").read() == b"text"


@pytest.mark.parametrize(
    ("pack", "mime", "ending"), [(gzip.compress, GZIP, "gz"), (bz2.compress, BZIP2, "bz2"), (lzma.compress, XZ, "xz")]
)
def test_a_packed_file_is_judged_by_the_name_of_its_archive(pack, mime, ending):
    content = pack(b"alert(1)")
    assert _disarm(content, mime, names=(f"a.txt.{ending}",)).removed == ()
    assert _disarm(content, mime, names=(f"a.js.{ending}",)).removed == ("member-held",)


def _seven_zip(**options) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", **options) as packed:
        packed.writestr(b"text", "folder/a.txt")
        packed.writestr(_EVIL, "\u65e5\u672c.exe")
    return buffer.getvalue()


def test_7z_is_delivered_as_a_zip_of_what_was_seen():
    result = _disarm(_seven_zip(), SEVEN_ZIP)
    assert (result.mime, result.extension, result.removed) == (ZIP, "zip", ("member-held", "repacked"))
    assert _files(result.data) == {"folder/a.txt": b"text", "\u65e5\u672c.exe.txt": b"held"}


@pytest.mark.parametrize("header", [False, True])
def test_an_encrypted_7z_opens_with_a_candidate_and_is_refused_without(header):
    content = _seven_zip(password="secret", header_encryption=header)
    for passwords in ((), (b"wrong", b"\xff")):
        with pytest.raises(Refused, match="encrypted"):
            _disarm(content, SEVEN_ZIP, passwords=passwords)
    result = _disarm(content, SEVEN_ZIP, passwords=(b"wrong", b"secret"))
    assert _files(result.data) == {"folder/a.txt": b"text", "\u65e5\u672c.exe.txt": b"held"}
    assert result.removed == ("encryption", "member-held", "repacked")


@pytest.mark.parametrize("options", [{}, {"password": "secret"}])
def test_a_7z_bomb_is_over_the_limit(options):
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", **options) as packed:
        packed.writestr(bytes(65 << 20), "a.txt")
    with pytest.raises(Refused, match="over-limit"):
        _disarm(buffer.getvalue(), SEVEN_ZIP, passwords=(b"secret",))


def test_an_encrypted_zip_opens_with_a_candidate_and_is_refused_without():
    with pytest.raises(Refused, match="encrypted"):
        _disarm(documents.zip_aes(), ZIP, passwords=(b"wrong",))
    result = _disarm(documents.zip_aes(), ZIP, passwords=(b"wrong", b"password"))
    assert _files(result.data) == {"invoice.txt": b"secret"}
    assert result.removed == ("encryption",)


def _zip_with_extra(number: int, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        info = zipfile.ZipInfo("a.txt")
        info.extra = struct.pack("<2H", number, len(data)) + data
        packed.writestr(info, b"x")
    return buffer.getvalue()


def _gzip_named(name: bytes) -> bytes:
    plain = gzip.compress(b"text", mtime=0)
    return plain[:3] + b"\x08" + plain[4:10] + name + b"\0" + plain[10:]


def _tar_number(size: bytes) -> bytes:
    """Make a tar whose one file states its size in another way."""
    header = bytearray(_tar(("a", b"x")))
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


def _zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        packed.writestr(info, "/etc/passwd")
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
    "ZIP with a link": (_zip_link(), ZIP),
    "tar with a link": (_tar(("a", b""), kind=tarfile.SYMTYPE), TAR),
    "tar with a hard link": (_tar(("a", b""), kind=tarfile.LNKTYPE), TAR),
    "tar with a device": (_tar(("a", b""), kind=tarfile.CHRTYPE), TAR),
    "tar with two of a name": (_tar(("a.txt", b"x"), ("a.txt", b"y")), TAR),
    "tar with a file as a folder": (_tar(("a", b"x"), ("a/b.txt", b"y")), TAR),
    "tar with an odd number": (_tar_number(b"0o0000000001"), TAR),
    "tar with an underscore in a number": (_tar_number(b"0_0000000001"), TAR),
    "tar with a binary number": (_tar_number(b"\x80" + bytes(10) + b"\1"), TAR),
    "tar with a sparse file": (_tar(("a", b""), kind=b"S"), TAR),
    "ZIP with a file as a folder": (documents.zipped([("a", b"x"), ("a/b.txt", b"y")]), ZIP),
    "ZIP with another name beside": (_zip_with_extra(0x7075, b"\1" + bytes(4) + b"../evil.txt"), ZIP),
    "gzip to the folder above": (_gzip_named(b"../../evil.txt"), GZIP),
    "two tars": (_tar(("a.txt", b"x")) + _tar(("b.txt", b"y")), TAR),
    "two gzips": (gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0), GZIP),
    "bzip2 before something": (bz2.compress(b"a") + b"tail", BZIP2),
    "two xz": (lzma.compress(b"a") + lzma.compress(b"b"), XZ),
}


@pytest.mark.parametrize(("content", "mime"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_programs_read_differently_or_elsewhere_is_refused(content, mime):
    with pytest.raises(Refused, match="ambiguous"):
        _disarm(content, mime)


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (documents.zip_bomb(), ZIP),
        (bz2.compress(bytes(100 << 20)), BZIP2),
        (lzma.compress(bytes(100 << 20)), XZ),
        (gzip.compress(bytes(100 << 20), mtime=0), GZIP),
        (documents.zipped([(f"{number}.txt", b"") for number in range(1001)]), ZIP),
    ],
)
def test_bombs_are_over_the_limit(content, mime):
    with pytest.raises(Refused, match="over-limit"):
        _disarm(content, mime)


def test_a_thousand_archives_in_each_other_end_at_the_depth():
    result = _disarm(documents.nested_zip(1000), ZIP)
    assert result.removed == ("member-held",)


def test_unsafe_names_are_made_safe():
    result = _disarm(documents.zipped({"con.txt": b"x", "A.txt": b"x", "a.txt": b"y"}), ZIP)
    assert sorted(_files(result.data)) == ["A.txt", "_con.txt", "a (2).txt"]
    assert result.removed == ("file-name",)


_SAMPLES = [
    (documents.zipped({"a.txt": b"text" * 9, "b.txt": b"x"}), ZIP),
    (_tar(("a.txt", b"text")), TAR),
    (gzip.compress(b"text", mtime=0), GZIP),
    (bz2.compress(b"text"), BZIP2),
    (lzma.compress(b"text"), XZ),
    (_seven_zip(), SEVEN_ZIP),
    (_seven_zip(password="secret"), SEVEN_ZIP),
    (documents.rar_5(), RAR),
    (documents.rar_4(), RAR),
    (documents.zip_aes(), ZIP),
]


PROGRAMS = {
    "program in a ZIP": documents.zipped({"a.txt": b"text", "evil.exe": _EVIL}),
    "program under another name in a ZIP": documents.zipped({"a.txt": b"text", "b.txt": _EVIL}),
    "program in a ZIP in a ZIP": documents.zipped({"a.txt": b"text", "in.zip": documents.zipped({"evil.exe": _EVIL})}),
    "program in a tar": _tar(("a.txt", b"text"), ("evil.exe", _EVIL)),
    "program in a compressed tar": gzip.compress(_tar(("a.txt", b"text"), ("evil.exe", _EVIL)), mtime=0),
    "program in gzip": gzip.compress(_EVIL, mtime=0),
    "program in bzip2": bz2.compress(_EVIL),
    "program in xz": lzma.compress(_EVIL),
    "program in 7z": _seven_zip(),
}
"""Archives of any kind with a program."""
THREATS = PROGRAMS | {name: content for name, (content, _) in AMBIGUOUS.items()}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(_SAMPLES),
    st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), max_size=6),
    st.integers(0, 40),
)
def test_only_refusals_come_from_damaged_archives(sample, changes, cut):
    content = bytearray(sample[0])
    for place, value in changes:
        content[place % len(content)] = value
    try:
        result = _disarm(bytes(content[: len(content) - cut]), sample[1], passwords=(b"secret",))
    except Refused:
        return
    assert isinstance(result.data, bytes)
