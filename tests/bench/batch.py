"""Archives: 2,000 mails against a loop with the email package; two cores against one; the memory of a large mbox.

Of the mails 70 % are plain text, 15 % text and HTML, 15 % have an attachment of 100 to 500 KB.  The loop neither
examines nor hashes what it removes.  Forty times its speed would leave 130 ms for 137 MB on two cores; the start of
Python, the search for `From ` lines, base64, SHA-256 and libmagic alone need three times as much.
"""

import os
import random
import subprocess
import sys
import time

from bench import processes
from bench.quarantine import prose

from mailguard.message import encoding

# What somebody writes who has only the standard library: attachments become a text, everything else stays.
REFERENCE = """
import email, mailbox, sys
from email.mime.text import MIMEText
output = open(sys.argv[2], "wb")
for key, message in mailbox.mbox(sys.argv[1]).iteritems():
    for part in message.walk():
        if part.is_multipart():
            part.set_payload([
                MIMEText("removed: " + each.get_filename()) if each.get_filename() else each
                for each in part.get_payload()
            ])
    output.write(b"From " + message.get_from().encode() + b"\\n" + message.as_bytes() + b"\\n")
"""
FROM = b"From a@example.com Mon Jan  1 10:00:00 2024\n"
ATTACHED = b"""application/octet-stream
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=data.bin"""
MB = 1_000_000


def mails(count):
    """Yield mails as they stand in an mbox."""
    source = random.Random(1)
    text = prose(200_000).replace(b" ", b"\n", 30_000)
    for number in range(count):
        head = b"From: a%d@example.com\nTo: b@example.org\nSubject: mail %d\nMIME-Version: 1.0\n" % (number, number)
        start = source.randrange(100_000)
        body = text[start : start + source.randrange(500, 5000)] + b"\n"
        kind = source.random()
        if kind < 0.7:
            yield FROM + head + b"Content-Type: text/plain; charset=utf-8\n\n" + body + b"\n"
            continue
        second = (b"text/html", body)
        if kind >= 0.85:
            second = (ATTACHED, encoding.base64(source.randbytes(source.randrange(100_000, 500_000))))
        top = b"alternative" if kind < 0.85 else b"mixed"
        yield (
            FROM + head + b"Content-Type: multipart/" + top + b"; boundary=xx\n\n--xx\nContent-Type: text/plain\n\n"
            + body + b"--xx\nContent-Type: " + second[0] + b"\n\n" + second[1] + b"--xx--\n\n"
        )  # fmt: skip


def batch(pipeline, source, output, *options):
    command = [processes.MAILGUARD, "batch", pipeline, source, "--output", output, *options]
    return timed(command, output)


def timed(command, output):
    if os.path.exists(output):
        os.unlink(output)
    started = time.perf_counter()
    subprocess.run(command, check=True, env=processes.ENVIRONMENT, timeout=120)
    return time.perf_counter() - started


def peak(command):
    """Return the highest sum over all processes of their memory, shared pages counted once, in octets."""
    process = subprocess.Popen(command, env=processes.ENVIRONMENT)
    highest = 0
    while process.poll() is None:
        highest = max(highest, sum(map(proportional, [process.pid, *children(process.pid)])))
    if process.returncode:
        raise SystemExit(f"{command}: status {process.returncode}")
    return highest


def children(process):
    try:
        with open(f"/proc/{process}/task/{process}/children") as file:
            return file.read().split()
    except OSError:
        return []


def proportional(process):
    try:
        with open(f"/proc/{process}/smaps_rollup") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except OSError:
        return 0


def measure():
    with processes.folder() as folder:
        source, output = os.path.join(folder, "box"), os.path.join(folder, "out")
        with open(source, "wb") as file:
            file.writelines(mails(2000))
        reference = [sys.executable, "-c", REFERENCE, source, output]
        pairs = [(batch("strip --log none", source, output), timed(reference, output)) for _ in range(3)]
        yield (
            "batch 'strip', 2,000 mails of 50 KB on average",
            min(theirs for _, theirs in pairs) / min(ours for ours, _ in pairs),
            (">=", 5),
            "x faster than mailbox and email",
        )
        with open(source, "wb") as file:
            file.writelines(mails(6000))
        key = processes.key_file(folder)
        for pipeline in ("quarantine", "sanitize"):
            chain = f"{pipeline} --log none --when always --key-file {key}"
            pairs = [[batch(chain, source, output, "--jobs", jobs) for jobs in ("1", "2")] for _ in range(2)]
            one, two = (min(times) for times in zip(*pairs, strict=True))
            yield f"batch '{pipeline}', two cores", one / two, (">=", 1.8), "x faster than one"
        large = os.path.join(folder, "large")
        with open(large, "wb") as file:
            while file.tell() < 1000 * MB:
                file.writelines(mails(2000))
        os.unlink(output)
        command = [processes.MAILGUARD, "batch", "strip --log none", large, "--output", output]
        yield "batch 'strip' on 1 GB: memory of all processes together", peak(command) / MB, ("<=", 200), "MB"
