"""The message as byte ranges: total, without gaps, linear, and nothing is copied or changed that nobody edits."""

from __future__ import annotations

import base64
import email
import email.policy
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from message_generators import anything, conforming
from paths import SUITES

from mailguard.message import encoding, header, tree
from mailguard.message.content import Base64Content, Content
from mailguard.message.grammar import check
from mailguard.message.plain import is_plain
from mailguard.message.splice import Splice, apply
from mailguard.message.tree import parse

SUITE_FILES = sorted(path for path in (SUITES / "mime").rglob("*") if path.is_file())
few = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


# Tree


def assert_covered(message):
    """Every octet belongs to the header, the body or the delimiters of exactly one part."""
    raw = message.raw
    assert message.root.start == message.start
    assert message.root.end == len(raw)
    for part in message.parts():
        stop = len(part.message.raw)
        assert 0 <= part.start <= part.body <= part.end <= stop
        position = part.start
        for field in part.fields:
            assert field.start == position
            assert field.end > field.start
            position = field.end
        assert position <= part.body
        if message.limit is None:
            assert part.message.raw[position : part.body].strip(b"\r\n") == b""
        position = part.body
        for child in part.children:
            assert child.parent is part
            # The line end of a last field stays with it, also when a delimiter follows that claims it.
            assert position <= child.start <= child.end <= part.end + (child.body == child.end) * 2
            position = child.end
        assert part.delimiters == sorted(set(part.delimiters))
        if message.limit is None and part.is_multipart:
            assert len(part.delimiters) == len(part.children) + part.closed


@few
@given(anything())
def test_every_bytes_value_parses_and_no_octet_is_lost(raw):
    assert_covered(parse(raw))


@few
@given(st.binary(max_size=200))
def test_header_fields_cover_the_header_without_gaps(raw):
    end, body = header.end(raw, 0, len(raw))
    assert b"".join(field.bytes for field in header.fields(raw, 0, end)) == raw[:end]
    assert raw[end:body] in {b"", b"\n", b"\r\n"}


@few
@given(conforming())
def test_the_parts_are_those_that_the_standard_library_sees(made):
    message = parse(made.raw)
    theirs = list(email.message_from_bytes(made.raw, policy=email.policy.compat32).walk())
    ours = [part for part in message.parts() if not (part.container and not part.parent)]
    if any(part.embedded for part in message.parts()):
        return  # the library does not decode nested messages
    assert [part.content_type.decode() for part in ours] == [part.get_content_type() for part in theirs]


@few
@given(conforming())
def test_every_leaf_holds_what_was_put_into_it(made):
    leaves = [part for part in parse(made.raw).parts() if not part.children and not part.embedded]
    found = [(part.content_type.decode(), part.content().whole()) for part in leaves]
    assert [kind for kind, _ in found] == [kind for kind, _ in made.leaves]
    for (kind, content), (_, put) in zip(found, made.leaves, strict=True):
        # A line end before a delimiter belongs to the delimiter, and quoted-printable ends its last line softly.
        assert content.replace(b"\r\n", b"\n").rstrip(b"\n") == put.replace(b"\r\n", b"\n").rstrip(b"\n"), kind


@pytest.mark.skipif(not SUITE_FILES, reason="the published MIME suites are not here: set MAILGUARD_SUITES")
def test_every_published_message_is_covered():
    for path in SUITE_FILES:
        assert_covered(parse(path.read_bytes()))


def test_an_outer_delimiter_ends_the_inner_parts():
    raw = (
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n"
        b"--b\n\none\n--a\n\ntwo\n--a--\n"
    )
    root = parse(raw).root
    inner, two = root.children
    assert not inner.closed
    assert root.closed
    assert raw[inner.children[0].body : inner.children[0].end] == b"one"
    assert raw[two.body : two.end] == b"two"


def test_part_numbers_are_those_of_imap():
    raw = (
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\n\ntext\n--a\nContent-Type: message/rfc822\n\n"
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n--a\nContent-Type: message/rfc822\n\n"
        b"Subject: x\n\nonly\n--a--\n"
    )
    assert [part.path for part in parse(raw).parts()] == ["", "1", "2", "2.TEXT", "2.1", "2.2", "3", "3.1"]


@pytest.mark.parametrize("first", [b"From a b\n", b">From a b\n"])
def test_an_mbox_line_is_no_field(first):
    message = parse(first + b"Subject: x\n\nbody\n")
    assert [field.name for field in message.fields] == [b"subject"]
    assert message.start == len(first)


@pytest.mark.parametrize("first", [b"From : a@a.example\n", b"From \t: a@a.example\n", b">From : a\n"])
def test_a_from_field_with_a_blank_before_its_colon_is_no_mbox_line(first):
    message = parse(first + b"Subject: x\n\nbody\n")
    assert message.start == 0
    assert check(message)
    assert not is_plain(message.raw)


