"""A signed DNS in this process, from the root on: zones are signed by dnspython, and every denial is what RFCs ask for.

`Signed(zones)` is what `chain.Validator` asks; zones: {name: text of its records}.  Faults come by changing `zones`
before `sign`, or the responses by `change`.
"""

from __future__ import annotations

import base64
import functools

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.NSEC
import dns.rdtypes.ANY.NSEC3
import dns.rrset
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec
from dns.rdtypes.ANY.NSEC import Bitmap

NSEC, NSEC3, RRSIG, DS = (dns.rdatatype.from_text(text) for text in ("NSEC", "NSEC3", "RRSIG", "DS"))


@functools.cache
def key(number):
    private = ec.generate_private_key(ec.SECP256R1())
    return private, dns.dnssec.make_dnskey(private.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)


class Signed:
    """unsigned: zones without signatures; undelegated: signed ones whose parent has no DS; hashed: those with NSEC3;
    lifetimes: (inception, expiration) by zone; now: around which the others are; change: edits a response."""

    def __init__(
        self, zones, now, *, unsigned=(), undelegated=(), hashed=(), optout=(), lifetimes=None, other_ds=(), change=None
    ):
        self.change = change or (lambda response: response)
        self.asked = []
        self.zones, self._keys = {}, {}
        for number, name in enumerate(sorted(zones, key=len, reverse=True)):
            self._keys[name] = key(number)
        for name in sorted(zones, key=dns.name.from_text, reverse=True):
            apex = dns.name.from_text(name)
            zone = dns.zone.from_text(zones[name], origin=apex, relativize=False, check_origin=False)
            if name not in unsigned:
                for child in zones:
                    below = dns.name.from_text(child)
                    if (
                        below != apex
                        and below.is_subdomain(apex)
                        and self._parent(below, zones) == name
                        and child not in {*unsigned, *undelegated}
                    ):
                        digest = dns.dnssec.make_ds(
                            below, key(99 if child in other_ds else self._number(child, zones))[1], "SHA256"
                        )
                        zone.find_rdataset(below, DS, create=True).add(digest, 300)
                begin, end = (lifetimes or {}).get(name, (now - 3600, now + 10 * 86400))
                dns.dnssec.sign_zone(zone, keys=[self._keys[name]], inception=begin, expiration=end)
                if name in hashed:
                    self._hash(zone, apex, begin, end, optout=name in optout)
            self.zones[apex] = zone

    @staticmethod
    def _number(name, zones):
        return sorted(zones, key=len, reverse=True).index(name)

    @staticmethod
    def _parent(name, zones):
        above = [
            each for each in zones if name.is_subdomain(dns.name.from_text(each)) and dns.name.from_text(each) != name
        ]
        return max(above, key=len)

    @property
    def anchors(self):
        return [dns.dnssec.make_ds(dns.name.root, self._keys["."][1], "SHA256").to_text()]

    def ds(self, name):
        return dns.dnssec.make_ds(dns.name.from_text(name), self._keys[name][1], "SHA256").to_text()

    def _hash(self, zone, apex, begin, end, *, optout):
        """Put NSEC3 in the place of NSEC."""
        types = {}
        for name, node in zone.items():
            node.rdatasets = [each for each in node.rdatasets if each.rdtype != NSEC and each.covers != NSEC]
            have = {each.rdtype for each in node.rdatasets}
            delegation = dns.rdatatype.NS in have and name != apex
            if not (optout and delegation and DS not in have):
                types[name] = have
            above = name
            while above != apex:
                above = above.parent()
                types.setdefault(above, set())
        salt = b"\xab"
        digests = sorted((dns.dnssec.nsec3_hash(name, salt, 2, 1), name) for name in types)
        for (digest, name), (after, _) in zip(digests, [*digests[1:], digests[0]], strict=True):
            raw = base64.b32hexdecode(after)
            record = dns.rdtypes.ANY.NSEC3.NSEC3(
                dns.rdataclass.IN, NSEC3, 1, int(optout), 2, salt, raw, Bitmap.from_rdtypes(sorted(types[name])).windows
            )
            owner = dns.name.Name((digest.lower().encode(), *apex.labels))
            rrset = dns.rrset.from_rdata(owner, 300, record)
            signature = dns.dnssec.sign(rrset, key_of(self, apex)[0], apex, key_of(self, apex)[1], begin, end)
            node = zone.find_node(owner, create=True)
            node.replace_rdataset(rrset.to_rdataset())
            node.find_rdataset(dns.rdataclass.IN, RRSIG, NSEC3, create=True).add(signature, 300)

    def __call__(self, text, rdtype):
        self.asked.append((text, rdtype))
        name, kind = dns.name.from_text(text), dns.rdatatype.from_text(rdtype)
        response = dns.message.make_response(dns.message.make_query(name, kind, want_dnssec=True))
        apexes = [apex for apex in self.zones if name.is_subdomain(apex) and not (kind == DS and apex == name)]
        if not apexes:
            return None
        self._fill(response, self.zones[max(apexes, key=len)], max(apexes, key=len), name, kind)
        response = self.change(response)
        response.flags |= dns.flags.QR
        return dns.message.from_wire(response.to_wire(max_size=65535))

    def _fill(self, response, zone, apex, name, kind):
        source = name if zone.get_node(name) else self._wildcard(zone, apex, name)
        node = zone.get_node(source) if source else None
        for wanted in (kind, dns.rdatatype.CNAME):
            if node and node.get_rdataset(dns.rdataclass.IN, wanted):
                response.answer += sets(node, name, wanted)
                break
        if not response.answer or source != name:
            for owner, each in zone.items():
                if each.get_rdataset(dns.rdataclass.IN, NSEC):
                    response.authority += sets(each, owner, NSEC)
                if each.get_rdataset(dns.rdataclass.IN, NSEC3):
                    response.authority += sets(each, owner, NSEC3)
        below = any(owner.is_subdomain(name) for owner in zone)
        if not response.answer and not source and not below:
            response.set_rcode(3)

    @staticmethod
    def _wildcard(zone, apex, name):
        while name != apex:
            name = name.parent()
            if zone.get_node(dns.name.Name((b"*", *name.labels))):
                return dns.name.Name((b"*", *name.labels))
            if any(owner.is_subdomain(name) for owner in zone):
                return None
        return None


def key_of(signed, apex):
    return signed._keys[apex.to_text(omit_final_dot=True) or "."]


def sets(node, name, kind):
    """The records of a type, and their signatures."""
    found = [dns.rrset.from_rdata_list(name, 300, list(node.get_rdataset(dns.rdataclass.IN, kind)))]
    signatures = node.get_rdataset(dns.rdataclass.IN, RRSIG, kind)
    if signatures:
        made = dns.rrset.RRset(name, dns.rdataclass.IN, RRSIG, kind)
        for each in signatures:
            made.add(each, 300)
        found.append(made)
    return found
