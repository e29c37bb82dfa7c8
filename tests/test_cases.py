"""Whole messages: each folder `cases/<verb>/<NN-what-is-claimed>/` holds one that goes in and what comes out.

in.eml; args: options in a line as for a shell (none without the file); out.eml: what comes out (without the file: the
input); findings.json: [code, part] of each finding (filters only; without the file: none); status: without the file 0.
`pytest tests/test_cases.py --accept` writes what it sees; read the difference before it is committed.

A capsule is compared by what it holds, because another zlib may compress otherwise; everything else by its bytes.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import zipfile

import pytest
from case_folders import CASES, CLOCK
from paths import TESTS
from verbs import KEY, NOW, RING, key_line

from mailguard import capsule
from mailguard.capsule import outer
from mailguard.message.tree import parse
from mailguard.seal import field, keys

FILTERS = {"quarantine", "sanitize", "strip"}
_CAPSULE = re.compile(rb"(?<=\n)UEsDB[A-Za-z0-9+/=\r\n]+")


@pytest.fixture(scope="session")
def case_key(tmp_path_factory):
    path = tmp_path_factory.mktemp("cases") / "key"
    path.write_text(key_line(b"test".ljust(32, b".")))
    path.chmod(0o600)
    return path


def opened(match):
    """Return what the base64 of a capsule holds, as text."""
    data = base64.b64decode(match[0])
    password = keys.password(KEY, capsule.find(data).id).encode()
    with zipfile.ZipFile(io.BytesIO(outer.decrypt(data, password))) as archive:
        return b"\n".join(name.encode() + b"\n" + archive.read(name) for name in archive.namelist())


def comparable(raw):
    """Return a message with its capsule opened and its seal, which must be true, without lengths and codes."""
    message = parse(raw)
    for seal in message.root.field(b"mailguard-seal")[:1]:
        if field.read(message, RING, NOW).seal is not None:
            shown = re.sub(rb"; l=\d+|; bh=.*", b"", re.sub(rb"\s+", b" ", seal.bytes), flags=re.DOTALL)
            raw = raw[: seal.start] + shown + b" (true)\n" + raw[seal.end :]
    return _CAPSULE.sub(opened, raw)


def run(case, mailguard, case_key, tmp_path):
    """Return (output, findings, status, stderr)."""
    verb = case.parent.name
    report = tmp_path / "report"
    options = ["--key-file", case_key]
    if verb in FILTERS:
        options += ["--now", CLOCK, "--log", "none", "--json", report]
    args = case / "args"
    options += shlex.split(args.read_text()) if args.exists() else []
    done = mailguard(verb, *options, input=(case / "in.eml").read_bytes(), cwd=case)
    found = json.loads(report.read_text())["findings"] if report.exists() and report.read_text() else []
    return done.stdout, [[finding["code"], finding["part"]] for finding in found], done.returncode, done.stderr


def accept(case, output, findings, status):
    stored = {
        "out.eml": None if output == (case / "in.eml").read_bytes() else output,
        "findings.json": json.dumps(findings, indent=0).encode() + b"\n" if findings else None,
        "status": b"%d\n" % status if status else None,
    }
    for name, content in stored.items():
        if content is None:
            (case / name).unlink(missing_ok=True)
        else:
            (case / name).write_bytes(content)


def expected(case, name, default):
    return (case / name).read_bytes() if (case / name).exists() else default


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_case(case, mailguard, case_key, tmp_path, request):
    output, findings, status, stderr = run(case, mailguard, case_key, tmp_path)
    if request.config.getoption("--accept"):
        accept(case, output, findings, status)
    assert status == int(expected(case, "status", b"0"))
    assert comparable(output) == comparable(expected(case, "out.eml", (case / "in.eml").read_bytes()))
    assert findings == json.loads(expected(case, "findings.json", b"[]"))
    assert (stderr == b"") == (status == 0)


def holds(case):
    given_up = (case / "args").exists() and "--discard-originals" in (case / "args").read_text()
    holding = case.parent.name in {"quarantine", "sanitize"} and (case / "out.eml").exists()
    return holding and not given_up and expected(case, "status", b"0") == b"0"


@pytest.mark.parametrize("case", list(filter(holds, CASES)), ids=lambda c: c.name)
def test_what_was_held_once_can_always_be_released(case, mailguard, case_key):
    done = mailguard("release", "--key-file", case_key, input=(case / "out.eml").read_bytes())
    assert done.stdout == (case / "in.eml").read_bytes()


def test_there_are_cases():
    assert len(CASES) >= 25


@pytest.mark.parametrize("verb", sorted(FILTERS))
def test_two_processes_give_the_same_bytes(verb, mailguard, case_key):
    raw = (TESTS / "cases" / verb / "10-selection-by-name" / "in.eml").read_bytes()
    options = ["--key-file", case_key, "--now", CLOCK, "--log", "none"]
    one, other = (mailguard(verb, *options, input=raw, env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2"))
    assert one == other != raw
