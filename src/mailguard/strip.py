"""Attachments are removed; a placeholder tells what stood there.

This is the one verb that destroys content, because the operator ordered it.  `--save` keeps the content outside of the
message, `--link` says where.  What cannot be parsed is held in a capsule, never removed.
"""

from __future__ import annotations

from mailguard.errors import ConfigurationError, ContentLimit, MailguardError
from mailguard.findings import Result, show
from mailguard.message.splice import Splice
from mailguard.outcome import edits as edit
from mailguard.outcome.assessment import Bounded
from mailguard.outcome.edits import Edits
from mailguard.outcome.sealed import sealed
from mailguard.parts import json_manifest, placeholder
from mailguard.parts.body import is_unreadable_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from mailguard.message.tree import Part
    from mailguard.outcome.assessment import Assessment, Choice
    from mailguard.parts.select import Attachment
    from mailguard.site import Site

VERB = "strip"
_LINK_DAYS = 30


class Storage:
    """Where removed content is kept: a folder, and the address under which the operator serves it ("" = nowhere)."""

    __slots__ = ("folder", "link")

    def __init__(self, folder: str, link: str = "") -> None:
        self.folder = folder
        self.link = link.rstrip("/")


def strip(raw: bytes, choice: Choice, site: Site, storage: Storage | None = None, manifest: str = "text") -> Result:
    """Return the message with placeholders instead of its chosen attachments.

    manifest: "text", or "json" for a part with a record of what was removed, bound by a MAC.
    ConfigurationError when something needs the site key and there is none.
    """
    if site.ring is None and (storage is not None or manifest == "json"):
        raise ConfigurationError("--save and --manifest json need a site key; make one with: mailguard init")
    with Bounded(raw, VERB, choice, site) as bounded:
        return _stripped(bounded.assess(), site, storage, manifest)
    return bounded.held()


def _stripped(assessment: Assessment | Result, site: Site, storage: Storage | None, manifest: str) -> Result:
    from mailguard.parts.select import examine

    if isinstance(assessment, Result):
        return assessment
    if not assessment.layout.body and any(is_unreadable_body(attachment.part) for attachment in assessment.chosen):
        raise ContentLimit("text.unreadable")
    signatures = edit.signatures_over([attachment.part for attachment in assessment.chosen])
    assessment.chosen += [examine(part) for part in signatures]
    result = assessment.result(VERB, "removed")
    edits = Edits(assessment.message)
    if storage:
        _save(assessment.chosen, result.attachments, site, storage)
    entities = {}
    for attachment, record in zip(assessment.chosen, result.attachments, strict=False):
        text = _placeholder(attachment, record, site.lang)
        entities[attachment.part] = placeholder.entity(text, assessment.message.eol)
    extra = []
    if manifest == "json":
        extra = [json_manifest.entity(result.attachments[: len(assessment.chosen)], site.key, assessment.message.eol)]
    _edit(edits, entities, extra, assessment.carried.notice if assessment.carried else None)
    result.output = sealed(edits, VERB, site, assessment.reading)
    result.changed = True
    result.action = "removed"
    return result


def _edit(edits: Edits, entities: dict[Part, bytes], extra: list[bytes], notice: Part | None) -> None:
    """Put the placeholders in their places and the manifest, if there is one, at the end, before notice and capsule."""
    root = edits.message.root
    added = [[entity] for entity in extra]
    boundary = edit.free_boundary(edits.message.raw, b"".join(extra)) if extra else b""
    if root in entities:
        _become(edits, entities[root]) if not extra else edits.become([[entities[root]], *added], boundary)
        return
    edits.unsign(entities)
    edits.replace({part: [entity] for part, entity in entities.items()})
    if extra:
        edits.append(added, boundary, notice)


def _placeholder(attachment: Attachment, record: dict[str, Any], lang: str) -> str:
    values = {
        **placeholder.values(attachment),
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


def _save(attachments: list[Attachment], records: list[dict[str, Any]], site: Site, storage: Storage) -> None:
    """Keep the contents in the storage; add their names to the records.

    The name is a MAC over content and day of expiry, so nobody finds it without being told, and a retry finds the same
    file again.  Dangerous content is kept only in a capsule.
    """
    import os
    from datetime import UTC, datetime, timedelta

    from mailguard import safefile

    day = (datetime.fromtimestamp(site.now, UTC) + timedelta(days=_LINK_DAYS)).strftime("%Y%m%d")
    saved: dict[tuple[str, bool], dict[str, str]] = {}

    def missing(folder: int) -> Iterator[tuple[str, Iterable[bytes]]]:
        for attachment, record in zip(attachments, records, strict=False):
            kind = attachment.sha256, bool(attachment.dangerous)
            if kind not in saved:
                name = site.key.mac("saved", day.encode("ascii"), attachment.sha256.encode("ascii")).hex()[:40]
                size, chunks, saved[kind] = _form(attachment, f"{day}/{name}", site)
                name = saved[kind]["saved"].rpartition("/")[2]
                if not _has_size(folder, name, size):
                    yield name, chunks
                if storage.link:
                    saved[kind]["link"] = f"{storage.link}/{saved[kind]['saved']}"
            record.update(saved[kind])

    try:
        opened = _open_day(storage.folder, day)
        try:
            safefile.replace_all(opened, missing(opened))
        finally:
            os.close(opened)
    except OSError as error:
        raise MailguardError(f"{show(storage.folder)}: {error.strerror}") from None


def _open_day(storage: str, day: str) -> int:
    """Open the folder of a day, and make it; a web server may look into both, nobody else may change them."""
    import os

    from mailguard import safefile

    outer = safefile.open_folder(storage, create=True, private=False)
    try:
        return safefile.open_folder(day, parent=outer, create=True, private=False)
    finally:
        os.close(outer)


def _form(attachment: Attachment, place: str, site: Site) -> tuple[int, Iterable[bytes], dict[str, str]]:
    """Return size, content and record of the file that keeps an attachment; place: its name without extension."""
    from mailguard.capsule import Item

    content = attachment.part.content()
    if not attachment.dangerous:
        return content.size, content.chunks(), {"saved": f"{place}.bin"}
    item = Item(attachment.name, content, metadata=attachment.as_dict("removed"))
    from mailguard.outcome.capsules import build

    identifier, data = build(content.whole(), [item], site)
    return data.size, map(bytes, data), {"saved": f"{place}.zip", "quarantine_id": identifier}


def _has_size(folder: int, name: str, size: int) -> bool:
    import os
    import stat

    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size
