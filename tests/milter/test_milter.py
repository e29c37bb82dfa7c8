"""The milter as a process, spoken to as a mail server does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from milter_client import Client, applied, packet, raw
from program import PROGRAM
from signed_mail import Zone, record, write_key

from mailguard.envelope import Envelope
from mailguard.message.tree import parse
from mailguard.milter import pool as pool_module
from mailguard.milter import protocol, session, worker
from mailguard.milter.metrics import Metrics
from mailguard.milter.server import Configuration
from mailguard.settings import Filter, Settings
from mailguard.verify import arc

NOW = "--now 2026-11-24T12:00:00Z"
FIELDS = [
    (b"From", b" a@friend.test"),
    (b"Subject", b" \x83\x65\x83\x58"),
    (b"MIME-Version", b" 1.0"),
    (b"Content-Type", b" multipart/mixed;\n boundary=b"),
]
BODY = (
    b"--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n"
    b"--b\r\nContent-Type: application/octet-stream; name=a.exe\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"TVqQAAMAAAAEAAAA\r\n--b--\r\n"
)
TRY_AGAIN = (b"y", b"451 4.3.0 Mail filter failed, try again later\0")
DONE = (b"c", b"")


class Site:
    """A folder with a key, a configuration and DNS, short enough for the path of a socket."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.environment = environment | {"NOTIFY_SOCKET": str(folder / "notify")}
        self.socket = str(folder / "milter")
        self.log = folder / "log"
        self.records = folder / "records"
        self.configuration = folder / "mailguard.toml"
        self.configuration.write_text('[verify]\nauthserv_id = "mx.test"\n')
        (folder / "dns").write_text(
            "friend.test TXT v=spf1 ip4:192.0.2.1 -all\nbroken.test * SERVFAIL\n_dmarc.broken.test * SERVFAIL\n"
        )
        self.verify = f"verify {NOW} --dns-load {folder}/dns"
        self.pipeline = f"{self.verify} | quarantine {NOW}"
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.settimeout(60)
        self.notified.bind(str(folder / "notify"))

    @contextlib.contextmanager
    def milter(self, pipeline=None, *options):
        """Running and ready; what it tells is what `told` waits for."""
        process = self.start(pipeline, *options)
        try:
            self.told("READY=1")
            yield process
        finally:
            process.kill()
            process.wait(120)

    def start(self, pipeline=None, *options):
        return subprocess.Popen(
            [
                *(PROGRAM, "milter", "--listen", f"unix:{self.socket}", "--status", f"unix:{self.folder}/status"),
                *("--config", self.configuration, "--log", self.log, "--json", self.records, "--workers", "1"),
                *("--spool", self.folder, *options, pipeline or self.pipeline),
            ],
            env=self.environment,
            stderr=subprocess.PIPE,
        )

    def told(self, state):
        while self.notified.recv(100).decode() != state:
            pass

    def client(self, **options):
        return Client(self.socket, **options)

    def ask(self, path):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(f"{self.folder}/status")
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()

    def metric(self, name):
        return next(line for line in self.ask("/metrics").splitlines() if line.startswith(name)).rpartition(" ")[2]

    def filtered(self, fields, body, *options, pipeline=None):
        """What `mailguard run` makes of the same message."""
        command = [PROGRAM, "run", pipeline or self.pipeline, "--config", self.configuration, "--log", "none", *options]
        return subprocess.run(
            command, env=self.environment, input=raw(fields, body), stdout=subprocess.PIPE, check=True, timeout=120
        ).stdout

    def expected(self, **options):
        facts = {"client-address": "192.0.2.1", "client-helo": "client.example", "sender": "a@friend.test"}
        facts |= {"recipient": "b@rcpt.test"} | options
        return self.filtered(FIELDS, BODY, *(f"--{name}={value}" for name, value in facts.items()))


@pytest.fixture(scope="module")
def module_site(environment):
    with tempfile.TemporaryDirectory(prefix="mg-", ignore_cleanup_errors=True) as folder:
        yield Site(Path(folder), environment)


@pytest.fixture
def site(environment):
    with tempfile.TemporaryDirectory(prefix="mg-", ignore_cleanup_errors=True) as folder:
        yield Site(Path(folder), environment)


@pytest.fixture(scope="module")
def running(module_site):
    with module_site.milter():
        yield module_site


def greeted(client):
    client.connect()
    client.helo()
    return client


def result(orders, fields=FIELDS, body=BODY):
    return raw(*applied(fields, body, orders))


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill_workers(process, count=None):
    """Kill the workers, or the oldest ones, and return when the milter knows."""
    killed = children(process.pid)[:count]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    while set(killed) & set(children(process.pid)):
        pass


