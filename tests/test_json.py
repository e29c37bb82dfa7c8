"""What programs read: every record has the form of the schema, and every key and code stands in mailguard-json(5)."""

from __future__ import annotations

import ast
import json
import re
from importlib import resources

import bounds
import jsonschema
import pytest
import verbs
import verified_mail
from mails import TEXT, attachment, mixed
from paths import ROOT

from mailguard import journal
from mailguard.envelope import Envelope
from mailguard.formats import dangers
from mailguard.settings import Settings

SOURCES = ROOT / "src" / "mailguard"
SCHEMA = json.loads(resources.files("mailguard.schema").joinpath("records.json").read_text("utf-8"))
PAGE = (ROOT / "man" / "mailguard-json.5").read_text("utf-8")
PREFIXES = [
    "arc",
    "capsule",
    "dkim",
    "duplicate",
    "from",
    "header",
    "limit",
    "mime",
    "release",
    "reply",
    "reply-to",
    "seal",
    "submission",
    "text",
    "verdict",
]
NO_CODES = {"header.from", "text.plain"}


def check(name, value):
    """Complain about a value that has another form than the schema says."""
    jsonschema.Draft202012Validator(SCHEMA | {"$ref": f"#/$defs/{name}"}).validate(json.loads(json.dumps(value)))


def codes_in_source():
    """Return what stands in the source as the code of a finding."""
    literal = re.compile(rf"(?:{'|'.join(PREFIXES)})\.[a-z0-9][a-z0-9-]*[a-z0-9]")
    for path in SOURCES.glob("**/*.py"):
        if path.relative_to(SOURCES).parts[0] != "check":
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and literal.fullmatch(node.value):
                    yield node.value


def documented(title):
    section = re.split(r"\n\.S[hs] ", PAGE.partition(f".Ss {title}\n")[2])[0]
    return re.findall(r"^\.It Li (\S+)$", section, re.MULTILINE)


def test_every_danger_is_in_the_page():
    assert documented("What makes an attachment dangerous") == sorted(dangers.CODES)
    said = PAGE.replace("\n", " ")
    assert all(f".It Li {code} {english}" in said for code, (_, english) in dangers.CODES.items())


def test_every_code_is_in_the_page_and_none_that_does_not_exist():
    codes = documented("Other findings")
    assert codes == sorted(codes)
    made = {
        f"{field}.{kind}" for field in ("from", "reply-to") for kind in ("impersonating-person", "lookalike-domain")
    }
    made |= {f"duplicate.{code}" for code in _notes()}
    assert set(codes) == (set(codes_in_source()) - NO_CODES) | made


def _notes():
    source = (SOURCES / "duplicate" / "duplication.py").read_text("utf-8")
    return re.findall(r'\.note\("([a-z-]+)"', source)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for name, form in SCHEMA["$defs"].items():
        for key in form.get("properties", ()):
            assert re.search(rf"\b{re.escape(key)}\b", PAGE), f"{name}: {key} is not in mailguard-json(5)"


@pytest.mark.parametrize("verb", ["quarantine", "sanitize", "strip"])
def test_every_record_of_a_filter_and_of_the_journal_has_the_form_of_the_schema(verb):
    codes = set(documented("Other findings"))
    for raw in bounds.corpus()[:: 3 if verb == "quarantine" else 12]:
        result = bounds.VERBS[verb](raw)
        check("record", result.as_dict())
        check("journal", journal.record(verb, raw, result, Settings(Envelope(), now=verbs.NOW)))
        own = {one.code for one in result.findings if one.code.partition(".")[0] in PREFIXES}
        assert own <= codes


@pytest.mark.parametrize("raw", [verified_mail.signed(), b"From: joe@example.com\n\nx\n", b"\n\n"])
def test_every_record_of_verify_has_the_form_of_the_schema(raw):
    for facts in (verified_mail.FRIEND, verified_mail.STRANGER, {}):
        check("record", verified_mail.judged(raw, facts).as_dict())


def test_the_records_of_the_commands_have_the_form_of_the_schema(mailguard, tmp_path):
    raw = mixed(TEXT, attachment(b"MZ program", b"invoice.exe", b"application/octet-stream"))
    kept, copies, records = tmp_path / "journal", tmp_path / "spool", tmp_path / "records"
    held = mailguard("quarantine", "--journal", kept, input=raw).stdout
    mailguard("release", "--journal", kept, input=held)
    check("list", json.loads(mailguard("list", "--journal", kept, "--json").stdout))
    for line in kept.read_bytes().splitlines():
        check("journal", json.loads(line))
    check("inspect", json.loads(mailguard("inspect", "--json", input=held).stdout))
    for line in mailguard("doctor", "--json", "--journal", kept).stdout.splitlines():
        check("doctor", json.loads(line))
    mailguard("strip", "--when", "always", "--save", tmp_path / "saved", "--json", records, input=raw)
    envelope = ("--sender", "a@example.com", "--recipient", "b@example.com")
    target = ("--to", "smtp://127.0.0.1:9", "--spool", copies, "--json", records)
    mailguard("duplicate", *target, *envelope, "--timeout", "2", input=raw)
    for line in records.read_bytes().splitlines():
        check("record", json.loads(line))
    (entry,) = mailguard("duplicate", "--list", "--spool", copies, "--json", "-").stdout.splitlines()
    check("entry", json.loads(entry))
    for line in mailguard("duplicate", "--flush", "--all", "--spool", copies, "--json", "-").stdout.splitlines():
        check("delivery", json.loads(line))
