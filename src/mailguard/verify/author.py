"""Who a message says it is from, as any mail reader could understand it (RFC 5322 3.6.2).

DMARC protects one domain in one From field.  Attacks show a reader another From than the verifier saw: a second field,
a name with a blank or a fold, a lone CR that some programs take for a line end.  So every line counts that somebody
could take for a From field, and with anything odd the author is never authenticated.
"""

from __future__ import annotations

import re

from mailguard.findings import Finding, joined, show
from mailguard.message.header import Field
from mailguard.verify import mailbox
from mailguard.verify.impersonation import Acquaintances, addressed_domains, bare_domains, is_related
from mailguard.verify.lookalike import Domains

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.message.tree import Message
    from mailguard.verify.impersonation import Person

MAX_READINGS = 20

_FROM = re.compile(rb"[Ff][Rr][Oo][Mm]:")
_NOT_IN_NAMES = re.compile(rb"[\x00-\x20\x7f-\xff]++")
_WORD = re.compile(rb"from[\x00-\x20\x7f-\xff]*+:", re.IGNORECASE)
_REST = re.compile(rb"[^\r\n\x00]{0,4096}+")
_LINE_ENDS = re.compile(rb"[\r\x00\x0b\x0c\x1c-\x1e]")
_BLANKS = bytes(range(33)) + b"\x7f"
_LOOK_BACK = 200  # a longer run of blanks before a hidden From is taken for a line end
_QUOTING_FIELDS = frozenset(
    {b"dkim-signature", b"arc-message-signature"}
)  # their z= copies fields, folded as they like

_NOBODY = Acquaintances()
_SHOWN = "mail readers show the display name and often hide the address"


class Author:
    """The author as read.

    domains: every domain that some reader could take for the author's (A-labels, first reading first); domain: the one
    of them, None unless there is exactly one; address: of the one plain mailbox, or None; display: decoded display
    name, for no eyes except through `show`; anomalies: whatever is odd about From; impersonating: whom it or Reply-To
    pretends to be.
    """

    __slots__ = ("address", "anomalies", "display", "domains", "impersonating")

    def __init__(self) -> None:
        self.domains: list[str] = []
        self.address: str | None = None
        self.display = ""
        self.anomalies: list[Finding] = []
        self.impersonating: list[Finding] = []

    @property
    def domain(self) -> str | None:
        """The one author domain."""
        return self.domains[0] if len(self.domains) == 1 else None


def scan(message: Message, acquaintances: Acquaintances = _NOBODY) -> Author:
    """Read the author from the header fields of a message.

    acquaintances: whose names and domains nobody else may imitate.
    """
    author = Author()
    readings = list(_readings(message, author))
    if not readings:
        _note(author, "from.missing", "there is no From field")
    elif len(readings) > 1:
        _note(author, "from.several-fields", f"{len(readings)} lines can be read as From")
    boxes = [mailbox.parse(reading) for reading in readings]
    for box in boxes:
        for code, what in box.oddities:
            _note(author, code, what)
    author.domains = list(dict.fromkeys(domain for box in boxes for domain in box.domains))
    author.display = " ".join(box.display for box in boxes if box.display)
    author.address = boxes[0].address if len(boxes) == 1 else None
    if len(author.domains) > 1:
        _note(author, "from.several-domains", f"From can be read as {joined(author.domains[:5])}")
    author.impersonating = [*_impersonations(author, acquaintances), *_diverted(message, author, acquaintances)]
    return author


def _note(author: Author, code: str, what: str) -> None:
    if all(finding.code != code for finding in author.anomalies):
        why = "mail readers differ about who wrote such a message"
        author.anomalies.append(Finding(code, "", "warning", what, why, "RFC 5322 3.6.2"))


def _readings(message: Message, author: Author) -> Iterator[bytes]:
    """Yield the raw value of every line that somebody could take for a From field."""
    number = 0
    first_line = Field(message.raw, 0, message.start)
    # "From : x@example.com" above the header is a From_ line here and a field for programs that know RFC 5322 4.5.
    above = _readings_of(first_line, author) if first_line.name == b"from" else _hidden(first_line, author)
    for values in (above, *(_readings_of(field, author) for field in message.fields)):
        for value in values:
            number += 1
            if number > MAX_READINGS:
                return
            yield value


