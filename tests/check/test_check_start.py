"""Starting a check and taking its reply: our own delivery to mail servers, and the commands as processes."""

from __future__ import annotations

import re
import smtplib
import ssl
import subprocess
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from check_lab import Authority
from check_service import ADDRESS, NOW, Bench, kept, reply
from dns_server import DROP, DnsServer
from mail_system import free_port, until
from mapped_server import Mapped, Server
from program import PROGRAM

from mailguard.check import specimens
from mailguard.check.guard import Guard
from mailguard.check.start import DELIVERED, PERMANENT, TEMPORARY, begin, deliver
from mailguard.dns.files import Zone

TWO = """
example.com       MX  10 mx1.example.com
example.com       MX  20 mx2.example.com
mx1.example.com   A   192.0.2.1
mx2.example.com   A   192.0.2.2
"""


def delivered(folder, servers):
    bench = Bench(folder, source=Zone(TWO), guard=lambda: Mapped(servers))
    begun = begin(bench.service, ADDRESS, "en", NOW)
    outcome = deliver(bench.service, begun)
    said = bench.service.state.load(begun.exchange.name).dialogue
    assert begun.token not in "\n".join(said)
    return outcome, begun, said


def test_the_confirmation_goes_to_the_first_server_and_what_was_said_is_kept(tmp_path):
    with Server() as one, Server() as two:
        outcome, begun, said = delivered(tmp_path, {"192.0.2.1": one, "192.0.2.2": two})
    assert (outcome, two.taken) == (DELIVERED, [])
    [(envelope, encrypted)] = one.taken
    assert (envelope.mail_from, envelope.rcpt_tos, encrypted) == (begun.sender, [ADDRESS], False)
    assert envelope.content.replace(b"\r\n", b"\n") == begun.mail
    assert said[0] == "! mx1.example.com [192.0.2.1]"
    assert "C: RCPT TO:<joe@example.com>" in said
    assert "C: MAIL FROM:<check+TOKEN@checker.example.net>" in said
    assert "C: (the message)" in said
    assert not any("Subject" in line for line in said)


def test_it_is_encrypted_where_that_is_offered(tmp_path):
    leaf = Authority(tmp_path).issue("mx1.example.com", own=True)
    with Server(context=leaf.context()) as one:
        assert delivered(tmp_path, {"192.0.2.1": one})[0] == DELIVERED
    assert one.taken[0][1]


@pytest.mark.parametrize("replies", [{"rcpt": "451 later"}, {"data": "452 full"}])
def test_after_a_temporary_refusal_the_next_server_is_tried(tmp_path, replies):
    with Server(**replies) as one, Server() as two:
        outcome, _, said = delivered(tmp_path, {"192.0.2.1": one, "192.0.2.2": two})
    assert (outcome, len(two.taken)) == (DELIVERED, 1)
    assert "! mx2.example.com [192.0.2.2]" in said


def test_after_a_refusal_nobody_else_is_tried(tmp_path):
    with Server(rcpt="550 no such user") as one, Server() as two:
        outcome, _, said = delivered(tmp_path, {"192.0.2.1": one, "192.0.2.2": two})
    assert (outcome, two.taken) == (PERMANENT, [])
    assert "S: 550 no such user" in said


def test_servers_that_cannot_be_reached_leave_it_undelivered(tmp_path):
    outcome, _, said = delivered(tmp_path, {})
    assert outcome == TEMPORARY
    assert said.count("! Connection refused") == 2


def test_private_addresses_are_never_connected_to(tmp_path):
    bench = Bench(tmp_path, source=Zone(TWO + "mx2.example.com A 127.0.0.1\n"))
    begun = begin(bench.service, ADDRESS, "en", NOW)
    bench.service.guard = lambda: Guard(5)
    assert deliver(bench.service, begun) == TEMPORARY
    assert begun.exchange.dialogue.count("! not a public address") == 3


# The commands


@pytest.fixture(scope="module")
def dns():
    zone = {
        "example.com": [("MX", (10, "mail.example.com")), ("TXT", b"v=spf1 ip4:192.0.2.1 -all")],
        "mail.example.com": [("A", "127.0.0.99")],
        "private.example.com": [("A", "10.0.0.1")],
    }
    with DnsServer(zone) as server:
        yield server


