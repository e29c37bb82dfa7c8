"""Items of Outlook: read as the message that they are, whatever is in their properties."""

from __future__ import annotations

import email
import email.policy
import io
import os
import random

import documents
import olefile
import pytest
from outlook_items import FROM, SENT, file, item, packed_rtf, stored_rtf, streams

from mailguard.formats import codes
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Disarmed, Options, Refused
from mailguard.formats.mail import disarm as mail
from mailguard.formats.rtf import compressed, wrapped
from mailguard.message import grammar
from mailguard.message.content import Content
from mailguard.message.tree import parse

COUNT = int(os.environ.get("MAILGUARD_MUTATIONS", "60"))
SUBJECT, BODY, RTF, HTML = 0x0037001F, 0x1000001F, 0x10090102, 0x10130102
JAPANESE = "表示名 ソース.txt"
LINE_ENDS = "a\r\nBcc: x@evil.example\r\n\r\nMZ"


def _member(content, names, options):
    found = detect(Content.of(content), names, "")
    if found.dangerous:
        return Disarmed(b"held", "text/plain", "txt", ("member-held",))
    return Disarmed(content, found.type, found.extension)


def disarmed(content):
    return mail.disarm(content, "application/vnd.ms-outlook", Options(member=_member))


def dangers(content):
    return detect(Content.of(content), ["a.msg"], "").dangerous


def message(content):
    data = disarmed(content).data
    assert grammar.check(parse(data)) == []
    assert data.isascii()
    return email.message_from_bytes(data, policy=email.policy.default)


def leaves(content):
    return [part for part in message(content).walk() if not part.is_multipart()]


def test_the_header_says_who_wrote_to_whom_and_when():
    values = {
        **FROM, **SENT, SUBJECT: "見積書(株)のABC様", 0x1035001F: "<1@example.com>", 0x1042001F: "<0@example.com> x"
    }  # fmt: skip
    people = ({0x0C150003: 1, 0x39FE001F: "b@example.com", 0x3001001F: '山田 "太郎"'}, {0x0C150003: 2, 0x3001001F: "C"})
    found = message(item(values, recipients=people))
    assert found["From"] == "A <a@example.com>"
    assert found["To"].addresses[0].addr_spec == "b@example.com"
    assert found["To"].addresses[0].display_name == '山田 "太郎"'
    assert found["Cc"].addresses[0].display_name == "C"
    assert found["Subject"] == "見積書(株)のABC様"
    assert (found["Message-ID"], found["In-Reply-To"]) == ("<1@example.com>", "<0@example.com>")
    assert found["Date"].datetime.year == 2026


@pytest.mark.parametrize("tag", [0x0C1A001F, 0x0C1F001F, SUBJECT, 0x1035001F, 0x3707001F, 0x370E001F, 0x3712001F])
def test_no_property_forms_a_line_of_the_message(tag):
    attached = file("a.txt", b"text") | ({tag: LINE_ENDS} if tag >> 24 == 0x37 else {})
    found = message(
        item(
            {**FROM, SUBJECT: "test", BODY: "x", **({} if tag >> 24 == 0x37 else {tag: LINE_ENDS})},
            attached=(attached,),
        )
    )
    assert found["Bcc"] is None
    assert [part.get_content_type() for part in found.walk()][:2] == ["multipart/mixed", "text/plain"]
    assert all(part["Bcc"] is None for part in found.walk())


@pytest.mark.parametrize(
    ("stated", "octets"),
    [
        ({0x3FFD0003: 932}, JAPANESE.encode("cp932")),
        ({0x3FDE0003: 50220}, JAPANESE.encode("cp932")),
        ({0x3FF10003: 0x411}, JAPANESE.encode("cp932")),
        ({0x3FFD0003: 65001}, JAPANESE.encode()),
        ({}, JAPANESE.encode("cp932")),
        ({}, JAPANESE.encode("iso2022_jp")),
    ],
)
def test_strings_of_octets_are_read_by_the_code_page_of_the_item(stated, octets):
    attached = {0x37050003: 1, 0x3707001E: octets, 0x37010102: b"text"}
    text, name = leaves(item({**FROM, **stated, 0x1000001E: octets}, attached=(attached,)))
    assert text.get_content() == JAPANESE
    assert name.get_filename() == JAPANESE


