"""Verify a 10 MB signed mail, against dkimpy; and hostile mail twice the size, against itself."""

from __future__ import annotations

import base64
import random
from time import perf_counter

import dkim as dkimpy
from signed_mail import MESSAGE, NOW, record, sign, zone

from mailguard.message.tree import parse
from mailguard.verify import dkim
from mailguard.verify.author import scan

SIZE = 10_000_000
HEADER, _, BODY = MESSAGE.partition(b"\r\n\r\n")
HOSTILE = {
    "blanks in the body": lambda n: HEADER + b"\r\n\r\n" + b" " * n + b"x" + b" " * n + b"\r\n",
    "blanks in a field": lambda n: HEADER + b"\r\nCc: " + b" " * n + b"x\r\n\r\n" + BODY,
    "folds in a field": lambda n: HEADER + b"\r\nCc:" + b"\r\n " * (n // 3) + b"x\r\n\r\n" + BODY,
    "empty lines": lambda n: HEADER + b"\r\n\r\n" + b"\r\n" * (n // 2) + b"x",
    "blanks in b=": lambda n: b"DKIM-Signature: v=1; b=" + b" " * n + b"x;\r\n" + MESSAGE,
    "semicolons in a signature": lambda n: b"DKIM-Signature: " + b";" * n + b"\r\n" + MESSAGE,
    "repeated from:": lambda n: HEADER + b"\r\nCc: " + b"from:" * (n // 5) + b"\r\n\r\n",
}


def best(work, rounds):
    times = []
    for _ in range(rounds):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def attachment():
    return base64.encodebytes(random.Random(1).randbytes(SIZE * 3 // 4)).replace(b"\n", b"\r\n")


def prose():
    plain = [b"the", b"quarterly", b"report", b"is", b"attached", b"for", b"you"]
    words = random.Random(1).choices([*plain * 5, b"end.  Then", b"column\t"], k=SIZE // 5)
    return b"\r\n".join(b" ".join(words[start : start + 12]) for start in range(0, len(words), 12)) + b"\r\n"


def ours(raw):
    (result,) = dkim.verify(parse(raw), zone(), NOW)
    assert result.result == "pass", result


def theirs(raw):
    assert dkimpy.verify(raw, dnsfunc=lambda _name, timeout=5: record())


def judged(raw):
    scan(parse(raw))
    dkim.verify(parse(raw), zone(), NOW)


def measure():
    for name, body in (("base64", attachment()), ("prose", prose())):
        for form in ("relaxed/relaxed", "simple/simple"):
            raw = sign(HEADER + b"\r\n\r\n" + body, c=form)
            mine, other = best(lambda: ours(raw), 5), best(lambda: theirs(raw), 2)  # noqa: B023
            # What makes a mail large is attached; a simple body costs dkimpy little, and us hardly more than its hash.
            goal = (">=", 7) if (name, form) == ("base64", "relaxed/relaxed") else None
            yield f"verify 10 MB, {name}, {form}", other / mine, goal, f"x dkimpy, {len(raw) / mine / 1e6:.0f} MB/s"
    own = sign()[: -len(MESSAGE)]
    for name, make in HOSTILE.items():
        small, large = own + make(1_000_000), own + make(2_000_000)
        once, twice = best(lambda: judged(small), 5), best(lambda: judged(large), 5)  # noqa: B023
        yield f"twice as many {name}", twice / once, ("<=", 2.5), f"x of {once * 1000:.0f} ms"
