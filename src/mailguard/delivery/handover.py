"""The means of delivery to a target, and one delivery by them."""

from __future__ import annotations

from mailguard.delivery.attempt import TEMPORARY, Attempt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from mailguard.delivery.copy import Copy
    from mailguard.delivery.target import Target

    class Session(Protocol):
        """The means of delivery to one target, used for one copy after another."""

        def deliver(self, copy: Copy, recipients: Sequence[str]) -> Attempt:
            """Hand over one copy; every recipient has an outcome afterwards.  Failures are outcomes, not exceptions."""

        def close(self) -> None:
            """Leave."""


def hand_over(session: Session, copy: Copy, recipients: Sequence[str]) -> Attempt:
    """Deliver, and turn also a fault of ours into an outcome: it must not take other copies or targets with it."""
    try:
        return session.deliver(copy, recipients)
    except Exception as error:  # noqa: BLE001
        attempt = Attempt()
        attempt.broken = True
        attempt.settle(recipients, TEMPORARY, f"4.3.0 internal error: {type(error).__name__}: {error}")
        return attempt


def session(target: Target) -> Session:
    """Return the means of delivery to this target; nothing is opened yet."""
    if target.scheme == "maildir":
        from mailguard.delivery.store import Maildir

        return Maildir(target)
    if target.scheme == "mbox":
        from mailguard.delivery.store import Mbox

        return Mbox(target)
    if target.scheme == "exec":
        from mailguard.delivery.program import ProgramSession

        return ProgramSession(target)
    from mailguard.delivery.smtp import SmtpSession

    return SmtpSession(target)