def test_the_mail_server_gets_orders_for_what_run_would_write(running):
    with running.client() as client:
        orders, end = greeted(client).mail(FIELDS, BODY)
    assert end == DONE
    assert {letter for letter, _ in orders} == {b"i", b"b"}, orders
    assert result(orders) == running.expected()
    assert b"spf=pass" in result(orders)


def test_an_arc_set_is_inserted_over_what_the_mail_server_keeps(site):
    key = write_key(site.folder / "arc.pem")
    own = f"sign {NOW} --arc --domain gate.test --selector arc1 --private-key {key}"
    with site.milter(f"{site.verify} --arc | quarantine {NOW} | {own} | unseal"), site.client() as client:
        orders, end = greeted(client).mail(FIELDS, BODY)
    assert end == DONE
    assert {letter for letter, _ in orders} == {b"i", b"b"}, orders  # the body is the quarantine's
    found = arc.verify(parse(result(orders)), Zone({"arc1._domainkey.gate.test": record()}))
    assert (found.result, found.sealers[0].domain) == ("pass", "gate.test")


def test_a_mail_server_of_old_gets_an_answer_to_every_command_and_no_blank_is_lost(running):
    fields = [(name, value.removeprefix(b" ")) for name, value in FIELDS]
    with running.client(flags=0x7F, version=2, actions=0x3F) as client:
        client.send(b"C", b"client.example\0004\0\x19192.0.2.1\0")
        for letter, data in [(b"H", b"client.example\0"), (b"M", b"<a@friend.test>\0"), (b"R", b"<b@rcpt.test>\0")]:
            assert client.receive() == DONE
            client.send(letter, data)
        for name, value in fields:
            assert client.receive() == DONE
            client.send(b"L", name + b"\0" + value + b"\0")
        assert client.receive() == DONE
        client.send(b"N")
        assert client.receive() == DONE
        client.send(b"E", BODY)
        orders, end = client.orders()
    assert end == DONE
    with_blanks = [(letter, data.replace(b"\0", b"\0 ", 5)[:]) for letter, data in orders if letter == b"b"]
    assert with_blanks
    made = applied([(name, b" " + value) for name, value in fields], BODY, [])
    assert made == (FIELDS, BODY)
    inserted = [data[4:-1].split(b"\0") for letter, data in orders if letter == b"i"]
    assert [name + b": " + value for name, value in inserted][-1].replace(b"\n", b"\r\n") in running.expected()


def test_what_the_mail_server_knows_reaches_the_filters(running):
    before = running.records.read_bytes() if running.records.exists() else b""
    with running.client() as client:
        client.connect("IPv6:2001:db8::1", family=b"6")
        client.macros(b"H", **{"{tls_version}": "TLSv1.3", "{cipher}": "TLS_AES_256_GCM_SHA384"})
        client.helo("other.example")
        orders, end = client.mail(FIELDS, BODY, sender="<>")
        assert end == DONE
        assert b"smtp.helo=other.example" in result(orders)
        client.macros(b"M", **{"{auth_authen}": "alice"})
        client.envelope(recipients=("<b@rcpt.test>", "<c@rcpt.test>"))
        client.message(FIELDS, BODY, queue_id="7A5")
        orders, end = client.orders()
        client.mail(FIELDS, BODY)  # the one worker has reported the mail before it takes the next
    assert end == DONE
    assert b"smtp.auth=alice" in result(orders)
    records = running.records.read_bytes()[len(before) :]
    assert b'"2001:db8::1"' in records
    assert records.count(b'"TLSv1.3 TLS_AES_256_GCM_SHA384"') == 3  # of the connection, so for all its mails
    log = running.log.read_text()
    assert "queue=7A5" in log
    assert "to=b@rcpt.test,c@rcpt.test" in log
    assert "from=<> " in log


def test_a_plain_mail_gets_no_order_but_those_of_its_verdict(running):
    with running.client() as client:
        orders, end = greeted(client).mail(FIELDS[:1], b"text\r\n")
    assert end == DONE
    assert [letter for letter, _ in orders] == [b"i", b"i"]


OTHER = [(b"From", b" x@other.test"), (b"X-Secret", b" of the first mail")]


def say_nothing(client):
    pass


def say_envelope(client):
    client.macros(b"M", **{"{auth_authen}": "mallory", "i": "BAD"})
    client.envelope("<x@other.test>", ["<y@other.test>"])


def say_half(client):
    say_envelope(client)
    for name, value in OTHER:
        client.send(b"L", name + b"\0" + value + b"\0")


def say_body(client):
    say_half(client)
    client.send(b"N")
    client.send(b"B", b"body of the first mail\r\n")


def say_abort(client):
    client.send(b"A")


def say_whole(client):
    client.macros(b"M", **{"{auth_authen}": "mallory"})
    assert client.mail(OTHER, b"body of the first mail\r\n", sender="<x@other.test>")[1] == DONE


