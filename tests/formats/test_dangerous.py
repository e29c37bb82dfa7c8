"""The dangerous class: every code is explained, known to the samples, and does not depend on luck."""

from __future__ import annotations

import zipfile

import documents
import pytest

from mailguard.formats import extensions
from mailguard.formats.dangers import CODES, PREFIXES, explain, prefixed
from mailguard.formats.detect import detect
from mailguard.message.content import Content


def codes(data: bytes, *given_names: str) -> tuple[str, ...]:
    return detect(Content.of(data), given_names, "").dangerous


def test_every_code_is_explained_in_two_languages() -> None:
    for code, (japanese, english) in CODES.items():
        assert explain(code, "ja") == japanese
        assert explain(code, "en") == english
        assert not japanese.isascii()
        assert english.isascii()
        assert english.endswith(".")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_code_inside_something_is_explained(prefix: str) -> None:
    for code in CODES:
        assert explain(prefixed(prefix, code), "en").endswith(CODES[code][1])


def test_an_unknown_code_is_shown_as_it_is() -> None:
    assert explain("new-code", "ja") == "new-code"


def test_every_code_of_the_samples_and_of_names_is_in_the_table() -> None:
    found = {code for _, wanted in documents.dangerous().values() for code in wanted}
    found |= set(extensions._CODES.values()) | set(extensions._DECLARED.values())
    assert {code for code in found if explain(code, "en") == code} == set()


def test_the_samples_show_every_code() -> None:
    shown = {code for _, wanted in documents.dangerous().values() for code in wanted}
    assert set(CODES) - shown == {"formula"}  # a text is a table by its name alone: see test_text


def test_a_danger_inside_two_archives_is_called_after_the_outer() -> None:
    inner = documents.zipped({"a.txt": b"x", "b.msg": documents.msg("c.docm", documents.docm())})
    assert codes(documents.gz(inner)) == ("archive-macro",)


def test_a_macro_in_a_workbook_of_a_chart_is_found() -> None:
    chart = documents.ooxml("pptx", {"ppt/embeddings/book.xlsx": documents.docm()})
    assert codes(chart) == ("macro",)


def test_the_main_part_may_stand_anywhere_in_a_package() -> None:
    declared = documents._MAIN["docx"][1]
    data = documents.ooxml(
        "docx",
        {"xl/worksheets/x.xml": documents.word_main(documents.instruction("DDEAUTO calc"))},
        overrides={"xl/worksheets/x.xml": declared},
    )
    assert codes(data) == ("dde",)


def test_xml_under_the_name_of_a_picture_is_read_as_what_its_type_says() -> None:
    field = documents.word_main(documents.instruction("DDEAUTO calc"))
    overrides = {"word/a.png": documents._MAIN["docx"][1]}
    assert codes(documents.ooxml("docx", {"word/a.png": field}, overrides=overrides)) == ("dde",)
    assert codes(documents.ooxml("docx", {"word/a.png": documents.EXE}, overrides=overrides)) == (
        "document-unreadable",
    )


@pytest.mark.parametrize(
    "target",
    [
        "http://evil/t.dotm",
        "HTTPS://evil/t",
        "file://server/t.dotm",
        "file:////server/t",
        "\\\\server\\t.dotm",
        "//server/t",
        "mhtml:http://x!y",
    ],
)
def test_a_template_on_another_machine_is_remote(target: str) -> None:
    assert codes(documents.docx_remote_template(target)) == ("remote-template",)


@pytest.mark.parametrize("target", ["file:///C:/Templates/a.dotx", "Normal.dotm", "../a.dotx"])
def test_a_local_template_is_not_remote(target: str) -> None:
    assert codes(documents.docx_remote_template(target)) == ()


@pytest.mark.parametrize(
    "text", ["The DDE insecticide", "a table of contents, DDEAUTO explained", "IF x = DDEX", "SEQ DDEAUTHOR"]
)
def test_text_about_dde_is_no_field(text: str) -> None:
    assert codes(documents.docx(text)) == ()


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_members_are_examined_down_to_the_third_archive(depth: int) -> None:
    data = documents.nested_zip(depth, ("a.txt", documents.EXE))
    assert codes(data) == (("archive-executable",) if depth <= 3 else ("archive-deep",))


