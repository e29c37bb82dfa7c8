"""The milter in a real Postfix: mails a second of smtp-source over 24 connections, beside no milter at all and opendkim
with opendmarc.

Everything is on one machine, in a network of its own: client, mail server, filters and a DNS server that answers at
once share its processors.  Accepted mail is thrown away.
"""

import base64
import contextlib
import ctypes
import grp
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "e2e"))

from bench.processes import MAILGUARD, key_file

COUNT = int(os.environ.get("MAILGUARD_BENCH_MAILS", "2000"))
LONG = int(os.environ.get("MAILGUARD_BENCH_LEAK_MAILS", "10000"))
SESSIONS = 24
TIMEOUT = 60

MASTER = """
127.0.0.1:{plain} inet n - n - 100 smtpd
127.0.0.1:{guarded} inet n - n - 100 smtpd -o smtpd_milters=unix:{milter}
127.0.0.1:{others} inet n - n - 100 smtpd -o smtpd_milters=inet:127.0.0.1:{opendkim},inet:127.0.0.1:{opendmarc}
discard   unix  -  -  n  -  -  discard
"""
MAIN = "virtual_transport = discard:\nmilter_default_action = tempfail\n"
OPENDKIM = """
Mode v
Socket inet:{port}@127.0.0.1
AlwaysAddARHeader yes
InternalHosts 192.0.2.1
UserID opendkim
Background no
Syslog no
"""
OPENDMARC = """
Socket inet:{port}@127.0.0.1
AuthservID mx.rcpt.test
IgnoreHosts {folder}/nobody
UserID opendmarc
Background no
Syslog no
"""
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
UNBOUND = """
server:
  interface: 127.0.0.1
  chroot: ""
  username: ""
  do-daemonize: no
  pidfile: ""
  use-syslog: no
  logfile: "/dev/null"
  num-threads: 1
  local-zone: "." static
  local-data: 'sender.test. TXT "v=spf1 ip4:127.0.0.1 -all"'
  local-data: '_dmarc.sender.test. TXT "v=DMARC1; p=none"'
remote-control:
  control-enable: no
"""
LINE = b"A line of text as people write them, with a few words more.\r\n"