def say_other_client(client):
    client.send(b"K")
    client.macros(b"C", **{"{auth_authen}": "mallory"})
    client.connect("198.51.100.7", "mallory.example")
    client.macros(b"H", tls_version="TLSv1.3")
    client.helo("mallory.example")


BEFORE = [say_nothing, say_envelope, say_half, say_body, say_abort, say_whole, say_other_client]


@given(st.lists(st.sampled_from(BEFORE), max_size=6))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_said_before_nothing_of_it_is_in_the_next_mail(running, before):
    with running.client() as client:
        greeted(client)
        for say in before:
            say(client)
        client.send(b"K")
        greeted(client)
        orders, end = client.mail(FIELDS, BODY)
        again, end_again = client.mail(FIELDS, BODY)
    assert (end, end_again) == (DONE, DONE)
    assert result(orders) == result(again) == running.expected()


@pytest.mark.parametrize("say", [say_envelope, say_half, say_body])
def test_a_mail_that_is_aborted_leaves_neither_fields_nor_recipients_nor_its_user(running, say):
    size = running.records.stat().st_size if running.records.exists() else 0
    with running.client() as client:
        greeted(client)
        say(client)
        client.send(b"A")
        orders, end = client.mail(FIELDS, BODY)
    assert end == DONE
    assert result(orders) == running.expected()
    assert b"mallory" not in running.records.read_bytes()[size:]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", 0xFFFFFFF0),
        struct.pack(">I", 0),
        packet(b"M", b"<a@b>\0"),
        packet(b"O", b"short"),
        packet(b"Z"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_milter_connection_is_closed_and_others_go_on(running, data):
    with running.client() as good, socket.socket(socket.AF_UNIX) as bad:
        bad.settimeout(60)
        bad.connect(running.socket)
        bad.sendall(data)
        assert bad.recv(100) == b""
        assert greeted(good).mail(FIELDS, BODY)[1] == DONE


@pytest.mark.parametrize(
    "data", [packet(b"L", b"X\0y\0"), packet(b"B", b"x"), packet(b"E"), packet(b"R", b"a\0"), packet(b"D", b"\xff")]
)
def test_commands_out_of_order_end_the_connection(running, data):
    with running.client() as client:
        greeted(client)
        client.socket.sendall(data)
        assert client.receive() == (b"", b"")


def test_a_value_that_smuggles_a_field_in_makes_the_mail_wait(running):
    with running.client() as client:
        orders, end = greeted(client).mail([(b"X", b" a\nSubject: b")], b"")
    assert (orders, end) == ([], TRY_AGAIN)


def test_ten_thousand_fields_are_held_and_not_refused(running):
    fields = [(b"X-%d" % number, b" y") for number in range(10_050)]
    with running.client() as client:
        _, end = greeted(client).mail(fields, BODY)
    assert end == DONE
    assert b"limit" in running.records.read_bytes()


def test_a_failure_of_the_site_makes_the_mail_wait_and_the_next_one_is_filtered(site):
    with site.milter(f"{site.verify} --on-temperror defer"), site.client() as client:
        greeted(client)
        fields = [(b"From", b" a@broken.test"), *FIELDS[1:]]
        assert client.mail(fields, BODY, sender="<a@broken.test>") == ([], TRY_AGAIN)
        assert client.mail(FIELDS, BODY)[1] == DONE
        assert 'mails_total{outcome="failed"} 1' in site.ask("/metrics")
    assert "queue=4F00 action=try-again" in site.log.read_text()


def test_a_refusal_is_550_and_what_nobody_foresaw_is_451():
    from mailguard.errors import RefusedMail

    def refuse(raw, settings):
        raise RefusedMail("5 % of it is no mail") if b"refuse" in raw else ZeroDivisionError

    filters = [Filter("verify", refuse, Settings(Envelope(), 0, log="none"))]
    facts = b'{"client_address": null, "client_helo": null, "sender": "", "recipients": [], "queue_id": "1", '
    facts += b'"sasl_username": null, "tls": "", "fields": 1, "leading": true, "anywhere": true}'
    for message, outcome, reply in [
        (b"X: refuse\r\n\r\n", worker.REFUSED, packet(b"y", b"550 5.7.1 5 %% of it is no mail\0")),
        (b"X: wrong\r\n\r\n", worker.FAILED, worker.TRY_AGAIN),
    ]:
        with tempfile.TemporaryFile() as file:
            file.write(message + facts)
            file.flush()
            _, answer = worker._Worker(filters, "none").answer(file.fileno(), len(message), len(facts), hold=False)
            found, start, length = worker.ANSWER.unpack(answer)
            assert (found, os.pread(file.fileno(), length, start)) == (outcome, reply)


def test_a_message_that_is_too_large_is_refused_and_not_kept(site):
    with site.milter(None, "--largest", "100k"), site.client() as client:
        greeted(client)
        assert client.mail(FIELDS, b"x" * 200_000) == ([], (b"y", b"552 5.3.4 Message too big for the filter\0"))
        assert client.mail(FIELDS, BODY)[1] == DONE


RECIPIENTS = ("<b@rcpt.test>", "<c@rcpt.test>", "<d@else.test>")
PASSWORDS = "@rcpt.test  one\nc@rcpt.test two\n@else.test one\n"


@pytest.mark.parametrize(("together", "taken"), [("all", "yyy"), ("one", "ynn"), ("alike", "yny")])
def test_recipients_unlike_the_first_are_asked_to_come_alone(site, together, taken):
    passwords = site.folder / "passwords"
    passwords.write_text(PASSWORDS)
    passwords.chmod(0o600)
    options = ("--together", together, "--password-file", str(passwords))
    with site.milter(None, *options), site.client() as client:
        greeted(client)
        client.send(b"M", b"<a@friend.test>\0")
        for each, answer in zip(RECIPIENTS, taken, strict=True):
            client.send(b"R", each.encode() + b"\0")
            if together != "all":
                assert client.receive()[0] == (b"c" if answer == "y" else b"y"), each
        client.message(FIELDS, BODY)
        orders, end = client.orders()
    assert end == DONE
    expected = [each for each, answer in zip(RECIPIENTS, taken, strict=True) if answer == "y"]
    facts = ("--client-address=192.0.2.1", "--client-helo=client.example", "--sender=a@friend.test")
    facts += ("--password-file", passwords, *(f"--recipient={each}" for each in expected))
    pipeline = f"{site.verify} | quarantine {NOW} --password-file {passwords}"
    assert result(orders) == site.filtered(FIELDS, BODY, *facts[:3], *facts[5:], pipeline=pipeline)


class NameServer:
    """Answers nothing until it is let go; then that there is no such name."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(60)
        self.asked = []
        self.but = b"nothing"
        self.answering = None

    def receive(self):
        """Return when the filter asks, which is in the middle of a mail."""
        self.asked.append(self.socket.recvfrom(4096))

    def forget(self):
        """Drop what those asked who are dead; who lives asks again."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recvfrom(4096)
        self.socket.settimeout(60)

    def answer(self):
        asked, self.asked = self.asked, []
        for query, peer in asked:
            if self.but in query:
                self.asked.append((query, peer))
            else:
                answer = query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:].split(b"\0\0\x29")[0]
                self.socket.sendto(answer, peer)

    def go_on(self, but=b"nothing"):
        """Answer what was asked, and whatever else is; `but`: names with this word are not answered for now."""
        self.but = but
        self.answer()
        if self.answering is None:
            self.answering = threading.Thread(target=self.work, daemon=True)
            self.answering.start()

    def work(self):
        with contextlib.suppress(OSError):
            while True:
                self.receive()
                self.answer()