def _readings_of(field: Field, author: Author) -> Iterator[bytes]:
    if field.name and _NOT_IN_NAMES.sub(b"", field.name) == b"from":
        if _FROM.match(field.raw, field.start, field.end) is None:
            _note(author, "from.name", "the name of the From field is written oddly")
        yield field.value
    elif field.name.startswith(b"from "):
        _note(author, "from.envelope", "a From_ line stands within the header")
    yield from _hidden(field, author)


def _hidden(field: Field, author: Author) -> Iterator[bytes]:
    """Yield what follows `From:` behind anything within this field that some program takes for a line end.

    A continuation line counts when it holds an address: above it a server may later put a field, below which it is
    no continuation of the same text any more.
    """
    for match in _WORD.finditer(field.raw, field.start + 1, field.end):
        before = field.raw[max(field.start, match.start() - _LOOK_BACK) : match.start()]
        gap = before[len(before.rstrip(_BLANKS)) :]
        lone = _LINE_ENDS.search(gap.replace(b"\r\n", b""))
        folded = b"\n" in gap or len(gap) == _LOOK_BACK
        if not lone and not folded:
            continue
        value = _REST.match(field.raw, match.end(), field.end)
        assert value is not None  # the pattern matches anywhere
        if lone or (b"@" in value[0] and field.name not in _QUOTING_FIELDS):
            _note(author, "from.hidden", "a From field is hidden in another one")
            yield value[0]


def _impersonations(author: Author, acquaintances: Acquaintances) -> Iterator[Finding]:
    """Say whom the From field pretends to be."""
    foreign = [domain for domain in addressed_domains(author.display) if not _is_own(domain, author)]
    domains = acquaintances.domains
    foreign += [
        domain
        for domain in bare_domains(author.display)
        if domain not in foreign and not _is_own(domain, author) and (domains.knows(domain) or domains.imitated(domain))
    ]
    if foreign:
        what = f"The display name contains an address of {joined(foreign[:5])}."
        yield Finding("from.impersonating-address", "", "danger", what, _SHOWN)
    person = acquaintances.persons.impersonated(author.display, author.address)
    if person is not None:
        yield _is_named("from", "The display name", person)
    for domain in author.domains:
        known = domains.imitated(domain)
        if known is not None:
            yield _looks_like("from", "The author's domain", domain, known)


def _diverted(message: Message, author: Author, acquaintances: Acquaintances) -> Iterator[Finding]:
    """Say whom the answer would go to instead of whom it pretends."""
    fields = [field for field in message.fields if field.name == b"reply-to"]
    for box in [mailbox.parse(field.value) for field in fields[:MAX_READINGS]]:
        foreign = [domain for domain in box.domains if not _is_own(domain, author)]
        person = acquaintances.persons.impersonated(box.display, box.address) if foreign else None
        if person is not None:
            yield _is_named("reply-to", "The display name of Reply-To", person)
        for domain in foreign:
            known = acquaintances.domains.imitated(domain) or Domains(author.domains).imitated(domain)
            if known is not None:
                yield _looks_like("reply-to", "The domain of Reply-To", domain, known)


def _is_own(domain: str, author: Author) -> bool:
    return any(is_related(domain, own) for own in author.domains)


def _is_named(field: str, what: str, person: Person) -> Finding:
    owners = joined(sorted(person.owners)[:3])
    said = f"{what} is that of {show(person.name)}, who writes from {owners}."
    return Finding(f"{field}.impersonating-person", "", "danger", said, _SHOWN)


def _looks_like(field: str, what: str, domain: str, known: str) -> Finding:
    why = "somebody else owns it, and people read it as the one that they know"
    return Finding(f"{field}.lookalike-domain", "", "danger", f"{what}, {show(domain)}, looks like {show(known)}.", why)
