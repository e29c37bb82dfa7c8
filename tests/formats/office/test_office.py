"""sanitize: Office Open XML.  What others see of each threat is in test_sanitize_evidence.py."""

from __future__ import annotations

import io

import docx
import openpyxl
import pytest
from documents import docx_doctype, instruction, ooxml, png, word_main, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from office_files import MICROSOFT, REL, TEXT, THREATS, S, W, parts, word, workbook
from oletools.olevba import VBA_Parser

from mailguard.formats.codes import REFUSALS, REMOVED
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import KEPT, Disarmed, DisarmQuota, Options, Refused
from mailguard.formats.office import disarm as office
from mailguard.message.content import Content


def disarm(content: bytes, **options: object) -> Disarmed:
    return office.disarm(content, "", Options(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("what", THREATS)
def test_a_threat_is_gone_and_everything_else_stays(what: str) -> None:
    content, codes, mark = THREATS[what]
    before = parts(content)
    assert mark.lower() in b"".join([*before.values(), *map(str.encode, before)]).replace(b"\0", b"").lower()
    result = disarm(content)
    left = parts(result.data)
    assert set(result.removed) == codes
    assert mark.lower() not in b"".join([*left.values(), *map(str.encode, left)]).lower()
    assert any(b"text that stays" in data for data in left.values())
    assert result.extension in {"docx", "xlsx", "pptx"}
    assert detect(Content.of(result.data), ["x"], "").dangerous == ()


@pytest.mark.parametrize("what", THREATS)
def test_what_was_made_harmless_is_not_changed_again(what: str) -> None:
    once = disarm(THREATS[what][0])
    again = disarm(once.data)
    assert again.data is once.data
    assert again.removed == ()


@pytest.mark.parametrize(
    "code",
    [
        'HYPERLINK "https://example.com/" \\o "tip" \\t _blank \\* MERGEFORMAT',
        "HYPERLINK \\l _Toc1 \\h",
        'HYPERLINK "mailto:a@example.com"',
        "PAGE \\* Arabic",
    ],
)
def test_ordinary_fields_stay(code: str) -> None:
    content = word(instruction(code))
    assert disarm(content).data is content


def test_the_result_of_a_field_in_the_code_of_another_is_ordinary() -> None:
    begin, separate, end = (f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "separate", "end"))
    codes = [f"<w:r><w:instrText>{text}</w:instrText></w:r>" for text in ("IF ", "MERGEFIELD a", "value", " = 1 2 3")]
    inner = f"{begin}{codes[1]}{separate}{codes[2]}{end}"
    content = word(f"<w:p>{begin}{codes[0]}{inner}{codes[3]}{separate}<w:r><w:t>2</w:t></w:r>{end}</w:p>")
    assert disarm(content).data is content


def test_a_macro_sheet_under_another_label_is_refused() -> None:
    sheets = parts(workbook(""))
    sheets["xl/worksheets/sheet1.xml"] = b"<xm:macrosheet xmlns:xm='x'/>"
    with pytest.raises(Refused, match="ambiguous"):
        disarm(zipped(sheets))


def test_printer_settings_stay_where_metadata_may() -> None:
    part = {"xl/printerSettings/p1.bin": bytes(200)}
    content = workbook(
        "",
        parts=part,
        relationships={"xl/worksheets/sheet1.xml": [("printerSettings", "../printerSettings/p1.bin", False)]},
        overrides={"xl/printerSettings/p1.bin": S + "printerSettings"},
    )
    assert disarm(content).data is content
    assert disarm(content, kept=frozenset()).removed == ("metadata",)


def test_the_codes_have_words() -> None:
    for _, codes, _ in THREATS.values():
        assert codes <= REMOVED.keys()


def olevba(content: bytes) -> bool:
    parser = VBA_Parser("document", data=content)
    try:
        return bool(parser.detect_vba_macros())
    finally:
        parser.close()


@pytest.mark.parametrize(("kind", "extension"), [("docm", "docx"), ("xlsm", "xlsx")])
def test_a_document_made_for_macros_gets_the_type_without(kind: str, extension: str) -> None:
    content = word("", kind=kind) if kind == "docm" else workbook("", kind=kind)
    result = disarm(content)
    assert result.extension == extension
    assert b"macroEnabled" not in parts(result.data)["[Content_Types].xml"]
    assert detect(Content.of(result.data), ["x"], "").extension == extension


def test_an_ordinary_document_is_the_same_object_afterwards() -> None:
    content = word(
        instruction(' TOC \\o "1-3" ')
        + instruction(' HYPERLINK "https://example.com/" ')
        + '<w:hyperlink r:id="rId1"/>',
        parts={"word/media/image1.png": png()},
        relationships={
            "word/document.xml": [("hyperlink", "https://example.com/", True), ("image", "media/image1.png", False)]
        },
        overrides={"word/media/image1.png": "image/png"},
    )
    result = disarm(content)
    assert result.removed == ()
    assert result.data is content


def ordinary(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "docx":
        document = docx.Document()
        document.add_heading("Report", 0)
        document.add_paragraph("日本語のテキスト")
        document.save(buffer)
    else:
        book = openpyxl.Workbook()
        book.active["A1"] = "日本"
        book.active["B1"] = "=1+2"
        book.active["C1"] = '=HYPERLINK("https://example.com/", "x")'
        book.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["docx", "xlsx"])
def test_what_libraries_write_is_the_same_object_afterwards(kind: str) -> None:
    content = ordinary(kind)
    assert disarm(content).data is content


def test_features_are_removed_by_option() -> None:
    body = '<w:commentRangeStart w:id="1"/><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>'
    content = word(
        body + '<w:hyperlink r:id="rId1"><w:r><w:t>shown</w:t></w:r></w:hyperlink>',
        parts={"word/comments.xml": b"<w:comments xmlns:w='x'/>", "docProps/core.xml": b"<x/>"},
        relationships={
            "word/document.xml": [("hyperlink", "https://example.com/", True), ("comments", "comments.xml", False)]
        },
        overrides={
            "word/comments.xml": W + "comments+xml",
            "docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
        },
    )
    assert disarm(content).removed == ()
    result = disarm(content, kept=frozenset())
    assert result.removed == ("comment", "hyperlink", "metadata")
    left = b"".join(parts(result.data).values())
    assert b"old" not in left
    assert b"example.com" not in left
    assert b"new" in left
    assert b"shown" in left


def chart(book: bytes) -> bytes:
    drawing = b'<c:chartSpace xmlns:c="c" xmlns:r="%s"><c:externalData r:id="rId1"/></c:chartSpace>' % REL.encode()
    return ooxml(
        "docx",
        {"word/charts/chart1.xml": drawing, "word/embeddings/book.xlsx": book},
        {
            "word/document.xml": [("chart", "charts/chart1.xml", False)],
            "word/charts/chart1.xml": [("package", "../embeddings/book.xlsx", False)],
        },
        {
            "word/charts/chart1.xml": "application/vnd.openxmlformats-officedocument.drawingml.chart+xml",
            "word/embeddings/book.xlsx": S + "sheet",
        },
        main=word_main(TEXT),
    )


def test_the_book_of_a_chart_stays_when_it_is_harmless() -> None:
    clean = chart(workbook("<c r='A1'><v>1</v></c>"))
    assert disarm(clean).data is clean
    changed = disarm(chart(THREATS["formula with DDE"][0]))
    assert changed.removed == ("dde",)
    inside = parts(changed.data)["word/embeddings/book.xlsx"]
    assert disarm(inside).data is inside
    dropped = disarm(chart(b"MZ program"))
    assert dropped.removed == ("embedded-object",)
    assert b"externalData" not in parts(dropped.data)["word/charts/chart1.xml"]


def xlsb(*more: tuple[str, str, bool]) -> bytes:
    return ooxml("xlsb", {"xl/worksheets/sheet1.bin": b"x"}, {"xl/workbook.bin": [("worksheet", "worksheets/sheet1.bin", False), *more]}, {"xl/worksheets/sheet1.bin": "application/vnd.ms-excel.worksheet"})  # fmt: skip


def test_a_binary_workbook_stays_or_is_refused() -> None:
    content = xlsb()
    assert disarm(content).data is content
    for bad in (
        ("externalLink", "externalLinks/externalLink1.bin", False),
        (MICROSOFT + "vbaProject", "vbaProject.bin", False),
    ):
        with pytest.raises(Refused, match="not-understood"):
            disarm(xlsb(bad))


BOMB = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (docx_doctype(), "bomb"),
        (ooxml("docx", main=BOMB), "bomb"),
        (ooxml("docx", main=BOMB.decode().encode("utf-16")), "bomb"),
        (ooxml("docx", main=b"<w:document>"), "damaged"),
        (zipped({"a.txt": b"x"}), "damaged"),
        (b"", "damaged"),
        (ooxml("docx", {"WORD/document.xml": b"<x/>"}, main=word_main(TEXT)), "ambiguous"),
        (word(TEXT)[:-40], "damaged"),
        (ooxml("docx", main=word_main(" " * (70 << 20))), "bomb"),
        (ooxml("docx", main=word_main("<w:p/>" * 2_000_000 + instruction("DDE x"))), "over-limit"),
    ],
    ids=["doctype", "entities", "entities in UTF-16", "unclosed", "no document", "empty", "two of a name", "cut", "zip bomb", "too large to change"],
)  # fmt: skip
def test_what_cannot_be_made_harmless_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        disarm(content)
    assert refusal.value.code == code
    assert code in REFUSALS


