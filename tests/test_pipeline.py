"""Pipelines: their text against a real shell, and what drivers that filter many messages build upon."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import subprocess

import click
import documents
import pytest
from case_folders import CLOCK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mails import TEXT, attachment, mixed
from message_generators import anything
from verbs import NOW, key_line

from mailguard import deadline, pipeline
from mailguard.cli.group import mailguard
from mailguard.cli.pipeline import Defaults, defaults, filters
from mailguard.commands import FILTERS
from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError, ContentLimit, MailguardError
from mailguard.findings import Result
from mailguard.formats.budget import Quota
from mailguard.message.tree import parse
from mailguard.parts.select import examine
from mailguard.settings import Filter, Settings

MAIL = b"From: a@example.com\nSubject: file\nContent-Type: application/pdf; name=a.js\n\nshell.Run()\n"
VERBS = ("verify", "strip")
SHELL = r"""
set -f
print() { cat; printf '%s\0' $# "$@"; }
verify() { print verify "$@"; }
strip() { print strip "$@"; }
mailguard() { "$@"; }
"""
# What means something to shells, in more than its due share
TEXTS = st.lists(
    st.sampled_from([*" \t\n|'\"\\$`;&<>()#~*?=!{}[]-", "a", "ü", "\r", "\x0b", "\u3000", "verify", "strip "])
    | st.sampled_from(["\\\n", '"a b"', "'$x'", "\\|", "| ", " verify ", "mailguard ", "strip|strip", '"\\\n"', "''"]),
    max_size=25,
).map("".join)


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A key and nobody's configuration, for filters in this process."""
    key = tmp_path / "key"
    key.write_text(key_line(b"test".ljust(32, b".")))
    key.chmod(0o600)
    monkeypatch.setenv("MAILGUARD_KEY_FILE", str(key))
    monkeypatch.delenv("MAILGUARD_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def shell(text: str) -> list[list[str]]:
    done = subprocess.run(
        ["/bin/sh"],
        input=f"{SHELL}\n{text}\n".encode(),
        capture_output=True,
        check=True,
        env={"PATH": os.defpath},
        timeout=120,
    )
    assert not done.stderr
    words = iter(done.stdout.decode().split("\0")[:-1])
    return [[next(words) for _ in range(int(count))] for count in words]


def refused(text: str, *words: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        filters(text)
    assert all(word in str(caught.value) for word in words), caught.value
    assert str(caught.value).isprintable()
    return str(caught.value)


# The text


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("verify", [["verify"]]),
        ("verify|strip", [["verify"], ["strip"]]),
        ("  mailguard verify |\n\n\tmailguard strip \n", [["verify"], ["strip"]]),
        ("verify --sender mailguard", [["verify", "--sender", "mailguard"]]),
        ("strip --type 'application/x-*' --name \"a b\"", [["strip", "--type", "application/x-*", "--name", "a b"]]),
        ("strip \\\n  --name a\\ b\\|c", [["strip", "--name", "a b|c"]]),
        ("strip --name '' \"\"", [["strip", "--name", "", ""]]),
        ("strip a'b'\"c\"\\d", [["strip", "abcd"]]),
        ('strip "a\\"b\\\\c\\$d\\e"', [["strip", 'a"b\\c$d\\e']]),
        ("strip a#b x~", [["strip", "a#b", "x~"]]),
        ("'ver'ify", [["verify"]]),
    ],
)
def test_words_are_those_of_a_shell(text, commands):
    assert pipeline.parse(text, VERBS) == commands == shell(text)


def parsed(text: str) -> list[list[str]] | str:
    """The commands, or the error."""
    try:
        return pipeline.parse(text, VERBS)
    except ConfigurationError as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(TEXTS.map("verify ".__add__) | TEXTS)
def test_what_is_accepted_means_the_same_to_a_shell(text):
    commands = parsed(text)
    if isinstance(commands, list):
        assert commands == shell(text)


@given(st.lists(st.lists(st.text().filter(lambda word: "\0" not in word)), min_size=1))
def test_whatever_is_quoted_comes_back(wanted):
    commands = [[VERBS[number % 2], *words] for number, words in enumerate(wanted)]
    assert pipeline.parse(" | ".join(map(shlex.join, commands)), VERBS) == commands


@given(st.text() | TEXTS)
def test_any_text_is_a_pipeline_or_an_error_with_its_column(text):
    found = parsed(text)
    if isinstance(found, str):
        assert re.match("pipeline, column [1-9][0-9]*: ", found)
        assert found.replace("\u3000", "").isprintable()  # the ideographic space is no control character
    else:
        assert all(words[0] in VERBS for words in found)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 1, "no filter at the end"),
        (" \n", 3, "no filter at the end"),
        ("verify |", 9, "no filter at the end"),
        ("mailguard", 10, "no filter at the end"),
        ("| verify", 1, "no filter before"),
        ("verify || strip", 9, "no filter before"),
        ("verify | mailguard | strip", 20, "no filter before"),
        ("cat", 1, "cat is no filter"),
        ("verify | release", 10, "release is no filter"),
        ("mailguard mailguard verify", 11, "mailguard is no filter"),
        ("MAILGUARD_KEY_FILE=x verify", 1, "is no filter"),
        ("verify > out", 8, "redirection"),
        ("verify < in", 8, "redirection"),
        ("verify; strip", 7, "; has no place"),
        ("verify && strip", 8, "& has no place"),
        ("(verify)", 1, "( has no place"),
        ("verify\0", 7, "\\x00 has no place"),
        ("verify --sender $SENDER", 17, "variables"),
        ('verify --sender "$SENDER"', 17, "holds $"),
        ("verify --sender `x`", 17, "commands"),
        ("strip 'a", 7, "not closed"),
        ('strip "a', 7, "not closed"),
        ("strip \\", 7, "nothing follows"),
        ("strip ~/a", 7, "~ means something else"),
        ("strip # all", 7, "# means something else"),
        ("verify\nstrip", 7, "a new line ends"),
        ("verify\n| strip", 7, "a new line ends"),
    ],
)
def test_an_error_says_where_and_why(text, column, reason):
    with pytest.raises(ConfigurationError) as caught:
        pipeline.parse(text, VERBS)
    assert str(caught.value).startswith(f"pipeline, column {column}: ")
    assert reason in str(caught.value)


