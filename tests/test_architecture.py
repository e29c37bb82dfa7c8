"""The shape of the code: what may import what, what a filter may load, how long things may get."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
from loaded_modules import LOADED
from paths import ROOT, TESTS

import mailguard as package
from mailguard.commands import FILTERS, ORDINARY

SOURCE = Path(package.__file__).parent
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))

NAMES = {".".join(["mailguard", *path.with_suffix("").parts]).removesuffix(".__init__"): path for path in MODULES}

MAP = (ROOT / "man" / "mailguard-internals.7").read_text()
ORDER = [
    name.rstrip("/").removesuffix(".py")
    for items in re.findall(r"^\.It Pa (.*)$", MAP.partition(".Sh THE START")[0], re.MULTILINE)
    for name in items.split(" , ")
] + ["__main__"]
"""All rooms as the map of the code lists them; a module imports from its own room and from those before it."""
VERBS = {"verify", "quarantine", "sanitize", "strip", "duplicate", "release", "unseal"}
DOWNWARDS = {("cli", "__main__")}
"""The daemon's command starts the program itself, once for each message."""

TAKEN = {"steps", "rules", "signature", "signatures", "selection", "examination", "found"}
"""Words that meant several things each; the page of words in the map of the code says what they are called."""
SAME_NAME = {
    "Change": "of a part of a message; of a zone",
    "Settings": "of a filter; of a diagnosis",
    "Stage": "of a chain; of a rehearsal",
}
"""Classes that share their name with one of another room, which neither ever meets."""

HEAVY = {
    "asyncio", "cryptography", "dataclasses", "dkim", "dns", "email", "html", "http", "json", "logging", "magic",
    "multiprocessing", "pathlib", "publicsuffixlist", "pybase64", "pyzipper", "rich", "socket", "spf", "ssl",
    "subprocess", "tempfile", "tomllib", "traceback", "urllib", "xml", "zipfile",
}  # fmt: skip
"""What a filter must not load for plain mail; each costs a part of the start."""

OWN_HEAVY = {"capsule", "correspondence", "passwords", "delivery", "dns", "journal", "safefile"}


def room(path):
    """The module or package directly under mailguard."""
    return path.parts[0].removesuffix(".py")


def imported(path):
    """Yield the modules of mailguard that a module imports, wherever in it; `if TYPE_CHECKING` is no import."""
    tree = ast.parse((SOURCE / path).read_text())
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            skipped.update(map(id, ast.walk(node)))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("mailguard."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mailguard":
            members = (f"{node.module}.{name.name}" for name in node.names)
            yield from {member if member in NAMES else node.module for member in members}


def imports(path):
    """Yield the rooms of mailguard that a module imports."""
    return (name.split(".")[1] for name in imported(path) if "." in name)


def test_no_modules_import_each_other_in_a_circle():
    """Imports in functions count: a reader follows them too."""
    waiting = {name: set(imported(path)) - {name} for name, path in NAMES.items()}
    while ready := [name for name, others in waiting.items() if not others & waiting.keys()]:
        for name in ready:
            del waiting[name]
    # What is left is in a circle or stands upon one; of these, what nobody else who is left needs only stands upon it.
    while outer := [name for name in waiting if not any(name in others for others in waiting.values())]:
        for name in outer:
            del waiting[name]
    assert not waiting


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) != "__init__"], ids=str)
def test_imports_point_upwards_in_the_map_of_the_code(path):
    here = room(path)
    for name in set(imports(path)) - {here}:
        assert ORDER.index(name) < ORDER.index(here) or (here, name) in DOWNWARDS, f"{path} imports {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) in VERBS], ids=str)
def test_verbs_never_import_each_other(path):
    assert not (set(imports(path)) & VERBS) - {room(path)}


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "errors.py"], ids=str)
def test_only_one_module_knows_the_numbers_of_failure(path):
    text = (SOURCE / path).read_text()
    assert "EX_" not in text
    assert not re.search(r"exit\((?!0\))[0-9]", text)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_files_and_functions_can_be_read_in_one_sitting(path):
    text = (SOURCE / path).read_text()
    assert text.count("\n") <= 420
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


def test_functions_are_short():
    lengths = sorted(
        node.end_lineno - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse((SOURCE / path).read_text()))
        if isinstance(node, ast.FunctionDef)
    )
    assert lengths[len(lengths) // 2] <= 10
    assert lengths[len(lengths) * 9 // 10] <= 30


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=str)
def test_code_stands_in_named_modules(path):
    """A package says what it is for and, where that helps its callers, which names of its members are its face."""
    for node in ast.parse((SOURCE / path).read_text()).body[1:]:
        kind, text = type(node).__name__, ast.unparse(node)
        own = text.startswith(f"from mailguard.{'.'.join(path.parts[:-1])}.")
        only_names = kind == "If" and all(isinstance(one, ast.ImportFrom) for one in node.body)
        assert own or only_names or text.startswith(("__all__ = ", "TYPE_CHECKING = ")), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_module_is_a_drawer_for_anything(path):
    assert not {"utils", "util", "helpers", "common", "manager", "base", "misc"} & {*path.parts, path.stem}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_module_goes_by_a_word_of_several_meanings(path):
    nodes = (node for node in ast.walk(ast.parse((SOURCE / path).read_text())) if isinstance(node, ast.ImportFrom))
    aliases = {str(name.asname).lower() for node in nodes for name in node.names}
    assert not aliases & TAKEN


def test_one_name_is_one_class():
    places = {}
    for path in MODULES:
        for node in ast.walk(ast.parse((SOURCE / path).read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path))
    shared = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert shared.keys() == SAME_NAME.keys(), shared


@pytest.mark.parametrize("name", sorted(FILTERS | ORDINARY))
def test_every_command_is_a_module_that_exports_it(name):
    tree = ast.parse((SOURCE / "cli" / f"{name}.py").read_text())
    [command] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "command"]
    assert ast.get_docstring(command)


