"""duplicate as the mail system sees it: real processes, servers that fail, and the original on stdout whatever happens."""

from __future__ import annotations

import fcntl
import json
import re
import resource
import shutil
import signal
import subprocess
import sys

import pytest
from bench.processes import LAUNCHER
from hypothesis import given
from hypothesis import strategies as st
from smtp_faults import STEPS, Fault, Server, on_wire

from mailguard.duplicate import report
from mailguard.duplicate.digest import examine
from mailguard.duplicate.flush import entries
from mailguard.seal import field, new_key
from mailguard.seal.field import Seal
from mailguard.seal.keys import parse_key
from mailguard.spool.queue import Spool

RAW = b"Received: by one\nFrom: a@one.test\nTo: b@two.test\nMessage-ID: <1@one.test>\nSubject: x\n\n.\n.dot\r\nno end"
ENVELOPE = ("--sender", "a@one.test", "--recipient", "b@two.test")


class Mail:
    """One installation: a spool, and mailguard duplicate as a process."""

    def __init__(self, folder):
        self.folder = folder
        self.spool = folder / "spool"

    def run(self, *arguments, raw: bytes | None = RAW, limits=None, stdout=subprocess.PIPE):
        command = [sys.executable, "-m", "mailguard", "duplicate", "--log", "none", "--spool-reserve", "0", *arguments]
        if "--spool" not in arguments:
            command += ["--spool", str(self.spool)]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            command,
            input=raw,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment,
            preexec_fn=limits,
            timeout=120,
            check=False,
        )

    def copy(self, *urls, options=(), envelope=ENVELOPE, **process):
        targets = [word for url in urls for word in ("--to", url)]
        return self.run(*targets, *envelope, *options, **process)

    def work(self, *arguments):
        return self.run(*arguments, raw=b"")

    def flush(self, *arguments):
        return self.work("--flush", "--all", *arguments)

    def entries(self, folder: str = "queue") -> list[dict]:
        if not self.spool.exists():
            return []
        found = []
        with Spool(str(self.spool), create=False) as spool:
            for entry in entries(spool, [folder]):
                found.append(report.as_dict(entry, 0, 0))
                entry.close()
        return found

    def settle(self) -> None:
        """Wait until no process works on an entry any more."""
        for path in (self.spool / "queue").glob("?" * 32):
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)


@pytest.fixture
def mail(tmp_path):
    return Mail(tmp_path)


def passed(result, raw: bytes = RAW) -> bool:
    assert result.stderr == b""
    return (result.returncode, result.stdout) == (0, raw)


def deferred(result) -> bool:
    assert re.fullmatch(rb"4\.3\.[05] mailguard: [^\n]+\n", result.stderr)
    return (result.returncode, result.stdout) == (75, b"")


# --- the promise, fault by fault ---

ACTIONS = ["hang", "close", "garbage", "drip", "421 4.3.2 closing", "451 4.3.0 later", "554 5.7.1 never"]
FAULTS = [(step, action) for step in STEPS for action in ACTIONS] + [("final", "drop"), ("final", "twice")]


@pytest.mark.parametrize(("step", "action"), FAULTS)
def test_the_copy_arrives_or_is_in_the_spool_and_the_original_goes_on(mail, step, action):
    with Server(Fault(step, action)) as server:
        result = mail.copy(server.url("?timeout=1"), options=["--timeout", "0.5"])
        assert passed(result)
        mail.settle()
        first = len(server.copies(RAW))
        waiting = mail.entries("queue") + mail.entries("failed")
        assert first + len(waiting) == 1 or (action == "drop" and first == len(waiting) == 1)
        server.fault = None
        mail.work("--retry-failed")
        mail.flush()
        assert len(server.copies(RAW)) == len(server.messages) == (2 if action == "drop" else 1)
        assert server.messages[-1].sender.startswith("<a@one.test>")
        assert server.messages[-1].recipients == ["b@two.test"]
    assert not mail.entries("queue") + mail.entries("failed")


