"""A service under abuse: what one client does costs its own share, and never the form and the pages of the others."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import smtplib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from check_lab import Authority
from check_servers import Listening
from check_service import ADDRESS, NOW, Bench, reply
from dns_server import DROP, DnsServer
from program import PROGRAM

from mailguard.check import beginnings, listener, shares
from mailguard.check.beginnings import Beginnings
from mailguard.check.reply import DONE, handle
from mailguard.check.shares import Brief, Shares, client_of
from mailguard.check.start import begin
from mailguard.check.web import Visitors
from mailguard.dns.files import Zone
from mailguard.envelope import Envelope
from mailguard.errors import MailguardError

PATIENCE = 60  # for what takes a moment: the machine may be busy


class Process:
    """`check serve` as it is run, with a limit of open files as systems have it; dns: answers its questions."""

    def __init__(self, folder, dns, *, files=1024):
        self.web, self.smtp = free_port(), free_port()
        environment = os.environ | {"MAILGUARD_KEY_FILE": str(folder / "key")}
        subprocess.run([PROGRAM, "init"], env=environment, check=True, capture_output=True, timeout=PATIENCE)
        command = [
            "sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", PROGRAM, "check", "serve",
            "--address", "check@checker.example.net", "--state", folder / "state", "--via", f"mbox:{folder}/box",
            "--listen", f"127.0.0.1:{self.web}", "--smtp", f"127.0.0.1:{self.smtp}", "--nameserver", dns, "--lab",
        ]  # fmt: skip
        self.errors = (folder / "errors").open("w+")
        self.process = subprocess.Popen(list(map(str, command)), env=environment, stderr=self.errors)

    def __enter__(self):
        self.wait(lambda: self.form() is not None)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def form(self, path="/", source="127.0.0.1", **values):
        """What the web says; None when nobody answers."""
        data = urllib.parse.urlencode(values).encode() if values else None
        opener = urllib.request.build_opener(_From(source))
        try:
            with opener.open(f"http://127.0.0.1:{self.web}{path}", data, timeout=PATIENCE) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            return error.read()
        except OSError:
            return None

    def wait(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.02)

    def log(self):
        self.errors.seek(0)
        return self.errors.read()

    def memory(self):
        """Octets of memory that this process alone has."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            return int(re.search(r"Anonymous: +(\d+) kB", file.read())[1]) << 10

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class _From(urllib.request.HTTPHandler):
    """Connects from another address of this machine."""

    def __init__(self, source):
        super().__init__()
        self.source = source

    def http_open(self, request):
        import http.client

        def connection(*arguments, **options):
            return http.client.HTTPConnection(*arguments, **options, source_address=(self.source, 0))

        return self.do_open(connection, request)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def dns():
    with DnsServer({"slow.example": [("*", DROP)]}) as server:
        yield server


@pytest.fixture
def process(tmp_path, dns):
    with Process(tmp_path, f"127.0.0.1:{dns.port}") as started:
        yield started


