"""The outcome of one authentication method (RFC 8601 2.2), and the verdict over all of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NONE = "none"
PASS = "pass"  # noqa: S105 (a result)
FAIL = "fail"
POLICY = "policy"
NEUTRAL = "neutral"
TEMPERROR = "temperror"
PERMERROR = "permerror"


class MethodResult:
    """One result: `dkim=fail reason="..." header.d=example.com`.

    method, result: RFC 8601 keywords; reason: one English sentence, "" where the result says all; properties:
    "ptype.property" to value in the order in which they are written.  Values and reasons may hold anything: the writer
    and `show()` make them safe.  gap: why a pass authenticates nobody although it is one, "" when it does (see
    `verify/cover.py`); undecided: another answer of the DNS could close the gap.
    """

    __slots__ = ("gap", "method", "properties", "reason", "result", "undecided")

    def __init__(self, method: str, result: str, reason: str = "", properties: Mapping[str, str] | None = None) -> None:
        self.method = method
        self.result = result
        self.reason = reason
        self.properties: dict[str, str] = dict(properties or {})
        self.gap = ""
        self.undecided = False

    def as_dict(self) -> dict[str, Any]:
        """Return the result as written by --json."""
        return {
            "method": self.method,
            "result": self.result,
            "reason": self.reason,
            "properties": dict(self.properties),
        }

    def __repr__(self) -> str:
        return f"MethodResult({self.method}={self.result}, {self.reason!r}, {self.properties!r})"


class Verdict:
    """Whether the author domain is authenticated, and one sentence why (not)."""

    __slots__ = ("authenticated", "reason")

    def __init__(self, reason: str, *, authenticated: bool) -> None:
        self.authenticated = authenticated
        self.reason = reason

    def __repr__(self) -> str:
        return f"Verdict({self.authenticated}, {self.reason!r})"
