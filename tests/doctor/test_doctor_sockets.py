"""The doctor before the sockets of milter and daemon: units, Postfix's lines, permissions, and whether somebody answers."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from daemons import Daemon
from hypothesis import given
from hypothesis import strategies as st
from paths import EXAMPLES
from program import PROGRAM

from mailguard.doctor import sockets
from mailguard.doctor.row import FAILURE, GOOD, WARNING, Setup
from mailguard.doctor.units import Unit, units
from mailguard.setup.places import FILES

MILTER = "[Service]\nUser=games\nExecStart={program} milter {more} --listen unix:{path} 'verify | quarantine'\n"
DAEMON = "[Service]\nUser=games\nExecStart={program} daemon --listen {path}\n"


@pytest.fixture
def folder():
    """Short enough for a socket, and nobody else's."""
    with tempfile.TemporaryDirectory(prefix="mg-") as path:
        yield Path(path)


@pytest.fixture
def site(folder):
    """Write a unit, and give the setup that names it."""

    def write(text, name="mailguard-milter.service", **values):
        (folder / "units").mkdir(exist_ok=True)
        (folder / "units" / name).write_text(text.format_map({"program": PROGRAM, "more": ""} | values))
        return Setup(units=[str(folder / "units")], postfix=str(folder / "postfix"))

    return write


