"""What the quick look calls plain, the full examination finds to be one text without anything odd."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plain_mails import PLAIN

from mailguard.message.grammar import check
from mailguard.message.plain import is_plain
from mailguard.message.tree import parse
from mailguard.parts.body import layout

PIECES = [
    b"From: a@example.com", b"Subject: hi", b"X: " + b"y" * 100, b" folded", b"\tfolded", b"", b"\n", b"\n\n", b"\r\n",
    b"Content-Type: text/plain", b"Content-Type: text/html", b'content-type:text/plain; charset="UTF-8"',
    b"Content-Type: multipart/mixed; boundary=x", b"Content-Transfer-Encoding: 8bit", b"Content-Transfer-Encoding: base64",
    b"Content-Disposition: attachment", b"MIME-Version: 1.0", b"Mime-version: 2.0", b"From alice Tue Nov 24 00:00:00 2026",
    b"--x", b"begin 644 a.exe", b"=ybegin line=128 size=1 name=a", b"A" * 76, b"hello world", b"\x1b$B$3$s\x1b(B", b"\xe3\x81\x82",
    b"Mailguard-Seal: v=1", b"%PDF-1.4", b"{\\rtf1", b"\r", b"\0", b": x", b"Content-Type : text/plain", b"no field",
]  # fmt: skip


def test_an_ordinary_text_is_plain():
    assert is_plain(PLAIN)
    assert is_plain(b"From bob Tue Nov 24 00:00:00 2026\n" + PLAIN)
    assert is_plain(PLAIN.replace(b"\n", b"\r\n"))
    assert is_plain(b"MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n" + PLAIN)


def test_anything_that_is_more_than_a_text_is_not_plain():
    assert not is_plain(b"Content-Type: text/html\n" + PLAIN)
    assert not is_plain(b"Mailguard-Seal: v=1\n" + PLAIN)
    assert not is_plain(PLAIN + b"begin 644 a.exe\n")
    assert not is_plain(PLAIN + (b"A" * 76 + b"\n") * 6)


@given(st.lists(st.sampled_from(PIECES), max_size=14), st.sampled_from([b"\n", b"\r\n"]))
def test_plain_implies_conforming_and_without_attachments(pieces, eol):
    for raw in (eol.join(pieces), b"From: a@example.com" + eol + eol.join(pieces)):
        if is_plain(raw):
            message = parse(raw)
            assert check(message) == []
            found = layout(message.root)
            assert found.attachments == []
            assert found.body == [message.root]


@given(st.binary(max_size=300))
def test_plain_implies_conforming_for_any_body(body):
    raw = PLAIN + body
    if is_plain(raw):
        assert check(parse(raw)) == []
        assert layout(parse(raw).root).attachments == []
