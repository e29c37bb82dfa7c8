"""Type detection: by content and by every name, total, bounded."""

from __future__ import annotations

import errno
import io
import resource
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import documents
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailguard.errors import ConfigurationError
from mailguard.filename import FileName
from mailguard.formats import extensions
from mailguard.formats.archive import zip as archive
from mailguard.formats.budget import Quota, Unreadable
from mailguard.formats.detect import detect, libmagic_type
from mailguard.formats.ole.reader import CompoundFile
from mailguard.formats.readings import sniff
from mailguard.message.content import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLES = [data for data, _ in [*documents.ordinary().values(), *documents.dangerous().values()] if len(data) < 1 << 17]


class Counting(Content):
    """Content that counts how much of it is read."""

    __slots__ = ("octets",)

    def __init__(self, data: bytes) -> None:
        super().__init__(data, 0, len(data))
        self.octets = 0

    def read(self, offset: int, length: int) -> bytes:
        data = super().read(offset, length)
        self.octets += len(data)
        return data


class Endless(Content):
    """A large file that is made where it is read: a beginning, the same block again and again, an end."""

    __slots__ = ("_before", "_behind", "_block")

    def __init__(self, before: bytes, block: bytes, behind: bytes, size: int) -> None:
        super().__init__(b"", 0, 0)
        self._before, self._block, self._behind = before, block, behind
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        offset = min(max(offset, 0), self.size)
        end = min(offset + max(length, 0), self.size)
        first = (offset - len(self._before)) % len(self._block)
        middle = (self._block * ((end - offset) // len(self._block) + 2))[first : first + end - offset]
        data = bytearray(middle)
        if offset < len(self._before):
            data[: len(self._before) - offset] = self._before[offset:end]
        start = self.size - len(self._behind)
        if end > start:
            at = max(start - offset, 0)
            data[at:] = self._behind[max(offset - start, 0) : end - start]
        return bytes(data)


@pytest.mark.parametrize("name", documents.ordinary())
def test_ordinary_files_have_their_type_and_no_danger(name: str) -> None:
    data, mime = documents.ordinary()[name]
    found = detect(Content.of(data), [name], "application/octet-stream")
    assert (found.type, found.dangerous) == (mime, ())


@pytest.mark.parametrize("name", [name for name in documents.ordinary() if name != "empty.txt"])
def test_ordinary_files_have_their_type_without_a_name(name: str) -> None:
    data, mime = documents.ordinary()[name]
    expected = {"text/csv": "text/plain"}.get(mime, mime)
    found = detect(Content.of(data), [], "")
    assert found.type in {expected, mime}
    assert found.dangerous == ()


@pytest.mark.parametrize("name", documents.dangerous())
def test_dangerous_files_are_recognised_by_content_alone(name: str) -> None:
    data, codes = documents.dangerous()[name]
    assert detect(Content.of(data), [], "application/octet-stream").dangerous == codes


@pytest.mark.parametrize("name", documents.dangerous())
def test_a_harmless_name_and_type_do_not_hide_a_danger(name: str) -> None:
    data, codes = documents.dangerous()[name]
    found = detect(Content.of(data), ["photo.jpg"], "image/jpeg")
    assert set(codes) <= set(found.dangerous)


def test_types_hold_content_names_and_declaration() -> None:
    found = detect(Content.of(documents.pdf()), ["a.doc.txt", "b.png"], "Image/GIF; x=y")
    assert found.types >= {"application/pdf", "application/msword", "text/plain", "image/png", "image/gif"}
    assert (found.type, found.extension) == ("application/pdf", "pdf")


def test_the_extension_of_a_program_is_harmless() -> None:
    assert detect(Content.of(documents.EXE), ["a.exe"], "").extension == "bin"


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ("application/x-msdownload", "executable"),
        ("application/hta", "script"),
        ("application/x-ms-shortcut", "shortcut"),
    ],
)
def test_a_declared_type_counts(declared: str, code: str) -> None:
    assert detect(Content.of(b"text"), ["a.txt"], declared).dangerous == (code,)


def test_a_page_with_a_drawing_in_it_is_a_page_and_judged_as_both() -> None:
    found = detect(Content.of(b"<html><body><p>text</p><svg onload=x()></svg></body></html>"), [], "")
    assert (found.type, found.dangerous) == ("text/html", ("html-active", "svg-active"))
    assert detect(Content.of(documents.SVG_SCRIPT), [], "").type == "image/svg+xml"


