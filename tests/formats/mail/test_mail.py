"""Messages as files, web archives, winmail.dat and calendars."""

from __future__ import annotations

import email
import email.policy
import io
import zipfile

import documents
import pytest
from calendar_lines import ACTING, CALENDAR
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_files import WEB_ARCHIVE, message_file

from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Disarmed, Options, Refused
from mailguard.formats.mail import disarm as mail
from mailguard.message import grammar
from mailguard.message.content import Content
from mailguard.message.tree import parse


def _member(content, names, options):
    found = detect(Content.of(content), names, "")
    if found.dangerous:
        return Disarmed(b"held", "text/plain", "txt", ("member-held",))
    return Disarmed(content, found.type, found.extension)


def _disarm(content, mime):
    return mail.disarm(content, mime, Options(member=_member))


def test_a_clean_message_comes_back_as_the_same_bytes():
    raw = message_file("a.txt", b"text")
    assert _disarm(raw, "message/rfc822").data is raw


def test_a_program_in_a_message_becomes_a_text_and_the_rest_stays():
    result = _disarm(message_file(page="<p>hello<script>evil()</script></p>"), "message/rfc822")
    assert result.removed == ("member-held", "script")
    assert grammar.check(parse(result.data)) == []
    message = email.message_from_bytes(result.data, policy=email.policy.default)
    assert message["Subject"] == "test"
    parts = [part for part in message.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html", "text/plain"]
    assert parts[2].get_filename() == "evil.exe.txt"
    assert parts[2].get_content() == "held"
    assert "script" not in parts[1].get_content()
    assert b"MZ" not in result.data
    assert detect(Content.of(result.data), ["a.eml"], "").dangerous == ()


def test_the_only_part_of_a_message_is_replaced_below_its_header():
    raw = b"From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<b onclick=x>hi</b>\r\n"
    message = email.message_from_bytes(_disarm(raw, "message/rfc822").data, policy=email.policy.default)
    assert message["Subject"] == "x"
    assert "<b>hi</b>" in message.get_content()


def test_a_message_that_programs_read_differently_is_refused():
    with pytest.raises(Refused, match="ambiguous"):
        _disarm(message_file().replace(b"--outer--", b"--outer"), "message/rfc822")


def test_winmail_dat_is_delivered_as_a_zip():
    result = _disarm(documents.tnef("evil.exe", b"MZ" + bytes(99)), "application/vnd.ms-tnef")
    with zipfile.ZipFile(io.BytesIO(result.data)) as packed:
        assert packed.namelist() == ["evil.exe.txt"]
    assert result.removed == ("member-held", "repacked")


def test_a_web_archive_is_delivered_as_its_page():
    result = _disarm(WEB_ARCHIVE, "multipart/related")
    assert result.extension == "html"
    assert b"text" in result.data
    assert b"script" not in result.data


def test_a_clean_calendar_comes_back_as_the_same_bytes():
    content = CALENDAR % b"URL:https://example.com/\r\n"
    assert _disarm(content, "text/calendar").data is content


@pytest.mark.parametrize("lines", ACTING.values(), ids=ACTING)
def test_what_acts_in_a_calendar_goes_and_other_lines_stay(lines):
    result = _disarm(CALENDAR % lines, "text/calendar")
    assert result.data == CALENDAR % b""
    assert result.removed
    assert detect(Content.of(result.data), ["a.ics"], "text/calendar").dangerous == ()


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        [
            (message_file("a.txt", b"text"), "message/rfc822"),
            (CALENDAR % b"ATTACH:cid:a\r\n", "text/calendar"),
            (documents.tnef("a.txt", b"text"), "application/vnd.ms-tnef"),
            (message_file(), "multipart/related"),
            (message_file(), "application/vnd.ms-outlook"),
        ]
    ),
    st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), max_size=6),
)
def test_only_refusals_come_from_damaged_files(sample, changes):
    content = bytearray(sample[0])
    for place, value in changes:
        content[place % len(content)] = value
    try:
        result = _disarm(bytes(content), sample[1])
    except Refused:
        return
    assert isinstance(result.data, bytes)
