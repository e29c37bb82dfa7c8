"""The name servers: whether they answer, and whether they check what they answer."""

from __future__ import annotations

from mailguard.dns import NODATA, NXDOMAIN, OK
from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.findings import joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.doctor.row import Setup

_SIGNED = "org"  # signed since 2009
_FORGED = "dnssec-failed.org"  # signed wrongly on purpose; a name server that answers does not check, whatever it says
_SECONDS = 5.0
_SLOW = 1.0


def answers(setup: Setup) -> Iterator[Row]:
    """Ask for the name servers of a signed domain, and for a domain with a wrong signature."""
    from time import monotonic

    from mailguard import dns

    begin = monotonic()
    source = dns.source(setup.nameservers, timeout=_SECONDS)
    answer = source.ask(_SIGNED, "NS", _SECONDS)
    seconds = monotonic() - begin
    named = joined(setup.nameservers) or "the name servers of /etc/resolv.conf"
    if answer.status not in {OK, NODATA, NXDOMAIN}:
        what = f"{named} do not answer ({answer.status.lower()}): no sender can be judged"
        yield Row("DNS", FAILURE, what, "a name server in /etc/resolv.conf that answers, best one of your own")
    elif answer.status != OK:
        yield Row("DNS", FAILURE, f"{named} deny that {_SIGNED} exists", "a name server that serves the whole DNS")
    elif not answer.authenticated_data or source.ask(_FORGED, "A", _SECONDS).status == OK:
        what = f"{named} do not check DNSSEC: forged answers about senders are believed"
        yield Row("DNS", WARNING, what, "a validating name server on this machine, such as: apt-get install unbound")
    elif seconds > _SLOW:
        what = f"{named} took {seconds:.1f} s for one answer"
        yield Row("DNS", WARNING, what, "a caching name server on this machine, such as: apt-get install unbound")
    else:
        yield Row("DNS", GOOD, f"{named} answer in {seconds * 1000:.0f} ms, and check DNSSEC")