def test_a_server_that_is_down_gets_everything_later(mail):
    with Server() as gone:
        pass
    raws = [RAW.replace(b"<1@", b"<%d@" % number) for number in range(3)]
    for raw in raws:
        assert passed(mail.copy(gone.url(), raw=raw), raw)
    assert len(mail.entries()) == 3
    with Server() as server:
        mail.flush("--to", gone.url())
        assert len(mail.entries()) == 3
        for path in (mail.spool / "queue").glob("?" * 32):
            path.write_bytes(path.read_bytes().replace(gone.url().encode(), server.url().encode()))
        for state in (mail.spool / "queue").glob("*.state"):
            state.unlink()
        result = mail.flush()
        assert (result.returncode, result.stderr) == (0, b"")
        assert sorted(message.data for message in server.messages) == sorted(map(on_wire, raws))
        assert server.connections == 1
    assert not mail.entries()


def test_the_message_goes_on_while_the_server_still_thinks(mail):
    with Server(Fault("final", "hang", times=1)) as server:
        assert passed(mail.copy(server.url("?timeout=100"), options=["--timeout", "0.3"]))
        assert server.connections == 1
        (entry,) = (mail.spool / "queue").glob("?" * 32)
        with entry.open() as file, pytest.raises(BlockingIOError):  # the delivery goes on in the background
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        second = RAW.replace(b"<1@", b"<2@")
        assert passed(mail.copy(server.url("?timeout=100"), raw=second, options=["--timeout", "60"]), second)
        assert server.connections == 1, "the breaker keeps the second message from waiting"
    mail.settle()
    assert len(mail.entries()) == 2


def test_a_server_that_is_only_slow_gets_one_copy(mail):
    with Server(Fault("final", "slow")) as server:
        assert passed(mail.copy(server.url("?timeout=60"), options=["--timeout", "0.3"]))
        assert mail.flush().returncode == 0, "the entry is in work, so a flush leaves it alone"
        assert len(server.copies(RAW)) == 0
        server.released.set()
        mail.settle()
        assert len(server.copies(RAW)) == 1
        mail.flush()
        assert len(server.copies(RAW)) == 1
    assert not mail.entries()


def test_a_target_that_hangs_does_not_hinder_the_others(mail):
    with Server(Fault("connect", "hang")) as stuck, Server() as server:
        urls = [stuck.url("?timeout=1"), server.url(), f"maildir:{mail.folder}/copies", f"mbox:{mail.folder}/box"]
        assert passed(mail.copy(*urls, options=["--timeout", "2"]))
        mail.settle()
        assert len(server.copies(RAW)) == 1
    assert [file.read_bytes() for file in (mail.folder / "copies/new").iterdir()] == [RAW]
    assert (mail.folder / "box").read_bytes().startswith(b"From a@one.test ")
    (entry,) = mail.entries()
    assert [target["url"] for target in entry["targets"]] == [stuck.url("?timeout=1")]


def test_a_retry_of_the_mail_system_is_not_copied_again_and_the_log_says_so(mail):
    with Server() as server:
        assert passed(mail.copy(server.url()))
        again = RAW.replace(b"by one", b"by one, a second time")
        result = mail.copy(server.url(), raw=again, options=["--json", str(mail.folder / "log")])
        assert passed(result, again)
        assert len(server.messages) == 1
    codes = [finding["code"] for finding in json.loads((mail.folder / "log").read_text())["findings"]]
    assert codes == ["duplicate.already-delivered"]


def test_a_new_recipient_of_the_same_message_gets_his_copy(mail):
    with Server() as server:
        mail.copy(server.url())
        mail.copy(server.url(), envelope=[*ENVELOPE, "--recipient", "c@two.test"])
    assert [message.recipients for message in server.messages] == [["b@two.test"], ["c@two.test"]]


