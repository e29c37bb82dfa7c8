"""Attachments are made harmless, and nothing stays hidden in the structure of a message.

Each attachment and each HTML body text climbs the rungs of its rule (`ladder`).  What cannot be made harmless is
held: a placeholder stands in its place.  The capsule of the message holds all originals, so that `release` gives the
message back as it was read.  A message that readers understand differently is built anew first.
"""

from __future__ import annotations

from mailguard.findings import Finding, Result, show
from mailguard.formats.codes import UNNOTICED
from mailguard.formats.disarmed import ProgramRefused, Refused
from mailguard.message import entity
from mailguard.message.splice import Splice, joined
from mailguard.outcome import capsules
from mailguard.outcome import edits as edit
from mailguard.outcome.assessment import Bounded, Choice, assess
from mailguard.outcome.edits import Edits
from mailguard.outcome.sealed import sealed
from mailguard.parts import placeholder
from mailguard.parts.select import Attachment, author_known, examine
from mailguard.parts.selection import ALWAYS, Selection
from mailguard.sanitize.treatment import DISARMED, HELD, KEPT, REMOVED, Treatment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from mailguard.capsule.pieces import Pieces
    from mailguard.findings import Chunk
    from mailguard.message.tree import Message, Part
    from mailguard.outcome.assessment import Assessment
    from mailguard.sanitize.command import Sandbox
    from mailguard.sanitize.policy import Policy
    from mailguard.seal.field import Reading
    from mailguard.site import Site

VERB = "sanitize"
_GONE = frozenset({HELD, REMOVED})


class Change:
    """One part that does not stay as it was; record: what --json, manifest and report say about it."""

    __slots__ = ("attachment", "record", "treatment")

    def __init__(self, attachment: Attachment, treatment: Treatment, *, body: bool = False) -> None:
        self.attachment = attachment
        self.treatment = treatment
        self.record = attachment.as_dict(treatment.action)
        if body:
            self.record["body"] = True
        if treatment.result is not None:
            self.record["removed"] = list(treatment.result.removed)
            self.record["delivered"] = {"type": treatment.result.mime, "size": len(treatment.result.data)}
        if treatment.refused is not None:
            self.record["reason"] = treatment.refused.code

    @property
    def is_unnoticed(self) -> bool:
        """Whether it was only tidied up, so that there is nothing to report and nothing to get back."""
        from mailguard.sanitize.names import delivered_name

        attachment, result = self.attachment, self.treatment.result
        if self.treatment.action != DISARMED or result is None or not UNNOTICED.issuperset(result.removed):
            return False
        return not attachment.dangerous and delivered_name(attachment, result.extension) == attachment.name

    @property
    def is_gone(self) -> bool:
        """Whether a placeholder stands in its place."""
        return self.treatment.action in _GONE


def sanitize(
    raw: bytes,
    choice: Choice,
    policy: Callable[[], Policy],
    site: Site,
    sandbox: Callable[[], Sandbox],
    *,
    discard_originals: bool = False,
) -> Result:
    """Return the message with its chosen attachments and its HTML text made harmless.

    policy, sandbox (where external programs run): asked for when there is something to look at;
    discard_originals: keep no originals but of what could not be made harmless.
    ConfigurationError without a key when something must go into the capsule, and when a library is missing.
    """
    task = _Task(choice, policy, site, sandbox, discard=discard_originals)
    with Bounded(raw, VERB, choice, site) as bounded:
        return task.sanitized(bounded)
    return bounded.held()


