"""duplicate: copies a second, one process per mail and one flush for all, beside what Postfix's own programs reach.

All three hand 1,000 mails of 40 KB to the same smtp-sink.  smtp-source makes its mail in memory and keeps none of it;
the two others write each mail to the spool and sync it first, or have done so.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time

from bench.processes import ENVIRONMENT, MAILGUARD, folder

COUNT = int(os.environ.get("MAILGUARD_BENCH_MAILS", "1000"))
SIZE = 40_000
ENVELOPE = ("--sender", "a@one.test", "--recipient", "b@two.test")


def measure():
    with folder() as place, sink() as port:
        target = f"smtp://127.0.0.1:{port}"
        reference = COUNT / timed(smtp_source, port)
        yield "smtp-source to smtp-sink, one connection at a time", reference, None, "mails a second"
        reference_synced = COUNT / timed(write_synced, place)
        yield "write and sync a file of this size", reference_synced, None, "mails a second"
        single = COUNT / timed(filters, place, target, "5")
        yield "duplicate, one process per mail, delivered at once", single, None, "mails a second"
        start = COUNT / timed(starts)
        yield "mailguard --version, one process after the other", start, None, "processes a second"
        spooled = COUNT / timed(filters, place, target, "0")
        yield "duplicate, one process per mail, left to --flush", spooled, None, "mails a second"
        flushed = COUNT / timed(flush, place)
        yield "duplicate --flush, all of them over one connection", flushed, None, "mails a second"
        yield "flush against smtp-source", reference / flushed, None, "times as long"


@contextlib.contextmanager
def sink():
    """Postfix's server that throws everything away."""
    program = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin")
    if program is None:
        raise SystemExit("duplicate: smtp-sink (package postfix) is missing")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "100"])
    try:
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
        yield port
    finally:
        process.terminate()
        process.wait(120)


def timed(job, *arguments):
    started = time.perf_counter()
    job(*arguments)
    return time.perf_counter() - started


def smtp_source(port):
    program = shutil.which("smtp-source", path="/usr/sbin:/usr/bin")
    sizes = ["-l", str(SIZE), "-m", str(COUNT), "-s", "1"]
    subprocess.run(
        [program, *sizes, "-f", "a@one.test", "-t", "b@two.test", f"127.0.0.1:{port}"], check=True, timeout=120
    )


def mail(number):
    head = b"From: a@one.test\nMessage-ID: <%d.%d@one.test>\n\n" % (number, time.monotonic_ns())
    return head + (b"x" * 76 + b"\n") * ((SIZE - len(head)) // 77)


def write_synced(place):
    for number in range(COUNT):
        with open(os.path.join(place, "synced"), "wb") as file:
            file.write(mail(number))
            file.flush()
            os.fsync(file.fileno())


def command(place, *arguments):
    common = ["--spool", os.path.join(place, "spool"), "--log", "none", "--spool-reserve", "0"]
    return [MAILGUARD, "duplicate", *common, *arguments]


def filters(place, target, seconds):
    words = command(place, "--to", target, "--timeout", seconds, *ENVELOPE)
    for number in range(COUNT):
        subprocess.run(words, input=mail(number), stdout=subprocess.DEVNULL, env=ENVIRONMENT, check=True, timeout=120)


def starts():
    for _ in range(COUNT):
        subprocess.run([MAILGUARD, "--version"], stdout=subprocess.DEVNULL, env=ENVIRONMENT, check=True, timeout=120)


def flush(place):
    subprocess.run(command(place, "--flush", "--all"), env=ENVIRONMENT, check=True, timeout=120)
