"""The capsule that a message gets: what goes into it, and the part that it becomes."""

from __future__ import annotations

from mailguard.errors import ContentLimit, DataError
from mailguard.message import encoding as transfer
from mailguard.seal import keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mailguard.capsule import Item
    from mailguard.capsule.pieces import Pieces
    from mailguard.findings import Chunk
    from mailguard.outcome.carried import Carried
    from mailguard.parts.select import Attachment
    from mailguard.seal import Key, KeyRing
    from mailguard.site import Site


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
    return Item(attachment.name, content, metadata=metadata, span=span, recipe=content.recipe)


def build(original: bytes, items: Sequence[Item], site: Site, was: Carried | None = None) -> tuple[str, Pieces]:
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
        mac=capsule_mac(key),
        when=site.now,
        information={"sender": site.envelope.sender, "recipients": list(site.envelope.recipients)},
        digest=digest,
    )
    return identifier, data


def authentic(data: bytes, ring: KeyRing | None) -> Key | None:
    """Return the key of this site that made the capsule in `data`, or None."""
    from mailguard import capsule

    comment = capsule.find(data)
    key = ring.find(comment.id[:3]) if comment is not None and ring is not None else None
    return key if key is not None and comment is not None and comment.authentic(capsule_mac(key)) else None


def capsule_mac(key: Key) -> Any:
    """Return the function that binds a capsule to a key."""
    return lambda data: key.mac("capsule", data)


def capsule_entity(identifier: str, data: Pieces, eol: bytes) -> list[Chunk]:
    """Make the capsule an entity without final line end, in pieces."""
    name = b"quarantine-" + keys.grouped(identifier)[:9].encode("ascii") + b".zip"
    head = (
        b'Content-Type: application/zip; name="' + name + b'"',
        b"Content-Transfer-Encoding: base64",
        b'Content-Disposition: attachment; filename="' + name + b'"',
        b"",
        b"",
    )
    return [eol.join(head), transfer.Base64Text(data, eol)]