@contextlib.contextmanager
def blocking(site):
    """A milter whose filter waits for a name server that the test lets answer."""
    server = NameServer()
    port = server.socket.getsockname()[1]
    with server.socket, site.milter(f"verify {NOW} --nameserver 127.0.0.1:{port}") as process:
        yield process, server


def test_a_mail_whose_worker_is_killed_is_done_by_another_one(site):
    with blocking(site) as (process, server), site.client() as client:
        greeted(client).envelope()
        client.message(FIELDS, BODY)
        server.receive()
        [pid] = children(process.pid)
        os.kill(pid, signal.SIGKILL)
        server.go_on()
        orders, end = client.orders()
        assert end == DONE
        assert b"spf=none" in result(orders)
        assert children(process.pid) != [pid]
        assert site.metric("mailguard_milter_workers_lost_total") == "1"


def test_a_mail_that_no_step_can_hold_goes_on_without_a_verdict_when_workers_die_on_it(site):
    forged = [(b"Authentication-Results", b" mx.test; dmarc=pass"), (b"Mailguard-Seal", b" v=1"), *FIELDS]
    with blocking(site) as (process, server), site.client() as client:
        greeted(client).envelope()
        client.message(forged, BODY)
        for _ in range(2):
            server.receive()
            kill_workers(process, 1)  # which has the mail
            server.forget()
        orders, end = client.orders()
        assert end == DONE
        passed = result(orders, forged)
        assert b"dmarc=permerror" in passed
        assert b"dmarc=pass" not in passed
        assert passed.count(b"Mailguard-Seal:") == 1
        assert passed.endswith(raw(FIELDS, BODY))
        assert json.loads(site.records.read_text())["findings"][0]["code"] == "limit.failure"
        server.go_on()
        assert client.mail(FIELDS, BODY)[1] == DONE


