"""What is known about a domain where a finding is to be repaired."""

from __future__ import annotations

from functools import cache

from mailguard.check import policies
from mailguard.check.changes import Change, Repair
from mailguard.dns import OK
from mailguard.verify.organization import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mailguard.check.outcome import Outcome
    from mailguard.dns import Record, Resolver


class Scene:
    """What is known where a finding is to be repaired.

    domain; resolver; outcomes: all of the report; now: Unix time; policy: text of the MTA-STS policy, "" for none;
    digests, issuers: of the certificates in use, by host; mechanism: of SPF for the server that brought the reply.
    """

    def __init__(self, domain: str, resolver: Resolver, outcomes: Sequence[Outcome], now: int) -> None:
        self.domain = domain
        self.resolver = resolver
        self.outcomes = outcomes
        self.now = now
        self.policy = ""
        self.digests: dict[str, list[str]] = {}
        self.issuers: dict[str, str] = {}
        self.mechanism = ""

    def owns(self, name: str) -> bool:
        """Whether a name lies in the domain or its organization."""
        top = walk(self.domain, self.resolver).organizational_domain
        return any(name == each or name.endswith("." + each) for each in (self.domain, top))

    def change(self, name: str, rdtype: str, before: Iterable[Record], after: Iterable[Record]) -> Repair | None:
        """Return the repair that changes records, None where an alias stands or another's name."""
        if self.resolver.query(name, "CNAME").status == OK:
            return None
        return Repair([Change(name, rdtype, before, after)])

    def addresses(self, name: str) -> list[str]:
        """Return the addresses of a host."""
        return [each for rdtype in ("A", "AAAA") for each in self.resolver.query(name, rdtype).names]

    def mailbox(self) -> str:
        """Return where reports can go: what DMARC says, or the mailbox that every domain must have (RFC 5321 4.5.1)."""
        if any(outcome.check == "postmaster" and outcome.reason == "refused" for outcome in self.outcomes):
            return ""
        return "" if policies.takes_no_mail(self.domain, self.resolver) else f"mailto:postmaster@{self.domain}"


@cache
def providers() -> Mapping[str, Mapping[str, str]]:
    """Return what providers want to be written: "senders" by MX, "issuers" by organization."""
    import os
    import tomllib

    with open(os.path.join(os.path.dirname(__file__), "providers.toml"), "rb") as file:
        return tomllib.load(file)
