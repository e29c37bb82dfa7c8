"""Where mail for a domain goes: MX, addresses, and what stands against them (RFC 5321 5.1, RFC 7505)."""

from __future__ import annotations

from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome
from mailguard.dns import LIMIT, NXDOMAIN
from mailguard.dns.names import domain_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.dns import Answer, Resolver

_MOST_HOSTS = 10  # that are looked at
_MOST_NAMES = 50  # that are looked up
_MOST_ADDRESSES = 4  # of one host and family


class Host:
    """One mail server by name: preference of its MX; addresses, IPv6 first, as a sender would try them."""

    __slots__ = ("addresses", "name", "preference")

    def __init__(self, name: str, preference: int, addresses: Sequence[str]) -> None:
        self.name = name
        self.preference = preference
        self.addresses = tuple(addresses)


class Route:
    """hosts: those with an address, by preference, the first ten; names: all MX names; null: the domain takes no mail.

    exists: whether there is such a domain at all; unvisited: names of hosts beyond the first ten.
    """

    __slots__ = ("exists", "hosts", "names", "null", "outcomes", "unvisited")

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self.names: list[str] = []
        self.null = False
        self.exists = True
        self.outcomes: list[Outcome] = []
        self.unvisited: list[str] = []


def silent(answer: Answer) -> bool:
    """Whether an answer says nothing about the domain: the DNS failed, or there were too many questions or records."""
    return answer.temporary or answer.status == LIMIT


def failed(check: str, name: str, rdtype: str, answer: Answer, *, subject: str = "") -> Outcome:
    """Return the outcome where the DNS did not answer."""
    return Outcome(
        check, UNKNOWN, "dns-failed", {"name": name, "type": rdtype, "status": answer.status}, (), subject=subject
    )


def route(domain: str, resolver: Resolver) -> Route:
    """Find the mail servers of a domain."""
    found = Route()
    answer = resolver.query(domain, "MX")
    if silent(answer):
        found.outcomes.append(failed("mx.exists", domain, "MX", answer))
    elif answer.status == NXDOMAIN:
        found.exists = False
        found.outcomes.append(Outcome("mx.exists", UNKNOWN, "nonexistent"))  # mistyped, most of the time
    elif not answer.exchanges:
        _implicit(domain, resolver, found)
    else:
        _explicit(sorted(answer.exchanges)[:_MOST_NAMES], resolver, found)
    if found.hosts:
        found.outcomes += [_ipv6(host) for host in found.hosts]
        found.outcomes += _without_ipv4(found.hosts)
    found.unvisited = [host.name for host in found.hosts[_MOST_HOSTS:]]
    found.hosts = found.hosts[:_MOST_HOSTS]
    return found


def _without_ipv4(hosts: Sequence[Host]) -> list[Outcome]:
    """Name hosts that senders without IPv6 do not reach; where no host has IPv4, those cannot send at all."""
    without = [host for host in hosts if all(":" in address for address in host.addresses)]
    values = {"hosts": ", ".join(host.name for host in without)}
    if not without:
        return []
    if len(without) == len(hosts):
        return [Outcome("mx.exists", FAILURE, "no-ipv4", values, severity="high")]
    return [Outcome("mx.exists", WARNING, "no-ipv4", values, severity="informational")]


def _implicit(domain: str, resolver: Resolver, found: Route) -> None:
    """RFC 5321 5.1: without an MX, the domain itself is the server."""
    addresses, doubt = _addresses(domain, resolver)
    if addresses:
        found.names, found.hosts = [domain], [Host(domain, 0, addresses)]
        found.outcomes.append(Outcome("mx.exists", WARNING, "implicit", {"hosts": domain}, addresses))
    else:
        found.outcomes.append(doubt or _nowhere(domain, resolver))


def _nowhere(domain: str, resolver: Resolver) -> Outcome:
    """Judge a domain to which no mail can go: it is on purpose where its SPF says that none comes from it either."""
    silent_too = any(text.lower().split() == [b"v=spf1", b"-all"] for text in resolver.query(domain, "TXT").texts)
    return (
        Outcome("mx.exists", WARNING, "unused", severity="medium")
        if silent_too
        else (Outcome("mx.exists", FAILURE, "missing"))
    )


def _explicit(exchanges: Sequence[tuple[int, str]], resolver: Resolver, found: Route) -> None:
    evidence = [f"MX {preference} {name or '.'}" for preference, name in exchanges]
    names = list(dict.fromkeys(name.lower() for _, name in exchanges if name))
    if not names:
        found.null = True
        found.outcomes.append(Outcome("mx.exists", GOOD, "null", {}, evidence))
        return
    if len(names) < len({name.lower() for _, name in exchanges}):
        found.outcomes.append(Outcome("mx.exists", FAILURE, "null-mixed", {}, evidence, severity="high"))
    resolver.prefetch((name, rdtype) for name in names for rdtype in ("A", "AAAA", "CNAME"))
    found.names = names
    lost: list[str] = []
    for preference, name in sorted({(preference, name.lower()) for preference, name in exchanges if name}):
        addresses, doubt = _addresses(name, resolver)
        if addresses:
            found.hosts.append(Host(domain_name(name) or name, preference, addresses))
        elif doubt:
            found.outcomes.append(doubt)
        else:
            lost.append(name)
    _judge(found, lost, resolver, evidence)


def _judge(found: Route, lost: Sequence[str], resolver: Resolver, evidence: Sequence[str]) -> None:
    literals = [name for name in lost if _is_address(name)]
    lost = [name for name in lost if name not in literals]
    aliases = [host.name for host in found.hosts if resolver.query(host.name, "CNAME").names]
    severity = "high" if found.hosts else "critical"
    for reason, state, hosts in (
        ("literal", FAILURE, literals),
        ("unresolved", FAILURE, lost),
        ("alias", WARNING, aliases),
    ):
        if hosts:
            values = {"hosts": ", ".join(hosts)}
            found.outcomes.append(Outcome("mx.exists", state, reason, values, evidence, severity=severity))
    if not found.outcomes:
        values = {"hosts": ", ".join(host.name for host in found.hosts)}
        found.outcomes.append(Outcome("mx.exists", GOOD, "good", values, evidence))


def _is_address(name: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _addresses(name: str, resolver: Resolver) -> tuple[list[str], Outcome | None]:
    """Return the addresses of a host; where there is none, but perhaps only now, the outcome that says so."""
    found: list[str] = []
    doubt: Outcome | None = None
    if domain_name(name) is None or _is_address(name):
        return found, doubt
    for rdtype in ("AAAA", "A"):
        answer = resolver.query(name, rdtype)
        found += answer.names[:_MOST_ADDRESSES]
        if silent(answer):
            doubt = failed("mx.exists", name, rdtype, answer, subject=name)
    return found, None if found else doubt


def _ipv6(host: Host) -> Outcome:
    addresses = [address for address in host.addresses if ":" in address]
    if not addresses:
        return Outcome("ipv6", WARNING, "missing", subject=host.name)
    return Outcome("ipv6", GOOD, "good", {"addresses": ", ".join(addresses)}, subject=host.name)


def none_to_check(found: Route, checks: Sequence[str]) -> list[Outcome]:
    """Return what is said about the checks of servers where there is no server."""
    if found.null:
        return [Outcome(check, NOT_APPLICABLE, "null-mx") for check in checks]
    return [Outcome(check, UNKNOWN, "no-server") for check in checks]
