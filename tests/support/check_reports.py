"""Reports of a diagnosis as they may come out: ordinary, good, and as hostile as a peer can make them."""

from __future__ import annotations

from mailguard.check.outcome import Outcome
from mailguard.check.report import Report, Server

NOW = 1_795_000_000

HOSTILE = "</script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>\u202egnp.exe\x1b[31m\"'&"


def server(name="mx1.example.com", address="192.0.2.10", *, software="postfix", banner="220 mx1", tls="TLSv1.3"):
    made = Server(name, address, 10)
    made.software, made.banner, made.tls, made.connections = software, banner, tls, 14
    return made


def mixed(started=NOW):
    """What a usual site gets: something of every state."""
    mx1, mx2 = "mx1.example.com", "mx2.example.com"
    record = {"record": "v=spf1 ip4:192.0.2.0/24 -all", "lookups": 1}
    outcomes = [
        Outcome("mx.exists", "good", "good", {"hosts": f"{mx1}, {mx2}"}, ["example.com. MX 10 mx1.example.com."]),
        Outcome("mx.reach", "good", "good", {"reply": "220 mx1.example.com ESMTP"}, subject=mx1),
        Outcome("mx.reach", "unknown", "unreachable", {"address": "192.0.2.11", "error": "timed out"}, subject=mx2),
        Outcome(
            "tls.starttls",
            "good",
            "good",
            {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"},
            ["> EHLO c", "< 250 STARTTLS"],
            subject=mx1,
        ),
        Outcome("dane.tlsa", "not-applicable", "no-server"),
        Outcome("spf", "good", "good", record, ["example.com. TXT v=spf1 ip4:192.0.2.0/24 -all"]),
        Outcome(
            "dmarc", "warning", "none", {"record": "v=DMARC1; p=none"}, ["_dmarc.example.com. TXT v=DMARC1; p=none"]
        ),
        Outcome("dnssec.domain", "warning", "unsigned"),
        Outcome("relay", "not-applicable", "not-proven"),
    ]
    return Report("example.com", started, 3.21, outcomes, [server(), server(mx2, "192.0.2.11", banner="", tls="")])


def good():
    outcomes = [
        Outcome("mx.exists", "good", "good", {"hosts": "mx1.example.com"}),
        Outcome(
            "tls.starttls",
            "good",
            "good",
            {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"},
            subject="mx1.example.com",
        ),
        Outcome("spf", "good", "good", {"record": "v=spf1 mx -all", "lookups": 1}),
        Outcome("dmarc", "good", "good", {"record": "v=DMARC1; p=reject; rua=mailto:d@example.com"}),
    ]
    return Report("example.com", NOW, 1.0, outcomes, [server()])


def bad():
    """Failures of every severity."""
    outcomes = [
        Outcome("spf", "failure", "pass-all", {"term": "+all"}, ["v=spf1 +all"], severity="critical"),
        Outcome("dmarc", "failure", "missing"),
        Outcome("tls.starttls", "failure", "missing", subject="mx1.example.com"),
        Outcome("tls.starttls", "failure", "missing", subject="mx2.example.com"),
        Outcome("dnssec.domain", "warning", "unsigned"),
        Outcome("bimi", "warning", "absent"),
        Outcome("caa", "warning", "missing"),
        Outcome("mtasts.record", "warning", "missing"),
        Outcome("tlsrpt", "warning", "missing"),
    ]
    return Report("example.com", NOW, 1.0, outcomes, [server(tls="")])


def hostile():
    """Every text that a peer, a zone or a mail chooses is an attack on the page."""
    outcomes = [
        Outcome("mx.reach", "failure", "refusing", {"reply": HOSTILE}, [HOSTILE] * 3, subject=HOSTILE),
        Outcome("spf", "failure", "syntax", {"term": HOSTILE, "record": HOSTILE}, [HOSTILE]),
        Outcome("dmarc", "warning", "none", {"record": HOSTILE}, [HOSTILE]),
        Outcome("mx.exists", "not-applicable", "good", {"hosts": HOSTILE}, subject=HOSTILE),
    ]
    return Report(
        HOSTILE, NOW, 1.0, outcomes, [server(HOSTILE, HOSTILE, software=HOSTILE, banner=HOSTILE, tls=HOSTILE)]
    )
