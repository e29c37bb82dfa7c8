"""Which attachments a filter acts on: every reading counts, options of one kind add up, keeping needs all readings."""

from __future__ import annotations

import base64
from urllib.parse import quote

import documents
import pytest
from verbs import NOW, RING, rules, sealed, verdict

from mailguard.message.tree import parse
from mailguard.parts.body import layout
from mailguard.parts.select import author_known, chosen, condition, examine
from mailguard.seal import field


def attachment(data=b"text", kind=b"application/octet-stream", names=b""):
    raw = b"Content-Type: " + kind + names + b"\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)
    (part,) = layout(parse(raw).root).attachments
    return examine(part)


ALL = condition("always", field.Reading(None, ""), None)


def picked(one, **options):
    return chosen(one, rules(**options).selection, ALL)


def test_types_match_in_any_reading_and_keep_only_in_all():
    pdf = attachment(documents.pdf(), b"image/png", b"; name=picture.png")
    assert pdf.detected == "application/pdf"
    assert {"application/pdf", "image/png"} <= pdf.types
    assert picked(pdf, types=["application/pdf"])
    assert picked(pdf, types=["image/*"])
    assert picked(pdf, types=["IMAGE/*"])
    assert not picked(pdf, types=["text/*"])
    assert picked(pdf, keep_types=["image/*"])
    assert picked(pdf, keep_types=["application/pdf"])
    assert not picked(pdf, keep_types=["image/*", "application/pdf"])


def test_names_match_in_any_reading_and_keep_only_in_all():
    two = attachment(b"x", names=b"; name=a.txt\nContent-Disposition: attachment; filename=B.EXE")
    assert picked(two, names=["*.exe"])
    assert picked(two, names=["*.txt"])
    assert not picked(two, names=["*.pdf"])
    assert picked(two, keep_names=["*.txt"])
    assert not picked(two, keep_names=["*.txt", "*.exe"])
    assert picked(attachment(b"x"), keep_names=["*"])


def test_sizes_are_of_the_decoded_content():
    assert picked(attachment(b"x" * 101), larger_than=100)
    assert not picked(attachment(b"x" * 100), larger_than=100)


def test_different_options_must_all_match():
    one = attachment(documents.pdf(), b"application/pdf", b"; name=a.pdf")
    assert picked(one, types=["application/pdf"], names=["a.*"])
    assert not picked(one, types=["application/pdf"], names=["b.*"])
    assert not picked(one, types=["application/pdf"], keep_names=["a.*"])


def nested(name=b"", data=b"MZ" + bytes(100), encoding=b""):
    inner = (
        b"Subject: inner\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\ntext\n--i\n"
        b"Content-Type: application/octet-stream; name=setup.exe\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(data)
        + b"--i--\n"
    )
    head = b"Content-Type: message/rfc822" + name
    if encoding:
        return head + b"\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(inner)
    return head + b"\n\n" + inner


def one(raw):
    (part,) = layout(parse(raw).root).attachments
    return examine(part)


@pytest.mark.parametrize("encoding", [b"", b"base64"])
def test_an_attached_message_is_as_dangerous_as_what_it_holds(encoding):
    found = one(nested(encoding=encoding))
    assert found.detected == "message/rfc822"
    assert "setup.exe" in found.names
    assert any(code.startswith("mail-executable") for code in found.dangerous)
    assert picked(found, names=["*.exe"])


def test_messages_within_messages_are_looked_into():
    found = one(b"Content-Type: message/rfc822\n\n" + nested(encoding=b"base64"))
    assert any("executable" in code for code in found.dangerous)


@pytest.mark.parametrize("name", [b"; name=a.hta", b"; name=a.js", b"; name=a.lnk"])
def test_an_attached_message_that_is_named_like_a_program_is_dangerous(name):
    harmless = b"Content-Type: message/rfc822" + name + b"\n\nSubject: <script>x()</script>\n\ntext\n"
    assert one(harmless).dangerous
    assert not one(harmless.replace(name, b"; name=a.eml")).dangerous


def test_every_standing_of_a_sender_has_its_condition():
    def asked(when, seal=None, known=None):
        found = condition(when, field.Reading(seal, "", fresh=seal is not None), known)
        return found.reason, found.everything, found.dangerous

    good, bad, fake = verdict(), verdict(authenticated=False), verdict(flags=("impersonating",))
    assert asked("always", good) == ("always", True, True)
    assert asked("suspicious") == ("unauthenticated", True, True)
    assert asked("suspicious", bad) == ("unauthenticated", True, True)
    assert asked("suspicious", fake) == ("impersonating", True, True)
    assert asked("suspicious", good, known=False) == ("unknown-sender", True, True)
    assert asked("suspicious", good, known=True) == ("authenticated", False, True)
    assert asked("suspicious", good) == ("authenticated", False, True)
    assert asked("unauthenticated", good) == ("authenticated", False, False)
    assert asked("unauthenticated", bad) == ("unauthenticated", True, True)


@pytest.mark.parametrize(
    ("author", "known"),
    [
        (b"From: a@a.example", True),
        (b"From: A. <a@A.Example>", True),
        (b"From: x@b.example", False),
        (b"From: a@a.example\nFrom: a@a.example", False),
        (b"From: a@a.example, b@a.example", False),
        (b"From: <a@a.example> <x@b.example>", False),
        (b"From: group: a@a.example;", False),
        (b"X: y", False),
    ],
)
def test_known_is_only_who_is_authenticated_under_this_very_address(author, known):
    message = parse(sealed(author + b"\n\nbody\n"))
    reading = field.read(message, RING, NOW)
    assert author_known(message, reading, lambda address: address.lower() == "a@a.example") is known
    assert author_known(message, reading, None) is None
    assert author_known(message, field.Reading(None, ""), lambda address: True) is False


SPELLINGS = [
    "table.csv.",
    "table.csv\u200b",
    "table.csv::$DATA",
    "table．csv",
    "TABLE.CSV",
    "table.csv ",
    "x/table.csv",
    "table%2Ecsv",
]
"""Names that Windows, or a mail program, saves as table.csv."""


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_name_is_chosen_by_every_reading(name):
    one = attachment(b"x", names=b"; name*=UTF-8''" + quote(name, safe="").encode())
    assert picked(one, names=["*.csv"])
    assert picked(one, names=["table.csv"])


@pytest.mark.parametrize("name", ["report.exe:.pdf", "report.exe\0.pdf", "report.pdf/report.exe"])
def test_a_name_is_kept_only_when_every_reading_says_so(name):
    one = attachment(b"x", names=b"; name*=UTF-8''" + quote(name, safe="").encode())
    assert picked(one, keep_names=["*.pdf"])