def test_html_is_judged_where_only_the_name_or_the_type_says_so() -> None:
    data = b"\x01\x02 harmless start " + b"x" * 5000 + b"<script>"
    assert detect(Content.of(data), ["a.bin"], "").dangerous == ()
    assert detect(Content.of(data), ["a.xhtml"], "").dangerous == ("document-unreadable", "html-active")
    assert detect(Content.of(data), ["a.bin"], "text/html").dangerous == ("html-active",)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("invoice.pdf.exe", "executable"),
        ("invoice.exe.", "executable"),
        ("invoice.exe . .", "executable"),
        ("invoice.exe     .pdf", "executable"),
        ("invoice\u202efdp.exe", "executable"),
        ("invoice.e\u200bxe", "executable"),
        ("invoice．exe", "executable"),
        ("invoice。ｅｘｅ", "executable"),
        ("invoice.exe::$DATA", "executable"),
        ("invoice.exe:.pdf", "executable"),
        ("invoice.exe\0.pdf", "executable"),
        ("invoice.pdf\0.exe", "executable"),
        ("invoice.exe\n.pdf", "executable"),
        ("invoice.exe/", "executable"),
        ("C:\\temp\\invoice.EXE", "executable"),
        ('"invoice.exe"', "executable"),
        ("invoice%2Eexe", "executable"),
        ("請求書.js", "script"),
        ("a.hta", "script"),
        ("a.vbs", "script"),
        ("a.xll", "executable"),
        ("a.lnk", "shortcut"),
        ("a.url", "shortcut"),
        ("a.rdp", "shortcut"),
        ("a.iqy", "shortcut"),
        ("a.slk", "shortcut"),
        ("a.SettingContent-ms", "shortcut"),
        ("a.{00021401-0000-0000-C000-000000000046}", "shortcut"),
        ("a.chm", "chm"),
        ("a.msi", "installer"),
        ("a.iso", "disk-image"),
        ("a.one", "onenote"),
        ("a.docm", "macro"),
        ("a.mht", "document-unreadable"),
        ("a.lzh", "archive-unreadable"),
        ("x" * 10_000 + ".exe", "executable"),
    ],
)
def test_a_name_counts_as_the_most_dangerous_reader_reads_it(name: str, code: str) -> None:
    assert detect(Content.of(b"text"), ["a.txt", name], "text/plain").dangerous == (code,)


@pytest.mark.parametrize(
    "name",
    [
        "www.example.com.pdf",
        "v1.0.exe.txt",
        "a.b.c.docx",
        "メモ。終わり.txt",
        "exe",
        ".pdf",
        "",
        ".",
        "12:30.txt",
        "100%.txt",
    ],
)
def test_an_ordinary_name_is_no_danger(name: str) -> None:
    assert detect(Content.of(b"text"), [name], "text/plain").dangerous == ()


def test_without_libmagic_the_operator_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "magic", None)
    with pytest.raises(ConfigurationError, match="libmagic"):
        detect(Content.of(b"text"), [], "")


def test_libmagic_sees_a_bounded_sample_without_floods_of_blank_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    import magic

    seen: list[bytes] = []
    monkeypatch.setattr(magic, "from_buffer", lambda data, mime: seen.append(data) or "text/plain")
    libmagic_type(Content.of(b" \r\n" * 1_000_000 + b"text"))
    libmagic_type(Content.of(b"x" * 1_000_000))
    assert len(seen[0]) < 100
    assert len(seen[1]) == 8_192


def test_import_is_cheap() -> None:
    code = "import sys, mailguard.formats.detect; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    ).stdout.split()
    heavy = {
        "magic",
        "zipfile",
        "tempfile",
        "lzma",
        "bz2",
        "xml.parsers.expat",
        "typing",
        "dataclasses",
        "email",
        "hashlib",
    }
    assert heavy.isdisjoint(loaded)


# --- properties --------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000), st.lists(st.text(max_size=60), max_size=3), st.text(max_size=40))
def test_any_content_names_and_type_give_a_detection(data: bytes, given_names: list[str], declared: str) -> None:
    found = detect(Content.of(data), given_names, declared)
    assert found.type in found.types
    assert found.dangerous == tuple(sorted(set(found.dangerous)))
    assert found.extension.isalnum()