def test_only_the_recipients_that_failed_are_tried_again(mail):
    with Server(refusals={"c@two.test": "451 4.2.0 busy", "d@two.test": "550 5.1.1 gone"}) as server:
        envelope = [*ENVELOPE, "--recipient", "c@two.test", "--recipient", "d@two.test"]
        assert passed(mail.copy(server.url(), envelope=envelope))
        (waiting,), (failed,) = mail.entries(), mail.entries("failed")
        assert waiting["targets"][0]["recipients"] == ["c@two.test"]
        assert failed["targets"][0]["replies"] == {"d@two.test": "550 5.1.1 gone"}
        assert "< 550 5.1.1 gone" in failed["targets"][0]["dialogue"]
        server.refusals = {}
        mail.flush()
        mail.work("--retry-failed")
        mail.flush()
    assert [message.recipients for message in server.messages] == [["b@two.test"], ["c@two.test"], ["d@two.test"]]


def test_the_client_says_goodbye_only_after_the_copy_is_on_record(mail):
    with Server() as server:
        mail.copy(server.url())
        server.wait_for_goodbyes()
        assert server.messages[0].acknowledged
    assert not mail.entries()


@pytest.mark.parametrize(
    "raw",
    [
        b"\n",
        b"x",
        b"\x00\xff\r\r\n\n",
        b"From x y\nSubject: x\r\n\r\nmixed\n",
        b"Subject: \xe3\x81\x82\n\n\xe3\x81\x84\n",
        b'\x1b$B$"\x1b(B: x\n\n' + b"y" * 5000 + b"\n",
        b"Received: x\n" * 20_000 + b"\n",
    ],
)
def test_the_original_goes_on_byte_for_byte_and_any_copy_can_be_restored(mail, raw):
    assert passed(mail.copy("smtp://127.0.0.1:1", raw=raw), raw)
    mail.work("--restore", "--output", str(mail.folder / "restored"))
    assert (mail.folder / "restored/00000001.eml").read_bytes() == raw


# --- without a spool ---


def small_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


BIG = RAW + b"\n" + b"x" * 20_000 + b"\n"


def test_a_full_disk_and_a_server_that_is_down_mean_try_again(mail):
    assert deferred(mail.copy("smtp://127.0.0.1:1", raw=BIG, limits=small_files))
    assert not mail.entries()


def test_a_full_disk_does_no_harm_while_the_server_takes_copies(mail):
    with Server() as server:
        assert passed(mail.copy(server.url(), raw=BIG, limits=small_files), BIG)
        assert len(server.copies(BIG)) == 1


@pytest.mark.parametrize("option", [("--spool-quota", "1000"), ("--spool-reserve", "900000G")])
def test_over_quota_or_reserve_only_a_complete_delivery_lets_the_message_go_on(mail, option):
    with Server(refusals={"c@two.test": "451 4.2.0 busy"}) as server:
        assert passed(mail.copy(server.url(), raw=BIG, options=option), BIG)
        two = [*ENVELOPE, "--recipient", "c@two.test"]
        assert deferred(mail.copy(server.url(), raw=BIG, options=option, envelope=two))
    assert not mail.entries()


NO_ROOM = pytest.mark.parametrize(
    ("options", "limits"),
    [
        pytest.param(("--spool-reserve", "900000G"), None, id="reserve"),
        pytest.param(("--spool-quota", "1000"), None, id="quota"),
        pytest.param((), small_files, id="disk"),
    ],
)


@NO_ROOM
def test_without_room_each_place_gets_one_copy_however_often_the_mail_system_tries(mail, options, limits):
    dead = "smtp://127.0.0.1:1"
    two = [*ENVELOPE, "--recipient", "c@two.test"]
    with Server(refusals={"c@two.test": "451 4.2.0 busy"}) as server:
        for _ in range(6):
            assert deferred(mail.copy(server.url(), dead, raw=BIG, options=options, envelope=two, limits=limits))
        assert [copy.recipients for copy in server.copies(BIG)] == [["b@two.test"]]
        server.refusals = {}
        with Server() as other:
            for target in (server, other):
                result = mail.copy(target.url(), raw=BIG, options=options, envelope=two, limits=limits)
                assert passed(result, BIG)
            assert [copy.recipients for copy in server.copies(BIG)] == [["b@two.test"], ["c@two.test"]]
            assert [copy.recipients for copy in other.copies(BIG)] == [["b@two.test", "c@two.test"]]


