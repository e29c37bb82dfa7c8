"""What is found out about the sender of one message, and the verdict over all of it.

Everything that can be foreseen is asked of the DNS at once, before the methods run: first what decides about the
author.  What only strangers answer for has less time, so that their silence neither delays nor decides a verdict.
"""

from __future__ import annotations

from mailguard.dns.lookups import Lookups
from mailguard.findings import Finding, show
from mailguard.verify import client as connection
from mailguard.verify.author import scan
from mailguard.verify.impersonation import Acquaintances
from mailguard.verify.method import NONE, PASS, PERMERROR, TEMPERROR, MethodResult, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from mailguard.dns import Question, Source
    from mailguard.envelope import Envelope
    from mailguard.message.tree import Message
    from mailguard.verify.arc import Chain
    from mailguard.verify.author import Author
    from mailguard.verify.client import Client, Network
    from mailguard.verify.results import Reported
    from mailguard.verify.spf import SpfResult

SECONDS = 15.0  # for all answers of the DNS about one message
STRANGERS_SECONDS = 4.0  # of these for what cannot authenticate the author

_ARC = frozenset({b"arc-seal", b"arc-message-signature", b"arc-authentication-results"})
_OWN_USER = "submitted by our own user"


class VerifyOptions:
    """What the operator decides.

    authserv_id: our name; source: where the DNS answers come from; environment: in which local(8) says who connected,
    or None; trusted_relays, trusted_clients: networks; trusted_verifiers, trusted_sealers: names; persons: (address,
    name) of those whose name nobody else may show; known_domains: which nobody else's may look like (A-labels);
    suffix_list: find organizations by RFC 7489; chain: judge the ARC chain even where no sealer is trusted;
    own_domains: those for which, and below which, our own users may write (A-labels; none: the organization of
    authserv_id); removed: names of fields that go besides those which claim to be ours.
    acquaintances: made of persons, known_domains and our own domains.
    """

    __slots__ = (
        "acquaintances", "authserv_id", "chain", "environment", "own_domains", "removed", "source", "suffix_list",
        "trusted_clients", "trusted_relays", "trusted_sealers", "trusted_verifiers",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 (a record)
        self,
        authserv_id: str,
        source: Source,
        *,
        environment: Mapping[str, str] | None = None,
        trusted_relays: Sequence[Network] = (),
        trusted_clients: Sequence[Network] = (),
        trusted_verifiers: Sequence[str] = (),
        trusted_sealers: Sequence[str] = (),
        persons: Iterable[tuple[str, str]] = (),
        known_domains: Iterable[str] = (),
        suffix_list: bool = False,
        chain: bool = False,
        own_domains: Sequence[str] = (),
        removed: Sequence[str] = (),
    ) -> None:
        self.authserv_id = authserv_id
        self.source = source
        self.environment = environment
        self.trusted_relays = trusted_relays
        self.trusted_clients = trusted_clients
        self.trusted_verifiers = trusted_verifiers
        self.trusted_sealers = trusted_sealers
        self.acquaintances = Acquaintances(persons, (*known_domains, *(own_domains or _beyond(authserv_id))))
        self.suffix_list = suffix_list
        self.chain = chain or bool(trusted_sealers)
        self.own_domains = own_domains
        self.removed = removed


def _beyond(host: str) -> list[str]:
    """Return a host name of ours and what it lies below; which of them are public suffixes is asked when it matters."""
    labels = host.lower().rstrip(".").split(".")
    return [".".join(labels[index:]) for index in range(len(labels) - 1)]


class Judgement:
    """The outcome.

    reported: results in the order of the Authentication-Results field; records: the same as dictionaries;
    authenticated, author_domain, impersonating, lookalike: what the seal says; undecided: with answers that the DNS did
    not give now, the verdict could be another one; findings, details: for the Result.
    """

    __slots__ = (
        "authenticated", "author_domain", "details", "findings", "impersonating", "lookalike", "records", "reported",
        "undecided",
    )  # fmt: skip

    def __init__(self) -> None:
        self.reported: list[Reported] = []
        self.records: list[dict[str, Any]] = []
        self.authenticated = False
        self.author_domain: str | None = None
        self.impersonating = False
        self.lookalike = False
        self.undecided = False
        self.findings: list[Finding] = []
        self.details: dict[str, Any] = {}


