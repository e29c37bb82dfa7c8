"""What happens to one piece of content: the rungs of its rule, one after the other, until one gives harmless content.

disarm -> a second look at what came out -> convert -> hold.  The type is the detected one, never the label.
"""

from __future__ import annotations

from mailguard.capsule.names import safe_name
from mailguard.filename import FileName, named
from mailguard.formats.detect import UNKNOWN, Detection, detect
from mailguard.formats.disarmed import Disarmed, DisarmQuota, Options, ProgramRefused, Refused
from mailguard.formats.extensions import dangers, is_known
from mailguard.formats.mail.message import charset as charset_of
from mailguard.formats.signed.disarm import PKCS7, is_pkcs7
from mailguard.message.content import Content
from mailguard.sanitize.command import Kept
from mailguard.sanitize.policy import COMMAND, DISARM, KEEP, KEEP_KNOWN, PDF, QUARANTINE, REMOVE, TEXT, Subject
from mailguard.sanitize.treatment import CONVERTED, DISARMED, HELD, KEPT, REMOVED, Treatment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.message.tree import Part
    from mailguard.parts.select import Attachment
    from mailguard.sanitize.command import Sandbox
    from mailguard.sanitize.policy import Policy, Rule

_ENCRYPTED = frozenset({"encrypted-archive", "encrypted-document", "archive-encrypted-document"})
_SECURED = frozenset({"application/pgp-encrypted", "application/pkcs7-mime"})
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
# Detection looks into none of these, encrypted or not.
_SEALED = frozenset({"application/x-7z-compressed", "application/vnd.rar"})


class _Task:
    """One piece of content on its way up, and the rule that decides about it."""

    __slots__ = ("charset", "content", "detection", "names", "outer", "rule")

    def __init__(
        self,
        rule: Rule,
        content: bytes,
        names: Sequence[str],
        detection: Detection,
        outer: Options | None = None,
        charset: str = "",
    ) -> None:
        self.rule = rule
        self.content = content
        self.names = names
        self.detection = detection
        self.outer = outer
        self.charset = charset