def text(size):
    return HEADER + b"\r\n" + LINE * (size // len(LINE))


def program(size):
    content = base64.encodebytes(b"MZ" + random.Random(1).randbytes(size * 3 // 4))
    part = b"Content-Type: application/octet-stream; name=a.exe\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return (
        HEADER
        + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
        + LINE
        + b"--b\r\n"
        + part
        + content.replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )


HEADER = b"From: a@sender.test\r\nTo: ayumi@rcpt.test\r\nMessage-ID: <1@sender.test>\r\n"
HEADER += b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nSubject: a mail\r\n"
KINDS = {"5 KB": text(5_000), "200 KB": text(200_000), "5 KB, all quarantined": program(5_000)}


def measure():
    from mail_system import MailSystem, free_port, public_folder

    if os.geteuid() != 0 or not shutil.which("postfix", path="/usr/sbin"):
        raise SystemExit("milter: needs root, and the package postfix")
    folder = public_folder()
    work = pathlib.Path(tempfile.mkdtemp(prefix="mailguard-bench-"))
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(network(work))
            ports = {name: free_port() for name in ("plain", "guarded", "others", "opendkim", "opendmarc")}
            master = MASTER.format(milter=work / "milter", **ports)
            system = MailSystem(folder, main=MAIN, master=master, port=ports["plain"])
            milter = stack.enter_context(mailguard(work))
            others = stack.enter_context(open_milters(work, ports))
            stack.enter_context(system)
            yield from rates(system, ports, milter.pid, others)
            yield from leaks(system, ports["guarded"], milter)
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(work)


@contextlib.contextmanager
def network(folder):
    """Take this process and its children into a network with loopback only, and run the DNS server there."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS | CLONE_NEWNET):
        raise SystemExit(f"unshare: {os.strerror(ctypes.get_errno())}")
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (folder / "unbound.conf").write_text(UNBOUND)
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["mount", "--make-rprivate", "/"],
        ["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"],
    ):
        subprocess.run(command, check=True, timeout=120)
    server = subprocess.Popen(["/usr/sbin/unbound", "-c", folder / "unbound.conf"])
    try:
        until_connected(53)
        yield
    finally:
        server.terminate()
        server.wait(120)


@contextlib.contextmanager
def mailguard(folder):
    """The milter with its key (as root: no other user can read every checkout)."""
    key_file(folder)
    os.chown(folder, -1, grp.getgrnam("postfix").gr_gid)
    folder.chmod(0o750)
    command = [MAILGUARD, "milter", "--listen", f"unix:{folder}/milter", "--key-file", f"{folder}/key"]
    with started([*command, "--log", "none", "verify | quarantine"], folder / "milter") as process:
        yield process


@contextlib.contextmanager
def started(command, appears):
    process = subprocess.Popen(command, cwd="/", group=grp.getgrnam("postfix").gr_gid)
    try:
        deadline = time.monotonic() + TIMEOUT
        while not appears.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} does not start")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


@contextlib.contextmanager
def open_milters(folder, ports):
    """Run opendkim and opendmarc, if they are installed; their process ids."""
    names = {"opendkim": OPENDKIM, "opendmarc": OPENDMARC}
    if not all(shutil.which(name, path="/usr/sbin") for name in names):
        yield []
        return
    (folder / "nobody").write_text("192.0.2.1\n")
    processes = []
    for name, text in names.items():
        configuration = folder / f"{name}.conf"
        configuration.write_text(text.format(port=ports[name], folder=folder))
        processes.append(
            subprocess.Popen([f"/usr/sbin/{name}", "-f", *(["-x"] if name == "opendkim" else ["-c"]), configuration])
        )
    try:
        for name in names:
            until_connected(ports[name])
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.terminate()
            process.wait(120)


def until_connected(port):
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
    raise SystemExit(f"nobody listens on {port}")


def smtp_source(port, message, count):
    """Send; return the seconds.  A mail that is not accepted ends it."""
    started = time.perf_counter()
    program = shutil.which("smtp-source", path="/usr/sbin")
    envelope = ("-f", "a@sender.test", "-t", "ayumi@rcpt.test")
    with tempfile.NamedTemporaryFile() as file:
        file.write(message)
        file.flush()
        options = ["-d", "-s", str(SESSIONS), "-m", str(count), "-F", file.name]
        subprocess.run([program, *options, *envelope, f"127.0.0.1:{port}"], check=True, timeout=120)
    return time.perf_counter() - started


def rates(system, ports, milter, others):
    for what, message in KINDS.items():
        chosen = ["plain", "guarded"] + ["others"] * bool(others)
        seconds, cost = {}, {}
        for name in chosen:
            smtp_source(ports[name], message, SESSIONS)  # processes start, caches fill
            system.until_idle()
            filters = {"guarded": [milter, *children(milter)], "others": others}.get(name, [])
            before = sum(map(processor_seconds, filters))
            seconds[name] = smtp_source(ports[name], message, COUNT)
            cost[name] = (sum(map(processor_seconds, filters)) - before) / COUNT * 1000
            system.until_idle()
        yield f"Postfix alone, {what}", COUNT / seconds["plain"], None, "mails a second"
        yield f"verify | quarantine, {what}", COUNT / seconds["guarded"], None, "mails a second"
        yield f"verify | quarantine, {what}, processor time", cost["guarded"], None, "ms for each mail"
        if others:
            yield f"opendkim and opendmarc, {what}", COUNT / seconds["others"], None, "mails a second"
            yield f"opendkim and opendmarc, {what}, processor time", cost["others"], None, "ms for each mail"


def leaks(system, port, milter):
    """Memory and descriptors of the process that lives for ever, after a thousand mails and after all."""
    smtp_source(port, KINDS["5 KB"], 1000)
    system.until_idle()
    memory, files = resident(milter.pid), descriptors(milter.pid)
    smtp_source(port, KINDS["5 KB"], LONG)
    system.until_idle()
    yield f"memory after {LONG} mails more", resident(milter.pid) / memory, ("<=", 1.05), "times that after 1,000"
    yield f"descriptors after {LONG} mails more", descriptors(milter.pid) - files, ("<=", 0), "more than after 1,000"


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def processor_seconds(pid):
    """User and system time, of workers that have ended too; 0 for one that has (its parent tells it)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            words = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    """Count them without connections, which Postfix keeps open for a while."""
    names = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    return sum(1 for name in names if not name.startswith("socket:"))
