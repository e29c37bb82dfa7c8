"""The daemon: no mail depends on it, no mail comes twice, nothing stays between two mails."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from daemons import Daemon
from hypothesis import given
from hypothesis import strategies as st
from loaded_modules import LOADED
from paths import EXAMPLES
from program import PROGRAM

from mailguard.daemon import client, request
from mailguard.daemon.rehearsal import rehearse
from mailguard.daemon.server import DaemonProgram
from mailguard.errors import MailguardError
from mailguard.seal import new_key
from mailguard.setup.places import FILES

MAIL = b"From: a@example.com\nMessage-ID: <1@example.com>\nSubject: plain\n\nText\n"
EVIL = b"From: a@example.com\nContent-Type: application/octet-stream; name=run.exe\n\nMZ\n"
STRIP = ["strip", "--log", "none", "--now", "2026-01-31T09:00:00Z"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, environment):
    daemon = Daemon(tmp_path_factory.mktemp("daemon") / "own", environment)
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def own(tmp_path, environment):
    """Start a daemon with these options for one test."""
    made = []

    def start(*options, folder=tmp_path / "own"):
        made.append(Daemon(folder, environment, *options))
        return made[-1]

    yield start
    for each in made:
        each.kill()


@pytest.fixture(scope="module")
def thin(tmp_path_factory):
    """The client without Python."""
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    target = tmp_path_factory.mktemp("thin") / "mailguard-client"
    source = EXAMPLES / "daemon/client.c"
    subprocess.run(
        ["cc", "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o", target, source], check=True, timeout=120
    )
    return target


class Asking:
    """A client of our own, step by step."""

    def __init__(self, path, arguments, descriptors=(), environment=None, fingerprint=b""):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        data = request.compose([each.encode() for each in arguments], environment or {}, fingerprint)
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.socket.sendmsg([data], passed)

    def until_read(self):
        """Wait until the worker has taken everything that was sent so far."""
        while int.from_bytes(fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder):
            os.sched_yield()

    def line(self):
        line = b""
        while not line.endswith(b"\n") and (octet := self.socket.recv(1)):
            line += octet
        return line.decode()

    def rest(self):
        data = b""
        while piece := self.socket.recv(65536):
            data += piece
        return data


@pytest.fixture
def pipes(tmp_path):
    """Standard descriptors and working directory for a worker: (descriptors, write end of 0, read ends of 1 and 2)."""
    reading, feed = os.pipe()
    output, writing = os.pipe()
    errors, complaining = os.pipe()
    folder = os.open(tmp_path, os.O_PATH)
    opened = [reading, writing, complaining, folder]
    yield opened, feed, output, errors
    for descriptor in (feed, output, errors, *opened):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def close(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


def everything(descriptor):
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


# The work is done elsewhere, and looks as if it were not


def test_a_worker_limits_itself_as_a_filter_does(mailguard, daemon):
    quarantine = ["quarantine", "--log", "stderr", "--memory-limit", "1", "--now", "2026-01-31T09:00:00Z"]
    alone = mailguard(*quarantine, input=EVIL)
    done = mailguard(*quarantine, input=EVIL, env={"MAILGUARD_DAEMON": daemon.path})
    # What the daemon has loaded already, the message need not have: so it may go further, but never ends in 75.
    assert (alone.returncode, done.returncode) == (0, 0)
    assert b"codes=limit.memory" in alone.stderr
    assert b"quarantine-" in done.stdout


def test_the_worker_filters_with_the_client_doing_nothing(daemon, mailguard):
    done = mailguard(*STRIP, input=EVIL, env={"MAILGUARD_DAEMON": daemon.path})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Mailguard-Seal" in done.stdout
    assert done.stdout == mailguard(*STRIP, input=EVIL).stdout


def test_directory_environment_limits_and_mask_are_those_of_the_client(daemon, mailguard, tmp_path):
    script = 'ulimit -n 99; ulimit -c 0; exec "$@"'
    lines = ["--log", "log", "--json", "json"]
    done = mailguard(
        "-c", script, "sh", PROGRAM, "strip", *lines, "--when", "always", program=("/bin/sh",), input=EVIL, cwd=tmp_path,
        env={"MAILGUARD_DAEMON": daemon.path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["json", "log"]
    assert (tmp_path / "json").stat().st_mode & 0o777 == 0o600


def test_the_worker_has_exactly_the_limits_and_variables_of_the_client(own, pipes, tmp_path, monkeypatch):
    # `run` is replaced by something that tells what the process is like.
    script = f"""
