"""The words of the families are data: TOML to everybody, read by a small reader here, and part of what is installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from paths import ROOT

import mailguard
from mailguard.formats import words

SOURCE = ROOT / "src" / "mailguard"
FAMILIES = sorted(path.parent.name for path in (SOURCE / "formats").glob("*/words.toml"))
DATA = sorted(str(path.relative_to(SOURCE)) for end in ("toml", "css") for path in SOURCE.rglob(f"*.{end}"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_words_of_a_family_are_what_toml_says(family):
    read = words.read(family)
    tables = {"": {}}
    for key, value in tomllib.loads((SOURCE / "formats" / family / "words.toml").read_text()).items():
        if isinstance(value, dict):
            tables[key] = {name: text.split() for name, text in value.items()}
        else:
            tables[""][key] = value.split()
    assert read == tables
    assert all(read.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_no_word_stands_twice_in_a_list_and_none_has_two_codes(family):
    for name, lists in words.read(family).items():
        assert all(len(set(one)) == len(one) for one in lists.values())
        if name and name != "action-keys":  # there, the keys of different actions
            assert len(words.by_word(lists)) == sum(map(len, lists.values())), name


@pytest.mark.parametrize("text", ['a = "b"\n', 'a = """x"""\n', "[a b]\n", "[[a]]\n", "a = 1\n"])
def test_what_the_reader_does_not_know_is_an_error(text, tmp_path, monkeypatch):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "words.toml").write_text(text)
    monkeypatch.setattr(words, "__file__", str(tmp_path / "words.py"))
    with pytest.raises(ValueError, match=r"toy/words\.toml"):
        words.read("toy")


def test_data_files_are_installed():
    assert FAMILIES
    installed = Path(mailguard.__file__).parent
    for name in DATA:
        assert (installed / name).read_bytes() == (SOURCE / name).read_bytes(), name