@st.composite
def damaged(draw: Callable[[st.SearchStrategy[object]], object]) -> bytes:
    data = bytearray(draw(st.sampled_from(SAMPLES)))  # type: ignore[arg-type]
    for _ in range(draw(st.integers(0, 8))):  # type: ignore[call-overload]
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["flip", "ones", "cut", "drop", "repeat", "number"]))
        length = draw(st.integers(1, 64))
        if kind == "flip":
            data[at] ^= 1 << (length % 8)
        elif kind == "ones":
            data[at : at + 4] = b"\xff\xff\xff\xff"
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "repeat":
            data[at:at] = data[at : at + length]
        else:
            data[at : at + 4] = draw(st.binary(min_size=4, max_size=4))
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_damaged_documents_give_a_detection(data: bytes) -> None:
    detect(Content.of(data), ["a.html", "a.csv", "a.ics", "a.eml"], "")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
@example("a.exe" + "\u202e" * 5)
def test_a_name_has_the_dangers_of_its_plain_extension(name: str) -> None:
    assert "executable" in extensions.dangers(FileName(name + "x.exe"))
    assert all("/" not in reading and "\\" not in reading for reading in FileName(name).readings)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}\.(txt|pdf)", fullmatch=True), st.binary(max_size=300), max_size=5),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    st.binary(max_size=40),
)
def test_our_zip_reader_reads_what_zipfile_wrote(files: dict[str, bytes], method: int, comment: bytes) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as written:
        for name, data in files.items():
            written.writestr(name, data)
        written.comment = comment.replace(b"PK", b"pk")
    content = Content.of(buffer.getvalue())
    read = {entry.name: b"".join(archive.pieces(content, entry)) for entry in archive.entries(content)}
    assert read == files


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, 255))
@example(6, 32)  # bit 5 of the flags
def test_a_zip_that_is_accepted_is_read_alike_by_zipfile(at: int, octet: int) -> None:
    data = bytearray(documents.zipped({"a.txt": b"text" * 20, "b/c.txt": b"other"}))
    data[at % len(data)] = octet
    content = Content.of(bytes(data))
    try:
        entries = archive.entries(content)
        read = {entry.raw_name: b"".join(archive.pieces(content, entry)) for entry in entries if not entry.encrypted}
    except Unreadable:
        return
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as other:
        assert len(entries) == len(other.infolist())
        if len(read) == len(entries):
            assert sorted(read.values()) == sorted(other.read(info) for info in other.infolist())


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[A-Z]{1,8})?", fullmatch=True), st.binary(max_size=9000), max_size=9),
    st.booleans(),
)
@example({f"s{n}": bytes([n + 1]) * 3000 for n in range(8)}, True)
def test_our_compound_file_reader_reads_streams(streams: dict[str, bytes], mini: bool) -> None:
    streams = {
        path: data for path, data in streams.items() if not any(other.startswith(path + "/") for other in streams)
    }
    compound = CompoundFile(Content.of(documents.ole(streams, mini=mini)))
    read = sorted(b"".join(compound.pieces(entry)).rstrip(b"\0") for entry in compound.entries if entry.kind == 2)
    assert read == sorted(data.rstrip(b"\0") for data in streams.values())


# --- cost --------------------------------------------------------------------------------------------------------