# The filters


def test_the_filters_are_those_of_the_command_line(site):
    others = {"run", "duplicate", "sign"}  # needs options, or is none
    text = " | ".join(sorted(FILTERS.keys() - others))
    assert [mail_filter.verb for mail_filter in filters(text)] == sorted(FILTERS.keys() - others)
    assert [
        mail_filter.verb for mail_filter in filters(f"duplicate --to maildir:{site}/copies --spool {site}/spool")
    ] == ["duplicate"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("verify --nope", ["step 1, verify:", "--nope"]),
        ("verify | strip --when now", ["step 2, strip:", "--when", "'now'"]),
        ("verify extra", ["step 1, verify:", "extra"]),
        ("verify --help", ["step 1, verify:", "--help"]),
        ("verify -h", ["step 1, verify:", "-h"]),
        ("strip --json -", ["step 1, strip:", "stdout"]),
        ("run verify", ["run is no filter"]),
        ("duplicate --list --spool /nonexistent", ["step 1, duplicate:", "--list is not for a pipeline"]),
        ("duplicate --flush --spool /nonexistent", ["--flush is not for a pipeline"]),
        ("duplicate --restore --spool /nonexistent", ["--restore is not for a pipeline"]),
        ("duplicate --retry-failed --spool /nonexistent", ["--retry-failed is not for a pipeline"]),
        ("duplicate --to maildir:x", ["--spool"]),
        ("strip --config /nonexistent", ["/nonexistent"]),
    ],
)
def test_a_wrong_call_is_refused_before_anything_runs(site, capfd, text, words):
    refused(text, *words)
    assert capfd.readouterr() == ("", "")


