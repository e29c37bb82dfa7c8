"""The answer to a question, and what answers questions."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Protocol

    Record = str | bytes | tuple[int, str]
    Question = tuple[str, str]

    class Source(Protocol):
        """Where answers come from: one question at a time, from any thread.

        One that has answers without asking anybody has `remembered` too: (name, rdtype) -> Answer or None.
        """

        def ask(self, name: str, rdtype: str, seconds: float) -> Answer:
            """Answer for `name` (as made by `domain_name`) within `seconds`; never raises."""

    class Resolver(Protocol):
        """What a verifier asks; never raises."""

        def query(self, name: str, rdtype: str, *, macro: bool = False) -> Answer:
            """Answer one question; any text may come as `name`, what is no domain name is answered with BADNAME.

            macro: the name was built by an SPF macro and may hold any printable ASCII (see `macro_name`).
            """

        def prefetch(self, questions: Iterable[Question]) -> None:
            """Ask all (name, rdtype) at once, so that later calls of `query` wait for one answer at most."""


def remembered(source: Source, name: str, rdtype: str) -> Answer | None:
    """Return the answer that a source has without asking anybody, if it is one that has any."""
    ask: Callable[[str, str], Answer | None] | None = getattr(source, "remembered", None)
    return ask(name, rdtype) if ask else None


OK = "OK"
NODATA = "NODATA"  # the name exists, without records of this type
NXDOMAIN = "NXDOMAIN"  # neither the name nor anything below it exists (RFC 8020)
SERVFAIL = "SERVFAIL"  # the servers answered, but with a failure or with garbage
TIMEOUT = "TIMEOUT"  # no server answered in time
BADNAME = "BADNAME"  # not a domain name: nothing was asked
LIMIT = "LIMIT"  # the message asks for more than one message may: permanent, so that it cannot cause endless retries

STATUSES = (OK, NODATA, NXDOMAIN, SERVFAIL, TIMEOUT, BADNAME, LIMIT)
TYPES = ("A", "AAAA", "CNAME", "MX", "PTR", "TXT", "NS", "SOA", "CAA", "TLSA", "DS")


class Answer:
    """The answer to one question.

    status: one of `STATUSES`; records: empty unless OK.  A record is text for A and AAAA (address), CNAME, NS and PTR
    (name without final dot), (preference, exchange name) for MX, bytes for TXT (its strings joined without separator;
    b"" for an empty one), and text as in master files for SOA, CAA, TLSA and DS.  ttl: seconds; authenticated_data:
    the name server says that it checked DNSSEC.
    """

    __slots__ = ("authenticated_data", "records", "status", "ttl")

    def __init__(
        self, status: str, records: Sequence[Record] = (), ttl: int = 0, *, authenticated_data: bool = False
    ) -> None:
        self.status = status
        self.records = tuple(records)
        self.ttl = ttl
        self.authenticated_data = authenticated_data

    @property
    def temporary(self) -> bool:
        """Whether asking again later may help: the verifier's `temperror`."""
        return self.status in {SERVFAIL, TIMEOUT}

    @property
    def texts(self) -> tuple[bytes, ...]:
        """The records of a TXT answer."""
        return tuple(record for record in self.records if isinstance(record, bytes))

    @property
    def names(self) -> tuple[str, ...]:
        """The records of an answer of any type but MX and TXT."""
        return tuple(record for record in self.records if isinstance(record, str))

    @property
    def exchanges(self) -> tuple[tuple[int, str], ...]:
        """The records of an MX answer."""
        return tuple(record for record in self.records if isinstance(record, tuple))

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as it stands in traces and recordings (TXT and MX in master-file form, RFC 1035 5.1)."""
        from mailguard.dns.presentation import written

        return {
            "status": self.status,
            "records": [written(record) for record in self.records],
            "ttl": self.ttl,
            "authenticated_data": self.authenticated_data,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answer) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((self.status, self.records))

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.records!r}, ttl={self.ttl})"
