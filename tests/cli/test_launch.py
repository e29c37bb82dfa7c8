"""How the program starts: from where it may take code, and that simple command lines mean what they mean to click."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from loaded_modules import LOADED
from message_generators import anything
from plain_mails import PLAIN
from program import PROGRAM

from mailguard import log
from mailguard.cli import simple, table
from mailguard.cli.group import mailguard as program
from mailguard.message import header
from mailguard.message.plain import is_plain

SIMPLE = ("quarantine", "sanitize", "strip")
ASKED_BEFORE_THE_MAIL = {"link", "notice_template", "password_file", "rules"}
"""Options that are judged, or whose files are read, whatever the mail is."""


def kind(option: click.Option):
    """How the table describes an option; None for one that is left to click."""
    if option.callback or option.is_eager or option.name in ASKED_BEFORE_THE_MAIL:
        return None
    if isinstance(option.type, click.Choice):
        return None if option.multiple else tuple(option.type.choices)
    if option.type is click.STRING:
        return "many" if option.multiple else "one"
    return None


def generated() -> str:
    options, defaults = {}, {}
    for verb in SIMPLE:
        rows, values = options.setdefault(verb, {}), defaults.setdefault(verb, {})
        for option in program.get_command(None, verb).params:
            if option.is_bool_flag and not option.callback:
                rows |= dict.fromkeys(option.opts, (option.name, True))
                rows |= dict.fromkeys(option.secondary_opts, (option.name, False))
            elif kind(option):
                rows |= {name: (option.name, kind(option)) for name in option.opts}
            else:
                continue
            default = option.get_default(click.Context(click.Command(verb)))
            values[option.name] = () if option.multiple else default if isinstance(default, str | bool) else None
    return HEAD + "".join(
        f"\n{name} = {formatted(value)}\n" for name, value in zip(NAMES, (options, defaults), strict=True)
    )


HEAD = '''"""The simple options of filters; generated from the click commands by `pytest tests/test_launch.py --accept`."""

# fmt: off
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
'''
NAMES = ("OPTIONS: dict[str, dict[str, tuple[str, Any]]]", "DEFAULTS: dict[str, dict[str, Any]]")


def formatted(value: dict) -> str:
    lines = [
        f"    {verb!r}: {{\n"
        + "".join(f"        {name!r}: {row!r},\n" for name, row in sorted(rows.items()))
        + "    },\n"
        for verb, rows in value.items()
    ]
    return "{\n" + "".join(lines).replace("'", '"') + "}"


def test_the_table_of_simple_options_is_that_of_the_commands(request):
    path = Path(table.__file__)
    if request.config.getoption("--accept"):
        path.write_text(generated())
    assert path.read_text() == generated()


# Where code comes from

MAIL = b"From: a@example.com\nMessage-ID: <1@example.com>\nSubject: plain\n\nText\n"


@pytest.fixture
def trap(tmp_path):
    """A folder with modules that would show that they were imported."""
    for name in ("site", "os", "mailguard", "click", "time", "usercustomize", "sitecustomize", "hashlib"):
        (tmp_path / f"{name}.py").write_text("import posix; posix.write(2, b'trapped'); posix._exit(1)")
    return tmp_path


@pytest.mark.parametrize("arguments", [["--dry-run"], ["--larger-than", "1k"]], ids=["simple", "click"])
def test_neither_folder_nor_environment_puts_code_in_the_way_of_mail(mailguard, trap, arguments):
    variables = {"PYTHONPATH": str(trap), "PYTHONSTARTUP": str(trap / "os.py"), "PYTHONHOME": str(trap)}
    done = mailguard("strip", "--log", "none", *arguments, input=MAIL, cwd=trap, env=variables)
    assert (done.returncode, done.stdout, done.stderr) == (0, MAIL, b"")


def test_the_program_is_found_through_a_link_and_through_the_path(mailguard, tmp_path):
    (tmp_path / "filter").symlink_to(PROGRAM)
    for name in (tmp_path / "filter", "filter"):
        done = mailguard(
            "strip", "--log", "none", program=(name,), input=MAIL, env={"PATH": f"{tmp_path}:/bin:/usr/bin"}
        )
        assert (done.returncode, done.stdout) == (0, MAIL), done.stderr


def test_without_its_python_mail_waits(mailguard, tmp_path):
    shutil.copy(PROGRAM, tmp_path / "mailguard")
    (tmp_path.parent / "pyvenv.cfg").unlink(missing_ok=True)
    done = mailguard("strip", program=(tmp_path / "mailguard",), input=MAIL)
    assert (done.returncode, done.stdout) == (75, b"")
    assert done.stderr.startswith(b"4.3.5 mailguard: there is no Python beside ")


@pytest.mark.parametrize("fault", ["python", "package", "descriptors"])
def test_a_program_that_cannot_start_lets_mail_wait(mailguard, tmp_path, fault):
    """A disk that fails, or a half-done installation: 127 and a traceback with 1 bounce mail."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").touch()
    shutil.copy(PROGRAM, tmp_path / "bin")
    if fault == "python":
        (tmp_path / "bin/python3").write_bytes(b"\x7fELF")
        (tmp_path / "bin/python3").chmod(0o755)
    else:
        (tmp_path / "bin/python3").symlink_to(sys.executable)
        package = tmp_path / "lib/python{}.{}/site-packages/mailguard".format(*sys.version_info)
        package.mkdir(parents=True)
        if fault == "package":  # a folder where a file should be is an error of reading, EISDIR
            (package / "__init__.py").symlink_to("__init__.py")
        else:
            (package / "__init__.py").write_text("raise OSError(24, 'Too many open files')\n")
    done = mailguard("strip", program=(tmp_path / "bin/mailguard",), input=MAIL)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (75, b"", 1)


