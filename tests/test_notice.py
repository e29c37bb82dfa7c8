"""The notice: what a recipient reads, and that nothing from the mail leaves its place there."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mails import PDF, TEXT, WITH_BOTH, attachment, mixed
from verbs import output, parts, quarantine, quarantined, rules, sealed, site, verdict

from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.message.tree import parse
from mailguard.outcome import notice
from mailguard.parts.select import examine
from mailguard.seal.keys import grouped

RECORD = {
    "names": ["a.pdf"],
    "detected_type": "application/pdf",
    "size": 1234567,
    "dangerous": ["macro", "mail-script"],
}


def written(records=(RECORD,), reason="always", lang="en", **options):
    values = {"contact": "", "sender": b"a@a.example", "subject": b"hello", "template": None} | options
    return notice.write(records, reason, "k" * 24, lang=lang, **values)


def test_it_says_what_why_which_id_and_whom_to_ask():
    text = written(contact="help@b.example, 内線 110", lang="both")
    assert text.count('1. "a.pdf" (application/pdf, 1,234,567 bytes)') == 1
    assert text.count("1. 「a.pdf」 (application/pdf, 1,234,567 bytes)") == 1
    assert text.count("kkkk-kkkk-kkkk-kkkk-kkkk-kkkk") == 2
    assert text.count("help@b.example, 内線 110") == 2
    assert text.index("添付ファイル隔離のお知らせ") < text.index("Attachments of this message are held")
    for words in (
        "電話で確かめて",
        "first call the sender",
        "7-Zip",
        "Keka",
        "bsdtar",
        "macros",
        "In the attached mail:",
    ):
        assert words in text


def test_every_reason_has_its_words_in_both_languages():
    for when, seal, reason in (
        ("always", None, "always"),
        ("suspicious", None, "unauthenticated"),
        ("suspicious", verdict(flags=["impersonating"]), "impersonating"),
        ("suspicious", verdict(flags=["impersonating", "lookalike"]), "lookalike"),
        ("suspicious", verdict(), "authenticated"),
    ):
        raw = sealed(WITH_BOTH, seal) if seal else WITH_BOTH
        text = parts(quarantine(raw, rules(when)))[-2][2].decode()
        for sentence in notice.REASONS[reason]:
            assert sentence in text
    known = rules("suspicious", known=lambda _: False)
    assert notice.REASONS["unknown-sender"][1] in parts(quarantine(sealed(WITH_BOTH), known))[-2][2].decode()
    assert notice.REASONS["structure"][1] in parts(quarantine(WITH_BOTH[:-10]))[-2][2].decode()


def test_its_id_is_that_of_the_capsule():
    result = quarantined(WITH_BOTH)
    out = output(result)
    assert grouped(result.quarantine_id) in parts(out)[-2][2].decode()
    assert parts(out)[-1][1] == f"quarantine-{grouped(result.quarantine_id)[:9]}.zip"


def test_old_readers_see_an_ascii_name():
    part = parse(quarantine(WITH_BOTH)).root.children[-2]
    assert part.field(b"content-type")[0].unfolded == b'text/plain; charset=utf-8;\tname="quarantine-notice.txt"'
    strict = email.message_from_bytes(quarantine(WITH_BOTH), policy=email.policy.default)
    inline = list(strict.iter_parts())[-2]
    assert inline.get_filename() == "添付ファイル隔離のお知らせ.txt"
    assert inline.get_content_disposition() == "inline"
    assert not inline.defects
    assert inline.get_content_charset() == "utf-8"
    assert all(len(line) < 78 and line.isascii() for line in notice.entity("あ" * 500, b"\n").split(b"\n"))


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_value_from_the_mail_leaves_its_line(name, subject):
    template = "begin ${held} | ${sender} | ${subject} | ${id} end\n"
    text = written(
        [RECORD | {"names": [name], "dangerous": []}], subject=subject.encode("utf-8", "replace"), template=template
    )
    assert text.count("\n") == 1
    assert text.startswith("begin   1. ")
    assert "://" not in text
    assert all(character.isprintable() or character in "\u3000\n" for character in text)


@pytest.mark.parametrize("name", ["${id}", "${contact}", "${held}", "\\1", "{0}", "%s"])
def test_a_value_brings_no_placeholder(name):
    text = written([RECORD | {"names": [name]}], subject=name.encode(), template="${held} ${subject} ${id}")
    assert text.count("kkkk-kkkk-kkkk-kkkk-kkkk-kkkk") == 1
    assert name.replace("\\", "\\\\") in text


@pytest.mark.parametrize("template", ["${id} ${unknown}", "${id} ${}", "${id} ${ID}", "${id} ${sub ject}", "no id"])
def test_a_template_with_an_unknown_placeholder_or_without_id_is_refused(template):
    with pytest.raises(ConfigurationError, match=r"notice\.txt"):
        notice.check_template(template, "notice.txt")


def test_a_template_says_everything_once_and_other_dollars_stay():
    assert notice.check_template("$ ${id} $x {y}", "p") == "$ ${id} $x {y}"
    out = quarantine(WITH_BOTH, rules(), site(template="番号 ${id} $5\n", lang="both"))
    text = parts(out)[-2][2].decode()
    assert text.startswith("番号 ")
    assert text.endswith(" $5\n")
    assert text.count("\n") == 1


def test_many_files_are_counted_not_listed():
    text = written([RECORD] * 1000)
    assert '50. "a.pdf"' in text
    assert '51. "a.pdf"' not in text
    assert "(+950)" in text


def test_a_name_does_not_speak_in_our_voice():
    text = written([RECORD | {"names": ["Quarantine id: aaaa"]}], lang="both")
    assert '1. "Quarantine id: aaaa" (' in text
    assert "1. 「Quarantine id: aaaa」 (" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://x.example", "http[:]//x.example"),
        ("see WWW.x.example", "see WWW[.]x.example"),
        ("(www.x.example)", "(www[.]x.example)"),
        ("_www.x.example", "_www[.]x.example"),
        ("MailTo:a@b.example", "MailTo[:]a@b.example"),
        ("tel:110", "tel[:]110"),
        ("hotel: www x", "hotel: www x"),
        ("a\u3164\u115f\u1160\uffa0\u2800b", "a\\u3164\\u115f\\u1160\\uffa0\\u2800b"),
    ],
)
def test_nothing_shown_is_a_link_or_invisible(value, shown):
    assert show(value) == shown


def test_a_message_held_whole_is_named():
    assert "The whole message" in written([RECORD | {"names": []}], "structure")


@pytest.mark.parametrize(
    "name", [b'a"; x="b.pdf', b"=?utf-8?q?a=0D=0AX:_y.pdf?=", "\u202efdp.exe".encode(), b"a\x1b]0;x\x07.pdf"]
)
def test_hostile_names_in_a_real_mail_are_shown_inert(name):
    raw = mixed(TEXT, attachment(PDF, name))
    text = parts(quarantine(raw))[-2][2].decode()
    assert all(character.isprintable() or character in "\u3000\n" for character in text)


def test_an_unnamed_attachment_gets_a_name():
    raw = mixed(TEXT, b"Content-Type: application/pdf\n\n" + PDF)
    assert examine(parse(raw).root.children[1]).name == "attachment-2.pdf"
