"""Entities that we write: every reader sees one name."""

from __future__ import annotations

import email
import email.policy
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailguard.message import encoding, parameters
from mailguard.message.content import Content
from mailguard.message.entity import entity
from mailguard.message.grammar import check
from mailguard.message.tree import parse

NAMES = [
    "見積書.csv",
    "請求書 (2024年度第3四半期・改訂版) 株式会社山田製作所御中.pdf",
    "Ünïcode.txt",
    "a'b%c;d.txt",
    "x" * 200 + "あ.txt",
]


def written(name):
    return b"From: a@a.example\nMIME-Version: 1.0\n" + entity(b"data\n", "text/csv", b"\n", name=name) + b"\n"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", [email.policy.compat32, email.policy.default], ids=["compat32", "default"])
def test_the_standard_library_reads_the_name(name, policy):
    assert email.message_from_bytes(written(name), policy=policy).get_filename() == name


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=120)
    .map(str.strip)
    .filter(bool)
)
def test_there_is_one_reading_and_no_anomaly(name):
    raw = written(name)
    message = parse(raw)
    assert not check(message)
    [disposition] = message.root.field(b"content-disposition")
    assert parameters.primary_names(parameters.parse(disposition.value)) == [name]
    assert max(map(len, raw.split(b"\n"))) <= 78


@pytest.mark.parametrize("name", NAMES[:3])
def test_ripmime_saves_the_file_under_its_name(name, tmp_path):
    """It joined `filename` and `filename*0*` into one name: attachment.csv見積書.csv."""
    if shutil.which("ripmime") is None:
        pytest.skip("ripmime is not installed")
    (tmp_path / "in.eml").write_bytes(written(name))
    (tmp_path / "out").mkdir()
    command = ["ripmime", "-i", tmp_path / "in.eml", "-d", tmp_path / "out", "--no-nameless"]
    subprocess.run(command, check=True, timeout=20, stdout=subprocess.DEVNULL)
    assert not any("attachment" in path.name for path in (tmp_path / "out").iterdir())


@given(st.binary(max_size=300), st.sampled_from([b"\n", b"\r\n"]), st.integers(0, 450), st.integers(0, 450))
def test_base64_that_is_encoded_where_it_is_read_is_the_same(data, eol, start, stop):
    text = encoding.base64(data, eol=eol, trailing=0)
    lazy = encoding.Base64Text(Content.of(data), eol)
    assert (len(lazy), lazy[:], lazy[start:stop]) == (len(text), text, text[start:stop])