class _Task:
    """One run of the verb."""

    def __init__(
        self,
        choice: Choice,
        policy: Callable[[], Policy],
        site: Site,
        sandbox: Callable[[], Sandbox],
        *,
        discard: bool,
    ) -> None:
        self.choice = choice
        self.policy = policy
        self.site = site
        self.sandbox = sandbox
        self.discard = discard

    def sanitized(self, bounded: Bounded) -> Result:
        """Check the message and deal with it."""
        checked = bounded.check()
        if checked.settled is not None:
            return checked.settled
        if not checked.anomalies:
            return self.conforming(assess(checked.message, checked.reading, self.choice, self.site))
        return self.repair(checked.message, checked.anomalies, checked.reading) or bounded.whole(checked.anomalies)

    def conforming(self, assessment: Assessment) -> Result:
        """Deal with a conforming message; one that this site sanitized stays as it is."""
        if assessment.reading.seal is not None and VERB in assessment.reading.seal.verbs:
            return assessment.result(VERB, "kept")
        changes = self._changes(assessment, body=assessment.condition.everything or assessment.condition.dangerous)
        if not changes:
            return assessment.result(VERB, "kept")
        return self._changed(assessment, changes, [], None)

    def repair(self, message: Message, anomalies: list[Finding], reading: Reading) -> Result | None:
        """Build an anomalous message anew and deal with that; None when it must be held whole."""
        from mailguard.formats.hidden import hidden_name
        from mailguard.message.grammar import check
        from mailguard.message.rebuild import as_shown, rebuild
        from mailguard.message.tree import parse
        from mailguard.sanitize.names import choose

        original = message.raw
        message = as_shown(message)
        rebuilt = None if message.limit is not None else rebuild(message, anomalies, choose, hidden_name)
        if rebuilt is None:
            return None
        new = parse(rebuilt.raw)
        if new.limit is not None or check(new):
            return None
        assessment = assess(new, reading, self._for_all(), self.site)
        changes = self._changes(assessment, body=True)
        return self._changed(assessment, changes, anomalies, original)

    def _for_all(self) -> Choice:
        """Whoever sent an anomalous message and whatever was chosen: all of it is looked at."""
        return Choice(
            Selection(ALWAYS, keep_inline=self.choice.selection.keep_inline), self.choice.known, watch=self.choice.watch
        )

    def _changes(self, assessment: Assessment, *, body: bool) -> list[Change]:
        """Climb the ladder with everything; return what does not stay as it is, in document order."""
        pages = [part for part in assessment.layout.body if part.content_type == b"text/html"] if body else []
        texts = [part for part in assessment.layout.body if part.content_type != b"text/html" and _may_hold_parts(part)]
        if not assessment.chosen and not pages and not texts:
            return []
        from mailguard.sanitize.ladder import Ladder

        policy = self.policy()
        known = author_known(assessment.message, assessment.reading, self.choice.known)
        verdict = assessment.reading.verdict
        trusted = known is True and verdict is not None and verdict.authenticated and not verdict.flags
        trusted = trusted and not assessment.is_suspicious_reply
        ladder = Ladder(policy, self.sandbox(), known=trusted, passwords=_passwords(assessment, policy))
        changes = [Change(one, ladder.attachment(one)) for one in assessment.chosen]
        if policy.body:
            changes += [Change(examine(part), ladder.body(part), body=True) for part in pages]
        changes += [Change(examine(part), ladder.text(part), body=True) for part in texts]
        changes = [change for change in changes if change.treatment.action != KEPT]
        # A signature is worth more than a tidy document.
        changes = [
            change
            for change in changes
            if not change.is_unnoticed or not edit.signatures_over([change.attachment.part])
        ]
        signatures = edit.signatures_over([change.attachment.part for change in changes])
        refused = Refused("signature")
        changes += [Change(examine(part), Treatment(HELD, None, refused)) for part in signatures]
        return sorted(changes, key=lambda change: change.attachment.part.start)

    def _changed(
        self, assessment: Assessment, changes: list[Change], anomalies: list[Finding], original: bytes | None
    ) -> Result:
        """Return the message with its changes; original: what was read, where it was built anew."""
        result = self._result(assessment, changes, anomalies)
        identifier = None
        if original is None and all(change.is_unnoticed for change in changes):
            edits = _edited(assessment.message, changes, self.site.lang, everything=False)
        else:
            identifier, data = self._capsule(assessment, changes, original)
            edits = _edited(assessment.message, changes, self.site.lang, everything=True)
            self._append(assessment, edits, changes, identifier, data, rebuilt=original is not None)
        result.output = sealed(edits, VERB, self.site, assessment.reading, identifier)
        result.changed = True
        result.action = "sanitized"
        result.quarantine_id = identifier or result.quarantine_id
        return result

    def _result(self, assessment: Assessment, changes: list[Change], anomalies: list[Finding]) -> Result:
        changed = {change.attachment.part for change in changes}
        assessment.others += [one for one in assessment.chosen if one.part not in changed]
        assessment.chosen = []
        result = assessment.result(VERB, "kept")
        result.attachments = [change.record for change in changes] + result.attachments
        actions = [finding for change in changes for finding in _findings(change)]
        result.findings = [*anomalies, *actions, *result.findings]
        return result

    def _capsule(
        self, assessment: Assessment, changes: list[Change], original: bytes | None
    ) -> tuple[str | None, Pieces]:
        """Return (id, capsule), or (None, nothing) where originals are discarded and nothing is held."""
        message = assessment.message
        held = [change for change in changes if change.treatment.action == HELD]
        if self.discard:
            if not held:
                from mailguard.capsule.pieces import Pieces

                return None, Pieces()
            kept_parts = _edited(message, changes, self.site.lang, everything=False)
            before = b"".join((message.raw[: message.start], kept_parts.header(), kept_parts.separator()))
            original = before + joined(kept_parts.content())
            changes = held
        attachments = [change.attachment for change in changes]
        was = assessment.carried
        restorable, items = capsules.contents(message.raw, attachments, "sanitized", self.site, was)
        if original is not None and was is None:
            restorable = original
            for item in items:
                item.span = None
        for item, change in zip(items[len(items) - len(changes) :], changes, strict=True):
            item.metadata = dict(change.record)
        return capsules.build(restorable, items, self.site, was)

    def _append(
        self,
        assessment: Assessment,
        edits: Edits,
        changes: list[Change],
        identifier: str | None,
        data: Pieces,
        *,
        rebuilt: bool,
    ) -> None:
        """Add report and capsule, or put the capsule in the place of the one that is there."""
        from mailguard.sanitize import report

        message, eol = edits.message, edits.message.eol
        changed = [
            report.PartReport(change.attachment.name, change.record, change.treatment)
            for change in changes
            if not change.is_unnoticed
        ]
        contact = self.site.contact
        text = report.write(
            changed, identifier, rebuilt=rebuilt, whole=not self.discard, lang=self.site.lang, contact=contact
        )
        added: list[list[Chunk]] = [[report.entity(text, self.site.lang, eol)]]
        boundary = edit.free_boundary(message.raw, (identifier or text).encode("utf-8"))
        if assessment.carried is not None and identifier:
            edits.append(added, boundary, assessment.carried.notice)
            edits.replace({assessment.carried.capsule: capsules.capsule_entity(identifier, data, eol)})
            return
        if identifier:
            added.append(capsules.capsule_entity(identifier, data, eol))
        root = [change for change in changes if change.attachment.part is message.root]
        if root:
            edits.become([_entity(root[0], eol, self.site.lang), *added], boundary)
        else:
            edits.append(added, boundary, assessment.carried.notice if assessment.carried else None)


