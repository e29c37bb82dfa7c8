"""The certificate that a server shows: dates, names, key, issuer."""

from __future__ import annotations

from mailguard.check.outcome import FAILURE, GOOD, UNKNOWN, WARNING, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from cryptography import x509

    from mailguard.check.outcome import State

_DAY = 86400
_SOON = 14
_LARGEST = 65536
_MOST_NAMES = 100
_LEAST_BITS = {"RSA": 2048, "DSA": 2048, "EC": 224}
_OLD_HASHES = frozenset({"md5", "sha1"})
_SELF_SIGNED = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
_SEEN_HERE = frozenset({9, 10, 62, 66})  # what OpenSSL says about dates, name and size of the key
_OLD_HASH = 68  # X509_V_ERR_CA_MD_TOO_WEAK, of any certificate of the chain
_PROMISED = frozenset({"expired", "not-yet", "self-signed", "untrusted", "name", "weak-hash"})


class Certificate:
    """One certificate; raises ValueError when it cannot be read.

    der; not_before, not_after: Unix time; self_issued: issuer and subject are the same; names: DNS names for which it
    was issued, lower case; issuer: organization or name; key: kind and size, ("?", 0) for one that is not known; hash:
    of the signature, "" for a scheme without one of its own; public_key_info: SubjectPublicKeyInfo in DER.
    """

    __slots__ = ("der", "hash", "issuer", "key", "names", "not_after", "not_before", "public_key_info", "self_issued")

    def __init__(self, der: bytes) -> None:
        if len(der) > _LARGEST:
            raise ValueError("too large")
        self.der = der
        try:
            self._read()
        except MemoryError:
            raise
        except Exception as error:  # cryptography meets hostile bytes here, and has errors of many kinds
            raise ValueError("unreadable") from error

    def _read(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        read = x509.load_der_x509_certificate(self.der)
        self.not_before = read.not_valid_before_utc.timestamp()
        self.not_after = read.not_valid_after_utc.timestamp()
        self.self_issued = read.issuer == read.subject
        self.names = _names(read)
        self.issuer = _issuer(read)
        public = read.public_key()
        self.key = _key(public)
        self.public_key_info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        algorithm = read.signature_hash_algorithm
        self.hash = algorithm.name if algorithm else ""

    @property
    def key_digest(self) -> str:
        """What a TLSA record 3 1 1 holds (RFC 6698 2.1)."""
        import hashlib

        return hashlib.sha256(self.public_key_info).hexdigest()

    def is_for(self, host: str) -> bool:
        """Whether it was issued for this host: `*` stands for the whole first label (RFC 9525 6.3)."""
        above = host.partition(".")[2]
        return any(name == host or (name.startswith("*.") and above == name[2:]) for name in self.names)


def _names(read: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        extension = read.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)[:_MOST_NAMES]]


def _issuer(read: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for attribute in read.issuer.get_attributes_for_oid(kind):
            return str(attribute.value)
    return "?"


def _key(key: object) -> tuple[str, int]:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.key_size
    return ("Ed25519", 256) if isinstance(key, ed25519.Ed25519PublicKey) else ("?", 0)


def chain(connection: ssl.SSLSocket) -> list[bytes]:
    """Return the certificates that the server sent, its own first, in DER."""
    ask = getattr(connection, "get_unverified_chain", None)  # public since Python 3.13
    if ask is not None:
        return [bytes(der) for der in ask()]
    inner = getattr(connection, "_sslobj", None)
    ask = getattr(inner, "get_unverified_chain", None)
    if ask is not None:
        import _ssl

        return [bytes(each.public_bytes(_ssl.ENCODING_DER)) for each in ask() or ()]
    leaf = connection.getpeercert(binary_form=True)
    return [leaf] if leaf else []


class Shown:
    """What a server showed in a handshake: its chain (DER, its own first), and what OpenSSL said against it.

    error: (code, text) of the verification, None when it was trusted.
    """

    __slots__ = ("chain", "error")

    def __init__(self, certificates: Sequence[bytes], error: tuple[int, str] | None) -> None:
        self.chain = list(certificates)
        self.error = error


def leaf(shown: Shown) -> Certificate | None:
    """Return the certificate of the server itself, None where it cannot be read."""
    try:
        return Certificate(shown.chain[0])
    except (ValueError, IndexError):
        return None


def judge(shown: Shown, host: str, now: float, *, enforced: bool, by_key: bool = False) -> list[Outcome]:
    """Judge a certificate.

    by_key: DANE names its key, so that nothing else counts for those who look (RFC 7672 3.1.1), and for those who do
    not look nothing counts at all.
    enforced: the domain has promised by MTA-STS that trust, name and dates are right, so that mail does not arrive
    otherwise; without that, senders encrypt but do not look (RFC 7435).
    """
    own = leaf(shown)
    if own is None:
        return [Outcome("tls.cert", UNKNOWN, "unreadable", subject=host)]
    kind, bits = own.key
    values = {
        "key": f"{kind} {bits}" if kind in _LEAST_BITS else kind,
        "issuer": own.issuer,
        "names": ", ".join(own.names) or "-",
        "hash": own.hash,
        "days": int(abs(own.not_after - now) // _DAY),
        "error": shown.error[1] if shown.error else "",
        "ends": int(own.not_after),
    }
    problems = [*_dates(own, now), *_trust(shown, own, host), *_strength(own)]
    evidence = [f"names: {values['names']}", f"issuer: {own.issuer}", f"key: {values['key']}, signed with {own.hash}"]
    outcomes = []
    for reason in problems:
        state: State = WARNING
        severity = None
        if enforced and reason in _PROMISED:
            state, severity = FAILURE, "critical" if reason == "expired" else "high"
        elif by_key and reason in _PROMISED:
            severity = "informational"
        outcomes.append(Outcome("tls.cert", state, reason, values, evidence, subject=host, severity=severity))
    return outcomes or [Outcome("tls.cert", GOOD, "good", values, evidence, subject=host)]


def _dates(leaf: Certificate, now: float) -> list[str]:
    if now > leaf.not_after:
        return ["expired"]
    if now < leaf.not_before:
        return ["not-yet"]
    return ["soon"] if leaf.not_after - now < _SOON * _DAY else []


def _trust(shown: Shown, leaf: Certificate, host: str) -> list[str]:
    found = []
    seen = _SEEN_HERE | {_OLD_HASH} if leaf.hash in _OLD_HASHES else _SEEN_HERE
    if shown.error is not None and shown.error[0] not in seen:
        found.append("self-signed" if shown.error[0] == _SELF_SIGNED else "untrusted")
    elif shown.error is not None and leaf.self_issued and len(shown.chain) == 1:
        found.append("self-signed")  # its date was complained about first
    if not leaf.is_for(host):
        found.append("name")
    return found


def _strength(leaf: Certificate) -> list[str]:
    kind, bits = leaf.key
    found = ["weak-key"] if bits < _LEAST_BITS.get(kind, 0) else []
    if leaf.hash in _OLD_HASHES and not leaf.self_issued:
        found.append("weak-hash")
    return found
