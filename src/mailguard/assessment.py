"""What every filter finds out before it acts on attachments, and what it does when it cannot find out.

The order matters: a message that lost its end on the way is a fault of the site; what the operator released passes;
what readers understand differently, or what costs more than a message may cost, is held whole.
"""

from __future__ import annotations

from mailguard import holding, memory
from mailguard.errors import ContentLimit, MailguardError
from mailguard.findings import Finding, Result, show
from mailguard.formats import confined
from mailguard.formats.budget import Quota
from mailguard.message import tree
from mailguard.parts.body import layout
from mailguard.parts.json_manifest import is_manifest
from mailguard.parts.select import Attachment, author_known, chosen, condition, examine
from mailguard.removal import Edits
from mailguard.seal import field as seal_field
from mailguard.seal.field import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailguard.holding import Carried
    from mailguard.message.tree import Message
    from mailguard.parts.body import Layout
    from mailguard.parts.select import Condition
    from mailguard.parts.selection import Selection
    from mailguard.site import Site

    Repair = Callable[[Message, list[Finding], Reading], Result | None]

_TOO_MUCH = "The message costs more than one message may cost."
_WHY_HELD = {
    "capsule.locked": "The message has a capsule that no password of this site opens.",
    "text.unreadable": "The only text of the message is not text that readers show; removing it would leave nothing.",
}


class Rules:
    """The options of a filter: which attachments, who is known (a test for addresses), the tag of a held subject."""

    __slots__ = ("known", "selection", "subject_tag")

    def __init__(self, selection: Selection, known: Callable[[str], bool] | None = None, subject_tag: str = "") -> None:
        self.selection = selection
        self.known = known
        self.subject_tag = subject_tag


class Assessment:
    """A conforming message and what to act on.

    carried: the capsule that it has already; chosen, others: its attachments; condition: why.
    """

    __slots__ = ("carried", "chosen", "condition", "layout", "message", "others", "reading")

    def __init__(self, message: Message, reading: Reading, carried: Carried | None, found: Layout) -> None:
        self.message = message
        self.reading = reading
        self.carried = carried
        self.layout = found
        self.condition: Condition
        self.chosen: list[Attachment] = []
        self.others: list[Attachment] = []

    def result(self, verb: str, action: str) -> Result:
        """Return a result with everything that is known; the output is still the input."""
        result = Result(verb, [self.message.raw])
        describe(result, self.reading)
        result.quarantine_id = self.carried.identifier if self.carried else None
        result.attachments = [attachment.as_dict(action) for attachment in self.chosen]
        result.attachments += [attachment.as_dict("kept") for attachment in self.others]
        result.findings = [*_findings(self.chosen, action), *_findings(self.others, "kept")]
        return result


def run(
    raw: bytes,
    verb: str,
    rules: Rules,
    site: Site,
    act: Callable[[Assessment], Result],
    repair: Repair | None = None,
) -> Result:
    """Assess a message and let `act` deal with the chosen attachments; without any, the message stays as it is.

    repair: gets the messages that readers understand differently, and returns None for those to be held whole; with
    it, `act` gets all others, because there is more than attachments to look at.
    MailguardError when the message was cut on its way to us, or when it must be held and there is no key.
    """
    readings = [Reading(None, "not read")]
    try:
        with memory.Limit(site.memory_limit, len(raw)):
            return _act(raw, readings, verb, rules, site, act, repair)
    except ContentLimit as limit:
        problem = Finding(limit.code, "", "danger", _WHY_HELD.get(limit.code, _TOO_MUCH))
    except MemoryError:
        problem = Finding("limit.memory", "", "danger", "The message needs more memory than there is for one.")
    finally:
        confined.dismiss()
    tree.forget()  # what was made of the message until now gives room for holding it
    return _whole(raw, [problem], verb, rules, site, readings[-1])