@pytest.fixture
def run(mailguard, dns, tmp_path):
    common = (
        *("--address", "check@checker.example.net", "--url", "https://check.example.net/"),
        *("--state", tmp_path / "state", "--www", tmp_path / "www", "--nameserver", dns.address),
        *("--blocklist", "none.example", "--timeout", "20"),
    )

    def run(command, *arguments, lab=True, **options):
        return mailguard("check", command, *common, *(["--lab"] if lab else []), *arguments, **options)

    return run


def started(run, *arguments):
    process = run("start", ADDRESS, "--lang", "en", *arguments)
    assert (process.returncode, process.stderr) == (0, b"")
    return re.search(rb"<([a-z2-7]{42})@", process.stdout)[1].decode(), process.stdout


def test_start_writes_the_mail_on_stdout(run):
    _, mail = started(run)
    assert b"\nTo: joe@example.com\n" in mail
    assert b"Auto-Submitted: auto-generated" in mail


def test_start_says_why_not(run, tmp_path):
    started(run)
    process = run("start", ADDRESS)
    assert (process.returncode, process.stdout) == (1, b"")
    assert b"too many checks" in process.stderr
    assert b"takes no mail" in run("start", "joe@nowhere.example.com").stderr
    assert b"not an address" in run("start", "nonsense\nX: y").stderr
    assert b"no public address" in run("start", "joe@private.example.com", lab=False).stderr


def test_start_direct_writes_what_was_said(run):
    process = run("start", ADDRESS, "--direct")
    assert process.returncode == 1
    assert process.stdout.decode().splitlines()[0] == "! mail.example.com [127.0.0.99]"


def test_reply_reads_a_mail_and_writes_pages_and_the_result(run, tmp_path):
    given, _ = started(run)
    process = run("reply", "--sender", ADDRESS, input=reply(given))
    assert (process.returncode, process.stderr) == (0, b"")
    assert b"\nTo: joe@example.com\n" in process.stdout
    names = sorted(file.name for file in (tmp_path / "www").iterdir())
    assert [name[33:] for name in names] == ["en.html", "ja.html"]
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in (tmp_path / "www").iterdir())
    [record] = [kept(file) for file in (tmp_path / "state" / "tokens").iterdir()]
    found = {each["check"]: each["state"] for each in record["report"]["outcomes"]}
    assert found["spf.result"] == "good"
    assert found["tls.out"] == "good"
    assert found["mx.exists"] == "good"


def test_reply_takes_the_client_from_the_environment_of_local(run, tmp_path):
    given, _ = started(run)
    environment = {"CLIENT_ADDRESS": "192.0.2.1", "CLIENT_HELO": "h.example.com", "SENDER": ADDRESS}
    assert run("reply", "--client-from", "environment", input=reply(given), env=environment).stdout
    [record] = [kept(file) for file in (tmp_path / "state" / "tokens").iterdir()]
    assert record["sent_by"]["server"] == "h.example.com [192.0.2.1]"


@pytest.mark.parametrize(
    "raw", [b"x", b"\0\xff\r\n\r\n", b"Auto-Submitted: auto-replied\r\n\r\n", b"From: <>\r\n" * 30000]
)
def test_reply_is_silent_and_done_whatever_it_reads(run, raw):
    process = run("reply", input=raw)
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")


def test_reply_never_bounces_a_mail_for_a_fault_of_the_site(run, mailguard, tmp_path):
    given, _ = started(run)
    tokens = tmp_path / "state" / "tokens"
    for process in (
        run("reply", input=b""),
        run("reply", "--no-such-option", input=b"x"),
        run("reply", "--key-file", tmp_path / "absent", input=b"x"),
        run("reply", "--state", __file__, input=b"x"),
        run("reply", "--trusted-relay", "nonsense", input=b"x"),
        mailguard("check", "reply", input=b"x"),
    ):
        assert (process.returncode, process.stdout) == (75, b"")
        assert b"Traceback" not in process.stderr
    with open("/dev/full", "wb") as full:
        process = run("reply", input=reply(given), stdout=full, stderr=subprocess.PIPE)
    assert process.returncode == 75
    assert b"No space left" in process.stderr
    assert run("reply", input=reply(given)).stdout  # and then it works
    assert len(list(tokens.iterdir())) == 1


