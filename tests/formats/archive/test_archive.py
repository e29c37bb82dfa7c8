"""Archives: every file by the policy, readers' disagreements refused, bombs bounded, clean ones unchanged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import archive_files
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


def _files(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archived:
        return {name: archived.read(name) for name in archived.namelist()}


@pytest.mark.parametrize(("content", "mime"), archive_files.ORDINARY.values(), ids=archive_files.ORDINARY)
def test_a_clean_archive_comes_back_as_the_same_bytes(content, mime):
    result = _disarm(content, mime)
    assert result.data is content
    assert result.removed == ()


def test_the_streams_of_one_file_are_read_as_one():
    for pack, mime in ((gzip.compress, GZIP), (bz2.compress, BZIP2), (lzma.compress, XZ)):
        packed = pack(b"M") + pack(archive_files.EVIL[1:])
        assert detect(Content.of(packed), ["a.dat.x"], "").dangerous == ("archive-executable",)
        assert _disarm(packed, mime).removed == ("member-held",)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_cannot_make_a_text_a_program(kind):
    content = archive_files.tar(("run.js", b""), kind=kind, link="a.txt")
    assert detect(Content.of(content), [], "").dangerous == ("archive-script",)
    assert _disarm(content, TAR).removed == ("member-held",)


def test_a_dangerous_file_becomes_a_text_and_the_others_stay():
    result = _disarm(documents.zipped({"a.txt": b"text", "evil.exe": archive_files.EVIL}), ZIP)
    assert _files(result.data) == {"a.txt": b"text", "evil.exe.txt": b"held"}
    assert result.removed == ("member-held",)
    assert detect(Content.of(result.data), ["a.zip"], "").dangerous == ()
    assert _disarm(documents.zipped({"a.txt": b"text", "evil.exe": archive_files.EVIL}), ZIP).data == result.data


def test_a_tar_is_written_as_a_tar_that_python_reads():
    result = _disarm(archive_files.tar(("a.txt", b"text"), ("evil.exe", archive_files.EVIL)), TAR)
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


def test_7z_is_delivered_as_a_zip_of_what_was_seen():
    result = _disarm(archive_files.seven_zip(), SEVEN_ZIP)
    assert (result.mime, result.extension, result.removed) == (ZIP, "zip", ("member-held", "repacked"))
    assert _files(result.data) == {"folder/a.txt": b"text", "\u65e5\u672c.exe.txt": b"held"}


@pytest.mark.parametrize("header", [False, True])
def test_an_encrypted_7z_opens_with_a_candidate_and_is_refused_without(header):
    content = archive_files.seven_zip(password="secret", header_encryption=header)
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


@pytest.mark.parametrize(("content", "mime"), archive_files.AMBIGUOUS.values(), ids=archive_files.AMBIGUOUS)
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
    (archive_files.tar(("a.txt", b"text")), TAR),
    (gzip.compress(b"text", mtime=0), GZIP),
    (bz2.compress(b"text"), BZIP2),
    (lzma.compress(b"text"), XZ),
    (archive_files.seven_zip(), SEVEN_ZIP),
    (archive_files.seven_zip(password="secret"), SEVEN_ZIP),
    (documents.rar_5(), RAR),
    (documents.rar_4(), RAR),
    (documents.zip_aes(), ZIP),
]


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
