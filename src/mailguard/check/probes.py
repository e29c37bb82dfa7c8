"""What is tried only after proof of control of the domain: relay variants, VRFY and EXPN.

Only RCPT is asked, then RSET: no message is ever sent.
"""

from __future__ import annotations

import secrets

from mailguard.check.dialogue import Broken, Dialogue, again, why
from mailguard.check.guard import Forbidden, Late
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.check.guard import Guard
    from mailguard.check.report import Server

CHECKS = ("relay", "vrfy")
FOREIGN = "example.com"  # RFC 2606: nobody's
_ATTEMPTS = 7  # on one connection: servers slow down or hang up after ten refusals
_ENOUGH = 10

# EHLO name, MAIL FROM and RCPT TO, as given in the command; `us` is what we are called.
_VARIANTS = (
    ("us", "<{probe}@{foreign}>", "<{probe}@{foreign}>"),
    ("us", "<>", "<{probe}@{foreign}>"),
    ("us", "<postmaster@{domain}>", "<{probe}@{foreign}>"),
    ("us", "<{probe}@[{address}]>", "<{probe}@{foreign}>"),
    ("us", "<{probe}@localhost>", "<{probe}@{foreign}>"),
    ("us", "<{probe}>", "<{probe}@{foreign}>"),
    ("us", "<{probe}@{host}>", "<{probe}@{foreign}>"),
    ("us", "<{probe}@{foreign}>", "<@{domain}:{probe}@{foreign}>"),
    ("us", "<{probe}@{foreign}>", "<{probe}%{foreign}@{domain}>"),
    ("us", "<{probe}@{foreign}>", '<"{probe}@{foreign}"@{domain}>'),
    ("us", "<{probe}@{foreign}>", '<"{probe}@{foreign}">'),
    ("us", "<{probe}@{foreign}>", "<{foreign}!{probe}@{domain}>"),
    ("us", "<{probe}@{foreign}>", "<{probe}@{foreign}@{domain}>"),
    ("us", "<{probe}@{foreign}>", "{probe}@{foreign}"),
    ("localhost", "<{probe}@{foreign}>", "<{probe}@{foreign}>"),
    ("{host}", "<{probe}@{domain}>", "<{probe}@{foreign}>"),
    ("[127.0.0.1]", "<{probe}@{foreign}>", "<{probe}@{foreign}>"),
)


class _Attempts:
    """Relay attempts at one server, and what was accepted."""

    def __init__(self, server: Server, domain: str, foreign: str) -> None:
        self.made = 0
        self.accepted: list[tuple[str, list[str]]] = []
        self.evidence: list[str] = []
        self.words = {
            "probe": f"mailguard-check-{secrets.token_hex(4)}",
            "foreign": foreign,
            "domain": domain,
            "host": server.name,
            "address": f"IPv6:{server.address}" if ":" in server.address else server.address,
        }

    def run(self, dialogue: Dialogue, variants: Sequence[tuple[str, str, str]]) -> None:
        """Try variants with the same EHLO name on one connection."""
        helo = variants[0][0]
        name = dialogue.own_name if helo == "us" else helo.format_map(self.words)
        if dialogue.command(f"EHLO {name}").code != 250:
            self.made += len(variants)  # who is not even greeted relays nothing
            return
        for _, sender, recipient in variants:
            start = len(dialogue.transcript)
            reply = dialogue.command(f"MAIL FROM:{sender.format_map(self.words)}")
            command = f"RCPT TO:{recipient.format_map(self.words)}"
            if reply.code == 250:
                reply = dialogue.command(command)
            self.made += 1
            lines = dialogue.transcript[start:]
            self.evidence += lines
            if 200 <= reply.code < 300:
                self.accepted.append((command, lines))
            if reply.code == 421:
                raise Broken("421")
            dialogue.command("RSET")

    def is_foreign(self, command: str) -> bool:
        """Whether the recipient lies outside of the domain whoever reads it; in its own, it may be a catch-all."""
        return not command.rstrip(">").endswith(("@" + self.words["domain"], '"'))


def relay(server: Server, domain: str, guard: Guard, *, foreign: str = FOREIGN, catch_all: bool) -> Outcome:
    """Find out whether a server takes mail of strangers for strangers; raises Late.

    foreign: a domain that is not the server's; catch_all: it takes any recipient of its own domain.
    """
    attempts = _Attempts(server, domain, foreign)
    error = ""
    for group in _grouped():
        server.connections += 1
        try:
            with again(guard, server.address) as dialogue:
                attempts.run(dialogue, group)
                dialogue.leave()
        except Late:
            raise
        except (OSError, Broken, Forbidden) as failure:
            error = why(failure)
    return _judged(attempts, error, server, catch_all=catch_all)


def _grouped() -> Iterator[Sequence[tuple[str, str, str]]]:
    for name in dict.fromkeys(variant[0] for variant in _VARIANTS):
        same = [variant for variant in _VARIANTS if variant[0] == name]
        for start in range(0, len(same), _ATTEMPTS):
            yield same[start : start + _ATTEMPTS]


def _judged(attempts: _Attempts, error: str, server: Server, *, catch_all: bool) -> Outcome:
    values = {"count": str(attempts.made), "address": server.address, "error": error}
    for command, lines in attempts.accepted:
        if attempts.is_foreign(command):
            return Outcome("relay", FAILURE, "open", {**values, "command": command}, lines, subject=server.name)
    if attempts.accepted and not catch_all:
        command, lines = attempts.accepted[0]
        more = {**values, "command": command}
        return Outcome("relay", WARNING, "suspect", more, lines, subject=server.name, severity="medium")
    if attempts.made < _ENOUGH:
        return Outcome("relay", UNKNOWN, "few", values, attempts.evidence, subject=server.name)
    return Outcome("relay", GOOD, "good", values, attempts.evidence, subject=server.name)


def names(server: Server, domain: str, guard: Guard) -> Outcome:
    """Find out whether VRFY or EXPN tell who exists; raises Late."""
    unknown = f"mailguard-check-{secrets.token_hex(8)}@{domain}"
    server.connections += 1
    try:
        with again(guard, server.address) as dialogue:
            dialogue.hello()
            missing = dialogue.command(f"VRFY {unknown}")
            there = dialogue.command(f"VRFY postmaster@{domain}")
            expanded = dialogue.command(f"EXPN postmaster@{domain}")
            lines = dialogue.transcript[-6:]
            dialogue.leave()
    except Late:
        raise
    except (OSError, Broken, Forbidden) as failure:
        values = {"error": why(failure), "address": server.address}
        return Outcome("vrfy", UNKNOWN, "broken", values, subject=server.name)
    for command, reply, leaks in (
        (f"VRFY postmaster@{domain}", there, there.code in {250, 251}),
        (f"VRFY {unknown}", missing, missing.code in {550, 551, 553} and there.code in {250, 251, 252}),
        (f"EXPN postmaster@{domain}", expanded, expanded.code == 250),
    ):
        if leaks:
            values = {"command": command, "reply": reply.text, "address": server.address}
            return Outcome("vrfy", WARNING, "leak", values, lines, subject=server.name)
    return Outcome("vrfy", GOOD, "good", {"address": server.address}, lines, subject=server.name)


def unproved(host: str, record: str) -> list[Outcome]:
    """Return the outcomes where nothing was tried; record: what the domain would have to publish, "" without a key."""
    reason = "not-proven" if record else "no-key"
    return [Outcome(check, NOT_APPLICABLE, reason, {"proof": record}, subject=host) for check in CHECKS]