import os, resource, sys
from mailguard.daemon import server
def run():
    os.write(1, repr((sorted(os.environ.items()), resource.getrlimit(resource.RLIMIT_NOFILE), os.getcwd(),
                      os.umask(0), sys.argv[1:])).encode())
    from mailguard import streams
    streams.leave(7)
server.serve({str(tmp_path / "d" / "s")!r}, server.DaemonProgram(["strip"], run), 1, lambda text: print(text, flush=True))
"""
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert "listening" in server.stdout.readline()
        opened, _, output, _ = pipes
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 1, before[1]))
        try:
            asking = Asking(str(tmp_path / "d" / "s"), ["strip", "あ"], opened, {b"TZ": b"Asia/Tokyo", b"X": b"=\xff"})
            assert asking.line() == "ready\n"
            asking.socket.sendall(b"go\n")
            assert asking.line() == "done 7 0\n"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        close(opened[1:3])
        told = (
            [("TZ", "Asia/Tokyo"), ("X", "=\udcff")], (before[0] - 1, before[1]), str(tmp_path), 0o077, ["strip", "あ"]
        )  # fmt: skip
        assert everything(output).decode() == repr(told)
        opened[1:3] = []
    finally:
        server.terminate()
        assert server.wait(30) == 0
    assert not (tmp_path / "d" / "s").exists()


def test_a_changed_key_and_a_changed_configuration_count_with_the_next_mail(daemon, mailguard, tmp_path):
    key, config = tmp_path / "key", tmp_path / "toml"
    results = []
    for text in ('log = "none"\n', 'log = "none"\n[quarantine]\nsubject_tag = "X"\n'):
        key.unlink(missing_ok=True)
        key.write_text(new_key() + "\n")
        key.chmod(0o600)
        config.write_text(text)
        call = ["quarantine", "--config", config, "--key-file", key, "--now", "2026-01-31T09:00:00Z"]
        through, alone = (mailguard(*call, input=EVIL, env=more) for more in ({"MAILGUARD_DAEMON": daemon.path}, {}))
        assert (through.returncode, through.stdout) == (0, alone.stdout)
        results.append(through.stdout)
    assert results[0] != results[1]


def test_nothing_of_a_mail_is_left_for_the_next(daemon):
    first, second = (Asking(daemon.path, STRIP) for _ in range(2))
    for asking, raw in ((second, MAIL), (first, EVIL)):
        asking.socket.sendall(raw)
        asking.socket.shutdown(socket.SHUT_WR)
    assert second.line() == f"done 0 {len(MAIL)}\n"
    assert second.rest() == MAIL
    assert first.line().startswith("done 0 ")
    assert b"text/plain; charset=utf-8" in first.rest()


def test_a_message_that_begins_to_arrive_after_the_request_was_read_is_filtered(daemon):
    asking = Asking(daemon.path, STRIP)
    asking.until_read()  # so that nothing of the message stands behind the request
    asking.socket.sendall(MAIL)
    asking.until_read()
    asking.socket.sendall(MAIL)
    asking.socket.shutdown(socket.SHUT_WR)
    assert asking.line() == f"done 0 {2 * len(MAIL)}\n"
    assert asking.rest() == 2 * MAIL


def test_a_message_that_the_limit_of_file_sizes_would_cut_waits(daemon):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        asking = Asking(daemon.path, STRIP)
        asking.socket.sendall(MAIL + b"x\n" * 50_000)
        asking.socket.shutdown(socket.SHUT_WR)
        assert asking.line() == "done 75 0\n"
        asking.socket.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_more_mails_than_workers_wait_for_their_turn(own):
    daemon = own("--workers", "1")
    first, second = (Asking(daemon.path, STRIP) for _ in range(2))
    second.socket.sendall(MAIL)
    second.socket.shutdown(socket.SHUT_WR)
    second.socket.setblocking(False)
    first.socket.sendall(EVIL)
    with pytest.raises(BlockingIOError):
        second.socket.recv(1)
    second.socket.settimeout(30)
    first.socket.shutdown(socket.SHUT_WR)
    assert first.line().startswith("done 0 ")
    assert second.line() == f"done 0 {len(MAIL)}\n"


# Nobody there, or not for us


def alone(mailguard, path):
    done = mailguard(*STRIP, input=MAIL, env={"MAILGUARD_DAEMON": str(path)})
    assert (done.returncode, done.stdout, done.stderr) == (0, MAIL, b"")


def test_without_a_server_the_client_does_the_work(mailguard, tmp_path):
    alone(mailguard, tmp_path / "nobody")
    alone(mailguard, "x" * 1000)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    alone(mailguard, tmp_path / "dead")


@pytest.mark.parametrize("said", [None, b"", b"refused go away\n", b"re", b"done 0 0\n", b"x" * 5000])
def test_a_server_that_does_not_say_ready_has_taken_no_mail(mailguard, tmp_path, said):
    """None: the server dies without a look at the request."""
    with Answering(tmp_path / "socket", said):
        alone(mailguard, tmp_path / "socket")


@pytest.mark.parametrize("said", [b"", b"don", b"refused\n"])
def test_a_worker_that_dies_after_the_go_may_have_written_so_the_mail_waits(mailguard, thin, tmp_path, said):
    with Answering(tmp_path / "socket", b"ready\n", said):
        for program in (PROGRAM, thin):
            done = mailguard(*STRIP, program=(program,), input=MAIL, env={"MAILGUARD_DAEMON": str(tmp_path / "socket")})
            assert (done.returncode, done.stdout) == (75, b"")
            assert b"worker died" in done.stderr


class Answering:
    """A server that says something to each request, and something else to each go, and closes."""

    def __init__(self, path, said, then=None):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.said, self.then = said, then

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                if self.said is None:
                    continue
                data = b""
                while request.parse(data) is None:
                    data += connection.recv(65536)
                connection.sendall(self.said)
                if self.then is not None:
                    assert connection.recv(3) == b"go\n"
                    connection.sendall(self.then)


@pytest.mark.parametrize(
    ("arguments", "more", "reason"),
    [
        (["list"], {}, "no filter"),
        ([], {}, "no filter"),
        (STRIP, {"fingerprint": b"1 2 3 4"}, "another installation"),
    ],
)
def test_what_is_refused_is_not_touched(daemon, pipes, arguments, more, reason):
    opened, _, output, _ = pipes
    asking = Asking(daemon.path, arguments, opened, **more)
    assert reason in asking.line()
    close(opened[:3])
    opened[:3] = []
    assert everything(output) == b""
    assert any(reason in line for line in daemon.refusals())


def test_another_protocol_is_refused(daemon):
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(daemon.path)
        other.sendall(b"GET / HTTP/1.1\r\n")
        assert other.recv(100) == b"refused another protocol\n"


def test_another_user_is_refused(own, thin, mailguard):
    if os.geteuid():
        pytest.skip("needs root, to be two users")
    with tempfile.TemporaryDirectory() as folder:
        daemon = own(folder=Path(folder, "own"))
        alone(mailguard, daemon.path)  # now it has seen that its folder is closed
        for path in (folder, f"{folder}/own", daemon.path):
            os.chmod(path, 0o777)
        program = shutil.copy(thin, folder)
        done = mailguard(
            *STRIP, program=(program,), input=MAIL, user="nobody", group="nogroup", cwd="/",
            env={"MAILGUARD_DAEMON": daemon.path},
        )  # fmt: skip
        refusals = daemon.refusals()
    assert (done.returncode, done.stdout) == (75, b"")
    assert any("another user" in line for line in refusals), done.stderr


def test_a_new_installation_is_noticed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    program = DaemonProgram([], None)
    program.load()
    assert not program.is_changed()
    (tmp_path / "new.dist-info").mkdir()
    assert program.is_changed()


def test_a_daemon_whose_program_was_changed_ends_and_the_mail_passes(own, environment, mailguard, tmp_path):
    script = f"""
