"""mbox files come apart at the right places and together again byte for byte."""

from __future__ import annotations

import mailbox
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailguard.archives import mbox

LINES = st.sampled_from(
    [
        b"From a@example.com Mon Jan  1 10:00:00 2024\n",
        b"From - Tue, 02 Jan 2024 10:00:00 +0900\r\n",
        b"From bare@example.com\n",
        b"From here on all was well.\n",
        b"Subject: x\n",
        b"To: y\r\n",
        b"Content-Length: 5\n",
        b"Content-Length: 23\n",
        b">From there\n",
        b">>From far\n",
        b"\n",
        b"\r\n",
        b"text\n",
        b"no end",
    ]
)
ANY = st.one_of(st.binary(max_size=200), st.lists(LINES, max_size=25).map(b"".join))
BODY = st.lists(
    st.sampled_from([b"From here on\n", b">From x\n", b">>From y\n", b"text\n", b"\n", b"Key: value\n", b"From \n"]),
    min_size=1,
    max_size=12,
).map(b"".join)
MESSAGES = st.lists(BODY.map(lambda body: b"Subject: x\n\n" + body), min_size=1, max_size=6)
SEPARATOR = b"From a@example.com Mon Jan  1 10:00:00 2024\n"


def parts(data, kind):
    return [(data[item.start : item.stop], data[item.stop : item.end]) for item in mbox.split(data, kind)]


@given(ANY, st.integers(1, 100))
def test_the_parts_of_any_bytes_are_these_bytes(data, size):
    kind = mbox.recognise(data)
    for pieces in ([(0, len(data))], list(mbox.chunks(data, kind, size))):
        joined = b"".join(
            message + separator for start, stop in pieces for message, separator in parts(data[start:stop], kind)
        )
        assert joined == data


@given(MESSAGES)
def test_what_mboxrd_quoted_comes_out_as_it_was_and_is_found_whole(messages):
    quoted = [re.sub(rb"^(>*From )", rb">\1", message, flags=re.MULTILINE) for message in messages]
    data = b"".join(SEPARATOR + message + b"\n" for message in quoted)
    found = [mbox.message(message, mbox.MBOX) for message, _ in parts(data, mbox.recognise(data))]
    assert found == [SEPARATOR + message for message in messages]


@given(MESSAGES)
def test_lengths_count_where_every_message_has_one(messages):
    data = b"".join(SEPARATOR + b"Content-Length: %d\n" % (len(message) - 12) + message + b"\n" for message in messages)
    assert mbox.recognise(data) == mbox.MBOXCL2
    assert [message.partition(b"\n")[2].partition(b"\n")[2] for message, _ in parts(data, mbox.MBOXCL2)] == messages


@given(MESSAGES, st.sampled_from([mbox.MBOX, mbox.MBOXCL2]))
def test_changed_messages_are_found_again(messages, kind):
    head = SEPARATOR + (b"Content-Length: 3\n" if kind == mbox.MBOXCL2 else b"")
    changed = [head + message.rstrip(b"\n") for message in messages]
    data = b"".join(mbox.written(raw, kind, b"\n", last=False) for raw in changed)
    found = [mbox.message(message, kind) for message, _ in parts(data, kind)]
    assert mbox.recognise(data) == kind
    if kind == mbox.MBOX:
        assert found == [raw + b"\n" for raw in changed]
    else:
        assert [raw.partition(b"\n\n")[2] for raw in found] == [raw.partition(b"\n\n")[2] for raw in changed]


@given(MESSAGES, st.integers(1, 200))
def test_chunks_end_between_messages(messages, size):
    data = b"".join(mbox.written(SEPARATOR + message, mbox.MBOX, b"\n", last=False) for message in messages)
    whole = parts(data, mbox.MBOX)
    assert [
        part for start, stop in mbox.chunks(data, mbox.MBOX, size) for part in parts(data[start:stop], mbox.MBOX)
    ] == whole


def test_a_line_of_prose_after_an_empty_line_begins_no_message(tmp_path):
    body = b"\nFrom the beginning:\nNote: this is text\n"
    data = SEPARATOR + b"Subject: one\n" + body + b"\n" + SEPARATOR + b"Subject: two\n\ntext\n"
    assert len(parts(data, mbox.MBOX)) == 2
    path = tmp_path / "mbox"
    path.write_bytes(data)
    assert len(mailbox.mbox(path)) == 3


@pytest.mark.parametrize(
    "line",
    [
        b"From a@example.com Sat Feb  3 09:08:07 2001",
        b"From a@example.com  Sat Feb 13 09:08:07 JST 2001",
        b"From a@example.com Sat Feb 13 09:08:07 2001 +0900",
        b"From 1234567890@xxx Sat Feb 13 09:08:07 +0000 2001",
        b"From - Sat Feb  3 09:08:07 2001",
        b"From a at example.com  Sat Feb  3 09:08:07 2001",
        b"From a@example.com Sat, 03 Feb 2001 09:08:07 GMT",
        b"From a@example.com Sat Feb  3 09:08 2001",
        b"From a@example.com Sat Feb  3 09:08:07 2001 remote from b",
        b"From MAILER-DAEMON",
    ],
)
@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_from_lines_of_many_programs_begin_a_message(line, eol):
    one = line + eol + b"Subject: x" + eol + b"To: y" + eol * 2 + b"text" + eol * 2
    assert parts(one * 3, mbox.recognise(one * 3)) == [(one.removesuffix(eol), eol)] * 3


def test_a_wrong_length_hides_nothing():
    swallowing = SEPARATOR + b"Content-Length: 40\nSubject: one\n\ntext\n\n"
    data = swallowing + SEPARATOR + b"Subject: two\n\ntext\n"
    assert mbox.recognise(data) == mbox.MBOX
    assert len(parts(data, mbox.MBOX)) == 2


def test_a_file_that_is_no_mbox_is_one_message():
    assert mbox.recognise(b"Subject: x\n\ntext\n\nFrom a@b Mon Jan  1 10:00:00 2024\nTo: y\n") == mbox.MESSAGE


def test_empty_lines_before_the_first_message_stay():
    data = b"\n\n" + SEPARATOR + b"Subject: x\n\ntext\n"
    assert parts(data, mbox.MBOX) == [(b"", b"\n\n"), (data[2:], b"")]


def test_the_length_of_a_message_without_one_is_added():
    assert mbox.written(b"From a\nSubject: x\n\ntext\n", mbox.MBOXCL2, b"\n", last=True) == (
        b"From a\nSubject: x\nContent-Length: 5\n\ntext\n\n"
    )
