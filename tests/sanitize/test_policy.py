"""The policy of sanitize: which rule decides, and that a mistake in the file is an error with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

from mailguard.errors import ConfigurationError
from mailguard.sanitize.policy import DEFAULT, Subject, load, parse

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def action(text, mime, extension="bin", types=(), names=()):
    return parse(text, "p").rule(Subject(mime, extension, {mime, *types}, names)).action


def rule(action_, **keys):
    lines = "".join(f"{key} = {value!r}\n".replace("'", '"') for key, value in keys.items())
    return f'[[rule]]\naction = "{action_}"\n{lines}'


def test_the_first_rule_that_matches_decides():
    text = rule("keep", type=["image/png"]) + rule("disarm", type=["image/*"]) + rule("quarantine", type=["*"])
    assert action(text, "image/png") == "keep"
    assert action(text, "image/gif") == "disarm"
    assert action(text, "text/plain") == "quarantine"


def test_what_no_rule_matches_is_held():
    assert action(rule("keep", type=["image/png"]), "application/x-foo") == "quarantine"


def test_globs_disregard_case():
    assert action(rule("disarm", type=["IMAGE/*"], extension=[".PNG"]), "image/png", "png") == "disarm"


def test_keep_needs_every_reading_and_quarantine_any():
    keep = rule("keep", type=["text/plain"])
    assert action(keep, "text/plain") == "keep"
    assert action(keep, "text/plain", types=["application/octet-stream"]) == "keep"
    assert action(keep, "text/plain", types=["text/html"]) == "quarantine"
    held = rule("remove", extension=["exe"])
    assert action(held, "text/plain", "txt", names=["a.txt", "b.EXE. "]) == "remove"
    assert action(rule("keep", extension=["txt"]), "text/plain", "txt", names=["a.txt", "b.exe"]) == "quarantine"


def test_disarm_goes_by_the_detected_type_alone():
    text = rule("disarm", extension=["pdf"])
    assert action(text, DOCX, "docx", types=["application/pdf"], names=["a.pdf"]) == "quarantine"


def test_features_are_switched_by_rule():
    read = parse(rule("disarm", keep=["remote_images"], remove=["hyperlinks"]), "p").rules[0]
    assert read.kept == {"comments", "metadata", "remote_images"}


@pytest.mark.parametrize(
    "mime", ["application/x-executable", "application/onenote", "application/x-iso9660-image", "application/x-foo", ""]
)
def test_the_default_policy_holds_what_it_does_not_name(mime):
    assert action(DEFAULT, mime) == "quarantine"


def test_the_default_policy_passes_nothing_unseen():
    assert {one.action for one in load(None).rules} == {"disarm", "pdf"}


@pytest.mark.parametrize("example", ["sanitize/policy.toml", "sanitize/clamav.toml"])
def test_the_examples_are_policies(example):
    assert load(str(ROOT / "examples" / example)).rules


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("x = 1", 1, "x is no key here"),
        ('encrypted = "no"', 1, "encrypted must be one of: hold, keep-known"),
        ('\n[[rule]]\ntype = ["a"]\n', 2, "a rule needs an action"),
        ('[[rule]]\naction = "disarm"\n[[rule]]\naction = "explode"', 4, "action must be one of"),
        ('[[rule]]\naction = "disarm"\ntype = "text/plain"', 3, "type must be a list of texts"),
        ('[[rule]]\naction = "disarm"\nkeep = [\n"macros"]', 3, "keep: macros is none of"),
        ('[[rule]]\naction = "disarm"\nkeep = ["metadata"]\nremove = ["metadata"]', 3, "both kept and removed"),
        ('[[rule]]\naction = "keep"\notherwise = ["pdf"]', 3, "nothing can follow keep"),
        ('[[rule]]\naction = "disarm"\notherwise = ["keep"]', 3, "otherwise: keep is none of"),
        ('[[rule]]\naction = "disarm"\ncommand = ["x"]', 3, "command belongs to"),
        ('[[rule]]\naction = "command"', 1, "command must name a program"),
        ('[[rule]]\naction = "command"\ncommand = ["x"]\ntimeout = 100000', 4, "timeout must be a number"),
        ('[[rule]]\naction = "command"\ncommand = ["x"]\nvisible = ["/"]', 4, "no absolute path below /"),
        ('[[rule]]\naction = "command"\ncommand = ["x"]\noutput = "../x"', 4, "output must be"),
        ('[[rule]]\naction = "command"\ncommand = ["x"]\nstatuses = { 0 = "keep" }', 4, "no exit status"),
        ('[[rule]]\naction = "command"\ncommand = ["x"]\nstatuses = { 3 = "eat" }', 4, 'must be "hold" or'),
        ("[limits]\noctets = -1", 2, "octets must be a number"),
        ('[body]\naction = "pdf"', 2, "action must be one of: disarm, keep"),
        ("body = 1", 1, "body must be a table"),
        ("rule = 1", 1, "rule must be written as [[rule]]"),
        ("[[scan]]\ntimeout = 3", 1, "command must name a program"),
        ('[[scan]]\ncommand = ["x"]\nwhen = 1', 3, "when is no key here"),
        ("passwords_from_text = 1", 1, "must be true or false"),
        ("a = ", 1, "Invalid value"),
    ],
)
def test_a_mistake_is_an_error_with_file_line_and_key(text, line, said):
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "rules.toml")
    assert str(caught.value).startswith(f"rules.toml:{line}: ")
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "latin").write_bytes(b"# \xe9\n")
    for name, said in (("absent", "No such file"), ("latin", "not UTF-8"), ("", "directory")):
        with pytest.raises(ConfigurationError, match=said):
            load(str(tmp_path / name))


def test_a_bad_policy_is_status_75(mailguard, tmp_path):
    (tmp_path / "rules.toml").write_text("[[rule]]\naction = 'x'\n")
    done = mailguard("sanitize", "--rules", tmp_path / "rules.toml", "--log", "none", input=b"Subject: x\n\nhello\n")
    assert (done.returncode, done.stdout) == (75, b"")
    assert b"rules.toml:2: action must be one of" in done.stderr


@given(st.text(max_size=300))
def test_any_text_is_a_policy_or_a_configuration_error(text):
    try:
        read = parse(text, "p")
    except ConfigurationError:
        return
    assert read.rules


@pytest.mark.parametrize("name", ["table.csv.", "table.csv\u200b", "table.csv::$DATA", "table．csv"])
def test_a_rule_by_extension_removes_whatever_reading_has_it(name):
    assert action('[[rule]]\nextension = ["csv"]\naction = "remove"\n', "text/plain", "txt", names=[name]) == "remove"