def test_a_mail_on_which_workers_die_passes_where_filters_only_report(site):
    server = NameServer()
    nameserver = f"--nameserver 127.0.0.1:{server.socket.getsockname()[1]}"
    with (
        server.socket,
        site.milter(f"verify {NOW} {nameserver} | quarantine {NOW}", "--dry-run") as process,
        site.client() as client,
    ):
        greeted(client).envelope()
        client.message(FIELDS, BODY)
        for _ in range(2):
            server.receive()
            kill_workers(process, 1)  # which has the mail
            server.forget()
        assert client.orders() == ([], DONE)
        codes = [json.loads(line)["findings"][0]["code"] for line in site.records.read_text().splitlines()]
        assert codes == ["limit.failure"] * 2


def test_plain_mail_of_anybody_is_answered_before_the_costly_mails_that_came_first(site):
    """Costly is here what waits for a name server; with one worker, three of them may be at work."""
    server = NameServer()
    port = server.socket.getsockname()[1]
    fields = [(b"From", b" a@costly.test"), *FIELDS[1:]]
    with (
        server.socket,
        site.milter(f"verify {NOW} --nameserver 127.0.0.1:{port} | quarantine {NOW}") as process,
        contextlib.ExitStack() as stack,
    ):
        costly = [greeted(stack.enter_context(site.client())) for _ in range(4)]
        for each in costly:
            each.envelope()
            each.message(fields, BODY)
        while len(children(process.pid)) < 3:
            time.sleep(0.01)
        server.go_on(but=b"costly")
        for address in ("192.0.2.1", "192.0.2.2"):
            with site.client() as other:
                other.connect(address)
                other.helo()
                assert other.mail(FIELDS[:2], b"A plain text.\r\n", sender="<>")[1] == DONE
        for each in costly:
            each.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                each.socket.recv(1)
            each.socket.settimeout(60)
        server.go_on()
        assert [each.orders()[1] for each in costly] == [DONE] * 4


def test_a_mail_on_which_workers_die_is_held_as_any_other(site):
    server = NameServer()
    nameserver = f"--nameserver 127.0.0.1:{server.socket.getsockname()[1]}"
    pipeline = f"verify {NOW} {nameserver} | quarantine {NOW}"
    journal = site.folder / "journal"
    with server.socket, site.milter(pipeline, "--journal", journal) as process, site.client() as client:
        greeted(client).envelope()
        client.message(FIELDS, BODY)
        for _ in range(2):
            server.receive()
            kill_workers(process, 1)  # which has the mail
            server.forget()
        orders, end = client.orders()
        assert end == DONE
        assert b"quarantine-" in result(orders)
        assert b"TVqQAAM" not in result(orders)
        record = json.loads(journal.read_text())
        assert (record["action"], record["codes"]) == ("held", ["limit.failure"])
        released = subprocess.run(
            [PROGRAM, "release"],
            env=site.environment,
            input=result(orders),
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
        )
        assert released.stdout == raw(FIELDS, BODY)
        server.go_on()
        assert client.mail(FIELDS, BODY)[1] == DONE


def test_a_mail_that_needs_too_much_memory_is_held_as_any_other(site):
    journal = site.folder / "journal"
    options = ("--memory-limit", "1", "--journal", journal)
    with site.milter(f"quarantine {NOW}", *options) as process, site.client() as client:
        orders, end = greeted(client).mail(FIELDS, BODY)
        assert end == DONE
        assert b"quarantine-" in result(orders)
        record = json.loads(journal.read_text())
        assert (record["action"], record["codes"]) == ("held", ["limit.memory"])
        assert len(children(process.pid)) == 1


def test_a_mail_server_that_does_not_wait_leaves_the_worker_to_others(site):
    with blocking(site) as (_, server), site.client() as client, site.client() as other:
        greeted(client).envelope()
        client.message(FIELDS, BODY)
        server.receive()
        client.socket.close()
        server.go_on()
        assert greeted(other).mail(FIELDS, BODY)[1] == DONE


def test_an_idle_worker_that_is_killed_costs_nothing(site):
    with site.milter() as process, site.client() as client:
        assert greeted(client).mail(FIELDS, BODY)[1] == DONE
        kill_workers(process)
        assert client.mail(FIELDS, BODY)[1] == DONE


def test_workers_end_with_a_milter_that_is_killed(site):
    with site.milter() as process:
        [pid] = children(process.pid)
        descriptor = os.pidfd_open(pid)
        process.kill()
        process.wait(120)
        import select

        assert select.select([descriptor], [], [], 60)[0]
        os.close(descriptor)


