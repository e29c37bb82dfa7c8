"""Web pages: what acts goes, the text stays, and a clean page is the same bytes."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import hostile_pages
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard.formats.detect import detect
from mailguard.formats.disarmed import KEPT, Disarmed, Options, Refused
from mailguard.formats.html import css
from mailguard.formats.html import disarm as html
from mailguard.message.content import Content

_CLEAN = (
    b'<!DOCTYPE html>\r\n<html><head><meta charset="utf-8"><title>Report</title><style>p { color: red }</style></head>'
    b'<body bgcolor=white><p style="margin: 0 1em">Hello &amp; welcome, <a href="https://example.com/?a=1&amp;b=2">here</a>'
    b'<img src="cid:logo@example" alt="logo"><o:p></o:p><!-- note --></p></body></html>\r\n'
)


class _Reader(HTMLParser):
    """An independent reader: what would act, be fetched or be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "form", "input", "iframe", "svg", "math", "object", "base", "link", "template", "embed"}:
            self.found.append(tag)
        for name, value in attrs:
            target = "".join((value or "").split()).lower()
            remote = name in {"src", "srcset", "background", "style"} and ("//" in target or "expression" in target)
            if name.startswith("on") or remote or name == "download" or (name == "http-equiv" and target == "refresh"):
                self.found.append(name)
            if name == "href" and not target.startswith(("http", "mailto:", "tel:", "#")) and target:
                self.found.append(target)


def _read(data: bytes) -> _Reader:
    reader = _Reader()
    reader.feed(data.decode())
    reader.close()
    return reader


def _disarm(data: bytes, mime: str = "text/html", kept: frozenset[str] = KEPT) -> Disarmed:
    return html.disarm(data, mime, Options(kept))


def test_a_clean_page_comes_back_as_the_same_bytes():
    result = _disarm(_CLEAN)
    assert result.data is _CLEAN
    assert result.removed == ()


@pytest.mark.parametrize("threat", hostile_pages.THREATS.values(), ids=hostile_pages.THREATS)
def test_what_acts_is_gone_and_the_text_around_it_stays(threat):
    result = _disarm(hostile_pages.AROUND % threat)
    assert result.removed
    reader = _read(result.data)
    assert reader.found == []
    assert b"evil.example" not in result.data
    assert "before" in reader.text
    assert detect(Content.of(result.data), ["a.html"], "text/html").dangerous == ()
    again = _disarm(result.data)
    assert again.removed == ()
    assert again.data is result.data


@pytest.mark.parametrize(
    "markup",
    [
        b"<!--[if !mso]><!--><p>x</p><!--<![endif]-->",
        b"<!--[if gte mso 9]><xml><o:OfficeDocumentSettings><o:AllowPNG/></o:OfficeDocumentSettings></xml><![endif]-->",
        b'<!--[if gte mso 9]><xml><w:LatentStyles DefLockedState="false"></w:LatentStyles></xml><![endif]-->',
        b'<tr:ad name="copyright" /><computername><a href="http://example.com/" mreach_id="hyperlink2">x</a>',
        b'<img src="cid:a" align=middle order="0"><img src="/b.gif" width="1">',
        b'<hr size=1 width="80% noshade align="left"><a href="http://example.com/?a=1&brand=x">Subscription</a>',
        b'<td width="100%" height="1""><a href="http://example.com/?type=1&action=show">x</a></td>',
        b"<a href=http://example.com/?p=1=2>regular expressions and descriptions \\ more</font\n<p>x",
        b"<CHRIS@EXAMPLE.COM></i></b>wrote:<code1=x><!-- manage your subscription -->",
    ],
)
def test_what_office_and_newsletters_write_stays(markup):
    page = b"<html><body><p>before</p>" + markup + b"</body></html>"
    assert _disarm(page).data is page


