"""How a server receives: greeting, encryption, recipients.  Nothing is delivered, nothing is tried that harms."""

from __future__ import annotations

import re
import secrets
import ssl

from mailguard.check import certificate
from mailguard.check.dialogue import GREETING_SECONDS, Broken, Dialogue, Slow, again, why
from mailguard.check.guard import Forbidden, Late, is_public
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailguard.check.dialogue import Reply
    from mailguard.check.guard import Guard
    from mailguard.check.outcome import State
    from mailguard.check.report import Server

CHECKS = (
    "mx.reach", "tls.starttls", "banner", "auth.plain", "requiretls", "rcpt.unknown", "postmaster", "abuse",
)  # fmt: skip
_VERSION_NUMBER = re.compile(r"(?<![\w.-])v?[0-9]{1,3}\.[0-9]{1,4}(?:\.[0-9]{1,5})?(?![\w.])")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9-]{1,63}){1,10}")
_SOFTWARE = (("postfix", "postfix"), ("exim", "exim"), ("opensmtpd", "opensmtpd"))


class Visit:
    """One look at one address of a server.

    outcomes; shown: its certificates, None where no TLS came about; reached: whether it spoke SMTP to us; error: why
    it could not be reached, "" otherwise; keywords: of EHLO before TLS.
    """

    def __init__(self, server: Server, domain: str, guard: Guard, trust: ssl.SSLContext) -> None:
        self.outcomes: list[Outcome] = []
        self.shown: certificate.Shown | None = None
        self.reached = False
        self.error = ""
        self.keywords: dict[str, str] = {}
        self._server = server
        self._domain = domain
        self._guard = guard
        self._contexts: list[ssl.SSLContext | None] = [trust, lenient(), None]
        self._distrust: tuple[int, str] | None = None
        self._handshake = ""

    @property
    def decided(self) -> bool:
        """Whether it is known if mail can be encrypted, by what the server said and not by a broken conversation."""
        return any(each.check == "tls.starttls" and each.state != UNKNOWN for each in self.outcomes)

    @property
    def unconnected(self) -> bool:
        """Whether no connection came about, so that nothing the server is or does explains it."""
        return bool(self.error) and not any(each.check == "mx.reach" for each in self.outcomes)

    def run(self) -> None:
        """Look; raises Late only."""
        try:
            while self._contexts and not self._attempt(self._contexts.pop(0)):
                continue
        except Forbidden:
            self.error = "not allowed"
            if is_public(self._server.address):  # an address of this machine
                self._note("mx.reach", UNKNOWN, "not-allowed")
            else:
                self._note("mx.reach", FAILURE, "private", severity="high")
        except Late:
            raise
        except ConnectionRefusedError:
            self.error = "connection refused"
        except (OSError, Broken) as error:
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        self.error = why(error)
        if self.reached:
            self._fill("broken", {"error": self.error})
        elif isinstance(error, Slow):
            self._note("mx.reach", FAILURE, "silent", {"seconds": int(GREETING_SECONDS)}, severity="high")
        elif isinstance(error, Broken):
            self._note("mx.reach", FAILURE, "hung-up", {"error": self.error}, severity="high")

    def _fill(self, reason: str, values: Mapping[str, object]) -> None:
        self.error = self.error or "declined"
        there = {outcome.check for outcome in self.outcomes}
        for check in CHECKS:
            if check not in there:
                self._note(check, UNKNOWN, reason, values)

    def _note(
        self,
        check: str,
        state: State,
        reason: str,
        values: Mapping[str, object] | None = None,
        *evidence: str,
        severity: str | None = None,
    ) -> None:
        values = {"address": self._server.address, **(values or {})}
        self.outcomes.append(
            Outcome(check, state, reason, values, evidence, subject=self._server.name, severity=severity)
        )

    def _attempt(self, context: ssl.SSLContext | None) -> bool:
        """Hold one conversation; False when another one is needed, with less to ask of the other side."""
        self._server.connections += 1
        connect = again if self.reached else Dialogue
        with connect(self._guard, self._server.address) as dialogue:
            if not self.reached and not self._greeted(dialogue):
                return True
            keywords = self._introduced(dialogue)
            if context is not None and "STARTTLS" in self.keywords and not self._encrypted(dialogue, context):
                return False
            if self.shown is None:
                self._unencrypted()
            else:
                keywords = dialogue.hello().keywords()
                offered = "REQUIRETLS" in keywords
                self._note("requiretls", GOOD if offered else NOT_APPLICABLE, "good" if offered else "absent")
            self._recipients(dialogue)
            dialogue.leave()
        return True

    def _greeted(self, dialogue: Dialogue) -> bool:
        greeting = dialogue.greeting
        banner = greeting.text
        self._server.banner = banner
        self._server.software = next((kind for word, kind in _SOFTWARE if word in banner.lower()), "")
        self.reached = True
        values = {"reply": banner}
        if greeting.code == 220:
            self._note("mx.reach", GOOD, "good", values, *dialogue.transcript)
            return True
        if 400 <= greeting.code < 500:
            self._note("mx.reach", UNKNOWN, "busy", values, *dialogue.transcript)
        else:
            self._note("mx.reach", FAILURE, "refusing" if greeting.code >= 500 else "no-smtp", values)
        self._fill("declined", values)
        return False

    def _introduced(self, dialogue: Dialogue) -> dict[str, str]:
        reply = dialogue.hello()
        if reply.code != 250:
            reply = dialogue.command(f"HELO {dialogue.own_name}")
        if reply.code != 250:
            raise Broken(f"EHLO {reply.code}")
        keywords = reply.keywords()
        if not self.keywords:
            self.keywords = keywords or {"": ""}
            self._banner(dialogue, reply)
            mechanisms = keywords.get("AUTH")
            evidence = [line for line in dialogue.transcript if "AUTH" in line.upper()]
            if mechanisms is None:
                self._note("auth.plain", GOOD, "good")
            else:
                self._note("auth.plain", FAILURE, "offered", {"mechanisms": mechanisms}, *evidence)
        return keywords

    def _banner(self, dialogue: Dialogue, reply: Reply) -> None:
        """Judge how the server names itself, in its greeting and in its answer to EHLO."""
        banner = dialogue.greeting.text[4:].strip()
        first = banner.partition(" ")[0]
        name = reply.lines[0].decode("latin-1").partition(" ")[0]
        values = {"banner": banner, "name": name}
        if _VERSION_NUMBER.search(banner.partition(" ")[2]):
            state, reason = WARNING, "version"
        elif not _NAME.fullmatch(first) or not _NAME.fullmatch(name):
            state, reason = WARNING, "no-name"
        elif first.lower() != name.lower():
            state, reason = WARNING, "different"
        else:
            state, reason = GOOD, "good"
        self._note("banner", state, reason, values, *dialogue.transcript[:1])

    def _encrypted(self, dialogue: Dialogue, context: ssl.SSLContext) -> bool:
        """Begin TLS, if the server does not refuse; False when it did not come about."""
        reply = dialogue.command("STARTTLS")
        if reply.code != 220:
            self._note("tls.starttls", FAILURE, "refused", {"reply": reply.text}, *dialogue.transcript[-2:])
            return True
        try:
            connection = dialogue.encrypt(context, self._server.name)
        except ssl.SSLCertVerificationError as error:
            self._distrust = error.verify_code, error.verify_message
            return False
        except Late:
            raise
        except (OSError, Broken, ValueError) as error:  # ssl.SSLError is an OSError
            self._handshake = getattr(error, "reason", None) or why(error)
            return False
        self.shown = certificate.Shown(certificate.chain(connection), self._distrust)
        version, cipher = connection.version() or "", connection.cipher()
        self._server.tls = version
        values = {"version": version.replace("TLSv", "TLS "), "cipher": cipher[0] if cipher else ""}
        self._note("tls.starttls", GOOD, "good", values, *dialogue.transcript[-2:])
        return True

    def _unencrypted(self) -> None:
        if self._handshake:
            self.error = self._handshake
            self._note("tls.starttls", FAILURE, "handshake", {"error": self._handshake})
        elif "STARTTLS" not in self.keywords:
            self._note("tls.starttls", FAILURE, "missing", {}, f"EHLO: {', '.join(self.keywords)}")
        self._note("requiretls", NOT_APPLICABLE, "no-starttls")

    def _recipients(self, dialogue: Dialogue) -> None:
        """Ask for three recipients, one transaction each, and send them nothing."""
        unknown = f"mailguard-check-{secrets.token_hex(8)}"
        replies = {}
        for check, local in (("rcpt.unknown", unknown), ("postmaster", "postmaster"), ("abuse", "abuse")):
            start = len(dialogue.transcript)
            reply = dialogue.command("MAIL FROM:<>")
            if reply.code == 250:
                reply = dialogue.command(f"RCPT TO:<{local}@{self._domain}>")
            elif reply.code < 500:
                reply.code = 400
            replies[check] = reply, dialogue.transcript[start:]
            dialogue.command("RSET")
        texts = {
            reply.text.replace(unknown, "postmaster").replace("abuse", "postmaster") for reply, _ in replies.values()
        }
        if len(texts) == 1 and all(reply.code >= 500 for reply, _ in replies.values()):
            self._fill("declined", {"reply": replies["postmaster"][0].text})  # it is us who are refused
            return
        for check, (reply, evidence) in replies.items():
            self._recipient(check, reply, reply.text.replace(unknown, "random"), evidence)

    def _recipient(self, check: str, reply: Reply, shown: str, evidence: list[str]) -> None:
        """Judge a reply to RCPT; shown: without the name that is another one for each server."""
        values = {"reply": shown}
        accepted = 200 <= reply.code < 300
        if not accepted and reply.code < 500:
            self._note(check, UNKNOWN, "temporary", values, *evidence)
        elif check == "rcpt.unknown":
            self._note(check, WARNING if accepted else GOOD, "accepted" if accepted else "good", values, *evidence)
        else:
            self._note(check, GOOD if accepted else WARNING, "good" if accepted else "refused", values, *evidence)


def lenient() -> ssl.SSLContext:
    """Return a context that accepts whatever a server can do, to look at it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def injection(server: Server, guard: Guard) -> Outcome:
    """Find out whether a command sent before TLS is executed after it (CVE-2011-0411); raises Late."""
    subject = server.name
    server.connections += 1
    try:
        with again(guard, server.address) as dialogue:
            dialogue.hello()
            dialogue.send(b"STARTTLS\r\nNOOP\r\n")
            reply = dialogue.receive()
            if reply.code == 220:
                dialogue.encrypt(lenient(), server.name)
                reply = dialogue.command("QUIT")
            evidence = dialogue.transcript[-4:]
    except Late:
        raise
    except (OSError, Broken, ValueError) as error:  # Forbidden, and names that TLS does not take, are ValueErrors
        values = {"error": why(error), "address": server.address}
        return Outcome("tls.injection", UNKNOWN, "broken", values, subject=subject)
    values = {"reply": reply.text, "address": server.address}
    executed = reply.code == 250
    state, reason = (FAILURE, "executed") if executed else (GOOD, "good")
    return Outcome("tls.injection", state, reason, values, evidence, subject=subject)
