"""DMARC (RFC 9989): whether the domain in From stands behind the message, and the verdict over all methods."""

from __future__ import annotations

from mailguard.findings import show
from mailguard.verify.method import FAIL, NONE, PASS, PERMERROR, TEMPERROR, MethodResult, Verdict
from mailguard.verify.organization import TreeWalk, registered_domain, walk, walk_questions
from mailguard.verify.policy import POLICIES, DmarcRecord, softened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from mailguard.dns import Question, Resolver
    from mailguard.verify.author import Author

    class CheckedIdentity(Protocol):
        """As `spf.check` returns them: identity "mailfrom" or "helo", the checked domain as A-labels."""

        @property
        def identity(self) -> str: ...  # noqa: D102
        @property
        def domain(self) -> str: ...  # noqa: D102
        @property
        def result(self) -> str: ...  # noqa: D102


MAX_DOMAINS = 4  # author domains of one message that are evaluated (RFC 9989 11.5)


class Identifier:
    """A domain that SPF or DKIM speaks for: method, lower-case A-label domain, result, gap (see MethodResult)."""

    __slots__ = ("domain", "gap", "method", "result")

    def __init__(self, method: str, domain: str, result: str, gap: str = "") -> None:
        self.method = method
        self.domain = domain
        self.result = result
        self.gap = gap


def lookups(domain: str) -> list[Question]:
    """Return the DNS questions that the evaluation of this author domain asks, for `prefetch`."""
    return [*walk_questions(domain), (domain, "A")]


def identifiers(dkim: Sequence[MethodResult], spf: Sequence[CheckedIdentity]) -> list[Identifier]:
    """Return what the methods speak for: d= of each signature and the domain of MAIL FROM (RFC 9989 4.4).

    With the null sender, SPF has already put the HELO name in the place of MAIL FROM (RFC 7208 2.4).
    """
    from mailguard.dns.names import domain_name

    signers = [(result, domain_name(result.properties.get("header.d", ""))) for result in dkim]
    found = [Identifier("dkim", domain, result.result, result.gap) for result, domain in signers if domain]
    found += [Identifier("spf", result.domain, result.result) for result in spf if result.identity == "mailfrom"]
    return [identifier for identifier in found if identifier.domain]


def evaluate(
    author: Author,
    dkim: Sequence[MethodResult],
    spf: Sequence[CheckedIdentity],
    resolver: Resolver,
    *,
    suffix_list: bool = False,
) -> MethodResult:
    """Return the one dmarc result of a message; its gap is that of the only signatures that make it pass.

    suffix_list: find organizations by RFC 7489 and the public suffix list, to compare.  Without exactly one author
    domain the result is never pass: it is fail if one of the domains (4 of them at most) fails, with the strictest of
    the failing policies, else temperror or permerror.  Properties: header.from, and policy.dmarc where there is one.
    """
    found = identifiers(dkim, spf)
    judged = [_evaluate_domain(domain, found, resolver, suffix_list) for domain in author.domains[:MAX_DOMAINS]]
    if len(author.domains) == 1:
        return judged[0]
    if not author.domains:
        return MethodResult("dmarc", PERMERROR, "no author domain")
    shown = {"header.from": ",".join(author.domains[:MAX_DOMAINS])}
    failing = [result.properties.get("policy.dmarc", "none") for result in judged if result.result == FAIL]
    if failing:
        strictest = max(failing, key=POLICIES.index)
        return MethodResult("dmarc", FAIL, "several author domains", {**shown, "policy.dmarc": strictest})
    temporary = any(result.result == TEMPERROR for result in judged)
    return MethodResult("dmarc", TEMPERROR if temporary else PERMERROR, "several author domains", shown)


def verdict(
    author: Author, dkim: Sequence[MethodResult], spf: Sequence[CheckedIdentity], dmarc: MethodResult
) -> Verdict:
    """Return whether the author domain is authenticated.

    Never with anything odd about From; by DMARC pass; or, where there is no DMARC record, by a DKIM or SPF pass for
    exactly the author domain; in both cases unless the message could have been read otherwise when it was signed.
    """
    if author.anomalies:
        return Verdict(f"{author.anomalies[0].code}: {author.anomalies[0].what}", authenticated=False)
    if author.domain is None:
        return Verdict("not exactly one author domain", authenticated=False)
    if dmarc.result == PASS:
        passed = f"DMARC pass for {show(author.domain)}"
        return Verdict(f"{passed}, but {dmarc.gap}" if dmarc.gap else passed, authenticated=not dmarc.gap)
    if dmarc.result != NONE:
        return Verdict(f"DMARC {dmarc.result}", authenticated=False)
    exact = [one for one in identifiers(dkim, spf) if one.result == PASS and one.domain == author.domain]
    for identifier in sorted(exact, key=lambda identifier: bool(identifier.gap)):
        passed = f"no DMARC record, {identifier.method.upper()} pass for {show(author.domain)}"
        return Verdict(
            f"{passed}, but {identifier.gap}" if identifier.gap else passed, authenticated=not identifier.gap
        )
    return Verdict("no DMARC record, and no pass for exactly the author domain", authenticated=False)


