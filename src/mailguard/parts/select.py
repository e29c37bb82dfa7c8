"""Which attachments a filter acts on: the condition on the sender, the dangerous class, and the operator's options."""

from __future__ import annotations

import re

from mailguard.filename import FileName, extension
from mailguard.formats.budget import Quota
from mailguard.parts.body import file_names, layout
from mailguard.parts.selection import ALWAYS, UNAUTHENTICATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from mailguard.message.tree import Message, Part
    from mailguard.parts.selection import Selection
    from mailguard.seal.field import Reading

_ADDRESS = re.compile(rb"(?:[^<>]*+<)?[ \t]*([^<>@,;:\s\"()]++@[A-Za-z0-9._-]++)[ \t]*>?[ \t]*")


class Condition:
    """What the sender's standing asks for: every attachment, or only the dangerous ones; `reason` is its code."""

    __slots__ = ("dangerous", "everything", "reason")

    def __init__(self, reason: str, *, everything: bool, dangerous: bool) -> None:
        self.reason = reason
        self.everything = everything
        self.dangerous = dangerous


class Attachment:
    """One attachment and what is known about its content.

    types, names: every reading, those of an attached message's own attachments too; dangerous: codes of the
    dangerous class; declared: media type of the label; detected: media type by content.
    """

    __slots__ = (
        "dangerous",
        "declared",
        "detected",
        "extension",
        "name",
        "names",
        "part",
        "path",
        "sha256",
        "size",
        "types",
    )

    def __init__(self, part: Part) -> None:
        self.part = part
        self.path = part.path
        self.declared = part.content_type.decode("ascii", "replace")
        self.detected = self.declared
        self.extension = "bin"
        self.names = file_names(part)
        self.types = {self.declared}
        self.dangerous: list[str] = []
        content = part.content()
        self.size, self.sha256 = content.size, content.sha256()
        self.name = ""

    def as_dict(self, action: str) -> dict[str, Any]:
        """Return the record for --json and the manifest."""
        return {
            "part": self.path,
            "declared_type": self.declared,
            "detected_type": self.detected,
            "names": self.names,
            "size": self.size,
            "sha256": self.sha256,
            "action": action,
            "dangerous": list(self.dangerous),
        }


def examine(part: Part, quota: Quota | None = None) -> Attachment:
    """Find out what an attachment is, by content and by every name and type; an attached message with all inside.

    quota: what all attachments of the message may cost together; without it, this one has its own.  What a verb before
    found out within its quota counts, and costs the same again.
    """
    quota = quota or Quota()
    before = part.examination
    if isinstance(before, _Examination) and quota.members >= before.members and quota.octets >= before.octets:
        quota.members -= before.members
        quota.octets -= before.octets
        return before.attachment
    members, octets = quota.members, quota.octets
    attachment = _examined(part, quota)
    if quota.members >= 0 and quota.octets >= 0:
        part.examination = _Examination(attachment, members - quota.members, octets - quota.octets)
    return attachment


class _Examination:
    """An attachment that was examined, and what that cost."""

    __slots__ = ("attachment", "members", "octets")

    def __init__(self, attachment: Attachment, members: int, octets: int) -> None:
        self.attachment = attachment
        self.members = members
        self.octets = octets


def _examined(part: Part, quota: Quota) -> Attachment:
    from mailguard.formats.detect import detect

    attachment = Attachment(part)
    if part.children or part.embedded:
        attachment.detected, attachment.extension = "message/rfc822", "eml"
        names = dict.fromkeys(attachment.names)
        for inner in _attached(part):
            detection = detect(inner.content(), file_names(inner), inner.content_type.decode("ascii", "replace"), quota)
            attachment.types |= detection.types
            names.update(dict.fromkeys(file_names(inner)))
            attachment.dangerous += [f"mail-{code}" for code in detection.dangerous]
        attachment.names = list(names)
        if any(extension(name) != "eml" for name in file_names(part)):
            detection = detect(part.content(), file_names(part), attachment.declared, quota)
            attachment.types |= detection.types
            attachment.dangerous += detection.dangerous
        attachment.dangerous = sorted(set(attachment.dangerous))
    else:
        detection = detect(part.content(), attachment.names, attachment.declared, quota)
        attachment.detected, attachment.extension = detection.type, detection.extension
        attachment.types |= detection.types
        attachment.dangerous = list(detection.dangerous)
    own = file_names(part)
    attachment.name = own[0] if own else f"attachment-{attachment.path}.{attachment.extension}"
    return attachment


def condition(when: str, reading: Reading, author_known: bool | None, reply: str | None = None) -> Condition:
    """Judge the sender by the seal, and by what the site knows.

    author_known: None where the site keeps no list of known senders; reply: the reason why the message is suspicious
    as an answer, if it is.
    """
    seal = reading.verdict
    if when == ALWAYS:
        return Condition(reply or "always", everything=True, dangerous=True)
    if seal is None or not seal.authenticated:
        return Condition("unauthenticated", everything=True, dangerous=True)
    if when == UNAUTHENTICATED:
        return Condition("authenticated", everything=False, dangerous=False)
    reason = reply
    if "impersonating" in seal.flags:
        reason = "lookalike" if "lookalike" in seal.flags else "impersonating"
    elif reason is None and author_known is False:
        reason = "unknown-sender"
    return Condition(reason or "authenticated", everything=reason is not None, dangerous=True)


def author_known(message: Message, reading: Reading, known: Callable[[str], bool] | None) -> bool | None:
    """Tell whether the author is on the list of known senders; only an authenticated author domain can be.

    known: the list's test for an address, None where there is no list.
    """
    if known is None:
        return None
    address = author_address(message, reading)
    return address is not None and known(address)


def author_address(message: Message, reading: Reading) -> str | None:
    """Return the plain address of the author, as far as the seal names its domain."""
    fields = message.root.field(b"from")
    match = _ADDRESS.fullmatch(fields[0].unfolded) if len(fields) == 1 else None
    if match is None or reading.seal is None:
        return None
    address = match[1].decode("ascii", "replace")
    domain = address.rpartition("@")[2].lower()
    return address if domain == (reading.seal.author_domain or "").lower() else None


def chosen(attachment: Attachment, selection: Selection, asked: Condition) -> bool:
    """Tell whether a filter acts on this attachment."""
    if not asked.everything and not (asked.dangerous and attachment.dangerous):
        return False
    if selection.types and not _any(attachment.types, selection.types):
        return False
    if selection.names and not any(FileName(name).matches(selection.names, every=False) for name in attachment.names):
        return False
    if selection.larger_than is not None and attachment.size <= selection.larger_than:
        return False
    if selection.keep_types and _all(attachment.types, selection.keep_types):
        return False
    return not (
        selection.keep_names
        and attachment.names
        and all(FileName(name).matches(selection.keep_names, every=True) for name in attachment.names)
    )


def _any(values: Iterable[str], globs: Sequence[str]) -> bool:
    return any(_matches(value, globs) for value in values)


def _all(values: Iterable[str], globs: Sequence[str]) -> bool:
    return all(_matches(value, globs) for value in values)


def _matches(value: str, globs: Sequence[str]) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(value.lower(), glob) for glob in globs)


def _attached(part: Part) -> Iterator[Part]:
    """Yield every leaf below an attached message that is not body text, at any depth."""
    waiting = [part]
    while waiting:
        around = waiting.pop()
        root = around.embedded.root if around.embedded is not None else around.children[0]
        for inner in layout(root, keep_inline=False).attachments:
            if inner.children or inner.embedded:
                waiting.append(inner)
            else:
                yield inner
