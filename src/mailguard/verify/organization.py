"""Which domains belong to one organization: by the DNS tree walk (RFC 9989 4.10) or by the public suffix list.

The walk decides; the list (RFC 7489 3.2) is for comparison, and for the one thing that it knows better: that a name
such as `co.uk` is nobody's own.
"""

from __future__ import annotations

from functools import cache

from mailguard.verify.policy import DmarcRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mailguard.dns import Question, Resolver

MAX_QUERIES = 8


class TreeWalk:
    """What a tree walk found.

    start: the domain at which it began; policies: (domain, record) from the longest name to the shortest; failed: name
    of the question that could not be answered now, or None.
    """

    __slots__ = ("failed", "policies", "start")

    def __init__(self, start: str) -> None:
        self.start = start
        self.policies: list[tuple[str, DmarcRecord]] = []
        self.failed: str | None = None

    @property
    def organizational_domain(self) -> str:
        """The organizational domain by RFC 9989 4.10.2."""
        for domain, policy in self.policies:
            if policy.psd == "n":
                return domain
            if policy.psd == "y" and domain != self.start:
                return _one_label_below(domain, self.start)
        return self.policies[-1][0] if self.policies else self.start

    @property
    def applicable(self) -> tuple[str, DmarcRecord] | None:
        """The record that applies to an author domain, with its place: its own, its organization's, its registry's."""
        places = dict(self.policies)
        for domain in (self.start, self.organizational_domain):
            if domain in places:
                return domain, places[domain]
        registry = [(domain, policy) for domain, policy in self.policies if policy.psd == "y"]
        return registry[0] if registry else None

    def as_dict(self) -> dict[str, Any]:
        """Return the walk as written by --json."""
        return {
            "start": self.start,
            "records": [
                {"domain": domain, "p": policy.p, "sp": policy.sp, "np": policy.np, "psd": policy.psd}
                for domain, policy in self.policies
            ],
            "organizational_domain": None if self.failed else self.organizational_domain,
            "failed": self.failed,
        }


def walk(domain: str, resolver: Resolver) -> TreeWalk:
    """Walk from `domain` (lower-case A-labels) to its top-level domain, with at most 8 questions.

    A question that fails ends the walk: what lies above cannot be judged without it.
    """
    tree = TreeWalk(domain)
    for target in walk_targets(domain):
        name = f"_dmarc.{target}"
        answer = resolver.query(name, "TXT")
        if answer.temporary:
            tree.failed = name
            break
        policy = DmarcRecord.only(answer.texts)
        if policy is not None:
            tree.policies.append((target, policy))
            if policy.psd in {"y", "n"}:
                break
    return tree


def walk_targets(domain: str) -> list[str]:
    """Return the domains that a walk from `domain` asks, in order (RFC 9989 4.10)."""
    labels = domain.split(".")
    above = labels[1:] if len(labels) < MAX_QUERIES else labels[-(MAX_QUERIES - 1) :]
    return [domain, *(".".join(above[index:]) for index in range(len(above)))]


def walk_questions(domain: str) -> list[Question]:
    """Return the DNS questions of a walk, for `prefetch`."""
    return [(f"_dmarc.{target}", "TXT") for target in walk_targets(domain)]


def is_public_suffix(domain: str) -> bool:
    """Whether `domain` (lower-case A-labels) is a public suffix of the ICANN section.

    Names of the private section belong to one company each, which signs and sends like any other.
    """
    if "." not in domain:
        return True
    rules = _rules(private=False)
    name = _u_labels(domain).encode()
    if b"!" + name in rules:
        return False
    return not rules.isdisjoint((name, b"*." + name, b"*." + name.partition(b".")[2]))


def registered_domain(domain: str) -> str:
    """Return the organizational domain by the whole public suffix list (RFC 7489 3.2); a suffix is its own."""
    length = _suffix_length(_u_labels(domain).encode().split(b"."), _rules(private=True)) + 1
    return ".".join(domain.split(".")[-length:])


def own_domains(host: str) -> list[str]:
    """Return the domain of the organization that a host name of ours belongs to; none for a name without a dot."""
    name = host.lower().rstrip(".")
    return [registered_domain(name)] if "." in name else []


def _suffix_length(labels: Sequence[bytes], rules: frozenset[bytes]) -> int:
    """Return of how many labels the public suffix of a name consists (https://publicsuffix.org/list/)."""
    for index in range(len(labels)):
        name, above = b".".join(labels[index:]), b".".join(labels[index + 1 :])
        if b"!" + name in rules:
            return len(labels) - index - 1
        if name in rules or b"*." + above in rules:
            return len(labels) - index
    return 1


@cache
def _rules(*, private: bool) -> frozenset[bytes]:
    # The plain lines are enough here and take a twentieth of the time of building the library's suffix table.
    from publicsuffixlist import PSLFILE

    with open(PSLFILE, "rb") as file:
        text = file.read()
    return frozenset((text if private else text.partition(b"===END ICANN DOMAINS===")[0]).split(b"\n"))


def _u_labels(domain: str) -> str:
    if "xn--" not in domain:
        return domain
    import dns.exception
    import dns.name

    try:
        return dns.name.from_text(domain).to_unicode(omit_final_dot=True)
    except (dns.exception.DNSException, UnicodeError):
        return domain


def _one_label_below(domain: str, start: str) -> str:
    labels = domain.count(".") + 2
    return ".".join(start.split(".")[-labels:])
