"""The canonical rebuild, and the union scan for what only some readers find."""

from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from message_generators import mutated
from mime_tricks import tricks

from mailguard.errors import ContentLimit
from mailguard.message import hidden
from mailguard.message.entity import entity, media_type
from mailguard.message.grammar import check
from mailguard.message.rebuild import plain, rebuild
from mailguard.message.tree import parse

DATA = b"PK\x03\x04" + bytes(range(256))


def rebuilt(raw, wanted=lambda data: ""):
    message = parse(raw)
    return rebuild(message, check(message), lambda names: names[0] if names else "a.bin", wanted)


def leaves(raw):
    return [part.content().whole() for part in parse(raw).parts() if not part.children]


TWO = (
    b"From: a@a.example\nSubject: =?utf-8?Q?caf=C3=A9?=\nX-Note: x\nDKIM-Signature: v=1\n"
    b"Content-Type: multipart/mixed; boundary=x1; boundary=x2\n\n"
    b"preamble\n--x1\n\nHello.\n--x1\nContent-Type: text/html\n\n<p>You</p>\n--x1--\n"
)


def test_text_and_header_stay_and_structure_is_new():
    raw = rebuilt(TWO).raw
    assert check(parse(raw)) == []
    assert leaves(raw) == [b"Hello.", b"<p>You</p>"]
    assert b"Subject: =?utf-8?Q?caf=C3=A9?=" in raw
    assert b"X-Note: x" in raw
    assert b"DKIM" not in raw
    assert b"x1" not in raw
    assert b"preamble" not in raw


def test_the_same_message_is_rebuilt_to_the_same_bytes():
    assert rebuilt(TWO).raw == rebuilt(TWO).raw


def test_an_mbox_line_stays():
    line = b"From a@a.example Tue Nov 24 10:00:00 2026\n"
    assert rebuilt(line + TWO).raw.startswith(line)


def test_line_ends_are_those_of_the_message():
    raw = rebuilt(TWO.replace(b"\n", b"\r\n")).raw
    assert raw.count(b"\r\n") == raw.count(b"\n")


def test_nested_messages_stay_messages():
    inner = b"Subject: inner\nContent-Type: multipart/mixed; boundary=y1\n\n--y1\n\nDeep.\n--y1 junk\n--y1--\n"
    raw = b"Content-Type: multipart/mixed; boundary=x1\n\n--x1\nContent-Type: message/rfc822\n\n" + inner + b"--x1--\n"
    made = rebuilt(raw).raw
    assert check(parse(made)) == []
    assert b"message/rfc822" in made
    assert b"Subject: inner" in made
    assert any(data.startswith(b"Deep.") for data in leaves(made))


@pytest.mark.parametrize(
    "code",
    [
        b'Content-Type: message/partial; id="a"; number=1; total=2\n\nx\n',
        b"Content-Type: message/external-body; access-type=URL\n\nx\n",
        b"Content-Type: multipart/mixed; boundary=x1\nContent-Transfer-Encoding: base64\n\nLS14MQ==\n",
    ],
)
def test_some_messages_are_not_rebuilt(code):
    assert rebuilt(code) is None


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_every_trick_is_rebuilt_to_one_reading_or_not_at_all(eol):
    count = 0
    for trick in tricks(DATA, eol):
        message = parse(trick.raw)
        if check(message):
            made = rebuild(message, check(message), lambda names: "a.bin", lambda data: "")
            assert made is None or check(parse(made.raw)) == [], trick.id
            count += made is not None
    assert count >= 200


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_any_message_is_rebuilt_to_one_reading(raw):
    made = rebuilt(raw)
    assert made is None or check(parse(made.raw)) == []


# Hidden content


def uu(data):
    lines = b"".join(binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return b"begin 644 a.zip\n" + lines + b"`\nend\n"


@pytest.mark.parametrize(
    "text",
    [
        base64.encodebytes(DATA),
        base64.encodebytes(DATA).replace(b"\n", b"\n\n"),
        base64.b64encode(DATA),
        base64.urlsafe_b64encode(DATA),
        b"".join(b"> " + line + b"\n" for line in base64.encodebytes(DATA).splitlines()),
        base64.b64encode(b"first one..") + b"\n" + base64.encodebytes(DATA),
        b"!".join(base64.encodebytes(DATA)[at : at + 8] for at in range(0, 400, 8)),
        binascii.b2a_qp(DATA),
        uu(DATA),
    ],
)
def test_hidden_content_is_found(text):
    raw = b"Subject: x\n\nhello you\n\n" + text + b"\n\nbye\n"
    assert any(DATA in data for data in hidden.scan(raw)), hidden.scan(raw)[:3]


def test_hidden_content_becomes_a_part():
    raw = TWO + base64.encodebytes(DATA)
    made = rebuilt(raw, lambda data: "hidden.zip" if DATA in data else "")
    assert made.hidden == 1
    assert DATA in leaves(made.raw)[-1]
    assert check(parse(made.raw)) == []


def test_a_file_with_its_delimiter_decoded_too_is_not_shown_twice():
    file = b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(DATA[:202]) + b"\n"
    raw = TWO.replace(b"--x1--", b"--x1\n" + file + b"--x1--")
    made = rebuilt(raw, lambda data: "hidden.zip" if DATA[:200] in data else "")
    assert made.hidden == 0
    assert leaves(made.raw).count(DATA[:202]) == 1


def test_too_much_hidden_content_holds_the_message():
    pieces = [base64.encodebytes(DATA + bytes([number])) for number in range(80)]
    assert rebuilt(TWO + b"\n".join(pieces), lambda data: "x.bin") is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000))
