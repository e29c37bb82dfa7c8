"""Whatever is started with closed standard descriptors works all the same, and nothing of ours gets their numbers.

A supervisor or a shell may start a server with `<&-`.  Its first connection would be descriptor 0 then, and a worker of
the daemon closed it when it put the client's descriptors in the place of its own: every mail waited, for ever.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import stat
import subprocess
import threading
import urllib.request

import pytest
from daemons import Daemon
from mail_system import free_port
from milter_client import Client
from program import PROGRAM

CLOSED = [
    pytest.param("".join(each), id="".join(each) or "none")
    for count in range(4)
    for each in itertools.combinations("012", count)
]
EVIL = b"From: a@example.com\nContent-Type: application/octet-stream; name=run.exe\n\nMZ\n"
STRIP = ["strip", "--log", "none", "--now", "2026-01-31T09:00:00Z"]
DEADLINE = 60


def shell(closed: str) -> list[str]:
    """A shell that starts what follows with these descriptors closed."""
    return ["/bin/sh", "-c", 'exec "$@" ' + " ".join(f"{each}>&-" for each in closed), "sh"]


@contextlib.contextmanager
def started(closed, *arguments, environment):
    process = subprocess.Popen(
        [*shell(closed), PROGRAM, *map(str, arguments)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE)


def assert_occupied(process: int) -> None:
    """All three are the null device: nothing of the server's own stands there."""
    for descriptor in range(3):
        status = os.stat(f"/proc/{process}/fd/{descriptor}")
        assert stat.S_ISCHR(status.st_mode)
        assert status.st_rdev == os.stat(os.devnull).st_rdev


@pytest.mark.parametrize("closed", CLOSED)
def test_a_daemon_filters(tmp_path, environment, mailguard, closed):
    daemon = Daemon(tmp_path / "own", environment, shell=shell(closed))
    try:
        for _ in range(3):  # the workers that wait, and one after them
            done = mailguard(*STRIP, input=EVIL, env={"MAILGUARD_DAEMON": daemon.path})
            assert (done.returncode, done.stderr) == (0, b"")
            assert done.stdout == mailguard(*STRIP, input=EVIL).stdout
        assert daemon.refusals() == []
        if "1" not in closed:
            assert "listening" in daemon.log.read_text()
    finally:
        assert daemon.stop() == 0


@pytest.mark.parametrize("closed", CLOSED)
def test_a_daemon_filters_for_clients_that_pass_no_descriptors(tmp_path, environment, mailguard, closed):
    from mailguard.daemon import request

    daemon = Daemon(tmp_path / "own", environment, shell=shell(closed))
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(daemon.path)
            variables = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
            client.sendall(request.compose([each.encode() for each in STRIP], variables, b"") + EVIL)
            client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
        expected = mailguard(*STRIP, input=EVIL).stdout
        assert answer == b"done 0 %d\n" % len(expected) + expected
    finally:
        assert daemon.stop() == 0


@pytest.mark.parametrize("closed", CLOSED)
def test_a_milter_filters(tmp_path, environment, closed):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.settimeout(DEADLINE)
        notified.bind(str(tmp_path / "notify"))
        environment = environment | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        words = ["milter", "--listen", f"unix:{tmp_path}/socket", "--spool", tmp_path, "--workers", "2"]
        with started(closed, *words, "--log", "stderr", "quarantine", environment=environment) as process:
            assert notified.recv(100) == b"READY=1"
            assert_occupied(process.pid)
            for _ in range(3):
                with Client(str(tmp_path / "socket"), timeout=DEADLINE) as client:
                    client.connect()
                    client.helo()
                    orders, answer = client.mail(
                        [(b"From", b" a@b.test"), (b"Content-Type", b" application/octet-stream; name=a.exe")],
                        b"MZ\r\n",
                    )
                    assert answer == (b"c", b"")
                    assert orders


@pytest.mark.parametrize("closed", CLOSED)
def test_a_batch_writes_its_archive(tmp_path, environment, closed):
    archive = tmp_path / "in.mbox"
    archive.write_bytes(b"".join(b"From a@b.test Sat Jan 31 09:00:00 2026\n" + EVIL + b"\n" for _ in range(3)))
    words = ["batch", f"strip --now {STRIP[-1]}", archive, "--output", tmp_path / "out.mbox", "--jobs", "2"]
    with started(closed, *words, environment=environment) as process:
        assert process.wait(DEADLINE) == 0
    assert len(re.findall(rb"(?m)^Mailguard-Seal:", (tmp_path / "out.mbox").read_bytes())) == 3


@pytest.mark.parametrize("closed", CLOSED)
def test_check_serve_shows_its_form(tmp_path, environment, closed):
    port = free_port()
    words = ["check", "serve", "--address", "check@checker.example.net", "--state", tmp_path / "state"]
    words += ["--listen", f"127.0.0.1:{port}", "--lab", "--nameserver", "127.0.0.1:1"]
    with started(closed, *words, environment=environment) as process:
        page = b""
        pause = threading.Event()
        for _ in range(DEADLINE * 10):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer,
            ):
                page = answer.read()
                break
            assert process.poll() is None
            pause.wait(0.1)
        assert b"<form" in page
        assert_occupied(process.pid)


@pytest.mark.parametrize("arguments", [["list", "--help"], ["report", "--help"]])
def test_a_command_whose_output_is_closed_fails_in_one_line(mailguard, arguments):
    """Only who has nobody to tell is silent: a result that nobody gets is no success."""
    done = mailguard(*arguments, program=(*shell("1"), PROGRAM))
    assert (done.returncode, done.stderr) == (1, b"mailguard: Bad file descriptor\n")
