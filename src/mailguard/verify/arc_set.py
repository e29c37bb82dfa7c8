"""Making an ARC set (RFC 8617 5.1): what this site found out, under its signature, for the servers behind it.

The signatures are dkimpy's, which is not safe on mail (quadratic patterns, crashes on odd lines, results of others
copied without their quotes).  So it sees no mail: it gets the fields that are signed in canonical form, which its own
canonicalization leaves as they are, and a body hash of ours.  What it gives back is a value of a header field, and
counts only when our own verifier accepts it in its place.
"""

from __future__ import annotations

import re

from mailguard.dns import NXDOMAIN, OK, Answer
from mailguard.errors import ConfigurationError
from mailguard.message.tree import parse
from mailguard.verify import arc
from mailguard.verify.canonicalization import RELAXED, field_name, relaxed_field
from mailguard.verify.dkim import Body
from mailguard.verify.publickey import MAX_BITS, MIN_BITS, PublicKey
from mailguard.verify.signature import BadSignature, key_question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from mailguard.dns import Question
    from mailguard.message.header import Field
    from mailguard.message.tree import Message

# RFC 8617 4.1.2 and RFC 6376 5.4.1: what people see or programs go by, and all DKIM signatures.  Not among them:
# Received, Return-Path and results, which later servers write or remove, and our own seal.
_SIGNED = (
    b"from", b"sender", b"reply-to", b"to", b"cc", b"subject", b"date", b"message-id", b"in-reply-to", b"references",
    b"mime-version", b"content-type", b"content-transfer-encoding", b"content-disposition", b"content-id",
    b"content-description", b"content-language", b"content-location", b"content-base", b"list-id", b"list-help",
    b"list-unsubscribe", b"list-unsubscribe-post", b"list-subscribe", b"list-post", b"list-owner", b"list-archive",
    b"resent-from", b"resent-sender", b"resent-to", b"resent-cc", b"resent-date", b"resent-message-id", b"autocrypt",
    b"dkim-signature",
)  # fmt: skip
# Signed once more than they are there, so that nobody can add another one (RFC 6376 8.15).
_COMPLETE = frozenset(
    {b"from", b"sender", b"reply-to", b"to", b"cc", b"subject", b"date", b"message-id", b"mime-version",
     b"content-type", b"content-transfer-encoding"}
)  # fmt: skip
_LONGEST_NAME = 64  # dkimpy 1.1.8 (fold) breaks a value within a word where it is longer than a line
_MOST = 50  # fields of one name in h=
_VALUE = re.compile(rb" [!-~ ]++(?:\r?\n[ \t][!-~ \t]++)*\r?\n")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


class SigningKey:
    """A private RSA key, and where its public half is published.

    domain, selector: as written in d= and s=; question: the DNS question for the record; record: what its TXT says.
    """

    __slots__ = ("_secret", "domain", "question", "record", "selector")

    def __init__(self, text: str, domain: str, selector: str, path: str) -> None:
        """Read a key in PEM (PKCS #1 or PKCS #8, not encrypted).

        ConfigurationError, with the path, when it is no RSA key that receivers accept, or the names are none.
        """
        self.domain = domain.lower().rstrip(".")
        self.selector = selector.lower()
        try:
            self.question = key_question(self.domain.encode(), self.selector.encode())
        except BadSignature:
            raise ConfigurationError(f"sign: {selector}._domainkey.{domain} is no name for a key") from None
        if max(len(self.domain), len(self.selector)) > _LONGEST_NAME:
            raise ConfigurationError(f"sign: domain and selector have at most {_LONGEST_NAME} characters")
        self._secret, public = _read(text, path)
        self.record = b"v=DKIM1; k=rsa; p=" + public

    def prefetch(self, questions: Iterable[Question]) -> None:
        """Do nothing: the answer is here."""

    @classmethod
    def read(cls, path: str, domain: str, selector: str) -> SigningKey:
        """Read a key file, which nobody but its owner may read; ConfigurationError as above."""
        from mailguard.seal.keys import private_text

        return cls(private_text(path, "the private key", ours=True), domain, selector, path)

    def query(self, name: str, rdtype: str, *, macro: bool = False) -> Answer:  # noqa: ARG002 (of a Resolver)
        """Answer as the DNS does once the record is published: this is a Resolver for this one key."""
        if (name, rdtype) != self.question:
            return Answer(NXDOMAIN)
        return Answer(OK, [self.record])

    def sign(self, name: bytes, tags: Sequence[tuple[bytes, bytes]], signed: Sequence[bytes], header: bytes) -> bytes:
        """Return the value of a signature field, with its final CRLF.

        tags: of the field, without those that name the key; signed: lower-case names for the hash, each from the bottom
        of `header` upwards; header: fields in relaxed form.
        """
        import dkim
        from dkim.canonicalization import CanonicalizationPolicy

        signer = dkim.ARC(header + b"\r\n", signature_algorithm=b"rsa-sha256")
        signer.hasher = dkim.HASH_ALGORITHMS[b"rsa-sha256"]
        form = CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")
        # The zeros hold the place of the signature while dkimpy folds the field.
        fields = [*tags, (b"b", b"0" * 60)]
        value = signer.gen_header(fields, list(signed), form, name, self._secret)
        return b" " + bytes(value).strip() + b"\r\n"

    def named(self) -> list[tuple[bytes, bytes]]:
        """Return the tags that name the key."""
        return [(b"a", b"rsa-sha256"), (b"d", self.domain.encode()), (b"s", self.selector.encode())]