@NO_ROOM
def test_without_room_an_output_that_fails_makes_no_second_copy(mail, options, limits):
    with Server() as server:
        for _ in range(4):
            with open("/dev/full", "wb") as full:
                result = mail.copy(server.url(), raw=BIG, options=options, limits=limits, stdout=full)
            assert result.returncode == 75
        assert passed(mail.copy(server.url(), raw=BIG, options=options, limits=limits), BIG)
        assert len(server.copies(BIG)) == 1


def test_what_waits_after_there_was_no_room_is_not_copied_again(mail):
    options = ("--spool-reserve", "900000G")
    dead = "smtp://127.0.0.1:1"
    with Server() as server:
        assert deferred(mail.copy(server.url(), dead, options=options))
        assert passed(mail.copy(server.url(), dead))
        mail.flush()
        assert len(server.copies(RAW)) == 1
    (entry,) = mail.entries()
    assert [target["url"] for target in entry["targets"]] == [dead]


def test_nothing_is_delivered_that_could_not_be_remembered(mail):
    """The mail would come again, and be delivered again each time; with `pass` it goes on, so it is delivered once."""
    assert passed(mail.copy(f"maildir:{mail.folder}/first"))  # makes the spool

    def no_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    with Server() as server:
        assert deferred(mail.copy(server.url(), limits=no_files))
        assert not server.messages
        result = mail.copy(server.url(), options=["--on-failure", "pass"], limits=no_files)
        assert (result.returncode, len(server.messages)) == (0, 1)


def test_without_spool_and_answer_the_message_waits_and_nothing_goes_on_in_the_background(mail):
    with Server(Fault("final", "hang")) as server:
        options = ["--timeout", "0.3", "--spool-reserve", "900000G"]
        assert deferred(mail.copy(server.url("?timeout=100"), options=options))
        server.wait_for_goodbyes()


def test_the_operator_can_choose_to_lose_the_copy_but_not_silently(mail):
    options = ["--on-failure", "pass", "--spool-reserve", "900000G", "--json", str(mail.folder / "log")]
    result = mail.copy("smtp://127.0.0.1:1", options=options)
    assert (result.returncode, result.stdout) == (0, RAW)
    assert b"NO copy" in result.stderr
    record = json.loads((mail.folder / "log").read_text())
    assert "duplicate.lost" in [finding["code"] for finding in record["findings"]]


# --- selection ---


def selected(mail, *options, raw: bytes = RAW, envelope=ENVELOPE) -> int:
    box = mail.folder / "box"
    assert passed(mail.copy(f"mbox:{box}", raw=raw, options=options, envelope=envelope), raw)
    return box.read_bytes().count(b"Message-ID") if box.exists() else 0


@pytest.mark.parametrize(
    ("option", "patterns", "copies"),
    [
        ("--only-senders", "one.test", 1),
        ("--only-senders", "*\n!@one.test", 0),
        ("--only-recipients", "b@two.test", 1),
        ("--only-recipients", "c@two.test", 0),
    ],
)
def test_copies_can_be_limited_to_senders_and_recipients(mail, option, patterns, copies):
    (mail.folder / "list").write_text(patterns)
    assert selected(mail, option, str(mail.folder / "list")) == copies


def test_only_the_chosen_recipients_get_copies(mail):
    (mail.folder / "list").write_text("c@two.test")
    with Server() as server:
        envelope = [*ENVELOPE, "--recipient", "c@two.test"]
        mail.copy(server.url(), options=["--only-recipients", str(mail.folder / "list")], envelope=envelope)
    assert [message.recipients for message in server.messages] == [["c@two.test"]]


