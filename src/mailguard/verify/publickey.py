"""Key records and what they verify (RFC 6376 3.6.1, RFC 8301, RFC 8463).

The RSA arithmetic and the reading of RSA keys are dkimpy's; around them stand limits, because dkimpy takes keys of any
size, signatures of any length and exponents of any cost.  Ed25519 is OpenSSL's.
"""

from __future__ import annotations

from mailguard.verify import tags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash as Digest

MIN_BITS = 1024
MAX_BITS = 8192

_MAX_KEY = 2048  # octets of DER; a key of MAX_BITS needs half of that
_MAX_EXPONENT_BITS = 33


class UnusableKey(ValueError):  # noqa: N818 (a property of the key, not a failure)
    """The key cannot be used; the text is the reason of a permerror."""


class PublicKey:
    """A key from the DNS.

    algorithm: "rsa" or "ed25519"; bits: size of the modulus, 256 for Ed25519; testing: t=y; exact: t=s, the i= of a
    signature must have the domain of its d=; hashes: the allowed ones, None for all.
    """

    __slots__ = ("_material", "algorithm", "bits", "exact", "hashes", "testing")

    def __init__(self, record: bytes) -> None:
        try:
            values = tags.parse(record)
        except tags.TagError as error:
            raise UnusableKey(f"malformed key record: {error}") from None
        if "v" in values and (next(iter(values)) != "v" or values["v"] != b"DKIM1"):
            raise UnusableKey("v= of the key record is not DKIM1 in the first place")
        flags = tags.items(values.get("t", b""))
        self.testing = b"y" in flags
        self.exact = b"s" in flags
        self.hashes = frozenset(tags.items(values["h"])) if "h" in values else None
        services = tags.items(values.get("s", b"*"))
        if b"*" not in services and b"email" not in services:
            raise UnusableKey("the key is not for e-mail (s=)")
        if "p" not in values:
            raise UnusableKey("the key record has no p=")
        if not values["p"]:
            raise UnusableKey("the key is revoked")
        self.algorithm = values.get("k", b"rsa").decode("latin-1")
        self._material, self.bits = _read(self.algorithm, values["p"])

    def verify(self, signature: bytes, digest: Digest) -> bool:
        """Whether `signature` was made over the octets that the SHA-256 object `digest` has taken in."""
        if self.algorithm == "rsa":
            return _verify_rsa(self._material, self.bits, signature, digest)
        return _verify_ed25519(self._material, signature, digest)


def _read(algorithm: str, encoded: bytes) -> tuple[object, int]:
    if len(encoded) > 2 * _MAX_KEY:
        raise UnusableKey(f"the key is longer than {MAX_BITS} bits")
    try:
        material = tags.base64(encoded)
    except tags.TagError as error:
        raise UnusableKey(f"p= of the key record: {error}") from None
    if algorithm == "ed25519":
        return _read_ed25519(material)
    if algorithm == "rsa":
        return _read_rsa(material)
    raise UnusableKey("unknown key type (k=)")


def _read_ed25519(material: bytes) -> tuple[object, int]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(material) != 32:
        raise UnusableKey("an Ed25519 key has 32 octets")
    return Ed25519PublicKey.from_public_bytes(material), 256


def _read_rsa(material: bytes) -> tuple[object, int]:
    from dkim.crypto import UnparsableKeyError, parse_public_key

    if len(material) > _MAX_KEY:
        raise UnusableKey(f"the key is longer than {MAX_BITS} bits")
    try:
        key = parse_public_key(material)
    except (UnparsableKeyError, AssertionError, IndexError, TypeError, ValueError):
        raise UnusableKey("the RSA key cannot be read") from None
    modulus, exponent = key["modulus"], key["publicExponent"]
    if modulus.bit_length() > MAX_BITS:
        raise UnusableKey(f"the key is longer than {MAX_BITS} bits")
    if not (modulus % 2 and exponent % 2 and exponent > 1 and exponent.bit_length() <= _MAX_EXPONENT_BITS):
        raise UnusableKey("the RSA key has an impossible modulus or exponent")
    return key, modulus.bit_length()


def _verify_rsa(key: object, bits: int, signature: bytes, digest: Digest) -> bool:
    from dkim.crypto import DigestTooLargeError, RSASSA_PKCS1_v1_5_verify

    if len(signature) != (bits + 7) // 8:  # RFC 8017 8.2.2 step 1
        return False
    try:
        return bool(RSASSA_PKCS1_v1_5_verify(digest, signature, key))
    except DigestTooLargeError:
        return False


def _verify_ed25519(key: object, signature: bytes, digest: Digest) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    assert isinstance(key, Ed25519PublicKey)
    try:
        key.verify(signature, digest.digest())
    except InvalidSignature:
        return False
    return True