def test_a_document_in_the_third_archive_is_still_read() -> None:
    assert codes(documents.nested_zip(3, ("a.docx", documents.docx_dde()))) == ("archive-dde",)


def test_the_quota_counts_all_members_together() -> None:
    inner = documents.zipped({f"{number}.txt": b"" for number in range(300)})
    outer = documents.zipped({f"{number}.zip": inner for number in range(4)})
    assert "archive-large" in codes(outer)


@pytest.mark.parametrize("end", [b"\r\n", bytes(40)])
def test_a_little_padding_behind_a_zip_does_no_harm(end: bytes) -> None:
    assert codes(documents.zipped({"a.txt": b"x"}) + end) == ()


@pytest.mark.parametrize("offset", [26, 28])
def test_local_lengths_that_disagree_are_unreadable(offset: int) -> None:
    data = bytearray(documents.zipped({"a.txt": b"text"}, zipfile.ZIP_STORED))
    data[offset] += 1
    assert codes(bytes(data)) == ("archive-unreadable",)


def test_a_program_in_front_of_a_zip_is_a_program() -> None:
    assert codes(documents.EXE + documents.zipped({"a.txt": b"x"})) == ("executable",)


def test_an_archive_of_stored_archives_and_pdfs_is_no_polyglot() -> None:
    inner = documents.zipped({"a.pdf": documents.pdf()}, zipfile.ZIP_STORED)
    assert codes(documents.zipped({"a.zip": inner, "b.pdf": documents.pdf()}, zipfile.ZIP_STORED)) == ()
    assert codes(documents.tar("a.zip", inner)) == ()
    assert codes(documents.tnef("a.zip", inner, "a.zip")) == ()
    assert codes(documents.msg("a.zip", inner)) == ()


def test_encrypted_members_still_show_their_names() -> None:
    assert codes(documents.zip_encrypted("invoice.js")) == ("archive-script", "encrypted-archive")


@pytest.mark.parametrize("extension", ["csv", "tsv"])
def test_a_formula_that_starts_a_program_is_found_in_a_table(extension: str) -> None:
    assert codes(documents.CSV_DDE, f"a.{extension}") == ("dde",)
    assert codes(documents.CSV, f"a.{extension}") == ()


def test_a_message_in_an_archive_is_examined() -> None:
    data = documents.zipped({"a.eml": documents.eml_with("a.pdf", documents.pdf(b"/S /JavaScript"))})
    assert codes(data) == ("archive-pdf-active",)


def test_a_calendar_link_is_no_attachment() -> None:
    assert codes(documents.ICS % documents.ICS_LINK, "a.ics") == ()
    assert codes(documents.ICS % b"ATTACH:CID:part1@example.com\r\n") == ("calendar-attachment",)
    assert codes(documents.ICS % b"ATTACH:data:text/html;base64,AAAA\r\n") == ("calendar-attachment",)


@pytest.mark.parametrize("data", [documents.odt(), documents.xls_linked()])
def test_old_sheets_without_macros_are_no_danger(data: bytes) -> None:
    assert codes(data) == ()


def test_a_pattern_over_the_edge_of_a_piece_is_found() -> None:
    for shift in range(0, 40, 3):
        padding = b"x" * ((1 << 20) - 20 + shift)
        assert codes(b"<html>" + padding + b"<script src='https://evil.example'>") == ("html-active",)
        assert codes(b"%PDF-1.7\n" + padding + b" << /S /JavaScript >> ") == ("document-unreadable",)


def test_a_document_with_many_small_streams_is_readable() -> None:
    streams = {f"s{number}": bytes(3000) for number in range(9)}
    data = documents.ole({**documents.word_streams(), **streams}, mini=True)
    assert codes(data) == ()


def test_a_dde_formula_in_a_sheet_of_xml_is_found() -> None:
    start = (
        b'<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n'
        b'<Workbook xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet"><Cell ss:Formula="='
    )
    for bar in (b"|", b"&#124;", b"&#x7c;"):
        assert codes(start + b"cmd" + bar + b"'/c calc'!A1\"/></Workbook>") == ("dde",)
    assert codes(start + b'A1+A2"/><Data>a|b</Data></Workbook>') == ()
