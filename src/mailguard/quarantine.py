"""Attachments go into the capsule of the message; the body text stays as it is.

The capsule also holds the message as it was first read, so that `release` needs nothing else.
"""

from __future__ import annotations

from mailguard.findings import Result
from mailguard.message.safe_header import encoded
from mailguard.message.splice import Splice
from mailguard.outcome import capsules, notice
from mailguard.outcome import edits as edit
from mailguard.outcome.assessment import Bounded
from mailguard.outcome.edits import Edits
from mailguard.outcome.sealed import sealed
from mailguard.parts.select import examine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mailguard.capsule.pieces import Pieces
    from mailguard.findings import Chunk
    from mailguard.outcome.assessment import Assessment, Choice
    from mailguard.site import Site

VERB = "quarantine"


def quarantine(raw: bytes, choice: Choice, site: Site) -> Result:
    """Return the message with its chosen attachments in a capsule.

    raw: the message with any line ends.  ConfigurationError without a key or password file, when one is needed.
    """
    with Bounded(raw, VERB, choice, site) as bounded:
        return _quarantined(bounded.assess(), choice, site)
    return bounded.held()


def _quarantined(assessment: Assessment | Result, choice: Choice, site: Site) -> Result:
    if isinstance(assessment, Result):
        return assessment
    signatures = edit.signatures_over([attachment.part for attachment in assessment.chosen])
    assessment.chosen += [examine(part) for part in signatures]
    result = assessment.result(VERB, "quarantined")
    original, items = capsules.contents(
        assessment.message.raw, assessment.chosen, "quarantined", site, assessment.carried
    )
    identifier, data = capsules.build(original, items, site, assessment.carried)
    edits = _edits(assessment, [item.metadata for item in items], identifier, data, site)
    _tag_subject(edits, choice.subject_tag)
    result.output = sealed(edits, VERB, site, assessment.reading, identifier)
    result.changed = True
    result.action = "quarantined"
    result.quarantine_id = identifier
    return result


def _edits(
    assessment: Assessment, records: Sequence[dict[str, Any]], identifier: str, data: Pieces, site: Site
) -> Edits:
    message, eol = assessment.message, assessment.message.eol
    edits = Edits(message)
    text = notice.of_message(message.fields, records, assessment.condition.reason, identifier, site, eol)
    entities: list[list[Chunk]] = [[text], capsules.capsule_entity(identifier, data, eol)]
    boundary = edit.free_boundary(message.raw, identifier.encode("ascii"))
    parts = dict.fromkeys(attachment.part for attachment in assessment.chosen)
    if all(
        part in parts for part in (*assessment.layout.body, *assessment.layout.kept, *assessment.layout.attachments)
    ):
        edits.become([[notice.no_text(site.lang, eol)], *entities], boundary)
        return edits
    edits.unsign(parts)
    edits.cut(parts)
    if assessment.carried is not None:
        edits.replace({assessment.carried.notice: entities[0], assessment.carried.capsule: entities[1]})
    else:
        edits.append(entities, boundary)
    return edits


def _tag_subject(edits: Edits, tag: str) -> None:
    """Put the tag before the subject, unless it is there."""
    if not tag:
        return
    word = encoded(tag)
    subjects = [field for field in edits.message.fields if field.name == b"subject"]
    if not subjects:
        place = edits.header_end
        edits.head.append(Splice(place, place, b"Subject: " + word + edits.message.eol))
    for subject in subjects:  # some readers show the first, some the last
        if not subject.unfolded.startswith(word):
            blank = b"" if subject.value[:1].strip() == b"" else b" "
            edits.head.append(Splice(subject.colon + 1, subject.colon + 1, b" " + word + blank))
