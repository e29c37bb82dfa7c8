"""DKIM signatures, every one of a message, judged strictly (RFC 6376, RFC 8301, RFC 8463).

dkimpy verifies only the first signature, passes some that the RFC forbids and needs quadratic time on hostile text;
of it only the RSA arithmetic is used (publickey.py).  A signature that verifies but does not protect what a reader
sees is `policy`, not `pass`: the result then says what anybody could have changed.  One that leaves the MIME fields
unsigned passes, as the RFC says; whether it authenticates anybody is another question (cover.py).
"""

from __future__ import annotations

from mailguard.verify import tags
from mailguard.verify.canonicalization import field_name, hash_body
from mailguard.verify.cover import Covers
from mailguard.verify.method import FAIL, NEUTRAL, NONE, PASS, POLICY, MethodResult
from mailguard.verify.signature import (
    ALGORITHMS,
    BadSignature,
    Header,
    canonical_forms,
    find_key,
    key_question,
    permerror,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.dns import Question, Resolver
    from mailguard.message.header import Field
    from mailguard.message.tree import Message

MAX_SIGNATURES = 20
CLOCK_SKEW = 300  # seconds by which the clock of a signer may be wrong

_REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")  # RFC 6376 6.1.1
SINGLE = (  # RFC 5322 3.6: readers differ about which of two they show
    b"from",
    b"sender",
    b"reply-to",
    b"to",
    b"cc",
    b"date",
    b"subject",
    b"message-id",
    b"mime-version",
)


def keys(message: Message) -> list[Question]:
    """Return the DNS questions that `verify` is going to ask, for `prefetch`."""
    questions = []
    for field in _signature_fields(message)[:MAX_SIGNATURES]:
        try:
            questions.append(Signature(field).check())
        except BadSignature:
            continue
    return questions


def verify(message: Message, resolver: Resolver, now: float) -> list[MethodResult]:
    """Judge every signature of the message: one result each, from the top down; one `none` when there is none.

    Of more than 20 signatures the rest is one `policy`.
    now: seconds since the epoch, for t= and x=.  Properties: header.d, header.i, header.s, header.a, header.b as far as
    the signature has them; raw values.  The reason of a pass says what is not signed, its gap why that matters.
    """
    signature_fields = _signature_fields(message)
    if not signature_fields:
        return [MethodResult("dkim", NONE, "not signed")]
    header, body = Header(message.fields), Body(message.raw, message.root.body)
    covers = Covers(message, header)
    results = [
        _judge(Signature(field), header, body, resolver, now, covers) for field in signature_fields[:MAX_SIGNATURES]
    ]
    if len(signature_fields) > MAX_SIGNATURES:
        further = len(signature_fields) - MAX_SIGNATURES
        results.append(MethodResult("dkim", POLICY, f"{further} further signatures are not judged"))
    return results


class Body:
    """The hashes of a message's body, each computed once."""

    __slots__ = ("_hashes", "_raw", "_start")

    def __init__(self, raw: bytes, start: int) -> None:
        self._raw = raw
        self._start = start
        self._hashes: dict[tuple[bytes, int | None], tuple[bytes, int]] = {}

    def sha256(self, form: bytes, length: int | None = None) -> tuple[bytes, int]:
        """Return (SHA-256 of the first `length` octets of the canonical body, size of that whole body)."""
        key = form, length
        if key not in self._hashes:
            import hashlib

            digest = hashlib.sha256()
            size = hash_body(self._raw, self._start, form, length, digest)
            self._hashes[key] = digest.digest(), size
        return self._hashes[key]


class Signature:
    """One DKIM-Signature field.

    domain, identity_domain: A-labels of d= and i=; names: h= in lower case; the attributes behind `field` and `tags`
    have their values only after `check`.
    """

    __slots__ = (
        "body_hash",
        "domain",
        "field",
        "forms",
        "identity_domain",
        "length",
        "malformed",
        "names",
        "signature",
        "tags",
    )

    def __init__(self, field: Field) -> None:
        self.field = field
        self.malformed = ""
        self.tags: dict[str, bytes] = {}
        try:
            self.tags = tags.parse(field.value)
        except tags.TagError as error:
            self.malformed = str(error)
        self.names: list[bytes] = []
        self.forms = b"", b""
        self.signature = self.body_hash = b""
        self.length: int | None = None
        self.domain = self.identity_domain = ""

    @property
    def properties(self) -> dict[str, str]:
        """The header.* properties of RFC 8601 and RFC 6008, values as they stand in the signature."""
        texts = {name: value.decode("utf-8", "replace") for name, value in self.tags.items()}
        if "d" in texts:
            texts.setdefault("i", "@" + texts["d"])
        if "b" in texts:
            texts["b"] = tags.compact(self.tags["b"])[:8].decode("utf-8", "replace")
        return {f"header.{name}": texts[name] for name in ("d", "i", "s", "a", "b") if texts.get(name)}

    def check(self) -> Question:
        """Check all that can be without the key (RFC 6376 6.1.1); return where the key is; raises BadSignature."""
        if self.malformed:
            raise permerror(self.malformed)
        for name in _REQUIRED:
            if name not in self.tags:
                raise permerror(f"{name}= is missing")
        if self.tags["v"] != b"1":
            raise permerror("v= is not 1")
        self._check_values()
        self.names = [name.lower() for name in tags.items(self.tags["h"])]
        if b"from" not in self.names:
            raise permerror("From is not signed")
        if b"dns/txt" not in tags.items(self.tags.get("q", b"dns/txt")):
            raise permerror("unknown query method (q=)")
        question = key_question(self.tags["d"], self.tags["s"])
        self.domain = question[0].partition("._domainkey.")[2]
        self.identity_domain = self._identity()
        if self.tags["a"] == b"rsa-sha1":
            raise BadSignature(POLICY, "SHA-1 is no longer a signature algorithm (RFC 8301)")
        if self.tags["a"] not in ALGORITHMS:
            raise permerror("unknown signature algorithm (a=)")
        return question

    def check_time(self, now: float) -> None:
        """Refuse a signature that has expired or comes from the future.

        RFC 6376 3.5 leaves both to the receiver, which makes them `policy`: the signature may well be genuine.
        """
        if "x" in self.tags and tags.number(self.tags["x"]) < now:
            raise BadSignature(POLICY, "the signature has expired (x=)")
        if "t" in self.tags and tags.number(self.tags["t"]) > now + CLOCK_SKEW:
            raise BadSignature(POLICY, "the signature is from the future (t=)")

    def _check_values(self) -> None:
        for name in ("b", "bh", "t", "x", "l"):
            if name in self.tags:
                try:
                    (tags.base64 if name in {"b", "bh"} else tags.number)(self.tags[name])
                except tags.TagError as error:
                    raise permerror(f"{name}= is {error}") from None
        self.signature = tags.base64(self.tags["b"])
        self.body_hash = tags.base64(self.tags["bh"])
        self.forms = canonical_forms(self.tags.get("c", b"simple/simple"))
        self.length = tags.number(self.tags["l"]) if "l" in self.tags else None
        if "t" in self.tags and "x" in self.tags and tags.number(self.tags["x"]) <= tags.number(self.tags["t"]):
            raise permerror("x= is not later than t=")

    def _identity(self) -> str:
        """Return the domain of i=, which must be that of d= or below it (RFC 6376 3.5)."""
        from mailguard.dns.names import domain_name

        if "i" not in self.tags:
            return self.domain
        try:
            _, at, domain = tags.quoted_printable(self.tags["i"]).decode("utf-8").rpartition("@")
        except ValueError as error:
            raise permerror(f"i= is malformed: {error}") from None
        name = domain_name(domain)
        if not at or name is None or not f".{name}".endswith(f".{self.domain}"):
            raise permerror("i= is not within d=")
        return name


def _signature_fields(message: Message) -> list[Field]:
    return [field for field in message.fields if field_name(field) == b"dkim-signature"]


def _judge(
    signature: Signature, header: Header, body: Body, resolver: Resolver, now: float, covers: Covers
) -> MethodResult:
    try:
        _check(signature, header, body, resolver, now)
    except BadSignature as refused:
        return MethodResult("dkim", refused.result, refused.reason, signature.properties)
    cover = covers.of(signature.names)
    result = MethodResult("dkim", PASS, cover.reason, signature.properties)
    result.gap = cover.reason if cover.gap else ""
    return result


def _check(signature: Signature, header: Header, body: Body, resolver: Resolver, now: float) -> None:
    """Raise BadSignature unless the signature is genuine and covers all that it must."""
    question = signature.check()
    signature.check_time(now)
    key = find_key(question, resolver, signature.tags["a"])
    if key.exact and signature.identity_domain != signature.domain:
        raise permerror("t=s of the key demands the domain of d= in i=")
    if key.testing:  # RFC 6376 3.6.1: such a message is to be treated like an unsigned one
        raise BadSignature(NEUTRAL, "the key is being tested (t=y)")
    _check_body(signature, body)
    if not key.verify(signature.signature, header.digest(signature.names, signature.field, signature.forms[0])):
        raise BadSignature(FAIL, "the signature does not verify")
    _check_cover(signature, header, body)


def _check_body(signature: Signature, body: Body) -> None:
    body_hash, size = body.sha256(signature.forms[1], signature.length)
    if signature.length is not None and signature.length > size:
        raise permerror("l= is longer than the body")
    if body_hash != signature.body_hash:
        raise BadSignature(FAIL, "the body has been changed")


def _check_cover(signature: Signature, header: Header, body: Body) -> None:
    """Refuse a genuine signature beside which somebody else could have written."""
    from mailguard.verify.organization import is_public_suffix

    if signature.length is not None:
        unsigned_octets = body.sha256(signature.forms[1], signature.length)[1] - signature.length
        if unsigned_octets:
            raise BadSignature(POLICY, f"{unsigned_octets} octets of the body are not signed (l=)")
    for name in SINGLE:
        if header.count(name) > signature.names.count(name) > 0:
            raise BadSignature(POLICY, f"a second {name.decode()} is not signed")
    if is_public_suffix(signature.domain):
        raise BadSignature(POLICY, "d= is a public suffix")