@pytest.mark.parametrize(
    ("options", "copies"),
    [
        (["--larger-than", str(len(RAW))], 0),
        (["--larger-than", str(len(RAW) - 1)], 1),
        (["--smaller-than", str(len(RAW))], 0),
        (["--smaller-than", str(len(RAW) + 1)], 1),
        (["--sample", "0"], 0),
        (["--sample", "100"], 1),
        (["--when", "unauthenticated"], 1),
        (["--when", "suspicious"], 1),
        (["--dry-run"], 0),
    ],
)
def test_copies_can_be_limited_by_size_sample_and_verdict(mail, options, copies):
    assert selected(mail, *options) == copies


def test_a_sealed_message_of_an_authenticated_sender_is_not_copied_when_only_others_are_wanted(mail):
    line = new_key()
    key_file = mail.folder / "key"
    key_file.write_text(line + "\n")
    key_file.chmod(0o600)
    seal = Seal(1_800_000_000, ["verify"], authenticated=True, author_domain="one.test")
    header, body = RAW.split(b"\n\n", 1)
    raw = field.write(parse_key(line), seal, header + b"\n", [body], b"\n") + RAW
    options = ["--key-file", str(key_file), "--now", "2027-01-15T08:00:00Z", "--when"]
    assert selected(mail, *options, "unauthenticated", raw=raw) == 0
    assert selected(mail, *options, "always", raw=raw) == 1


def test_a_dry_run_touches_neither_disk_nor_network(mail):
    with Server() as server:
        assert passed(mail.copy(server.url(), options=["--dry-run"]))
        assert server.connections == 0
    assert not mail.spool.exists()


def test_a_message_that_went_round_too_often_is_held_once_and_not_sent(mail):
    raw = b"Received: x\n" * 100 + RAW
    with Server() as server:
        assert passed(mail.copy(server.url(), raw=raw), raw)
        assert passed(mail.copy(server.url(), raw=b"Received: y\n" + raw), b"Received: y\n" + raw)
        assert server.connections == 0
    (failed,) = mail.entries("failed")
    assert "5.4.6" in failed["targets"][0]["replies"]["b@two.test"]


# --- configuration ---


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--to", "nonsense"],
        ["--to", "smtp://127.0.0.1:1"],
        ["--to", "smtp://127.0.0.1:1", "--sender", "a@one.test"],
        ["--to", "smtp://127.0.0.1:1", "--recipient", "b@two.test"],
        ["--to", "smtp://127.0.0.1:1", "--sender", "a@b\r\nDATA", "--recipient", "b@two.test"],
        ["--to", "mbox:/x", "--spool", ""],
        ["--to", "mbox:/x", "--all"],
        ["--to", "mbox:/x", "--json", "-"],
        ["--to", "mbox:/x", "--timeout", "1e9"],
        ["--nonsense"],
    ],
)
def test_a_wrong_call_means_try_again(mail, arguments):
    assert deferred(mail.run(*arguments))
    assert not mail.entries()


def test_a_spool_that_is_a_symbolic_link_means_try_again(mail):
    (mail.folder / "elsewhere").mkdir(mode=0o700)
    mail.spool.symlink_to("elsewhere")
    assert deferred(mail.copy(f"mbox:{mail.folder}/box"))


def test_options_can_stand_in_the_configuration(mail):
    configuration = mail.folder / "mailguard.toml"
    configuration.write_text(f'[duplicate]\nto = ["mbox:{mail.folder}/box"]\nspool = "{mail.spool}"\ntimeout = 3\n')
    command = [sys.executable, "-m", "mailguard", "duplicate", "--config", str(configuration), "--log", "none"]
    result = subprocess.run(
        [*command, "--spool-reserve", "0"], input=RAW, capture_output=True, check=False, timeout=120
    )
    assert passed(result)
    assert (mail.folder / "box").exists()


