"""Our own proof of DNSSEC: from the trust anchors of the root down to the records, signature by signature.

Names what is wrong, where a name server that validates says no more than SERVFAIL, and works behind one that does not,
as long as it hands signatures on (RFC 4035 3.2.1).  Of dnspython come the signatures and hashes; what follows from them
(delegations, denial of existence, wildcards) is here.
"""

from __future__ import annotations

import os
from functools import cache
from threading import RLock

import dns.dnssec
import dns.exception
import dns.flags
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.DS
import dns.rrset

from mailguard.check.denial import Denial
from mailguard.check.proof import BOGUS, INSECURE, SECURE, UNKNOWN, Proof, ProofEnded, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from dns.message import Message
    from dns.name import Name
    from dns.node import Node
    from dns.rdataset import Rdataset
    from dns.rrset import RRset

    Ask = Callable[[str, str], Message | None]
    Keys = dict[Name, Node | Rdataset]

# RFC 8624 and RFC 9905: RSA with SHA-1, DSA, GOST and DS by SHA-1 prove nothing any longer.
_ALGORITHMS = frozenset({8, 10, 13, 14, 15, 16})
_DIGESTS = frozenset({2, 4})
_MOST_QUESTIONS = 120
_MOST_KEYS = 24  # of one zone (CVE-2023-50387: KeyTrap)
_MOST_SIGNATURES = 8  # of one set of records
_MOST_ALIASES = 8
_SEP = 0x0001


@cache
def root_anchors() -> tuple[str, ...]:
    """Return the DS records of the root that are shipped (RFC 9718).

    A new one comes a year before an old one goes (RFC 5011), so a release has both.
    """
    with open(os.path.join(os.path.dirname(__file__), "root-anchors.txt"), encoding="ascii") as file:
        return tuple(line.strip() for line in file if line.strip() and not line.startswith("#"))


class Validator:
    """Proves answers.

    ask: returns the whole response for (name, type), with signatures and unchecked (DO and CD), None without one; now:
    Unix time; anchors: DS records of the root.  What was asked once is known; may be used from several threads.
    """

    def __init__(self, ask: Ask, now: float, anchors: Sequence[str] | None = None) -> None:
        self._ask = ask
        self._now = now
        self._anchors = root_anchors() if anchors is None else anchors
        self._responses: dict[tuple[str, str], Message | None] = {}
        self._proofs: dict[tuple[object, ...], Proof] = {}
        self._lock = RLock()

    def prove(self, name: str, rdtype: str, given: Mapping[str, Sequence[str]] | None = None) -> Proof:
        """Prove the records of a name, or that there are none; given: DS records as they would be, by zone."""
        key = (name, rdtype, repr(sorted((given or {}).items())))
        with self._lock:
            if key not in self._proofs:
                walk = _Walk(self._response, self._now, self._anchors, given or {})
                self._proofs[key] = walk.proof(name, rdtype)
            return self._proofs[key]

    def _response(self, name: str, rdtype: str) -> Message | None:
        question = (name, rdtype)
        if question not in self._responses:
            if len(self._responses) >= _MOST_QUESTIONS:
                return None
            self._responses[question] = self._ask(name, rdtype)
        return self._responses[question]