def test_page_and_text_are_alternatives_and_pictures_belong_to_the_page():
    page = "<p>見積<img src='cid:1@a'></p>".encode("cp932")
    picture = file("a.png", documents.png(), **{"3712001F": "1@a"})
    found = message(item({**FROM, BODY: "text", HTML: page, 0x3FDE0003: 932}, attached=(picture,)))
    kinds = [part.get_content_type() for part in found.walk()]
    assert kinds == ["multipart/related", "multipart/alternative", "text/plain", "text/html", "image/png"]
    assert "見積" in found.get_body(("html",)).get_content()


def test_an_attached_item_is_a_message_in_the_message():
    inner = streams({**FROM, SUBJECT: "inner", BODY: "x"}, attached=(file("a.exe", documents.EXE),), head=24)
    content = item(attached=({0x37050003: 5, 0x3701000D: inner},))
    assert [part["Subject"] for part in message(content).walk() if part["Subject"]] == ["test", "inner"]
    assert disarmed(content).removed == ("member-held", "repacked")
    assert dangers(content) == ("mail-executable",)


WRAPPED = (
    rb"{\rtf1\ansi\ansicpg932\fromhtml1 {\fonttbl{\f0\fcharset0 A;}{\f1\fcharset128 B;}}{\colortbl;}"
    rb"{\*\htmltag19 <html>}{\*\htmltag34 <meta charset=iso-2022-jp>}{\*\htmltag64 <p title=\'95\'5c>}\htmlrtf {\f1 gone\htmlrtf0 "
    rb"\f1\'95\'5c\'83\\ \'83A\htmlrtf\par }\htmlrtf0 {\*\htmltag84 &nbsp;}\htmlrtf \'a0\htmlrtf0 "
    rb"\u-10179?\u-8704?{\*\mhtmltag64 <p onclick=x>}\par {\*\htmltag72 </p>}}"
)


def test_html_that_rtf_wraps_is_the_page():
    assert wrapped.wrapped(WRAPPED) == "html"
    text = wrapped.unwrapped(WRAPPED, "html")
    assert text == "<html><meta charset=iso-2022-jp><p title=表>表ソ ア&nbsp;\U0001f600\r\n</p>"
    for stored in (stored_rtf(WRAPPED), packed_rtf(WRAPPED)):
        [page] = leaves(item({**FROM, RTF: stored}))
        assert "表ソ ア" in page.get_content()


def test_text_that_is_rtf_by_origin_is_attached():
    text, rtf = leaves(item({**FROM, BODY: "text", RTF: packed_rtf(documents.rtf())}))
    assert (text.get_content(), rtf.get_filename()) == ("text", "message.rtf")
    assert rtf.get_content() == documents.rtf()


def test_repetitions_of_compressed_rtf_are_written_out():
    # The example of [MS-OXRTFCP] 4.1.1.
    packed = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert compressed.decompressed(packed) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    with pytest.raises(Refused, match="damaged"):
        compressed.decompressed(packed[:12] + bytes(4) + packed[16:])


DANGEROUS = {
    "object": ({0x37050003: 6, 0x3701000D: {"\x01Ole10Native": b"x"}}, "embedded-object"),
    "file of a server": ({0x37050003: 2, 0x370D001F: "\\\\evil.example\\a\\b.docx"}, "share"),
    "file of this machine": ({0x37050003: 4, 0x3708001F: "C:\\Windows\\b.exe"}, "share"),
    "file of the web that is none": ({0x37050003: 7, 0x370D001F: "file://evil.example/a"}, "share"),
}


@pytest.mark.parametrize("name", DANGEROUS)
def test_what_no_message_holds_is_dangerous_and_goes(name):
    attached, code = DANGEROUS[name]
    content = item(attached=(attached,))
    assert code in disarmed(content).removed
    assert dangers(content)
    assert len(leaves(content)) == 1


def test_a_file_of_the_web_is_its_address():
    content = item(attached=({0x37050003: 7, 0x3707001F: "a.docx", 0x370D001F: "https://example.com/a"},))
    assert leaves(content)[1].get_content() == "https://example.com/a"
    assert dangers(content) == ()


@pytest.mark.parametrize(
    ("number", "value", "expected"),
    [
        (0x851F, {0x8000001F: "\\\\evil.example\\a.wav"}, ("remote-template",)),
        (0x851F, {0x8000001F: "reminder.wav"}, ()),
        (0x850F, {0x80000102: b"form"}, ("macro",)),
        (0x8541, {0x80000102: b"script"}, ("macro",)),
        (0x8560, {0x80000102: b"other"}, ()),
    ],
)
def test_properties_that_act_when_outlook_opens_the_item_are_dangerous(number, value, expected):
    assert dangers(item({**FROM, BODY: "x", **value}, (number,))) == expected