def _may_hold_parts(part: Part) -> bool:
    """Tell whether some program could look for parts in this text."""
    from mailguard.message import bodies

    return any(bodies.holds_fields(*text) for text in bodies.texts(part))


def _passwords(assessment: Assessment, policy: Policy) -> tuple[bytes, ...]:
    if not policy.passwords:
        return ()
    from mailguard.sanitize.names import passwords

    return passwords(part.content().whole() for part in assessment.layout.body)


def _edited(message: Message, changes: Sequence[Change], lang: str, *, everything: bool) -> Edits:
    """Return the edits of these changes; without `everything` what is held stays in its place."""
    edits = Edits(message)
    wanted = [change for change in changes if everything or change.treatment.action != HELD]
    inner = [change for change in wanted if change.attachment.part is not message.root]
    edits.unsign(change.attachment.part for change in inner)
    gone: dict[Part, list[Chunk]] = {}
    for change in inner:
        part, made = change.attachment.part, _entity(change, message.eol, lang)
        if change.is_gone:
            gone[part] = made
        else:
            edits.body.append(Splice(part.start, part.end, *made))
    edits.replace(gone)
    if not everything:
        for change in wanted:
            if change.attachment.part is message.root:
                head, _, body = joined(_entity(change, message.eol, lang)).partition(message.eol * 2)
                edits.set_content_fields(head + message.eol)
                edits.body.append(Splice(message.root.body, len(message.raw), body, message.eol))
    return edits


def _entity(change: Change, eol: bytes, lang: str) -> list[Chunk]:
    """Return the pieces of what stands in the place of a changed part."""
    from mailguard.formats.codes import explain
    from mailguard.sanitize.names import delivered_name, message_entity

    attachment, result = change.attachment, change.treatment.result
    if result is None:
        reason = change.record["reason"]
        values = {
            **placeholder.values(attachment),
            "reason": " / ".join(explain(reason, reader) for reader in placeholder.languages(lang)),
        }
        return [placeholder.entity(placeholder.text(values, lang), eol)]
    part = attachment.part
    ids = part.field(b"content-id")
    content_id = ids[0].unfolded if len(ids) == 1 else b""
    if change.record.get("body"):
        return entity.pieces(result.data, result.mime, eol, charset=change.treatment.charset, content_id=content_id)
    name = delivered_name(attachment, result.extension)
    change.record["delivered"]["name"] = name
    if result.mime == "message/rfc822" and (embedded := message_entity(result.data, eol)):
        return [embedded]
    inline = part.disposition == b"inline"
    return entity.pieces(
        result.data,
        result.mime,
        eol,
        name=name,
        charset=change.treatment.charset if "hidden-content" in result.removed else "",
        content_id=content_id,
        inline=inline,
    )


def _findings(change: Change) -> list[Finding]:
    from mailguard.formats.codes import explain
    from mailguard.sanitize.report import told

    record: dict[str, Any] = change.record
    attachment, treatment = change.attachment, change.treatment
    name = show(attachment.name)
    extension = treatment.result.extension if treatment.result else ""
    what = f'"{name}" ({show(attachment.detected)}, {attachment.size} octets) was {record["action"]}.'
    findings = [Finding(f"attachment.{record['action']}", attachment.path, "notice", what)]
    findings += [
        Finding(f"removed.{code}", attachment.path, "notice", f'"{name}": {"".join(told([code], "en", extension))}.')
        for code in record.get("removed", ())
    ]
    for refused in [*([treatment.refused] if treatment.refused else ()), *treatment.failed]:
        why = f'"{name}": {explain(refused.code, "en")}{_program(refused)}'
        findings.append(Finding(f"refused.{refused.code}", attachment.path, "danger", why))
    return findings + [
        Finding(f"danger.{code}", attachment.path, "danger", f'"{name}" is dangerous: {code}.')
        for code in attachment.dangerous
    ]


def _program(refused: Refused) -> str:
    """Return which program refused, and what it said."""
    if not isinstance(refused, ProgramRefused):
        return ""
    said = f": {show(refused.said)}" if refused.said else ""
    return f" ({show(refused.program)}{said})"
