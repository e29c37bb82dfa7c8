"""What is common to the signatures of DKIM and the seals of ARC: their tags, their key, the hash over header fields."""

from __future__ import annotations

from mailguard.dns.names import domain_name
from mailguard.verify import tags
from mailguard.verify.canonicalization import RELAXED, SIMPLE, field_form, field_name, relaxed_value
from mailguard.verify.method import PERMERROR, POLICY, TEMPERROR
from mailguard.verify.publickey import MIN_BITS, PublicKey, UnusableKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from hashlib import _Hash as Digest

    from mailguard.dns import Question, Resolver
    from mailguard.message.header import Field

ALGORITHMS = {b"rsa-sha256": "rsa", b"ed25519-sha256": "ed25519"}


class BadSignature(Exception):  # noqa: N818 (an outcome, not a failure)
    """A signature that is not, or not yet, worth anything: the result (RFC 8601 2.7.1) and its reason."""

    def __init__(self, result: str, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


def permerror(reason: str) -> BadSignature:
    """Return the outcome of a signature that nobody can ever verify."""
    return BadSignature(PERMERROR, reason)


class Header:
    """The fields of one message, selected and canonicalised once for all its signatures.

    fields: in message order.
    """

    __slots__ = ("_canonical", "_names", "_positions", "fields")

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = fields
        self._names = [field_name(field) for field in fields]
        self._positions: dict[bytes, list[int]] = {}
        for index, name in enumerate(self._names):
            self._positions.setdefault(name, []).append(index)
        self._canonical: dict[tuple[int, bytes], bytes] = {}

    @property
    def present(self) -> Iterable[bytes]:
        """The lower-case names of all fields, each once, in message order."""
        return self._positions

    def count(self, name: bytes) -> int:
        """Return how many fields have this lower-case name."""
        return len(self._positions.get(name, ()))

    def select(self, names: Iterable[bytes]) -> list[int]:
        """Return the positions of the fields that h= names, each name from the bottom up (RFC 6376 5.4.2)."""
        left = {name: list(self._positions.get(name, ())) for name in set(names) if name}
        return [left[name].pop() for name in names if left.get(name)]

    def canonical(self, index: int, form: bytes) -> bytes:
        """Return a field in canonical form, with its CRLF."""
        key = index, form
        if key not in self._canonical:
            self._canonical[key] = field_form(form)(self.fields[index])
        return self._canonical[key]

    def digest(self, names: Sequence[bytes], own: Field, form: bytes) -> Digest:
        """Return the SHA-256 over what a signature covers: the fields of h=, then its own without b= (RFC 6376 3.7)."""
        import hashlib

        digest = hashlib.sha256()
        for index in self.select(names):
            digest.update(self.canonical(index, form))
        digest.update(unsigned(own, form))
        return digest


def unsigned(own: Field, form: bytes) -> bytes:
    """Return a signature field in canonical form, without the value of b= and without the final CRLF."""
    value = tags.without_signature(own.value)
    if form == RELAXED:
        return field_name(own) + b":" + relaxed_value(value)
    line = own.raw[own.start : own.colon + 1] + value
    return line.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def canonical_forms(value: bytes) -> tuple[bytes, bytes]:
    """Return the forms of header and body that c= names (RFC 6376 3.5); raises BadSignature."""
    header, _, body = value.partition(b"/")
    forms = header, body or SIMPLE
    if value.endswith(b"/") or not {*forms} <= {SIMPLE, RELAXED}:
        raise permerror("unknown canonicalization (c=)")
    return forms


def key_question(domain: bytes, selector: bytes) -> Question:
    """Return where the key is (RFC 6376 3.6.2.1); raises BadSignature for d= and s= that are no names.

    Only letters, digits and hyphens may stand in a domain, and underscores in a selector; U-labels (RFC 8616) become
    A-labels.  What is refused never reaches the DNS.
    """
    asked_domain = _name(domain, "d=")
    if "." not in asked_domain:
        raise BadSignature(POLICY, "d= is a top-level domain")
    if "_" in asked_domain:
        raise permerror("d= is not a domain name")
    name = domain_name(f"{_name(selector, 's=')}._domainkey.{asked_domain}")
    if name is None:
        raise permerror("the name of the key is too long")
    return name, "TXT"


def _name(value: bytes, tag: str) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise permerror(f"{tag} is not a domain name") from None
    name = None if text.endswith(".") else domain_name(text)
    if name is None or any(label.startswith("-") or label.endswith("-") for label in name.split(".")):
        raise permerror(f"{tag} is not a domain name")
    return name


def find_key(question: Question, resolver: Resolver, algorithm: bytes) -> PublicKey:
    """Ask for the key and check that it may be used with this algorithm (RFC 6376 6.1.2); raises BadSignature."""
    from mailguard.dns import NODATA, NXDOMAIN, OK

    answer = resolver.query(*question)
    if answer.temporary:
        raise BadSignature(TEMPERROR, f"the key cannot be asked for now ({answer.status})")
    if answer.status in {NODATA, NXDOMAIN} or (answer.status == OK and not answer.texts):
        raise permerror("the key is not published (any longer)")
    if answer.status != OK:
        raise permerror(f"the key cannot be asked for ({answer.status})")
    if len(answer.texts) > 1:
        raise permerror("several key records")
    try:
        key = PublicKey(answer.texts[0])
    except UnusableKey as unusable:
        raise permerror(str(unusable)) from None
    _check_use(key, algorithm)
    return key


def _check_use(key: PublicKey, algorithm: bytes) -> None:
    if key.algorithm != ALGORITHMS[algorithm]:
        raise permerror("k= of the key does not fit a= of the signature")
    if key.hashes is not None and b"sha256" not in key.hashes:
        raise permerror("h= of the key does not allow SHA-256")
    if key.algorithm == "rsa" and key.bits < MIN_BITS:
        raise BadSignature(POLICY, f"a key of {key.bits} bits is too short")
