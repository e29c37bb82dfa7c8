"""Parse and emit a 10 MB mail, against the email package; memory of strip on 50 MB."""

import email
import os
import time

from bench import processes

from mailguard.message import encoding, splice, tree

MB = 1_000_000


def mail(content, name=b"data.bin"):
    """Make a mail with a text and one attachment."""
    head = (
        b"From: a@example.com\nTo: b@example.org\nSubject: report\nMIME-Version: 1.0\n"
        b"Content-Type: multipart/mixed; boundary=xx\n\n--xx\nContent-Type: text/plain\n\nHello\n--xx\n"
        b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
        b'Content-Disposition: attachment; filename="' + name + b'"\n\n'
    )
    return head + encoding.base64(content) + b"--xx--\n"


def best(function, rounds):
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def parsed(raw):
    """Parse a message as if it was seen for the first time."""
    tree._latest.clear()
    return tree.parse(raw)


def measure():
    raw = mail(os.urandom(7_400_000))
    assert b"".join(splice.apply(tree.parse(raw).raw, [])) == raw
    ours = min(best(lambda: splice.apply(parsed(raw).raw, []), 9) for _ in range(2))
    reference = best(lambda: email.message_from_bytes(raw).as_bytes(), 3)
    yield "parse and emit 10 MB", reference / ours, (">=", 40), "x faster than email"
    with processes.folder() as folder:
        large = processes.file(folder, "large", mail(os.urandom(37_000_000)))
        size = os.path.getsize(large)
        for pipe in (False, True):
            for when in ("suspicious", "always"):
                command = [processes.MAILGUARD, "strip", "--when", when, "--log", "none"]
                peak = processes.peak(command, large, pipe=pipe)
                source = "pipe" if pipe else "file"
                yield (
                    f"strip --when {when} 50 MB, {source}: memory",
                    (peak - 20 * MB) / size,
                    ("<=", 1.2),
                    "x size + 20 MB",
                )