def test_probe_writes_what_came_of_each_mail(run):
    process = run("start", "postmaster@example.com")
    given = re.search(rb"<([a-z2-7]{42})@", process.stdout)[1].decode()
    assert run("reply", input=reply(given, sender="postmaster@example.com")).stdout
    process = run("probe", "postmaster@example.com")
    assert (process.returncode, process.stderr) == (0, b"")
    lines = process.stdout.decode().splitlines()
    assert lines[0] == "unknown\tin.self\tmail.example.com\tNo connection to 127.0.0.99 (Connection refused)"
    assert [line.split("\t")[1] for line in lines] == [*specimens.names(enforce=False), "smuggling"]
    assert b"within the last day" in run("probe", "postmaster@example.com").stderr


def test_a_signal_does_not_bounce_the_reply(mailguard, environment, run, tmp_path):
    given, _ = started(run)
    with DnsServer({"example.com": [("*", DROP)]}) as silent:
        words = [PROGRAM, "check", "reply", "--address", "check@checker.example.net", "--attach", "--lab"]
        words += ["--state", tmp_path / "state", "--nameserver", silent.address]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(words, env=environment, **pipes) as process:
            process.stdin.write(reply(given))
            process.stdin.close()
            until(lambda: silent.questions, lambda: "a question")
            process.terminate()
            assert process.wait(30) == 75
            assert process.stdout.read() == b""
            assert b"stopped by signal 15" in process.stderr.read()


def test_scan_writes_the_page_too(mailguard, dns, tmp_path):
    words = ["--nameserver", dns.address, "--lab", "--timeout", "20", "--blocklist", "none.example", "--lang", "ja"]
    process = mailguard("check", "scan", *words, "--html", tmp_path / "page.html", "example.com")
    assert process.returncode in {2, 3}
    text = (tmp_path / "page.html").read_text()
    assert text.startswith('<!DOCTYPE html>\n<html lang="ja">')
    assert "example.com" in text
    assert "default-src 'none'" in text


def test_serve_does_all_of_it_in_one_process(environment, dns, tmp_path):
    """Form, confirmation, reply by SMTP with TLS, result mail, page; the mails go to a server that keeps them."""
    web, smtp = free_port(), free_port()
    leaf = Authority(tmp_path).issue("checker.example.net")
    with Server() as outgoing:
        words = [PROGRAM, "check", "serve", "--address", "check@checker.example.net", "--state", tmp_path / "state"]
        words += ["--nameserver", dns.address, "--lab", "--blocklist", "none.example", "--timeout", "20"]
        words += ["--listen", f"127.0.0.1:{web}", "--smtp", f"127.0.0.1:{smtp}", "--certificate", leaf.path]
        words += ["--via", f"smtp://127.0.0.1:{outgoing.port}"]
        with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE) as process:
            try:
                assert b"serving" in process.stderr.readline()
                form = urlencode({"address": ADDRESS, "lang": "en"}).encode()
                with urlopen(f"http://127.0.0.1:{web}/start", form, timeout=20) as answer:
                    assert b"A confirmation is on its way" in answer.read()
                [(confirmation, _)] = outgoing.taken
                given = re.search(rb"<([a-z2-7]{42})@", confirmation.content)[1].decode()
                with smtplib.SMTP("127.0.0.1", smtp, timeout=60) as client:
                    client.starttls(context=unverified())
                    client.sendmail(ADDRESS, [confirmation.mail_from], reply(given, received=b""))
                [_, (result, _)] = outgoing.taken
                assert (result.mail_from, result.rcpt_tos) == ("<>", [ADDRESS])
                link = re.search(rb"http://127\.0\.0\.1:[0-9]+/[0-9a-f]{32}\.en\.html", result.content)[0].decode()
                with urlopen(link, timeout=20) as answer:
                    page = answer.read().decode()
                assert "TLS 1.3" in page
                assert b"reply: done" in process.stderr.readline()
            finally:
                process.terminate()
            assert process.wait(30) == 0


def unverified():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_serve_needs_what_it_is_told(run):
    for arguments in (("--listen", "nonsense"), ("--via", "nonsense"), ("--smtp", "127.0.0.1:1x")):
        process = run("serve", *arguments)
        assert process.returncode == 3
        assert b"Traceback" not in process.stderr
