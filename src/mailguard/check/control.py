"""Proof that who asks controls the domain: a TXT record that only the owner of the domain can publish.

    _mailguard-check.example.com.  TXT  "mailguard-check=..."

The value is derived from site key and domain, so nothing needs to be kept, and it proves nothing for another domain.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.dns import Resolver
    from mailguard.seal.keys import Key

LABEL = "_mailguard-check"
_PREFIX = "mailguard-check="
_PURPOSE = "check control"


def token(domain: str, key: Key) -> str:
    """Return what the TXT record at `_mailguard-check.DOMAIN` must be (domain: A-labels)."""
    import base64

    code = base64.b32encode(key.mac(_PURPOSE, domain.lower().encode("ascii"))[:20]).decode("ascii")
    return _PREFIX + code.lower()


def proved(domain: str, resolver: Resolver, key: Key) -> bool:
    """Whether the domain publishes the record now."""
    from mailguard.seal.keys import equal

    wanted = token(domain, key).encode("ascii")
    return any(equal(text.strip(), wanted) for text in resolver.query(f"{LABEL}.{domain}", "TXT").texts)