def _evaluate_domain(domain: str, found: Sequence[Identifier], resolver: Resolver, suffix_list: bool) -> MethodResult:
    organizations = _SuffixList(resolver) if suffix_list else _TreeWalk(resolver)
    properties = {"header.from": domain}
    place, policy = organizations.policy(domain)
    if policy is None and organizations.failed:
        return MethodResult("dmarc", TEMPERROR, f"no answer about {show(organizations.failed)}", properties)
    if policy is None or not policy.usable:
        reason = "no DMARC record" if policy is None else "the DMARC record has no valid policy"
        return MethodResult("dmarc", NONE, reason, properties)
    wanted = policy.p
    if place != domain:
        # The policy does not depend on this answer unless the record tells existing names from others (np=).
        absent = policy.np is not None and _absent(domain, resolver)
        wanted = policy.for_subdomain(exists=not absent)
    properties["policy.dmarc"] = softened(wanted) if policy.testing else wanted
    return _align(domain, policy, found, organizations, properties)


def _absent(domain: str, resolver: Resolver) -> bool:
    from mailguard.dns import NXDOMAIN

    return resolver.query(domain, "A").status == NXDOMAIN


def _align(
    domain: str,
    policy: DmarcRecord,
    found: Sequence[Identifier],
    organizations: _TreeWalk | _SuffixList,
    properties: dict[str, str],
) -> MethodResult:
    """Look for a pass in alignment; what may become one when the DNS answers again makes the result temperror."""
    undecided = ""
    weak: MethodResult | None = None
    for identifier in sorted(found, key=lambda identifier: (bool(identifier.gap), identifier.domain != domain)):
        if identifier.result not in {PASS, TEMPERROR}:
            continue
        strict = policy.dkim_strict if identifier.method == "dkim" else policy.spf_strict
        aligned = _aligned(identifier.domain, domain, organizations, strict=strict)
        if aligned and identifier.result == PASS:
            passed = MethodResult("dmarc", PASS, f"{identifier.method}={show(identifier.domain)}", properties)
            if not identifier.gap:
                return passed
            passed.gap = identifier.gap
            weak = weak or passed
        elif aligned is not False:
            undecided = undecided or f"{identifier.method} for {show(identifier.domain)} cannot be decided now"
    if weak is not None:
        weak.undecided = bool(undecided)
        return weak
    if undecided:
        return MethodResult("dmarc", TEMPERROR, undecided, properties)
    return MethodResult("dmarc", FAIL, "no SPF or DKIM pass in alignment", properties)


def _aligned(identifier: str, domain: str, organizations: _TreeWalk | _SuffixList, *, strict: bool) -> bool | None:
    """Whether both names belong together (RFC 9989 4.4), None when the DNS does not say now.

    Nothing outside the author's organization can align, so that a stranger's name servers are not asked, and do not
    decide anything.
    """
    if identifier == domain:
        return True
    owner = None if strict else organizations.owner(domain)
    if strict or not may_belong(identifier, domain, owner):
        return False
    other = None if owner is None else organizations.owner(identifier)
    return None if other is None else owner == other


def may_belong(identifier: str, domain: str, owner: str | None) -> bool:
    """Whether `identifier` can be of the same organization as `domain`, before its own walk.

    owner: the organizational domain of `domain`, None when it is not known (now): then what has more than the
    top-level domain in common may belong.
    """
    if owner is None:
        return identifier.split(".")[-2:] == domain.split(".")[-2:]
    return f".{identifier}".endswith(f".{owner}")


class _TreeWalk:
    """Organizations and policies by RFC 9989; each domain is walked once."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._walks: dict[str, TreeWalk] = {}
        self.failed: str | None = None

    def policy(self, domain: str) -> tuple[str, DmarcRecord | None]:
        tree = self._walk(domain)
        self.failed = tree.failed
        own = [policy for place, policy in tree.policies if place == domain]
        if tree.failed:  # only what stands at the domain itself is certain
            return domain, own[0] if own else None
        return tree.applicable or (domain, None)

    def owner(self, domain: str) -> str | None:
        tree = self._walk(domain)
        return None if tree.failed else tree.organizational_domain

    def _walk(self, domain: str) -> TreeWalk:
        if domain not in self._walks:
            self._walks[domain] = walk(domain, self._resolver)
        return self._walks[domain]


class _SuffixList:
    """Organizations and policies by RFC 7489 (3.2, 6.6.3)."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.failed: str | None = None

    def policy(self, domain: str) -> tuple[str, DmarcRecord | None]:
        for place in dict.fromkeys((domain, registered_domain(domain))):
            answer = self._resolver.query(f"_dmarc.{place}", "TXT")
            if answer.temporary:
                self.failed = f"_dmarc.{place}"
                break
            policy = DmarcRecord.only(answer.texts)
            if policy is not None:
                return place, policy
        return domain, None

    def owner(self, domain: str) -> str | None:
        return registered_domain(domain)
