"""Questions to the DNS and their answers, with every way to fail kept apart.

A verifier talks to a `Resolver`; for one message that is `Lookups` (dns/lookups.py) over a `Source`: name servers
(dns/live.py), a zone file or a recording (dns/files.py), with `Cached` or `Recording` between them where wanted.
Nothing here imports dnspython before the first question to a name server.
"""

from mailguard.dns.answer import BADNAME, LIMIT, NODATA, NXDOMAIN, OK, SERVFAIL, STATUSES, TIMEOUT, TYPES, Answer
from mailguard.dns.sources import Unopened, share, source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.dns.answer import Question as Question
    from mailguard.dns.answer import Record as Record
    from mailguard.dns.answer import Resolver as Resolver
    from mailguard.dns.answer import Source as Source

__all__ = [
    "BADNAME",
    "LIMIT",
    "NODATA",
    "NXDOMAIN",
    "OK",
    "SERVFAIL",
    "STATUSES",
    "TIMEOUT",
    "TYPES",
    "Answer",
    "Unopened",
    "share",
    "source",
]