def test_at_its_end_the_milter_finishes_what_it_has(site):
    with blocking(site) as (process, server), site.client() as client, site.client() as idle:
        greeted(client).envelope()
        client.message(FIELDS, BODY)
        server.receive()
        process.send_signal(signal.SIGTERM)
        site.told("STOPPING=1")
        assert idle.receive() == (b"", b"")
        server.go_on()
        orders, end = client.orders()
        assert end == DONE
        assert b"spf=none" in result(orders)
        assert process.wait(60) == 0
        assert process.stderr.read() == b""
        assert not os.path.exists(site.socket)
        assert "queue=4F00" in site.log.read_text()  # the worker has told of it before the end


def test_a_new_configuration_is_used_after_sighup_and_a_bad_one_is_not(site):
    with site.milter() as process, site.client() as client:

        def authserv_id():
            return (
                result(greeted(client).mail(FIELDS, BODY)[0]).partition(b"Authentication-Results: ")[2].split(b";")[0]
            )

        def reloaded():
            process.send_signal(signal.SIGHUP)
            site.told("RELOADING=1")
            site.told("READY=1")

        assert authserv_id() == b"mx.test"
        for wrong in (
            '[verify]\nauthserv = "x"\n',
            '[verify]\nauthserv_id = "other.test"\nknown = "/nonexistent"\n',
            '[verify]\nauthserv_id = "other.test"\n[milter]\nworker = 2\n',
            "[",
        ):
            site.configuration.write_text(wrong)
            reloaded()
            assert authserv_id() == b"mx.test"
        kill_workers(process)  # not even new ones see it
        assert authserv_id() == b"mx.test"
        site.configuration.write_text('[verify]\nauthserv_id = "new.test"\n')
        reloaded()
        assert authserv_id() == b"new.test"
        metrics = site.ask("/metrics")
    assert 'reloads_total{result="failed"} 4' in metrics
    assert 'reloads_total{result="done"} 1' in metrics
    assert site.log.read_text().count("keeps the old configuration") == 4


def test_a_key_that_goes_away_is_noticed_at_reload_and_the_old_one_is_kept(site, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(Path(site.environment["MAILGUARD_KEY_FILE"]).read_bytes())
    key.chmod(0o600)
    with site.milter(None, "--key-file", str(key)) as process, site.client() as client:
        key.unlink()
        process.send_signal(signal.SIGHUP)
        site.told("RELOADING=1")
        site.told("READY=1")
        kill_workers(process)
        assert result(greeted(client).mail(FIELDS, BODY)[0]) == site.expected()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--key-file", "/nonexistent/key"), b"/nonexistent/key"),
        (("--status", "inet:9@192.0.2.1"), b"loopback"),
        (("--together", "alike"), b"--password-file"),
        (("--listen", "tcp:1"), b"inet:PORT@HOST"),
        (("--spool", "/nonexistent"), b"/nonexistent"),
    ],
)
def test_what_is_wrong_is_said_before_mail_comes(site, arguments, reason):
    process = site.start(None, *arguments)
    _, said = process.communicate(timeout=60)
    assert process.returncode not in {0, 75}
    assert reason in said
    assert b"Traceback" not in said


def test_a_socket_that_was_left_is_replaced_and_one_in_use_is_not(site):
    with site.milter() as first:
        second = site.start()
        assert b"Address already in use" in second.communicate(timeout=60)[1]
        assert second.returncode == 1
        first.kill()
        first.wait(120)
        with site.milter(), site.client() as client:
            assert greeted(client).mail(FIELDS, BODY)[1] == DONE
        assert os.stat(site.socket).st_mode & 0o777 == 0o660


def test_connections_over_the_limit_wait_until_another_one_ends(site):
    with site.milter(None, "--connections", "2"), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(site.client()) for _ in range(2)]
        third = stack.enter_context(socket.socket(socket.AF_UNIX))
        third.settimeout(60)
        third.connect(site.socket)
        third.sendall(packet(b"O", struct.pack(">III", 6, 0x1FF, 0x1FFFFF)))
        for client in clients:
            assert greeted(client).mail(FIELDS, BODY)[1] == DONE
        assert site.metric("mailguard_milter_connections_total") == "2"
        clients[0].socket.close()
        assert third.recv(100)[4:5] == b"O"


def test_health_and_metrics_are_told_to_whom_asks_properly(running):
    assert running.ask("/health").startswith("HTTP/1.1 200 OK\r\n")
    assert running.ask("/nothing").startswith("HTTP/1.1 404 ")
    assert "mailguard_milter_workers 1\n" in running.ask("/metrics")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(f"{running.folder}/status")
        connection.sendall(b"x" * 100_000)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(100) == b""
    assert running.ask("/health").endswith("ok\n")


def test_dry_run_gives_no_orders_and_tells_what_would_be(site):
    with site.milter(None, "--dry-run"), site.client() as client:
        for _ in range(2):  # the one worker reports a mail before it takes the next
            assert greeted(client).mail(FIELDS, BODY) == ([], DONE)
    assert "would-be:quarantined" in site.log.read_text()


