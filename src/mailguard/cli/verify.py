"""`mailguard verify`: who really sent a message, on top of it and under a seal."""

from __future__ import annotations

import os
import re
from functools import cache

import click

from mailguard.cli.options import filter_options, host_names, own_domain_option
from mailguard.commands import FILTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mailguard.dns import Source
    from mailguard.findings import Finding, Result
    from mailguard.seal import KeyRing
    from mailguard.settings import Filter, Settings
    from mailguard.verify.judgement import VerifyOptions

_NAMESERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(?::[0-9]{1,5})?|[0-9A-Fa-f:.]+")


def _servers(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _NAMESERVER.fullmatch(value):
            raise click.BadParameter(f"{value!r} is no name server (HOST[:PORT])")
    return values


@click.command("verify", short_help=FILTERS["verify"])
@click.option("--authserv-id", metavar="NAME", callback=host_names, help="Name under which this site reports.")
@click.option(
    "--client-from",
    type=click.Choice(("environment",)),
    help="Take the client from the environment that local(8) of Postfix makes.",
)
@click.option("--trusted-relay", metavar="NET", multiple=True, help="Our own relays; the client is behind them.")
@click.option("--trusted-client", metavar="NET", multiple=True, help="Our own users connect from here.")
@own_domain_option
@click.option(
    "--trust-results", metavar="NAME", multiple=True, callback=host_names, help="Believe this verifier's pass."
)
@click.option("--trusted-sealer", metavar="DOMAIN", multiple=True, callback=host_names, help="Believe this ARC sealer.")
@click.option("--arc", is_flag=True, help="Judge the ARC chain, for mailguard sign, though no sealer is trusted.")
@click.option("--known", metavar="FILE", help="Senders that the site knows; the names there are nobody else's.")
@click.option(
    "--dmarc", type=click.Choice(("rfc9989", "rfc7489")), default="rfc9989", help="How organizations are found."
)
@click.option(
    "--remove",
    metavar="FIELD",
    type=click.Choice(("received-spf", "x-authentication-results")),
    multiple=True,
    help="Also remove these fields: received-spf, x-authentication-results.",
)
@click.option("--nameserver", metavar="HOST[:PORT]", multiple=True, callback=_servers, help="Ask this name server.")
@click.option("--dns-save", metavar="FILE", help="Save every DNS answer.")
@click.option("--dns-load", metavar="FILE", help="Take every DNS answer from this file.")
@click.option(
    "--on-temperror",
    type=click.Choice(("accept", "defer")),
    default="accept",
    help="What to do when the DNS does not answer (default: accept as unauthenticated).",
)
@filter_options
def command(settings: Settings, on_temperror: str, dns_save: str | None, dns_load: str | None, **values: Any) -> Filter:
    """Say who really sent a message: SPF, DKIM, DMARC and ARC, in one field on top of it and under a seal.

    Reads one message on stdin, writes it on stdout.  Status 0 when done, 75 when the message must be tried again.
    """
    from mailguard.errors import MailguardError
    from mailguard.settings import Filter

    if dns_save and dns_load:
        raise click.UsageError("--dns-save and --dns-load exclude each other")
    if values["trust_results"] and not values["trusted_relay"]:
        raise click.UsageError("--trust-results needs --trusted-relay, by which it knows where the fields were written")

    @cache
    def options() -> VerifyOptions:
        return _options(_source(values["nameserver"], dns_save, dns_load), settings, **values)

    @cache
    def ring() -> KeyRing | None:
        from mailguard.site import key_ring

        return key_ring(settings.key_file)

    def unread(raw: bytes, finding: Finding, settings: Settings) -> Result:
        from mailguard.site import Site
        from mailguard.verify.verification import unjudged

        return unjudged(raw, finding, options(), Site(settings.now, ring=ring(), envelope=settings.envelope))

    def transform(raw: bytes, settings: Settings) -> Result:
        from mailguard.site import Site
        from mailguard.verify.verification import verify

        site = Site(settings.now, ring=ring(), envelope=settings.envelope, memory_limit=settings.memory_limit)
        result = verify(raw, options(), site)
        if dns_save:
            _save(dns_save, options().source)
        if settings.explain:
            from mailguard.verify.trace import lines

            result.trace = list(lines(result))
        undecided = any(finding.code == "verdict.temperror" for finding in result.findings)
        if undecided and on_temperror == "defer" and not settings.dry_run:
            raise MailguardError("the DNS does not answer, so the sender cannot be judged now")
        return result

    return Filter("verify", transform, settings, unread)


def _source(nameservers: tuple[str, ...], save: str | None, load: str | None) -> Source:
    from mailguard import dns

    if load:
        return dns.source(load=load)
    source = dns.Unopened(lambda: dns.source(nameservers, cache=True))
    if not save:
        return source
    from mailguard.dns.files import Recording

    return Recording(source)


def _save(path: str, source: Source) -> None:
    from mailguard import safefile
    from mailguard.dns.files import Recording

    assert isinstance(source, Recording)
    safefile.replace(path, [source.saved()])


def _options(source: Source, settings: Settings, **values: Any) -> VerifyOptions:
    from mailguard.verify.client import networks
    from mailguard.verify.judgement import VerifyOptions

    persons, domains = _known(values["known"])
    return VerifyOptions(
        values["authserv_id"] or os.uname().nodename,
        source,
        environment=os.environ if values["client_from"] else None,
        trusted_relays=networks(values["trusted_relay"]),
        trusted_clients=networks(values["trusted_client"]),
        trusted_verifiers=values["trust_results"],
        trusted_sealers=values["trusted_sealer"],
        persons=persons,
        known_domains=domains,
        suffix_list=values["dmarc"] == "rfc7489",
        chain=settings.explain or values["arc"],
        own_domains=values["own_domain"],
        removed=values["remove"],
    )


def _known(path: str | None) -> tuple[Sequence[tuple[str, str]], Sequence[str]]:
    """Return the persons and the domains of a list of known senders."""
    if path is None:
        return (), ()
    from mailguard.addresses import AddressList

    known = AddressList.read(path)
    return known.persons, known.domains