@contextlib.contextmanager
def connections(port, number, said=b""):
    """Connections that stay; as many as come about."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(PATIENCE)
            connection.connect(("127.0.0.1", port))
            with contextlib.suppress(OSError):
                connection.sendall(said)
            made.append(connection)
        yield made


@pytest.fixture(autouse=True)
def many_files():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def closed(connection):
    """What a connection said before it was closed; None while it is open."""
    connection.setblocking(False)
    said = b""
    try:
        while part := connection.recv(4096):
            said += part
    except BlockingIOError:
        return None
    except OSError:
        return said
    return said


def test_a_thousand_idle_connections_to_the_mail_server_close_nothing(process):
    with connections(process.smtp, 1100) as made:
        process.wait(lambda: sum(closed(each) is not None for each in made) == 1080)
        assert b"Is your mail server safe?" in process.form()
        assert process.descriptors() < 100
        refused = [said for each in made if (said := closed(each)) is not None]
        with socket.create_connection(("127.0.0.1", process.smtp), source_address=("127.0.0.2", 0)) as other:
            assert other.recv(100).startswith(b"220 ")
    assert len(refused) == 1080
    assert "Traceback" not in process.log()
    assert process.log().count("\n") < 10


def test_a_place_is_free_again_however_its_connection_ended(tmp_path):
    """Also where the library never tells anybody: a handshake of TLS that fails."""
    leaf = Authority(tmp_path).issue("checker.example.net")
    with Listening(tmp_path, str(leaf.path)) as listening:
        data = b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<check@checker.example.net>\r\nDATA\r\nx"
        for said in (b"", data, b"QUIT\r\n", b"EHLO x\r\nSTARTTLS\r\n"):
            with connections(listening.port, 20, said) as made:
                for each in made:
                    assert each.recv(4) in {b"220 ", b"421 "}
                    if b"STARTTLS" in said:
                        while b"Ready" not in each.recv(4096):
                            pass
                        each.sendall(b"no handshake\r\n" * 10)
            end = time.monotonic() + PATIENCE
            while not is_welcome(listening.port):
                assert time.monotonic() < end


def is_welcome(port):
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE)) for _ in range(20)]
        return all(each.recv(4) == b"220 " for each in made)


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\nX: ", b"POST /start HTTP/1.1\r\nContent-Length: 100\r\n\r\nad"]
)
def test_idle_and_slow_connections_to_the_web_close_nothing(process, said):
    with connections(process.web, 1100, said):
        assert b"Is your mail server safe?" in process.form()
        assert b"Is your mail server safe?" in process.form(source="127.0.0.2")
        process.wait(lambda: process.descriptors() < 100)
    assert "Traceback" not in process.log()


def test_a_request_that_never_ends_is_ended(monkeypatch):
    """A byte now and then is no reason to wait longer."""
    from mailguard.check.channel import Channel

    class Half(Channel):
        def __init__(self):
            self.last_activity = 1.0

        def received(self, data):
            assert data == b"x"

    half = Half()
    half.recv = lambda _: b"x"
    half.adj = type("Adjustments", (), {"recv_bytes": 10})
    half.handle_read()
    assert half.last_activity == 1.0


def test_unfinished_mails_are_not_kept_in_memory(process):
    """Thirty mails of 10 MB; a list of the lines would be 35 MB for each MB where they are as short as they can be."""
    before = process.memory()
    hello = b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<check@checker.example.net>\r\nDATA\r\n"
    ordinary = b"x" * 900 + b"\r\n"
    with contextlib.ExitStack() as stack:
        made = []
        for number in range(30):
            made.append(connection := stack.enter_context(socket.socket()))
            connection.bind((f"127.0.0.{number % 3 + 1}", 0))
            connection.settimeout(PATIENCE)
            connection.connect(("127.0.0.1", process.smtp))
            connection.sendall(hello)
        contents = [b"\r\n" * (1 << 19)] * 2 + [ordinary * (10_400_000 // len(ordinary))] * 28
        threads = [
            threading.Thread(target=each.sendall, args=(text,)) for each, text in zip(made, contents, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        process.wait(lambda: not unread(process.smtp))
        assert process.memory() - before < 60 << 20
        assert b"Is your mail server safe?" in process.form()
        made[0].sendall(b".\r\n")
        process.wait(lambda: "no-token" in process.log())


def unread(port):
    """Octets that a server at this port has not read yet."""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file][1:]
    received = [int(row[4][9:], 16) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]
    return sum(received) + sum(int(row[4][:8], 16) for row in rows if row[2].endswith(f":{port:04X}"))


def test_a_long_message_is_refused_and_so_is_a_long_line(process):
    with smtplib.SMTP("127.0.0.1", process.smtp, timeout=PATIENCE) as client:
        for text, code in ((b"x" * 70 + b"\r\n") * 160_000, 552), (b"x" * 5000 + b"\r\n", 500), (b"..x\r\n", 250):
            client.ehlo()
            client.mail("a@example.com")
            client.rcpt("check@checker.example.net")
            assert client.data(text)[0] == code


def test_names_servers_that_do_not_answer_stop_no_page(process):
    """Every thread that may wait is waiting; others who ask are told that it takes a while."""
    answers = []
    threads = [
        threading.Thread(
            target=lambda number=number: answers.append(
                process.form("/start", f"127.0.{number // 2}.1", address=f"user{number}@slow.example", lang="en")
            )
        )
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert b"Is your mail server safe?" in process.form()
    finally:
        for thread in threads:
            thread.join(PATIENCE)
    assert len(answers) == 8
    assert any(b"takes its time" in answer for answer in answers)


# Without a process.


def test_a_reply_that_comes_again_tells_its_result_three_times(tmp_path):
    bench = Bench(tmp_path)
    begun = begin(bench.service, ADDRESS, "en", NOW)
    handled = [handle(bench.service, reply(begun.token), Envelope(sender=ADDRESS), NOW + 60) for _ in range(6)]
    assert [each.code for each in handled] == [DONE] * 3 + ["told"] * 3
    assert [each.mail is not None for each in handled] == [True] * 3 + [False] * 3
    assert len(bench.scanned) == 1


def test_a_reply_beyond_the_limits_is_told_so_once_and_counts_later(tmp_path):
    bench = Bench(tmp_path, confirmed={"domain": ((86400, 1),)})
    first = begin(bench.service, ADDRESS, "en", NOW)
    second = begin(bench.service, "ann@example.com", "ja", NOW)
    third = begin(bench.service, "bob@example.com", "en", NOW)

    def answered(begun, now):
        sender = begun.exchange.address
        return handle(bench.service, reply(begun.token, sender=sender), Envelope(sender=sender), now)

    assert answered(first, NOW).code == DONE
    told = answered(second, NOW)
    assert (told.code, told.recipient) == ("postponed", "ann@example.com")
    assert f"+{second.token}@".encode() in told.mail
    assert b"Auto-Submitted: auto-replied" in told.mail
    assert (again := answered(second, NOW)).mail is None
    assert again.code == "postponed"
    assert b"Not checked yet: example.com" in answered(third, NOW).mail
    assert len(bench.scanned) == 1
    assert answered(second, NOW + 86400).code == DONE


def test_a_result_that_cannot_be_sent_is_not_counted(tmp_path):
    bench = Bench(tmp_path)
    begun = begin(bench.service, ADDRESS, "en", NOW)
    broken = True

    def send(*_):
        if broken:
            raise MailguardError("no mail server")

    handler = listener.Handler(bench.service, send, lambda _: None, lambda: NOW)

    def come():
        import tempfile

        with tempfile.SpooledTemporaryFile() as file:
            file.write(reply(begun.token))
            return handler._handle(Envelope(sender=ADDRESS), listener.Transport(False), file)[:3]

    assert [come() for _ in range(5)] == ["451"] * 5
    broken = False
    assert come() == "250"
    assert bench.service.state.load(begun.exchange.name).results == 1


class Stuck:
    """Name servers that answer when they are told to."""

    def __init__(self):
        self.go = threading.Event()
        self.asked = 0

    def ask(self, name, rdtype, timeout):
        self.asked += 1
        self.go.wait(PATIENCE)
        return Zone("").ask(name, rdtype, timeout)


def test_one_client_has_few_places_in_the_queue_and_no_other_client_waits_for_them(tmp_path):
    stuck = Stuck()
    bench = Bench(tmp_path, source=stuck)
    queue = Beginnings(bench.service, lambda *_: None, lambda _: None, waiting=0, seconds=PATIENCE)
    try:
        codes = [queue.begin(f"a@example{number}.com", "en", NOW, "198.51.100.9") for number in range(6)]
        assert codes == [beginnings.ASKED] * 4 + [beginnings.LIMIT] * 2
        assert queue.begin("a@example.org", "en", NOW, "203.0.113.9") == beginnings.ASKED
    finally:
        stuck.go.set()
    queue._pool.shutdown()
    assert queue.begin  # its places are free again
    assert queue._queued.take("198.51.100.0/24", 4)


def test_who_may_wait_learns_what_came_of_it_and_only_so_long(tmp_path):
    stuck = Stuck()
    bench = Bench(tmp_path, source=stuck)
    queue = Beginnings(bench.service, lambda *_: None, lambda _: None, waiting=1, seconds=0.01)
    assert queue.begin("a@example.com", "en", NOW, "") == beginnings.ASKED
    stuck.go.set()
    queue._seconds = PATIENCE
    assert queue.begin("b@example.com", "en", NOW, "") == beginnings.DOMAIN
    assert queue.begin("nonsense", "en", NOW, "") == beginnings.ADDRESS


def test_shares_are_those_of_a_client_and_of_all():
    some = Shares(2, 5)
    assert [some.take("a") for _ in range(3)] == [True, True, False]
    assert some.take("b", 2)
    assert not some.take("c", 2)
    assert some.take("c")
    some.give_back("a")
    assert some.take("a")
    some.give_back("b", 0)
    for name, amount in (("a", 2), ("b", 2), ("c", 1)):
        some.give_back(name, amount)
    assert some.take("x", 2)
    assert some._taken == {"x": 2}


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7/32"), ("2001:db8::7", "2001:db8::/64"), ("2001:db8::9:1", "2001:db8::/64"),
        ("fe80::1%lo", "fe80::/64"), ("", ""), ("unix", "unix"),
    ],
)  # fmt: skip
def test_a_client_of_ipv6_has_many_addresses(address, client):
    assert client_of(address) == client


def test_a_log_has_one_line_for_what_a_stranger_can_do_a_thousand_times(monkeypatch):
    said, now = [], 100.0
    monkeypatch.setattr(shares, "monotonic", lambda: now)
    logger = logging.getLogger("library")
    monkeypatch.setattr(logger, "handlers", [Brief(said.append)])
    for _ in range(1000):
        error = OSError(24, "Too many open files")
        logger.error("accept failed\nsocket: <object at 0x%x>", id(error), exc_info=error)
        logger.error("%s is odd", object())
        logger.info("nothing")
    assert said[0] == "library: accept failed: [Errno 24] Too many open files"
    assert len(said) == 2
    now += 60
    logger.error("%s is odd", "x")
    assert said[2:] == ["library: x is odd"]


def test_visitors_are_forgotten_and_cost_nothing_each(monkeypatch):
    monkeypatch.setattr("mailguard.check.web._MOST_VISITORS", 100)
    visitors = Visitors()
    for number in range(1000):
        assert visitors.allow(f"10.{number >> 8}.{number & 255}.1", NOW)
    assert len(visitors._uses) == 100
    assert visitors.allow("192.0.2.1", NOW + 3600)
    assert len(visitors._uses) == 1