def test_a_folder_as_input_is_deferred_before_python_can_fail(mailguard, tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    done = mailguard("strip", stdin=descriptor)
    os.close(descriptor)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (75, b"", 1)


@pytest.mark.parametrize("verb", ["sanitize", "strip"])
def test_a_simple_call_on_plain_mail_loads_next_to_nothing(mailguard, verb):
    bare = mailguard("-I", "-S", "-c", "import sys, os; print(*sys.modules)", program=(sys.executable,)).stdout
    source = str(Path(simple.__file__).parents[2])
    script = f"import sys; sys.path.append({source!r})\n{LOADED.format(verb=verb, more=[])}"
    done = mailguard("-I", "-S", "-c", script, program=(sys.executable,), input=MAIL)
    assert (done.returncode, done.stdout) == (0, MAIL)
    extra = set(done.stderr.decode().split()) - set(bare.decode().split())
    assert {name for name in extra if not name.startswith("mailguard")} <= {"__future__", "gc", "time", "_signal"}
    assert len(extra) <= 22


PIECES = st.sampled_from(
    [b"Message-ID", b"message-id", b":", b"\n", b"\r\n", b"\r", b" ", b"\t", b"<1@a>", b"From ", b"X: y\n", b"\n "]
)


@given(st.lists(PIECES, max_size=14).map(b"".join))
def test_the_log_reads_the_message_id_as_the_header_does(raw):
    start = raw.find(b"\n") + 1 if raw.startswith(b"From ") else 0
    fields = header.fields(raw, start, header.end(raw, start, len(raw))[0])
    assert log.message_id(raw) == next((each.unfolded for each in fields if each.name == b"message-id"), b"")


# What simple command lines mean

WORDS = st.sampled_from(
    [*sorted({name for rows in table.OPTIONS.values() for name in rows}), "--now", "--larger-than", "--json", "--save",
     "--link", "--rules", "--password-file", "--notice-template", "--config", "-h", "--", "surplus", "--nope"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["", "-", "--", "none", "stderr", "log", "always", "suspicious", "ja", "both", "json", "text", "bwrap", "x y", "=",
     "--log", "10k", "1.5.5", "a@example.com", "<>", "unknown", "*.exe", "2026-01-31T09:00:00+09:00", "b@例え.jp", "key"]
)  # fmt: skip
ARGUMENT = st.one_of(
    WORDS.map(lambda word: [word]),
    st.tuples(WORDS, VALUES).map(list),
    st.tuples(WORDS, VALUES).map(lambda pair: ["=".join(pair)]),
)


@st.composite
def command_lines(draw):
    return [draw(st.sampled_from(SIMPLE)), *chain.from_iterable(draw(st.lists(ARGUMENT, max_size=4)))]


@settings(max_examples=400, deadline=None)
@given(command_lines())
def test_what_is_simple_has_the_values_that_click_gives(arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", "/nonexistent")
        values = simple.parse(arguments)
        if values is not None:
            verb, *rest = arguments
            with program.get_command(None, verb).make_context(verb, rest) as context:
                assert values == {name: context.params[name] for name in values}


@pytest.mark.parametrize("verb", SIMPLE)
def test_the_usual_command_lines_are_simple(verb, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    monkeypatch.setattr("mailguard.settings.paths", list)
    assert simple.parse([verb, "--dry-run", "--log=none", "--recipient", "b@example.net", "--sender", ""])


@pytest.mark.parametrize("verb", SIMPLE)
def test_with_a_configuration_no_command_line_is_simple(verb, monkeypatch, tmp_path):
    monkeypatch.setattr("mailguard.settings.paths", list)
    monkeypatch.setenv("MAILGUARD_CONFIG", str(tmp_path / "toml"))
    assert simple.parse([verb]) is None
    monkeypatch.delenv("MAILGUARD_CONFIG")
    assert simple.parse([verb]) is not None
    monkeypatch.setattr("mailguard.settings.paths", lambda: [str(tmp_path)])
    assert simple.parse([verb]) is None


TIME = re.compile(rb'"time":"[^"]+"')


@pytest.fixture
def both(environment, tmp_path):
    """Run a command line as it is and without the short cut; return what each left."""
    folder = tmp_path / "here"
    long_way = "import sys; sys.argv[0] = 'mailguard'\nfrom mailguard.cli import table\ntable.OPTIONS.clear()\n"
    long_way = [sys.executable, "-I", "-c", f"{long_way}from mailguard.__main__ import main\nmain()"]

    def left(command, raw):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(environment["MAILGUARD_KEY_FILE"], folder / "key")
        done = subprocess.run(
            command, input=raw, env=environment, cwd=folder, capture_output=True, check=False, timeout=120
        )
        read = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        files = {name: TIME.sub(b'"time":', content) for name, content in read.items()}
        return done.returncode, done.stdout, done.stderr, files

    return lambda arguments, raw: (left([PROGRAM, *arguments], raw), left([*long_way, *arguments], raw))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command_lines(), st.sampled_from([MAIL, PLAIN, b"From x\n" + MAIL.replace(b"\n", b"\r\n"), b""]) | anything())
@example(["strip", "--log", "log", "--recipient", "b@例え.jp", "--queue-id", "x y"], MAIL)
@example(["quarantine", "--explain", "--log=stderr", "--dry-run"], MAIL)
@example(["quarantine", "--key-file", "/nonexistent"], MAIL)
@example(["strip", "--link", "x"], b"")
@example(["sanitize", "--rules", "/nonexistent"], MAIL)
@example(["strip", "--journal", "/nonexistent/journal", "--log", "log"], MAIL)
@example(["sanitize", "--journal", "journal", "--sender", "<>"], b"")
def test_the_short_way_and_click_leave_the_same(both, arguments, raw):
    observing = [] if not raw or is_plain(raw) else ["--dry-run"]  # what is written to the mail depends on the second
    short, long = both([arguments[0], *observing, *arguments[1:]], raw)
    assert short == long
