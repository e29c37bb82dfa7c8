"""How a message carries its capsule: the parts that are added, the seal on top, and a message that is held whole.

Used by every verb that takes something out of a message.
"""

from __future__ import annotations

from mailguard import removal
from mailguard.errors import ContentLimit, DataError
from mailguard.findings import Result
from mailguard.message import encoding as transfer
from mailguard.message import header
from mailguard.message.splice import Splice
from mailguard.seal import field as seal_field
from mailguard.seal import keys
from mailguard.seal.field import Reading, Seal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mailguard.capsule import Item, Opened
    from mailguard.findings import Chunk, Finding
    from mailguard.message.header import Field
    from mailguard.message.tree import Message, Part
    from mailguard.parts.select import Attachment
    from mailguard.removal import Edits
    from mailguard.seal import Key, KeyRing
    from mailguard.site import Site

_HEADER_LIMIT = 10_000  # fields
_LONGEST_FROM_LINE = 500


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
    found = capsule.find(data)
    if found is None or found.id != seal.quarantine_id or not found.authentic(_capsule_mac(key)):
        return None
    ours = Carried(children[-2], children[-1], data, found.id, key)
    return ours if key.trusted or _is_our_notice(ours, site) else None


def _is_our_notice(ours: Carried, site: Site) -> bool:
    from mailguard.notice import REASONS

    part = ours.notice
    message = part.message
    try:
        records = [item.metadata for item in ours.open(site).files]
        written = message.raw[part.start : part.end]
        return any(
            notice_entity(message.fields, records, reason, ours.identifier, site, message.eol) == written
            for reason in REASONS
        )
    except (DataError, LookupError, TypeError, ValueError):  # made by somebody who knows the password
        return False


def contents(
    raw: bytes, attachments: Sequence[Attachment], action: str, site: Site, was: Carried | None = None
) -> tuple[bytes, list[Item]]:
    """Return (the message as it was first read, all files for its capsule).

    raw: the message as it is now; attachments: parts of it that go into the capsule; was: the capsule that it has.
    """
    if was is None:
        return raw, [_item(attachment, action, raw, 0) for attachment in attachments]
    try:
        opened = was.open(site)
        original, items = opened.restore(), opened.items()
    except DataError:
        # Ours, but made with a password that we do not have any more: hold all of it instead of losing the way back.
        raise ContentLimit("capsule.locked") from None
    for attachment in attachments:
        body = raw[attachment.part.body : attachment.part.end]
        place = original.find(body) if body else -1
        shift = None if place < 0 else place - attachment.part.body
        items.append(_item(attachment, action, raw, shift))
    return original, items


def _item(attachment: Attachment, action: str, raw: bytes, shift: int | None) -> Item:
    """Make a file for the capsule; shift: how far its body lies from its place in the original, None if not there."""
    from mailguard.capsule import Item

    part = attachment.part
    content = part.content()
    span = None if shift is None or part.message.raw is not raw else (part.body + shift, part.end + shift)
    metadata = attachment.as_dict(action)
    return Item(attachment.name, content.whole(), metadata=metadata, span=span, recipe=content.recipe)


def build(original: bytes, items: Sequence[Item], site: Site, was: Carried | None = None) -> tuple[str, bytes]:
    """Return (id, capsule) for a message as it was first read; `was` is the capsule to be replaced."""
    import hashlib

    from mailguard import capsule

    key = was.key if was else site.key
    digest = hashlib.sha256(original).digest()
    identifier = was.identifier if was else keys.capsule_id(key, digest)
    data = capsule.build(
        original,
        items,
        capsule_id=identifier,
        password=site.password(key, identifier),
        salt_key=key.derive("capsule salt"),
        mac=_capsule_mac(key),
        when=site.now,
        information={"sender": site.envelope.sender, "recipients": list(site.envelope.recipients)},
        digest=digest,
    )
    return identifier, data


def authentic(data: bytes, ring: KeyRing | None) -> Key | None:
    """Return the key of this site that made the capsule in `data`, or None."""
    from mailguard import capsule

    found = capsule.find(data)
    key = ring.find(found.id[:3]) if found is not None and ring is not None else None
    return key if key is not None and found is not None and found.authentic(_capsule_mac(key)) else None


def _capsule_mac(key: Key) -> Any:
    return lambda data: key.mac("capsule", data)


def capsule_entity(identifier: str, data: bytes, eol: bytes) -> list[Chunk]:
    """Make the capsule an entity without final line end, in pieces."""
    name = b"quarantine-" + keys.grouped(identifier)[:9].encode("ascii") + b".zip"
    head = (
        b'Content-Type: application/zip; name="' + name + b'"',
        b"Content-Transfer-Encoding: base64",
        b'Content-Disposition: attachment; filename="' + name + b'"',
        b"",
        b"",
    )
    return [eol.join(head), memoryview(transfer.base64(data, eol=eol))[: -len(eol)]]


