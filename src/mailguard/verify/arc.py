"""The Authenticated Received Chain (RFC 8617): what earlier servers say that they saw, and whether it is intact.

Only a report: a chain tells what its sealers claim, so it never changes the dmarc result.
"""

from __future__ import annotations

import re

from mailguard.message.header import unfold
from mailguard.verify import tags
from mailguard.verify.canonicalization import RELAXED, field_name, relaxed_field
from mailguard.verify.cover import Covers
from mailguard.verify.dkim import SINGLE, Body
from mailguard.verify.method import FAIL, NONE, PASS, TEMPERROR, MethodResult
from mailguard.verify.signature import (
    ALGORITHMS,
    BadSignature,
    Header,
    canonical_forms,
    find_key,
    key_question,
    permerror,
    unsigned,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.dns import Question, Resolver
    from mailguard.message.header import Field
    from mailguard.message.tree import Message
    from mailguard.verify.publickey import PublicKey

MAX_INSTANCES = 50  # RFC 8617 4.2.1

RESULTS, SIGNATURE, SEAL = b"arc-authentication-results", b"arc-message-signature", b"arc-seal"

_INSTANCE = re.compile(rb"[ \t]*+i[ \t]*+=[ \t]*+([0-9]{1,3})[ \t]*+;")
_FORMS = b"relaxed/relaxed"


class Sealer:
    """One ARC set.

    instance: 1 for the first server; domain, selector: of the seal, A-labels; cv: what the sealer said about the chain
    before it ("none", "pass", "fail"); results: the raw value of its ARC-Authentication-Results, from authserv-id on.
    """

    __slots__ = ("cv", "domain", "instance", "results", "selector")

    def __init__(self, instance: int, domain: str, selector: str, cv: str, results: bytes) -> None:
        self.instance = instance
        self.domain = domain
        self.selector = selector
        self.cv = cv
        self.results = results


class Chain:
    """The outcome: result "none", "pass" or "fail"; reason; sealers from the first server on.

    temporary: the chain could not be judged now (RFC 8617 knows no temperror: the result is fail).  The sealers of a
    chain that failed are claims of anybody.  uncovered: one sentence on what of the message anybody could have changed
    although the chain passes, "" for nothing that matters.
    """

    __slots__ = ("reason", "result", "sealers", "temporary", "uncovered")

    def __init__(self, result: str, reason: str, sealers: Sequence[Sealer] = (), *, temporary: bool = False) -> None:
        self.result = result
        self.reason = reason
        self.sealers = list(sealers)
        self.temporary = temporary
        self.uncovered = ""

    def as_result(self) -> MethodResult:
        """Return the chain as a result of the method "arc"; header.d is the last sealer."""
        properties = {"header.d": self.sealers[-1].domain} if self.result == PASS else {}
        return MethodResult("arc", self.result, self.reason, properties)


class _Set:
    """The three fields of one instance, checked as far as that needs no key (RFC 8617 4.1, 5.2)."""

    __slots__ = ("cv", "instance", "results", "seal", "seal_question", "seal_tags", "signature", "signature_question",
                 "signature_tags")  # fmt: skip

    def __init__(self, instance: int, fields: dict[bytes, Field]) -> None:
        self.instance = instance
        for name in (RESULTS, SIGNATURE, SEAL):
            if name not in fields:
                raise permerror(f"the set {instance} has no {name.decode()}")
        self.results = fields[RESULTS]
        self.signature = fields[SIGNATURE]
        self.seal = fields[SEAL]
        self.signature_tags = _tags(self.signature, ("a", "b", "bh", "d", "h", "s"))
        self.seal_tags = _tags(self.seal, ("a", "b", "cv", "d", "s"))
        if "h" in self.seal_tags:
            raise permerror("a seal has no h=")
        if SEAL in self.names:
            raise permerror("ARC-Message-Signature signs a seal")
        canonical_forms(self.signature_tags.get("c", _FORMS))
        if "l" in self.signature_tags:
            tags.number(self.signature_tags["l"])
        tags.base64(self.signature_tags["bh"])
        self.cv = self.seal_tags["cv"].decode("latin-1")
        if self.cv not in {NONE, PASS, FAIL}:
            raise permerror("unknown cv=")
        self.signature_question = key_question(self.signature_tags["d"], self.signature_tags["s"])
        self.seal_question = key_question(self.seal_tags["d"], self.seal_tags["s"])

    @property
    def names(self) -> list[bytes]:
        return [name.lower() for name in tags.items(self.signature_tags["h"])]

    @property
    def sealer(self) -> Sealer:
        selector, _, domain = self.seal_question[0].partition("._domainkey.")
        results = unfold(self.results.value).partition(b";")[2].strip(b" \t\r\n")
        return Sealer(self.instance, domain, selector, self.cv, results)


def keys(message: Message) -> list[Question]:
    """Return the DNS questions that `verify` is going to ask, for `prefetch`."""
    try:
        sets = _sets(message)
    except BadSignature:
        return []
    if not sets or sets[-1].cv == FAIL:
        return []
    return list(dict.fromkeys([sets[-1].signature_question, *(each.seal_question for each in sets)]))


def verify(message: Message, resolver: Resolver) -> Chain:
    """Validate the chain (RFC 8617 5.2)."""
    sealers: list[Sealer] = []
    try:
        sets = _sets(message)
        if not sets:
            return Chain(NONE, "no ARC fields")
        sealers = [each.sealer for each in sets]
        _check_claims(sets)
        _check_signature(sets[-1], message, resolver)
        _check_seals(sets, resolver)
    except BadSignature as refused:
        return Chain(FAIL, refused.reason, sealers, temporary=refused.result == TEMPERROR)
    chain = Chain(PASS, "sealed by " + ", ".join(sealer.domain for sealer in sealers), sealers)
    chain.uncovered = _uncovered(sets[-1], message)
    return chain


def chain(message: Message) -> list[Sealer]:
    """Return who sealed the message, without asking for a key; BadSignature for a chain that cannot be intact."""
    sets = _sets(message)
    if sets:
        _check_claims(sets)
    return [each.sealer for each in sets]


def by_instance(message: Message, name: bytes) -> dict[int, Field]:
    """Return the fields of this name (RESULTS, SIGNATURE, SEAL) of an intact chain, by their instance."""
    return {_instance(field, name): field for field in message.fields if field_name(field) == name}


def check_last(message: Message, resolver: Resolver) -> None:
    """Validate the newest set alone, which is all that its own sealer can have done wrong; raises BadSignature."""
    sets = _sets(message)
    if not sets:
        raise permerror("no ARC fields")
    _check_claims(sets)
    _check_signature(sets[-1], message, resolver)
    _check_seals(sets, resolver, number=1)


def _uncovered(last: _Set, message: Message) -> str:
    """Say what of the message the last sealer left to others, as for a DKIM signature."""
    if "l" in last.signature_tags:
        return "the end of the body is not signed (l=)"
    header, signed = Header(message.fields), last.names
    if b"from" not in signed:
        return "from is not signed"
    for name in SINGLE:
        if header.count(name) > signed.count(name) > 0:
            return f"a second {name.decode('ascii')} is not signed"
    cover = Covers(message, header).of(signed)
    return cover.reason if cover.gap else ""


def _sets(message: Message) -> list[_Set]:
    """Return the sets in the order of their instances; raises BadSignature unless they are 1 to n, each complete."""
    sets: dict[int, dict[bytes, Field]] = {}
    for field in message.fields:
        name = field_name(field)
        if name not in {RESULTS, SIGNATURE, SEAL}:
            continue
        instance = _instance(field, name)
        if not 1 <= instance <= MAX_INSTANCES:
            raise permerror(f"i= is not between 1 and {MAX_INSTANCES}")
        if name in sets.setdefault(instance, {}):
            raise permerror(f"two {name.decode()} with i={instance}")
        sets[instance][name] = field
    if sorted(sets) != list(range(1, len(sets) + 1)):
        raise permerror("an instance is missing")
    try:
        return [_Set(instance, sets[instance]) for instance in sorted(sets)]
    except tags.TagError as error:
        raise permerror(f"a tag is {error}") from None


def _instance(field: Field, name: bytes) -> int:
    """Return i=; in ARC-Authentication-Results it comes first, and what follows is not a tag list."""
    if name == RESULTS:
        match = _INSTANCE.match(unfold(field.value))
        return int(match[1]) if match else 0
    value = _tags(field, ("i",))["i"]
    return int(value) if value.isdigit() and len(value) <= 3 else 0


def _tags(field: Field, required: Sequence[str]) -> dict[str, bytes]:
    try:
        found = tags.parse(field.value)
        for name in required:
            if name not in found:
                raise permerror(f"{name}= is missing")
        if "b" in required:
            tags.base64(found["b"])
        if "t" in found:
            tags.number(found["t"])
    except tags.TagError as error:
        raise permerror(f"malformed ARC field: {error}") from None
    if "a" in required and found["a"] not in ALGORITHMS:
        raise permerror("unknown or historic signature algorithm (a=)")
    return found


def _check_claims(sets: Sequence[_Set]) -> None:
    if sets[-1].cv == FAIL:
        raise permerror("the last sealer found the chain broken")
    for each in sets:
        if each.cv != (NONE if each.instance == 1 else PASS):
            raise permerror(f"cv={each.cv} cannot stand in set {each.instance}")


def _check_signature(last: _Set, message: Message, resolver: Resolver) -> None:
    """Verify the last ARC-Message-Signature; earlier ones break whenever a later server changes the message."""
    values = last.signature_tags
    header_form, body_form = canonical_forms(values.get("c", _FORMS))
    key = find_key(last.signature_question, resolver, values["a"])
    length = tags.number(values["l"]) if "l" in values else None
    body_hash, size = Body(message.raw, message.root.body).sha256(body_form, length)
    if body_hash != tags.base64(values["bh"]) or (length or 0) > size:
        raise BadSignature(FAIL, "the body has been changed")
    digest = Header(message.fields).digest(last.names, last.signature, header_form)
    if not key.verify(tags.base64(values["b"]), digest):
        raise BadSignature(FAIL, "the last ARC-Message-Signature does not verify")


def _check_seals(sets: Sequence[_Set], resolver: Resolver, number: int = MAX_INSTANCES) -> None:
    """Verify every seal over all sets up to its own (RFC 8617 5.1.1), with one running hash for all of them.

    The last one first: below a forged seal nobody's silence makes the chain one that cannot be judged now.
    number: how many seals are verified.
    """
    import hashlib
    from itertools import islice

    running = hashlib.sha256()
    digests = []
    for each in sets:
        running.update(relaxed_field(each.results))
        running.update(relaxed_field(each.signature))
        own = running.copy()
        own.update(unsigned(each.seal, RELAXED))
        digests.append(own)
        running.update(relaxed_field(each.seal))
    keys_found: dict[tuple[Question, bytes], PublicKey] = {}
    for each, own in islice(zip(reversed(sets), reversed(digests), strict=True), number):
        question = each.seal_question, each.seal_tags["a"]
        if question not in keys_found:
            keys_found[question] = find_key(each.seal_question, resolver, each.seal_tags["a"])
        if not keys_found[question].verify(tags.base64(each.seal_tags["b"]), own):
            raise BadSignature(FAIL, f"the seal {each.instance} does not verify")
