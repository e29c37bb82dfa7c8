"""DNS block lists (RFC 5782): each is first proved alive, and a list that refuses us says nothing about anybody."""

from __future__ import annotations

from mailguard.check.outcome import FAILURE, GOOD, UNKNOWN, WARNING, Outcome
from mailguard.dns import NODATA, NXDOMAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.dns import Answer, Question, Resolver

LISTED, CLEAN, SILENT = "listed", "clean", "silent"
_REFUSAL = "127.255.255."  # Spamhaus and others: the resolver is not served
_LOOPBACK = "127.0.0.1"  # URIBL and others say so for a refusal; no list has it as an entry


class Blocklist:
    """zone; major: whether many receivers refuse what it lists; present, absent: names that must and must not be in it.

    A list of addresses has the test entries of RFC 5782 5; a list of domains names its own.
    """

    __slots__ = ("absent", "major", "present", "zone")

    def __init__(self, zone: str, *, major: bool = True, present: str = "2.0.0.127", absent: str = "1.0.0.127") -> None:
        self.zone = zone
        self.major = major
        self.present = present
        self.absent = absent

    def probes(self) -> list[Question]:
        """Return the questions that prove the list alive."""
        return [(f"{name}.{self.zone}", "A") for name in (self.present, self.absent)]

    def alive(self, resolver: Resolver) -> bool:
        """Whether the list lists what it must, and not everything."""
        present, absent = (resolver.query(*question) for question in self.probes())
        return _state(present) == LISTED and _state(absent) == CLEAN

    def state(self, name: str, resolver: Resolver) -> str:
        """Return LISTED, CLEAN or SILENT for a name in the zone."""
        return _state(resolver.query(f"{name}.{self.zone}", "A")) if self.alive(resolver) else SILENT


def _state(answer: Answer) -> str:
    if answer.status in {NXDOMAIN, NODATA}:
        return CLEAN
    if any(not code.startswith("127.") or code.startswith(_REFUSAL) or code == _LOOPBACK for code in answer.names):
        return SILENT
    return LISTED if answer.names else SILENT


ADDRESSES = (
    Blocklist("zen.spamhaus.org"),
    Blocklist("bl.spamcop.net"),
    Blocklist("b.barracudacentral.org"),
    Blocklist("psbl.surriel.com", major=False),
    Blocklist("dnsbl-1.uceprotect.net", major=False),
)
DOMAINS = (
    Blocklist("dbl.spamhaus.org", present="dbltest.com", absent="invalid"),
    Blocklist("multi.surbl.org", present="test.surbl.org", absent="invalid"),
    Blocklist("multi.uribl.com", present="test.uribl.com", absent="invalid"),
)


def address(subject: str, ip: str, lists: Sequence[Blocklist], resolver: Resolver) -> Outcome:
    """Judge whether an IP address is listed; subject: the host that has it."""
    from ipaddress import ip_address

    reversed_name = ip_address(ip).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
    return _judge("dnsbl.ip", reversed_name, {"address": ip}, lists, resolver, subject)


def domain(name: str, lists: Sequence[Blocklist], resolver: Resolver) -> Outcome:
    """Judge whether a domain is listed."""
    return _judge("dnsbl.domain", name, {}, lists, resolver, "")


def _judge(
    check: str, name: str, values: dict[str, str], lists: Sequence[Blocklist], resolver: Resolver, subject: str
) -> Outcome:
    resolver.prefetch(question for each in lists for question in (*each.probes(), (f"{name}.{each.zone}", "A")))
    states = {each: each.state(name, resolver) for each in lists}
    listing = [each for each, state in states.items() if state == LISTED]
    silent = [each.zone for each, state in states.items() if state == SILENT]
    evidence = [f"{each.zone}: {state}" for each, state in states.items()]
    if listing:
        major = any(each.major for each in listing)
        values = {**values, "lists": ", ".join(each.zone for each in listing)}
        state, severity = (FAILURE, None) if major else (WARNING, "informational")
        return Outcome(check, state, "listed", values, evidence, subject=subject, severity=severity)
    if len(silent) == len(states):
        values = {**values, "lists": ", ".join(silent)}
        return Outcome(check, UNKNOWN, "silent", values, evidence, subject=subject, severity="medium")
    values = {**values, "count": str(len(states) - len(silent))}
    return Outcome(check, GOOD, "good", values, evidence, subject=subject)
