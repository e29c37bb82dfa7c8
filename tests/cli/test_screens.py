"""What people see on a terminal, and what errors say about the way on."""

from __future__ import annotations

import fcntl
import os
import pty
import pwd
import struct
import subprocess
import termios

import pytest
from journals import record, write
from program import PROGRAM

from mailguard import findings, safefile
from mailguard.cli.list import local
from mailguard.cli.pipeline import filters
from mailguard.errors import ConfigurationError

MESSAGE = b"From: a@example.com\nMIME-Version: 1.0\nContent-Type: application/pdf; name=a.pdf\n\n%PDF-1.4\n"


def on_terminal(environment, *arguments, columns=80, descriptor=1):
    """What a command writes on a terminal of that many columns, as lines."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    streams = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        ("stdout", "stderr")[descriptor - 1]: terminal,
    }
    subprocess.run(
        [PROGRAM, *arguments], stdin=subprocess.DEVNULL, env=environment | {"TERM": "xterm", "TZ": "Asia/Tokyo"},
        check=True, timeout=120, **streams,
    )  # fmt: skip
    os.close(terminal)
    found = b""
    try:
        while piece := os.read(controller, 65536):
            found += piece
    except OSError:
        pass  # Linux says so at the end of what is there
    os.close(controller)
    return found.decode().replace("\x1b[1m", "").replace("\x1b[0m", "").split("\r\n")[:-1]


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal"
    write(path, *(record(identifier=f"k7q{number}" + "m" * 20) for number in range(3)))
    return path


def test_a_message_is_one_line_of_80_columns(environment, journal):
    head, *lines = on_terminal(environment, "list", "--journal", str(journal))
    assert head.split() == ["time", "id", "state", "from", "to", "attachments"]
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)
    assert [line[:22].split() for line in lines] == [["01-15", "17:00", f"k7q{number}-mmmm"] for number in range(3)]


def test_wide_shows_everything(environment, journal):
    _head, *lines = on_terminal(environment, "list", "--wide", "--journal", str(journal))
    assert len(lines) == 3
    assert lines[0].startswith("2027-01-15 17:00:00 +0900  k7q0-mmmm-mmmm-mmmm-mmmm-mmmm  held")


def test_a_time_that_is_none_stays_as_it_is():
    assert local("yesterday") == "yesterday"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_their_script_and_complete_commands_and_options(mailguard, shell):
    script = mailguard(env={"_MAILGUARD_COMPLETE": f"{shell}_source"})
    assert (script.returncode, script.stderr) == (0, b"")
    assert b"_MAILGUARD_COMPLETE" in script.stdout
    words = {
        "bash": ("COMP_WORDS", "COMP_CWORD"),
        "zsh": ("COMP_WORDS", "COMP_CWORD"),
        "fish": ("COMP_WORDS", "COMP_CWORD"),
    }
    for text, cword, expected in (("mailguard quar", "1", b"quarantine"), ("mailguard strip --sav", "2", b"--save")):
        if shell == "fish":
            cword = text.rpartition(" ")[2]  # noqa: PLW2901 (fish hands over the word itself)
        done = mailguard(
            env={"_MAILGUARD_COMPLETE": f"{shell}_complete", **dict(zip(words[shell], (text, cword), strict=True))}
        )
        assert expected in done.stdout, done


def test_a_filter_knows_nothing_of_completion(mailguard):
    done = mailguard("strip", input=MESSAGE, env={"_MAILGUARD_COMPLETE": "bash_source"})
    assert (done.returncode, b"_MAILGUARD_COMPLETE" in done.stdout) == (0, False)


def test_a_mistyped_filter_of_a_chain_gets_a_suggestion():
    with pytest.raises(ConfigurationError, match=r"quarentine is no filter; did you mean quarantine\?"):
        filters("verify | quarentine")
    with pytest.raises(ConfigurationError, match=r"sort is no filter; filters are duplicate, quarantine, "):
        filters("verify | sort")


def test_what_the_administrator_typed_is_shown_as_he_wrote_it():
    assert findings.typed("tcp://127.0.0.1:1") == "tcp://127.0.0.1:1"
    assert findings.typed("a\x1b[2J") == findings.show("a\x1b[2J")
    assert findings.show("tcp://127.0.0.1:1") == "tcp[:]//127.0.0.1:1"


def test_explain_says_which_condition_held_the_mail(mailguard):
    done = mailguard("quarantine", "--explain", "--log", "none", input=MESSAGE)
    assert done.stderr.startswith(b"reason: unauthenticated: It could not be confirmed")


def test_errors_name_the_way_on(mailguard, tmp_path):
    alone = mailguard("duplicate", input=MESSAGE).stderr
    assert b"--to is missing" in alone
    assert b"--spool is missing" in alone
    assert b"--id-only abcd" in mailguard("password", "abcd").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_told_as_whom_a_record_can_be_written(tmp_path):
    path = tmp_path / "journal"
    path.touch()
    os.chown(path, pwd.getpwnam("games").pw_uid, -1)
    with pytest.raises(ConfigurationError, match="belongs to user games: runuser -u games -- mailguard"):
        safefile.check_append(str(path))


def test_batch_says_on_a_terminal_what_it_came_to(environment, tmp_path):
    (tmp_path / "in.mbox").write_bytes(b"From a@b Thu Jan  1 00:00:00 1970\n" + MESSAGE + b"\n")
    command = ("batch", "strip --when always", str(tmp_path / "in.mbox"), "--output", str(tmp_path / "out.mbox"))
    lines = on_terminal(environment, *command, "--jobs", "1", descriptor=2)
    assert lines[-1].endswith(f"1 messages in {tmp_path}/out.mbox, 1 of them changed")