def resident(pid, name="VmRSS"):
    return next(
        int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name)
    )


def test_a_large_mail_is_not_in_the_memory_of_the_milter(site):
    body = random.Random(1).randbytes(1 << 20).hex().encode() * 20
    body = b"--b\r\nContent-Type: application/octet-stream; name=a.exe\r\n\r\nMZ" + body + b"\r\n--b--\r\n"
    with site.milter(None, "--time-limit", "100") as process, site.client() as client:
        greeted(client).mail(FIELDS, BODY)
        before = resident(process.pid)
        orders, end = client.mail(FIELDS, body)
        assert end == DONE
        assert result(orders, body=body) == site.filtered(
            FIELDS, body, "--client-address=192.0.2.1", "--client-helo=client.example", "--sender=a@friend.test",
            "--recipient=b@rcpt.test",
        )  # fmt: skip
        assert resident(process.pid, "VmHWM") < before + (10 << 10)


def test_hundreds_of_mails_leave_nothing_behind(site):
    with site.milter() as process:
        pids = [process.pid, *children(process.pid)]

        def measured():
            return [resident(pid) for pid in pids], [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]

        def mails(count):
            for _ in range(count // 20):
                with site.client() as client:
                    greeted(client)
                    for number in range(20):
                        assert client.mail(FIELDS, BODY if number % 4 == 0 else b"text\r\n")[1] == DONE
            while site.metric("mailguard_milter_connections ") != "0":
                pass

        mails(200)
        memory, files = measured()
        mails(600)
        later, files_later = measured()
        assert pids[1:] == children(process.pid)
        assert files_later == files
        assert all(now < before + 3000 for now, before in zip(later, memory, strict=True)), (memory, later)
        assert os.listdir(site.folder).count("milter") == 1


def test_a_configuration_is_tried_out_without_any_effect():
    seen = []

    def transform(raw, settings):
        seen.append((settings.dry_run, settings.json, settings.journal, settings.log))
        from mailguard.findings import Result

        return Result("verify", [raw])

    mail_filter = Filter("verify", transform, Settings(Envelope(), 5))
    Configuration([mail_filter]).try_out()
    assert seen == [(True, None, None, "none")]


FACTS = (
    b'{"client_address": null, "client_helo": null, "sender": "", "recipients": [], "queue_id": null, '
    b'"sasl_username": null, "tls": "", "fields": 1, "leading": true, "anywhere": true}'
)


class Pooled:
    """A pool of one worker whose filter is a function of the message, in the middle of what a test does."""

    def __init__(self, transform, **options):
        filters = [Filter("verify", transform, Settings(Envelope(), 0, log="none"), lambda raw, *_: unchanged(raw))]
        self.metrics = Metrics()
        self.pool = pool_module.Pool(1, filters, "none", self.metrics, lambda _: None, **options)

    async def outcome(self, mail, client="192.0.2.1"):
        with tempfile.TemporaryFile() as file:
            file.write(mail + FACTS)
            file.flush()
            return (await asyncio.wait_for(self.pool.submit(file.fileno(), len(mail), len(FACTS), client), 120))[0]


def test_a_worker_that_dies_is_noticed_although_a_process_that_it_left_keeps_its_connection(tmp_path):
    left = tmp_path / "left"

    def die(raw, settings):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.pause()
        with left.open("a") as file:
            file.write(f"{pid}\n")
        os.kill(os.getpid(), signal.SIGKILL)

    async def work():
        pooled = Pooled(die)
        assert await pooled.outcome(b"X: y\r\n\r\n") == worker.UNCHANGED
        await pooled.pool.stop()

    try:
        asyncio.run(work())
    finally:
        pids = left.read_text().split()
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
    assert len(pids) == 2


def unchanged(raw):
    from mailguard.findings import Result

    return Result("verify", [raw])


def test_no_mail_waits_for_a_costly_one_until_there_are_twice_as_many_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "_SLOW_SECONDS", 0.05)
    told = tmp_path / "told"
    for path in (told, tmp_path / "1", tmp_path / "2", tmp_path / "3"):
        os.mkfifo(path)

    def transform(raw, settings):
        if b"costly" in raw:
            told.write_text("x")
            (tmp_path / raw.split()[-1].decode()).read_text()
        return unchanged(raw)

    async def begun():
        await asyncio.to_thread(told.read_text)

    async def end(number):
        await asyncio.to_thread((tmp_path / number).write_text, "go")

    async def work():
        pooled = Pooled(transform)
        [first] = pooled.pool.pids
        costly = asyncio.create_task(pooled.outcome(b"X: costly 1\r\n\r\n"))
        await begun()
        assert await pooled.outcome(b"X: plain\r\n\r\n") == worker.UNCHANGED
        assert first in pooled.pool.pids
        assert os.getpriority(os.PRIO_PROCESS, first) == pool_module._LOWER_PRIORITY
        assert len(pooled.pool.pids) == 2
        second = asyncio.create_task(pooled.outcome(b"X: costly 2\r\n\r\n"))
        await begun()
        assert await pooled.outcome(b"X: plain\r\n\r\n") == worker.UNCHANGED
        assert await pooled.outcome(b"X: plain\r\n\r\n", "192.0.2.2") == worker.UNCHANGED
        third = asyncio.create_task(pooled.outcome(b"X: costly 3\r\n\r\n", "192.0.2.3"))
        await begun()
        while sum(os.getpriority(os.PRIO_PROCESS, pid) > 0 for pid in pooled.pool.pids) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert len(pooled.pool.pids) == 3
        for client in ("192.0.2.1", "192.0.2.2"):  # the third goes back, and waits for a worker of the first two
            assert await pooled.outcome(b"X: plain\r\n\r\n", client) == worker.UNCHANGED
        assert len(pooled.pool.pids) == 3
        assert not third.done()
        await end("1")
        assert await costly == worker.UNCHANGED
        await begun()
        await end("2")
        assert await second == worker.UNCHANGED
        await end("3")
        assert await third == worker.UNCHANGED
        assert pooled.metrics.workers_lost == 0
        while len(pooled.pool.pids) != 1 or first in pooled.pool.pids:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # with its lower priority it does no further mail
        await pooled.pool.stop()

    asyncio.run(work())


