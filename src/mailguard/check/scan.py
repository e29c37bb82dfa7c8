"""The whole diagnosis of a domain from outside: DNS, MTA-STS, and every mail server.

Questions to the DNS and different servers go side by side; to one server there is one connection at a time, to one
or the other of its addresses.
"""

from __future__ import annotations

import ssl
from time import monotonic

from mailguard.check import (
    blocklists,
    catalogue,
    certificate,
    chain,
    control,
    encryption,
    logo,
    policies,
    probes,
    reception,
    routing,
    sender_policy,
    transport_policy,
    visits,
    zones,
)
from mailguard.check.changes import Changed
from mailguard.check.guard import Guard, Late
from mailguard.check.outcome import GOOD, NOT_APPLICABLE, STATES, UNKNOWN, Outcome
from mailguard.check.proof import SECURE
from mailguard.check.rehearsal import Rehearsal
from mailguard.check.report import Report, Server
from mailguard.check.scene import Scene
from mailguard.check.visits import Seen, grouped
from mailguard.dns.lookups import Lookups
from mailguard.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from mailguard.check.blocklists import Blocklist
    from mailguard.check.chain import Ask
    from mailguard.check.rehearsal import Stage
    from mailguard.check.routing import Host, Route
    from mailguard.check.zones import Authoritative, Unchecked
    from mailguard.dns import Question, Resolver, Source
    from mailguard.seal.keys import Key

_QUESTIONS = 2000
_WORKERS = 16
_MOST_SERVERS = 20  # addresses that are visited


