"""Whole processes: quarantine of 10 MB against the same with plain pyzipper level 6 and email."""

import os
import random
import sys

from bench import processes
from bench.engine import mail

REFERENCE = """
import email, io, sys
from email.mime.application import MIMEApplication
import pyzipper
message = email.message_from_bytes(sys.stdin.buffer.read())
text, attachment = message.get_payload()
target = io.BytesIO()
with pyzipper.AESZipFile(target, "w", compression=pyzipper.ZIP_DEFLATED, compresslevel=6, encryption=pyzipper.WZ_AES) as z:
    z.setpassword(b"password")
    z.writestr("data.bin", attachment.get_payload(decode=True))
message.set_payload([text, MIMEApplication(target.getvalue(), "zip")])
sys.stdout.buffer.write(message.as_bytes())
"""
SIZE = 10_000_000


def prose(size):
    """Make text that compresses about as well as prose."""
    source = random.Random(1)
    words = [source.randbytes(source.randint(1, 5)).hex() for _ in range(4000)]
    return " ".join(source.choices(words, k=size // 6)).encode()[:size]


def measure():
    with processes.folder() as folder:
        yield from compare(folder, "compressed data", os.urandom(SIZE), 4.5)
        yield from compare(folder, "text", prose(SIZE), 2)


def compare(folder, name, content, goal):
    command = [processes.MAILGUARD, "quarantine", "--log", "none", "--key-file", processes.key_file(folder)]
    source = processes.file(folder, "in", mail(content))
    outputs = [os.path.join(folder, "ours"), os.path.join(folder, "reference")]
    ours, reference = processes.in_turns(
        3,
        lambda: processes.run(command, source, outputs[0]),
        lambda: processes.run([sys.executable, "-c", REFERENCE], source, outputs[1]),
    )
    yield f"quarantine 10 MB of {name}", reference.wall / ours.wall, (">=", goal), "x faster than pyzipper and email"
    sizes = [os.path.getsize(output) for output in outputs]
    yield f"quarantine 10 MB of {name}: output", sizes[0] / sizes[1], ("<=", 1.1), "x size"