def test_a_mail_that_is_never_done_is_not_tried_a_second_time(monkeypatch, tmp_path):
    tries = tmp_path / "tries"
    monkeypatch.setattr(pool_module, "_GRACE_SECONDS", 0.1)
    monkeypatch.setattr(worker, "whole_seconds", lambda _: 0.5)

    def hang(raw, settings):
        with tries.open("a") as file:
            file.write("x")
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        while True:
            signal.pause()

    async def work():
        pooled = Pooled(hang)
        assert await pooled.outcome(b"X: y\r\n\r\n") == worker.UNCHANGED
        await pooled.pool.stop()

    asyncio.run(work())
    assert tries.read_text() == "x"


def test_signs_of_life_are_sent_while_a_mail_is_at_work(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "_PROGRESS_SECONDS", 0.001)

    async def connected():
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        options = SimpleNamespace(spool=str(tmp_path), largest=1 << 20)
        pool = SimpleNamespace(submit=lambda *_: answer)
        ignored = dict.fromkeys(("opened", "closed", "finished", "say"), lambda *_: None)
        server = SimpleNamespace(options=options, pool=pool, metrics=Metrics(), splits=False, **ignored)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        await loop.connect_accepted_socket(lambda: session.MilterSession(server), theirs)
        negotiation = packet(b"O", struct.pack(">III", 6, 0x1FF, 0x1FFFFF))
        await loop.sock_sendall(ours, negotiation + packet(b"M", b"<a@b>\0") + packet(b"N") + packet(b"E"))
        seen = b""
        while seen.count(protocol.PROGRESS) < 3:
            seen += await loop.sock_recv(ours, 100)
        answer.set_exception(pool_module.WorkerLost())
        while not seen.endswith(worker.TRY_AGAIN):
            seen += await loop.sock_recv(ours, 100)
        ours.close()

    asyncio.run(connected())


HARMLESS = BODY.replace(b"application/octet-stream; name=a.exe", b"text/plain; name=a.txt").replace(b"TVqQ", b"YWJj")


def test_a_conversation_that_somebody_else_continues_is_held(site):
    """a@friend.test is authenticated; the conversation went to partner.test."""
    conversations = site.folder / "conversations"
    pipeline = f"{site.verify} | quarantine {NOW} --conversations {conversations}"
    process = site.start(pipeline)
    assert process.wait(120) == 1
    assert b"file of conversations" in process.stderr.read()
    for name, recipient in (("u1", "pat@partner.test"), ("u2", "ann@friend.test")):
        sent = f"From: joe@rcpt.test\nTo: {recipient}\nMessage-ID: <{name}@rcpt.test>\n\nHello\n".encode()
        command = [PROGRAM, "learn", "--conversations", conversations, "--log", "none"]
        subprocess.run(command, env=site.environment, input=sent, check=True, timeout=120)
    with site.milter(pipeline):
        changed = []
        for name in ("u1", "u2"):
            fields = [*FIELDS, (b"References", f" <{name}@rcpt.test>".encode())]
            with site.client() as client:
                greeted(client)
                orders, end = client.mail(fields, HARMLESS)
            assert end == DONE
            changed.append(b"quarantine-notice" in applied(fields, HARMLESS, orders)[1])
    assert changed == [True, False]
