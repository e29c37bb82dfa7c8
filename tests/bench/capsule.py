"""How much faster a capsule is made than by plain pyzipper level 6 and email, for 10 MB of random data and of text.

Run: python tests/bench/capsule.py
Both sides decode a base64 attachment, put it into an AES-256 ZIP and encode that as base64; best of five, in turns.
"""

import email
import hmac
import io
import os
import sys
import time
from email.mime.application import MIMEApplication

import pyzipper

from mailguard import capsule
from mailguard.message import encoding

SIZE = 10 << 20
HEADER = b"MIME-Version: 1.0\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n"


def reference(message):
    content = email.message_from_bytes(message).get_payload(decode=True)
    target = io.BytesIO()
    method = {"compression": pyzipper.ZIP_DEFLATED, "compresslevel": 6, "encryption": pyzipper.WZ_AES}
    with pyzipper.AESZipFile(target, "w", **method) as archive:
        archive.setpassword(b"password")
        archive.writestr("content", content)
    return MIMEApplication(target.getvalue(), "zip").as_bytes()


def ours(message):
    body = encoding.decode(message, len(HEADER), len(message), b"base64")
    item = capsule.Item("content", body.data, span=(len(HEADER), len(message)), recipe=body.recipe)
    data = capsule.build(
        message,
        [item],
        capsule_id="id",
        password=b"password",
        salt_key=b"key",
        mac=lambda covered: hmac.digest(b"key", covered, "sha256"),
        when=0,
        information={},
    )
    return encoding.base64(data)


def text(size):
    """Make text that compresses about as well as prose."""
    words = [os.urandom(2 + number % 5).hex().encode() for number in range(4000)]
    return b" ".join(words[int.from_bytes(os.urandom(2), "big") % 4000] for _ in range(size // 8))[:size]


def main():
    for name, content in (("random", os.urandom(SIZE)), ("text", text(SIZE))):
        message = HEADER + encoding.base64(content)
        times = {reference: [], ours: []}
        sizes = {}
        for _ in range(5):
            for make, seconds in times.items():
                start = time.perf_counter()
                sizes[make] = len(make(message))
                seconds.append(time.perf_counter() - start)
        ratio = min(times[reference]) / min(times[ours])
        sys.stdout.write(
            f"capsule, 10 MB {name}: {ratio:.1f} x faster, {sizes[ours] / sizes[reference]:.3f} x the size\n"
        )


if __name__ == "__main__":
    main()