def test_the_configuration_counts_for_steps_too(site):
    (site / "toml").write_text(
        'log = "common"\n[strip]\nwhen = "always"\nlog = "strip"\n[run]\nlog = "run"\ndry_run = true\n'
    )
    verify, strip, explicit = filters("verify | strip | strip --log none", Defaults("run", f"{site}/toml", {}))
    assert [verify.settings.log, strip.settings.log, explicit.settings.log] == ["run", "strip", "none"]
    assert verify.settings.dry_run
    [other] = filters(f"verify --config {site}/toml")
    assert other.settings.log == "common"
    (site / "other").write_text('log = "other"\n')
    [named] = filters(f"verify --config {site}/other", Defaults("run", f"{site}/toml", {}))
    assert named.settings.log == "other"


def test_a_worker_makes_its_own_steps_from_what_can_be_sent(site):
    made, text, given_ = pickle.loads(pickle.dumps((filters, "strip", Defaults("run", None, {"log": "sent"}))))
    [mail_filter] = made(text, given_)
    assert mail_filter.settings.log == "sent"


def test_what_only_has_the_same_name_is_not_for_the_steps(site):
    """duplicate has --output and --spool of its own."""
    (site / "toml").write_text(f'[batch]\noutput = "{site}/out"\n[duplicate]\nspool = "{site}/spool"\n')
    batch = mailguard.get_command(click.Context(mailguard), "batch")
    config = ["--config", f"{site}/toml", "--key-file", "k", "--output", "x"]
    with batch.make_context("batch", ["duplicate", "inbox", *config]) as context:
        found = defaults(context)
    assert found.values == {"key_file": "k"}
    (site / "toml").write_text('[milter]\nspool = "/elsewhere"\nlog = "shared"\n')
    [mail_filter] = filters(
        f"duplicate --to maildir:{site}/copies --spool {site}/spool", Defaults("milter", f"{site}/toml", {})
    )
    assert mail_filter.settings.log == "shared"
    with pytest.raises(ConfigurationError, match="--spool is missing"):
        filters(f"duplicate --to maildir:{site}/copies", Defaults("milter", f"{site}/toml", {}))


def test_a_mistake_in_the_configuration_of_a_step_is_one_of_the_pipeline(site):
    (site / "toml").write_text("[strip]\nwhe = 1\n")
    refused(f"verify | strip --config {site}/toml", f"{site}/toml:2", "whe is no key of [strip]")


def test_options_of_the_driver_hold_where_the_step_is_silent(site, monkeypatch):
    (site / "toml").write_text('[verify]\nlog = "configured"\n')
    given_ = Defaults("run", f"{site}/toml", {"log": "driver", "key_file": "driver", "jobs": 3, "recipient": ("a@x",)})
    verify, strip = filters("verify | strip --log own --key-file own --recipient b@y", given_)
    assert (verify.settings.log, verify.settings.key_file, verify.settings.envelope.recipients) == (
        "driver", "driver", ("a@x",),
    )  # fmt: skip
    assert (strip.settings.log, strip.settings.key_file, strip.settings.envelope.recipients) == ("own", "own", ("b@y",))


# The work


def mail_filter(transform, verb="strip", **options):
    return Filter(verb, transform, Settings(Envelope(), NOW, **options))


def changed(raw, settings):
    result = Result("strip", [raw, b"!"], changed=True)
    result.action = settings.envelope.sender or "none"
    return result


def test_each_step_gets_what_the_one_before_made():
    applied = pipeline.apply([mail_filter(changed), mail_filter(changed)], b"raw", Envelope(), NOW)
    assert (applied.whole(), applied.changed) == (b"raw!!", True)
    assert [stage.raw for stage in applied.stages] == [b"raw", b"raw!"]


def test_where_nothing_changes_the_very_same_object_passes():
    raw = b"raw"
    seen = []
    same = mail_filter(lambda raw, _: seen.append(raw) or Result("strip", [raw]))
    applied = pipeline.apply([same, mail_filter(changed, dry_run=True), same], raw, Envelope(), NOW)
    assert applied.whole() is raw
    assert not applied.changed
    assert all(each is raw for each in seen)