def test_remote_pictures_and_links_follow_the_options():
    page = b'<p><img src="http://example.com/a.png"><a href="http://example.com/">x</a></p>'
    assert _disarm(page, kept=KEPT | {"remote_images"}).data is page
    assert _disarm(page).removed == ("remote-image",)
    assert b"href" not in _disarm(page, kept=frozenset()).data


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (b"+ADw-script+AD4-evil()+ADw-/script+AD4-", "text/html; charset=utf-7"),
        ("<script>evil()</script><p>x</p>".encode("utf-16-le"), "text/html; charset=utf-16"),
        ("\ufeff<script>evil()</script><p>x</p>".encode("utf-16-be"), "text/html"),
        (b"<p>\x1b$B<script>evil()</script>\x1b(B</p>", "text/html; charset=iso-2022-jp"),
        (b"<p>\xc0\xbcscript>evil()</p>", "text/html; charset=utf-8"),
        (b"<p>+ADw-script+AD4-evil()</p>", "text/html"),
    ],
)
def test_misleading_encodings_become_plain_utf_8(content, mime):
    result = _disarm(content, mime)
    assert result.removed
    assert _read(result.data).found == []
    assert result.data.startswith(b'<!DOCTYPE html>\n<html><head><meta charset="utf-8">')


def test_japanese_pages_in_their_own_encodings_stay_as_they_are():
    for charset in ("utf-8", "shift_jis", "euc-jp", "iso-2022-jp"):
        page = "<html><body><p>請求書を送ります。表示と能力</p></body></html>".encode(charset)
        assert _disarm(page, f"text/html; charset={charset}").data is page


def test_text_in_a_japanese_encoding_is_kept_when_something_goes():
    result = html.disarm_body("<p onclick=x>請求書</p>".encode("cp932"), "shift_jis", Options())
    assert "請求書" in result.data.decode("utf-8")


@pytest.mark.parametrize(
    "rules",
    [
        "p { color: red",
        "a{b:url(javascript:x)}",
        "@import url(x);",
        "a{}b{color:\\65 x}",
        "x{background:url('//h/a.png')}",
    ],
)
def test_style_sheets_keep_nothing_that_is_fetched_or_not_understood(rules):
    kept = css.sheet(rules, Options())
    assert kept != rules
    assert "url" not in kept
    assert css.sheet(kept, Options()) == kept


@pytest.mark.parametrize(
    "page",
    [
        b"<div onclick=x>" * 5_000,
        b"<b><i><font onclick=x>" * 1_000 + b"</b></i></font>" * 1_000,
        b"<p " + b" ".join(b"a%d=x" % number for number in range(1_000)) + b">",
    ],
)
def test_elements_without_end_are_refused(page):
    with pytest.raises(Refused, match="bomb"):
        _disarm(page)


def test_too_large_a_page_is_refused():
    with pytest.raises(Refused, match="over-limit"):
        _disarm(b"a" * ((16 << 20) + 1))


_PIECES = st.sampled_from(
    [b"<", b">", b'"', b"'", b"=", b" ", b"/", b"<!--", b"-->", b"<style>", b"</style>", b"url(", b"<p", b"<img src", b"on", b"x",
     b"<script", b"&#106;", b"\x00", b"\x1b$B", b"\xff\xfe", b"{", b"}", b";", b"/*", b"*/", b"<title>", b"<![if x]>", b"\\"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(_PIECES, max_size=60).map(b"".join))
def test_any_page_is_refused_or_harmless_and_made_only_once(page):
    result = _disarm(page)
    assert _disarm(page).data == result.data
    if result.removed:
        assert _read(result.data).found == []


_RULES = st.sampled_from(
    [
        "a",
        "{",
        "}",
        ":",
        ";",
        "color",
        "red",
        "url(",
        ")",
        "'",
        '"',
        "\\",
        "/*",
        "*/",
        "@import",
        "@media",
        "//h/a.png",
        "<",
        "var(",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_RULES, max_size=30).map("".join))
def test_any_style_sheet_is_made_harmless_once(rules):
    kept = css.sheet(rules, Options())
    bare = re.sub(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'", "", kept)
    assert "@import" not in bare
    assert not re.search(r"url\([^)]*//", bare)
    assert css.sheet(kept, Options()) == kept
    assert css.declarations(css.declarations(rules, Options()), Options()) == css.declarations(rules, Options())
