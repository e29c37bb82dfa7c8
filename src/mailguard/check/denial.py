"""The proof that something does not exist in a zone: NSEC (RFC 4034 4) and NSEC3 (RFC 5155)."""

from __future__ import annotations

import dns.dnssec
import dns.name
import dns.rdatatype

from mailguard.check.proof import BOGUS, INSECURE, Proof, ProofEnded, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Protocol

    from dns.name import Name
    from dns.node import Node
    from dns.rdataset import Rdataset
    from dns.rrset import RRset

    Keys = dict[Name, Node | Rdataset]

    class Signer(Protocol):
        """Checks that a zone signed a set of records; raises ProofEnded."""

        def check(
            self, rrset: RRset, section: Iterable[RRset], zone: Name, keys: Keys, *, authority: Iterable[RRset] = ()
        ) -> None:
            """Check one set; authority: where the proof stands that nothing is closer than a wildcard."""


_MOST_ITERATIONS = 100  # RFC 9276 3.2: more of NSEC3 makes a zone insecure
_MOST_DENIALS = 16


class Denial:
    """The proof that something does not exist: NSEC (RFC 4034 4) or NSEC3 (RFC 5155) of one zone."""

    def __init__(
        self, walk: Signer, response: Any, zone: Name, keys: Keys, section: Sequence[RRset] | None = None
    ) -> None:
        self._walk = walk
        self._zone = zone
        self._keys = keys
        section = response.authority if section is None else section
        self._plain: list[tuple[Name, Any]] = []
        self._hashed: list[tuple[str, Any]] = []
        for rrset in list(section)[: 2 * _MOST_DENIALS]:
            if rrset.rdtype in {dns.rdatatype.NSEC, dns.rdatatype.NSEC3} and rrset.name.is_subdomain(zone):
                walk.check(rrset, section, zone, keys)
                if rrset.rdtype == dns.rdatatype.NSEC:
                    self._plain.append((rrset.name, rrset[0]))
                else:
                    self._hashed.append((rrset.name.labels[0].decode("ascii").upper(), rrset[0]))
        if self._hashed and any(record.iterations > _MOST_ITERATIONS for _, record in self._hashed):
            raise ProofEnded(Proof(INSECURE, "old-algorithm", written(zone), f"NSEC3 {self._hashed[0][1].iterations}"))

    def _missing(self, name: Name) -> ProofEnded:
        return ProofEnded(Proof(BOGUS, "denial", written(self._zone), written(name)))

    def _types(self, name: Name) -> set[int] | None:
        """Return which types a name has, None where no record says so."""
        for owner, record in self._plain:
            if owner == name:
                return _bitmap(record)
        if self._hashed:
            hashed = self._hash(name)
            for digest, record in self._hashed:
                if digest == hashed:
                    return _bitmap(record)
        return None

    def _hash(self, name: Name) -> str:
        record = self._hashed[0][1]
        return dns.dnssec.nsec3_hash(name, record.salt, record.iterations, record.algorithm).upper()

    def covers(self, name: Name) -> bool:
        """Check that a name does not exist; return whether it may exist unsigned (opt-out); raises ProofEnded."""
        for owner, record in self._plain:
            if _between(owner, name, record.next) and not (name.is_subdomain(owner) and _delegates(_bitmap(record))):
                return False
        if self._hashed:
            hashed = self._hash(name)
            for digest, record in self._hashed:
                if _between(digest, hashed, _base32(record.next)):
                    return bool(record.flags & 1)
        raise self._missing(name)

    def _encloser(self, name: Name) -> Name:
        """Return the closest name above that exists; raises ProofEnded without a proof of it."""
        for start in range(1, len(name.labels)):
            above = dns.name.Name(name.labels[start:])
            types = self._types(above)
            if not above.is_subdomain(self._zone) or (types is not None and _delegates(types)):
                break
            if (
                types is not None
                or above == self._zone
                or any(owner.is_subdomain(above) or record.next.is_subdomain(above) for owner, record in self._plain)
            ):
                return above
        raise self._missing(name)

    def of(self, name: Name, rdtype: Any) -> None:
        """Check that a name has no records of a type; raises ProofEnded otherwise."""
        types = self._types(name)
        if types is not None:
            if rdtype in types or dns.rdatatype.CNAME in types:
                raise self._missing(name)
            return
        if any(_between(owner, name, record.next) and record.next.is_subdomain(name) for owner, record in self._plain):
            return  # it is there only because something below it is
        above = self._encloser(name)
        closer = dns.name.Name(name.labels[-(len(above.labels) + 1) :])
        if self.covers(closer):
            raise ProofEnded(Proof(INSECURE, "unsigned", written(closer)))  # opt-out: perhaps it is there
        wildcard = dns.name.Name((b"*", *above.labels))
        types = self._types(wildcard)
        if types is None:
            self.covers(wildcard)
        elif rdtype in types or dns.rdatatype.CNAME in types:
            raise self._missing(name)

    def is_delegation(self, name: Name) -> bool:
        """Whether a name without DS is the top of a zone of its own, which then is insecure; raises ProofEnded."""
        types = self._types(name)
        if types is not None:
            if dns.rdatatype.DS in types or dns.rdatatype.SOA in types:
                raise self._missing(name)
            return dns.rdatatype.NS in types
        try:
            self.of(name, dns.rdatatype.DS)
        except ProofEnded as found:
            if found.proof.state == INSECURE:
                return True
            raise
        return False


def _between(owner: Any, name: Any, after: Any) -> bool:
    """Whether a name lies between two in canonical order (RFC 4034 6.1), the last of which is followed by the first."""
    return bool(owner < name < after or (owner >= after and (name > owner or name < after)))


def _delegates(types: set[int]) -> bool:
    """Whether what lies below is another zone's, about which this one can say nothing (RFC 6840 4.1, 4.4)."""
    return dns.rdatatype.DNAME in types or (dns.rdatatype.NS in types and dns.rdatatype.SOA not in types)


def _bitmap(record: Any) -> set[int]:
    return {
        window * 256 + byte * 8 + bit
        for window, bits in record.windows
        for byte, value in enumerate(bits)
        for bit in range(8)
        if value & (0x80 >> bit)
    }


def _base32(raw: bytes) -> str:
    import base64

    plain, extended = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHIJKLMNOPQRSTUV"
    return base64.b32encode(raw).translate(bytes.maketrans(plain, extended)).decode("ascii").rstrip("=")