def test_zero_seconds_leave_every_delivery_to_the_flush(mail):
    with Server() as server:
        assert passed(mail.copy(server.url(), options=["--timeout", "0"]))
        assert server.connections == 0
        mail.work("--flush")
        assert len(server.copies(RAW)) == 1


def test_the_message_is_not_delayed_by_modules_that_only_delivery_needs(mail):
    command = [sys.executable, "-X", "importtime", "-m", "mailguard", "duplicate", "--log", "none", *ENVELOPE]
    command += ["--spool", str(mail.spool), "--spool-reserve", "0", "--to", "smtp://127.0.0.1:1"]
    result = subprocess.run(command, input=RAW, capture_output=True, check=False, timeout=120)
    assert result.stdout == RAW
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.decode().splitlines()}
    assert "mailguard.duplicate" in loaded
    assert not loaded & {"smtplib", "ssl", "socket", "email", "subprocess", "urllib.parse", "tempfile", "logging"}


# --- work on the spool ---


def fill(mail, count: int, url: str) -> list[bytes]:
    raws = [RAW.replace(b"<1@", b"<%d@" % number) for number in range(count)]
    for raw in raws:
        assert passed(mail.copy(url, raw=raw, options=["--timeout", "0"]), raw)
    return raws


def test_several_flushes_at_once_deliver_everything_once(mail):
    with Server() as server:
        raws = fill(mail, 12, server.url())
        command = [
            sys.executable,
            "-m",
            "mailguard",
            "duplicate",
            "--flush",
            "--log",
            "none",
            "--spool",
            str(mail.spool),
        ]
        flushes = [subprocess.Popen(command) for _ in range(4)]
        assert [flush.wait(120) for flush in flushes] == [0] * 4
        assert sorted(message.data for message in server.messages) == sorted(map(on_wire, raws))
    assert not mail.entries()


def test_a_flush_whose_log_is_lost_delivers_everything_and_says_so_once(mail):
    with Server() as server:
        messages = fill(mail, 3, server.url())
        result = mail.run("--flush", "--all", "--log", "/nonexistent/log", raw=b"")
        assert (result.returncode, result.stderr.count(b"\n")) == (0, 1)
        assert b"a log line is lost: /nonexistent/log" in result.stderr
        assert len(server.messages) == len(messages)


def test_a_flush_leaves_alone_what_is_not_due(mail):
    with Server(Fault("mail", "451 4.3.0 later", times=1)) as server:
        mail.copy(server.url(), options=["--now", "2026-01-01T00:00:00Z"])
        mail.work("--flush", "--now", "2026-01-01T00:00:59Z")
        assert not server.messages
        mail.work("--flush", "--now", "2026-01-01T00:01:02Z")
        assert len(server.messages) == 1


def test_after_the_clock_was_set_back_everything_is_due(mail):
    with Server(Fault("mail", "451 4.3.0 later", times=1)) as server:
        mail.copy(server.url(), options=["--now", "2036-01-01T00:00:00Z"])
        mail.work("--flush", "--now", "2026-01-01T00:00:00Z")
        assert len(server.messages) == 1


def test_a_target_that_hangs_is_left_for_the_rest_of_the_flush(mail):
    with Server(Fault("data", "hang")) as server:
        fill(mail, 3, server.url("?timeout=0.5"))
        mail.flush()
        assert server.connections == 1


def test_a_flush_gives_up_on_a_target_that_is_down_but_not_on_the_others(mail):
    with Server() as gone:
        pass
    for raw in fill(mail, 3, gone.url()):
        mail.copy(f"mbox:{mail.folder}/box", raw=raw, options=["--timeout", "0"])
    lines = mail.flush("--json", "-").stdout.splitlines()
    statuses = [json.loads(line)["status"] for line in lines]
    assert sorted(statuses) == ["delivered"] * 3 + ["temporary"]


