"""Filters through the daemon: what the client costs, and how many mails pass in the time of a cold process."""

import contextlib
import os
import shutil
import subprocess
import time

from bench import processes
from bench.startup import PLAIN
from paths import EXAMPLES

CLIENT = EXAMPLES / "daemon/client.c"
ATTACHMENT = (
    b"From: a@example.com\nTo: b@example.org\nSubject: hi\nMIME-Version: 1.0\n"
    b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nHello\n--x\n"
    b"Content-Type: application/octet-stream; name=list.txt\n\nList\n--x--\n"
)
ROUNDS = 15


@contextlib.contextmanager
def daemon(folder):
    path = os.path.join(folder, "run", "socket")
    command = [processes.MAILGUARD, "daemon", "--listen", path]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, env=processes.ENVIRONMENT)
    server.stdout.readline()
    processes.ENVIRONMENT["MAILGUARD_DAEMON"] = path
    try:
        yield
    finally:
        del processes.ENVIRONMENT["MAILGUARD_DAEMON"]
        server.terminate()
        server.wait(120)


def once(job, served):
    """Run a job, with the daemon or without; return the seconds it took and those of the processor it cost itself."""
    path = processes.ENVIRONMENT.pop("MAILGUARD_DAEMON")
    if served:
        processes.ENVIRONMENT["MAILGUARD_DAEMON"] = path
    try:
        started = time.perf_counter()
        cost = job()
        return time.perf_counter() - started, cost.cpu
    finally:
        processes.ENVIRONMENT["MAILGUARD_DAEMON"] = path


def measure():
    with processes.folder() as folder:
        plain = processes.file(folder, "plain", PLAIN)
        mixed = processes.file(folder, "mixed", ATTACHMENT)
        key = processes.key_file(folder)
        thin = os.path.join(folder, "client")
        subprocess.run([shutil.which("cc"), "-O2", "-o", thin, CLIENT], check=True, timeout=120)
        strip = ["strip", "--log", "none"]
        verify = ["verify", "--log", "none"]
        quarantine = ["quarantine", "--log", "none", "--key-file", key]
        bare = processes.interpreter("-I", "-S", "-c", "pass")
        jobs = [
            (lambda: processes.run(bare, plain), False),
            (lambda: processes.run([processes.MAILGUARD, *strip], plain), True),
        ]
        for words, source in ((strip, plain), (verify, plain), (quarantine, mixed)):
            jobs += [
                (lambda words=words, source=source: processes.run([processes.MAILGUARD, *words], source), False),
                (lambda words=words, source=source: processes.run([thin, *words], source), True),
            ]
        with daemon(folder):
            rows = [[once(*job) for job in jobs] for _ in range(ROUNDS)]
    wall, cpu = ([min(row[job][index] for row in rows) for job in range(len(jobs))] for index in (0, 1))
    yield "daemon: start of strip, plain mail, client", cpu[1] / cpu[0], ("<=", 1.5), "x bare interpreter"
    yield "daemon: strip, plain mail, thin client", wall[2] / wall[3], None, "x mails/s of cold processes"
    yield "daemon: verify, thin client", wall[4] / wall[5], None, "x mails/s of cold processes"
    yield (
        "daemon: quarantine of an attachment, thin client",
        wall[6] / wall[7],
        (">=", 10),
        "x mails/s of cold processes",
    )