@pytest.mark.parametrize("octet", [b"\r", b"\0", b"\x0b"])
def test_an_mbox_line_that_some_readers_end_early_is_an_anomaly(octet):
    assert check(parse(b"From x" + octet + b"Content-Type: text/html\nSubject: x\n\nbody\n"))
    assert not is_plain(b"From x" + octet + b"Content-Type: text/html\nSubject: x\n\nbody\n")


def test_a_digest_holds_messages_by_default():
    raw = b"Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: x\n\nbody\n--a--\n"
    (child,) = parse(raw).root.children
    assert child.content_type == b"message/rfc822"
    assert child.children[0].field(b"subject")[0].unfolded == b"x"


def test_an_encoded_message_is_read_in_its_decoded_form():
    inner = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n"
    raw = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(inner)
    embedded = parse(raw).root.embedded
    assert embedded.raw == inner
    assert len(embedded.root.children) == 1


@pytest.mark.parametrize(
    ("raw", "limit"),
    [
        (b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 100_000, "limit.parts"),
        (b"A: b\n" * 100_000, "limit.fields"),
        (b"Content-Type: message/rfc822\n\n" * 100_000, "limit.depth"),
        (
            b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(100_000)),
            "limit.depth",
        ),
    ],
)
def test_what_is_over_a_limit_is_named_and_never_a_recursion_error(raw, limit):
    assert parse(raw).limit == limit


def test_messages_encoded_within_each_other_end_at_a_limit():
    raw = b"Subject: innermost\n\nx\n"
    for _ in range(20):
        raw = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(raw)
    assert parse(raw).limit == "limit.encoded-depth"


@pytest.mark.parametrize("line", [b"x\n", b"\rx\n", b" x\n", b"\nx\n", b"\r\nx\n", b"--x\n", b"\r\r\nx\n"])
def test_no_octet_is_searched_more_than_a_few_times_for_the_end_of_a_header(line, monkeypatch):
    searched = 0
    real = header.end

    def counted(raw, start, stop):
        nonlocal searched
        found = real(raw, start, stop)
        searched += found[1] - start
        return found

    monkeypatch.setattr(tree.header, "end", counted)
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n" + (b"--b\n" + line) * 2000 + b"y" * 10_000
    parse(raw)
    assert searched <= 3 * len(raw)


# Encodings


@few
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=300).map(base64.encodebytes),
        st.lists(
            st.sampled_from([b"AAAA", b"AA==", b"A", b"=", b"\n", b"\r\n", b"\r", b" ", b"=3D", b"=\n", b"a b"])
        ).map(b"".join),
    ),
    st.sampled_from([b"", b"7bit", b"base64", b"quoted-printable", b"x-uuencode", b"other"]),
)
def test_a_recipe_gives_back_the_very_bytes_and_is_never_given_otherwise(body, name):
    raw = b"before" + body + b"after"
    decoded = encoding.decode(raw, 6, 6 + len(body), name)
    if decoded.recipe is not None:
        assert decoded.exact
        assert encoding.encode(decoded.data, decoded.recipe) == body


@few
@given(
    st.binary(max_size=3000), st.sampled_from([0, 4, 60, 72, 76]), st.sampled_from([b"\n", b"\r\n"]), st.integers(0, 3)
)
def test_ordinary_base64_has_a_recipe(data, columns, eol, trailing):
    body = encoding.base64(data, columns, eol, trailing)
    decoded = encoding.decode(body, 0, len(body), b"base64")
    assert decoded.data == data
    if data and len(body) <= 998:
        assert decoded.exact
        assert decoded.recipe is not None


@pytest.mark.parametrize(
    "body",
    [b"QUJD=QUJD", b"QUJ\nDRA==", b"QUJD\n\nQUJD\nQUJD", b"QU=JD", b"QUJDR", b"QUJD*", b"QUJD\n QUJD\n", b"QQ==QQ==\n"],
)
def test_base64_that_readers_decode_differently_is_not_exact(body):
    assert not encoding.decode(body, 0, len(body), b"base64").exact


def test_uuencode_gives_the_file():
    body = b"text\nbegin 644 a.txt\n#86)C\n`\nend\n"
    assert encoding.decode(body, 0, len(body), b"x-uuencode").data == b"abc"


def test_an_unknown_encoding_is_given_back_as_it_is_and_not_exact():
    decoded = encoding.decode(b"abc", 0, 3, b"x-unknown")
    assert (decoded.data, decoded.exact, decoded.recipe) == (b"abc", False, None)


