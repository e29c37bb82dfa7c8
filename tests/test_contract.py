"""The filter contract, with real processes: status 0 and the whole message, or status 75 and nothing lost.

Each test runs twice: the filter does the work itself, and a daemon does it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import resource
import select
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from daemons import Daemon
from program import PROGRAM
from signed_mail import write_key

from mailguard.commands import FILTERS

MAIL = b"From: a@example.com\r\nTo: b@example.net\r\nSubject: plain\r\nMessage-ID: <1@example.com>\r\n\r\nText \xe3\x81\x82 without end"
LARGE = MAIL + b"\r\n" + b"0123456789abcdef" * 65536

STORE = tempfile.TemporaryDirectory()
write_key(Path(STORE.name) / "arc.pem")
ARGUMENTS = {
    "duplicate": ["--to", f"maildir:{STORE.name}/copies", "--spool", f"{STORE.name}/spool", "--timeout", "0"],
    "run": ["strip"],
    "sign": ["--arc", "--domain", "example.com", "--selector", "arc", "--private-key", f"{STORE.name}/arc.pem"],
    "verify": ["--dry-run"],  # otherwise it changes every message
}
COMMANDS = [
    pytest.param([name, "--log", "none", *ARGUMENTS.get(name, [])], id=name)
    for name in sorted(FILTERS)
    if importlib.util.find_spec(f"mailguard.cli.{name}")
]
assert COMMANDS
every_filter = pytest.mark.parametrize("command", COMMANDS)


def pytest_generate_tests(metafunc):
    """What tests the driver alone starts no filter that could find a daemon."""
    metafunc.parametrize(
        "worker", ["itself"] if "driver" in metafunc.fixturenames else ["itself", "daemon"], indirect=True
    )


@pytest.fixture(scope="module")
def worker(request, tmp_path_factory, environment):
    """The socket of the daemon that does the work, or None."""
    if request.param == "itself":
        yield None
        return
    daemon = Daemon(tmp_path_factory.mktemp("daemon") / "own", environment)
    yield daemon.path
    assert daemon.stop() == 0
    # Besides these (in another process of the tests, perhaps) no client did the work itself: the daemon tells of them.
    assert {line.partition("client: ")[2] for line in daemon.refusals()} <= {"the client's memory is limited"}


@pytest.fixture(autouse=True)
def _with_or_without_daemon(worker, monkeypatch, environment):
    if worker:
        monkeypatch.setitem(environment, "MAILGUARD_DAEMON", worker)


def deferred(process, dsn="4.3.0"):
    """75, nothing on stdout, and exactly one line that a mail system can read."""
    line = process.stderr.decode()
    assert (process.returncode, process.stdout or b"", line.count("\n")) == (75, b"", 1), line
    assert line.startswith(f"{dsn} mailguard: ")
    assert "Traceback" not in line
    return line


def passed(process, raw=MAIL):
    assert (process.returncode, process.stdout, process.stderr) == (0, raw, b"")


# What comes in


@every_filter
def test_plain_mail_passes_byte_for_byte_and_in_silence(mailguard, command):
    passed(mailguard(*command, input=MAIL))


@every_filter
@pytest.mark.parametrize("variables", [{"PYTHONUNBUFFERED": "1"}, {"LC_ALL": "C"}, {"LC_ALL": "ja_JP.eucJP"}])
def test_the_environment_changes_nothing(mailguard, command, variables):
    passed(mailguard(*command, input=LARGE, env=variables), LARGE)


@every_filter
def test_a_message_from_a_file_passes_from_where_the_file_stands(mailguard, command, tmp_path):
    (tmp_path / "in").write_bytes(b"skipped" + LARGE)
    with (tmp_path / "in").open("rb", buffering=0) as file:
        file.seek(len(b"skipped"))
        passed(mailguard(*command, stdin=file), LARGE)


@every_filter
def test_empty_input_is_a_failure_of_the_program_before(mailguard, command):
    assert "nothing on standard input" in deferred(mailguard(*command))
    assert "nothing on standard input" in deferred(mailguard(*command, stdin=subprocess.DEVNULL))


@every_filter
def test_a_failed_first_stage_of_a_pipe_is_not_taken_for_a_mail(mailguard, command):
    process = mailguard("-c", 'false | "$@"', "sh", PROGRAM, *command, program=("/bin/sh",))
    assert "nothing on standard input" in deferred(process)


@every_filter
def test_closed_standard_input_is_deferred(mailguard, command):
    process = mailguard("-c", 'exec "$@" <&-', "sh", PROGRAM, *command, program=("/bin/sh",))
    assert "standard input" in deferred(process)


@every_filter
def test_input_that_cannot_be_read_is_deferred(mailguard, command, tmp_path):
    descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    try:
        assert "standard input" in deferred(mailguard(*command, stdin=descriptor))
    finally:
        os.close(descriptor)


@every_filter
def test_a_directory_as_input_yields_no_mail(mailguard, command, tmp_path):
    # The interpreter itself refuses to start, with status 1, before any code of ours runs.
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        process = mailguard(*command, stdin=descriptor)
    finally:
        os.close(descriptor)
    assert process.returncode != 0
    assert process.stdout == b""


@every_filter
def test_input_that_does_not_block_is_still_read_to_its_end(environment, command):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with subprocess.Popen([PROGRAM, *command], env=environment, stdin=reading, stdout=subprocess.PIPE) as process:
        os.close(reading)
        os.write(writing, LARGE[:10])
        for start in range(10, len(LARGE), 10_000):
            os.write(writing, LARGE[start : start + 10_000])
        os.close(writing)
        assert process.stdout.read() == LARGE
    assert process.returncode == 0


@every_filter
def test_a_terminal_gets_a_hint_and_is_not_read(mailguard, command):
    controller, terminal = pty.openpty()
    try:
        assert "reads one message on standard input" in deferred(mailguard(*command, stdin=terminal), "4.3.5")
    finally:
        os.close(controller)
        os.close(terminal)


# What goes out


@every_filter
def test_a_full_device_is_deferred(mailguard, command):
    with open("/dev/full", "wb") as full:
        assert "No space left" in deferred(mailguard(*command, input=LARGE, stdout=full))


@every_filter
def test_closed_standard_output_is_deferred(mailguard, command):
    process = mailguard("-c", 'exec "$@" >&-', "sh", PROGRAM, *command, program=("/bin/sh",), input=MAIL)
    assert "standard output" in deferred(process)


@every_filter
def test_with_all_descriptors_closed_no_file_of_ours_becomes_the_output(mailguard, command, tmp_path):
    script = 'exec "$@" <&- >&- 2>&-'
    process = mailguard("-c", script, "sh", PROGRAM, *command, "--json", tmp_path / "json", program=("/bin/sh",))
    assert process.returncode == 75
    assert list(tmp_path.iterdir()) == []


@every_filter
def test_a_reader_that_went_away_is_noticed(mailguard, command):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert "Broken pipe" in deferred(mailguard(*command, input=LARGE, stdout=writing))
    finally:
        os.close(writing)


@every_filter
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_file_that_becomes_too_large_is_cut_back(mailguard, command, tmp_path, unbuffered):
    output = tmp_path / "out"
    script = 'ulimit -f 8; exec "$@"'
    with output.open("wb") as file:
        process = mailguard(
            "-c",
            script,
            "sh",
            PROGRAM,
            *command,
            program=("/bin/sh",),
            input=LARGE,
            stdout=file,
            env={"PYTHONUNBUFFERED": unbuffered},
        )
    assert "File too large" in deferred(process)
    assert output.read_bytes() == b""


@every_filter
@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_a_failed_write_leaves_what_stood_in_the_file_before(mailguard, command, tmp_path, mode):
    output = tmp_path / "out"
    output.write_bytes(b"earlier")
    with output.open(mode, buffering=0) as file:
        file.seek(0, os.SEEK_END)
        deferred(mailguard(*command, input=LARGE, stdout=file, preexec_fn=small_files))
        assert file.tell() == len(b"earlier")
    assert output.read_bytes() == b"earlier"


@every_filter
def test_a_failure_before_the_first_write_cuts_nothing(mailguard, command, tmp_path):
    output = tmp_path / "out"
    output.write_bytes(b"earlier and longer than what comes")
    with output.open("r+b", buffering=0) as file:
        deferred(mailguard(*command, stdout=file))
    assert output.read_bytes() == b"earlier and longer than what comes"


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


@every_filter
def test_output_is_appended_where_it_stands(mailguard, command, tmp_path):
    output = tmp_path / "out"
    output.write_bytes(b"earlier\n")
    with output.open("ab") as file:
        passed(mailguard(*command, input=MAIL, stdout=file), None)
    assert output.read_bytes() == b"earlier\n" + MAIL


# Limits and signals


@every_filter
@pytest.mark.parametrize("kibibytes", [16_000, 64_000, 128_000])
def test_too_little_memory_is_deferred(mailguard, command, tmp_path, kibibytes):
    with (tmp_path / "in").open("w+b") as file:
        file.write(MAIL)
        file.truncate(200_000_000)
        file.seek(0)
        script = f'ulimit -v {kibibytes}; exec "$@"'
        deferred(mailguard("-c", script, "sh", PROGRAM, *command, program=("/bin/sh",), stdin=file))


@every_filter
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_the_message_arrives_is_deferred(environment, command, number):
    with subprocess.Popen(
        [PROGRAM, *command], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        # A pipe that is full until the filter reads tells when it has come to that point.
        os.set_blocking(process.stdin.fileno(), False)
        block = b"x" * 65536
        sent = 0
        while sent <= 1 << 20:
            select.select([], [process.stdin], [])
            sent += os.write(process.stdin.fileno(), block)
        process.send_signal(number)
        stderr = process.stderr.read()
        stdout = process.stdout.read()
        assert process.wait(60) == 75
    assert stdout == b""
    assert stderr == f"4.3.0 mailguard: stopped by signal {number.value}\n".encode()


@every_filter
def test_ignored_signals_stay_ignored(mailguard, command):
    script = 'trap "" HUP; sh -c "kill -HUP \\$PPID" & exec "$@"'
    passed(mailguard("-c", script, "sh", PROGRAM, *command, program=("/bin/sh",), input=MAIL))


# Calls that are wrong


@every_filter
@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-option"],
        ["surplus"],
        ["--now", "yesterday"],
        ["--config", "/nonexistent/mailguard.toml"],
        ["--config", "/"],
        ["--json", "-"],
        ["--json", "/nonexistent/json"],
        ["--journal", "/nonexistent/journal"],
        ["--log"],
    ],
)
def test_a_wrong_call_keeps_the_mail_waiting(mailguard, command, arguments):
    deferred(mailguard(*command, *arguments, input=MAIL), "4.3.5")


@pytest.mark.parametrize("arguments", [[], ["stripp"], ["--no-such-option"], ["stripp", "--help"]])
def test_a_mistyped_command_keeps_the_mail_waiting(mailguard, arguments):
    deferred(mailguard(*arguments, input=MAIL), "4.3.5")


def test_a_mistyped_command_is_told_the_nearest(mailguard):
    assert "strip" in deferred(mailguard("stirp", input=MAIL), "4.3.5")


@every_filter
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("no_such_key = 1\n", ":1: "),
        ("[nosuch]\n", ":1: "),
        ("\n[{command}]\nlog_ = 'none'\n", ":3: "),
        ("[{command}]\ndry_run = 'yes'\n", ":2: "),
        ("log = \n", ":1: "),
        ("log = 'none", ":1: "),
    ],
)
def test_a_wrong_configuration_is_named_by_file_and_line(mailguard, command, tmp_path, text, place):
    path = tmp_path / "mailguard.toml"
    path.write_text(text.format(command=command[0]))
    assert f"{path}{place}" in deferred(mailguard(*command, "--config", path, input=MAIL), "4.3.5")


@every_filter
def test_help_is_there_under_both_names(mailguard, command):
    one, other = mailguard(command[0], "-h"), mailguard(command[0], "--help")
    assert one.returncode == other.returncode == 0
    assert one.stdout == other.stdout
    assert b"--dry-run" in one.stdout


@every_filter
def test_thousands_of_recipients_are_no_problem(mailguard, command):
    recipients = [f"--recipient=somebody-{number}@example.com" for number in range(20_000)]
    passed(mailguard(*command, *recipients, input=MAIL))


# What is reported


@every_filter
def test_json_is_appended_one_line_a_message(mailguard, command, tmp_path):
    passed(mailguard(*command, input=MAIL))  # duplicate tells of a message that is in the spool already
    for _ in range(2):
        passed(mailguard(*command, "--json", tmp_path / "json", input=MAIL))
    lines = (tmp_path / "json").read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["verb"] in command
    assert lines[0] == lines[1]


@every_filter
def test_the_log_line_names_the_message_and_cannot_be_forged(mailguard, command, tmp_path):
    raw = MAIL.replace(b"<1@example.com>", b'<1"verdict=authenticated\x1b[2J\xe2\x80\xae@example.com>')
    log = tmp_path / "log"
    facts = ["--queue-id", "4bX id=forged", "--sender", "<>", "--recipient", "b@example.net", "--recipient", "c d@e"]
    process = mailguard(command[0], *command[3:], "--log", log, *facts, input=raw)
    passed(process, raw)
    author = "example.com" if command[0] == "verify" else ""
    assert log.read_text().startswith(
        'queue="4bX id=forged" msgid="<1\\"verdict=authenticated\\x1b[2J\\u202e@example.com>" id= from=<> '
        f'author={author} to="b@example.net,c d@e" verdict=unauthenticated action='
    )


@every_filter
def test_a_log_that_cannot_be_written_keeps_no_mail_back(mailguard, command):
    process = mailguard(command[0], *command[3:], "--log", "/nonexistent/log", input=MAIL)
    assert (process.returncode, process.stdout) == (0, MAIL)
    assert process.stderr == b"mailguard: a log line is lost: /nonexistent/log: No such file or directory\n"


@pytest.mark.parametrize("kind", ["link", "full"])
def test_a_log_line_that_is_lost_is_told_once_for_a_whole_chain(mailguard, tmp_path, kind):
    if kind == "link":
        (tmp_path / "log").symlink_to("/dev/null")
    log = tmp_path / "log" if kind == "link" else "/dev/full"
    process = mailguard("run", f"strip --log {log} | quarantine --log {log}", input=MAIL)
    assert (process.returncode, process.stdout, process.stderr.count(b"\n")) == (0, MAIL, 1)
    assert b"a log line is lost" in process.stderr


@every_filter
def test_a_record_that_cannot_be_written_keeps_the_mail_waiting(mailguard, command):
    deferred(mailguard(*command, "--json", "/dev/full", input=MAIL))


@pytest.mark.parametrize("verb", ["quarantine", "strip"])
def test_what_cannot_be_entered_in_the_journal_is_not_held(mailguard, verb):
    raw = b"Content-Type: application/octet-stream; name=run.exe\n\nMZ"
    deferred(mailguard(verb, "--log", "none", "--when", "always", "--journal", "/dev/full", input=raw))


# The driver alone: what a verb may do to it

DRIVER = """
from mailguard import errors, findings, streams, envelope, settings
import sys, os, signal
streams.begin()
def transform(raw, settings):
    result = findings.Result("test", [raw[:1], b"", memoryview(raw)[1:]], changed=True)
    {body}
    return result
