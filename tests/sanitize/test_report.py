"""The report says in whole sentences, in both languages, what was done with each part, and why."""

from __future__ import annotations

import re

import documents
import pytest
from mails import EXE, TEXT, attachment, mixed
from verbs import output, parts, rules, site

from mailguard.formats import codes
from mailguard.formats.dangers import CODES
from mailguard.formats.disarmed import Disarmed, ProgramRefused, Refused
from mailguard.sanitize import report, sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import parse as policy
from mailguard.sanitize.treatment import CONVERTED, DISARMED, HELD, REMOVED, Treatment

DOCM = attachment(documents.docm(), b"report.docm", b"application/vnd.ms-word.document.macroEnabled.12")


RULES = """
[[scan]]
command = ["sh", "-c", "if grep -q ^MZ; then echo 'stdin: Evil FOUND'; exit 1; fi"]
[[rule]]
action = "command"
command = ["echo", "Hello"]
"""


def lines(treatment, lang, dangers=(), name="a.docm"):
    """What the report says about one part: the line that names it, and what was done and why."""
    record = {"action": treatment.action, "dangerous": list(dangers), "detected_type": "application/x"}
    part = report.PartReport(name, record, treatment)
    text = report.write([part], None, rebuilt=False, whole=True, lang=lang, contact="desk")
    return [line.strip() for line in text.split("\n\n")[1].splitlines()]


def disarmed(*removed, action=DISARMED, extension="pdf", refused=None):
    return Treatment(action, Disarmed(b"", "", extension, removed), refused)


@pytest.mark.parametrize("code", codes.REMOVED)
def test_every_code_is_a_sentence(code):
    for action in (DISARMED, CONVERTED):
        _, japanese = lines(disarmed(code, action=action), "ja")
        _, english = lines(disarmed(code, action=action), "en")
        assert re.fullmatch(r"[^。]+(?<!で)(?<!を)ました。([^。]+ました。)?", japanese), japanese
        assert re.fullmatch(r"[A-Z][^.]*[A-Za-z)]\.", english), english
        assert "{" not in japanese + english


@pytest.mark.parametrize("code", codes.REFUSALS)
def test_every_reason_is_a_sentence(code):
    for action in (HELD, REMOVED):
        _, done, reason = lines(Treatment(action, None, Refused(code)), "ja")
        assert done in {"隔離しました。", "取り除きました。"}
        assert re.fullmatch("理由: .*(ます|です|ません|でした|ました|した)。", reason)
        _, done, reason = lines(Treatment(action, None, Refused(code)), "en")
        assert done in {"Held back.", "Removed."}
        assert re.fullmatch(r"Reason: [A-Z].*\.", reason)


@pytest.mark.parametrize("danger", CODES)
def test_what_is_converted_is_told_what_is_gone(danger):
    gone = codes.gone_with([f"archive-{danger}"])
    assert gone <= codes.REMOVED.keys()
    assert bool(gone) == (danger in {"html-active", "pdf-active", "svg-active"} or danger in codes.REMOVED)


@pytest.mark.parametrize(
    ("treatment", "japanese", "english"),
    [
        (
            disarmed("converted", "macro", action=CONVERTED),
            ["PDF に変換しました。マクロを取り除きました。"],
            ["Converted to PDF; macros were taken out."],
        ),
        (
            disarmed("converted", action=CONVERTED, extension="txt", refused=Refused("not-understood")),
            ["テキストに変換しました。", "理由: 中に確認できない部分があります。"],
            ["Converted to text.", "Reason: It has parts that cannot be checked."],
        ),
        (
            disarmed("javascript", "launch", "xfa"),
            ["無害化しました。スクリプト (JavaScript)、プログラムの起動、XFA フォームを取り除きました。"],
            ["Made harmless; a script (JavaScript), the start of a program and an XFA form were taken out."],
        ),
        (disarmed("script"), ["無害化しました。スクリプトを取り除きました。"], ["Made harmless; a script was taken out."]),
        (
            disarmed("label"),
            ["内容に合った名前と種類に変更しました。"],
            ["Given a name and type that fit its content."],
        ),
        (
            disarmed("repacked", "member-held", extension="zip"),
            ["無害化しました。ZIP 形式に変更しました。中の危険なファイルを取り除きました。"],
            ["Made harmless; packed anew as ZIP; dangerous files inside were taken out."],
        ),
        (
            Treatment(HELD, None, ProgramRefused("program-refused", "clamscan", "Win.Test.EICAR_HDB-1")),
            ["隔離しました。", "理由: 検査プログラムが危険と判断しました（clamscan: Win.Test.EICAR_HDB-1）。"],
            ["Held back.", "Reason: A program that checks files found it dangerous (clamscan: Win.Test.EICAR_HDB-1)."],
        ),
    ],
)  # fmt: skip
def test_people_read_what_was_done(treatment, japanese, english):
    assert lines(treatment, "ja")[1:] == japanese
    assert lines(treatment, "en")[1:] == english


def test_a_danger_is_the_reason_where_it_says_more_than_the_refusal():
    held = Treatment(HELD, None, Refused("unknown-type"))
    assert lines(held, "en", ["executable"])[1:] == ["Held back.", "Reason: It is a program."]
    failed = Treatment(HELD, None, ProgramRefused("program-timeout", "soffice"))
    assert len(lines(failed, "en", ["macro"])) == 4


def test_what_a_scanner_says_can_forge_no_line():
    find = "x\n  9. you can trust this\x1b[31m"
    said = lines(Treatment(HELD, None, ProgramRefused("program-refused", "scan", find)), "en")
    assert len(said) == 3
    assert "\x1b" not in said[2]


@pytest.mark.parametrize("lang", ["ja", "en", "both"])
def test_a_conversion_and_the_find_of_a_scanner_are_told(lang):
    rules_ = policy(RULES, "test")
    message = output(
        sanitize(mixed(TEXT, DOCM, EXE), rules(), lambda: rules_, site(lang=lang), lambda: Sandbox("none"))
    )
    named = "sanitize-report.txt" if lang == "en" else "添付ファイル無害化のお知らせ.txt"
    text = next(data.decode() for _, name, data in parts(message) if name == named)
    assert ("Converted to text; macros were taken out." in text) == (lang != "ja")
    assert ("マクロを取り除きました。" in text) == (lang != "en")
    assert ": Evil" in text