def not_judged(code: str, reason: str) -> Judgement:
    """Return the judgement about a message that asks for more than one may cost."""
    judgement = Judgement()
    result = MethodResult("dmarc", PERMERROR, reason)
    judgement.reported = [result]
    judgement.records = [result.as_dict()]
    judgement.findings = [Finding(code, "", "danger", f"The message was not judged: {reason}.")]
    return judgement


def judge(message: Message, envelope: Envelope, options: VerifyOptions, now: int) -> Judgement:
    """Judge a message whose header fields are all known; never raises for anything in it, envelope or DNS."""
    return _Case(message, envelope, options, now).judgement()


class _Case:
    """One message on its way to a judgement."""

    def __init__(self, message: Message, envelope: Envelope, options: VerifyOptions, now: int) -> None:
        self.message = message
        self.options = options
        self.now = now
        self.lookups = Lookups(options.source, seconds=SECONDS, owner=_owner)
        self.hurried = self.lookups.hurried(STRANGERS_SECONDS)
        self.client: Client = connection.facts(
            envelope,
            environment=options.environment,
            raw=message.raw,
            start=message.start,
            trusted_relays=options.trusted_relays,
        )
        self.author: Author = scan(message, options.acquaintances)
        self.submitted = self._is_submitted()
        self.own_user = self.submitted and self._is_own_author()
        names = {field.name for field in message.fields}
        self.signed = b"dkim-signature" in names or (options.chain and not names.isdisjoint(_ARC))
        self.address = None if self.own_user else connection.client_address(self.client.envelope.client_address)

    def judgement(self) -> Judgement:
        with self.lookups:
            return self._judgement()

    def _judgement(self) -> Judgement:
        self.ask_ahead()
        spf_results = self._spf()
        dkim_results, chain = self._signatures()
        iprev = self._iprev()
        dmarc = self._dmarc(dkim_results, spf_results)
        outcome = self._verdict(dkim_results, spf_results, dmarc)
        arc = chain.as_result() if chain is not None and chain.result != NONE else None
        code = "verdict.authenticated" if outcome.authenticated else "verdict.unauthenticated"
        trusting = self.options.trusted_verifiers or self.options.trusted_sealers
        if trusting and not (outcome.authenticated or self.author.anomalies or self.author.domain is None):
            outcome, code = self._widened(outcome, code, chain, arc)
        judgement = Judgement()
        judgement.authenticated = outcome.authenticated
        judgement.author_domain = self.author.domain
        judgement.impersonating = bool(self.author.impersonating)
        judgement.lookalike = any(each.code.endswith(".lookalike-domain") for each in self.author.impersonating)
        judgement.undecided = self._undecided(outcome, dkim_results, spf_results, dmarc, chain)
        judgement.findings = [
            *self._findings(outcome, code),
            *self._submission_findings(),
            *self._unsigned_findings(dkim_results),
            *self._dns_findings(judgement),
        ]
        shown: list[MethodResult | SpfResult] = [
            *self._auth(),
            *spf_results,
            *dkim_results,
            *([arc] if arc else []),
            dmarc,
            *iprev,
        ]
        judgement.reported = list(shown)
        judgement.records = [result.as_dict() for result in shown]
        judgement.details = self._details(outcome, chain)
        return judgement

    def _is_submitted(self) -> bool:
        """Tell whether our own user handed the message over."""
        known = self.client.envelope
        if known.sasl_username is not None:
            return True
        return connection.within(connection.client_address(known.client_address), self.options.trusted_clients)

    def _is_own_author(self) -> bool:
        """Tell whether our own users may write for this author, or whether nobody may."""
        if self.author.domain is None:
            return True
        from mailguard.dns.names import is_within
        from mailguard.verify.organization import own_domains

        return is_within(self.author.domain, self.options.own_domains or own_domains(self.options.authserv_id))

    def ask_ahead(self) -> None:
        """Ask for everything that can be foreseen: first what decides about the author."""
        signers, sealers = self._keys()
        if self.own_user or not (self.signed or self.address):
            self.lookups.prefetch(signers)
        else:
            from mailguard.verify.foreseen import ask

            walks = not self.options.suffix_list
            ask(self.lookups, self.author.domains, self.client.envelope, signers, self._may_be_akin, walks=walks)
        self.hurried.prefetch([*signers, *sealers])

    def _may_be_akin(self, name: str) -> bool:
        """Tell whether a domain may be of an author's organization, before anybody was asked."""
        from mailguard.verify.dmarc import may_belong

        return any(may_belong(name, author, None) for author in self.author.domains)

    def _keys(self) -> tuple[list[Question], list[Question]]:
        """Return where the keys of the signatures and of the ARC chain are."""
        if not self.signed:
            return [], []
        from mailguard.verify import arc, dkim

        return dkim.keys(self.message), arc.keys(self.message) if self.options.chain else []

    def _spf(self) -> list[SpfResult]:
        """Return what is worth reporting: MAIL FROM always, HELO when the client gave one."""
        if self.own_user:
            return []
        from mailguard.verify import spf

        sender, helo = spf.domains(self.client.envelope)
        results = spf.check(
            self.client.envelope,
            self.lookups if self._may_be_akin(sender) else self.hurried,
            self.now,
            receiver=self.options.authserv_id,
            helo_resolver=self.lookups if self._may_be_akin(helo) else self.hurried,
        )
        return results if self.client.envelope.client_helo else results[:1]

    def _signatures(self) -> tuple[list[MethodResult], Chain | None]:
        if not self.signed:
            return [MethodResult("dkim", NONE, "not signed")], None
        from mailguard.verify import arc, dkim

        chain = arc.verify(self.message, self.hurried) if self.options.chain else None
        return dkim.verify(self.message, self.lookups, self.now), chain

    def _iprev(self) -> list[MethodResult]:
        if self.address is None:
            return []
        from mailguard.verify import iprev

        found = iprev.check(str(self.address), self.hurried)
        return [MethodResult("iprev", found.result or NONE, found.reason, found.properties)]

    def _dmarc(self, dkim_results: Sequence[MethodResult], spf_results: Sequence[SpfResult]) -> MethodResult:
        if not self.own_user and (self.signed or self.address):
            from mailguard.verify import dmarc

            return dmarc.evaluate(
                self.author, dkim_results, spf_results, self.lookups, suffix_list=self.options.suffix_list
            )
        if self.author.domain is None:
            return MethodResult("dmarc", PERMERROR, "not exactly one author domain")
        reason = _OWN_USER if self.own_user else "no signature and no client address"
        return MethodResult("dmarc", NONE, reason, {"header.from": self.author.domain})

    def _verdict(
        self, dkim_results: Sequence[MethodResult], spf_results: Sequence[SpfResult], dmarc: MethodResult
    ) -> Verdict:
        if self.own_user and self.author.domain is not None and not self.author.anomalies:
            return Verdict(_OWN_USER, authenticated=True)
        if not self.author.anomalies and not self.own_user and not (self.signed or self.address):
            return Verdict(dmarc.reason, authenticated=False)
        from mailguard.verify.dmarc import verdict

        return verdict(self.author, dkim_results, spf_results, dmarc)

    def _widened(
        self, outcome: Verdict, code: str, chain: Chain | None, arc: MethodResult | None
    ) -> tuple[Verdict, str]:
        """Return what others whom the operator trusts make of the verdict: they may only add to it."""
        from mailguard.verify import trust

        domain = self.author.domain or ""
        if self.options.trusted_verifiers:
            theirs = trust.trusted(self.message.fields, self._entry(), self.options.trusted_verifiers, domain)
            if theirs is not None and theirs.result == PASS:
                why = f"a trusted verifier reports DMARC pass for {show(domain)}"
                return Verdict(why, authenticated=True), "verdict.trusted-results"
        if chain is None or arc is None or not self.options.trusted_sealers:
            return outcome, code
        sealer, why = trust.vouching(chain, self.options.trusted_sealers, domain)
        if sealer is not None:
            arc.reason = f"the trusted sealer {show(sealer)} reports DMARC pass for {show(domain)}"
            return Verdict(arc.reason, authenticated=True), "verdict.trusted-sealer"
        if why:
            arc.reason += f"; not believed: {why}"
        return outcome, code

    def _entry(self) -> int:
        """Return the index of the field by which the message entered the trusted relays; 0 when nobody knows."""
        starts = [field.start for field in self.message.fields]
        return 0 if self.client.entry is None else starts.index(self.client.entry)

    def _undecided(
        self,
        outcome: Verdict,
        dkim_results: Sequence[MethodResult],
        spf_results: Sequence[SpfResult],
        dmarc: MethodResult,
        chain: Chain | None,
    ) -> bool:
        """Tell whether the DNS, had it answered, could have authenticated the author."""
        if outcome.authenticated or self.author.anomalies or self.author.domain is None:
            return False
        if dmarc.result == TEMPERROR or dmarc.undecided:
            return True
        if chain is not None and chain.temporary and self._would_vouch(chain, self.author.domain):
            return True
        if not (self.signed or self.address):
            return False
        from mailguard.verify.dmarc import identifiers

        exact = [found for found in identifiers(dkim_results, spf_results) if found.domain == self.author.domain]
        return any(found.result == TEMPERROR for found in exact)

    def _would_vouch(self, chain: Chain, domain: str) -> bool:
        if not self.options.trusted_sealers:
            return False
        from mailguard.verify.trust import claimed

        return claimed(chain, self.options.trusted_sealers, domain)[0] is not None

    def _findings(self, outcome: Verdict, code: str) -> list[Finding]:
        severity: Any = "info" if outcome.authenticated else "notice"
        said = Finding(code, "", severity, f"{outcome.reason[:1].upper()}{outcome.reason[1:]}.", "", "RFC 9989")
        return [said, *self.author.anomalies, *self.author.impersonating]

    def _submission_findings(self) -> Iterator[Finding]:
        if self.submitted and not self.own_user:
            what = f"Our own user writes in the name of {show(self.author.domain or '')}, which is none of our domains."
            yield Finding("submission.foreign-author", "", "notice", what, "", "RFC 6409 6.1")

    def _unsigned_findings(self, results: Sequence[MethodResult]) -> Iterator[Finding]:
        for result in results:
            if result.gap:
                signer = show(result.properties.get("header.d", ""))
                what = f"The signature of {signer} authenticates nobody: {result.gap}."
                why = "whoever handed the message on could have changed how it is read"
                yield Finding("dkim.content-unsigned", "", "notice", what, why, "RFC 6376 8.15")

    def _dns_findings(self, judgement: Judgement) -> Iterator[Finding]:
        if judgement.undecided:
            what = "The DNS did not answer, so the sender could not be authenticated now."
            yield Finding("verdict.temperror", "", "warning", what)

    def _auth(self) -> list[MethodResult]:
        user = self.client.envelope.sasl_username
        return [] if user is None else [MethodResult("auth", PASS, "", {"smtp.auth": user})]

    def _details(self, outcome: Verdict, chain: Chain | None) -> dict[str, Any]:
        sealers = chain.sealers if chain is not None else []
        return {
            "verdict": {"reason": outcome.reason, "impersonating": bool(self.author.impersonating)},
            "author": {
                "address": self.author.address and show(self.author.address),
                "domains": self.author.domains,
                "display": show(self.author.display),
            },
            "client": self.client.as_dict() | {"reason": self.client.reason},
            "arc": [
                {"instance": one.instance, "domain": one.domain, "cv": one.cv, "results": show(one.results, 1000)}
                for one in sealers
            ],
            "walks": [] if self.options.suffix_list else self._walks(),
            "dns": self.lookups.trace(),
        }

    def _walks(self) -> list[dict[str, Any]]:
        """Return the tree walks of the author domains, from the answers that are there."""
        asked = {entry["name"] for entry in self.lookups.trace()}
        started = [domain for domain in self.author.domains if f"_dmarc.{domain}" in asked]
        if not started:
            return []
        from mailguard.verify.organization import walk

        return [walk(domain, self.lookups).as_dict() for domain in started]


def _owner(name: str) -> str:
    from mailguard.verify.organization import registered_domain

    return registered_domain(name)
