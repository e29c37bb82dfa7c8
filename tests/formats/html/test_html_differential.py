"""Pages as independent readers see them: in what `sanitize` keeps, and in what it writes, nothing acts."""

from __future__ import annotations

import hostile_pages
import pytest
import tinycss2
from hypothesis import given, settings
from hypothesis import strategies as st
from page_reader import acts, styled

from mailguard.formats.calendar import disarm as calendar
from mailguard.formats.disarmed import Options, Refused
from mailguard.formats.html import css
from mailguard.formats.html import disarm as html
from mailguard.formats.html.disarm import disarm_body
from mailguard.formats.svg import disarm as svg


@pytest.mark.parametrize(("page", "declared"), hostile_pages.PAGES.values(), ids=hostile_pages.PAGES)
def test_what_a_browser_sees_and_another_reader_does_not_is_gone(page, declared):
    assert acts(page, declared or None)
    result = disarm_body(page, declared, Options())
    assert result.removed
    assert acts(result.data, "utf-8") == set()


@pytest.mark.parametrize("link", hostile_pages.LINKS.values(), ids=hostile_pages.LINKS)
def test_a_mark_of_word_has_nothing_but_its_address(link):
    assert disarm_body(link, "", Options()).removed in {("handler",), ("share",)}
    page = b'<html><head><link rel=File-List href="a_files/filelist.xml"></head></html>'
    assert disarm_body(page, "", Options()).data is page


def test_a_style_by_another_name_in_xhtml_is_gone():
    page = (
        b'<html xmlns="http://www.w3.org/1999/xhtml" xmlns:o="http://www.w3.org/1999/xhtml"><body>'
        b"<o:style>@import 'http://evil.example/';</o:style></body></html>"
    )
    result = html.disarm(page, "application/xhtml+xml", Options())
    assert result.removed == ("unknown-part",)
    assert b"<o:style" not in result.data


def test_references_in_a_style_sheet_are_read_as_xhtml_does():
    page = b'<style>a{content:"&#34;;background:url(//evil.example/x.png);quotes:&#34;"}</style>'
    assert disarm_body(page, "", Options()).removed == ("share",)


@pytest.mark.parametrize(
    "rules",
    [
        "/* don't */ a { color: red }",
        "a:before { content: '\u2192' } /* x */",
        '@media screen and (max-width: 600px) { a[title="x"] { color: red } }',
    ],
)
def test_ordinary_comments_and_strings_stay(rules):
    assert css.sheet(rules, Options()) == rules


def test_a_page_in_shift_jis_stays_whatever_else_it_could_be():
    page = (
        '<meta charset=shift_jis><style>p{font-family:"ＭＳ ゴシック"}</style>'
        "<p style=\"font-family:'ソフト'\" title=ポ>表示ソフト</p>"
    ).encode("cp932")
    assert disarm_body(page, "shift_jis", Options()).data is page


@settings(max_examples=300, deadline=None)
@given(hostile_pages.pages(), st.sampled_from(["", "", "utf-8", "shift_jis", "iso-2022-jp", "gb18030"]))
def test_no_reader_sees_anything_act_in_any_page(page, declared):
    try:
        result = disarm_body(page, declared, Options())
    except Refused:
        return
    if result.removed:
        assert acts(result.data, "utf-8") == set()
    else:
        assert acts(page, declared or None) == set()


@settings(max_examples=500, deadline=None)
@given(hostile_pages.rules)
def test_no_reader_sees_anything_act_in_any_style(rules):
    assert list(styled(tinycss2.parse_stylesheet(css.sheet(rules, Options())))) == []
    assert list(styled(tinycss2.parse_blocks_contents(css.declarations(rules, Options())))) == []


def test_marks_of_a_comment_in_the_strings_of_a_drawing_hide_nothing():
    rules = 'a{font-family:"/*"} b{fill:url(//evil.example/x)} c{font-family:"*/"}'
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg"><style>{rules}</style><rect/></svg>'.encode()
    result = svg.disarm(drawing, "image/svg+xml", Options())
    assert result.removed == ("share", "style")
    assert b"evil.example" not in result.data


def test_a_description_of_an_event_is_read_with_its_backslashes_and_without():
    page = "<p style=\"quotes:'%s'\\;background:url(//evil.example/x.png)\\;quotes:'\">x</p>"
    for before in ("", "\\", "\\\\"):
        line = f"X-ALT-DESC;FMTTYPE=text/html:{page % before}"
        event = f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:x\r\n{line}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        result = calendar.disarm(event.encode(), "text/calendar", Options())
        assert result.removed == ("active-content",)
        assert b"evil.example" not in result.data


@pytest.mark.parametrize(
    "page",
    [
        b'<!--[if mso]><img alt="<![endif]-->" src=//evil.example/x.png><![endif]-->',
        b'<!--[if mso]><img alt="><![endif]-->" src=//evil.example/x.png><![endif]-->',
        b"<!--[if mso]><img alt=x <![endif]--> src=//evil.example/x.png><![endif]-->",
    ],
)
def test_a_tag_that_begins_in_what_word_alone_reads_ends_there(page):
    result = disarm_body(page, "", Options())
    assert "ambiguous-markup" in result.removed
    assert b"<img" not in result.data
