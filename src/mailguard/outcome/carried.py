"""The capsule and the notice that a message carries already, proven by its seal."""

from __future__ import annotations

from mailguard.errors import DataError
from mailguard.outcome.capsules import capsule_mac
from mailguard.seal import keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.capsule import Opened
    from mailguard.message.tree import Message, Part
    from mailguard.seal import Key
    from mailguard.seal.field import Reading
    from mailguard.site import Site


class Carried:
    """The capsule and the notice that this site put into a message: parts of it, proven by its seal."""

    __slots__ = ("capsule", "data", "identifier", "key", "notice")

    def __init__(self, notice_part: Part, capsule_part: Part, data: bytes, identifier: str, key: Key) -> None:
        self.notice = notice_part
        self.capsule = capsule_part
        self.data = data
        self.identifier = identifier
        self.key = key

    def open(self, site: Site) -> Opened:
        """Open the capsule; DataError when the passwords that this site has now do not fit."""
        from mailguard import capsule

        try:
            return capsule.open(self.data, site.password(self.key, self.identifier))
        except DataError:
            return capsule.open(self.data, keys.password(self.key, self.identifier).encode("ascii"))


def carried(message: Message, reading: Reading, site: Site) -> Carried | None:
    """Return the capsule that the valid seal of this message names, with the notice before it.

    Where a password file stands in for the key, everybody who knows it can write a seal: there the notice counts only
    if it is byte for byte the one that we would write for what the capsule holds.
    """
    children = message.root.children
    seal, key = reading.seal, reading.key
    if seal is None or key is None or seal.quarantine_id is None or len(children) < 2:
        return None
    from mailguard import capsule

    data = children[-1].content().whole()
    comment = capsule.find(data)
    if comment is None or comment.id != seal.quarantine_id or not comment.authentic(capsule_mac(key)):
        return None
    ours = Carried(children[-2], children[-1], data, comment.id, key)
    return ours if key.trusted or _is_our_notice(ours, site) else None


def _is_our_notice(ours: Carried, site: Site) -> bool:
    from mailguard.outcome import notice

    part = ours.notice
    message = part.message
    try:
        records = [item.metadata for item in ours.open(site).files]
        written = message.raw[part.start : part.end]
        return any(
            notice.of_message(message.fields, records, reason, ours.identifier, site, message.eol) == written
            for reason in notice.REASONS
        )
    except (DataError, LookupError, TypeError, ValueError):  # made by somebody who knows the password
        return False
