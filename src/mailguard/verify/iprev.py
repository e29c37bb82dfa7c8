"""iprev (RFC 8601 3): does the client's reverse name lead back to its address."""

from __future__ import annotations

from mailguard.findings import joined, show
from mailguard.verify.client import client_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.dns import Resolver

_NAMES = 10


class IprevResult:
    """result: pass, fail, temperror or permerror, None without a client address; name: the confirmed reverse name."""

    __slots__ = ("name", "properties", "reason", "result")

    def __init__(self, result: str | None, reason: str, address: str = "", name: str = "") -> None:
        self.result = result
        self.reason = reason
        self.name = name
        self.properties = {"policy.iprev": address} if address else {}

    def as_dict(self) -> dict[str, Any]:
        """Return the result as written by --json."""
        return {
            "method": "iprev",
            "result": self.result,
            "reason": self.reason,
            "properties": dict(self.properties),
            "name": show(self.name),
        }


def check(address: str | None, resolver: Resolver) -> IprevResult:
    """Look up the names of the client and the addresses of the first ten (RFC 8601 2.7.3)."""
    client = client_address(address)
    if client is None:
        return IprevResult(None, "no client address")
    reverse = resolver.query(client.reverse_pointer, "PTR")
    if reverse.temporary:
        return IprevResult("temperror", f"{reverse.status} for the reverse name", str(client))
    if not reverse.names:
        return IprevResult("permerror", "the address has no reverse name", str(client))
    names, rdtype = reverse.names[:_NAMES], "A" if client.version == 4 else "AAAA"
    resolver.prefetch((name, rdtype) for name in names)
    temporary = False
    for name in names:
        forward = resolver.query(name, rdtype)
        if any(client_address(address) == client for address in forward.names):
            return IprevResult("pass", f"{show(name)} leads back to the address", str(client), name)
        temporary = temporary or forward.temporary
    if temporary:
        return IprevResult("temperror", f"no answer for an address of {joined(names)}", str(client))
    return IprevResult("fail", f"{joined(names)} does not lead back to the address", str(client))
