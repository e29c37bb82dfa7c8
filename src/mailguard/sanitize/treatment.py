"""What can be done with one piece of content."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Disarmed, ProgramRefused, Refused

KEPT = "kept"
DISARMED = "disarmed"
CONVERTED = "converted"
HELD = "held"
REMOVED = "removed"


class Treatment:
    """What was done with content.

    action: KEPT (as it is), DISARMED, CONVERTED, HELD or REMOVED; result: what is delivered (of KEPT the input);
    refused: why not (of HELD and REMOVED; of CONVERTED, where it could not stay what it was), else None;
    failed: the programs that could not help;
    charset: of a result that is text of the message.
    """

    __slots__ = ("action", "charset", "failed", "refused", "result")

    def __init__(self, action: str, result: Disarmed | None, refused: Refused | None = None) -> None:
        self.action = action
        self.result = result
        self.refused = refused
        self.failed: list[ProgramRefused] = []
        self.charset = "utf-8"