def make(message: Message, results: bytes, instance: int, key: SigningKey, now: int) -> bytes:
    """Return the three fields of a set, to stand directly above the first field of the message.

    results: the raw value of our Authentication-Results; instance: of the set; the chain before it is intact.
    BadSignature when our verifier does not accept the set; whatever dkimpy raises goes through.
    """
    eol = message.eol
    number = str(instance).encode()
    time = str(now).encode()
    above = b"ARC-Authentication-Results: i=" + number + b";" + eol + b"\t" + results.strip(b" \t\r\n") + eol
    fields = [field for field in message.fields if field_name(field) in _SIGNED]
    names = _names(fields)
    body_hash, _ = Body(message.raw, message.root.body).sha256(RELAXED)
    value = key.sign(
        b"ARC-Message-Signature",
        [(b"i", number), *key.named(), (b"c", b"relaxed/relaxed"), (b"t", time), (b"h", b" : ".join(names)),
         (b"bh", _base64(body_hash))],
        names,
        b"".join(map(relaxed_field, fields)),
    )  # fmt: skip
    above = _field(b"ARC-Message-Signature", value, eol) + above
    chain = parse(above + b"".join(_chain(message, instance)) + b"\r\n").fields
    cv = b"none" if instance == 1 else b"pass"
    value = key.sign(
        b"ARC-Seal",
        [(b"i", number), *key.named(), (b"t", time), (b"cv", cv)],
        [*(arc.RESULTS, arc.SIGNATURE, arc.SEAL) * (instance - 1), arc.RESULTS, arc.SIGNATURE],
        b"".join(map(relaxed_field, chain)),
    )
    above = _field(b"ARC-Seal", value, eol) + above
    arc.check_last(parse(above + message.raw[message.start :]), key)
    return above


def _names(fields: Sequence[Field]) -> list[bytes]:
    """Return h=: each name as often as it is there, some once more."""
    present = [field_name(field) for field in fields]
    return [name for name in _SIGNED for _ in range(min(present.count(name), _MOST) + (name in _COMPLETE))]


def _chain(message: Message, instance: int) -> list[bytes]:
    """Return the fields of the earlier sets, the newest set on top: a signer takes them from the bottom up."""
    fields = {name: arc.by_instance(message, name) for name in (arc.SEAL, arc.SIGNATURE, arc.RESULTS)}
    return [relaxed_field(fields[name][number]) for number in range(instance - 1, 0, -1) for name in fields]


def _field(name: bytes, value: bytes, eol: bytes) -> bytes:
    if _VALUE.fullmatch(value) is None:
        raise ValueError("the library made something that is no header field")
    return name + b":" + value.replace(b"\r\n", b"\n").replace(b"\n", eol)


def _base64(data: bytes) -> bytes:
    import binascii

    return binascii.b2a_base64(data, newline=False)


def _read(text: str, path: str) -> tuple[Any, bytes]:
    """Return (the key as dkimpy takes it, its public half in base64)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from dkim.crypto import parse_pem_private_key

    found = _PEM.search(text)
    try:
        key = serialization.load_pem_private_key(found[0].encode("ascii"), None) if found else None
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"{path}: the private key is damaged, encrypted, or of a kind that is not known"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(f"{path}: no RSA key in PEM, and ARC knows no other signature (RFC 8617 4.1.1)")
    if not MIN_BITS <= key.key_size <= MAX_BITS:
        raise ConfigurationError(f"{path}: an RSA key has {MIN_BITS} to {MAX_BITS} bits, better 2048 (RFC 8301 3.2)")
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    encoded = _base64(public)
    PublicKey(b"p=" + encoded)
    return parse_pem_private_key(private), encoded