def _act(
    raw: bytes,
    readings: list[Reading],
    verb: str,
    rules: Rules,
    site: Site,
    act: Callable[[Assessment], Result],
    repair: Repair | None,
) -> Result:
    """Do what `run` does while all goes well; readings: gets what the seal says, which also a held message keeps."""
    from mailguard.message.grammar import check

    message = tree.parse(raw)
    reading = seal_field.read(message, site.ring, site.now)
    readings.append(reading)
    if reading.cut:
        raise MailguardError("the message lost its end since it was sealed; nothing was written")
    if _is_released(reading, verb, site):
        return _pass_released(message, reading, verb, site)
    if message.limit is not None:
        raise ContentLimit(message.limit)
    anomalies = check(message)
    if reading.seal is not None:  # what a verb added may have brought it over a limit
        anomalies = [anomaly for anomaly in anomalies if not anomaly.code.startswith("limit.")]
    if anomalies:
        repaired = repair(message, anomalies, reading) if repair else None
        return repaired or _whole(message.raw, anomalies, verb, rules, site, reading)
    assessment = assess(message, reading, rules, site)
    return act(assessment) if assessment.chosen or repair else assessment.result(verb, "kept")


def assess(message: Message, reading: Reading, rules: Rules, site: Site) -> Assessment:
    """Examine the attachments of a conforming message and choose."""
    selection = rules.selection
    carried = holding.carried(message, reading, site)
    found = layout(message.root, keep_inline=selection.keep_inline, keep_calendar=selection.keep_calendar)
    assessment = Assessment(message, reading, carried, found)
    assessment.condition = condition(selection.when, reading, author_known(message, reading, rules.known))
    ours = {carried.capsule, carried.notice} if carried else set()
    quota = Quota()
    for part in found.attachments:
        if part not in ours and not is_manifest(part, site.ring, reading):
            attachment = examine(part, quota)
            act_on_it = chosen(attachment, selection, assessment.condition)
            (assessment.chosen if act_on_it else assessment.others).append(attachment)
    return assessment


def describe(result: Result, reading: Reading) -> None:
    """Put the verdict of a seal into a result."""
    if reading.verdict is not None:
        result.authenticated = reading.verdict.authenticated
        result.author_domain = reading.verdict.author_domain


def _whole(raw: bytes, findings: list[Finding], verb: str, rules: Rules, site: Site, reading: Reading) -> Result:
    try:
        result = holding.whole(raw, findings, verb, site, reading, rules.subject_tag)
    except ContentLimit:
        raise MailguardError("the message is too large for a capsule (1 GiB)") from None
    describe(result, reading)
    return result


def _is_released(reading: Reading, verb: str, site: Site) -> bool:
    """Tell whether the operator released this message to all of these recipients, and this verb did not see it yet."""
    seal, key = reading.verdict, reading.key
    if seal is None or key is None or not seal.released or verb in seal.used or not site.envelope.recipients:
        return False
    digests = [seal_field.recipient_digest(key, recipient) for recipient in site.envelope.recipients]
    return all(digest in seal.released for digest in digests)


def _pass_released(message: Message, reading: Reading, verb: str, site: Site) -> Result:
    assert reading.seal is not None
    used = Reading(reading.seal.honoured(verb), "", reading.key, fresh=True)
    result = Result(verb, holding.sealed(Edits(message), verb, site, used), changed=True)
    result.action = "released"
    result.findings = [Finding("release.honoured", "", "notice", "The operator released this message.")]
    describe(result, reading)
    return result


def _findings(attachments: Iterable[Attachment], action: str) -> Iterable[Finding]:
    for attachment in attachments:
        if action != "kept":
            what = f'"{show(attachment.name)}" ({show(attachment.detected)}, {attachment.size} octets) was {action}.'
            yield Finding(f"attachment.{action}", attachment.path, "notice", what)
        for code in attachment.dangerous:
            what = f'"{show(attachment.name)}" is dangerous: {code}.'
            yield Finding(f"danger.{code}", attachment.path, "danger", what)
