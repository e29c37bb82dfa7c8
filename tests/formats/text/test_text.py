"""Text stays, formulas that start programs become text, scripts are refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mails import TEXT, attachment, mixed
from tables import CELLS, OUTSIDE, READINGS, WIDE
from verbs import output, parts, rules, site

from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Options, Refused
from mailguard.formats.text import disarm as text
from mailguard.message.content import Content
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import load


def _disarm(content, mime="text/csv"):
    return text.disarm(content, mime, Options())


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\r\n1,-5\r\n+81-3-1234,=1+2\r\n",
        b'="00123",=SUM(A1:A5)',
        b"- item (x), @name",
        b"-1.5e-05,+2E10\r\n" * 300_000,
        "名前,金額\n山田,100\n".encode("cp932"),
    ],
)
def test_ordinary_tables_stay_as_they_are(content):
    assert _disarm(content).data is content


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_calls_of_programs_become_text(cell):
    content = b"a," + cell + b",c\n"
    assert "dde" in detect(Content.of(content), ["a.csv"], "text/csv").dangerous
    result = _disarm(content)
    assert result.removed == ("formula",)
    assert result.data.startswith(b"a,")
    assert detect(Content.of(result.data), ["a.csv"], "text/csv").dangerous == ()
    assert _disarm(result.data).data is result.data


@pytest.mark.parametrize("content", READINGS.values(), ids=READINGS)
def test_calls_are_found_in_every_way_of_reading_a_table(content):
    assert {"dde", "formula"}.intersection(detect(Content.of(content), ["a.csv"], "text/csv").dangerous)
    result = _disarm(content)
    assert result.removed == ("formula",)
    assert result.data.count(b"(formula) ") == 1
    assert result.data.replace(b"(formula) ", b"") == content
    assert _disarm(result.data).data is result.data


def test_a_table_that_chooses_an_odd_separator_is_refused():
    with pytest.raises(Refused, match="ambiguous"):
        _disarm(b"sep=x\r\naxcx=cmd|'/c calc'!A0x")


def test_plain_text_with_the_name_of_a_table_is_read_as_one():
    content = b"=cmd|'/c calc'!A0"
    assert text.disarm(content, "text/plain", Options(names=("a.txt",))).data is content
    assert text.disarm(content, "text/plain", Options(names=("a.DIF",))).removed == ("formula",)


@pytest.mark.parametrize("content", [b"=," * 2_000_000, b"=(," * 1_000_000, b"-a(," * 1_000_000])
def test_too_many_formulas_are_refused(content):
    with pytest.raises(Refused, match="over-limit"):
        _disarm(content)


@pytest.mark.parametrize("cell", OUTSIDE.values(), ids=OUTSIDE)
def test_formulas_that_reach_out_become_text(cell):
    assert detect(Content.of(cell), ["a.csv"], "text/csv").dangerous == ("formula",)
    assert _disarm(cell).data == b"(formula) " + cell


def test_a_formula_far_behind_the_begin_of_a_table_is_found():
    for rows in range(0, 300_000, 37_123):
        content = "x;\r\n".encode("utf-16-le") * (rows // 8) + "\uff1dcmd|'/c calc'!A1\r\n".encode("utf-16-le")
        assert detect(Content.of(b"\xff\xfe" + content), ["a.csv"], "text/csv").dangerous == ("dde",)


def test_utf_16_tables_are_read_as_such():
    assert detect(Content.of(WIDE), ["a.csv"], "text/csv").dangerous == ("dde",)
    result = _disarm(WIDE)
    assert result.data.decode("utf-16") == "a\t(formula) =cmd|'/c calc'!A1"


@pytest.mark.parametrize("content", [b"#!/bin/sh\nrm -rf /", b"[InternetShortcut]\nURL=file:x", b"a\0b"])
def test_scripts_and_binaries_are_refused(content):
    with pytest.raises(Refused, match="unknown-type" if b"\0" in content else "not-understood"):
        _disarm(content, "text/plain")


def test_a_page_under_the_label_of_text_is_refused():
    with pytest.raises(Refused, match="ambiguous"):
        _disarm(b"<html><script>x</script>", "text/plain")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"=", b"+", b"cmd|'", b"'!A", b",", b'"', b"\n", b"(", b")", b"x", b"SUM", b"\0", b"\xff\xfe"]
        ),
        max_size=40,
    ).map(b"".join)
)
@example(b"+\"cmd|''!A")
def test_detection_and_sanitizing_agree_about_any_table(content):
    dangerous = detect(Content.of(content), ["a.csv"], "text/csv").dangerous
    try:
        result = _disarm(content)
    except Refused:
        return
    assert bool(dangerous) == bool(result.removed)
    assert detect(Content.of(result.data), ["a.csv"], "text/csv").dangerous == ()


def delivered(content, name, mime=b"text/plain"):
    """The name and the content of the one attachment that sanitize delivers; None where it is held."""
    found = sanitize(mixed(TEXT, attachment(content, name, mime)), rules(), lambda: load(None), site(), Sandbox)
    if found.attachments[0]["action"] == "held":
        return None
    return next((part[1], part[2]) for part in parts(output(found)) if part[1].startswith("a"))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (b"a.wsb", "a.txt"),
        (b"a.ovpn", "a.txt"),
        (b"a.unheard-of", "a.txt"),
        (b"a.b64", "a.txt"),
        (b"a.txt.osd", "a.txt"),
        (b"a.log", "a.log"),
        (b"a.patch", "a.patch"),
        (b"a", "a"),
    ],
)
def test_text_has_a_name_of_text(name, wanted):
    assert delivered(b"remote example.com 1194\n", name) == (wanted, b"remote example.com 1194\n")


@pytest.mark.parametrize(
    ("content", "name", "mime"),
    [
        (b'<?xml version="1.0"?>\n<Invoice xmlns="urn:x"><ID>1</ID></Invoice>\n', b"a.xml", b"application/xml"),
        (b'<?xml version="1.0"?>\n<Invoice xmlns="urn:x"><ID>1</ID></Invoice>\n', b"a.xml", b"text/xml"),
        (b'{"id": 1, "name": "\xe8\xab\x8b\xe6\xb1\x82\xe6\x9b\xb8"}\n', b"a.json", b"application/json"),
        (b'<invoice version="1"><id>1</id></invoice>\n', b"a.xml", b"application/octet-stream"),
    ],
)
def test_data_is_delivered_as_it_came(content, name, mime):
    assert delivered(content, name, mime) == (name.decode(), content)


def test_xml_that_acts_is_held():
    script = b'<?xml version="1.0"?>\n<a><x:script xmlns:x="http://www.w3.org/1999/xhtml">evil()</x:script></a>\n'
    assert delivered(script, b"a.xml", b"application/xml") is None
    assert delivered(b'<?xml version="1.0"?>\n<?xml-stylesheet href="a.xsl"?><a/>\n', b"a.xml", b"text/xml") is None
    assert delivered(b'<?xml version="1.0"?>\n<a>\n', b"a.xml", b"text/xml") is None
