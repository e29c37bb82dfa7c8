"""External programs: what they see, what they may, and that nothing of them is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from program import PROGRAM

from mailguard.formats.disarmed import ProgramRefused
from mailguard.sanitize import command, process
from mailguard.sanitize import scratch as scratches
from mailguard.sanitize.command import BWRAP, NONE, Kept, Sandbox
from mailguard.sanitize.policy import Program

KINDS = pytest.mark.parametrize("kind", [BWRAP, NONE])
LARGE = bytes(range(256)) * 20_000


@pytest.fixture
def public():
    """A folder that every user may pass through (pytest's own are private to root): nothing here runs as root."""
    folder = Path(tempfile.mkdtemp(prefix="mailguard-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def scratch(public, tmp_path, monkeypatch):
    folder = public / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def need(kind):
    if kind == BWRAP and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")


def run(kind, *words, content=b"hello", **options):
    need(kind)
    return Sandbox(kind).run(Program(words, **options), content, "text/plain", "a.txt")


def refusal(kind, *words, **options):
    with pytest.raises(ProgramRefused) as caught:
        run(kind, *words, **options)
    assert caught.value.program == words[0]
    return caught.value.code


@KINDS
def test_content_goes_by_stdin_and_comes_by_stdout(kind):
    assert run(kind, "tr", "a-z", "A-Z") == b"HELLO"


@KINDS
def test_content_goes_by_a_private_file_and_comes_by_a_file(kind, scratch):
    words = ("sh", "-c", 'stat -c %a "$1"; cat - "$1" >"$2/made"', "sh", "{file}", "{scratch}")
    assert run(kind, *words, output="made") == b"hello"
    assert run(kind, "stat", "-c", "%a", "{file}") == b"600\n"
    assert list(scratch.iterdir()) == []


@KINDS
def test_a_program_that_streams_never_blocks(kind):
    assert run(kind, "cat", content=LARGE) == LARGE
    assert run(kind, "sh", "-c", "cat; yes error | head -c 1000000 >&2", content=LARGE) == LARGE


@KINDS
def test_a_program_need_not_read(kind):
    assert run(kind, "echo", "done", content=LARGE) == b"done\n"


@KINDS
def test_it_is_told_type_and_name_and_nothing_else(kind, monkeypatch):
    monkeypatch.setenv("MAILGUARD_KEY_FILE", "/secret")
    lines = set(run(kind, "env").decode().splitlines()) - {"PWD=" + os.getcwd()}
    names = {line.partition("=")[0] for line in lines}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "HOME", "LANG", "MAILGUARD_NAME", "MAILGUARD_TYPE", "PATH", "TMPDIR"
    }  # fmt: skip
    assert {"MAILGUARD_TYPE=text/plain", "MAILGUARD_NAME=a.txt"} <= lines


@KINDS
def test_the_file_has_the_extension_of_the_name(kind):
    assert run(kind, "sh", "-c", 'echo "${1##*.}"', "sh", "{file}") == b"txt\n"


def test_in_bubblewrap_there_is_no_network_no_home_and_no_capability(tmp_path):
    (tmp_path / "secret").write_text("x")
    seen = run(
        BWRAP, "sh", "-c", f"ls -d {tmp_path} /root /home /srv /var/spool /etc/shadow 2>/dev/null; cat /etc/passwd"
    )
    assert seen.decode().splitlines() == ["nobody:x:65534:65534:nobody:/scratch:/usr/sbin/nologin"]
    assert (
        run(BWRAP, "sh", "-c", "ls /sys/class/net /proc/net/dev 2>/dev/null; sed 1,2d /proc/net/dev").count(b":") <= 1
    )
    assert b"CapEff:\t0000000000000000" in run(BWRAP, "cat", "/proc/self/status")
    assert b"CapBnd:\t0000000000000000" in run(BWRAP, "cat", "/proc/self/status")


def test_in_bubblewrap_only_the_scratch_directory_can_be_written():
    script = "for d in / /usr /etc /dev/shm; do touch $d/x 2>/dev/null && echo $d; done; touch /scratch/x && echo yes"
    assert run(BWRAP, "sh", "-c", script).splitlines()[-1] == b"yes"
    assert b"/usr\n" not in run(BWRAP, "sh", "-c", script)


def test_what_the_policy_makes_visible_can_be_read_and_not_written(public):
    (public / "base").mkdir()
    (public / "base" / "list").write_text("names")
    script = f"cat {public}/base/list; touch {public}/base/x 2>/dev/null && echo written"
    assert run(BWRAP, "sh", "-c", script + "; true", visible=(f"{public}/base",)) == b"names"


@KINDS
def test_a_missing_program_is_named(kind):
    assert refusal(kind, "no-such-program") == "program-missing"


def test_without_bubblewrap_nothing_runs(monkeypatch):
    monkeypatch.setattr(command, "_PATH", "/nowhere")
    with pytest.raises(ProgramRefused) as caught:
        Sandbox(BWRAP).run(Program(["/bin/cat"]), b"x", "text/plain", "a.txt")
    assert caught.value.code == "sandbox-missing"


def test_a_sandbox_that_does_not_start_is_no_answer_of_the_program(public, monkeypatch):
    need(BWRAP)
    broken = public / "bwrap"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    sandbox = Sandbox(BWRAP)
    monkeypatch.setattr(sandbox, "_bwrap", str(broken))
    with pytest.raises(ProgramRefused) as caught:
        sandbox.run(Program(["true"], statuses={3: "keep"}), b"x", "text/plain", "a.txt")
    assert caught.value.code == "sandbox-missing"


@KINDS
def test_statuses_mean_what_the_policy_says(kind):
    assert refusal(kind, "false") == "program-failed"
    assert refusal(kind, "true") == "program-failed"
    assert refusal(kind, "sh", "-c", "exit 4", statuses={4: "hold"}) == "program-refused"
    with pytest.raises(Kept):
        run(kind, "sh", "-c", "exit 4", statuses={4: "keep"})


@KINDS
def test_no_file_is_no_result(kind):
    assert refusal(kind, "true", output="made", statuses={1: "keep"}) == "program-failed"


@KINDS
def test_a_scanner_answers_by_its_status(kind):
    need(kind)
    sandbox = Sandbox(kind)
    sandbox.check(Program(["true"]), b"x", "text/plain", "a.txt")
    sandbox.check(Program(["sh", "-c", "exit 5"], statuses={5: "keep"}), b"x", "text/plain", "a.txt")
    for status, code in ((1, "program-refused"), (2, "program-failed")):
        with pytest.raises(ProgramRefused) as caught:
            sandbox.check(Program(["sh", "-c", f"exit {status}"]), b"x", "text/plain", "a.txt")
        assert caught.value.code == code


@KINDS
def test_at_the_deadline_the_whole_group_is_killed(kind, tmp_path):
    mark = f"{os.getpid()}.5123"
    assert refusal(kind, "sh", "-c", f"sleep {mark} & sleep {mark}; wait", timeout=1) == "program-timeout"
    limit = time.monotonic() + 20
    while any(mark.encode() in _command_line(name) for name in os.listdir("/proc") if name.isdecimal()):
        assert time.monotonic() < limit


def _command_line(process):
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


@KINDS
def test_output_is_limited(kind, monkeypatch):
    monkeypatch.setattr(process, "_LARGEST_OUTPUT", 100_000)
    assert refusal(kind, "yes") == "over-limit"


@KINDS
def test_files_are_limited(kind, monkeypatch):
    monkeypatch.setattr(process, "_LARGEST_FILE", 100_000)
    assert refusal(kind, "sh", "-c", "exec head -c 1000000 /dev/zero >{scratch}/x", timeout=20) == "program-failed"


def test_what_a_kill_left_is_swept_and_what_is_in_use_is_not(scratch):
    left = scratch / "mailguard-sanitize-left"
    left.mkdir()
    (left / ".lock").touch()
    (left / "content.pdf").touch()
    fresh = scratch / "mailguard-new-fresh"
    fresh.mkdir()
    (scratch / "other").mkdir()
    with scratches.scratch(None) as used:
        scratches.sweep()
        assert os.path.isdir(used)
    assert {path.name for path in scratch.iterdir()} == {"other", "mailguard-new-fresh"}


def test_a_link_is_not_swept(scratch, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "file").touch()
    (scratch / "mailguard-sanitize-link").symlink_to(other)
    scratches.sweep()
    assert (other / "file").exists()


@KINDS
def test_a_program_that_waits_for_all_its_children_has_none(kind):
    assert run(kind, "perl", "-e", "1 while wait != -1; print 'done'") == b"done"


# After a kill


def left(mark):
    """Return the processes that have this in their command line."""
    return [name for name in os.listdir("/proc") if name.isdecimal() and mark.encode() in _command_line(name)]


def wait_for(condition):
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit


@KINDS
def test_after_a_kill_nothing_is_left_at_the_next_start(kind, environment, scratch):
    need(kind)
    mark = f"{os.getpid()}.77{len(kind)}"
    policy = scratch / "policy.toml"
    raw = b"Subject: x\nContent-Type: application/pdf; name=a.pdf\n\n%PDF-1.4\n"
    command = [PROGRAM, "sanitize", "--log", "none", "--sandbox", kind, "--rules", str(policy)]
    temporary = scratch / "tmp"
    temporary.mkdir()
    environment = environment | {"TMPDIR": str(temporary)}
    policy.write_text(f'[[rule]]\naction = "command"\ncommand = ["sh", "-c", "sleep {mark}; cat"]\n')
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
    process.stdin.write(raw)
    process.stdin.close()
    wait_for(lambda: any(b"sleep\0" in _command_line(name) for name in left(mark)))
    process.kill()
    process.wait(120)
    assert kind == BWRAP or [path.name for path in temporary.iterdir()] != []
    wait_for(lambda: not left(mark))
    policy.write_text('[[rule]]\naction = "command"\ncommand = ["cat"]\n')
    assert (
        subprocess.run(command, input=raw, capture_output=True, env=environment, check=False, timeout=120).returncode
        == 0
    )
    assert list(temporary.iterdir()) == []


CLAMSCAN = "/scratch/content.bin: Win.Test.EICAR_HDB-1 FOUND"
SUMMARY = "----------- SCAN SUMMARY -----------"
WARNING = "LibClamAV Warning: File size limit exceeded"


@pytest.mark.parametrize(
    ("output", "errors", "find"),
    [
        ([CLAMSCAN, "", SUMMARY], [WARNING], "Win.Test.EICAR_HDB-1"),
        ([WARNING, CLAMSCAN], [], "Win.Test.EICAR_HDB-1"),
        ([SUMMARY], [WARNING, CLAMSCAN], "Win.Test.EICAR_HDB-1"),
        (["Threat: Emotet"], [WARNING], "Threat: Emotet"),
        ([], ["Threat: Emotet"], "Threat: Emotet"),
    ],
)
def test_a_scanner_is_quoted_with_what_it_found_and_not_with_its_first_warning(output, errors, find):
    """clamscan writes its warnings to stderr, and what it found to stdout."""
    script = "".join(f"echo '{line}'; " for line in output) + "".join(f"echo '{line}' >&2; " for line in errors)
    with pytest.raises(ProgramRefused) as refused:
        Sandbox("none").check(Program(["sh", "-c", script + "exit 1"]), b"x", "text/plain", "a.txt")
    assert (refused.value.code, refused.value.said.strip()) == ("program-refused", find)


def test_a_scanner_that_fails_is_quoted_with_its_complaint():
    with pytest.raises(ProgramRefused) as refused:
        Sandbox("none").check(Program(["sh", "-c", "echo broken >&2; exit 2"]), b"x", "text/plain", "a.txt")
    assert refused.value.said.strip() == "broken"
