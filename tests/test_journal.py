"""What was held can be found again: the journal, `mailguard list`, `mailguard init`."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import ID, RAW, record, write
from program import PROGRAM

from mailguard import journal, seal
from mailguard.cli.list import cell
from mailguard.envelope import Envelope


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def rows(mailguard, path, *arguments):
    process = mailguard("list", "--journal", path, *arguments)
    assert (process.returncode, process.stderr) == (0, b"")
    head, *lines = process.stdout.decode().splitlines()
    assert head == "time\tid\tstate\tfrom\tto\tattachments"
    return [line.split("\t") for line in lines]


def test_a_record_tells_who_what_and_when():
    found = record()
    assert found["time"] == "2027-01-15T08:00:00Z"
    assert found["message_id"] == "<1@example.com>"
    assert found["codes"] == ["dangerous.macro"]
    assert found["size"] == len(RAW)


def test_a_filter_writes_what_it_held_and_list_finds_it(mailguard, path):
    raw = b"From: a@example.com\nMIME-Version: 1.0\nContent-Type: application/octet-stream; name=run.exe\n\nMZ"
    plain = b"From: a@example.com\n\nText\n"
    facts = [
        "--when",
        "always",
        "--log",
        "none",
        "--journal",
        path,
        "--sender",
        "a@example.com",
        "--recipient",
        "b@example.net",
    ]
    for message in (plain, raw, raw):
        assert mailguard("quarantine", *facts, "--now", "2026-11-24T00:00:00Z", input=message).returncode == 0
    assert len(path.read_text().splitlines()) == 2
    [[time, identifier, state, sender, to, names]] = rows(mailguard, path)
    assert (time, state, sender, to, names) == (
        "2026-11-24T00:00:00Z",
        "held",
        "a@example.com",
        "b@example.net",
        "run.exe",
    )
    assert len(identifier.replace("-", "")) == 24


def test_dry_run_leaves_no_record(mailguard, path):
    raw = b"Content-Type: application/octet-stream; name=run.exe\n\nMZ"
    process = mailguard("quarantine", "--dry-run", "--log", "none", "--journal", path, input=raw)
    assert (process.returncode, process.stdout, path.read_bytes()) == (0, raw, b"")


def test_a_mail_that_was_tried_again_and_its_recipients_are_one_entry(mailguard, path):
    write(path, record(), record(recipients=("c@example.net",)), record())
    assert [row[4] for row in rows(mailguard, path)] == ["b@example.net, c@example.net"]


def test_a_release_changes_the_state(mailguard, path):
    other = ID[:-1] + "9"
    write(path, record(), record(identifier=other))
    write(path, journal.released(ID, Envelope(recipients=["b@example.net"]), 1_800_000_100))
    write(path, journal.released("unknown", Envelope(), 1_800_000_100))
    assert [row[2] for row in rows(mailguard, path)] == ["released", "held"]
    assert [row[1].replace("-", "") for row in rows(mailguard, path, "--held")] == [other]
    assert [row[1].replace("-", "") for row in rows(mailguard, path, "--released")] == [ID]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--sender", "A@example.*"], 1),
        (["--sender", "example.com"], 0),
        (["--recipient", "*@example.net"], 2),
        (["--name", "OTHER.doc"], 2),
        (["--name", "*.exe"], 0),
        (["--hash", "ABAB"], 2),
        (["--hash", "cdcd"], 2),
        (["--hash", "ff"], 0),
        (["--id", "abcd-EFGH"], 2),
        (["--id", "9"], 0),
        (["--since", "2027-01-15T08:00:00Z"], 2),
        (["--since", "2027-01-15T08:00:01Z"], 1),
        (["--since", "9999w"], 2),
        (["--sender", "a@*", "--since", "2027-01-15T08:00:01Z"], 0),
    ],
)
def test_entries_are_chosen_by_every_criterion(mailguard, path, arguments, count):
    write(path, record(), record(identifier=ID[:-1] + "9", sender="", now=1_800_000_001))
    assert len(rows(mailguard, path, *arguments)) == count


def test_what_is_no_record_is_skipped_with_a_note(mailguard, path):
    write(path, record())
    with path.open("ab") as file:
        file.write(b'{"time": "half\n\xff\xfe\n[]\n{}\n\n{"time": 1, "verb": 2}\n' + b"[" * 100_000 + b"\n")
        file.write(b'{"time":"t","verb":"v","recipients":[1]}\n{"time":"t","verb":"v","attachments":[[]]}\n')
    write(path, record(identifier=ID[:-1] + "9"))
    process = mailguard("list", "--journal", path)
    assert process.returncode == 0
    assert len(process.stdout.splitlines()) == 3
    assert process.stderr.decode().endswith("8 lines are no records and were skipped: 2, 3, 4, 5, 7, 8, 9, 10\n")


@given(
    st.dictionaries(
        st.sampled_from(["time", "verb", *journal._TEXTS, *journal._LISTS]),
        st.recursive(
            st.none() | st.booleans() | st.text(max_size=3) | st.integers(),
            lambda children: (
                st.lists(children, max_size=2)
                | st.dictionaries(st.sampled_from(["names", "action", "sha256"]), children, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_record_can_be_listed(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_text(json.dumps({"time": "t", "verb": "v"} | value) + "\n")
    skipped = []
    found = journal.entries(str(path), skipped.append)
    assert len(found) + len(skipped) == 1 or value["verb"] == "release"
    for entry in found:
        json.dumps(entry.as_dict())
        assert all(isinstance(name, str) for name in entry.names())


def test_hostile_names_stay_inert(mailguard, path):
    write(
        path,
        record(name="=cmd|'/c calc'!A1"),
        record(name="\x1b[2J\t\u202etxt.exe", identifier="x", sender="+1@example.com"),
    )
    one, other = rows(mailguard, path)
    assert one[5] == "'=cmd|'/c calc'!A1"
    assert other[3] == "'+1@example.com"
    assert other[5] == "\\x1b[2J\\t\\u202etxt.exe"


def test_a_terminal_gets_a_table_without_markup(environment, path):
    write(path, record(name="[red]x[/red]"))
    controller, terminal = pty.openpty()
    command = [PROGRAM, "list", "--journal", str(path)]
    with subprocess.Popen(
        command, env=environment | {"COLUMNS": "200", "TERM": "xterm", "NO_COLOR": "1"}, stdout=terminal
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(controller, 65536):
                shown += piece
        except OSError:
            pass  # the end of a terminal
    os.close(controller)
    assert process.returncode == 0
    assert b"[red]x[/red]" in shown
    assert b"abcd-efgh" in shown


def test_json_has_the_whole_entry(mailguard, path):
    write(path, record(), journal.released(ID, Envelope(recipients=["b@example.net"]), 1_800_000_100))
    [line] = mailguard("list", "--journal", path, "--json").stdout.splitlines()
    found = json.loads(line)
    assert (found["state"], found["quarantine_id"], found["verbs"]) == ("released", ID, ["quarantine"])
    assert found["released"] == [{"time": "2027-01-15T08:01:40Z", "recipients": ["b@example.net"]}]


def test_list_without_a_journal_says_what_is_missing(mailguard, path):
    assert mailguard("list").returncode == 2
    process = mailguard("list", "--journal", path)
    assert (process.returncode, process.stderr) == (1, f"mailguard: {path}: No such file or directory\n".encode())


@given(st.text())
def test_no_cell_begins_like_a_formula(text):
    assert cell(text)[:1] not in tuple("=+-@\t\r")
    assert cell(text).endswith(text)


# init


def test_init_makes_a_private_key_and_says_how_to_keep_it(mailguard, tmp_path):
    path = tmp_path / "new" / "key"
    process = mailguard("init", "--key-file", path)
    [key] = seal.load(str(path)).keys
    assert (process.returncode, process.stderr) == (0, b"")
    assert f"Key id:   {key.name}\n" in process.stdout.decode()
    assert str(path) in process.stdout.decode()
    assert path.stat().st_mode & 0o777 == 0o600
    assert key.derive("x") != seal.load(str(path)).keys[0].derive("y")


def test_init_never_overwrites(mailguard, tmp_path):
    path = tmp_path / "key"
    mailguard("init", "--key-file", path)
    before = path.read_bytes()
    process = mailguard("init", "--key-file", path)
    assert (process.returncode, process.stdout, process.stderr.count(b"\n")) == (1, b"", 1)
    assert path.read_bytes() == before


def test_rotation_puts_a_new_key_in_front_and_keeps_the_old_ones(mailguard, tmp_path):
    path = tmp_path / "key"
    mailguard("init", "--key-file", path)
    [old] = seal.load(str(path)).keys
    assert mailguard("init", "--key-file", path, "--rotate").returncode == 0
    new, kept = seal.load(str(path)).keys
    assert (kept.name, kept.derive("x")) == (old.name, old.derive("x"))
    assert new.derive("x") != old.derive("x")


def test_an_imported_copy_is_the_same_ring(mailguard, tmp_path):
    one, other = tmp_path / "key", tmp_path / "other"
    mailguard("init", "--key-file", one)
    mailguard("init", "--key-file", one, "--rotate")
    assert mailguard("init", "--key-file", other, "--import", one).returncode == 0
    names = [[key.name for key in seal.load(str(path)).keys] for path in (one, other)]
    assert names[0] == names[1]


@pytest.mark.parametrize("text", ["", "rubbish\n", "mailguard-key-1 abc " + "A" * 43 + "=\n"])
def test_a_damaged_copy_is_not_imported(mailguard, tmp_path, text):
    backup = tmp_path / "backup"
    backup.write_text(text)
    backup.chmod(0o600)
    assert mailguard("init", "--key-file", tmp_path / "key", "--import", backup).returncode == 1
    assert not (tmp_path / "key").exists()


def test_import_and_rotate_exclude_each_other(mailguard, tmp_path):
    assert mailguard("init", "--rotate", "--import", "x", "--key-file", tmp_path / "key").returncode == 2