def test_a_large_part_without_anything_to_change_stays() -> None:
    content = word("<w:p/>" * 2_000_000)
    assert disarm(content).data is content


def test_data_beside_the_parts_is_removed() -> None:
    result = disarm(_with_comment(word("")))
    assert result.removed == ("trailing-data",)
    assert b"hidden hidden" not in result.data


def _with_comment(content: bytes) -> bytes:
    """The package with a comment behind its end."""
    comment = b"hidden hidden"
    return content[:-2] + len(comment).to_bytes(2, "little") + comment


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(THREATS)), st.data())
def test_changed_octets_give_a_document_or_a_refusal(what: str, data: st.DataObject) -> None:
    files = parts(THREATS[what][0])
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    files[name] = bytes(content)
    try:
        result = disarm(zipped(files), quota=DisarmQuota())
    except Refused as refusal:
        assert refusal.code in REFUSALS  # noqa: PT017
        return
    assert set(result.removed) <= REMOVED.keys()
    assert not olevba(result.data)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 5000), st.integers(0, 60))
def test_changed_archives_give_a_document_or_a_refusal(added: bytes, place: int, cut: int) -> None:
    content = THREATS["macros"][0]
    place %= len(content)
    try:
        disarm(content[:place] + added + content[place + cut :], kept=KEPT)
    except Refused as refusal:
        assert refusal.code in REFUSALS  # noqa: PT017