def test_envelope_and_time_are_those_of_the_message_unless_an_option_names_them(site):
    text = f"strip --sender own@x --client-address 192.0.2.9 | strip | strip --now {CLOCK} --recipient r@x"
    chain = filters(text)
    seen = []
    for each in chain:
        each.transform = lambda raw, settings: seen.append(settings) or Result("strip", [raw])
    envelope = Envelope(sender="a@b", recipients=("c@d",), client_helo="helo", sasl_username="joe")
    pipeline.apply(chain, MAIL, envelope, 5)
    pipeline.apply(chain, MAIL, Envelope(), 6)
    assert [settings.envelope.sender for settings in seen] == ["own@x", "a@b", "a@b", "own@x", None, None]
    assert [settings.envelope.client_address for settings in seen[:3]] == ["192.0.2.9", None, None]
    assert [settings.envelope.client_helo for settings in seen] == ["helo"] * 3 + [None] * 3
    assert [settings.envelope.recipients for settings in seen[:3]] == [("c@d",), ("c@d",), ("r@x",)]
    assert [settings.now for settings in seen] == [5, 5, NOW, 6, 6, NOW]


def test_the_null_sender_is_a_fact():
    assert Envelope(sender="<>").over(Envelope(sender="a@b")).sender == ""
    assert Envelope().over(Envelope(sender="")).sender == ""


def test_records_are_written_and_the_log_only_after_the_message_is_out(site):
    [strip] = filters(f"strip --json {site}/json --journal {site}/journal --log {site}/log")
    applied = pipeline.apply([strip], MAIL, Envelope(queue_id="Q1"), NOW)
    [record] = map(json.loads, (site / "json").read_text().splitlines())
    [held] = map(json.loads, (site / "journal").read_text().splitlines())
    assert (record["verb"], held["queue_id"], held["time"]) == ("strip", "Q1", CLOCK)
    assert not (site / "log").exists()
    applied.report()
    assert (site / "log").read_text().startswith("queue=Q1 ")


def test_a_dry_run_leaves_message_and_journal_alone(site):
    chain = filters(f"strip --dry-run --json {site}/json --journal {site}/journal --log {site}/log")
    applied = pipeline.apply(chain, MAIL, Envelope(), NOW)
    assert applied.whole() is MAIL
    applied.report()
    assert json.loads((site / "json").read_text())["dry_run"]
    assert "would-be:removed" in (site / "log").read_text()
    assert not (site / "journal").exists()


def test_a_log_that_cannot_be_written_stops_nothing(site):
    [first] = filters("strip --log /nonexistent/log")
    [second] = filters(f"strip --log {site}/log")
    pipeline.apply([first, second], MAIL, Envelope(), NOW).report()
    assert (site / "log").exists()


def test_unusable_records_are_noticed_before_the_first_mail(site):
    with pytest.raises(ConfigurationError, match="nonexistent"):
        pipeline.check_records(filters("verify | strip --journal /nonexistent/journal"))


def test_the_files_of_a_step_are_read_once_and_new_steps_read_them_again(site):
    key = site / "key"
    chain = filters("verify --authserv-id mx.example | quarantine")
    first = pipeline.apply(chain, MAIL, Envelope(), NOW).whole()
    key.chmod(0)
    os.rename(key, site / "gone")
    assert pipeline.apply(chain, MAIL, Envelope(), NOW).whole() == first
    key.write_text(key_line(b"other".ljust(32, b".")))
    key.chmod(0o600)
    other = pipeline.apply(filters("verify --authserv-id mx.example | quarantine"), MAIL, Envelope(), NOW)
    assert b"Mailguard-Seal" in first
    assert first.split(b"k=")[1][:3] != other.whole().split(b"k=")[1][:3]


def test_many_messages_give_what_each_gives_alone(site):
    text = f"verify --authserv-id mx.example --dns-load {site}/zone | quarantine --when always | strip --when always"
    (site / "zone").write_text("example.com TXT v=spf1 -all\n")
    messages = [MAIL.replace(b"file", b"file %d" % number) for number in range(3)]
    chain = filters(text)
    together = [pipeline.apply(chain, raw, Envelope(), NOW).whole() for raw in messages]
    assert together == [pipeline.apply(filters(text), raw, Envelope(), NOW).whole() for raw in messages]


