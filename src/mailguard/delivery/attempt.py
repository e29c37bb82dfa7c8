"""What came of handing a copy to a target, for each recipient."""

from __future__ import annotations

from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

DELIVERED = "delivered"
TEMPORARY = "temporary"
PERMANENT = "permanent"

DIALOGUE_LINES = 60


class RecipientOutcome:
    """What became of the copy for one recipient: a status and the answer that says so, fit for a person's eyes."""

    __slots__ = ("reply", "status")

    def __init__(self, status: str, reply: str | bytes) -> None:
        self.status = status
        self.reply = show(reply)


class Attempt:
    """What came of handing one copy to one target.

    outcomes: by recipient ("" for a store); dialogue: the last lines that were exchanged; down: the target could not
    be reached or not be used at all, so the next message will not fare better; broken: the exchange was cut off.
    """

    __slots__ = ("broken", "dialogue", "down", "outcomes")

    def __init__(self) -> None:
        self.outcomes: dict[str, RecipientOutcome] = {}
        self.dialogue: list[str] = []
        self.down = False
        self.broken = False

    def note(self, line: str) -> None:
        """Keep one line of the dialogue, forget the oldest."""
        self.dialogue.append(line)
        del self.dialogue[:-DIALOGUE_LINES]

    def settle(self, recipients: Iterable[str], status: str, reply: str | bytes) -> None:
        """Give all these recipients, as far as they have none yet, this outcome."""
        for recipient in recipients:
            self.outcomes.setdefault(recipient, RecipientOutcome(status, reply))
