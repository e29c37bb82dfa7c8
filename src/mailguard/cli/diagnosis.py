"""The settings of a diagnosis, from the options that its commands share."""

from __future__ import annotations

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.check.scan import Settings

# Of two independent providers, which take mail from everybody; asked only where no server of a domain answers.
_WITNESSES = ("gmail-smtp-in.l.google.com", "outlook-com.olc.protection.outlook.com")


def settings(
    key_file: str | None,
    now: int | None,
    nameserver: Sequence[str],
    ca_file: str | None,
    blocklist: Sequence[str],
    timeout: int,
    lab: bool,
) -> Settings:
    """Return the settings of a diagnosis; its time runs from now."""
    from time import time

    from mailguard.check.blocklists import Blocklist
    from mailguard.check.guard import Guard, is_public
    from mailguard.check.scan import Settings
    from mailguard.dns.live import Nameservers, Signatures, is_authoritative
    from mailguard.dns.names import domain_name
    from mailguard.site import key_ring

    servers, unchecked = Nameservers(nameserver), Nameservers(nameserver, checked=False)
    guard = Guard(timeout, lab=lab)
    ring = key_ring(key_file)
    made = Settings(
        servers,
        guard,
        int(time()) if now is None else now,
        unchecked=lambda name, rdtype: unchecked.ask(name, rdtype, 5.0),
        trusted=bool(nameserver) or servers.on_this_machine,
        ca_file=ca_file,
        key=ring.active if ring else None,
    )
    made.authoritative = lambda address, zone: (
        is_authoritative(address, zone, 2.0) if lab or is_public(address) else False
    )
    made.signatures = Signatures(servers)
    made.witnesses = _WITNESSES
    if blocklist:
        zones = [domain_name(zone) for zone in blocklist]
        if None in zones:
            raise click.UsageError("a block list is named by its zone, as zen.spamhaus.org")
        made.address_lists = [Blocklist(str(zone)) for zone in zones]
        made.domain_lists = []
    return made
