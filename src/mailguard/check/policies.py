"""What a domain publishes about mail in its name besides SPF: DMARC (RFC 9989), TLS reports (RFC 8460), BIMI."""

from __future__ import annotations

import re

from mailguard.check import misspelt
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, WARNING, Outcome
from mailguard.check.routing import failed, silent
from mailguard.dns import NXDOMAIN, OK
from mailguard.dns.names import domain_name
from mailguard.verify.organization import walk
from mailguard.verify.policy import POLICIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.check.outcome import State
    from mailguard.dns import Resolver
    from mailguard.verify.policy import DmarcRecord

    Problem = tuple[State, str, dict[str, str], str]  # state, reason, values, severity

_DMARC = re.compile(rb"[ \t]*+v[ \t]*+=[ \t]*+DMARC1[ \t]*+(?:;|\Z)")
_TLSRPT = re.compile(rb"v=TLSRPTv1[ \t]*+(?:;|\Z)")
# RFC 8460 3: one version and one list of addresses; its ABNF knows no blank before the first semicolon's field.
_TLSRPT_WHOLE = re.compile(
    rb"v=TLSRPTv1[ \t]*+;[ \t]*+rua=(?:mailto:[!-+\--:<-~]++|https://[!-+\--:<-~]++)"
    rb"(?:[ \t]*+,[ \t]*+(?:mailto:[!-+\--:<-~]++|https://[!-+\--:<-~]++))*[ \t]*+(?:;.*+)?",
    re.DOTALL,
)
_BIMI = re.compile(rb"v=BIMI1[ \t]*+(?:;|\Z)", re.IGNORECASE)
_MAILTO = re.compile(rb"mailto:[!-+\--:<-?A-~]++@([A-Za-z0-9.-]{1,253})(?:![0-9]{1,12}[kmgt]?)?", re.IGNORECASE)
_GONE = ("pct", "rf", "ri")
_MOST_TARGETS = 10


def tags(record: bytes) -> dict[str, bytes]:
    """Return tag=value pairs, lower-case names; what is malformed is left out."""
    pairs = (specification.partition(b"=") for specification in record.split(b";"))
    return {name.strip().lower().decode("latin-1"): value.strip() for name, equals, value in pairs if equals}


def _text(record: bytes) -> str:
    return record.decode("utf-8", "backslashreplace")


def is_dmarc(record: bytes) -> bool:
    """Whether a TXT record is read as DMARC."""
    return bool(_DMARC.match(record))


def is_tlsrpt(record: bytes) -> bool:
    """Whether a TXT record is read as TLS-RPT."""
    return bool(_TLSRPT.match(record))


def dmarc(domain: str, resolver: Resolver) -> list[Outcome]:
    """Judge the DMARC record that applies to the domain, found by the tree walk (RFC 9989 4.10)."""
    found = walk(domain, resolver)
    own = resolver.query(f"_dmarc.{domain}", "TXT")
    if silent(own):
        return [failed("dmarc", f"_dmarc.{domain}", "TXT", own)]
    records = [text for text in own.texts if _DMARC.match(text)]
    if len(records) > 1:
        values = {"count": len(records), "place": f"_dmarc.{domain}"}
        return [Outcome("dmarc", FAILURE, "multiple", values, [_text(record) for record in records])]
    if found.applicable is None or not found.applicable[1].usable:
        if found.failed:
            return [failed("dmarc", found.failed, "TXT", resolver.query(found.failed, "TXT"))]
        if found.applicable is not None and records:
            text = _text(records[0])
            return [Outcome("dmarc", FAILURE, "malformed", {"record": text}, [text])]
        return [_no_dmarc(domain, own.texts, resolver)]
    place, policy = found.applicable
    record = next(text for text in resolver.query(f"_dmarc.{place}", "TXT").texts if _DMARC.match(text))
    values = {"record": _text(record), "place": place}
    evidence = [f"_dmarc.{place} TXT {_text(record)}"]
    problems: list[Problem] = [
        *_strength(policy, own=place == domain),
        *_reports(domain, place, tags(record), resolver),
        *_odd_values(place, tags(record), resolver),
        *((WARNING, "obsolete", {"tag": tag}, "informational") for tag in _GONE if tag in tags(record)),
    ]
    return [
        Outcome("dmarc", state, reason, values | more, evidence, severity=severity)
        for state, reason, more, severity in problems
        if state != GOOD
    ] or [Outcome("dmarc", GOOD, "good", values, evidence)]


