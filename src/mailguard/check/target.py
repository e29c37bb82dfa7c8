"""One mail server to which the mails of the second level go, and what it says to each.

False ends of a message (SMTP smuggling) are told by state, not by time: whoever takes one waits for commands, whoever
does not is still inside the message.  A slow server only makes it last longer.
"""

from __future__ import annotations

from mailguard.check import specimens
from mailguard.check.dialogue import Broken, Dialogue, Slow, unverified, why
from mailguard.check.guard import Forbidden, Late
from mailguard.check.outcome import FAILURE, GOOD, UNKNOWN, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.check.dialogue import Reply
    from mailguard.check.guard import Guard
    from mailguard.check.outcome import State

_QUICK = 1.0  # seconds for the answer to a false end; after it, the message is ended properly
_MESSAGE = 60.0  # seconds for the answer to a message
_ENCRYPT = 530  # RFC 3207 4: STARTTLS must come first
_CLOSING = frozenset({421, 521})


class ProbedServer:
    """name: of the MX; addresses: of it, the first that answers is used; sender, recipient: of the envelope.

    A server that declines, or cannot be reached, is left alone from then on.
    """

    def __init__(self, name: str, addresses: Sequence[str], guard: Guard, sender: str, recipient: str) -> None:
        self.name = name
        self._addresses = list(addresses)
        self._guard = guard
        self._commands = (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA")
        self._greeted = False
        self._left: tuple[str, dict[str, str], list[str]] | None = None  # reason, values and evidence
        self._ended: dict[str, bool] = {}
        self._evidence: list[str] = []

    def send(self, check: str, raw: bytes) -> Outcome:
        """Send the mail of a check; lines may end in LF."""
        dialogue = self._opened()
        if dialogue is None:
            return self._unknown(check)
        with dialogue:
            try:
                reply = _said(dialogue, raw)
                dialogue.leave()
            except Late:
                self._leave("late", {}, dialogue)
                return self._unknown(check)
            except (OSError, Broken) as error:
                return self._outcome(check, UNKNOWN, "broken", {"error": why(error)}, dialogue.transcript)
        if reply.code == 421:
            self._leave("declined", {"reply": reply.text}, dialogue)
            return self._unknown(check)
        state, reason = _judged(reply)
        values = {} if reason == "accepted" else {"reply": reply.text}
        return self._outcome(check, state, reason, values, dialogue.transcript)

    def end(self, name: str, raw: bytes) -> None:
        """Send a mail that ends in one of `specimens.ENDINGS`, and find out whether the server takes it for the end."""
        dialogue = self._opened()
        if dialogue is None:
            return
        with dialogue:
            length = len(dialogue.transcript)
            try:
                taken = _takes(dialogue, raw, length)
            except (OSError, Broken):
                taken = None
        if taken is not None:
            self._ended[name] = taken
        if taken:
            self._evidence += [f"{name}:", *dialogue.transcript[length:]]

    def endings(self) -> Outcome:
        """Return what was found out about all false ends."""
        taken = [name for name, ended in self._ended.items() if ended]
        unclear = [name for name in specimens.ENDINGS if name not in self._ended]
        if taken:
            return self._outcome("smuggling", FAILURE, "taken", {"endings": ", ".join(taken)}, self._evidence)
        if not unclear:
            return self._outcome("smuggling", GOOD, "good", {"count": str(len(self._ended))}, ())
        if self._left and not self._ended:
            return self._unknown("smuggling")
        return self._outcome("smuggling", UNKNOWN, "unclear", {"endings": ", ".join(unclear)}, ())

    def _opened(self) -> Dialogue | None:
        """Begin a transaction; return None when the message may not come."""
        if self._left:
            return None
        dialogue = None
        try:
            dialogue = self._connected()
            reply = self._asked(dialogue)
        except Late:
            self._leave("late", {}, dialogue)
        except (OSError, Broken, Forbidden) as error:
            values = {"address": self._addresses[0], "error": why(error)}
            self._leave("broken" if dialogue else "unreachable", values, dialogue)
        else:
            if reply is None:
                return dialogue
            dialogue.leave()
            self._leave("declined", {"reply": reply.text}, dialogue)
        if dialogue is not None:
            dialogue.close()
        return None

    def _connected(self) -> Dialogue:
        while True:
            try:
                dialogue = Dialogue(self._guard, self._addresses[0])
            except (OSError, Broken) as error:
                if isinstance(error, Late) or self._greeted or len(self._addresses) == 1:
                    raise
                del self._addresses[0]
            else:
                self._greeted = True
                return dialogue

    def _asked(self, dialogue: Dialogue) -> Reply | None:
        """Return a reply that ends the transaction before the message, None when the message may come."""
        hello = dialogue.greeting if dialogue.greeting.code != 220 else dialogue.hello()
        if hello.code != 250:
            return hello
        reply = self._transaction(dialogue)
        if reply is None or reply.code != _ENCRYPT or dialogue.command("STARTTLS").code != 220:
            return reply
        dialogue.encrypt(unverified(), self.name)
        hello = dialogue.hello()
        return self._transaction(dialogue) if hello.code == 250 else hello

    def _transaction(self, dialogue: Dialogue) -> Reply | None:
        for command in self._commands:
            reply = dialogue.command(command)
            if reply.code not in {250, 251, 354}:
                return reply
        return None

    def _leave(self, reason: str, values: dict[str, str], dialogue: Dialogue | None) -> None:
        self._left = reason, values, dialogue.transcript if dialogue else []

    def _unknown(self, check: str) -> Outcome:
        assert self._left is not None
        reason, values, evidence = self._left
        return self._outcome(check, UNKNOWN, reason, values, evidence)

    def _outcome(
        self, check: str, state: State, reason: str, values: dict[str, str], evidence: Sequence[str]
    ) -> Outcome:
        place = f"! {self.name} [{self._addresses[0]}]"
        return Outcome(check, state, reason, values, [place, *_transaction(evidence)], subject=self.name)


def _transaction(said: Sequence[str]) -> Sequence[str]:
    """Return what was said from MAIL FROM on, everything where it did not come to that."""
    return next((said[number:] for number, line in enumerate(said) if line.startswith("C: MAIL")), said)


def _said(dialogue: Dialogue, raw: bytes) -> Reply:
    from mailguard.delivery import wire

    length = len(dialogue.transcript)
    dialogue.send(b"".join(wire([raw])) + b".\r\n")
    dialogue.transcript[length:] = ["C: (the message)", "C: ."]
    return dialogue.receive(_MESSAGE)


def _judged(reply: Reply) -> tuple[State, str]:
    if reply.code == 250:
        return UNKNOWN, "accepted"
    return (GOOD, "refused") if reply.code >= 500 else (UNKNOWN, "deferred")


def _takes(dialogue: Dialogue, raw: bytes, length: int) -> bool | None:
    """Tell whether the server takes a false end, None when that does not become clear; raises OSError and Broken.

    length: of the transcript before the message.
    """
    dialogue.send(raw)
    dialogue.transcript[length:] = ["C: (the message, with the false end)"]
    try:
        reply = dialogue.receive(_QUICK)
        if reply.code == 250 or reply.code in _CLOSING:
            return reply.code == 250
        return dialogue.command("NOOP").code == 250  # it was refused, but it ended
    except Slow:
        return _answers_once_more(dialogue)
    except (Broken, ConnectionError) as error:
        return _kept(error, dialogue)


def _answers_once_more(dialogue: Dialogue) -> bool | None:
    """End the message properly: who is still in it gives one answer, who waits for commands gives more.

    The line before the end is text to the one and a command to the other.
    """
    dialogue.send(b"NOOP\r\n.\r\n")
    reply = None
    try:
        reply = dialogue.receive(_MESSAGE)
        further = dialogue.command("QUIT")
    except (Broken, ConnectionError) as error:
        return None if reply and reply.code < 400 else _kept(error, dialogue)
    return None if further.code in _CLOSING else further.code != 221


def _kept(error: Exception, dialogue: Dialogue) -> bool | None:
    """Whoever hangs up has taken nothing; of who only says nothing more, nothing is known."""
    return False if dialogue.closed or isinstance(error, ConnectionError) else None
