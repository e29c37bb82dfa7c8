"""Results of another verifier in front of us, counted only where nobody else could have written them (RFC 8601 5).

A field proves nothing by its name; what counts is its place: above the Received line by which the message entered the
servers that we trust.
"""

from __future__ import annotations

from mailguard.dns.names import domain_name
from mailguard.findings import show
from mailguard.verify import resinfo
from mailguard.verify.claims import comparable
from mailguard.verify.method import FAIL, NONE, PASS, PERMERROR, TEMPERROR, MethodResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.message.header import Field
    from mailguard.verify.arc import Chain

EXCHANGE_ONLINE = "exchange-online"  # writes no authserv-id
GOOGLE = "google"

_NAMES = {GOOGLE: "mx.google.com"}
_RESULTS = frozenset({PASS, FAIL, NONE, TEMPERROR, PERMERROR})


def trusted(fields: Sequence[Field], boundary: int, names: Sequence[str], author_domain: str) -> MethodResult | None:
    """Return the dmarc result of a trusted verifier for this author domain, or None.

    fields: of the message, from the top; boundary: index in `fields` of the Received field by which the message entered
    the trusted relays (only fields above it count); names: as given to --trust-results.  None when there is no result
    for `author_domain` (A-labels), when one of the fields cannot be read, or when two disagree.
    """
    wanted = {None if name == EXCHANGE_ONLINE else comparable(_NAMES.get(name, name)) for name in names}
    try:
        results = list(_dmarc_results(fields[:boundary], wanted))
    except resinfo.UnreadableField:
        return None
    if len({result.result for result in results}) != 1 or not all(_is_for(result, author_domain) for result in results):
        return None
    return results[0] if results[0].result in _RESULTS else None


def vouching(chain: Chain, sealers: Sequence[str], author_domain: str) -> tuple[str | None, str]:
    """Return (domain of the trusted ARC sealer that saw DMARC pass for this author domain, or None; why it is None).

    A sealer can invent all that stands before it, so only sets count behind which all sealers are trusted too.  Of
    those the oldest that says anything about this domain decides: there the message came into trusted hands.
    """
    if chain.result != PASS:
        return None, ""
    domain, why = claimed(chain, sealers, author_domain)
    return (None, chain.uncovered) if domain is not None and chain.uncovered else (domain, why)


def claimed(chain: Chain, sealers: Sequence[str], author_domain: str) -> tuple[str | None, str]:
    """Return what `vouching` would, were the chain intact and the message all signed."""
    names = {comparable(name) for name in sealers}
    decisive, why = None, ""
    for sealer in reversed(chain.sealers):
        if comparable(sealer.domain) not in names:
            why = why or f"{show(sealer.domain)} is no trusted sealer"
            break
        try:
            _, results = resinfo.parse(sealer.results)
        except resinfo.UnreadableField:
            why = why or f"the results of {show(sealer.domain)} cannot be read"
            break
        said = [result for result in results if result.method == "dmarc" and _is_for(result, author_domain)]
        if said:
            decisive = sealer.domain if {result.result for result in said} == {PASS} else None
            why = "" if decisive else f"{show(sealer.domain)} reports no DMARC pass"
    return decisive, why or ("" if decisive else f"no trusted sealer says anything about {show(author_domain)}")


def _dmarc_results(fields: Sequence[Field], wanted: set[str | None]) -> Iterator[MethodResult]:
    for field in fields:
        if field.name != b"authentication-results":
            continue
        authserv_id, results = resinfo.parse(field.value)
        if (None if authserv_id is None else comparable(authserv_id)) in wanted:
            yield from (result for result in results if result.method == "dmarc")


def _is_for(result: MethodResult, author_domain: str) -> bool:
    return domain_name(result.properties.get("header.from", "")) == author_domain