def test_the_scan_takes_any_bytes(raw):
    assert all(len(data) >= 16 for data in hidden.scan(raw))


# Text without lures


@pytest.mark.parametrize(
    "line",
    [
        b"begin 644 a.exe",
        b"begin-base64 644 a.exe",
        b"=ybegin line=128 size=1 name=a",
        b"(This file must be converted with BinHex 4.0)",
        b"--x1",
        b"Content-Type: text/html",
        b"  content-disposition : attachment",
        b"MIME-Version: 1.0",
        b"From nobody",
        b"> " + b"QUJD" * 18,
    ],
)
def test_lines_that_lure_readers_are_marked(line):
    assert plain(b"hello\n" + line + b"\nbye\n") == b"hello\n| " + line + b"\nbye\n"
    assert plain(line) == b"| " + line
    assert plain(b"hello\r" + line + b"\rbye\r") == b"hello\r| " + line + b"\rbye\r"
    assert plain(b"hello\r\n" + line + b"\r\nbye") == b"hello\r\n| " + line + b"\r\nbye"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_uuencoded_files_are_found_behind_any_line_end(end):
    data = b"MZ" + bytes(range(200))
    lines = [binascii.b2a_uu(data[start : start + 45]).rstrip() for start in range(0, len(data), 45)]
    assert data in hidden.scan(end.join([b"hello", b"begin 644 a.exe", *lines, b"`", b"end", b""]))


def test_a_text_of_nothing_else_is_over_the_limit():
    with pytest.raises(ContentLimit):
        plain(b"--x\n" * 200_000)


@pytest.mark.parametrize("line", [b"-- ", b"beginning", b"The content: type", b"---- Original ----", b"Hello you"])
def test_ordinary_lines_stay(line):
    if not line.startswith(b"----"):
        assert plain(b"a\n" + line + b"\nb\n") == b"a\n" + line + b"\nb\n"


# Entities


@pytest.mark.parametrize(
    ("given_type", "wanted"),
    [
        ("Text/Plain", "text/plain"),
        ("multipart/mixed", "application/octet-stream"),
        ("x.multipart/mixed", "application/octet-stream"),
        ("message/partial", "application/octet-stream"),
        ("a/b\r\nX: y", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_only_types_of_leaves_are_written(given_type, wanted):
    assert media_type(given_type) == wanted


@given(st.text(max_size=200).map(lambda text: text.replace("/", "").strip()), st.binary(max_size=300))
def test_an_entity_is_read_back_as_it_was_written(name, data):
    from mailguard.capsule.names import safe_name
    from mailguard.message import parameters

    safe = safe_name(name)
    raw = b"Subject: x\n" + entity(data, "application/pdf", b"\n", name=safe) + b"\n"
    message = parse(raw)
    assert check(message) == []
    assert message.root.content().whole() == data
    disposition = message.root.field(b"content-disposition")[0].value
    assert safe in parameters.names([], [disposition])


def test_depth_makes_no_copies():
    import tracemalloc

    depth, octets = 90, 1 << 20
    levels = [b"Content-Type: multipart/mixed; boundary=b%d; boundary=c\n\n--b%d\n" % (n, n) for n in range(depth)]
    raw = b"".join(levels) + b"Content-Type: a/b\n\n" + b"\xff" * octets
    message = parse(raw)
    tracemalloc.start()
    try:
        rebuilt = rebuild(message, check(message), lambda names: "a", lambda data: "")
        assert tracemalloc.get_traced_memory()[1] < 12 * octets
    finally:
        tracemalloc.stop()
    assert rebuilt is not None
    assert len(rebuilt.raw) < 2 * octets


@pytest.mark.parametrize(
    "piece",
    [
        b"\r=ybegin x\n%d01234567890123456789\n",
        b"\rbegin 644 a\nM%d00000\n",
        b"begin\t644 a\nM%d00000\n",
        b"begin 644 x\n",
    ],
)
def test_a_file_that_begins_again_and_again_is_decoded_once(piece):
    text = b"\n" + b"".join(piece.replace(b"%d", b"%d" % number) for number in range(3000))
    assert sum(map(len, hidden.scan(text))) < 7 * len(text)
