"""Handing a copy of a message to another server, store or program.

Every answer is read and kept per recipient; none is assumed.  What is handed over is the message as it came: only the
line ends on the wire and the `From_` line (which belongs to mailboxes, not to messages) differ.
"""

from mailguard.delivery.attempt import DELIVERED, PERMANENT, TEMPORARY, Attempt, RecipientOutcome
from mailguard.delivery.copy import CHUNK, Copy, wire
from mailguard.delivery.handover import hand_over, session
from mailguard.delivery.target import Target, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.delivery.handover import Session as Session

__all__ = [
    "CHUNK",
    "DELIVERED",
    "PERMANENT",
    "TEMPORARY",
    "Attempt",
    "Copy",
    "RecipientOutcome",
    "Target",
    "hand_over",
    "parse",
    "session",
    "wire",
]