# Content


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b" ", b"\t", b"x" * 70_000]), max_size=12).map(b"".join))
def test_unfolding_in_pieces_is_unfolding_at_once(value):
    assert header.unfold(value) == re.sub(rb"\r?\n(?=[ \t])", b"", value)


@given(data=st.binary(min_size=1, max_size=9000), columns=st.integers(1, 9), eol=st.sampled_from([b"\n", b"\r\n"]))
def test_lines_of_any_length_are_cut_everywhere(data, columns, eol):
    text = base64.b64encode(data)
    lines = [text[at : at + columns] for at in range(0, len(text), columns)]
    assert encoding.base64(data, columns, eol) == eol.join(lines) + eol


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=1, max_size=2000),
    st.sampled_from([4, 60, 76]),
    st.sampled_from([b"\n", b"\r\n"]),
    st.integers(0, 2),
    st.lists(st.tuples(st.integers(-5, 2500), st.integers(-5, 2500)), max_size=8),
)
def test_base64_read_in_place_is_what_decoding_all_of_it_gives(data, columns, eol, trailing, reads):
    body = encoding.base64(data, columns, eol, trailing)
    content = Base64Content.measured(b"xx" + body + b"yy", 2, 2 + len(body))
    if content is None:
        assert len(body.rstrip(b"\r\n")) <= columns
        return
    assert content.size == len(data)
    assert content.whole() == data
    assert b"".join(content.chunks()) == data
    for offset, length in reads:
        assert content.read(offset, length) == Content.of(data).read(offset, length)


@settings(max_examples=100, deadline=None)
@given(
    st.binary(min_size=100, max_size=400), st.integers(0, 399), st.sampled_from([b"\n", b"=", b" ", b"\r", b"", b"*"])
)
def test_irregular_base64_is_never_read_in_place(data, place, change):
    body = bytearray(encoding.base64(data, 76))
    place = place % (len(body) - 2)
    body[place : place + 1] = change
    content = Base64Content.measured(bytes(body), 0, len(body))
    if content is not None:
        assert content.whole() == encoding.decode(bytes(body), 0, len(body), b"base64").data


def test_a_large_attachment_is_read_in_place_and_as_a_file():
    data = bytes(range(256)) * 8192
    body = encoding.base64(data)
    content = Content.decoded(body, 0, len(body), b"base64")
    assert isinstance(content, Base64Content)
    with content.open() as file:
        file.seek(-10, os.SEEK_END)
        assert file.read() == data[-10:]
        file.seek(1_000_000)
        assert file.read(300) == data[1_000_000:1_000_300]
        with pytest.raises(OSError, match="seek"):
            file.seek(-1)
    assert b"".join(content.chunks()) == data


# Splices


@few
@given(st.binary(max_size=60), st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=4)), max_size=6))
def test_insertions_happen_in_their_order_and_the_rest_stays(raw, insertions):
    places = [min(place, len(raw)) for place, _ in insertions]
    splices = [Splice(place, place, text) for place, (_, text) in zip(places, insertions, strict=True)]
    expected = b""
    for position in range(len(raw) + 1):
        expected += b"".join(s.replacement[0] for s in splices if s.start == position) + raw[position : position + 1]
    assert b"".join(apply(raw, splices)) == expected


def test_a_splice_swallows_those_inside_it():
    raw = b"0123456789"
    splices = [Splice(4, 5, b"x"), Splice(2, 8, b"-"), Splice(2, 2, b"+"), Splice(8, 8, b"!")]
    assert b"".join(apply(raw, splices)) == b"01+-!89"


def test_overlapping_splices_are_a_mistake():
    with pytest.raises(AssertionError):
        apply(b"0123456789", [Splice(2, 5), Splice(4, 7)])


@given(
    st.binary(max_size=400_000),
    st.sampled_from([0, 4, 60, 75, 76, 998]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(0, 2),
    st.sampled_from([b"", b"x", b"\n"]),
)
@settings(max_examples=40, deadline=None)
def test_a_recipe_reproduces_exactly_when_encoding_gives_the_bytes(data, columns, eol, trailing, behind):
    recipe = {"encoding": "base64", "line": columns, "eol": eol, "trailing": trailing}
    body = encoding.encode(data, recipe)
    raw = b"before" + body + behind + b"after"
    end = 6 + len(body)
    assert encoding.reproduces(data, recipe, raw, 6, end)
    assert encoding.reproduces(data, recipe, raw, 6, end + len(behind)) == (not behind)
    assert not encoding.reproduces(data + b"x", recipe, raw, 6, end)
    for other in ({"line": 72}, {"eol": "\n" if eol == "\r\n" else "\r\n"}, {"trailing": trailing + 1}):
        changed = recipe | other
        assert encoding.reproduces(data, changed, raw, 6, end) == (encoding.encode(data, changed) == body)
