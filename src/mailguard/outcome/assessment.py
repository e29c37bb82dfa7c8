"""What every filter finds out before it acts on attachments, and what it does when it cannot find out.

The order matters: a message that lost its end on the way is a fault of the site; what the operator released passes;
what readers understand differently, or what costs more than a message may cost, is held whole.
"""

from __future__ import annotations

from mailguard import memory
from mailguard.errors import ContentLimit, MailguardError
from mailguard.findings import Finding, Result, show
from mailguard.formats import confined
from mailguard.formats.budget import Quota
from mailguard.message import tree
from mailguard.outcome.carried import carried
from mailguard.outcome.edits import Edits
from mailguard.outcome.sealed import sealed
from mailguard.outcome.whole import whole
from mailguard.parts.body import layout
from mailguard.parts.json_manifest import is_manifest
from mailguard.parts.select import Attachment, author_address, author_known, chosen, condition, examine
from mailguard.seal import field as seal_field
from mailguard.seal.field import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from mailguard.correspondence.replies import Watch
    from mailguard.message.tree import Message
    from mailguard.outcome.carried import Carried
    from mailguard.parts.body import Layout
    from mailguard.parts.select import Condition
    from mailguard.parts.selection import Selection
    from mailguard.site import Site

_TOO_MUCH = "The message costs more than one message may cost."
_TOO_LARGE = "The message needs more memory than there is for one."
_WHY_HELD = {
    "capsule.locked": "The message has a capsule that no password of this site opens.",
    "text.unreadable": "The only text of the message is not text that readers show; removing it would leave nothing.",
}


class Choice:
    """The options of a filter.

    selection: which attachments; known: a test for addresses, who is known; subject_tag: of a held message; watch: over
    the conversations of the site.
    """

    __slots__ = ("known", "selection", "subject_tag", "watch")

    def __init__(
        self,
        selection: Selection,
        known: Callable[[str], bool] | None = None,
        subject_tag: str = "",
        watch: Watch | None = None,
    ) -> None:
        self.selection = selection
        self.known = known
        self.subject_tag = subject_tag
        self.watch = watch


class Assessment:
    """A conforming message and what to act on.

    carried: the capsule that it has already; chosen, others: its attachments; condition: why; reply: what is to say
    about it as an answer.
    """

    __slots__ = ("carried", "chosen", "condition", "layout", "message", "others", "reading", "reply")

    def __init__(self, message: Message, reading: Reading, carried: Carried | None, parts: Layout) -> None:
        self.message = message
        self.reading = reading
        self.carried = carried
        self.layout = parts
        self.condition: Condition
        self.reply: Finding | None = None
        self.chosen: list[Attachment] = []
        self.others: list[Attachment] = []

    @property
    def is_suspicious_reply(self) -> bool:
        """Whether somebody may continue a conversation in which he has no part."""
        return self.reply is not None and self.reply.severity == "danger"

    def result(self, verb: str, action: str) -> Result:
        """Return a result with everything that is known; the output is still the input."""
        result = Result(verb, [self.message.raw])
        describe(result, self.reading)
        result.quarantine_id = self.carried.identifier if self.carried else None
        if self.chosen:
            from mailguard.outcome.notice import REASONS

            result.trace.append(f"reason: {self.condition.reason}: {REASONS[self.condition.reason][1]}")
        result.attachments = [attachment.as_dict(action) for attachment in self.chosen]
        result.attachments += [attachment.as_dict("kept") for attachment in self.others]
        result.findings = [*_findings(self.chosen, action), *_findings(self.others, "kept")]
        if self.reply is not None:
            result.findings.append(self.reply)
        return result


class Checked:
    """A message that was read and checked.

    anomalies: what readers understand differently; settled: the result, where nothing else is left to do.
    """

    __slots__ = ("anomalies", "message", "reading", "settled")

    def __init__(self, message: Message, reading: Reading) -> None:
        self.message = message
        self.reading = reading
        self.anomalies: list[Finding] = []
        self.settled: Result | None = None


