"""What acts for other readers is dangerous for ours: html5lib, Chromium; and look, disarm and spelling agree."""

from __future__ import annotations

import shutil

import hostile_pages
import pytest
from detectors.chromium import Watcher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_reader import acts
from specimens import specimens

from mailguard.formats.budget import Quota, Unreadable
from mailguard.formats.codes import danger
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Options, Refused
from mailguard.formats.html import charset, page, spelling
from mailguard.formats.html.disarm import disarm_body
from mailguard.formats.html.look import examine_html
from mailguard.message.content import Content

_XHTML, _SVG = "http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"
_ELEMENTS = {"script", "iframe", "frame", "object", "embed", "applet", "form", "input", "button", "refresh"}
_FILES = {name: one for (family, name), one in (specimens("acts") | specimens("ordinary")).items() if family == "html"}
_PIECE = st.sampled_from(
    [
        f'<_:script xmlns:_="{_SVG}">evil()</_:script>', f'<a-b:script xmlns:a-b="{_XHTML}">evil()</a-b:script>',
        f'<script xmlns="{_XHTML}">evil()</script>', "<script>evil()</script>", "<img src=x onerror=evil()>",
        f'<img xmlns="{_XHTML}" src="x" onerror="evil()"/>', ' onload="evil()" ', " onload = evil() ", " onload=&#101;vil() ",
        "<svg onload=evil()>", "<svg/onload=evil()>", "<body onload=evil()>", "<iframe srcdoc='<script>parent.evil()</script>'>",
        "<!--", "-->", "--!>", "<!-->", "<![CDATA[", "]]>", "<style>", "</style>", "<title>", "</title>", "<xmp>", "</xmp>",
        "<svg>", "</svg>", "<math>", "<template>", "<noscript>", "</noscript>", "<select>", "<textarea>", "</textarea>",
        "<table>", "<p title='", '<p title="', "'", '"', ">", "<", "/", "=", "&", "&#60;", "&lt;", "\0", "\t", "\x0b", "\x1b$B",
        "\x1b(B", "+ADw-", "<?x ?>", "<!x>", "<a href='", "<!DOCTYPE x>", "</", "<plaintext>", "<noembed>", "<noframes>",
    ]
)  # fmt: skip
_CHANGES = st.lists(st.tuples(st.integers(0, 5_000), _PIECE, st.integers(0, 3)), min_size=1, max_size=4)


def changed(content, changes):
    for somewhere, piece, length in changes:
        position = somewhere % (len(content) + 1)
        content = content[:position] + piece.encode() + content[position + length :]
    return content


def dangers(content, name):
    return detect(Content.of(content), [name], "").dangerous


@settings(max_examples=300, deadline=None)
@given(hostile_pages.pages() | st.builds(changed, st.sampled_from([one.content for one in _FILES.values()]), _CHANGES))
def test_what_acts_is_spelt_out_somewhere(content):
    reading = charset.read(content)
    for text in (reading.text, *charset.others(content, reading), *charset.hidden(content, reading)):
        try:
            found = {code for code in page.objections(text, Options()) if danger(code)}
        except Refused:
            continue
        assert not found or spelling.acts(text)


@settings(max_examples=300, deadline=None)
@given(
    hostile_pages.pages() | st.builds(changed, st.sampled_from([one.content for one in _FILES.values()]), _CHANGES),
    st.sampled_from(["", "utf-8", "shift_jis", "iso-2022-jp", "utf-7"]),
)
def test_look_and_disarm_agree_about_any_page(content, declared):
    try:
        removed = disarm_body(content, declared, Options()).removed
    except Refused:
        return
    try:
        found = set(examine_html(Content.of(content), (), Quota()))
    except Unreadable:
        found = {"document-unreadable"}
    assert removed or not found
    assert found or not any(map(danger, removed))


@settings(max_examples=150, deadline=None)
@given(hostile_pages.pages() | st.builds(changed, st.just(b"<html><body><p>x</p></body></html>"), _CHANGES))
def test_what_html5lib_sees_acting_is_dangerous(content):
    seen = acts(content)
    if seen & _ELEMENTS or any(what.startswith(("on", "href=javascript")) for what in seen):
        assert dangers(content, "a.html")


@pytest.fixture(scope="module")
def watcher():
    if not shutil.which("chromium"):
        pytest.skip("not installed: chromium")
    with Watcher() as started:
        yield started


def ran(watcher, content, name):
    extension = name.rpartition(".")[2]
    found, _ = watcher.look(content, extension)
    return bool({"a script ran", "refresh"} & set(found))


_OPENED = ("html", "xhtml", "svg", "xml")


def test_no_file_runs_anything_in_chromium_that_is_not_dangerous(watcher):
    opened = {name: one for name, one in _FILES.items() if one.file_name.endswith(_OPENED)}
    running = {name for name, one in opened.items() if ran(watcher, one.content, one.file_name)}
    assert len(running) > 20
    assert {name for name in running if not dangers(opened[name].content, opened[name].file_name)} == set()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([one for one in _FILES.values() if one.file_name.endswith(_OPENED)]), _CHANGES)
def test_no_changed_file_runs_anything_in_chromium_that_is_not_dangerous(watcher, one, changes):
    content = changed(one.content, changes)
    if not dangers(content, one.file_name):
        assert not ran(watcher, content, one.file_name)