class Ladder:
    """The rungs for all content of one message.

    known: whether the sender is authenticated and on the site's list; passwords: candidates for encrypted content.
    """

    __slots__ = ("known", "passwords", "policy", "sandbox")

    def __init__(
        self, policy: Policy, sandbox: Sandbox, *, known: bool = False, passwords: tuple[bytes, ...] = ()
    ) -> None:
        self.policy = policy
        self.sandbox = sandbox
        self.known = known
        self.passwords = passwords

    def attachment(self, attachment: Attachment) -> Treatment:
        """Deal with an attachment of a message."""
        detection = Detection(attachment.detected, frozenset(attachment.types), tuple(attachment.dangerous))
        content = attachment.part.content().whole()
        treatment = self.treat(content, attachment.names, detection, charset=charset_of(attachment.part))
        if treatment.action == KEPT and detection.type.startswith("text/"):
            return _without_parts(attachment.part, treatment, content, detection.type, detection.extension)
        return treatment

    @staticmethod
    def text(part: Part) -> Treatment:
        """Deal with the plain text of a message, which stays but for what some program would take for a file."""
        content = part.content().whole()
        return _without_parts(
            part, Treatment(KEPT, Disarmed(content, "text/plain", "txt")), content, "text/plain", "txt"
        )

    def body(self, part: Part) -> Treatment:
        """Deal with the HTML text of a message: disarm or hold, there is nothing else to become."""
        from mailguard.formats.hidden import holds_file
        from mailguard.formats.html.disarm import disarm_body
        from mailguard.sanitize.rescan import rescan

        content = part.content().whole()
        try:
            result = disarm_body(content, charset_of(part), Options(self.policy.body_kept))
            if holds_file(result.data):
                return Treatment(HELD, None, Refused("ambiguous"))
            if result.data is content:
                return Treatment(KEPT, result)
            rescan(result.data, result.mime, result.extension)
        except Refused as refused:
            return Treatment(HELD, None, refused)
        return Treatment(DISARMED, result)

    def treat(
        self,
        content: bytes,
        names: Sequence[str],
        detection: Detection,
        outer: Options | None = None,
        *,
        charset: str = "",
    ) -> Treatment:
        """Deal with content.

        found: what it was detected to be; outer: the options of the container it lies in; charset: that of its field.
        """
        if not content:
            return Treatment(KEPT, Disarmed(content, detection.type, detection.extension))
        if detection.type in {UNKNOWN, *_SECURED} and is_pkcs7(content):
            detection = Detection(PKCS7, detection.types, detection.dangerous)
        subject = Subject(detection.type, detection.extension, detection.types, names)
        rule = self.policy.rule(subject)
        if rule.action == REMOVE:
            return Treatment(REMOVED, None, Refused("policy"))
        if rule.action == QUARANTINE and rule in self.policy.rules:
            return Treatment(HELD, None, Refused("policy"))
        failed: list[ProgramRefused] = []
        try:
            if outer is None:
                self._scan(content, names, detection)
            if rule.action == KEEP or self._keeps_encrypted(detection):
                return Treatment(KEPT, Disarmed(content, detection.type, detection.extension))
            return self._climb(_Task(rule, content, names, detection, outer, charset), failed)
        except Refused as refused:
            # Its traceback would keep the content of this attachment until the last one is dealt with.
            treatment = Treatment(HELD, None, refused.with_traceback(None))
            treatment.failed = failed
            return treatment

    def _scan(self, content: bytes, names: Sequence[str], detection: Detection) -> None:
        for scanner in self.policy.scanners:
            self.sandbox.check(scanner, content, detection.type, _name(names, detection.extension))

    def _keeps_encrypted(self, detection: Detection) -> bool:
        if self.policy.encrypted != KEEP_KNOWN or not self.known:
            return False
        others = set(detection.dangerous) - _ENCRYPTED
        if detection.type in _SEALED:
            others.discard("archive-unreadable")
        return bool(_ENCRYPTED.intersection(detection.dangerous)) and not others

    def _climb(self, task: _Task, failed: list[ProgramRefused]) -> Treatment:
        """Climb the rungs; Refused with the reason of the first; failed: gets the programs that could not help."""
        if task.rule.action == QUARANTINE:
            raise Refused("encrypted" if _is_encrypted(task.detection) else "unknown-type")
        problem: Refused | None = None
        for rung in task.rule.rungs:
            try:
                return self._disarm(task) if rung == DISARM else self._convert(rung, task, problem)
            except Kept:
                return Treatment(KEPT, Disarmed(task.content, task.detection.type, task.detection.extension))
            except Refused as refused:
                if isinstance(refused, ProgramRefused) and problem is not None:
                    failed.append(refused)
                problem = problem or refused
                if refused.code in {"encrypted", "bomb"}:  # no program can, or should, read it either
                    break
        assert problem is not None
        raise problem

    def _options(self, task: _Task) -> Options:
        outer = task.outer
        return Options(
            task.rule.kept,
            quota=outer.quota if outer else DisarmQuota(self.policy.members, self.policy.octets),
            depth=outer.depth if outer else self.policy.depth,
            passwords=self.passwords,
            names=task.names,
            member=self.member,
        )

    def _disarm(self, task: _Task) -> Treatment:
        from mailguard.formats.families import module
        from mailguard.sanitize.rescan import rescan

        content, detection = task.content, task.detection
        mime = (
            f"{detection.type}; charset={task.charset}" if task.charset and detection.type in _PAGES else detection.type
        )
        result = module(detection.type)(content, mime, self._options(task))
        if result.data is content:
            if not (detection.dangerous or _misleading(task.names, result.extension) or _runs(task.names, result.mime)):
                return Treatment(KEPT, result)
            # Clean by itself: what makes it dangerous is a name or a label, and it gets new ones.
            result = Disarmed(content, result.mime, result.extension, ("label",))
        rescan(result.data, result.mime, result.extension)
        return Treatment(DISARMED, result)

    def _convert(self, rung: str, task: _Task, problem: Refused | None) -> Treatment:
        from mailguard.formats.codes import gone_with
        from mailguard.sanitize import recipes
        from mailguard.sanitize.rescan import rescan

        mime, name = task.detection.type, _name(task.names, task.detection.extension)
        if rung == COMMAND:
            assert task.rule.program is not None
            data = self.sandbox.run(task.rule.program, task.content, mime, name)
        else:
            convert = recipes.to_pdf if rung == PDF else recipes.to_text
            data = convert(self.sandbox, task.content, mime, name)
        converted = detect(Content.of(data), [], "")
        if rung in {PDF, TEXT}:
            result = self._harmless(task.rule, data, converted)
        else:
            result = Disarmed(data, converted.type, converted.extension)
        rescan(result.data, result.mime, result.extension)
        codes = ("converted", *gone_with(task.detection.dangerous))
        return Treatment(CONVERTED, Disarmed(result.data, result.mime, result.extension, codes), problem)

    def _harmless(self, rule: Rule, data: bytes, converted: Detection) -> Disarmed:
        """Disarm what a converter wrote, as if a stranger had sent it."""
        from mailguard.formats.families import module

        return module(converted.type)(data, converted.type, self._options(_Task(rule, data, (), converted)))

    def member(self, content: bytes, names: Sequence[str], options: Options) -> Disarmed:
        """Deal with what a container carries; a text stands in place of what must be held."""
        from mailguard.sanitize.report import of_member

        detection = detect(Content.of(content), names, "")
        treatment = self.treat(content, names, detection, options)
        if treatment.action == KEPT:
            return Disarmed(content, detection.type, detection.extension)
        if treatment.result is not None:
            return treatment.result
        assert treatment.refused is not None
        if treatment.refused.code == "over-limit":
            raise treatment.refused
        return Disarmed(of_member(treatment.refused.code), "text/plain", "txt", ("member-held",))


def _without_parts(part: Part, kept: Treatment, content: bytes, mime: str, extension: str) -> Treatment:
    """Put a mark before the lines of a text by which some program would find a file in it."""
    from mailguard.formats.hidden import holds_file

    if not holds_file(content):
        return kept
    from mailguard.message.rebuild import plain

    treatment = Treatment(DISARMED, Disarmed(plain(content), mime, extension, ("hidden-content",)))
    treatment.charset = charset_of(part)
    return treatment


def _is_encrypted(detection: Detection) -> bool:
    return bool(_ENCRYPTED.intersection(detection.dangerous)) or detection.type in _SECURED


def _misleading(names: Sequence[str], extension: str) -> bool:
    """Tell whether a name would make some program open the content as something else."""
    return any(dangers(FileName(name)) for name in names) and all(named(name, extension) != name for name in names[:1])


def _runs(names: Sequence[str], mime: str) -> bool:
    """Tell whether text has a name by which a program may run it: one that is not known is no name for text."""
    is_text = mime.startswith("text/") or mime in {"application/json", "application/xml"}
    return is_text and not all(is_known(FileName(name)) for name in names)


def _name(names: Sequence[str], extension: str) -> str:
    return named(safe_name(names[0]) if names else "attachment", extension)
