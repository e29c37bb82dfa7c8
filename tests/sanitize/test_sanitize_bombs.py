"""Bombs, through the real program: held, with status 0, bounded time and at most 300 MB."""

from __future__ import annotations

import base64
import io
import json
import zipfile

import peak
import pytest
from bombs import BOMBS

MEGABYTES = 300
SECONDS = 60

HEAD = (
    b"From: a@example.com\nTo: b@example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=xx\n\n"
    b"--xx\nContent-Type: text/plain\n\nHello\n--xx\nContent-Type: application/octet-stream\n"
    b'Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="a.bin"\n\n'
)


def run(raw, folder, environment):
    source, target, report = folder / "in.eml", folder / "out.eml", folder / "report"
    source.write_bytes(raw)
    status, octets, seconds = peak.run(["sanitize", "--log", "none", "--json", report], source, target, environment)
    return (status, octets >> 20, seconds), target.read_bytes(), json.loads(report.read_text())


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
