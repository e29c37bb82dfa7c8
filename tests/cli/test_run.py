"""`mailguard run` against the pipe of single commands that a shell makes."""

from __future__ import annotations

import json
import shlex
import shutil

import documents
import pytest
from case_folders import CASES, CLOCK
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mails import attachment, mixed
from message_generators import anything
from paths import EXAMPLES
from verified_mail import zone

TEXT = b"Content-Type: text/plain\n\nHello\n"
FILES = [
    mixed(TEXT, attachment(make(), name, b"application/octet-stream"))
    for make, name in (
        (documents.docm, b"a.docm"),
        (documents.docx, b"a.docx"),
        (documents.xlsm_xlm, b"a.xlsm"),
        (documents.zip_encrypted, b"a.zip"),
        (documents.doc_macro, b"a.doc"),
    )
]
WHOLE = [path.joinpath("in.eml").read_bytes() for path in CASES]
FILTERS = [
    "verify --authserv-id mx.example.net --dns-load zone",
    "verify --authserv-id mx.example.net --dns-load zone --client-address 192.0.2.1 --sender joe@example.com",
    "verify --dry-run --dns-load zone",
    "quarantine",
    "quarantine --when always --lang en --subject-tag '[held]'",
    "strip",
    "strip --when always --manifest json",
    "strip --name '*.js' --when always",
    "strip --dry-run --when always",
    "sanitize --sandbox none",
    "duplicate --to maildir:{folder}/copies --spool {folder}/spool --timeout 0",
]
COMMON = ["--now", CLOCK, "--log", "log", "--json", "json", "--journal", "journal"]


@pytest.fixture
def both(mailguard, tmp_path):
    """Run a chain in one process and as a pipe of processes, each in a folder of its own; return what each left."""

    folder = tmp_path / "here"

    def fresh():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "zone").write_text(zone())

    def left(status, output, errors):
        files = [(folder / name).read_text() if (folder / name).exists() else None for name in COMMON[3::2]]
        copies = {path.name: path.read_bytes() for path in folder.glob("spool/queue/*")}
        return status, output, errors, files, copies

    def call(*arguments, raw):
        done = mailguard(*arguments, input=raw, cwd=folder)
        return done.returncode, done.stdout, done.stderr

    def run(chain, raw, *options):
        chain = [command.format(folder=folder) for command in chain]
        fresh()
        one = left(*call("run", *COMMON, *options, " | ".join(chain), raw=raw))
        fresh()
        status, output, errors = 0, raw, b""
        for verb, *own in map(shlex.split, chain):
            if not status:
                status, output, said = call(verb, *COMMON, *options, *own, raw=output)
                errors += said
        return one, left(status, output, errors)

    return run


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(FILTERS), min_size=1, max_size=4),
    st.sampled_from(FILES) | st.sampled_from(WHOLE).filter(bool) | anything(),
    st.sampled_from([[], ["--dry-run"], ["--explain"], ["--recipient", "suzie@example.net"]]),
)
@example([FILTERS[1], FILTERS[3], FILTERS[5]], FILES[0], [])
@example([FILTERS[10], FILTERS[6]], FILES[0], [])
@example([FILTERS[0], FILTERS[9], FILTERS[4], FILTERS[6]], FILES[1], ["--explain"])
def test_one_process_does_what_the_pipe_does(both, chain, raw, options):
    one, pipe = both(chain, raw, *options)
    assert one == pipe


def test_a_wrong_option_of_a_step_waits_for_the_operator(mailguard):
    done = mailguard("run", "verify | strip --nope", input=FILES[0])
    assert (done.returncode, done.stdout) == (75, b"")
    assert done.stderr.startswith(b"4.3.5 mailguard: step 2, strip: No such option")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("arguments", [[], ["verify", "strip"], ["verify |"], [""], ["--json", "-", "verify"]])
def test_a_wrong_call_waits_for_the_operator(mailguard, arguments):
    done = mailguard("run", *arguments, input=FILES[0])
    assert (done.returncode, done.stdout) == (75, b"")
    assert done.stderr.startswith(b"4.3.5 mailguard: ")


def test_a_step_that_fails_leaves_no_output_and_no_log(mailguard, tmp_path):
    options = ["--log", tmp_path / "log"]
    done = mailguard("run", *options, "strip | quarantine --password-file /nonexistent", input=FILES[0])
    assert (done.returncode, done.stdout) == (75, b"")
    assert b"/nonexistent" in done.stderr
    assert not (tmp_path / "log").exists()


def test_an_unusable_record_of_the_last_step_stops_the_first(mailguard, tmp_path):
    text = f"duplicate --to maildir:{tmp_path}/copies --spool {tmp_path}/spool | strip --journal /nonexistent/journal"
    done = mailguard("run", "--log", "none", text, input=FILES[0])
    assert (done.returncode, done.stdout) == (75, b"")
    assert not (tmp_path / "spool").exists()


def test_help_of_a_step_never_stands_in_the_place_of_a_mail(mailguard):
    done = mailguard("run", "verify --help", input=FILES[0])
    assert (done.returncode, done.stdout) == (75, b"")
    assert b"--help" in done.stderr


def test_the_section_of_run_holds_for_its_steps(mailguard, tmp_path):
    config = tmp_path / "toml"
    config.write_text(f'log = "none"\n[run]\njson = "{tmp_path}/json"\n[strip]\nwhen = "always"\n')
    done = mailguard("run", "--config", config, "strip", input=FILES[1])
    assert done.returncode == 0
    [record] = map(json.loads, (tmp_path / "json").read_text().splitlines())
    assert record["attachments"][0]["action"] == "removed"


def test_the_recipe_with_run_is_the_recipe_with_single_filters():
    examples = EXAMPLES
    single, chain = ((examples / name).read_text() for name in ("procmailrc", "procmailrc.run"))
    commands = [line[2:].removeprefix("mailguard ") for line in single.splitlines() if line.startswith("| mailguard")]
    assert f"'{' | '.join(commands)}'" in chain