class Settings:
    """What a diagnosis needs to know besides the domain.

    source: where to ask the DNS; unchecked: the same without DNSSEC checking, None where that is not possible;
    trusted: nobody stands between us and the name server, so its word about DNSSEC counts; guard: the door to the
    network; now: Unix time; ca_file: authorities to trust instead of the system's; key: the site key, for the proof of
    control; proved: control was proved otherwise; address_lists, domain_lists: block lists to ask;
    authoritative: asks one name server whether it serves a zone, None where that is not possible; signatures: asks the
    DNS for whole responses with signatures, for our own proof, None for none; anchors: DS records of the root, None for
    those that are shipped; witnesses: mail servers that everybody reaches, to tell a closed port from servers that are
    down.
    """

    def __init__(
        self,
        source: Source,
        guard: Guard,
        now: int,
        *,
        unchecked: Unchecked | None = None,
        trusted: bool = False,
        ca_file: str | None = None,
        key: Key | None = None,
        proved: bool = False,
    ) -> None:
        self.source = source
        self.guard = guard
        self.now = now
        self.unchecked = unchecked
        self.trusted = trusted
        self.ca_file = ca_file
        self.key = key
        self.proved = proved
        self.address_lists: Sequence[Blocklist] = blocklists.ADDRESSES
        self.domain_lists: Sequence[Blocklist] = blocklists.DOMAINS
        self.authoritative: Authoritative | None = None
        self.signatures: Ask | None = None
        self.anchors: Sequence[str] | None = None
        self.witnesses: Sequence[str] = ()

    def context(self, *, names: bool) -> ssl.SSLContext:
        """Return a TLS context that verifies the chain, and with `names` the name; ConfigurationError for the file."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError):
            raise ConfigurationError(f"{self.ca_file}: no certificates can be read") from None
        context.check_hostname = names
        return context


def scan(domain: str, settings: Settings) -> Report:
    """Diagnose a domain (A-labels, as made by `domain_name`)."""
    return _Scan(domain, settings).run()


class _Scan:
    def __init__(self, domain: str, settings: Settings) -> None:
        self._domain = domain
        self._settings = settings
        self._guard = settings.guard
        self._trust = settings.context(names=False)
        self._resolver = Lookups(settings.source, questions=_QUESTIONS, seconds=self._guard.remaining(3600))
        self._outcomes: list[Outcome] = []
        self._servers: list[Server] = []
        self._seen: list[Seen] = []
        self._policy = transport_policy.TransportPolicy()
        self._validator = (
            chain.Validator(settings.signatures, settings.now, settings.anchors) if settings.signatures else None
        )

    def run(self) -> Report:
        started = monotonic()
        self._resolver.prefetch(_first_questions(self._domain))
        route = routing.route(self._domain, self._resolver)
        self._outcomes += route.outcomes
        if route.exists:
            self._look_everywhere(route)
        self._outcomes.sort(key=_order)
        rehearsal = Rehearsal(self._scene(), [self._again])
        rehearsal.run(self._outcomes)
        report = Report(self._domain, self._settings.now, monotonic() - started, self._outcomes, self._servers)
        report.rehearsal = rehearsal
        return report

    def _scene(self) -> Scene:
        """Return what was found out that a repair may need."""
        scene = Scene(self._domain, self._resolver, self._outcomes, self._settings.now)
        scene.policy = self._policy.text
        for seen in self._seen:
            leaf = seen.visit.shown and certificate.leaf(seen.visit.shown)
            if leaf:
                scene.digests.setdefault(seen.server.name, []).append(leaf.key_digest)
                scene.issuers[seen.server.name] = leaf.issuer
        return scene

    def _again(self, stage: Stage) -> list[Outcome]:
        """Make again what needs no server: all that hangs on the DNS, and what servers showed, in its light."""
        route = routing.route(self._domain, stage.resolver)
        outcomes = list(route.outcomes)
        for name, job in self._jobs(route, stage.resolver):
            if not name.startswith("dnsbl"):
                outcomes += self._safely(name, job)
        outcomes += self._strangers(route)
        policy = self._policy_again(route, stage)
        outcomes += policy.outcomes
        for seen in self._seen:
            if not seen.elsewhere and seen.server.name in {host.name for host in route.hosts}:
                outcomes += visits.certified(
                    seen, stage.resolver, outcomes, self._settings.now, self._is_proved, enforced=policy.enforced
                )
        return _mended(policy, outcomes)

    def _strangers(self, route: Route) -> list[Outcome]:
        """Return what is said about servers to which mail would go besides those that were visited: who knows."""
        known = {server.address for server in self._servers}
        return [
            Outcome("mx.reach", UNKNOWN, "unvisited", {"address": address}, subject=host.name, severity="medium")
            for host in route.hosts
            for address in host.addresses
            if known and address not in known
        ]

    def _policy_again(self, route: Route, stage: Stage) -> transport_policy.TransportPolicy:
        context = self._settings.context(names=True)
        return transport_policy.again(self._domain, stage, self._guard, context, self._policy, route.names)

    def _look_everywhere(self, route: Route) -> None:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(_WORKERS)
        try:
            submitted = [pool.submit(self._safely, *job) for job in self._jobs(route, self._resolver)]
            sts = pool.submit(self._transport_policy, route)
            servers = self._visited(route)
            for group in grouped(servers):
                self._guard.together(server.address for server in group)
            hosts = dict.fromkeys(server.name for server in servers)
            self._resolver.prefetch((f"_25._tcp.{name}", "TLSA") for name in hosts)  # before the time is spent
            visiting = [
                pool.submit(self._look_at, [server for server in servers if server.name == name]) for name in hosts
            ]
            self._collect(route, submitted, sts, visiting)
        except BaseException:
            self._guard.cancel()
            pool.shutdown(wait=False, cancel_futures=True)  # a question to the DNS cannot be cancelled
            raise
        pool.shutdown()

    def _collect(
        self,
        route: Route,
        submitted: Sequence[Future[list[Outcome]]],
        sts: Future[transport_policy.TransportPolicy],
        visiting: Sequence[Future[list[Seen]]],
    ) -> None:
        for future in submitted:
            self._outcomes += future.result()
        self._policy = policy = sts.result()
        self._outcomes += policy.outcomes
        self._seen = seen = [each for future in visiting for each in future.result()]
        if not seen:
            self._outcomes += routing.none_to_check(route, visits.SERVER_CHECKS)
        visits.judge_reached(seen, closed=self._is_closed(seen))
        visits.judge_names(seen, self._resolver)
        for each in seen:
            self._outcomes += each.outcomes
            if not each.elsewhere:
                self._outcomes += visits.certified(
                    each, self._resolver, self._outcomes, self._settings.now, self._is_proved, enforced=policy.enforced
                )
        _mended(policy, self._outcomes)

    def _jobs(self, route: Route, resolver: Resolver) -> list[tuple[str, Callable[[], Iterable[Outcome]]]]:
        """Return everything that needs nothing but the DNS, each with the check that it is about."""
        domain, settings = self._domain, self._settings
        jobs: list[tuple[str, Callable[[], Iterable[Outcome]]]] = [
            ("spf", lambda: sender_policy.check(domain, resolver)),
            ("dmarc", lambda: policies.dmarc(domain, resolver)),
            ("tlsrpt", lambda: [_wanted(policies.tlsrpt(domain, resolver), route)]),
            ("bimi", lambda: [self._logo(resolver)]),
            ("ns", lambda: [zones.name_servers(domain, resolver, self._authoritative(resolver))]),
            ("dnssec.domain", lambda: [self._signed("dnssec.domain", domain, "MX", resolver)]),
            ("dnsbl.domain", lambda: [blocklists.domain(domain, settings.domain_lists, resolver)]),
        ]
        for host in route.hosts:
            jobs += self._host_jobs(host, resolver)
        return [job for job in jobs if job[0] != "dnsbl.domain" or settings.domain_lists]

    def _authoritative(self, resolver: Resolver) -> Authoritative | None:
        return self._settings.authoritative if resolver is self._resolver else None

    def _logo(self, resolver: Resolver) -> Outcome:
        record = policies.bimi(self._domain, resolver, policies.enforced(self._domain, resolver))
        if record.state != GOOD or resolver is not self._resolver:
            return record
        return logo.judge(record, self._resolver, self._guard, self._settings.context(names=True))

    def _host_jobs(self, host: Host, resolver: Resolver) -> list[tuple[str, Callable[[], Iterable[Outcome]]]]:
        lists = self._settings.address_lists
        rdtype = "A" if any(":" not in address for address in host.addresses) else "AAAA"
        jobs: list[tuple[str, Callable[[], Iterable[Outcome]]]] = [
            ("dnssec.mx", lambda: [self._signed("dnssec.mx", host.name, rdtype, resolver)]),
            ("caa", lambda: [zones.caa(host.name, resolver)]),
            ("mx.ptr", lambda: [zones.reverse(host.name, address, resolver) for address in host.addresses]),
        ]
        if lists:
            jobs.append(
                ("dnsbl.ip", lambda: [blocklists.address(host.name, each, lists, resolver) for each in host.addresses])
            )
        return jobs

    def _safely(self, check: str, job: Callable[[], Iterable[Outcome]]) -> list[Outcome]:
        try:
            return list(job())
        except Late:
            return [Outcome(check, UNKNOWN, "late")]

    def _signed(self, check: str, name: str, rdtype: str, resolver: Resolver | Changed) -> Outcome:
        settings = self._settings
        said = zones.dnssec(check, name, rdtype, resolver, settings.unchecked, trusted=settings.trusted)
        if self._validator is None:
            return said
        given = resolver.records("DS") if isinstance(resolver, Changed) else None
        return zones.proved(said, self._validator.prove(name, rdtype, given), settings.now)

    def _is_proved(self, name: str, rdtype: str) -> bool:
        return self._validator is not None and self._validator.prove(name, rdtype).state == SECURE

    def _transport_policy(self, route: Route) -> transport_policy.TransportPolicy:
        context = self._settings.context(names=True)
        return transport_policy.check(self._domain, self._resolver, self._guard, context, route.names)

    def _is_closed(self, seen: Sequence[Seen]) -> bool:
        """Whether port 25 is closed from here to everybody: then nothing is known about these servers."""
        failed = all(not each.visit.reached and not each.late and each.visit.unconnected for each in seen)
        witnesses = self._settings.witnesses
        if not seen or not failed or not witnesses:
            return False
        answers = [self._resolver.query(name, "A").names[:1] for name in witnesses]
        return all(answers) and not any(self._guard.connects(address) for [address] in answers)

    def _visited(self, route: Route) -> list[Server]:
        every = [Server(host.name, address, host.preference) for host in route.hosts for address in host.addresses]
        self._servers = every[:_MOST_SERVERS]
        self._outcomes += [
            Outcome(
                "mx.reach", UNKNOWN, "unvisited", {"address": server.address}, subject=server.name, severity="medium"
            )
            for server in every[_MOST_SERVERS:]
        ]
        self._outcomes += [
            Outcome("mx.reach", UNKNOWN, "unvisited", {"address": name}, subject=name, severity="medium")
            for name in route.unvisited
        ]
        return self._servers

    def _look_at(self, servers: Sequence[Server]) -> list[Seen]:
        """Look at all addresses of one host; of those that show the same, one is looked at more closely."""
        found: list[Seen] = []
        for server in servers:
            seen = Seen(server, reception.Visit(server, self._domain, self._guard, self._trust))
            try:
                seen.visit.run()
                seen.alike = any(seen.looks_like(other) for other in found)
                if not seen.alike:
                    self._look_closely(seen)
            except Late:
                seen.late = True
            seen.outcomes += seen.visit.outcomes
            found.append(seen)
        return found

    def _look_closely(self, seen: Seen) -> None:
        server, visit = seen.server, seen.visit
        if visit.reached and "STARTTLS" in visit.keywords:
            probing = encryption.Probes(server, self._guard)
            seen.outcomes.append(reception.injection(server, self._guard))
            probing.run()
            seen.outcomes += probing.outcomes()
        if visit.reached:
            seen.outcomes += self._proved_only(server, visit)

    def _proved_only(self, server: Server, visit: reception.Visit) -> list[Outcome]:
        settings = self._settings
        if not (settings.proved or (settings.key and control.proved(self._domain, self._resolver, settings.key))):
            return probes.unproved(server.name, control.token(self._domain, settings.key) if settings.key else "")
        catch_all = any(each.check == "rcpt.unknown" and each.state != GOOD for each in visit.outcomes)
        return [
            probes.relay(server, self._domain, self._guard, catch_all=catch_all),
            probes.names(server, self._domain, self._guard),
        ]


def _mended(policy: transport_policy.TransportPolicy, outcomes: list[Outcome]) -> list[Outcome]:
    """DANE does what MTA-STS does: where all servers have it, a missing MTA-STS is no fault."""
    record = policy.outcomes[0]
    states = {outcome.state for outcome in outcomes if outcome.check == "dane.tlsa"}
    if record.reason == "missing" and states == {GOOD}:
        record.state, record.reason = NOT_APPLICABLE, "dane"
    return outcomes


def _wanted(outcome: Outcome, route: Route) -> Outcome:
    """Nobody can report about mail to a domain that takes none."""
    if route.null and outcome.reason == "missing":
        return Outcome(outcome.check, NOT_APPLICABLE, "null-mx")
    return outcome


def _order(outcome: Outcome) -> tuple[int, int, str]:
    return list(catalogue.checks()).index(outcome.check), STATES.index(outcome.state), outcome.subject


def _first_questions(domain: str) -> list[Question]:
    from mailguard.verify.organization import walk_questions

    texts = (domain, f"_mta-sts.{domain}", f"_smtp._tls.{domain}", f"default._bimi.{domain}")
    return [
        (domain, "MX"),
        *((name, "TXT") for name in texts),
        *((domain, rdtype) for rdtype in ("A", "AAAA", "NS", "SOA", "DS", "CNAME")),
        *walk_questions(domain),
        *((f"mta-sts.{domain}", rdtype) for rdtype in ("A", "AAAA")),
    ]