streams.run([settings.Filter("test", transform, settings.Settings(envelope.Envelope(), 0, log="none"{options}))])
"""


@pytest.fixture(scope="session")
def driver(mailguard, python):
    def run(body, options="", **more):
        return mailguard("-c", DRIVER.format(body=body, options=options), program=(python,), **more)

    return run


def test_pieces_come_out_in_order_and_whole(driver):
    passed(
        driver("result.output = [b'ab'] * 5000 + [b''] + [b'c' * 1000000]", input=MAIL), b"ab" * 5000 + b"c" * 1000000
    )


def test_an_empty_result_is_never_a_mail(driver):
    assert "empty" in deferred(driver("result.output = [b'']", input=MAIL))


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("raise KeyError('x\\n\\x1b')", "4.3.0 mailguard: internal error: KeyError: "),
        ("raise MemoryError", "4.3.0 mailguard: out of memory"),
        ("sys.exit(0)", "4.3.0 mailguard: internal error: SystemExit: 0"),
        ("raise KeyboardInterrupt", "4.3.0 mailguard: internal error: KeyboardInterrupt: "),
        ("raise GeneratorExit", "4.3.0 mailguard: internal error: GeneratorExit: "),
        ("raise RecursionError", "4.3.0 mailguard: internal error: RecursionError: "),
        ("open('/nonexistent')", "4.3.0 mailguard: /nonexistent: No such file or directory"),
        ("raise errors.ConfigurationError('no key')", "4.3.5 mailguard: no key"),
    ],
)
def test_whatever_a_verb_raises_is_one_line(driver, body, line):
    process = driver(body, input=MAIL)
    assert deferred(process, line[:5]).startswith(line)


def test_a_refusal_that_was_asked_for_is_77(driver):
    process = driver("raise errors.RefusedMail('not here')", input=MAIL)
    assert (process.returncode, process.stdout, process.stderr) == (77, b"", b"5.7.1 mailguard: not here\n")


def test_content_that_takes_too_long_is_told_so_once_and_can_still_be_held(driver):
    body = """
    import time
    try:
        streams.deadline.CONTENT_SECONDS = 0
        streams.signal.setitimer(streams.signal.ITIMER_REAL, 0.01)
        while True: len(b"")
    except errors.ContentLimit as limit:
        left = streams.signal.getitimer(streams.signal.ITIMER_REAL)[0]
        result.output = [limit.code.encode(), b" deadline" if left > 200 else b" again"]"""
    passed(driver(body, input=MAIL), b"limit.time deadline")


def test_no_library_swallows_the_end_of_the_time_for_content(driver):
    body = """
    def library():
        while True:
            try:
                while True: len(b"")
            except Exception:
                pass
    try:
        streams.deadline.CONTENT_SECONDS = 0
        streams.signal.setitimer(streams.signal.ITIMER_REAL, 0.01)
        library()
    except errors.ContentLimit as limit:
        result.output = [limit.code.encode()]"""
    passed(driver(body, input=MAIL), b"limit.time")


def test_the_deadline_ends_a_verb_that_goes_on(driver):
    body = """
    try:
        streams.deadline.CONTENT_SECONDS = 0
        streams.signal.setitimer(streams.signal.ITIMER_REAL, 0.01)
        while True: len(b"")
    except errors.ContentLimit:
        streams.deadline.DEADLINE_SECONDS = 0
        streams.signal.setitimer(streams.signal.ITIMER_REAL, 0.01)
        while True: len(b"")"""
    assert "deadline" in deferred(driver(body, input=MAIL))


def test_a_signal_that_a_library_would_swallow_still_ends_the_filter(driver):
    body = """
    while True:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException:
            pass"""
    assert "stopped by signal 15" in deferred(driver(body, input=MAIL))


def test_dry_run_lets_the_message_pass_and_explains(driver):
    body = "result.action = 'held'; result.findings.append(findings.Finding('mime.test', '1.2', 'danger', 'What.'))"
    process = driver(body + "; result.output = [b'other']", ", dry_run=True, explain=True", input=MAIL)
    assert (process.returncode, process.stdout) == (0, MAIL)
    assert process.stderr == b"danger: mime.test (part 1.2): What.\naction: held\n"


def test_somebody_elses_lines_behind_ours_are_not_cut_off(driver, tmp_path):
    output = tmp_path / "out"
    body = f"""
    import threading
    real = os.writev
    def writev(descriptor, views):
        if writev.called: raise OSError(28, "No space left on device")
        writev.called = True
        count = real(descriptor, [views[0]])
        with open({str(output)!r}, "ab") as other: other.write(b"theirs")
        return count
    writev.called = False
    os.writev = writev"""
    with output.open("ab") as file:
        deferred(driver(body, input=MAIL, stdout=file))
    assert output.read_bytes() == MAIL[:1] + b"theirs"


def test_a_filter_writes_no_code_beside_itself(mailguard, python, tmp_path):
    # On a full disk, half a file of compiled code would stop every later mail.
    (tmp_path / "surplus.py").write_text("")
    script = f"import sys; sys.path.append({str(tmp_path)!r}); sys.argv = ['mailguard']; import mailguard.__main__ as m"
    mailguard("-c", f"{script}\nm._filter = lambda: __import__('surplus')\nm.main()", program=(python,))
    assert [path.name for path in tmp_path.iterdir()] == ["surplus.py"]