class Bounded:
    """A context in which a filter works on one message within the limits of one message.

    What costs too much leaves the context, and nothing goes on from what was made until then: `held` holds the message
    whole.  So the body of the context is one call, whose names are gone when the message is held.
    """

    __slots__ = ("_choice", "_limit", "_problem", "_raw", "_reading", "_site", "_verb")

    def __init__(self, raw: bytes, verb: str, choice: Choice, site: Site) -> None:
        self._raw = raw
        self._verb = verb
        self._choice = choice
        self._site = site
        self._limit = memory.Limit(site.memory_limit, len(raw))
        self._reading = Reading(None, "not read")
        self._problem: Finding | None = None

    def __enter__(self) -> Self:
        self._limit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        try:
            self._limit.__exit__(kind, error, traceback)
        except MemoryError:
            kind = MemoryError
        finally:
            confined.dismiss()
        if isinstance(error, ContentLimit):
            self._problem = Finding(error.code, "", "danger", _WHY_HELD.get(error.code, _TOO_MUCH))
        elif kind is not None and issubclass(kind, MemoryError):
            self._problem = Finding("limit.memory", "", "danger", _TOO_LARGE)
        return self._problem is not None

    def check(self) -> Checked:
        """Read the message and its seal, and check how it is built.

        MailguardError when the message was cut on its way to us.
        """
        from mailguard.message.grammar import check

        site = self._site
        message = tree.parse(self._raw)
        self._reading = reading = seal_field.read(message, site.ring, site.now)
        checked = Checked(message, reading)
        if reading.cut:
            raise MailguardError("the message lost its end since it was sealed; nothing was written")
        if _is_released(reading, self._verb, site):
            checked.settled = _passed_as_released(message, reading, self._verb, site)
            return checked
        if message.limit is not None:
            raise ContentLimit(message.limit)
        anomalies = check(message)
        if reading.seal is not None:  # what a verb added may have brought it over a limit
            anomalies = [anomaly for anomaly in anomalies if not anomaly.code.startswith("limit.")]
        checked.anomalies = anomalies
        return checked

    def assess(self) -> Assessment | Result:
        """Return what to act on; the result, where there is nothing, or where readers understand different things."""
        checked = self.check()
        if checked.settled is not None:
            return checked.settled
        if checked.anomalies:
            return self.whole(checked.anomalies)
        assessment = assess(checked.message, checked.reading, self._choice, self._site)
        return assessment if assessment.chosen else assessment.result(self._verb, "kept")

    def whole(self, findings: list[Finding]) -> Result:
        """Hold the message whole; MailguardError without a key, and when it is too large for a capsule."""
        try:
            result = whole(self._raw, findings, self._verb, self._site, self._reading, self._choice.subject_tag)
        except ContentLimit:
            raise MailguardError("the message is too large for a capsule (1 GiB)") from None
        describe(result, self._reading)
        return result

    def held(self) -> Result:
        """Hold the message that cost too much."""
        assert self._problem is not None
        tree.forget()  # what was made of the message until now gives room for holding it
        return self.whole([self._problem])


def assess(message: Message, reading: Reading, choice: Choice, site: Site) -> Assessment:
    """Examine the attachments of a conforming message and choose."""
    selection = choice.selection
    ours_before = carried(message, reading, site)
    parts = layout(message.root, keep_inline=selection.keep_inline, keep_calendar=selection.keep_calendar)
    assessment = Assessment(message, reading, ours_before, parts)
    known = author_known(message, reading, choice.known)
    if choice.watch is not None:
        assessment.reply = choice.watch.judge(message, reading, author_address(message, reading), site)
    reason = assessment.reply.code.replace(".", "-") if assessment.reply and assessment.is_suspicious_reply else None
    assessment.condition = condition(selection.when, reading, known, reason)
    ours = {ours_before.capsule, ours_before.notice} if ours_before else set()
    quota = Quota()
    for part in parts.attachments:
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


def _is_released(reading: Reading, verb: str, site: Site) -> bool:
    """Tell whether the operator released this message to all of these recipients, and this verb did not see it yet."""
    seal, key = reading.verdict, reading.key
    if seal is None or key is None or not seal.released or verb in seal.used or not site.envelope.recipients:
        return False
    digests = [seal_field.recipient_digest(key, recipient) for recipient in site.envelope.recipients]
    return all(digest in seal.released for digest in digests)


def _passed_as_released(message: Message, reading: Reading, verb: str, site: Site) -> Result:
    assert reading.seal is not None
    used = Reading(reading.seal.honoured(verb), "", reading.key, fresh=True)
    result = Result(verb, sealed(Edits(message), verb, site, used), changed=True)
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