# What is shared


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anything())
def test_verbs_that_share_what_they_found_out_do_what_they_do_alone(site, raw):
    chain = filters(
        "strip --name '*.none' --when always | strip --dry-run | quarantine --name a* --when always | strip"
    )
    alone = raw
    for each in chain:
        alone = pipeline.apply([each], bytes(bytearray(alone)), Envelope(), NOW).whole()
    assert pipeline.apply(chain, raw, Envelope(), NOW).whole() == alone


def test_what_one_verb_found_out_costs_the_next_as_much():
    raw = mixed(TEXT, attachment(documents.nested_zip(3), b"a.zip", b"application/zip"))
    part = parse(raw).root.children[1]
    first, second = Quota(), Quota()
    found = examine(part, first)
    assert (first.members, first.octets) < (Quota().members, Quota().octets)
    assert examine(parse(raw).root.children[1], second) is found
    assert (second.members, second.octets) == (first.members, first.octets)
    assert examine(part, Quota(members=1)).dangerous != found.dangerous
    assert examine(part, Quota()) is found


# The time


WORKER = """
import os, sys, time
from mailguard import deadline, pipeline
from mailguard.formats.budget import Quota
from mailguard.parts.select import examine
from mailguard.envelope import Envelope
from mailguard.errors import ContentLimit
from mailguard.findings import Result
from mailguard.settings import Settings, Filter

def busy(raw, settings):
    try:
        if raw == b"waits":
            time.sleep(0.3)
        if raw == b"child":
            pid = os.fork()
            while not pid: len(b"")
            try:
                os.waitpid(pid, 0)
            finally:
                os.kill(pid, 9)
        while raw == b"slow" or raw == b"late": len(b"")
    except ContentLimit as limit:
        while raw == b"late": len(b"")
        return Result("strip", [limit.code.encode()], changed=True)
    return Result("strip", [raw])

deadline.CONTENT_SECONDS, deadline.DEADLINE_SECONDS, deadline._CLOCK_TIMES = 0.05, {seconds}, {times}
pipeline.begin_worker()
for raw in {messages}:
    applied = pipeline.apply([Filter("strip", busy, Settings(Envelope(), 0))] * 2, raw, Envelope(), 0)
    os.write(1, applied.whole() + b" ")
"""


def worker(python, messages, seconds=60, times=1000):
    code = WORKER.format(messages=messages, seconds=seconds, times=times)
    return subprocess.run([python, "-c", code], capture_output=True, check=False, timeout=30)


def test_a_worker_holds_each_message_that_costs_too_much(python):
    done = worker(python, [b"a", b"slow", b"b", b"slow"])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a limit.time b limit.time ", b"")


def test_content_may_wait_but_not_keep_processors_busy(python):
    done = worker(python, [b"waits", b"child", b"a"])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"waits limit.time a ", b"")


def test_content_may_not_wait_for_ever(python):
    done = worker(python, [b"waits", b"a"], times=1)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"limit.time a ", b"")


def test_a_worker_that_cannot_even_hold_a_message_ends(python):
    done = worker(python, [b"a", b"late", b"b"], seconds=0.5)
    assert (done.returncode, done.stdout) == (MailguardError.status, b"a ")


def test_a_limit_that_no_verb_catches_is_an_ordinary_error():
    def limited(_raw, _settings):
        raise ContentLimit("limit.time")

    try:
        deadline.begin(os.abort)
        deadline.rest()
        with pytest.raises(MailguardError, match=r"limit\.time"):
            pipeline.apply([mail_filter(limited)], MAIL, Envelope(), NOW)
    finally:
        deadline._clock.stop = None


def test_without_a_clock_nothing_is_limited():
    assert pipeline.apply([mail_filter(changed)], MAIL, Envelope(), NOW).changed
