"""Which TLS versions, ciphers and groups a server accepts: one connection for each question."""

from __future__ import annotations

from time import monotonic

from mailguard.check import hello
from mailguard.check.dialogue import Broken, again
from mailguard.check.guard import Late
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.check.dialogue import Dialogue
    from mailguard.check.guard import Guard
    from mailguard.check.report import Server

SECONDS = 10.0
CHECKS = ("tls.versions", "tls.ciphers", "tls.kex", "tls.extensions")
_POST_QUANTUM = 0x11EC
_GOOD_PRIME = 2047  # RFC 9325 4.1; some libraries make primes of which the first bit is 0
_BREAKABLE_PRIME = 1023  # Logjam (weakdh.org): 768 bits by anybody, 1024 by a state
_OLD = (hello.SSL3, hello.TLS10, hello.TLS11)


class Probes:
    """What a server chose, by question; None where it refused; a question without an answer is missing."""

    def __init__(self, server: Server, guard: Guard) -> None:
        self.chosen: dict[str, hello.ServerHello | None] = {}
        self.evidence: list[str] = []
        self._server = server
        self._guard = guard

    def run(self) -> None:
        """Ask everything; raises Late."""
        for version, label in reversed(hello.VERSIONS.items()):
            self._ask(label, version, hello.MODERN if version == hello.TLS13 else hello.ALL)
        modern = self.chosen.get("TLS 1.3")
        if modern and modern.group != _POST_QUANTUM:
            self._ask("post-quantum", hello.TLS13, hello.MODERN, groups=(_POST_QUANTUM,))
        self._ask_both("weak", hello.WEAK, "anonymous", hello.ANONYMOUS)
        if self.chosen.get("TLS 1.2"):
            self._ask_both("RSA key exchange", hello.RSA_KEY_EXCHANGE, "DHE", hello.DHE)
            if not modern:
                self._ask("elliptic curves", hello.TLS12, (*hello.SOUND, *hello.ECDHE_CBC))

    def _ask_both(self, one: str, ciphers: Sequence[int], other: str, others: Sequence[int]) -> None:
        """Ask two questions in one: most servers refuse both."""
        self._ask(one, hello.TLS12, (*ciphers, *others))
        found = self.chosen.get(one)
        if found is None:
            if one in self.chosen:
                self.chosen[other] = None
        elif found.cipher in others:
            self.chosen[other] = self.chosen.pop(one)
            self.evidence[-1] = self.evidence[-1].replace(one, other, 1)
            self._ask(one, hello.TLS12, ciphers)
        else:
            self._ask(other, hello.TLS12, others)

    def _ask(self, question: str, version: int, ciphers: Sequence[int], *, groups: Sequence[int] = ()) -> None:
        client = hello.client_hello(version, ciphers, groups or tuple(hello.GROUPS), self._server.name)
        try:
            found = self._answer(client)
        except Late:
            raise
        except (OSError, Broken, hello.Garbage) as error:
            self.evidence.append(f"{question}: no answer ({error})")
            return
        if found is not None and found.version != version and question in hello.VERSIONS.values():
            found = None  # it would speak another version, not this one
        self.chosen[question] = found
        choice = "refused" if found is None else f"{hello.VERSIONS[found.version]} cipher {found.cipher_name}"
        self.evidence.append(f"{question}: {choice}")

    def _answer(self, client: bytes) -> hello.ServerHello | None:
        self._server.connections += 1
        with again(self._guard, self._server.address) as dialogue:
            dialogue.hello()
            reply = dialogue.command("STARTTLS")
            if reply.code != 220:
                raise Broken(f"STARTTLS {reply.code}")
            dialogue.send_silently(client)
            end = monotonic() + SECONDS
            try:
                header = dialogue.exactly(5, end)
                content = dialogue.exactly(hello.record_length(header), end)
                found = hello.answer(header, content)
            except Broken as error:
                if dialogue.closed:  # many servers just hang up on what they do not speak
                    return None
                raise error from None
            except ConnectionResetError:
                return None
            if found is not None and found.cipher in hello.DHE:
                found.prime = _prime(dialogue, header, content, end)
            return found

    def _accepted(self, question: str) -> hello.ServerHello | None:
        return self.chosen.get(question)

    def outcomes(self) -> list[Outcome]:
        """Judge the answers."""
        subject = self._server.name
        if not any(self.chosen.values()):
            values = {"error": "TLS"}
            return [Outcome(check, UNKNOWN, "broken", values, self.evidence, subject=subject) for check in CHECKS]
        found = [self._versions(), self._ciphers(), self._groups(), self._extensions()]
        for outcome in found:
            outcome.subject, outcome.evidence = subject, tuple(self.evidence)
            outcome.values["address"] = self._server.address
        return found

    def _versions(self) -> Outcome:
        spoken = [label for label in hello.VERSIONS.values() if self._accepted(label)]
        old = [hello.VERSIONS[version] for version in _OLD if self._accepted(hello.VERSIONS[version])]
        values = {"versions": ", ".join(spoken), "old": ", ".join(old)}
        if not old and not all(hello.VERSIONS[version] in self.chosen for version in _OLD):
            return Outcome("tls.versions", UNKNOWN, "unfinished", values)
        if "SSLv3" in old:
            return Outcome("tls.versions", FAILURE, "ssl3", values, severity="critical")
        if old and old == spoken:
            return Outcome("tls.versions", FAILURE, "only-old", values, severity="high")
        return Outcome("tls.versions", WARNING if old else GOOD, "old" if old else "good", values)

    def _ciphers(self) -> Outcome:
        weak = self._accepted("weak")
        if weak is not None:
            return Outcome("tls.ciphers", FAILURE, "weak", {"ciphers": weak.cipher_name})
        if "weak" not in self.chosen:
            return Outcome("tls.ciphers", UNKNOWN, "unfinished")
        exchange = self._accepted("DHE")
        if exchange is not None and 0 < exchange.prime < _GOOD_PRIME:
            broken = exchange.prime < _BREAKABLE_PRIME
            severity = "high" if broken else "medium"
            values = {"bits": exchange.prime}
            return Outcome("tls.ciphers", FAILURE if broken else WARNING, "short-prime", values, severity=severity)
        if self._accepted("anonymous"):
            return Outcome("tls.ciphers", WARNING, "anonymous", severity="informational")
        if self._accepted("RSA key exchange"):
            return Outcome("tls.ciphers", WARNING, "fading", {"ciphers": "RSA"}, severity="informational")
        return Outcome("tls.ciphers", GOOD, "good")

    def _groups(self) -> Outcome:
        modern = self._accepted("TLS 1.3")
        groups = [hello.GROUPS.get(modern.group or 0, "")] if modern else []
        if self._accepted("post-quantum"):
            groups.append("X25519MLKEM768")
        elif self._accepted("elliptic curves") and not modern:
            groups.append("ECDHE")
        values = {"groups": ", ".join(dict.fromkeys(filter(None, groups)))}
        if "X25519MLKEM768" in groups:
            return Outcome("tls.kex", GOOD, "post-quantum", values)
        return Outcome("tls.kex", GOOD, "good", values) if values["groups"] else Outcome("tls.kex", WARNING, "absent")

    def _extensions(self) -> Outcome:
        found = self._accepted("TLS 1.2")
        if found is None:
            return Outcome("tls.extensions", NOT_APPLICABLE, "no-tls12")
        missing = [
            name
            for name, there in (
                ("secure renegotiation", found.secure_renegotiation),
                ("extended master secret", found.extended_master_secret),
                ("no compression", not found.compressed),
            )
            if not there
        ]
        if missing:
            return Outcome("tls.extensions", WARNING, "open", {"missing": ", ".join(missing)})
        return Outcome("tls.extensions", GOOD, "good")


def _prime(dialogue: Dialogue, header: bytes, content: bytes, end: float) -> int:
    """Return the bits of the prime that a server sends with DHE, 0 where it hangs up before."""
    flight = hello.Flight()
    try:
        while (bits := flight.take(header, content)) is None:
            header = dialogue.exactly(5, end)
            content = dialogue.exactly(hello.record_length(header), end)
    except Late:
        raise
    except (OSError, Broken, hello.Garbage):
        return 0
    return bits
