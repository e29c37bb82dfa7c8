"""The result of a diagnosis, and its form on disk."""

from __future__ import annotations

from mailguard.check.outcome import Outcome
from mailguard.check.verdict import judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mailguard.check.rehearsal import Rehearsal
    from mailguard.check.verdict import Diagnosis

_VERSION = 1


class Server:
    """One address of one mail server, and what it showed.

    name: of the MX; preference: of the MX record; address: IP; software: postfix, exim, opensmtpd or "" (a guess from
    the banner, to choose the lines of a repair); banner: as it came; tls: negotiated version, "" without TLS;
    connections: how many were made.
    """

    __slots__ = ("address", "banner", "connections", "name", "preference", "software", "tls")

    def __init__(self, name: str, address: str, preference: int = 0) -> None:
        self.name = name
        self.address = address
        self.preference = preference
        self.banner = ""
        self.software = ""
        self.tls = ""
        self.connections = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the server as it stands in a report."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Server:
        """Return the server that `as_dict` wrote."""
        server = cls(str(record["name"]), str(record["address"]), int(record["preference"]))
        server.banner, server.software, server.tls = (str(record[name]) for name in ("banner", "software", "tls"))
        server.connections = int(record["connections"])
        return server


class Report:
    """What was found out about a domain.

    domain: A-labels; started: Unix time; duration: seconds; outcomes: in the order of the catalogue; servers: those
    that were spoken to; verdict: over all outcomes, computed when asked; rehearsal: what tries repairs, as long as the
    diagnosis is in memory.
    """

    __slots__ = ("domain", "duration", "outcomes", "rehearsal", "servers", "started")

    def __init__(
        self,
        domain: str,
        started: int,
        duration: float,
        outcomes: Sequence[Outcome],
        servers: Sequence[Server] = (),
    ) -> None:
        self.domain = domain
        self.started = started
        self.duration = duration
        self.outcomes = list(outcomes)
        self.servers = list(servers)
        self.rehearsal: Rehearsal | None = None

    @property
    def verdict(self) -> Diagnosis:
        """The verdict over all outcomes as they are now."""
        return judge(self.outcomes)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as --json writes it and as it is kept; values are raw, as they came from DNS and peers."""
        verdict = self.verdict
        return {
            "version": _VERSION,
            "domain": self.domain,
            "started": self.started,
            "duration": round(self.duration, 3),
            "verdict": {"code": verdict.code, "status": verdict.status, "counts": verdict.counts},
            "servers": [server.as_dict() for server in self.servers],
            "outcomes": [outcome.as_dict() for outcome in self.outcomes],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Report:
        """Return the report that `as_dict` wrote; raises ValueError or the like for anything else."""
        if record["version"] != _VERSION:
            raise ValueError(f"not a report of version {_VERSION}")
        return cls(
            str(record["domain"]),
            int(record["started"]),
            float(record["duration"]),
            [Outcome.from_dict(each) for each in record["outcomes"]],
            [Server.from_dict(each) for each in record["servers"]],
        )
