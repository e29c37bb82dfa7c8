"""`mailguard check scan` as a process: statuses, JSON, and that nothing a stranger wrote reaches the terminal as it is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from dns_server import DROP, DnsServer
from mail_system import until
from program import PROGRAM

from mailguard.check.report import Report

NO_MAIL = {
    "none.test": [("MX", (0, "")), ("TXT", b"v=spf1 -all")],
    "_dmarc.none.test": [("TXT", b"v=DMARC1; p=reject; rua=mailto:d@none.test")],
    "2.0.0.127.bl.test": [("A", "127.0.0.2")],
}


def scanned(mailguard, zone, domain, *options):
    with DnsServer(zone) as server:
        return mailguard(
            "check",
            "scan",
            domain,
            "--nameserver",
            server.address,
            "--blocklist",
            "bl.test",
            "--timeout",
            "20",
            *options,
        )


def test_a_report_is_json_on_stdout_and_its_status_is_that_of_the_verdict(mailguard):
    process = scanned(mailguard, NO_MAIL, "none.test", "--json")
    report = Report.from_dict(json.loads(process.stdout))
    assert report.domain == "none.test"
    assert (process.returncode, process.stderr) == (report.verdict.status, b"")
    assert json.loads(process.stdout)["verdict"]["code"] == report.verdict.code
    assert {outcome.state for outcome in report.outcomes if outcome.check == "spf"} == {"good"}


@pytest.mark.parametrize(("lang", "word"), [("ja", "不合格"), ("en", "failure")])
def test_a_table_for_people_says_what_failed_and_how_to_repair_it(mailguard, lang, word):
    zone = NO_MAIL | {"none.test": [("MX", (0, ""))]}
    process = scanned(mailguard, zone, "none.test", "--lang", lang)
    text = process.stdout.decode()
    assert process.returncode == 2
    assert word in text
    assert '    none.test. IN TXT "v=spf1 -all"\n' in text


def test_records_with_escape_sequences_and_markup_do_not_reach_the_terminal(mailguard):
    record = b"v=spf1 \x1b]0;owned\x07[red]x[/red] -all"
    process = scanned(mailguard, NO_MAIL | {"none.test": [("MX", (0, "")), ("TXT", record)]}, "none.test")
    assert b"\x1b" not in process.stdout
    assert b"\\x1b]0;owned\\x07[red]x[/red]" in process.stdout.replace(b"\n", b"").replace(b" ", b"")


def test_own_addresses_are_not_connected_to(mailguard):
    zone = NO_MAIL | {"none.test": [("MX", (0, "mx.none.test"))], "mx.none.test": [("A", "127.0.0.1")]}
    process = scanned(mailguard, zone, "none.test", "--json")
    states = {
        outcome["check"]: (outcome["state"], outcome["reason"]) for outcome in json.loads(process.stdout)["outcomes"]
    }
    assert states["mx.reach"] == ("failure", "private")
    assert states["tls.starttls"][0] == "unknown"


def test_without_any_answer_nothing_is_confirmed(mailguard):
    process = scanned(mailguard, {"test": [("*", "SERVFAIL")], "none.test": [("*", "SERVFAIL")]}, "none.test", "--json")
    record = json.loads(process.stdout)
    found = {outcome["check"]: outcome["state"] for outcome in record["outcomes"]}
    assert (found["mx.exists"], found["spf"]) == ("unknown", "unknown")
    assert "failure" not in {
        found[check] for check in ("mx.exists", "mx.reach", "tls.starttls", "spf") if check in found
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_does_not_wait_for_answers(number, tmp_path):
    """A test run in the background has SIGINT ignored, so the child takes it back first."""
    page = tmp_path / "page.html"
    zone = {"slow.test": [("MX", (0, "mx.slow.test")), ("*", DROP)], "mx.slow.test": [("*", DROP)]}
    restored = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with DnsServer(zone) as server:
        words = [PROGRAM, "check", "scan", "slow.test", "--nameserver", server.address, "--html", page]
        command = [sys.executable, "-c", restored, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            until(lambda: ("mx.slow.test", "A") in server.questions, lambda: server.questions)
            process.send_signal(number)
            output, error = process.communicate(timeout=4)  # each answer is waited for longer
    assert (process.returncode, output, error) == (3, b"", b"mailguard: interrupted\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan"],
        ["scan", "not a domain"],
        ["scan", "localhost"],
        ["scan", "--nonsense", "a.test"],
        ["scan", "--nameserver", "127.0.0.1:x", "a.test"],
        ["scan", "--nameserver", "127.0.0.1:1", "--ca-file", "/nonexistent", "a.test"],
        ["scan", "--nameserver", "127.0.0.1:1", "--key-file", "/nonexistent", "a.test"],
        ["nonsense"],
    ],
)
def test_being_called_wrongly_is_status_3(mailguard, arguments):
    process = mailguard("check", *arguments)
    assert (process.returncode, process.stdout) == (3, b"")
    assert process.stderr
    assert b"Traceback" not in process.stderr
