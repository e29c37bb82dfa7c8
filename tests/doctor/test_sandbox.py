"""The program that tries to break out: it stays inside, and where a wall is missing it says so."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys

import pytest

from mailguard.doctor import escape, sandbox
from mailguard.doctor.row import FAILURE, GOOD, WARNING, Setup
from mailguard.formats.disarmed import ProgramRefused
from mailguard.sanitize import account, bubblewrap, command, syscalls
from mailguard.sanitize.bubblewrap import Exposed, hidden
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import Program

EVERYTHING = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)
"""A filter that allows each call."""


@pytest.fixture(autouse=True)
def _installed():
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")


def told(setup=None):
    return [(row.state, row.what) for row in sandbox.escapes(setup or Setup())]


def without(monkeypatch, *words):
    """Take options of bubblewrap away, with their operands."""
    given = bubblewrap.options

    def options(*arguments):
        text = "\0".join(given(*arguments))
        assert words[0] in text
        return text.replace("\0".join(words) + "\0", "").split("\0")

    monkeypatch.setattr(bubblewrap, "options", options)


def test_a_program_reaches_nothing():
    ((state, what),) = told()
    assert state == GOOD
    assert "69 system calls" in what or os.uname().machine != "x86_64"


def test_without_the_filter_of_calls_they_reach_the_kernel(monkeypatch):
    monkeypatch.setattr(syscalls, "program", lambda machine: EVERYTHING)
    found = [what for state, what in told() if state == FAILURE]
    assert "a program in it gets out: it can make a socket for IPv4" in found
    assert "a program in it gets out: the kernel takes the system call ptrace" in found
    assert "a program in it gets out: the kernel takes the system call io_uring_setup" in found


def test_without_both_walls_a_namespace_can_be_made(monkeypatch):
    monkeypatch.setattr(syscalls, "program", lambda machine: EVERYTHING)
    without(monkeypatch, "--disable-userns")
    assert (FAILURE, "a program in it gets out: it can make a user namespace of its own") in told()


def test_with_the_network_of_the_machine_a_port_is_reached(monkeypatch):
    monkeypatch.setattr(syscalls, "program", lambda machine: EVERYTHING)
    given = bubblewrap.options
    monkeypatch.setattr(bubblewrap, "options", lambda *arguments: [*given(*arguments), "--share-net"])
    assert (FAILURE, "a program in it gets out: it reaches a port of this machine") in told()


def test_a_root_that_stays_open_is_found(monkeypatch):
    monkeypatch.setattr(bubblewrap, "closed", tuple)
    found = {what.rpartition(" ")[2] for state, what in told() if state == FAILURE}
    assert {"/", "/dev", "/etc"} <= found


def test_a_key_that_can_be_seen_is_found(monkeypatch):
    seen = Setup(key_file="/usr/bin/env")
    monkeypatch.setattr(bubblewrap, "hidden", lambda *_: [])
    assert (FAILURE, "a program in it gets out: it sees /usr/bin/env") in told(seen)


def test_processes_that_are_large_together_are_found(monkeypatch):
    monkeypatch.setattr(account, "held", lambda *_: 0)
    ((state, what),) = told()
    assert (state, what.partition(": ")[2]) == (FAILURE, "its processes together hold more memory than one may")


def test_outside_of_a_sandbox_nearly_everything_is_reached(tmp_path):
    secret = tmp_path / "key"
    secret.touch()
    mark = f"mailguard-doctor-{os.urandom(8).hex()}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        calls = {name: sandbox._calls(syscalls.machine())[name] for name in ("ptrace", "io_uring_setup", "clone3")}
        task = {"port": server.getsockname()[1], "secrets": [str(secret)], "mark": mark, "calls": calls}
        words = [sys.executable, "-I", "-S", escape.__file__, "escape", json.dumps(task)]
        said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert "it reaches a port of this machine" in said
    assert f"it sees {secret}" in said
    assert "the kernel takes the system call ptrace" in said
    assert said[-1] == "done"
    processes = [name for name in os.listdir("/proc") if name.isdecimal()]
    left = [int(name) for name in processes if mark.encode() in sandbox._command_line(name)]
    assert left
    for process in left:
        os.kill(process, 9)


def test_without_a_list_of_calls_nothing_runs(monkeypatch):
    monkeypatch.setattr(syscalls, "machine", lambda: None)
    with pytest.raises(ProgramRefused) as caught:
        Sandbox().run(Program(["cat"]), b"x", "text/plain", "a.txt")
    assert caught.value.code == "sandbox-missing"
    assert [state for state, _ in told()] == [WARNING]


# What is hidden


def test_the_folder_of_a_key_is_covered_wherever_it_lies(tmp_path):
    base = tmp_path / "base"
    (base / "site").mkdir(parents=True)
    key = base / "site/key"
    key.touch()
    (tmp_path / "other").symlink_to(base)
    assert f"{base}/site" in hidden([str(base)], [str(key)])
    assert f"{tmp_path}/other/site" in hidden([f"{tmp_path}/other"], [str(key)])
    (tmp_path / "link").symlink_to(key)
    assert f"{base}/site" in hidden([str(base)], [f"{tmp_path}/link"])
    assert f"{base}/site" not in hidden([str(base)], [f"{base}/site/no-such-file"])
    assert f"{base}/site" not in hidden(["/etc/fonts"], [str(key)])
    assert f"{base}/site" not in hidden([f"{base}/sit"], [str(key)])


@pytest.mark.parametrize("visible", ["base/site", "base/site/key"])
def test_a_key_that_cannot_be_covered_is_refused(tmp_path, visible):
    (tmp_path / "base/site").mkdir(parents=True)
    key = tmp_path / "base/site/key"
    key.touch()
    with pytest.raises(Exposed):
        hidden([f"{tmp_path}/{visible}"], [str(key)])
    with pytest.raises(ProgramRefused) as caught:
        Sandbox(secrets=[str(key)]).run(
            Program(["cat"], visible=[f"{tmp_path}/{visible}"]), b"x", "text/plain", "a.txt"
        )
    assert caught.value.code == "sandbox-missing"
    assert "lies in" in caught.value.said


def test_what_a_site_keeps_below_usr_is_not_seen():
    places = [path for path in bubblewrap._HIDDEN if os.path.isdir(path) and not os.path.islink(path)]
    assert "/usr/local/etc" in places
    words = ["sh", "-c", f"ls -A {' '.join(places)} | grep -v : | grep . ; echo end"]
    assert Sandbox().run(Program(words), b"", "text/plain", "a.txt") == b"end\n"


# Nothing runs as root


@pytest.mark.parametrize("kind", [command.BWRAP, command.NONE])
def test_no_program_runs_as_root(kind):
    said = Sandbox(kind).run(Program(["sh", "-c", "id -u; id -g; id -G"]), b"", "text/plain", "a.txt").split()
    expected = b"65534" if os.geteuid() == 0 else str(os.geteuid()).encode()
    assert said[0] == expected
    assert b"0" not in said


@pytest.mark.parametrize("kind", [command.BWRAP, command.NONE])
def test_a_root_that_cannot_become_another_user_runs_nothing(kind, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("mailguard.sanitize.process.subprocess.Popen", refused)
    with pytest.raises(ProgramRefused) as caught:
        Sandbox(kind).run(Program(["cat"]), b"x", "text/plain", "a.txt")
    assert caught.value.code == "sandbox-missing"


@pytest.mark.parametrize("kind", [command.BWRAP, command.NONE])
def test_many_processes_have_one_limit(kind):
    script = "for i in 1 2 3 4 5 6; do head -c 60000000 /dev/zero | tail & done; wait"
    with pytest.raises(ProgramRefused) as caught:
        Sandbox(kind, memory=100 << 20).run(Program(["sh", "-c", script]), b"", "text/plain", "a.txt")
    assert caught.value.code == "program-memory"


def test_files_in_memory_count():
    script = "head -c 90000000 /dev/zero >/tmp/a; head -c 90000000 /dev/zero >/scratch/b; sleep 1; echo done"
    with pytest.raises(ProgramRefused) as caught:
        Sandbox(memory=100 << 20).run(Program(["sh", "-c", script]), b"", "text/plain", "a.txt")
    assert caught.value.code == "program-memory"
    assert Sandbox(memory=400 << 20).run(Program(["sh", "-c", script]), b"", "text/plain", "a.txt") == b"done\n"


def test_a_sandbox_fits_into_the_machine_and_the_unit(monkeypatch):
    files = {
        "/proc/self/cgroup": b"4:memory:/x\n0::/system.slice/mailguard-milter.service\n",
        "/sys/fs/cgroup/system.slice/mailguard-milter.service/memory.max": b"max\n",
        "/sys/fs/cgroup/system.slice/memory.max": b"400000000\n",
    }
    monkeypatch.setattr(account, "_content", lambda path: files.get(path, b""))
    assert account.limit() == 300_000_000
    files["/proc/self/cgroup"] = b""
    assert account.limit() == min(3 << 30, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4)


def test_more_processes_than_any_converter_needs_are_everything():
    script = "i=0; while [ $i -lt 300 ]; do sleep 20 & i=$((i+1)); done; wait"
    with pytest.raises(ProgramRefused) as caught:
        Sandbox().run(Program(["sh", "-c", script]), b"", "text/plain", "a.txt")
    assert caught.value.code == "program-memory"
