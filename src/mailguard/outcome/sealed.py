"""The seal on a message that a filter changed."""

from __future__ import annotations

from mailguard.message.splice import Splice
from mailguard.seal import field as seal_field
from mailguard.seal.field import Reading, Seal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.findings import Chunk
    from mailguard.outcome.edits import Edits
    from mailguard.site import Site


def sealed(edits: Edits, verb: str, site: Site, reading: Reading, quarantine_id: str | None = None) -> list[Chunk]:
    """Return the pieces of the message with its edits done and a new seal; without a key, without a seal.

    Incoming Mailguard fields go: the seal that counts is replaced, all others are somebody else's.
    """
    message = edits.message
    edits.head += [Splice(field.start, field.end) for field in message.fields if field.name.startswith(b"mailguard-")]
    from_line = message.raw[: message.start]
    pieces = Unsealed(from_line, edits.header(), edits.separator(), edits.content(), message.eol)
    return pieces.sealed(verb, site, reading, quarantine_id)


class Unsealed:
    """A message ready to be sealed."""

    __slots__ = ("content", "eol", "from_line", "head", "separator")

    def __init__(self, from_line: bytes, head: bytes, separator: bytes, content: list[Chunk], eol: bytes) -> None:
        self.from_line = from_line if not from_line or from_line.endswith(b"\n") else from_line + eol
        self.head = head
        self.separator = separator
        self.content = content
        self.eol = eol

    def sealed(self, verb: str, site: Site, reading: Reading, quarantine_id: str | None) -> list[Chunk]:
        """Return the message in pieces, with a new seal on top where there is a key."""
        if site.ring is None:
            return [self.from_line, self.head, self.separator, *self.content]
        known_id = reading.seal.quarantine_id if reading.seal else None
        before = reading.verdict or Seal(site.now, quarantine_id=known_id)
        seal = seal_field.write(site.ring.active, before.after(verb, quarantine_id), self.head, self.content, self.eol)
        return [self.from_line, seal, self.head, self.separator, *self.content]