@pytest.mark.parametrize("verb", ["quarantine", "sanitize", "strip"])
def test_a_filter_loads_nothing_heavy_for_plain_mail(mailguard, verb):
    raw = b"From: a@example.com\nSubject: plain\nContent-Type: text/plain; charset=utf-8\n\nText\n"
    # The size must be converted, so click is needed; without it there is test_launch.py.
    script = LOADED.format(verb=verb, more=["--larger-than", "1k"])
    process = mailguard("-I", "-c", script, program=(sys.executable,), input=raw)
    assert (process.returncode, process.stdout) == (0, raw)
    loaded = process.stderr.decode().split()
    assert "click" in loaded
    bare = mailguard("-I", "-c", "import sys, click; print(*sys.modules)", program=(sys.executable,))
    extra = set(loaded) - set(bare.stdout.decode().split())
    assert not {name for name in extra if name.split(".")[0] in HEAVY}
    assert not {name for name in extra if name.startswith("mailguard.") and name.split(".")[1] in OWN_HEAVY}


def test_no_pattern_has_a_possessive_or_atomic_group():
    """CPython 3.11 before 3.11.5, which Debian 12 has, matches them wrongly (gh-106052); single characters are fine."""
    group = re.compile(r"\)(?:[*+?]|\{[0-9,]*\})\+|\(\?>")
    found = [
        f"{path.name}:{number}"
        for path in SOURCE.rglob("*.py")
        for number, line in enumerate(path.read_text().split("\n"), 1)
        if group.search(line)
    ]
    assert found == []


def _waits_for_ever(call):
    """Whether a call of a test may wait for another program, and says nothing of how long."""
    name = ast.unparse(call.func)
    given = {keyword.arg for keyword in call.keywords}
    if given & {"timeout", None}:
        return False
    if name in {f"subprocess.{verb}" for verb in ("run", "call", "check_call", "check_output")} | {"urlopen"}:
        return True
    if name.startswith("smtplib.SMTP") and name.count(".") == 1:
        return True
    return name.endswith(".communicate") or (name.endswith((".wait", ".create_connection")) and len(call.args) < 1)


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_waits_for_ever(path):
    """A deadline for each wait on another program; the limit of pyproject.toml for each test is the net below."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert [call.lineno for call in calls if _waits_for_ever(call)] == []


def test_no_test_imports_another_test():
    """What several share is in tests/support."""
    pattern = re.compile(r"^\s*(?:from|import) test_", re.MULTILINE)
    found = {path.name for path in TESTS.rglob("*.py") if pattern.search(path.read_text())}
    assert not found


def test_only_one_module_knows_what_the_extension_of_a_file_name_is():
    """Domain names and modules have dots too; the rooms that handle attachments ask `filename`."""
    pattern = re.compile(r"r?partition\(b?\"\.\"\)|splitext")
    rooms = {
        "message",
        "capsule",
        "formats",
        "parts",
        "sanitize",
        "quarantine",
        "strip",
        "outcome",
    }
    found = {str(path) for path in MODULES if room(path) in rooms and pattern.search((SOURCE / path).read_text())}
    assert found == {"capsule/names.py"}  # Windows takes "com1.txt" for a device: it looks before the first dot


LONG = 120
"""Characters of a pattern from which on nobody sees what it is for."""


def long_patterns():
    """(path and line, the lines of the statement and three before it) of each long pattern of a module."""
    for path in MODULES:
        lines = (SOURCE / path).read_text().split("\n")
        for node in ast.parse("\n".join(lines)).body:
            calls = [
                one for one in ast.walk(node) if isinstance(one, ast.Call) and ast.unparse(one.func) == "re.compile"
            ]
            texts = [one for call in calls for one in ast.walk(call) if isinstance(one, ast.Constant)]
            if any(isinstance(one.value, (str, bytes)) and len(one.value) > LONG for one in texts):
                yield f"{path}:{node.lineno}", lines[max(node.lineno - 4, 0) : node.end_lineno + 1]


@pytest.mark.parametrize(("place", "lines"), [pytest.param(*one, id=one[0]) for one in long_patterns()])
def test_a_long_pattern_says_why_it_is_there(place, lines):
    """The program and version, the paper, the section of a standard: without it nobody can maintain it."""
    assert any("#" in line or '"""' in line for line in lines), place
