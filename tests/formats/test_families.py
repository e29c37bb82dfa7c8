"""The table of families: what detection, the policy and an installation take from it, and how a format is added."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from paths import ROOT

import mailguard
from mailguard.formats import magic
from mailguard.formats.families import FAMILIES, LOOKS
from mailguard.sanitize import policy

PACKAGES = {"libarchive": "libarchive-c", "PIL": "pillow"}
"""Distributions that are named otherwise than their module."""
PAGE = ROOT / "man" / "mailguard-internals.7"
PLACES = {
    "formats/magic.py": "_MAGIC: tuple[tuple[int, bytes, str], ...] = (\n",
    "formats/extensions.py": "_ORDINARY: dict[str, str] = {\n",
    "formats/families.py": "FAMILIES = (\n",
}


@pytest.mark.parametrize("mime", sorted(LOOKS))
def test_what_looks_is_there(mime):
    module, function, _ = LOOKS[mime]
    assert callable(getattr(importlib.import_module(f"mailguard.formats.{module}"), function))


def test_a_family_is_a_folder_and_a_folder_is_a_family():
    folders = {path.parent.name for path in (Path(mailguard.__file__).parent / "formats").glob("*/__init__.py")}
    assert {family.name for family in FAMILIES} == folders


def test_the_default_policy_disarms_what_some_family_can_disarm():
    globs = {glob for family in FAMILIES for glob in family.disarms}
    for rule in policy.parse(policy.DEFAULT, "default").rules:
        if rule.action == "disarm":
            for glob in rule.types:
                types = [glob, glob.replace("*", "x.macroenabled.12")]
                assert any(fnmatchcase(mime, known) for mime in types for known in globs), glob


def test_an_installation_brings_what_the_families_need():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = {
        re.split(r"[><=]", one)[0] for one in [*project["dependencies"], *project["optional-dependencies"]["sanitize"]]
    }
    needs = {library for family in FAMILIES for library in family.needs}
    assert {PACKAGES.get(library, library) for library in needs} <= listed


def added(package):
    """Do to a copy what the manual page says."""
    text = PAGE.read_text().partition(".Sh HOW TO ADD A FORMAT")[2].partition(".Sh HOW TO ADD AN OPTION")[0]
    blocks = re.findall(r"\.Pa (formats/\S+\.py) :\n\.Bd -literal\n(.*?)\.Ed\n", text, re.DOTALL)
    for name, code in blocks:
        path = package / name
        if name in PLACES:
            source = path.read_text()
            assert PLACES[name] in source
            path.write_text(source.replace(PLACES[name], PLACES[name] + code, 1))
        else:
            path.parent.mkdir(exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(code)
    assert len(blocks) == 6


TRY = """
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Options
from mailguard.formats.families import module
from mailguard.message.content import Content
from mailguard.formats import magic
for poem in (b"POEM1 RED\\nRUN x\\n", b"POEM1 ROSES\\nRUN x\\n", b"POEM1 ROSES\\nRED\\n"):
    found = detect(Content.of(poem), ["a.poem"], "text/x-poem")
    print(found.type, found.extension, found.dangerous, module(found.type)(poem, found.type, Options()).data)
print(detect(Content.of(b"POEM1 \\xff"), [], "").dangerous)
"""


def test_a_format_is_added_as_the_manual_says(tmp_path):
    shutil.copytree(
        Path(mailguard.__file__).parent, tmp_path / "mailguard", ignore=shutil.ignore_patterns("__pycache__")
    )
    added(tmp_path / "mailguard")
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{TRY}"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.stdout.decode().splitlines() == [
        "text/x-poem poem ('script',) b'POEM1 RED\\n'",
        "text/x-poem poem ('script',) b'POEM1 ROSES\\n'",
        "text/x-poem poem () b'POEM1 ROSES\\nRED\\n'",
        "('document-unreadable',)",
    ], done.stderr.decode()


def test_every_container_has_something_that_looks_into_it():
    assert magic._CONTAINERS - {magic.ISO, magic.DISK, magic.ONENOTE} <= LOOKS.keys()
