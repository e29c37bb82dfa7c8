"""Attachments are removed; a placeholder tells what stood there.

This is the one verb that destroys content, because the operator ordered it.  `--save` keeps the content outside of the
message, `--link` says where.  What cannot be parsed is held in a capsule, never removed.
"""

from __future__ import annotations

from mailguard import assessment, holding, removal
from mailguard.attachments import json_manifest, placeholder
from mailguard.attachments.body import is_unreadable_body
from mailguard.errors import ConfigurationError, ContentLimit
from mailguard.message.splice import Splice
from mailguard.removal import Edits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.assessment import Assessment, Rules
    from mailguard.attachments.select import Attachment
    from mailguard.findings import Result
    from mailguard.message.tree import Part
    from mailguard.site import Site

VERB = "strip"
_LINK_DAYS = 30


class Storage:
    """Where removed content is kept: a folder, and the address under which the operator serves it ("" = nowhere)."""

    __slots__ = ("folder", "link")

    def __init__(self, folder: str, link: str = "") -> None:
        self.folder = folder
        self.link = link.rstrip("/")


def strip(raw: bytes, rules: Rules, site: Site, storage: Storage | None = None, manifest: str = "text") -> Result:
    """Return the message with placeholders instead of its chosen attachments.

    manifest: "text", or "json" for a part with a record of what was removed, bound by a MAC.
    ConfigurationError when something needs the site key and there is none.
    """
    if site.ring is None and (storage is not None or manifest == "json"):
        raise ConfigurationError("--save and --manifest json need a site key; make one with: mailguard init")
    return assessment.run(raw, VERB, rules, site, lambda found: _remove(found, site, storage, manifest))


def _remove(found: Assessment, site: Site, storage: Storage | None, manifest: str) -> Result:
    from mailguard.attachments.select import examine

    if not found.layout.body and any(is_unreadable_body(attachment.part) for attachment in found.chosen):
        raise ContentLimit("text.unreadable")
    signatures = removal.signatures_over([attachment.part for attachment in found.chosen])
    found.chosen += [examine(part) for part in signatures]
    result = found.result(VERB, "removed")
    edits = Edits(found.message)
    entities = {}
    for attachment, record in zip(found.chosen, result.attachments, strict=False):
        record.update(_save(attachment, site, storage) if storage else {})
        text = _placeholder(attachment, record, site.lang)
        entities[attachment.part] = placeholder.entity(text, found.message.eol)
    extra = []
    if manifest == "json":
        extra = [json_manifest.entity(result.attachments[: len(found.chosen)], site.key, found.message.eol)]
    _edit(edits, entities, extra, found.carried.notice if found.carried else None)
    result.output = holding.sealed(edits, VERB, site, found.reading)
    result.changed = True
    result.action = "removed"
    return result


def _edit(edits: Edits, entities: dict[Part, bytes], extra: list[bytes], notice: Part | None) -> None:
    """Put the placeholders in their places and the manifest, if there is one, at the end, before notice and capsule."""
    root = edits.message.root
    added = [[entity] for entity in extra]
    boundary = removal.free_boundary(edits.message.raw, b"".join(extra)) if extra else b""
    if root in entities:
        _become(edits, entities[root]) if not extra else edits.become([[entities[root]], *added], boundary)
        return
    edits.unsign(entities)
    edits.replace({part: [entity] for part, entity in entities.items()})
    if extra:
        edits.append(added, boundary, notice)


def _placeholder(attachment: Attachment, record: dict[str, Any], lang: str) -> str:
    values = {
        "name": attachment.name,
        "type": attachment.detected,
        "size": str(attachment.size),
        "sha256": attachment.sha256,
        "dangerous": ", ".join(attachment.dangerous),
        "saved": record.get("saved", ""),
        "link": record.get("link", ""),
    }
    return placeholder.text(values, lang)


def _become(edits: Edits, entity: bytes) -> None:
    """Make the message a placeholder: the Content fields of the header become those of the placeholder."""
    message = edits.message
    head, _, body = entity.partition(message.eol * 2)
    edits.set_content_fields(head + message.eol)
    edits.body.append(Splice(message.root.body, len(message.raw), body, message.eol))


def _save(attachment: Attachment, site: Site, storage: Storage) -> dict[str, str]:
    """Keep the content in the storage; return the names for the record.

    The name is a MAC over content and day of expiry, so nobody finds it without being told, and a retry writes the
    same file again.  Dangerous content is kept only in a capsule.
    """
    import os
    from datetime import UTC, datetime, timedelta

    from mailguard import safefile
    from mailguard.capsule import Item

    day = (datetime.fromtimestamp(site.now, UTC) + timedelta(days=_LINK_DAYS)).strftime("%Y%m%d")
    name = site.key.mac("saved", day.encode("ascii"), attachment.sha256.encode("ascii")).hex()[:40]
    folder = os.path.join(storage.folder, day)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if attachment.dangerous:
        content = attachment.part.content().whole()
        item = Item(attachment.name, content, metadata=attachment.as_dict("removed"))
        identifier, data = holding.build(content, [item], site)
        saved = {"saved": f"{day}/{name}.zip", "quarantine_id": identifier}
        safefile.replace(os.path.join(storage.folder, saved["saved"]), [data])
    else:
        saved = {"saved": f"{day}/{name}.bin"}
        safefile.replace(os.path.join(storage.folder, saved["saved"]), attachment.part.content().chunks())
    if storage.link:
        saved["link"] = f"{storage.link}/{saved['saved']}"
    return saved
