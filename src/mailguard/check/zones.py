"""What the zones of a domain and its mail servers show: DNSSEC, name servers, CAA, reverse names."""

from __future__ import annotations

from mailguard.check.outcome import FAILURE, GOOD, UNKNOWN, WARNING, Outcome
from mailguard.check.proof import BOGUS, INSECURE, SECURE
from mailguard.check.routing import failed, silent
from mailguard.dns import NODATA, OK, SERVFAIL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailguard.check.proof import Proof
    from mailguard.dns import Answer, Resolver

    Unchecked = Callable[[str, str], Answer]
    Authoritative = Callable[[str, str], bool | None]

_MOST_SERVERS = 12
_MOST_ASKED = 6
_ENDING = 12 * 3600  # Zonemaster's DNSSEC04; who signs anew each day is never so late


def ancestors(name: str) -> Iterator[str]:
    """Yield a name and the names above it, without the root."""
    while name:
        yield name
        name = name.partition(".")[2]


def apex(name: str, resolver: Resolver) -> str | None:
    """Return the name of the zone in which a name lies, None when the DNS does not say."""
    for candidate in ancestors(name):
        answer = resolver.query(candidate, "SOA")
        if answer.status == OK and resolver.query(candidate, "CNAME").status != OK:
            return candidate
        if silent(answer):
            return None
    return None


def dnssec(
    check: str, name: str, rdtype: str, resolver: Resolver, unchecked: Unchecked | None, *, trusted: bool
) -> Outcome:
    """Judge DNSSEC by what a validating name server says about (name, rdtype).

    unchecked: asks the same server with checking disabled (RFC 4035 3.2.2), to tell bogus from broken, None where that
    is not possible; trusted: nobody stands between us and the name server.
    """
    answer = resolver.query(name, rdtype)
    if silent(answer):
        if answer.status == SERVFAIL and unchecked is not None and unchecked(name, rdtype).status in {OK, NODATA}:
            return Outcome(check, FAILURE, "bogus", {"name": name}, subject=name, severity="high")
        return failed(check, name, rdtype, answer, subject=name)
    if answer.authenticated_data:
        if trusted:
            return Outcome(check, GOOD, "good", {}, [f"{name} {rdtype}: AD"], subject=name)
        return Outcome(check, UNKNOWN, "untrusted", subject=name)
    return _insecure(check, name, resolver)