def test_the_other_form_of_the_text_is_judged_too():
    rtf = documents.rtf(documents.RTF_OBJECT).replace(b"\\ansi", b"\\ansi\\fromhtml1")
    assert dangers(item({**FROM, HTML: b"<p>x</p>", RTF: packed_rtf(rtf)})) == ("mail-embedded-object",)
    assert dangers(item({**FROM, HTML: b"<p>x<script>y</script></p>"})) == ("mail-html-active",)


@pytest.mark.parametrize("names", [{0x3707001F: "a.txt", 0x3704001F: "a.exe"}, {0x3707001F: "a", 0x3703001F: ".exe"}])
def test_the_most_dangerous_name_counts(names):
    content = item(attached=({0x37050003: 1, 0x37010102: b"text", **names},))
    assert dangers(content) == ("mail-executable",)
    assert not leaves(content)[1].get_filename().endswith(".exe")


@pytest.mark.parametrize("kind", ["IPM.Contact", "IPM.Task", "IPM.Appointment"])
def test_what_is_no_message_is_held_but_not_dangerous(kind):
    content = item({**FROM, 0x001A001F: kind})
    with pytest.raises(Refused, match="unknown-type"):
        disarmed(content)
    assert dangers(content) == ()


STRANGE = {
    "stream of no property": {"strange": b"x"},
    "no properties of an attachment": {"__attach_version1.0_#00000000/__substg1.0_37010102": b"x"},
    "cut properties": {"__properties_version1.0": bytes(40)},
    "object and file": {
        "__attach_version1.0_#00000000/__properties_version1.0": bytes(8),
        "__attach_version1.0_#00000000/__substg1.0_37010102": b"x",
        "__attach_version1.0_#00000000/__substg1.0_3701000D/a": b"x",
    },
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_not_understood_is_refused_and_dangerous(name):
    content = documents.ole({**streams(FROM), **STRANGE[name]}, mini=True)
    with pytest.raises(Refused):
        disarmed(content)
    assert dangers(content) == ("document-unreadable",)


def test_items_in_items_without_end_are_refused():
    inner = streams(FROM, head=24)
    for _ in range(12):
        inner = streams(FROM, attached=({0x3701000D: inner},), head=24)
    content = documents.ole({**inner, "__properties_version1.0": bytes(32)}, mini=True)
    with pytest.raises(Refused, match="over-limit"):
        disarmed(content)


def _mutated(luck, content):
    data = bytearray(content)
    for _ in range(luck.randint(1, 4)):
        place = luck.randrange(8, len(data))  # what is no compound file is another matter
        data[place] = luck.choice((0, 1, 0x1E, 0x1F, 0xFF, luck.randrange(256)))
    return bytes(data)


def _programs(content):
    """Streams of a compound file that begin as a program, as olefile reads them."""
    try:
        with olefile.OleFileIO(io.BytesIO(content)) as found:
            return [path for path in found.listdir() if found.openstream(path).read(2) == b"MZ"]
    except Exception:  # noqa: BLE001 (olefile raises anything)
        return []


def _outcome(content):
    """What becomes of an item: the code of the refusal, or what was taken out."""
    try:
        return set(disarmed(content).removed)
    except Refused as refused:
        return {refused.code}


def test_mutations_never_hide_a_program_and_never_make_the_two_disagree():
    luck = random.Random(2)
    inner = streams({**FROM, SUBJECT: "inner"}, attached=(file("a.bin", documents.EXE),), head=24)
    seeds = [
        item(attached=(file("a.bin", documents.EXE),)), item(attached=({0x37050003: 5, 0x3701000D: inner},)),
        item(), item({**FROM, RTF: packed_rtf(WRAPPED), SUBJECT: "x"}, attached=(file("a.txt", b"text"),)),
    ]  # fmt: skip
    harmless = 0
    for _ in range(COUNT * 5):
        content = _mutated(luck, luck.choice(seeds))
        found = detect(Content.of(content), ["a.msg"], "")
        if found.type != "application/vnd.ms-outlook" or found.dangerous:
            continue
        harmless += 1
        assert not {code for code in _outcome(content) if codes.danger(code)}, content.hex()
        assert "member-held" not in _outcome(content), content.hex()
        assert not _programs(content), content.hex()
    assert harmless > COUNT