def test_the_options_of_a_target_can_be_corrected_for_what_waits(mail):
    with Server(extensions=()) as server:
        raw = RAW + "\nあ\n".encode()
        assert passed(mail.copy(server.url(), raw=raw), raw)
        assert len(mail.entries("failed")) == 1
        mail.work("--retry-failed")
        mail.flush("--to", server.url("?8bit=send"))
        assert len(server.copies(raw)) == 1


def test_the_list_can_be_read_by_programs(mail):
    mail.copy("smtp://127.0.0.1:1", options=["--now", "2026-01-01T00:00:00Z"])
    (line,) = mail.work("--list", "--json", "-").stdout.splitlines()
    entry = json.loads(line)
    assert (entry["version"], entry["folder"], entry["sender"], entry["size"]) == (1, "queue", "a@one.test", len(RAW))
    assert entry["targets"][0]["recipients"] == ["b@two.test"]


def test_the_list_shows_what_waits_where_and_why(mail):
    mail.copy("smtp://127.0.0.1:1", options=["--now", "2026-01-01T00:00:00Z"])
    listed = mail.work("--list", "--now", "2026-01-01T00:00:30Z").stdout.decode()
    assert re.fullmatch(
        r"  queue  [0-9a-f]{32}    30s     \d+ a@one\.test -> smtp://127\.0\.0\.1:1 for b@two\.test: "
        r"tried 1x, again in \d+s: 4\.4\.1 .*refused\n",
        listed,
    )


def test_what_waits_too_long_is_reported_by_list_and_flush(mail):
    mail.copy("smtp://127.0.0.1:1", options=["--now", "2026-01-01T00:00:00Z"])
    later = ["--now", "2026-01-01T05:00:00Z"]
    assert mail.work("--list", *later).stdout.startswith(b"! queue")
    flushed = mail.flush(*later, "--log", str(mail.folder / "log"))
    assert flushed.returncode == 1
    assert b"5h00m" in flushed.stderr
    assert "alarm" in (mail.folder / "log").read_text()
    assert mail.flush(*later, "--alarm-age", "20000").returncode == 0


def test_an_entry_that_cannot_be_read_is_reported_and_stops_nothing(mail):
    with Server() as server:
        fill(mail, 2, server.url())
        (mail.spool / "queue" / ("0" * 32)).write_bytes(b"nonsense")
        for result in (mail.work("--list"), mail.flush()):
            assert result.returncode == 1
            assert b"0" * 32 in result.stderr
        assert len(server.messages) == 2


def test_hostile_addresses_and_answers_are_shown_safely(mail):
    with Server(Fault("rcpt", "451 4.2.0 \x1b[2J\xff")) as server:
        mail.copy(server.url(), envelope=["--sender", "\x1b]0;x\x07@one.test", "--recipient", "\u202eb@two.test"])
        shown = mail.work("--list").stdout + mail.flush("--explain").stderr
    assert b"\x1b" not in shown
    assert "\u202e".encode() not in shown


@pytest.mark.parametrize("source", ["spool", "maildir"])
def test_copies_come_back_in_order_and_byte_for_byte(mail, source):
    raws = [b"Subject: %d\r\nMessage-ID: <%d@x>\n\nFrom here\n%s" % (n, n, b"\n" * (n % 3)) for n in range(12)]
    for raw in raws:
        url = "smtp://127.0.0.1:1" if source == "spool" else f"maildir:{mail.folder}/copies"
        assert passed(mail.copy(url, raw=raw), raw)
    place = ["--spool", str(mail.folder / ("spool" if source == "spool" else "copies"))]
    result = mail.work("--restore", *place, "--output", str(mail.folder / "restored"))
    assert (result.returncode, result.stdout) == (0, b"")
    files = sorted((mail.folder / "restored").iterdir())
    assert [file.read_bytes() for file in files] == raws
    box = mail.work("--restore", *place).stdout
    subjects = [int(number) for number in re.findall(rb"^Subject: (\d+)", box, re.MULTILINE)]
    assert subjects == list(range(12))
    assert box.count(b"\n>From here\n") == 12


