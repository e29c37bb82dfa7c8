"""Structured values: the reading that we act on, and every other that some mail reader has."""

from __future__ import annotations

import japanese_corpus
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailguard.message import parameters, sections, words

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=12).map(str.encode)
QUOTABLE = st.text("abc XYZ;=()<>@,:\\\"/[]?.'%", max_size=30).map(str.encode)
VALUES = st.lists(
    st.sampled_from(
        [
            b"text/plain",
            b";",
            b"=",
            b'"',
            b"\\",
            b"(",
            b")",
            b" ",
            b"\t",
            b"\r\n ",
            b"\n ",
            b"\r",
            b"\x00",
            b"name",
            b"filename",
            b"boundary",
            b"*0",
            b"*1*",
            b"*",
            b"''",
            b"utf-8''",
            b"%41",
            b"=?utf-8?B?",
            b"YQ==",
            b"?=",
            b"\x1b$B",
            b"\x1b(B",
            b'F|"',
            b"\x95\\",
            b"\xff",
            b"a",
            b"x.exe",
            b"e\xcc\x81",
            b"*99999999",
            b"*-1",
            b"*\xb2",
            b",",
        ]
    ),
    max_size=40,
).map(b"".join)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" text/plain; charset=us-ascii", (b"text/plain", [(b"charset", b"us-ascii")], True)),
        (b"TEXT/Plain;Charset=UTF-8", (b"text/plain", [(b"charset", b"UTF-8")], True)),
        (b' a/b;\r\n\tname="x y"', (b"a/b", [(b"name", b"x y")], True)),
        (b'a/b; name="x\\"y\\\\z"', (b"a/b", [(b"name", b'x"y\\z')], True)),
        (b'attachment; filename=""', (b"attachment", [(b"filename", b"")], True)),
        (b"a/b;", (b"a/b", [], True)),
        (
            b'a/b; name="\x1b$B!"F|\\K\x1b(B.txt"; c=d',
            (b"a/b", [(b"name", b'\x1b$B!"F|\\K\x1b(B.txt'), (b"c", b"d")], True),
        ),
        (b'a/b; name="\x95\\.txt"', (b"a/b", [(b"name", b"\x95\\.txt")], True)),
        (b'a/b; name="\x95\\"', (b"a/b", [(b"name", b"\x95\\")], True)),
        (b"a/b; name=my file.txt; c=d", (b"a/b", [(b"name", b"my file.txt"), (b"c", b"d")], False)),
        (b"a/b; (x(y)z) name (c) = d", (b"a/b", [(b"name", b"d")], False)),
        (b'a/b; name="open', (b"a/b", [(b"name", b"open")], False)),
        (b'"a/b"; c=d', (b"a/b", [(b"c", b"d")], False)),
        (b"a / b; c = d", (b"a/b", [(b"c", b"d")], False)),
        (b"a/b c=d", (b"a/b", [(b"c", b"d")], False)),
        (b"", (b"", [], False)),
        (b";;", (b"", [], False)),
        (b"\xff", (b"\xff", [], False)),
    ],
)
def test_a_value_is_read_as_most_readers_do(value, expected):
    found = parameters.parse(value)
    assert (found.value, found.parameters, found.conforming) == expected


@given(value=TOKEN, pairs=st.lists(st.tuples(TOKEN, QUOTABLE), max_size=4))
def test_what_was_quoted_is_read_back(value, pairs):
    written = value
    for name, text in pairs:
        written += b"; " + name + b'="' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    found = parameters.parse(written)
    assert found.conforming
    assert found.value == value
    assert found.parameters == pairs


@given(value=st.binary(max_size=200) | VALUES)
@example(b'a/b; name*1\\="x"')
@example(b"a/b; name*=")
def test_no_value_is_too_broken_to_be_read(value):
    found = parameters.parse(value)
    assert found.value == found.value.lower()
    assert all(parameters.parse(value).get(name) == found.get(name) for name, _ in found.parameters)
    sections.are_regular(found.parameters)
    parameters.primary_names(found)
    names = parameters.names([value], [value])
    assert len(names) == len(set(names)) <= parameters.MAX_NAMES
    assert all(0 < len(name) <= parameters.MAX_NAME for name in names)
    boundaries = parameters.boundaries(value)
    assert len(boundaries) == len(set(boundaries))


