"""Cold start of verify, case by case; how often it waits for the DNS, when each answer takes 50 ms; hostile mail."""

import threading
import time

from bench import processes
from dns_server import DnsServer
from signed_mail import MESSAGE, SELECTOR, ed25519_key, ed25519_record, record, sign

LATENCY = 0.05
FACTS = ["--client-address=192.0.2.1", "--client-helo=mail.example.com", "--sender=joe@example.com"]
INCLUDE_DEPTH = 3
ZONE = {
    "example.com": [("TXT", b"v=spf1 include:one.example.com include:a.example.com include:b.example.com -all")],
    "one.example.com": [("TXT", b"v=spf1 include:two.example.com -all")],
    "two.example.com": [("TXT", b"v=spf1 include:three.example.com -all")],
    "three.example.com": [("TXT", b"v=spf1 a:mail.example.com -all")],
    "a.example.com": [("TXT", b"v=spf1 ip4:203.0.113.0/24 -all")],
    "b.example.com": [("TXT", b"v=spf1 ip4:203.0.113.0/24 -all")],
    "mail.example.com": [("A", "192.0.2.1"), ("TXT", b"v=spf1 a -all")],
    "1.2.0.192.in-addr.arpa": [("PTR", "mail.example.com")],
    "_dmarc.example.com": [("TXT", b"v=DMARC1; p=reject")],
    SELECTOR: [("TXT", record())],
    "two._domainkey.example.com": [("TXT", ed25519_record())],
}
HOSTILE = {
    "header fields": lambda n: MESSAGE.replace(b"\r\n\r\n", b"\r\n" + b"X: y\r\n" * (300_000 * n) + b"\r\n", 1),
    "results of others": lambda n: b"Authentication-Results: a.example; dkim=pass\r\n" * (30_000 * n) + MESSAGE,
    "signatures": lambda n: b"DKIM-Signature: v=1; d=a.example; s=b; h=from; b=A; bh=A\r\n" * (4_900 * n) + MESSAGE,
    "hidden From fields": lambda n: b"X:" + b"\r\n from: a@b.example" * (100_000 * n) + b"\r\n" + MESSAGE,
    "blanks in the body": lambda n: sign(MESSAGE + b" " * (5_000_000 * n) + b"x"),
    "mail addresses in From": lambda n: b"From: " + b"a@b.example, " * (300_000 * n) + b"\r\n\r\n",
}


class SlowServer(DnsServer):
    """Answers each request after a time, however many others wait."""

    latency = 0.0

    def _answer_udp(self, request, peer):
        if self.latency:
            threading.Timer(self.latency, super()._answer_udp, (request, peer)).start()
        else:
            super()._answer_udp(request, peer)


def zone_file(folder):
    lines = [
        f"{name} {kind} {value.decode() if isinstance(value, bytes) else value}"
        for name, records in ZONE.items()
        for kind, value in records
    ]
    return processes.file(folder, "zone", "\n".join(lines).encode())


def measure():
    with processes.folder() as folder:
        yield from starts(folder)
        yield from rounds(folder)
        yield from hostile(folder)


def starts(folder):
    plain = processes.file(folder, "plain", MESSAGE)
    signed = processes.file(folder, "signed", sign())
    key = ["--key-file", processes.key_file(folder)]
    verify = [processes.MAILGUARD, "verify", "--log", "none"]
    offline = [*verify, *key, "--dns-load", zone_file(folder)]
    cases = {
        "no signature, no client": ([*verify, *key], plain),
        "a signature": (offline, signed),
        "a client": ([*offline, *FACTS], plain),
        "a signature and a client": ([*offline, *FACTS], signed),
    }
    base, *costs = processes.in_turns(
        10,
        lambda: processes.run(processes.interpreter("-I", "-S", "-c", "pass"), plain),
        *(lambda case=case: processes.run(*case) for case in cases.values()),
    )
    for name, cost in zip(cases, costs, strict=True):
        goal = ("<=", 9) if name == "no signature, no client" else None
        yield f"start: verify, {name}", cost.cpu / base.cpu, goal, "x bare interpreter"


def rounds(folder):
    source = processes.file(folder, "two", sign(sign(), key=ed25519_key(), s="two"))
    with SlowServer(ZONE) as server:
        command = [processes.MAILGUARD, "verify", "--log", "none", *FACTS, "--nameserver", server.address]
        walls = []
        for latency in (0.0, LATENCY):
            server.latency = latency
            walls.append(min(processes.run(command, source).wall for _ in range(5)))
        time.sleep(LATENCY)  # the last timers end before the server does
    waited = (walls[1] - walls[0]) / LATENCY
    yield (
        f"two signatures, {INCLUDE_DEPTH + 2} includes: waited for the DNS",
        waited,
        ("<=", INCLUDE_DEPTH + 4),
        "answers of 50 ms, one after the other",
    )


def hostile(folder):
    """Twice as much may cost at most 2.5 times as much, beyond an empty run."""
    command = [processes.MAILGUARD, "verify", "--log", "none", "--dns-load", zone_file(folder), *FACTS]
    empty = processes.run(command, processes.file(folder, "empty", MESSAGE)).cpu
    for name, make in HOSTILE.items():
        sources = [processes.file(folder, str(n), make(n)) for n in (1, 2)]
        jobs = (lambda source=source: processes.run(command, source) for source in sources)
        first, second = processes.in_turns(2, *jobs)
        ratio = max(second.cpu - empty, 0.05) / max(first.cpu - empty, 0.05)
        yield f"verify: {name} ({second.cpu:.1f} s)", ratio, ("<=", 2.5), "x for twice as much"