def test_restoring_does_not_write_over_anything(mail):
    mail.copy("smtp://127.0.0.1:1")
    (mail.folder / "restored").mkdir()
    result = mail.work("--restore", "--output", str(mail.folder / "restored"))
    assert result.returncode == 75
    assert not list((mail.folder / "restored").iterdir())


# --- size ---

LARGE = 100_000_000


def largest(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) -> int:
    """Run a command; return the most memory that it had, in octets."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    return (
        int(
            subprocess.run(launcher, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, check=True, timeout=120).stderr
        )
        * 1024
    )


def test_a_hundred_megabytes_are_streamed(mail):
    raw = mail.folder / "large"
    raw.write_bytes(b"Message-ID: <1@x>\n\n" + b"." + b"x" * 75 + b"\n")
    with raw.open("ab") as file:
        file.truncate(LARGE)
    start = [sys.executable, "-m", "mailguard", "duplicate", "--log", "none", "--spool", str(mail.spool)]
    with Server() as server:
        arguments = [*start, *ENVELOPE, "--to", server.url(), "--timeout", "0"]
        with raw.open("rb") as stdin, (mail.folder / "out").open("wb") as stdout:
            assert largest(arguments, stdin, stdout) < 1.2 * LARGE + 40_000_000
        assert subprocess.run(["cmp", raw, mail.folder / "out"], check=False, timeout=120).returncode == 0
        assert largest([*start, "--flush"]) < 80_000_000
        (message,) = server.messages
    with raw.open("rb") as file:
        assert message.data == on_wire(file.read())
    shutil.rmtree(mail.spool)


# --- the digest ---

HEADERS = st.lists(
    st.sampled_from(
        [b"Received: a\n", b"received : b\n", b"Subject: x\n", b"Return-Path: <x>\n", b"X: y\n z\n", b"no colon\n"]
    ),
    max_size=8,
)


@given(HEADERS, st.binary(max_size=50))
def test_trace_fields_and_line_ends_do_not_count(headers, body):
    message = b"Message-ID: <1@x>\n" + b"".join(headers) + b"\n" + body.replace(b"\r", b"")
    kept = [field for field in headers if not field.lower().startswith((b"received", b"return-path"))]
    plain = b"Message-ID: <1@x>\n" + b"".join(kept) + b"\n" + body.replace(b"\r", b"")
    digest, hops = examine(message)
    assert digest == examine(plain)[0] == examine(plain.replace(b"\n", b"\r\n"))[0]
    assert digest == examine(b"From x y\n" + plain)[0]
    assert hops == sum(field.lower().startswith(b"received") for field in headers)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_different_bodies_are_different_messages(one, other):
    one, other = one.replace(b"\r", b""), other.replace(b"\r", b"")
    digests = [examine(b"Message-ID: <1@x>\n\n" + body)[0] for body in (one, other)]
    assert (digests[0] == digests[1]) == (one == other)


def test_messages_without_id_and_date_are_told_apart_by_their_trace():
    assert examine(b"Received: by a\n\nalarm\n")[0] != examine(b"Received: by b\n\nalarm\n")[0]


def test_the_border_of_header_and_body_counts():
    assert examine(b"Date: x\nA: b\n\nC: d\n")[0] != examine(b"Date: x\n\nA: b\nC: d\n")[0]


@pytest.mark.parametrize("count", [9_999, 10_050])
def test_a_message_with_very_many_fields_is_still_recognised(count):
    raw = b"Message-ID: <1@x>\n" + b"X: y\n" * count + b"\nbody\n"
    assert examine(raw)[0] == examine(raw)[0]
    assert examine(raw)[0] != examine(raw + b"more")[0]