@given(value=VALUES)
def test_the_boundary_that_we_use_is_among_those_that_are_checked(value):
    boundary = parameters.parse(value).get(b"boundary")
    assert boundary is None or boundary in parameters.boundaries(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"multipart/mixed; boundary=abc", [b"abc"]),
        (b'multipart/mixed; boundary="a b"', [b"a b"]),
        (b'multipart/mixed; type="text/html"; boundary="----=_x"; y=z', [b"----=_x"]),
        (b"multipart/mixed", []),
        (b'multipart/mixed; boundary="a "', [b"a ", b"a"]),
        (b"multipart/mixed; boundary=a b", [b"a", b"a b"]),
        (b"multipart/mixed; boundary=a; boundary=b", [b"a", b"b"]),
        (b'multipart/mixed; boundary="a\\b"', [b"ab", b"a\\b"]),
        (b'multipart/mixed; boundary*0="a"; boundary*1="b"', [b"ab"]),
        (b'multipart/mixed; boundary=x; boundary*0="a"; boundary*1="b"', [b"x", b"ab"]),
        (b"multipart/mixed; boundary*=us-ascii''a%62; boundary=x", [b"x", b"ab"]),
        (b'multipart/mixed; boundary="=?us-ascii?Q?a?="', [b"=?us-ascii?Q?a?=", b"a"]),
        (b"multipart/mixed; boundary='a'", [b"'a'", b"a"]),
        (b'text/plain; x="; boundary=a;"', [b"a"]),
    ],
)
def test_every_boundary_that_a_reader_could_take_is_found(value, expected):
    assert parameters.boundaries(value) == expected


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"x; filename*=utf-8''%E8%AB%8B%E6%B1%82.pdf; filename=\"fallback.pdf\"", "請求.pdf"),
        (b"x; filename*0*=utf-8''%E8%AB; filename*1*=%8B; filename*2=\".pdf\"", "請.pdf"),
        (b'x; filename="=?ISO-2022-JP?B?GyRCQEE1YRsoQg==?=.pdf"', "請求.pdf"),
        (b'x; filename="=?utf-8?B?6KuL?=\r\n =?utf-8?B?5rGC?= =?utf-8?Q?=2Epdf?="', "請求.pdf"),
        (b'x; filename="=?utf-8?B?6KuL5g==?= =?utf-8?B?sYIucGRm?="', "請求.pdf"),  # a character cut in two
        (b'x; filename="\x1b$B@A5a\x1b(B.pdf"', "請求.pdf"),
        (b'x; filename="\x1b$B-!\x1b(B.pdf"', "①.pdf"),
        (b'x; filename="\x1b(I6E\x1b(B.pdf"', "ｶﾅ.pdf"),
        (b'x; filename="\x90\xbf\x8b\x81\x95\\.pdf"', "請求表.pdf"),
        (b'x; filename="\xc0\xc1\xb5\xe1\xbd\xf1.pdf"', "請求書.pdf"),
        (b'x; filename="r\xe9sum\xe9.pdf"', "résumé.pdf"),
        (b'x; filename="a\\"b.pdf"', 'a"b.pdf'),
        (b"x; filename=my report.pdf", "my report.pdf"),
    ],
)
def test_the_first_name_is_the_one_that_was_meant(value, name):
    assert parameters.names([], [value])[0] == name


@pytest.mark.parametrize(
    ("content_type", "disposition", "expected"),
    [
        (b'a/b; name="a.txt"', b'attachment; filename="b.exe"', {"a.txt", "b.exe"}),
        (b"a/b", b"attachment; filename=a.txt; filename=b.exe", {"a.txt", "b.exe"}),
        (b"a/b; name=a.exe .txt", b"attachment", {"a.exe", "a.exe .txt"}),
        (b"a/b", b'attachment; filename="a.exe\0.txt"', {"a.exe", "a.exe.txt", "a.exe\0.txt"}),
        (b"a/b", b"attachment; filename*=utf-8''a.exe%0A.txt", {"a.exe", "a.exe.txt", "a.exe\n.txt"}),
        (b"a/b", b'attachment; filename*1=".exe"; filename*0="a"', {"a.exe", ".exea"}),
        (b"a/b", b'attachment; filename*0="a"; filename*1=".txt"; filename*1=".exe"', {"a.txt", "a.exe"}),
        (b"a/b", b'attachment; filename="a%2Eexe"', {"a%2Eexe", "a.exe"}),
        (b"a/b", b'attachment; filename="..\\..\\a.exe"', {"..\\..\\a.exe", "....a.exe"}),
        (b"a/b", b"attachment; filename=/tmp/a.exe", {"/tmp/a.exe"}),
        (b'a/b; x="; name=a.exe; "', b"inline", {"a.exe"}),
        (b"a/b; charset=x", b"inline", set()),
    ],
)
def test_every_name_that_a_reader_could_take_is_found(content_type, disposition, expected):
    names = set(parameters.names([content_type], [disposition]))
    assert expected <= names
    assert bool(names) == bool(expected)


