"""What comes of a question whether the DNS can be believed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dns.name import Name

SECURE, INSECURE, BOGUS, UNKNOWN = "secure", "insecure", "bogus", "unknown"


class Proof:
    """What came of one question.

    state: see above; reason: of a bogus one "expired", "early", "signature", "unsigned-records", "keys" or "denial", of
    an insecure one "unsigned", "no-ds" or "old-algorithm"; zone: where it is so; detail: a tag, or how long ago; ends:
    Unix time when the first signature of a secure one ends; ds: what the parent should publish for "no-ds"; steps: what
    was proved, a line each.
    """

    __slots__ = ("detail", "ds", "ends", "reason", "state", "steps", "zone")

    def __init__(self, state: str, reason: str = "", zone: str = "", detail: str = "") -> None:
        self.state = state
        self.reason = reason
        self.zone = zone
        self.detail = detail
        self.ends = 0
        self.ds: list[str] = []
        self.steps: list[str] = []


class ProofEnded(Exception):  # noqa: N818 (how a proof ends early)
    """A proof ends before the records: here, and so."""

    def __init__(self, proof: Proof) -> None:
        super().__init__(proof.reason)
        self.proof = proof


def written(name: Name) -> str:
    """Return a name without the final dot."""
    return name.to_text(omit_final_dot=True) or "."