def proved(outcome: Outcome, proof: Proof, now: float) -> Outcome:
    """Return what our own proof says, beside what the name server said: where they differ, the stricter counts.

    A proof that could not be made, because signatures do not come through, leaves the word of the name server.
    """
    if proof.state == SECURE and outcome.reason != "bogus":
        left = {"ends": proof.ends, "hours": max(0, int((proof.ends - now) // 3600))}
        ending = 0 < proof.ends < now + _ENDING
        state, reason = (WARNING, "ending") if ending else (GOOD, "good")
        return Outcome(outcome.check, state, reason, left, proof.steps, subject=outcome.subject)
    if outcome.state == GOOD or proof.state not in {INSECURE, BOGUS}:
        return outcome
    values = {"zone": proof.zone, "detail": proof.detail, "name": outcome.subject, "ds": "; ".join(proof.ds)}
    if proof.state == INSECURE:
        return Outcome(outcome.check, WARNING, proof.reason, values, proof.steps, subject=outcome.subject)
    reason = f"bogus-{proof.reason}"
    return Outcome(outcome.check, FAILURE, reason, values, proof.steps, subject=outcome.subject, severity="high")


def _insecure(check: str, name: str, resolver: Resolver) -> Outcome:
    """Tell a zone without signatures from a name server that does not look at them."""
    zone = apex(name, resolver)
    if zone is None:
        return failed(check, name, "SOA", resolver.query(name, "SOA"), subject=name)
    delegation = resolver.query(zone, "DS")
    if silent(delegation):
        return failed(check, zone, "DS", delegation, subject=name)
    if delegation.status == OK:
        evidence = [f"{zone} DS {record}" for record in delegation.names]
        return Outcome(check, UNKNOWN, "unvalidated", {}, evidence, subject=name)
    return Outcome(check, WARNING, "unsigned", {"zone": zone}, subject=name)


def name_servers(domain: str, resolver: Resolver, authoritative: Authoritative | None = None) -> Outcome:
    """Judge whether the name servers of the domain's zone serve it, and stand in different networks (RFC 2182).

    authoritative: asks one of them (address, zone), None where that is not possible.
    """
    zone = apex(domain, resolver) or domain
    answer = resolver.query(zone, "NS")
    if not answer.names:
        return failed("ns", zone, "NS", answer)
    names = answer.names[:_MOST_SERVERS]
    values = {"names": ", ".join(names)}
    if len(names) < 2:
        return Outcome("ns", WARNING, "single", values)
    resolver.prefetch((name, rdtype) for name in names for rdtype in ("A", "AAAA"))
    addresses = [
        address for name in names for rdtype in ("A", "AAAA") for address in resolver.query(name, rdtype).names
    ]
    if not addresses:
        return failed("ns", names[0], "A", resolver.query(names[0], "A"))
    lame = _lame(zone, names, resolver, authoritative)
    if lame:
        return Outcome("ns", WARNING, "lame", {**values, "lame": ", ".join(lame)}, addresses, severity="medium")
    if (
        len({_network(address) for address in addresses if ":" not in address})
        < 2
        > len({_network(address) for address in addresses if ":" in address})
    ):
        return Outcome("ns", WARNING, "same-network", {**values, "addresses": ", ".join(addresses)})
    return Outcome("ns", GOOD, "good", values, addresses)


def _lame(zone: str, names: Sequence[str], resolver: Resolver, authoritative: Authoritative | None) -> list[str]:
    """Return the name servers that do not serve the zone; where all keep silent, it is our network that fails."""
    if authoritative is None:
        return []
    said: dict[str, bool | None] = {}
    for name in names[:_MOST_ASKED]:
        addresses = [each for rdtype in ("A", "AAAA") for each in resolver.query(name, rdtype).names]
        answers = (authoritative(address, zone) for address in addresses[:1])
        said[name] = next(answers, False)
    return [name for name, serves in said.items() if serves is False] if True in said.values() else []


def _network(address: str) -> str:
    from ipaddress import ip_network

    return str(ip_network(f"{address}/{48 if ':' in address else 24}", strict=False))


def caa(host: str, resolver: Resolver) -> Outcome:
    """Find the CAA records for a host, climbing to its top (RFC 8659 3)."""
    for name in ancestors(host):
        answer = resolver.query(name, "CAA")
        if silent(answer):
            return failed("caa", name, "CAA", answer, subject=host)
        if answer.names:
            limited = [record for record in answer.names if record.split(" ")[1:2] == ["issue"]]
            if limited and all(record.split(" ", 2)[2].strip('"; ') == "" for record in limited):
                values = {"place": name, "record": limited[0]}
                return Outcome("caa", WARNING, "nobody", values, answer.names, subject=host, severity="medium")
            if limited:
                return Outcome("caa", GOOD, "good", {"place": name, "record": limited[0]}, answer.names, subject=host)
            break
    return Outcome("caa", WARNING, "missing", subject=host)


def reverse(host: str, address: str, resolver: Resolver) -> Outcome:
    """Judge the reverse name of a server's address."""
    from ipaddress import ip_address

    from mailguard.verify import iprev

    found = iprev.check(address, resolver)
    pointer = ip_address(address).reverse_pointer
    values = {"address": address, "pointer": pointer, "name": found.name}
    if found.result == "temperror":
        return failed("mx.ptr", pointer, "PTR", resolver.query(pointer, "PTR"), subject=host)
    state, reason = {"pass": (GOOD, "good"), "fail": (WARNING, "mismatch")}.get(
        found.result or "", (WARNING, "missing")
    )
    return Outcome("mx.ptr", state, reason, values, _names(pointer, resolver), subject=host)


def _names(pointer: str, resolver: Resolver) -> Sequence[str]:
    return [f"{pointer} PTR {name}" for name in resolver.query(pointer, "PTR").names]