def sealed(edits: Edits, verb: str, site: Site, reading: Reading, quarantine_id: str | None = None) -> list[Chunk]:
    """Return the pieces of the message with its edits done and a new seal; without a key, without a seal.

    Incoming Mailguard fields go: the seal that counts is replaced, all others are somebody else's.
    """
    message = edits.message
    edits.head += [Splice(field.start, field.end) for field in message.fields if field.name.startswith(b"mailguard-")]
    from_line = message.raw[: message.start]
    pieces = _Pieces(from_line, edits.header(), edits.separator(), edits.content(), message.eol)
    return pieces.sealed(verb, site, reading, quarantine_id)


class _Pieces:
    """A message ready to be sealed."""

    __slots__ = ("content", "eol", "from_line", "head", "separator")

    def __init__(self, from_line: bytes, head: bytes, separator: bytes, content: list[Chunk], eol: bytes) -> None:
        self.from_line = from_line if not from_line or from_line.endswith(b"\n") else from_line + eol
        self.head = head
        self.separator = separator
        self.content = content
        self.eol = eol

    def sealed(self, verb: str, site: Site, reading: Reading, quarantine_id: str | None) -> list[Chunk]:
        if site.ring is None:
            return [self.from_line, self.head, self.separator, *self.content]
        known_id = reading.seal.quarantine_id if reading.seal else None
        before = reading.verdict or Seal(site.now, quarantine_id=known_id)
        seal = seal_field.write(site.ring.active, before.step(verb, quarantine_id), self.head, self.content, self.eol)
        return [self.from_line, seal, self.head, self.separator, *self.content]


def whole(raw: bytes, findings: Sequence[Finding], verb: str, site: Site, reading: Reading, tag: str = "") -> Result:
    """Hold the whole message: only generated safe header fields, the notice and the capsule go on.

    Needs no part tree, so that it works for what cannot be parsed.
    """
    import hashlib

    from mailguard import capsule
    from mailguard.message.safe_header import safe_fields

    start, fields, eol = _top(raw)
    record = {
        "part": "",
        "declared_type": "message/rfc822",
        "detected_type": "message/rfc822",
        "names": ["original.eml"],
        "size": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "action": "held",
        "dangerous": [],
    }
    item = capsule.Item("original.eml", raw, metadata=record, span=(0, len(raw)), recipe={"encoding": "identity"})
    identifier, data = build(raw, [item], site)
    name = removal.free_boundary(raw, identifier.encode("ascii"))
    head = safe_fields(fields, eol, tag) + b"MIME-Version: 1.0" + eol + removal.multipart_type(name, eol)
    reason = "limit" if any(finding.code.startswith("limit.") for finding in findings) else "structure"
    text = notice_entity(fields, [record], reason, identifier, site, eol)
    content = removal.multipart(name, [[text], capsule_entity(identifier, data, eol)], eol)
    output = _Pieces(_from_line(raw[:start]), head, eol, content, eol).sealed(verb, site, reading, identifier)
    result = Result(verb, output, changed=True)
    result.action = "held"
    result.quarantine_id = identifier
    result.attachments = [record]
    result.findings = list(findings)
    return result


def notice_entity(
    fields: Sequence[Field],
    attachments: Sequence[Mapping[str, Any]],
    reason: str,
    identifier: str,
    site: Site,
    eol: bytes,
) -> bytes:
    """Return the notice as an entity."""
    from mailguard import notice

    text = notice.write(
        attachments,
        reason,
        identifier,
        lang=site.lang,
        contact=site.contact,
        sender=_first(fields, b"from"),
        subject=_first(fields, b"subject"),
        template=site.template,
    )
    return notice.entity(text, eol)


def _first(fields: Sequence[Field], name: bytes) -> bytes:
    return next((field.unfolded for field in fields if field.name == name), b"")[:2000]


def _from_line(line: bytes) -> bytes:
    """Make the `From ` line of an mbox printable and short: in a message that is held it is as hostile as the rest."""
    text = line[: _LONGEST_FROM_LINE + 2].rstrip(b"\r\n")[:_LONGEST_FROM_LINE]
    shown = bytes(octet if 32 <= octet < 127 else 63 for octet in text)
    return shown + (b"\r\n" if line.endswith(b"\r\n") else b"\n" if shown else b"")


def _top(raw: bytes) -> tuple[int, list[Field], bytes]:
    """Return (start of the header, its fields, line end) without building a tree; at most 10,000 fields."""
    from itertools import islice

    from mailguard.message.tree import after_from_line

    start = after_from_line(raw)
    header_end, _ = header.end(raw, start, len(raw))
    fields = list(islice(header.fields(raw, start, header_end), _HEADER_LIMIT))
    lines = raw.count(b"\n", 0, header_end)
    return start, fields, b"\r\n" if 2 * raw.count(b"\r\n", 0, header_end) > lines else b"\n"