def _no_dmarc(domain: str, texts: Sequence[bytes], resolver: Resolver) -> Outcome:
    """Tell a record that is misspelt, or stands in the wrong place, from one that is not there."""
    meant = misspelt.find("dmarc", texts)
    if meant:
        return Outcome("dmarc", FAILURE, "misspelt", {"record": meant[0]}, meant)
    above = [_text(text) for text in resolver.query(domain, "TXT").texts if _DMARC.match(text)]
    if above:
        return Outcome("dmarc", FAILURE, "misplaced", {"record": above[0]}, above)
    return Outcome("dmarc", FAILURE, "missing", {}, [_text(text) for text in texts[:5]])


def _odd_values(place: str, values: dict[str, bytes], resolver: Resolver) -> list[Problem]:
    """Find values that no receiver knows, so that it takes the default, and a public suffix that is none."""
    known = {"adkim": b"r s", "aspf": b"r s", "t": b"y n", "psd": b"y n u"}
    found: list[Problem] = [
        (WARNING, "odd-value", {"tag": f"{name}={_text(values[name])}"}, "medium")
        for name, words in known.items()
        if name in values and values[name].lower() not in words.split()
    ]
    if values.get("psd", b"").lower() == b"y" and resolver.query(place, "MX").exchanges:
        found.append((WARNING, "psd", {}, "medium"))
    return found


def _strength(policy: DmarcRecord, *, own: bool) -> list[Problem]:
    applied = policy.p if own else policy.for_subdomain(exists=True)
    if applied == "none":
        return [(WARNING, "none", {}, "high")]
    found: list[Problem] = []
    if policy.testing:
        found.append((WARNING, "testing", {}, "medium"))
    for tag in ("sp", "np"):
        value = getattr(policy, tag)
        if own and value is not None and POLICIES.index(value) < POLICIES.index(policy.p):
            found.append((WARNING, "subdomains", {"tag": f"{tag}={value}"}, "medium"))
    return found


def _reports(domain: str, place: str, values: dict[str, bytes], resolver: Resolver) -> list[Problem]:
    targets = [uri.strip() for uri in values.get("rua", b"").split(b",") if uri.strip()]
    if not targets:
        return [(WARNING, "no-reports", {}, "informational")]
    found: list[Problem] = []
    for uri in targets[:_MOST_TARGETS]:
        match = _MAILTO.fullmatch(uri)
        target = domain_name(match[1].decode()) if match else None
        if target is None:
            found.append((WARNING, "odd-reports", {"target": _text(uri)}, "medium"))
        elif takes_no_mail(target, resolver):
            found.append((WARNING, "dead-reports", {"target": target}, "medium"))
        elif not _agreed(domain, place, target, resolver):
            found.append((WARNING, "foreign-reports", {"target": target}, "medium"))
    return found


def takes_no_mail(domain: str, resolver: Resolver) -> bool:
    """Whether mail to a domain surely goes nowhere: there is no such domain, neither MX nor address, or a null MX."""
    answer = resolver.query(domain, "MX")
    if answer.status == NXDOMAIN:
        return True
    if answer.status == OK:
        return not any(name.strip(".") for _, name in answer.exchanges)
    return not silent(answer) and not any(
        silent(each) or each.names for each in (resolver.query(domain, rdtype) for rdtype in ("A", "AAAA"))
    )


