"""Bombs, through the real program: held, with status 0, bounded time and at most 300 MB."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
from bombs import BOMBS
from program import PROGRAM

MEGABYTES = 300
SECONDS = 60

# A process of its own starts the program: what it reports of memory must not be that of the tests.
LAUNCH = """
import os, sys
source, target = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
actions = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, target, 1)]
_, status, used = os.wait4(os.posix_spawn(sys.argv[3], sys.argv[3:], os.environ, file_actions=actions), 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss // 1024, int(used.ru_utime + used.ru_stime))
"""
HEAD = (
    b"From: a@example.com\nTo: b@example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=xx\n\n"
    b"--xx\nContent-Type: text/plain\n\nHello\n--xx\nContent-Type: application/octet-stream\n"
    b'Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="a.bin"\n\n'
)


def run(raw, folder, environment):
    source, target, report = folder / "in.eml", folder / "out.eml", folder / "report"
    source.write_bytes(raw)
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, source, target]
    program = [PROGRAM, "sanitize", "--log", "none", "--json", report]
    done = subprocess.run(
        [*map(str, launcher), *map(str, program)],
        env=environment | {"PATH": os.environ["PATH"]}, check=True, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.stderr == ""
    return [int(number) for number in done.stdout.split()], target.read_bytes(), json.loads(report.read_text())


def test_the_quine_holds_itself():
    whole = BOMBS["zip_quine"]()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert [archive.read(member) for member in archive.infolist()] == [whole]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_held_within_bounds(bomb, tmp_path, environment):
    content = BOMBS[bomb]()
    raw = HEAD + base64.encodebytes(content) + b"--xx--\n"
    (status, megabytes, seconds), made, report = run(raw, tmp_path, environment)
    assert status == 0
    assert megabytes <= MEGABYTES
    assert seconds <= SECONDS
    assert [record["action"] for record in report["attachments"]] == ["held"]
    assert b"Hello" in made
    assert base64.encodebytes(content)[:60] not in made


def test_very_many_small_attachments_are_held_within_bounds(tmp_path, environment):
    part = b"--xx\nContent-Disposition: attachment; filename=a.txt\n\nx\n"
    raw = HEAD.partition(b"--xx\nContent-Type: application")[0] + part * 100_000 + b"--xx--\n"
    (status, megabytes, seconds), made, _ = run(raw, tmp_path, environment)
    assert (status, made != raw) == (0, True)
    assert megabytes <= MEGABYTES
    assert seconds <= SECONDS
