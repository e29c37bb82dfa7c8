"""Whether a message continues a conversation of ours, and whether its sender has a part in it.

The attack is that of Emotet (2018 to 2023) and of Qakbot after it: a conversation is stolen from a hacked mailbox and
continued from another account, really authenticated, with a document.
"""

from __future__ import annotations

from mailguard.correspondence import identifiers
from mailguard.correspondence.conversations import OpenConversations
from mailguard.findings import Finding, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailguard.correspondence.conversations import Conversations
    from mailguard.correspondence.parties import Party
    from mailguard.message.tree import Message
    from mailguard.seal.field import Reading
    from mailguard.site import Site

FOREIGN = "reply.foreign"
MANY = "reply.many"
OURS = "reply.ours"
UNPROVEN = "reply.unproven"

_REFERENCE = "RFC 5322 3.6.4"
# RFC 3464, RFC 8098, RFC 5965, RFC 6533: what a report consists of besides its text.
_OF_REPORTS = frozenset(
    {
        b"message/delivery-status", b"message/global-delivery-status", b"message/disposition-notification",
        b"message/global-disposition-notification", b"message/feedback-report", b"message/rfc822", b"message/global",
        b"text/rfc822-headers", b"message/global-headers", b"message/rfc822-headers",
    }
)  # fmt: skip


class Watch:
    """Where the conversations stand, and which organizations may take part in all of them (A-labels)."""

    __slots__ = ("may_answer", "path")

    def __init__(self, path: str, may_answer: Iterable[str] = ()) -> None:
        self.path = path
        self.may_answer = tuple(may_answer)

    def judge(self, message: Message, reading: Reading, address: str | None, site: Site) -> Finding | None:
        """Return what is to say about a message that names other messages of ours; None for all others.

        address: of the authenticated author, None where it is not plain.
        ConfigurationError when the conversations cannot be read.
        """
        with OpenConversations(self.path, site.ring) as known:
            named = identifiers.named(message.fields)
            if len(named) > identifiers.MOST:
                what = f"the message names more than {identifiers.MOST} other messages"
                return Finding(MANY, "", "danger", what, "one of ours may be among them", _REFERENCE)
            ours = [identifier for identifier in named if known.has(identifier)]
            if not ours or _is_report(message, site):
                return None
            return self._judged(message, reading, address, site, ours, known)

    def _judged(
        self,
        message: Message,
        reading: Reading,
        address: str | None,
        site: Site,
        ours: list[bytes],
        known: Conversations,
    ) -> Finding:
        what = f"the message continues a conversation that {show(ours[-1])} is part of"
        seal = reading.verdict
        if seal is None or not seal.authenticated or seal.author_domain is None:
            why = "nobody vouches for its sender, so it cannot be told whether he has a part in it"
            return Finding(UNPROVEN, "", "notice", what, why, _REFERENCE)
        from mailguard.correspondence.parties import party

        author = party(address or f"postmaster@{seal.author_domain}")
        if self._may_answer(author, seal.author_domain, seal.authserv_id, site):
            return Finding(OURS, "", "info", what, "its sender is one of us, or may answer everywhere", _REFERENCE)
        marks = {mark for one in (author, *_lists(message, reading)) if one is not None for mark in one.marks}
        strange = [each for each in ours if not any(known.has(each, mark) for mark in marks)]
        if strange:
            what = (
                f"the message continues a conversation of ours, to which nobody of {show(seal.author_domain)} belongs"
            )
            why = f"{show(strange[-1])} did not go there: who stole a conversation continues it from another account"
            return Finding(FOREIGN, "", "danger", what, why, _REFERENCE)
        return Finding(OURS, "", "info", what, "its sender has a part in it", _REFERENCE)

    def _may_answer(self, author: Party | None, domain: str, authserv_id: str | None, site: Site) -> bool:
        from mailguard.dns.names import is_within
        from mailguard.verify.organization import own_domains

        if site.envelope.sasl_username is not None or is_within(domain, self.may_answer):
            return True
        own = own_domains(authserv_id or "")
        return author is not None and author.organization is not None and author.organization in own


def _is_report(message: Message, site: Site) -> bool:
    """Tell whether this is a report about a mail of ours, with nothing else in it: servers of anybody write them."""
    root = message.root
    if root.content_type != b"multipart/report" or not root.children or site.envelope.sender:
        return False
    first, *others = root.children
    text = first.content_type.startswith(b"text/") or first.content_type == b"multipart/alternative"
    return text and all(part.content_type in _OF_REPORTS for part in others)


def _lists(message: Message, reading: Reading) -> Iterator[Party]:
    """Yield the mailing lists that brought the message, as far as their own servers are proven.

    What a list says about itself (RFC 2369 3.4, RFC 2919) anybody can write; so it counts only for the organization
    whose signature or envelope our own results call genuine.
    """
    from mailguard.correspondence.parties import Party, party

    said = [field for field in message.fields if field.name in {b"list-post", b"list-id"}]
    if not said:
        return
    proven = _proven(message, reading)
    for field in said[:4]:
        for address in _addresses(field.name, field.unfolded[:2000]):
            found = party(address)
            if found is not None and (found.organization or found.address.rpartition("@")[2]) in proven:
                yield Party(found.address, None)


def _addresses(name: bytes, value: bytes) -> Iterator[str]:
    import re

    text = value.decode("ascii", "replace")
    for match in re.findall(r"<([^<>]*+)>", text)[:4]:
        if name == b"list-id":
            yield match.strip().replace(".", "@", 1)
        elif match.strip().lower().startswith("mailto:"):
            yield match.strip()[7:].partition("?")[0]


def _proven(message: Message, reading: Reading) -> set[str]:
    """Return the organizations for which our results under the seal report a DKIM or SPF pass."""
    from mailguard.verify.organization import registered_domain
    from mailguard.verify.results import passed_domains

    seal = reading.verdict
    fields = [field for field in message.fields if field.name == b"authentication-results"]
    name = (seal.authserv_id or "").encode("ascii") if seal else b""
    ours = next((each for each in fields if name and each.unfolded.partition(b";")[0].strip() == name), None)
    return {registered_domain(domain) for domain in passed_domains(ours.unfolded)} if ours is not None else set()