HOSTILE: dict[str, Callable[[int], bytes]] = {
    "PDF of object stream names": lambda size: b"%PDF-1.7\n" + b"/ObjStm " * (size // 8),
    "PDF of object streams": lambda size: documents.pdf_object_stream(b"x" * 2000) * (size // 600),
    "ZIP ends": lambda size: b"PK\x05\x06\0\0\0\0" * (size // 8),
    "ZIP starts": lambda size: b"PK\x03\x04" * (size // 4),
    "tar headers": lambda size: documents.tar(data=b"")[:512] * (size // 512),
    "TNEF attributes": lambda size: documents.tnef("a", b"")[:6] + documents._attribute(2, 0x800F, b"") * (size // 11),
    "RAR blocks": lambda size: b"Rar!\x1a\x07\x01\0" + b"\0\0\0\0\x03\x02\0\0\0" * (size // 9),
    "compound file of one stream": lambda size: documents.ole({"Workbook": b"\x01\0\x04\0abcd" * (size // 8)}),
    "compound file of many streams": lambda size: documents.ole({f"a{n}/Workbook": b"x" for n in range(size // 4200)}),
    "HTML of less-than": lambda size: b"<html>" + b"<" * size,
    "RTF fields": lambda size: b"{\\rtf1 " + b"{\\fldinst DD}" * (size // 13),
    "mail of parts": lambda size: documents.EML + b"--b\n\n" * (size // 5),
    "calendar of folds": lambda size: b"BEGIN:VCALENDAR" + b"\n " * (size // 2),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_twice_the_content_costs_twice_the_reading(name: str) -> None:
    counted = []
    for size in (1 << 19, 1 << 20):
        content = Counting(HOSTILE[name](size))
        detect(content, ["a"], "")
        counted.append(content.octets)
    assert counted[1] <= 2.5 * counted[0] + (1 << 18)
    assert counted[1] <= 700 * (1 << 20)


@pytest.mark.parametrize(
    ("name", "before", "block", "behind"),
    [
        ("a.pdf", b"%PDF-1.7\n", b"1 0 obj << /Type /Page >> endobj\n", b"%%EOF"),
        ("a.csv", b"a,b\n", b"alpha,1,2,3|x\n", b"end"),
        ("a.rtf", rb"{\rtf1 ", rb"\par text {\fldinst PAGE} ", b"}"),
        ("a.jpg", documents.JPEG, bytes(range(200)), b"end"),
        ("a.bin", b"\0\1\2\3", bytes(range(251)), b"end"),
        ("a.vhd", b"\0\1\2\3", bytes(range(251)), b"conectix" + bytes(504)),
    ],
)
def test_twenty_megabytes_need_few_megabytes(name: str, before: bytes, block: bytes, behind: bytes) -> None:
    content = Endless(before, block, behind, 20_000_000)
    detect(Content.of(before + block), [name], "")
    tracemalloc.start()
    found = detect(content, [name], "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert found.dangerous == (("disk-image",) if name == "a.vhd" else ())


def test_a_page_too_large_to_be_read_whole_is_not_read_at_all() -> None:
    content = Counting(b"<html>" + b"<p>text</p>\n" * (2 << 20))
    assert detect(content, ["a.html"], "").dangerous == ("archive-large",)
    assert content.octets < 1 << 20


def test_a_large_member_is_unpacked_outside_memory() -> None:
    data = documents.zipped({"a.bin": bytes(range(256)) * (1 << 16)})
    tracemalloc.start()
    found = detect(Content.of(data), ["a.zip"], "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.dangerous == ()
    assert peak < 8 << 20


def readings() -> Iterator[tuple[str, bytes]]:
    yield from ((name, data) for name, (data, _) in documents.ordinary().items())
    yield from ((name, data) for name, (data, _) in documents.dangerous().items())


@pytest.mark.parametrize("blanks", [1, 300, 70_000, 200_000])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le"])
def test_blanks_do_not_hide_what_is_active(blanks: int, codec: str) -> None:
    page = "<html><a href =" + "\n \t\x01 "[: blanks % 5 + 1] + " " * blanks + "'data:text/html,x'>"
    assert detect(Content.of(page.encode(codec)), ["a.html"], "text/html").dangerous == ("html-active",)
    harmless = "<html><a href =" + " " * blanks + "'https://www.example.com/'>"
    assert detect(Content.of(harmless.encode(codec)), ["a.html"], "text/html").dangerous == ()


def test_attachments_of_one_message_share_a_quota() -> None:
    archive_of_many = documents.zipped({f"{number}.txt": b"x" for number in range(400)})
    quota = Quota()
    found = [detect(Content.of(archive_of_many), ["a.zip"], "application/zip", quota).dangerous for _ in range(4)]
    assert found == [(), (), ("archive-large",), ("archive-large",)]
    assert detect(Content.of(archive_of_many), ["a.zip"], "application/zip").dangerous == ()


@pytest.mark.parametrize("reason", ["the largest file is small", "there is no room for temporary files"])
def test_what_the_disk_does_not_take_is_too_large(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = documents.zipped({"a.txt": b"0123456789abcdef" * (1 << 18)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if reason == "the largest file is small":
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, before[1]))
    else:
        monkeypatch.setattr(tempfile, "TemporaryFile", _no_room)
    try:
        found = detect(Content.of(data), ["a.zip"], "application/zip")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found.dangerous == ("archive-large",)


def _no_room(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("mime", ["application/pdf", "application/zip", "image/png", "application/gzip"])
def test_where_libmagic_is_sure_our_own_reading_agrees(mime: str) -> None:
    seen = [sniff(Content.of(data)) for _, data in readings() if libmagic_type(Content.of(data)) == mime]
    assert seen
    assert all(mime in found for found in seen)
