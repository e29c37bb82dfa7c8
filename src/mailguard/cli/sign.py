"""`mailguard sign`: an ARC set on what this site has judged and changed."""

from __future__ import annotations

from functools import cache

import click

from mailguard.cli.options import filter_options, host_names
from mailguard.commands import FILTERS
from mailguard.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.findings import Result
    from mailguard.seal import KeyRing
    from mailguard.settings import Filter, Settings
    from mailguard.verify.arc_set import SigningKey


@click.command("sign", short_help=FILTERS["sign"])
@click.option("--arc", is_flag=True, help="Add an ARC set (RFC 8617); there is no other signature yet.")
@click.option("--domain", metavar="NAME", callback=host_names, help="Domain that signs (d=).")
@click.option("--selector", metavar="NAME", callback=host_names, help="Name of the key below the domain (s=).")
@click.option("--private-key", metavar="FILE", help="RSA key in PEM, readable by its owner only.")
@click.option("--print-record", is_flag=True, help="Print the DNS record for the key, and read no message.")
@filter_options
def command(
    settings: Settings,
    arc: bool,
    domain: str | None,
    selector: str | None,
    private_key: str | None,
    print_record: bool,
) -> Filter:
    """Put an ARC set on a message that verify has judged, so that servers behind this one believe the results.

    Reads one message on stdin, writes it on stdout.  Status 0 when done, 75 when the message must be tried again.
    """
    from mailguard.settings import Filter

    if not (arc and domain and selector and private_key):
        raise ConfigurationError("sign: needs --arc, --domain, --selector and --private-key")

    @cache
    def signing_key() -> SigningKey:
        from mailguard.verify.arc_set import SigningKey

        return SigningKey.read(private_key, domain, selector)

    @cache
    def ring() -> KeyRing:
        from mailguard.site import key_ring

        found = key_ring(settings.key_file)
        if found is None:
            raise ConfigurationError(
                "sign: there is no site key, so nobody knows what verify wrote; see mailguard init"
            )
        return found

    def transform(raw: bytes, settings: Settings) -> Result:
        from mailguard.sign import sign
        from mailguard.site import Site

        site = Site(settings.now, ring=ring(), envelope=settings.envelope, memory_limit=settings.memory_limit)
        return sign(raw, signing_key(), site)

    if print_record:
        _print_record(signing_key())
    return Filter("sign", transform, settings)


def _print_record(key: SigningKey) -> None:
    """Print the record as it stands in a zone file, in strings of at most 255 octets (RFC 1035 3.3), and end."""
    text = key.record.decode("ascii")
    strings = " ".join(f'"{text[start : start + 200]}"' for start in range(0, len(text), 200))
    click.echo(f"{key.question[0]}. IN TXT ( {strings} )")
    raise click.exceptions.Exit(0)
