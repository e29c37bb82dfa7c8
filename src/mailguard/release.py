"""Give back the message as it was first read, or send it on to named people with a seal that filters honour once."""

from __future__ import annotations

from mailguard.findings import show
from mailguard.message.safe_header import generate
from mailguard.message.splice import Splice, apply, joined
from mailguard.message.tree import parse
from mailguard.seal import field as seal_field
from mailguard.seal.field import Seal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.findings import Chunk
    from mailguard.seal import Key, KeyRing

MOST_RECIPIENTS = 100  # that a seal has room for


def resent(raw: bytes, key: Key, now: int, recipients: Sequence[str], resent_from: str) -> list[Chunk]:
    """Return the original with Resent fields (RFC 5322 3.6.6) and a seal that releases it to these recipients.

    raw: as `release` restores it.  A `From ` line and Mailguard fields of the original are left out: the message goes
    through the mail system again.  What is below the new fields keeps its bytes.
    """
    from email.utils import formatdate

    message = parse(raw)
    root, eol = message.root, message.eol
    end = root.fields[-1].end if root.fields else root.start
    kept = [field.bytes for field in message.fields if not field.name.startswith(b"mailguard-")]
    domain = resent_from.rpartition("@")[2]
    identifier = key.mac("resent", raw, str(now).encode("ascii")).hex()[:32]
    fields = [
        generate(b"Resent-Date", formatdate(now), eol),
        generate(b"Resent-From", resent_from, eol),
        generate(b"Resent-To", ", ".join(recipients), eol),
        generate(b"Resent-Message-ID", f"<{identifier}@{domain}>", eol),
    ]
    head = b"".join([*fields, *kept])
    head += b"" if head.endswith(b"\n") else eol
    content = memoryview(raw)[root.body :]
    released = [seal_field.recipient_digest(key, recipient) for recipient in recipients]
    seal = Seal(now, ("release",), released=released)
    return [seal_field.write(key, seal, head, [content], eol), head, raw[end : root.body] or eol, content]


def as_new(raw: bytes, ring: KeyRing | None, now: int, verb: str) -> bytes:
    """Return the original so that this verb acts on it: without a seal of ours that says that it has no need to."""
    message = parse(raw)
    seal = seal_field.read(message, ring, now).seal
    if seal is None or not (seal.released or verb in seal.verbs):
        return raw
    fields = [field for field in message.fields if field.name.startswith(b"mailguard-")]
    return joined(apply(raw, [Splice(field.start, field.end) for field in fields]))


def check_address(address: str) -> str:
    """Return an address for a Resent field; ValueError when it is no plain address (RFC 5321 4.1.2)."""
    import re

    if re.fullmatch(r"[^\s<>()\[\]\\,;:@\"\x00-\x1f\x7f]{1,64}@[^\s<>()\\,;:@\"\x00-\x1f\x7f]{1,255}", address) is None:
        raise ValueError(f"{show(address)!r} is not an address")
    return address