from mailguard.daemon import server
class Changed(server.DaemonProgram):
    def is_changed(self): return True
server.serve({str(tmp_path / "d" / "s")!r}, Changed(["strip"], None), 1, lambda text: print(text, flush=True))
"""
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "listening" in server.stdout.readline()
    alone(mailguard, tmp_path / "d" / "s")
    assert server.wait(30) == 0
    assert "installed anew" in server.stderr.read()


# Deaths


def test_a_client_that_dies_gets_no_mail_written(daemon, pipes):
    opened, feed, output, errors = pipes
    asking = Asking(daemon.path, STRIP, opened)
    assert asking.line() == "ready\n"
    asking.socket.sendall(b"go\n")
    close(opened[:3])
    opened[:3] = []
    os.write(feed, MAIL)
    asking.socket.close()
    assert everything(output) == b""  # its end comes with the worker's, though stdin is still open
    assert everything(errors) == b""


def test_a_client_that_dies_before_the_go_leaves_the_mail_unread(daemon, pipes):
    opened, feed, output, _ = pipes
    asking = Asking(daemon.path, STRIP, opened)
    assert asking.line() == "ready\n"
    os.write(feed, MAIL)
    asking.socket.close()
    close(opened[1:3])
    assert everything(output) == b""
    assert os.read(opened[0], 1000) == MAIL
    opened[1:3] = []


def worker_of(daemon):
    """The process that has the message of at_work() as its standard input."""
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
    own = os.readlink(f"/proc/{daemon.process.pid}/fd/0")
    return next(int(child) for child in children if os.readlink(f"/proc/{child}/fd/0") != own)


@pytest.mark.parametrize("program", ["client", "thin"])
def test_a_worker_that_is_killed_leaves_the_mail_with_the_mail_system(own, thin, environment, program):
    daemon = own()
    process = at_work(daemon, environment, {"client": PROGRAM, "thin": thin}[program])
    os.kill(worker_of(daemon), signal.SIGKILL)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (75, b"")
    assert b"worker died" in errors


@pytest.mark.parametrize("program", ["client", "thin"])
def test_a_server_that_is_killed_leaves_its_workers_at_work(own, thin, environment, program):
    daemon = own()
    process = at_work(daemon, environment, {"client": PROGRAM, "thin": thin}[program])
    daemon.kill()
    output, errors = process.communicate(LARGE[-10:], timeout=30)
    assert (process.returncode, output, errors) == (0, LARGE, b"")


LARGE = MAIL + b"0123456789abcde\n" * 65536


def at_work(daemon, environment, program):
    """Start a filter, and return it when its worker reads; the last octets of LARGE are still to come."""
    process = subprocess.Popen(
        [program, *STRIP], env=environment | {"MAILGUARD_DAEMON": daemon.path},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write(LARGE[:-10])  # more than a pipe holds
    process.stdin.flush()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_the_thin_client_reaches_the_worker(daemon, thin, environment, number):
    process = at_work(daemon, environment, thin)
    process.send_signal(number)
    process.wait(30)  # before its input ends, which would let the worker go on
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (75, b"")
    assert errors == f"4.3.0 mailguard: stopped by signal {number.value}\n".encode()


def test_a_server_that_is_stopped_finishes_what_is_at_work(own, environment):
    daemon = own()
    process = at_work(daemon, environment, PROGRAM)
    daemon.process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(LARGE[-10:], timeout=30)
    assert (process.returncode, output, errors) == (0, LARGE, b"")
    assert daemon.process.wait(30) == 0


@pytest.mark.parametrize("victim", ["server", "workers"])
def test_whatever_is_killed_under_load_each_mail_is_whole_or_waits(own, thin, mailguard, victim):
    daemon = own("--workers", "4")
    raws = [MAIL.replace(b"plain", b"%d" % number) for number in range(24)]

    def call(number):
        program = (PROGRAM if number % 2 else thin,)
        return mailguard(*STRIP, program=program, input=raws[number], env={"MAILGUARD_DAEMON": daemon.path})

    with ThreadPoolExecutor(6) as pool:
        results = [pool.submit(call, number) for number in range(len(raws))]
        results[5].result()
        if victim == "server":
            daemon.kill()
        else:
            kill_workers(daemon)
        done = [result.result() for result in results]
    for raw, each in zip(raws, done, strict=True):
        # A mail system throws away what came with 75: the end could have hit a worker between its mail and its answer.
        assert (each.returncode, each.stdout) in {(0, raw), (75, b""), (75, raw)}
    if victim == "workers":
        assert call(0).returncode == 0


def kill_workers(daemon):
    for child in Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


# Clients without Python


def test_the_thin_client_is_a_filter(daemon, thin, mailguard, tmp_path):
    variables = {"MAILGUARD_DAEMON": daemon.path}
    for raw in (MAIL, EVIL, LARGE):
        done = mailguard(*STRIP, program=(thin,), input=raw, env=variables)
        assert (done.returncode, done.stdout) == (0, mailguard(*STRIP, input=raw).stdout)
    done = mailguard(*STRIP, "--nope", program=(thin,), input=MAIL, env=variables, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (75, b"", 1)
    script = 'exec "$@" <&- >&- 2>&-'
    done = mailguard("-c", script, "sh", thin, *STRIP, "--json", tmp_path / "json", program=("/bin/sh",), env=variables)
    assert (done.returncode, list(tmp_path.iterdir())) == (75, [])


@pytest.mark.parametrize("path", ["", "/nonexistent", "x" * 200])
def test_without_a_server_a_client_without_python_lets_the_mail_wait(thin, mailguard, path):
    done = mailguard(*STRIP, program=(thin,), input=MAIL, env={"MAILGUARD_DAEMON": path})
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (75, b"", 1)
    done = mailguard(*STRIP, program=(EXAMPLES / "daemon/filter.sh",), input=MAIL, env={"MAILGUARD_DAEMON": path})
    assert (done.returncode, done.stdout) == (75, b"")


def test_the_recipe_with_socat_is_a_filter(daemon, mailguard, key_file):
    if not shutil.which("socat"):
        pytest.skip("socat is not installed")
    recipe = (EXAMPLES / "daemon/filter.sh",)
    variables = {"MAILGUARD_DAEMON": daemon.path}
    for raw in (MAIL, EVIL, LARGE):
        done = mailguard(*STRIP, program=recipe, input=raw, env=variables)
        assert (done.returncode, done.stdout, done.stderr) == (0, mailguard(*STRIP, input=raw).stdout, b"")
    done = mailguard("strip", "--nope", program=recipe, input=MAIL, env=variables)
    assert (done.returncode, done.stdout) == (75, b"")
    assert done.stderr.startswith(b"4.3.5 mailguard: strip: No such option")
    done = mailguard(*STRIP, "--explain", program=recipe, input=EVIL, env=variables)
    assert b"action: removed" in done.stderr
    assert mailguard(*STRIP, program=recipe, input=b"", env=variables).returncode == 75


# What is loaded


def test_the_rehearsal_works_and_starts_nothing():
    threads = threading.active_count()
    rehearse()
    assert threading.active_count() == threads


def test_the_client_loads_next_to_nothing(daemon, mailguard):
    bare = mailguard("-I", "-S", "-c", "import sys, os; print(*sys.modules)", program=(sys.executable,)).stdout
    script = f"import sys; sys.path.append({str(Path(client.__file__).parents[2])!r})\n{LOADED.format(verb='verify', more=[])}"
    done = mailguard(
        "-I", "-S", "-c", script, program=(sys.executable,), input=MAIL, env={"MAILGUARD_DAEMON": daemon.path}
    )
    assert done.returncode == 0
    extra = set(done.stderr.decode().split()) - set(bare.decode().split())
    assert {name for name in extra if not name.startswith("mailguard")} <= {
        "__future__", "gc", "time", "_signal", "_socket", "fcntl"
    }  # fmt: skip
    assert len(extra) <= 20


# The socket


def test_the_folder_of_the_socket_is_ours_alone(mailguard, tmp_path):
    tmp_path.chmod(0o755)
    done = mailguard("daemon", "--listen", tmp_path / "socket")
    assert done.returncode == 1
    assert b"chmod 700" in done.stderr
    done = mailguard("daemon", "--listen", tmp_path / "none" / "own" / "socket")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


def test_a_second_daemon_does_not_take_the_socket_away(daemon, mailguard):
    done = mailguard("daemon", "--listen", daemon.path)
    assert done.returncode == 1
    assert b"another daemon" in done.stderr


def test_a_socket_that_a_dead_daemon_left_is_replaced(environment, mailguard, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "socket"))
    server = subprocess.Popen(
        [PROGRAM, "daemon", "--listen", folder / "socket"], env=environment, stdout=subprocess.PIPE
    )
    try:
        assert b"listening on" in server.stdout.readline()
        assert (folder / "socket").stat().st_mode & 0o077 == 0
        alone(mailguard, folder / "socket")
    finally:
        server.terminate()
        assert server.wait(30) == 0
    assert list(folder.iterdir()) == []


def test_the_units_name_one_socket_and_keep_the_view_of_the_filters():
    service = Path(FILES, "mailguard-daemon.service").read_text()
    unit = Path(FILES, "mailguard-daemon.socket").read_text()
    assert service.partition("--listen ")[2].split()[0] == unit.partition("ListenStream=")[2].split()[0]
    settings = [line.partition("=")[0] for line in service.splitlines() if not line.startswith("#")]
    assert not {
        name for name in settings if name.startswith(("Protect", "Private", "ReadOnly", "Bind", "Inaccessible"))
    }
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *Path(FILES).glob("mailguard-daemon.*")],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Unknown" not in done.stderr


# The request

TEXTS = st.binary(max_size=9).map(lambda raw: raw.replace(b"\0", b"\1"))
NAMES = TEXTS.map(lambda raw: b"N" + raw.replace(b"=", b"-"))


@given(st.lists(TEXTS, max_size=5), st.dictionaries(NAMES, TEXTS, max_size=4), TEXTS, st.binary(max_size=20))
def test_a_request_is_read_as_it_was_written_and_not_before_it_is_complete(arguments, environment, mark, rest):
    data = request.compose(arguments, environment, mark, "1.5")
    found = request.parse(data + rest)
    assert (found.arguments, found.environment, found.fingerprint) == (arguments, environment, mark)
    assert (found.started, found.rest) == (1.5, rest)
    assert all(request.parse(data[:length]) is None for length in range(len(data)))


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda raw: request.VERSION + b"\0" + raw))
def test_whatever_comes_is_a_request_or_none(data):
    with contextlib.suppress(MailguardError):
        found = request.parse(data)
        assert found is None or data.endswith(found.rest)
