"""A message on which the pipeline failed: held whole, so that nothing passes unseen and nothing is lost."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.settings import Step

_HOLDING = frozenset({"quarantine", "sanitize", "strip"})


def held(raw: bytes, steps: list[Step], now: int) -> bytes | None:
    """Return the message held in a capsule; None when it must stay as it is.

    It stays where no step of the pipeline takes anything out of messages, where steps only report, and where there is
    no key.
    """
    step = next((step for step in steps if step.verb in _HOLDING and not step.settings.dry_run), None)
    if step is None:
        return None
    from mailguard import holding, journal
    from mailguard.envelope import Envelope
    from mailguard.errors import ContentLimit
    from mailguard.findings import Finding
    from mailguard.seal.field import Reading
    from mailguard.site import Site, key_ring

    settings = step.settings.at(Envelope(), now)
    try:
        ring = key_ring(settings.key_file)
        if ring is None:
            return None
        site = Site(settings.now, ring=ring, envelope=settings.envelope)
        finding = Finding("limit.failure", "", "danger", "The filter failed on this message.")
        result = holding.whole(raw, [finding], step.verb, site, Reading(None, "not read"))
        if settings.journal:
            journal.append(settings.journal, journal.record(step.verb, raw, result, settings))
    except (Exception, ContentLimit):  # noqa: BLE001 (the message stays as it is, and is listed)
        return None
    return b"".join(result.output)