def _agreed(domain: str, place: str, target: str, resolver: Resolver) -> bool:
    """Whether a domain takes reports about another one (RFC 9990 4); a DNS that does not answer is no refusal."""
    if target in {domain, place} or walk(target, resolver).organizational_domain == place:
        return True
    answers = [resolver.query(f"{name}._report._dmarc.{target}", "TXT") for name in dict.fromkeys((place, domain))]
    return any(silent(answer) or any(map(_DMARC.match, answer.texts)) for answer in answers)


def tlsrpt(domain: str, resolver: Resolver) -> Outcome:
    """Judge the record that asks for reports about TLS."""
    answer = resolver.query(f"_smtp._tls.{domain}", "TXT")
    if silent(answer):
        return failed("tlsrpt", f"_smtp._tls.{domain}", "TXT", answer)
    records = [text for text in answer.texts if _TLSRPT.match(text)]
    return _judged_reports(records, answer.texts, resolver)


def _judged_reports(records: Sequence[bytes], texts: Sequence[bytes], resolver: Resolver) -> Outcome:
    if not records and (meant := misspelt.find("tlsrpt", texts)):
        return Outcome("tlsrpt", WARNING, "misspelt", {"record": meant[0]}, meant)
    if not records:
        return Outcome("tlsrpt", WARNING, "missing", {}, [_text(text) for text in texts[:5]])
    values = {"record": _text(records[0]), "count": len(records)}
    evidence = [_text(record) for record in records]
    if len(records) > 1:
        return Outcome("tlsrpt", FAILURE, "multiple", values, evidence, severity="medium")
    if not _TLSRPT_WHOLE.fullmatch(records[0]):
        return Outcome("tlsrpt", FAILURE, "malformed", values, evidence, severity="medium")
    dead = [target for target in _mail_targets(tags(records[0])) if takes_no_mail(target, resolver)]
    if dead:
        return Outcome("tlsrpt", WARNING, "dead", values | {"target": dead[0]}, evidence, severity="medium")
    return Outcome("tlsrpt", GOOD, "good", values, evidence)


def _mail_targets(values: dict[str, bytes]) -> list[str]:
    """Return the domains to which reports go by mail."""
    matches = map(_MAILTO.fullmatch, map(bytes.strip, values.get("rua", b"").split(b",")[:_MOST_TARGETS]))
    names = (domain_name(match[1].decode()) for match in matches if match)
    return [name for name in names if name]


def bimi(domain: str, resolver: Resolver, enforced: bool) -> Outcome:
    """Judge the record that names a logo; enforced: whether the DMARC policy is quarantine or reject.

    Where it is good, its values have the location of the logo.
    """
    answer = resolver.query(f"default._bimi.{domain}", "TXT")
    if silent(answer):
        return failed("bimi", f"default._bimi.{domain}", "TXT", answer)
    records = [text for text in answer.texts if _BIMI.match(text)]
    if not records:
        return Outcome("bimi", NOT_APPLICABLE, "absent")
    values = {"record": _text(records[0])}
    evidence = [_text(record) for record in records]
    found = tags(records[0])
    location, authority = found.get("l"), found.get("a", b"")
    if location == b"" and not authority:
        return Outcome("bimi", NOT_APPLICABLE, "declined", values, evidence)
    if len(records) > 1 or not location or not location.lower().startswith(b"https://"):
        return Outcome("bimi", WARNING, "malformed", values, evidence)
    if not enforced:
        return Outcome("bimi", WARNING, "weak-dmarc", values, evidence)
    return Outcome("bimi", GOOD, "good", values | {"location": _text(location)}, evidence)


def enforced(domain: str, resolver: Resolver) -> bool:
    """Whether receivers are asked to keep forged mail of the domain away."""
    applicable = walk(domain, resolver).applicable
    if applicable is None or not applicable[1].usable:
        return False
    place, policy = applicable
    wanted = policy.p if place == domain else policy.for_subdomain(exists=True)
    return wanted != "none" and not policy.testing