@pytest.mark.parametrize("writers", japanese_corpus.NAME_WRITERS, ids=lambda writers: writers[1].__qualname__)
@pytest.mark.parametrize("name", japanese_corpus.NAMES)
def test_names_as_japanese_programs_write_them_are_read(name, writers):
    if not all(japanese_corpus._representable(name, writer) for writer in writers):
        writers = japanese_corpus.NAME_WRITERS[3]
    disposition = b"attachment" + writers[1](b"filename", name)
    content_type = b"application/pdf" + writers[0](b"name", name)
    assert parameters.parse(disposition).conforming
    assert sections.are_regular(parameters.parse(disposition).parameters)
    assert name in parameters.names([content_type], [])
    assert name in parameters.names([], [disposition])


def test_of_many_names_those_with_another_extension_stay():
    value = b"x" + b"".join(b"; filename=%d.txt" % number for number in range(200)) + b"; filename=last.exe"
    names = parameters.names([value], [b"y; filename=first.js"])
    assert len(names) == parameters.MAX_NAMES
    assert names[0] == "first.js"
    assert "last.exe" in names


def test_a_long_name_is_cut_in_its_middle():
    name = parameters.names([], [b'x; filename="' + b"a" * 3000 + b'.exe"'])[0]
    assert len(name) == parameters.MAX_NAME
    assert name.endswith("a.exe")


@pytest.mark.parametrize(
    "charset", [b"idna", b"punycode", b"unicode_escape", b"zlib", b"x-unknown", b"\xff", b"", b"utf-16", b"utf-7"]
)
def test_no_charset_that_a_sender_names_does_harm(charset):
    assert isinstance(words.decoded(b"a" * 1000 + b"\xff\\x", charset), str)


@given(raw=st.binary(max_size=60))
@example(b"=?utf-8?B?A?=")
@example(b"\x1b$B\xff\x1b$(Da")
def test_any_octets_have_a_text(raw):
    readings = words.texts(raw)
    assert readings
    assert not raw.isascii() or readings[-1] == raw.decode("ascii")


@given(text=st.text(max_size=40))
def test_encoded_words_are_read_back(text):
    assert words.encoded_words(japanese_corpus._word(text, "utf-8")) == text
    assert words.encoded_words(japanese_corpus._q_word(text)) == text


def test_text_without_encoded_words_has_none():
    assert words.encoded_words(b"a =? b ?= c") is None


def peak(call):
    """Return what a call gives, and the octets that were allocated at most meanwhile."""
    import tracemalloc

    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


REPEATED = [b"boundary=", b"; boundary=a", b";boundary='a' ", b'; boundary="=?us-ascii?Q?a?= "', b"; boundary*0*=''a"]


@pytest.mark.parametrize("count", [14, 200, 1000])
@pytest.mark.parametrize("piece", REPEATED)
@pytest.mark.parametrize("numbered", [False, True])
def test_a_boundary_that_stands_again_and_again_is_read_in_few_ways(piece, count, numbered):
    value = b"multipart/mixed; " + b"".join(piece + b"%d" % (number * numbered) for number in range(count))
    found, octets = peak(lambda: parameters.boundaries(value))
    assert 0 < len(found) <= parameters.MAX_BOUNDARIES
    assert len(found) == len(set(found))
    assert octets < 2 << 20


@pytest.mark.parametrize(
    "piece", [b"name=", b"; name=a", b";name='a' ", b'; name="=?us-ascii?Q?a?= "', b"; name*0*=''a"]
)
@pytest.mark.parametrize("tail", [b"", b"x" * 1000 + b".exe", "😀".encode() * 255 + b".exe"])
def test_names_that_end_alike_are_not_kept_each_with_its_end(piece, tail):
    found = parameters.names([b"a/b; " + piece * 200 + tail], [])
    assert sum(map(len, found)) <= 2 * 4096
    assert not tail or any(name.endswith(".exe") for name in found)
