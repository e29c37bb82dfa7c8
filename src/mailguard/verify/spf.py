"""SPF (RFC 7208): whether this client may send with this MAIL FROM and this HELO.

The rules are pyspf's, run by `verify/spf_evaluation.py` on our resolver; here is what surrounds them: which identities
there are, and every reason for which nothing can be said.  Nothing is guessed.
"""

from __future__ import annotations

import re

from mailguard.dns.names import domain_name
from mailguard.findings import show
from mailguard.verify.client import client_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from mailguard.dns import Question, Resolver
    from mailguard.envelope import Envelope
    from mailguard.verify.spf_evaluation import EvaluatedRecord

    Identity = Literal["mailfrom", "helo"]

SECONDS = 20.0  # RFC 7208 4.6.4: at least 20 seconds
_LONGEST_PATH = 320  # RFC 5321 4.5.3.1.3 allows 256; rewritten senders (SRS, VERP) go a little beyond
_LONGEST_HELO = 255

_ROUTE = re.compile(r"@[^\x00-\x20@:,()<>\"]++(?:,@[^\x00-\x20@:,()<>\"]++)*:")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"')
_UNQUOTED = re.compile(r"[^\x00-\x1f\x7f()<>\[\]:;\\,\"]*+")  # mail systems hand "a b"@example over without quotes


class SpfResult:
    """The result for one identity.

    identity: "mailfrom" or "helo"; result: pass, fail, softfail, neutral, none, temperror or permerror;
    reason: one sentence, shown values only; domain: the A-label name that was checked, "" when there is none;
    mechanism: the term that decided, None for a default; explanation: what the domain says about a fail (RFC 7208 6.2),
    as it came, for nobody's eyes except through `show`; properties: of RFC 8601, raw values; evaluated: every record
    that was read, in order.
    """

    method = "spf"

    __slots__ = ("domain", "evaluated", "explanation", "identity", "mechanism", "properties", "reason", "result")

    def __init__(self, identity: Identity, value: str, result: str, reason: str, domain: str = "") -> None:
        self.identity: Identity = identity
        self.result = result
        self.reason = reason
        self.domain = domain
        self.mechanism: str | None = None
        self.explanation: str | None = None
        self.properties = {f"smtp.{identity}": value}
        self.evaluated: list[EvaluatedRecord] = []

    def as_dict(self) -> dict[str, Any]:
        """Return the result as written by --json."""
        return {
            "method": "spf",
            "result": self.result,
            "reason": self.reason,
            "properties": {name: show(value) for name, value in self.properties.items()},
            "domain": self.domain,
            "mechanism": None if self.mechanism is None else show(self.mechanism),
            "explanation": None if self.explanation is None else show(self.explanation, 500),
            "evaluated": [record.as_dict() for record in self.evaluated],
        }

    def __repr__(self) -> str:
        return f"SpfResult({self.identity}={self.domain}: {self.result}, {self.reason})"


def mailbox(path: str) -> tuple[str, str] | None:
    """Return (local-part, domain) of a reverse-path without angle brackets, or None when it is none (RFC 5321 4.1.2).

    A source route is left out; the last @ divides; control characters, comments and brackets outside a quoted
    local-part are refused.  The domain is as written; the local-part may be empty or hold any UTF-8 (RFC 6531).
    """
    if len(path) > _LONGEST_PATH:
        return None
    route = _ROUTE.match(path)
    local, at, domain = path[route.end() if route else 0 :].rpartition("@")
    legal = _QUOTED.fullmatch(local) or _UNQUOTED.fullmatch(local)
    return (local, domain) if at and legal else None


def lookups(envelope: Envelope) -> list[Question]:
    """Return the DNS questions that `check` and `iprev` are going to ask first, for `prefetch`."""
    address = client_address(envelope.client_address)
    if address is None:
        return []
    domains = dict.fromkeys(result.domain for result, _ in (_mail_from(envelope), _helo(envelope)) if result.domain)
    return [*((domain, "TXT") for domain in domains), (address.reverse_pointer, "PTR")]


def domains(envelope: Envelope) -> tuple[str, str]:
    """Return the domains that `check` judges for MAIL FROM and HELO, "" for none."""
    return _mail_from(envelope)[0].domain, _helo(envelope)[0].domain


def check(
    envelope: Envelope,
    resolver: Resolver,
    now: float,
    *,
    receiver: str = "unknown",
    seconds: float = SECONDS,
    helo_resolver: Resolver | None = None,
) -> list[SpfResult]:
    """Judge MAIL FROM and HELO, in this order; always one result for each.

    now: seconds since the epoch (macro t); receiver: our host name (macro r); seconds: limit for both together, beyond
    which the result is temperror; helo_resolver: whom to ask about HELO, if somebody else.  With the null sender, MAIL
    FROM is postmaster@HELO (RFC 7208 2.4).
    """
    from time import monotonic

    end = monotonic() + seconds
    address = client_address(envelope.client_address)
    identities = [_mail_from(envelope), _helo(envelope)]
    if address is None:
        given = envelope.client_address
        reason = f"not a client address: {show(given)}" if given else "no client address"
        for result, _ in identities:
            result.reason = reason
    elif any(result.domain for result, _ in identities):
        from mailguard.verify.spf_evaluation import Evaluation, evaluate

        evaluate(
            Evaluation(result, local, str(address), _macro_helo(envelope), (now, receiver), asked, end)
            for (result, local), asked in zip(identities, (resolver, helo_resolver or resolver), strict=True)
            if result.domain
        )
    return [result for result, _ in identities]


def _mail_from(envelope: Envelope) -> tuple[SpfResult, str]:
    """Return the result so far, which is final where it has no domain, and the local-part."""
    if envelope.sender is None:
        return SpfResult("mailfrom", "", "none", "no sender address"), ""
    if not envelope.sender:
        helo, local = _helo(envelope)
        value = f"{local}@{helo.domain}" if helo.domain else ""
        return SpfResult("mailfrom", value, "none", f"null sender: {helo.reason}", helo.domain), local
    parsed = mailbox(envelope.sender)
    if parsed is None:
        return SpfResult("mailfrom", envelope.sender, "none", "the sender is no address"), ""
    domain = _checkable(parsed[1])
    reason = "" if domain else f"not a domain name: {show(parsed[1])}"
    return SpfResult("mailfrom", envelope.sender, "none", reason, domain), parsed[0] or "postmaster"


def _helo(envelope: Envelope) -> tuple[SpfResult, str]:
    helo = envelope.client_helo or ""
    domain = _checkable(helo)
    reason = "" if domain else f"not a domain name: {show(helo)}" if helo else "no HELO"
    return SpfResult("helo", helo, "none", reason, domain), "postmaster"


def _checkable(name: str) -> str:
    """Return the A-label name, "" for what has no SPF record: literals and single labels too (RFC 7208 2.3, 4.3)."""
    domain = domain_name(name) or ""
    return domain if "." in domain else ""


def _macro_helo(envelope: Envelope) -> str:
    helo = envelope.client_helo
    return helo if helo and len(helo) <= _LONGEST_HELO else "unknown"
