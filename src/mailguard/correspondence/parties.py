"""Who an address belongs to: its organization, or, where everybody can get an address of a domain, only its owner."""

from __future__ import annotations

from functools import cache

from mailguard.dns.names import domain_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from mailguard.message.header import Field

MOST = 1000  # addresses of one mail

_DOTS_DO_NOT_COUNT = frozenset({"gmail.com"})  # https://support.google.com/mail/answer/7436150
_SAME = {"googlemail.com": "gmail.com"}


class Party:
    """An address as it takes part in conversations.

    address: in a form that is the same for all ways to write it; organization: the organizational domain, None where
    everybody can get an address of it.
    """

    __slots__ = ("address", "organization")

    def __init__(self, address: str, organization: str | None) -> None:
        self.address = address
        self.organization = organization

    @property
    def marks(self) -> tuple[bytes, ...]:
        """The values by which a conversation knows the party."""
        organization = () if self.organization is None else (b"@" + self.organization.encode("ascii"),)
        return (self.address.encode("utf-8", "surrogateescape"), *organization)


def party(address: str) -> Party | None:
    """Return who an address belongs to; None for what is no address with a domain name."""
    local, at, domain = address.strip().rpartition("@")
    name = domain_name(domain) if at and local else None
    if name is None or "\0" in local:
        return None
    from mailguard.verify.organization import registered_domain

    organization = registered_domain(name)
    local = local.lower()
    if organization in _providers():
        local = local.partition("+")[0] or local
        name = _SAME.get(name, name)
        if name in _DOTS_DO_NOT_COUNT:
            local = local.replace(".", "")
        return Party(f"{local}@{name}", None)
    return Party(f"{local}@{name}", organization)


def parties(addresses: Iterable[str]) -> Iterator[Party]:
    """Yield the parties of the first thousand addresses, each once."""
    from itertools import islice

    found = filter(None, map(party, islice(addresses, MOST)))
    yield from {each.address: each for each in found}.values()


def addressed(fields: Iterable[Field], names: Container[bytes]) -> Iterator[str]:
    """Yield the addresses in the fields of these names, the first thousand."""
    from email.utils import getaddresses

    values = [field.unfolded.decode("utf-8", "replace") for field in fields if field.name in names]
    yield from (address for _, address in getaddresses(values)[:MOST])


@cache
def _providers() -> frozenset[str]:
    import os

    with open(os.path.join(os.path.dirname(__file__), "providers.txt"), encoding="ascii") as file:
        return frozenset(line.strip() for line in file if not line.startswith("#"))