@contextlib.contextmanager
def answering(path, said):
    """A server that says something to everybody."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(120)


ANSWER = b"\0\0\0\x0dO\0\0\0\6\0\0\0\x11\0\0\0\0"


def one(found):
    (row,) = found
    assert (row.repair == "") == (row.state == GOOD)
    return row


# The units


def test_the_shipped_units_are_understood(folder):
    for path in (*EXAMPLES.glob("*/*"), *Path(FILES).iterdir()):
        if path.suffix in {".service", ".socket", ".timer"}:
            shutil.copy(path, folder)
    found = {unit.name: unit for unit in units([str(folder)])}
    milter, daemon = found["mailguard-milter.service"], found["mailguard-daemon.service"]
    assert (milter.verb, daemon.verb) == ("milter", "daemon")
    assert milter.option("--listen") == "unix:/var/spool/postfix/mailguard/milter.sock"
    assert (milter.value("User"), milter.value("Group")) == ("mailguard", "postfix")
    assert daemon.option("--listen") == found["mailguard-daemon.socket"].value("ListenStream")


def test_the_first_folder_and_later_lines_count(folder):
    first, second = folder / "first", folder / "second"
    for place, path in ((first, "/one"), (second, "/two")):
        (place / "a.service.d").mkdir(parents=True)
        (place / "a.service").write_text(f"[Service]\nExecStart=/x/mailguard milter \\\n --listen={path} p\n")
    (second / "b.service").write_text("ExecStart=/usr/bin/other milter --listen unix:/x\n")
    (second / "c.service").symlink_to("/dev/null")
    (second / "d.service").write_text("#ExecStart=/x/mailguard daemon\nExecStart='\n")
    (second / "mailguard.socket").write_text("ListenStream=/three\n")
    found = {unit.name: unit for unit in units([str(first), str(second), str(folder / "none")])}
    assert found.keys() == {"a.service", "mailguard.socket"}
    assert found["a.service"].option("--listen") == "/one"
    (second / "a.service.d" / "50.conf").write_text(
        "[Service]\nExecStart=\nExecStart=-+/x/mailguard daemon --listen /y\n"
    )
    [unit] = [unit for unit in units([str(first), str(second)]) if unit.name == "a.service"]
    assert (unit.verb, unit.option("--listen"), unit.option("--status")) == ("daemon", "/y", "")


@given(st.text())
def test_whatever_stands_in_a_unit_is_read(text):
    for unit in (Unit("x.service", [text]), Unit("x.service", [f"ExecStart={text}"])):
        assert isinstance(unit.verb + unit.option("--listen") + unit.value("User"), str)


def test_nothing_is_said_where_there_is_nothing(folder, monkeypatch):
    monkeypatch.delenv("MAILGUARD_DAEMON", raising=False)
    assert list(sockets.look(Setup(units=[str(folder)], postfix=str(folder)))) == []


@pytest.mark.parametrize(
    ("old", "new", "state", "words"),
    [
        ("User=games", "User=nosuchuser", FAILURE, "there is no user nosuchuser"),
        ("User=games\n", "", WARNING, "runs as root"),
        ("{program}", "/nonexistent/mailguard", FAILURE, "/nonexistent/mailguard is not there"),
    ],
)
def test_who_runs_what(folder, site, old, new, state, words):
    with answering(folder / "s", ANSWER):
        found = list(sockets.look(site(MILTER.replace(old, new), path=folder / "s")))
    assert [(row.state, row.name) for row in found] == [
        (state, "mailguard-milter.service"),
        (GOOD, "mailguard-milter.service"),
    ]
    assert words in found[0].what


# The milter


def listens(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def test_a_milter_that_answers(folder, site, environment):
    text = MILTER.format(program=PROGRAM, more="--dry-run", path=folder / "s")
    command = [PROGRAM, "milter", "--dry-run", "--listen", f"unix:{folder}/s", "--log", "none", "strip"]
    (folder / "config").write_text("")
    process = subprocess.Popen([*command, "--config", folder / "config"], env=environment, stderr=subprocess.PIPE)
    try:
        while not listens(folder / "s") and process.poll() is None:
            os.sched_yield()
        row = one(sockets.look(site(text)))
    finally:
        process.terminate()
        process.wait(120)
    assert (row.state, row.what) == (GOOD, f"{folder}/s: answers; observes only (--dry-run)")


def test_a_milter_that_is_not_there_or_does_not_answer(folder, site):
    path = folder / "s"
    setup = site(MILTER, path=path)
    row = one(sockets.look(setup))
    assert (row.state, row.repair) == (FAILURE, "systemctl enable --now mailguard-milter.service")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    row = one(sockets.look(setup))
    assert row.state == FAILURE
    assert "Connection refused" in row.what
    path.unlink()
    path.write_text("")
    assert "is no socket" in one(sockets.look(setup)).what
    path.unlink()
    for said in (b"", b"220 mx ESMTP\r\n"):
        with answering(path, said):
            assert "is no milter" in one(sockets.look(setup)).what
        path.unlink()


def test_a_milter_that_others_could_use_or_replace(folder, site):
    setup = site(MILTER, path=folder / "run" / "s")
    (folder / "run").mkdir()
    with answering(folder / "run" / "s", ANSWER):
        (folder / "run" / "s").chmod(0o666)
        (folder / "run").chmod(0o755)
        found = [row for row in sockets.look(setup) if row.state != GOOD]
        assert "every user of this machine" in one(found).what
        (folder / "run").chmod(0o770)
        (folder / "run" / "s").chmod(0o660)
        found = [row for row in sockets.look(setup) if row.state != GOOD]
        assert "could put another socket there" in one(found).what


def test_a_milter_that_postfix_names(folder, site):
    queue = folder / "postfix" / "queue"
    (queue / "mailguard").mkdir(parents=True)
    main = folder / "postfix" / "main.cf"
    main.write_text(f"queue_directory = {queue}\nsmtpd_milters = inet:localhost:1, unix:mailguard/s\n")
    without_units = Setup(units=[], postfix=str(folder / "postfix"))
    assert "every mail waits" in one(sockets.look(without_units)).what
    setup = site(MILTER, path=queue / "mailguard" / "s")
    with answering(queue / "mailguard" / "s", ANSWER):
        if os.geteuid() == 0 and "postfix" in {each.pw_name for each in pwd.getpwall()}:
            (queue / "mailguard").chmod(0o700)
            for row in (one(row for row in sockets.look(each) if row.state != GOOD) for each in (setup, without_units)):
                assert "Postfix cannot reach" in row.what
                assert "Group=postfix" in row.repair
            for path in (queue / "mailguard", queue / "mailguard" / "s"):
                os.chown(path, -1, pwd.getpwnam("postfix").pw_gid)
            (queue / "mailguard").chmod(0o750)
            (queue / "mailguard" / "s").chmod(0o660)
            assert one(sockets.look(setup)).state == GOOD
        main.write_text("")
        found = [row for row in sockets.look(setup) if "Postfix does not name" in row.what]
        assert one(found).state == WARNING


def test_a_milter_that_leaves_the_machine(site):
    text = MILTER.replace("unix:{path}", "inet:9@192.0.2.1")
    setup = site(text)
    monkey = sockets._answer
    try:
        sockets._answer = lambda name, *_: sockets.Row(name, GOOD, "not asked")
        row = one(row for row in sockets.look(setup) if row.state != GOOD)
    finally:
        sockets._answer = monkey
    assert "whoever reaches it" in row.what
    row = one(sockets.look(site(MILTER.replace("unix:{path}", "tcp:9"))))
    assert "neither inet:PORT@HOST" in row.what


# The daemon


def test_a_daemon_that_answers_and_one_that_does_not(folder, site, environment, monkeypatch):
    daemon = Daemon(folder / "own", environment)
    setup = site(DAEMON, "mailguard-daemon.service", path=daemon.path)
    site("[Socket]\nListenStream={path}\n", "mailguard-daemon.socket", path=daemon.path)
    monkeypatch.setenv("MAILGUARD_DAEMON", daemon.path)
    try:
        row = one(sockets.look(setup))
        assert (row.state, row.what) == (GOOD, f"{daemon.path}: answers")
        assert daemon.refusals() == []  # nothing about it in the log
        (folder / "own").chmod(0o755)
        assert "is open to others" in next(row.what for row in sockets.look(setup) if row.state == FAILURE)
    finally:
        daemon.kill()
    (folder / "own").chmod(0o700)
    row = one(sockets.look(setup))
    assert (row.state, row.repair) == (WARNING, "systemctl restart mailguard-daemon.service; its log tells why")
    assert "do the work themselves" in row.what
    Path(daemon.path).unlink()
    assert one(sockets.look(setup)).state == WARNING


@pytest.mark.parametrize(
    ("said", "words"), [(b"refused the client is another \x1b installation\n", "another \\x1b inst"), (b"", "ended")]
)
def test_a_daemon_that_refuses(folder, monkeypatch, said, words):
    monkeypatch.setenv("MAILGUARD_DAEMON", str(folder / "s"))
    with answering(folder / "s", said):
        row = one(sockets.look(Setup(postfix=str(folder))))
    assert (row.name, row.state) == ("MAILGUARD_DAEMON", WARNING)
    assert words in row.what


def test_a_daemon_of_another_user(folder, monkeypatch):
    if os.geteuid():
        pytest.skip("needs root, to be two users")
    monkeypatch.setenv("MAILGUARD_DAEMON", str(folder / "s"))
    with answering(folder / "s", b""):
        os.chown(folder, pwd.getpwnam("games").pw_uid, -1)
        row = one(sockets.look(Setup(postfix=str(folder))))
    assert "serves another user" in row.what