class _Walk:
    """One proof: from the root to the records."""

    def __init__(self, ask: Ask, now: float, anchors: Sequence[str], given: Mapping[str, Sequence[str]]) -> None:
        self._ask = ask
        self._now = now
        self._anchors = anchors
        self._given = {dns.name.from_text(zone): texts for zone, texts in given.items()}
        self._ends: list[int] = []
        self._steps: list[str] = []

    def proof(self, name: str, rdtype: str) -> Proof:
        try:
            self._prove(dns.name.from_text(name), dns.rdatatype.from_text(rdtype))
        except ProofEnded as found:
            found.proof.steps = self._steps
            return found.proof
        except (dns.exception.DNSException, ValueError, IndexError, AttributeError):
            return Proof(UNKNOWN, "garbage")
        proof = Proof(SECURE)
        proof.ends, proof.steps = min(self._ends, default=0), self._steps
        return proof

    def _prove(self, name: Name, rdtype: Any) -> None:
        for _ in range(_MOST_ALIASES):
            zone, keys = self._descend(name, parent=rdtype == dns.rdatatype.DS)
            response = self._response(name, rdtype)
            for wanted in (rdtype, dns.rdatatype.CNAME):
                rrset = response.get_rrset(response.answer, name, dns.rdataclass.IN, wanted)
                if rrset is not None:
                    self.check(rrset, response.answer, zone, keys, authority=response.authority)
                    break
            else:
                Denial(self, response, zone, keys).of(name, rdtype)
                return
            if rrset.rdtype == rdtype:
                return
            name = rrset[0].target
        raise ProofEnded(Proof(UNKNOWN, "aliases"))

    def _response(self, name: Name, rdtype: Any) -> Any:
        response = self._ask(name.to_text(omit_final_dot=True) or ".", dns.rdatatype.to_text(rdtype))
        if response is None or response.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            raise ProofEnded(Proof(UNKNOWN, "silent", str(name)))
        return response

    def _descend(self, name: Name, *, parent: bool) -> tuple[Name, Keys]:
        """Return the zone in which a name lies, and its keys; parent: the zone above, where name is the top of one."""
        zone = dns.name.root
        anchors = [_ds(text) for text in self._anchors]
        keys = self._keys(zone, anchors)
        depths = range(len(name.labels) - 1, 0, -1)
        for start in [depth - 1 for depth in depths][: -1 if parent else None]:
            child = dns.name.Name(name.labels[start:])
            records = self._delegation(child, zone, keys)
            if records is not None:
                zone, keys = child, self._keys(child, records)
            elif self._response(child, dns.rdatatype.DS).rcode() == dns.rcode.NXDOMAIN:
                break
        return zone, keys

    def _delegation(self, child: Name, zone: Name, keys: Keys) -> list[Any] | None:
        """Return the DS records of a zone, None where it is none of its own; raises ProofEnded for an insecure one."""
        if child in self._given:
            return [_ds(text) for text in self._given[child]]
        response = self._response(child, dns.rdatatype.DS)
        rrset = response.get_rrset(response.answer, child, dns.rdataclass.IN, dns.rdatatype.DS)
        if rrset is None:
            alias = response.get_rrset(response.answer, child, dns.rdataclass.IN, dns.rdatatype.CNAME)
            if alias is None and not Denial(self, response, zone, keys).is_delegation(child):
                return None
            if alias is not None:
                return None
            raise ProofEnded(self._undelegated(child))
        self.check(rrset, response.answer, zone, keys)
        known = [record for record in rrset if record.algorithm in _ALGORITHMS and record.digest_type in _DIGESTS]
        if not known:
            raise ProofEnded(Proof(INSECURE, "old-algorithm", written(child), str(rrset[0].algorithm)))
        return known

    def _undelegated(self, child: Name) -> Proof:
        """Say of a zone without DS whether it is signed all the same, and what its parent would have to publish."""
        proof = Proof(INSECURE, "unsigned", written(child))
        try:
            response = self._response(child, dns.rdatatype.DNSKEY)
            rrset = response.get_rrset(response.answer, child, dns.rdataclass.IN, dns.rdatatype.DNSKEY)
            if rrset is None:
                return proof
            heads = [key for key in list(rrset)[:_MOST_KEYS] if key.flags & _SEP and key.algorithm in _ALGORITHMS]
            self.check(rrset, response.answer, child, {child: _only(rrset, heads)})
        except (ProofEnded, dns.exception.DNSException):
            return proof
        signers = {record.key_tag for record in self._signatures(rrset, response.answer)}
        records = [dns.dnssec.make_ds(child, key, "SHA256") for key in heads if dns.dnssec.key_id(key) in signers]
        proof.ds = [record.to_text() for record in records]
        proof.reason = "no-ds" if records else "unsigned"
        return proof

    def _keys(self, zone: Name, delegated: Sequence[Any]) -> Keys:
        """Return the keys of a zone, proved by one that its DS records name."""
        response = self._response(zone, dns.rdatatype.DNSKEY)
        rrset = response.get_rrset(response.answer, zone, dns.rdataclass.IN, dns.rdatatype.DNSKEY)
        if rrset is None:
            raise ProofEnded(Proof(UNKNOWN if zone == dns.name.root else BOGUS, "keys", written(zone), "DNSKEY"))
        named = [key for key in list(rrset)[:_MOST_KEYS] if any(_names(record, zone, key) for record in delegated)]
        if not named:
            tags = ", ".join(str(record.key_tag) for record in delegated)
            raise ProofEnded(Proof(UNKNOWN if zone == dns.name.root else BOGUS, "keys", written(zone), tags))
        self.check(rrset, response.answer, zone, {zone: _only(rrset, named)})
        self._steps.append(f"{zone} DNSKEY {', '.join(str(dns.dnssec.key_id(key)) for key in named)}")
        return {zone: _only(rrset, list(rrset)[:_MOST_KEYS])}

    def _signatures(self, rrset: RRset, section: Iterable[RRset]) -> list[Any]:
        return [
            record
            for each in section
            if each.rdtype == dns.rdatatype.RRSIG and each.name == rrset.name and each.covers == rrset.rdtype
            for record in each
        ][:_MOST_SIGNATURES]

    def check(
        self, rrset: RRset, section: Iterable[RRset], zone: Name, keys: Keys, *, authority: Iterable[RRset] = ()
    ) -> None:
        """Check that a zone signed a set of records; raises ProofEnded with what is wrong."""
        signatures = [each for each in self._signatures(rrset, section) if each.signer == zone]
        place = f"{written(rrset.name)} {dns.rdatatype.to_text(rrset.rdtype)}"
        if not signatures:
            state = UNKNOWN if zone == dns.name.root else BOGUS  # on the way here somebody takes signatures away
            raise ProofEnded(Proof(state, "unsigned-records", written(zone), place))
        problem = Proof(BOGUS, "signature", written(zone), place)
        for signature in signatures:
            if signature.expiration < self._now:
                problem = Proof(BOGUS, "expired", written(zone), f"{place}, {_ago(self._now - signature.expiration)}")
            elif signature.inception > self._now + 300:
                problem = Proof(BOGUS, "early", written(zone), place)
            elif signature.algorithm in _ALGORITHMS and self._verifies(rrset, signature, keys):
                self._ends.append(signature.expiration)
                if signature.labels < len(rrset.name.labels) - 1 - rrset.name.is_wild():
                    self._check_wildcard(rrset.name, signature.labels, authority, zone, keys)
                return
        raise ProofEnded(problem)

    def _verifies(self, rrset: RRset, signature: Any, keys: Keys) -> bool:
        try:
            dns.dnssec.validate_rrsig(rrset, signature, keys, now=self._now, policy=dns.dnssec.allow_all_policy)
        except (dns.exception.DNSException, ValueError):
            return False
        return True

    def _check_wildcard(self, name: Name, labels: int, authority: Iterable[RRset], zone: Name, keys: Keys) -> None:
        """RFC 4035 5.3.4: records of a wildcard count where no closer name exists."""
        closer = dns.name.Name(name.labels[-(labels + 2) :])
        Denial(self, None, zone, keys, list(authority)).covers(closer)


def _ds(text: str) -> Any:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DS, text)


def _names(record: Any, zone: Name, key: Any) -> bool:
    """Whether a DS record names a key."""
    if record.key_tag != dns.dnssec.key_id(key) or record.algorithm != key.algorithm or key.flags & 0x0080:
        return False
    made = dns.dnssec.make_ds(zone, key, record.digest_type, policy=dns.dnssec.allow_all_policy)
    return bool(made.digest == record.digest)


def _only(rrset: RRset, keys: Sequence[Any]) -> RRset:
    chosen = dns.rrset.RRset(rrset.name, rrset.rdclass, rrset.rdtype)
    for key in keys:
        chosen.add(key, rrset.ttl)
    return chosen


def _ago(seconds: float) -> str:
    return f"{int(seconds // 86400)} d" if seconds >= 2 * 86400 else f"{int(seconds // 3600)} h"
