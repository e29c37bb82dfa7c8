"""What the manual pages, the README and the examples say is true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from paths import ROOT

import mailguard
from mailguard.cli.group import mailguard as program
from mailguard.commands import FILTERS, ORDINARY
from mailguard.formats import codes
from mailguard.pipeline import parse
from mailguard.sanitize.policy import DEFAULT

MAN = ROOT / "man"
PAGES = sorted(MAN.glob("*.[1-8]"))
EXAMPLES = [file for file in sorted((ROOT / "examples").rglob("*")) if file.is_file()]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def documented(page: str) -> set[str]:
    """The options that a page describes, as they are typed."""
    items = re.findall(r"^\.It (Fl -.*)$", (MAN / page).read_text(), re.MULTILINE)
    return {f"-{option}" for item in items for option in re.findall(r"Fl (-[a-z-]+)", item)}


def options(name: str) -> set[str]:
    """The options that a command takes, --help aside, which all have."""
    command = program.get_command(None, name)
    commands = [command, *getattr(command, "commands", {}).values()]
    named = [each for one in commands for each in one.params if each.param_type_name == "option"]
    return {option for each in named for option in (*each.opts, *each.secondary_opts)}


COMMON = documented("mailguard.1") - {"--version", "--help"}


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_every_option_of_a_filter_is_in_its_page_or_among_those_of_all_filters(name):
    assert documented(f"mailguard-{name}.1") == options(name) - COMMON
    assert options(name) >= COMMON


@pytest.mark.parametrize("name", sorted(ORDINARY))
def test_every_option_of_a_command_is_in_its_page(name):
    assert documented(f"mailguard-{name}.1") == options(name)


def test_every_page_of_a_command_is_one_of_a_command_that_exists():
    commands = {page.stem.removeprefix("mailguard-") for page in MAN.glob("mailguard-*.1")}
    assert commands == set(FILTERS | ORDINARY)


def test_every_code_of_sanitize_is_in_its_page():
    items = re.findall(r"^\.It Li ([a-z-]+)$", (MAN / "mailguard-sanitize.1").read_text(), re.MULTILINE)
    assert items == [*sorted(codes.REMOVED), *sorted(codes.REFUSALS)]


def test_the_page_of_sanitize_shows_the_policy_that_is_built_in():
    assert f".Bd -literal -offset indent\n{DEFAULT}.Ed\n" in (MAN / "mailguard-sanitize.1").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_no_complaint(page):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    result = subprocess.run(["mandoc", "-T", "lint", page], capture_output=True, text=True, check=False, timeout=120)
    complaints = (result.stdout + result.stderr).splitlines()
    ours = {each.stem for each in PAGES}
    # What is not installed here is found in man/, or belongs to another package.
    elsewhere = re.compile(r"(?:referenced manual not found: Xr |outdated mandoc\.db lacks )([a-z.-]+)")
    complaints = [
        line
        for line in complaints
        if not ((found := elsewhere.search(line)) and (found[1] in ours or not found[1].startswith("mailguard")))
    ]
    assert not complaints


def test_every_page_is_installed_where_man_looks():
    shared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert shared["shared-data"] == {
        f"man/{page.name}": f"share/man/man{page.suffix[1:]}/{page.name}" for page in PAGES
    }


def test_the_map_of_the_code_names_every_module_and_no_other():
    items = re.findall(r"^\.It Pa (.*)$", (MAN / "mailguard-internals.7").read_text(), re.MULTILINE)
    named = {name.rstrip("/") for item in items for name in item.split(" , ")}
    entries = [entry.name for entry in Path(mailguard.__file__).parent.iterdir()]
    assert named == {name for name in entries if not name.startswith("__") and name != "py.typed"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.name)
def test_every_example_is_used_by_a_test(example):
    tests = "\n".join(file.read_text() for file in sorted((ROOT / "tests").rglob("*.py")))
    assert f'"{example.relative_to(ROOT / "examples").as_posix()}"' in tests


@pytest.mark.parametrize("script", [each for each in EXAMPLES if each.suffix == ".sh"], ids=lambda file: file.name)
def test_the_shell_reads_every_script(script):
    subprocess.run(["sh", "-n", script], check=True, timeout=120)
    assert os.access(script, os.X_OK)


def used(text: str) -> list[list[str]]:
    """The words of each use of mailguard in an example or a block of the README."""
    text = re.sub(r"\\\n\s*", " ", text)
    pipelines = re.findall(r"(?<![\w./-])mailguard (?:run|batch|milter) [^'\n]*'([^'\n]*)'", text)
    lines = re.sub(r"'[^'\n]*'", "", text).splitlines()
    return [words for pipeline in pipelines for words in parse(pipeline, FILTERS)] + [
        re.split(r"[|<>;)]", use)[0].split()
        for line in lines
        if not line.lstrip().startswith("#")
        for use in re.findall(r"(?<![\w./-])mailguard ([a-z]+(?: [^\n\"]*)?)", line)
    ]


@pytest.mark.parametrize(
    "text", [README, *(each.read_text() for each in EXAMPLES)], ids=["README", *map(str, EXAMPLES)]
)
def test_every_command_and_option_that_is_shown_exists(text):
    for name, *words in used(text):
        if name in FILTERS or name in ORDINARY:
            shown = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert shown - {"--help"} <= options(name), name


def test_every_file_that_the_readme_names_is_there():
    named = set(re.findall(r"\b((?:examples|man|tests)/[\w./-]*\w)", README))
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_recipe_of_the_readme_is_that_of_the_example():
    (recipe,) = re.findall(r"^```\n(:0fw\n.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = (ROOT / "examples" / "procmailrc").read_text().splitlines()
    assert recipe in "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


@pytest.mark.timeout(1000)  # it installs everything that mailguard needs
@pytest.mark.e2e
def test_the_demo_sets_up_an_environment_of_its_own_and_gets_the_original_back(tmp_path):
    result = subprocess.run(
        ["sh", ROOT / "examples" / "demo.sh"],
        env=os.environ | {"VENV": str(tmp_path / "venv")},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("The original is back, byte for byte.\n")


def test_the_short_demos_of_the_readme_work_as_they_stand(tmp_path):
    demos = [block for block in BLOCKS if "mailguard release" in block]
    assert demos[0].startswith("mailguard init\n")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LC_ALL": "C",
    }
    (tmp_path / "message").write_bytes(b"Content-Type: application/pdf; name=a.js\n\nshell.Run()\n")
    for demo in demos:
        (tmp_path / "original").unlink(missing_ok=True)
        subprocess.run(
            ["sh", "-e"],
            input=demo.encode(),
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
            timeout=120,
        )
        assert (tmp_path / "original").read_bytes() == (tmp_path / "message").read_bytes()
