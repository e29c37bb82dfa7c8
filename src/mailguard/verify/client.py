"""Who connected."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


def client_address(text: str | None) -> IPv4Address | IPv6Address | None:
    """Return the IP address in `text`, or None when there is none.

    Accepted: IPv4, IPv6, IPv4-mapped IPv6 (as IPv4) and the address literals "[192.0.2.1]" and "[IPv6:2001:db8::1]"
    (RFC 5321 4.1.3), brackets optional.  A zone id (fe80::1%eth0) says nothing outside its host and is refused.
    """
    if not text or "%" in text:
        return None
    from ipaddress import IPv6Address, ip_address

    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
