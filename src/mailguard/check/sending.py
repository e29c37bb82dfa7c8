"""What a mail from the domain shows about how it sends: SPF, DKIM, DMARC, encryption, names, and what leaks."""

from __future__ import annotations

import re

from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome
from mailguard.verify import client as connection
from mailguard.verify import tags
from mailguard.verify.method import FAIL, NONE, PASS, PERMERROR, POLICY, TEMPERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from mailguard.check.hop import Arrival, Transport
    from mailguard.dns import Resolver
    from mailguard.message.tree import Message
    from mailguard.verify.judgement import Judgement

GOOD_BITS = 2048
_OLD = frozenset({"TLSv1", "TLSv1.0", "TLSv1.1", "SSLv2", "SSLv3"})
_LEAKING = frozenset({b"x-originating-ip", b"x-mailer", b"user-agent", b"x-php-originating-script"})
_MOST_FIELDS = 200
_LITERAL = re.compile(rb"[\[(]([0-9A-Fa-f:.]{7,45})[\])]")
_LINE = re.compile(rb"[^\r\n]++")
_LONGEST_LINE = 998  # RFC 5322 2.1.1
_CONTROL = re.compile(rb"\x00|\r(?!\n)")
_MOST_LITERALS = 64
_SIGNED = frozenset({b"to", b"subject", b"date", b"message-id"})  # RFC 6376 5.4.1; some of them at least
_WEAK = re.compile("RC4|DES|NULL|EXP|MD5|IDEA|SEED", re.IGNORECASE)
_DAY = 86400
_OLDEST = 6 * _DAY  # RFC 5321 4.5.4.1: a queue gives up after 4 to 5 days
_MESSAGE_ID = re.compile(rb"[ \t]*<[^<>@\s]{1,300}@[^<>@\s]{1,300}>[ \t]*")
_LINE_NAME = re.compile(
    r"(?:^|[.-])(?:adsl|dsl|vdsl|ppp|pppoe|dhcp|dyn|dynamic|dialup|pool|cable|ftth|broadband|customer|client|user)"
    r"[0-9]*[.-]",
    re.IGNORECASE,
)


def outcomes(message: Message, arrival: Arrival, judgement: Judgement, resolver: Resolver, now: float) -> list[Outcome]:
    """Return everything that one mail shows about its sender's system.

    judgement: of `verify.judgement.judge`, over the same message and client; resolver: answers again what it asked;
    now: Unix time at which it came.
    """
    author = judgement.author_domain or ""
    records = judgement.records
    return [
        *_spf(records, arrival),
        *_dkim([each for each in records if each["method"] == "dkim"], author, resolver, _signatures(message)),
        _alignment(records, author),
        *_names(arrival, resolver),
        encryption(arrival.transport, arrival),
        _fields(message, now),
        _lines(message.raw[message.start :]),
        _arc(records),
        _leaks(message, arrival),
    ]


def _spf(records: Sequence[dict[str, Any]], arrival: Arrival) -> Iterator[Outcome]:
    address = arrival.envelope.client_address or ""
    if not address:
        yield Outcome("spf.result", UNKNOWN, "no-client")
        return
    if arrival.envelope.sender is None:
        yield Outcome("spf.result", UNKNOWN, "no-sender")
        return
    for record in records:
        if record["method"] == "spf":
            helo = "smtp.helo" in record["properties"]
            yield _helo_spf(record, address) if helo else _sender_spf(record, address)


def _sender_spf(record: dict[str, Any], address: str) -> Outcome:
    result = record["result"]
    values = {"value": record["domain"], "address": address, "result": result, "why": record["reason"]}
    evidence = [f"{each['domain']} TXT {each['record']}" for each in record["evaluated"]]
    state, reason = {
        PASS: (GOOD, "good"),
        NONE: (FAILURE, "none"),
        PERMERROR: (FAILURE, "permerror"),
        TEMPERROR: (UNKNOWN, "temperror"),
        "neutral": (WARNING, "neutral"),
    }.get(result, (FAILURE, "fail"))
    return Outcome("spf.result", state, reason, values, evidence)


def _helo_spf(record: dict[str, Any], address: str) -> Outcome:
    result = record["result"]
    value = record["properties"]["smtp.helo"]
    values = {"value": value, "helo": value, "address": address, "result": result, "why": record["reason"]}
    state, reason = {
        PASS: (GOOD, "good"),
        NONE: (WARNING, "none"),
        TEMPERROR: (UNKNOWN, "temperror"),
    }.get(result, (FAILURE, "fail"))
    return Outcome("spf.helo", state, reason, values)


def _signatures(message: Message) -> dict[str, dict[str, bytes]]:
    """Return the tags of every signature by the beginning of its b=, as results name it (RFC 6008)."""
    found = {}
    for field in message.fields[:_MOST_FIELDS]:
        if field.name == b"dkim-signature":
            try:
                read = tags.parse(field.value)
            except tags.TagError:
                continue
            found[tags.compact(read.get("b", b""))[:8].decode("latin-1")] = read
    return found


def _dkim(
    records: Sequence[dict[str, Any]], author: str, resolver: Resolver, signatures: Mapping[str, dict[str, bytes]]
) -> Iterator[Outcome]:
    """Judge every signature; one of another domain is no fault beside one of the own domain."""
    signed = [record for record in records if record["properties"].get("header.d")]
    if not signed:
        yield Outcome("dkim", FAILURE, "none")
        return
    found = [
        _signature(record, author, resolver, signatures.get(record["properties"].get("header.b", ""), {}))
        for record in signed
    ]
    owned = any(outcome.state == GOOD or outcome.reason in {"short", "length", "narrow"} for outcome in found)
    for outcome in found:
        if owned and outcome.reason in {"foreign", "invalid"}:
            outcome.severity = "informational"
        yield outcome


def _signature(record: dict[str, Any], author: str, resolver: Resolver, signature: Mapping[str, bytes]) -> Outcome:
    properties = record["properties"]
    domain, selector = properties["header.d"], properties.get("header.s", "")
    values = {"name": f"{selector}._domainkey.{domain}", "why": record["reason"] or record["result"]}
    evidence = [f"{name}={value}" for name, value in properties.items()]
    if record["result"] == TEMPERROR:
        return Outcome("dkim", UNKNOWN, "temperror", values)
    if "l" in signature and record["result"] in {PASS, POLICY}:
        return Outcome("dkim", WARNING, "length", values, evidence, severity="medium")
    if record["result"] != PASS:
        return Outcome("dkim", FAILURE, "invalid", values, evidence)
    bits = _bits(f"{selector}._domainkey.{domain}", resolver)
    values |= {"bits": str(bits), "algorithm": properties.get("header.a", "")}
    if not _same_organization(domain, author, resolver):
        return Outcome("dkim", WARNING, "foreign", values, evidence)
    names = {name.lower() for name in tags.items(signature.get("h", b""))}
    if names and names.isdisjoint(_SIGNED):
        return Outcome("dkim", WARNING, "narrow", values, evidence, severity="medium")
    short = bits < GOOD_BITS and "ed25519" not in properties.get("header.a", "").lower()
    state, reason = (WARNING, "short") if short else (GOOD, "good")
    return Outcome("dkim", state, reason, values, evidence)


def _bits(name: str, resolver: Resolver) -> int:
    from mailguard.verify.publickey import PublicKey, UnusableKey

    try:
        return PublicKey(resolver.query(name, "TXT").texts[0]).bits
    except (IndexError, UnusableKey):
        return 0  # another answer than a moment ago


def _same_organization(one: str, other: str, resolver: Resolver) -> bool:
    from mailguard.dns.names import domain_name
    from mailguard.verify.organization import walk

    name = domain_name(one)
    if name is None or not other:
        return False
    if name == other:
        return True
    return walk(name, resolver).organizational_domain == walk(other, resolver).organizational_domain


def _alignment(records: Sequence[dict[str, Any]], author: str) -> Outcome:
    [record] = [each for each in records if each["method"] == "dmarc"]
    values = {"value": author, "why": record["reason"]}
    evidence = [f"{name}={value}" for name, value in record["properties"].items()]
    state, reason = {
        PASS: (GOOD, "good"),
        NONE: (NOT_APPLICABLE, "none"),  # that there is no record is the finding of dmarc
        FAIL: (FAILURE, "fail"),
        TEMPERROR: (UNKNOWN, "temperror"),
    }.get(record["result"], (FAILURE, "permerror"))
    return Outcome("align", state, reason, values, evidence)


def _names(arrival: Arrival, resolver: Resolver) -> Iterator[Outcome]:
    address = connection.client_address(arrival.envelope.client_address)
    helo = arrival.envelope.client_helo
    if address is None:
        yield Outcome("fcrdns", UNKNOWN, "no-client")
        yield Outcome("helo", UNKNOWN, "no-client")
        return
    named = Outcome("helo", UNKNOWN, "no-client") if helo is None else _helo(helo, str(address), resolver)
    reverse = _reverse(str(address), address.reverse_pointer, resolver)
    reverse.values["helo"] = helo or ""
    yield from (reverse, named)


def _reverse(address: str, pointer: str, resolver: Resolver) -> Outcome:
    from mailguard.verify import iprev

    found = iprev.check(address, resolver)
    values = {"address": address, "pointer": pointer, "name": found.name}
    evidence = [f"{pointer} PTR {name}" for name in resolver.query(pointer, "PTR").names]
    if found.result == PASS and _is_generic(found.name, address):
        return Outcome("fcrdns", WARNING, "generic", values, evidence, severity="medium")
    state, reason = {
        PASS: (GOOD, "good"),
        FAIL: (FAILURE, "mismatch"),
        TEMPERROR: (UNKNOWN, "temperror"),
    }.get(found.result or "", (FAILURE, "missing"))
    return Outcome("fcrdns", state, reason, values, evidence)


def _is_generic(name: str, address: str) -> bool:
    """Whether a name is one that providers give to all their lines: it holds the address, or says so (S25R)."""
    if _LINE_NAME.search(name):
        return True
    if ":" in address:
        return False
    octets = address.split(".")
    packed = "".join(f"{int(octet):02x}" for octet in octets)
    padded = "".join(octet.zfill(3) for octet in octets)
    three = [f"0*{octet}" for octet in octets[1:]]
    rows = (rf"(?<![0-9]){'[-._x]'.join(row)}(?![0-9])" for row in (three, three[::-1]))
    return packed in name.lower() or padded in name or any(re.search(row, name) for row in rows)


def _helo(helo: str, address: str, resolver: Resolver) -> Outcome:
    from mailguard.dns.names import domain_name

    values = {"helo": helo, "address": address}
    name = domain_name(helo)
    if name is None or "." not in name or connection.client_address(helo) is not None:
        return Outcome("helo", WARNING, "no-name", values)
    answer = resolver.query(name, "AAAA" if ":" in address else "A")
    if answer.temporary:
        return Outcome("helo", UNKNOWN, "temperror", values)
    if not answer.names:
        return Outcome("helo", WARNING, "unresolved", values)
    matches = any(connection.client_address(each) == connection.client_address(address) for each in answer.names)
    return Outcome("helo", GOOD if matches else WARNING, "good" if matches else "mismatch", values)


def encryption(transport: Transport, arrival: Arrival | None = None) -> Outcome:
    """Judge the encryption of the hop from the domain's server to ours."""
    values = {"version": transport.version.replace("TLSv", "TLS "), "cipher": transport.cipher}
    field = arrival.field if arrival else None
    evidence = [] if field is None else [b" ".join(field.bytes.split()).decode("utf-8", "backslashreplace")]
    if transport.encrypted is None:
        return Outcome("tls.out", UNKNOWN, "unrecorded", values, evidence)
    if not transport.encrypted:
        return Outcome("tls.out", FAILURE, "none", values, evidence)
    if transport.version in _OLD:
        return Outcome("tls.out", FAILURE, "old", values, evidence)
    if _WEAK.search(transport.cipher):
        return Outcome("tls.out", FAILURE, "weak", values, evidence)
    return Outcome("tls.out", GOOD, "good" if transport.version else "encrypted", values, evidence)


def _fields(message: Message, now: float) -> Outcome:
    """Judge Date and Message-ID: who leaves them out or has a wrong clock is taken for a spammer."""
    dates = [field for field in message.fields if field.name == b"date"]
    identifiers = [field for field in message.fields if field.name == b"message-id"]
    evidence = [field.unfolded[:200].decode("utf-8", "backslashreplace") for field in (*dates[:3], *identifiers[:3])]
    if len(dates) != 1:
        return Outcome("fields", WARNING, "date-count", {"count": len(dates)}, evidence)
    seconds = _seconds(dates[0].unfolded)
    if seconds is None:
        return Outcome("fields", WARNING, "date-malformed", {}, evidence)
    if not now - _OLDEST <= seconds <= now + _DAY:
        return Outcome("fields", WARNING, "date-far", {"days": int(abs(seconds - now) // _DAY)}, evidence)
    if len(identifiers) != 1 or not _MESSAGE_ID.fullmatch(identifiers[0].unfolded):
        return Outcome("fields", WARNING, "message-id", {"count": len(identifiers)}, evidence)
    return Outcome("fields", GOOD, "good", {}, evidence)


def _seconds(value: bytes) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value[:200].decode("ascii")).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _lines(raw: bytes) -> Outcome:
    longest = max((match.end() - match.start() for match in _LINE.finditer(raw)), default=0)
    if longest > _LONGEST_LINE:
        return Outcome("lines", WARNING, "long", {"length": longest})
    return Outcome("lines", WARNING, "control") if _CONTROL.search(raw) else Outcome("lines", GOOD, "good")


def _arc(records: Sequence[dict[str, Any]]) -> Outcome:
    for record in records:
        if record["method"] == "arc":
            domain = record["properties"].get("header.d", "")
            good = record["result"] == PASS
            values = {"count": domain, "why": record["reason"]}
            return Outcome("arc", GOOD if good else WARNING, "good" if good else "broken", values)
    return Outcome("arc", NOT_APPLICABLE, "none")


def _leaks(message: Message, arrival: Arrival) -> Outcome:
    """Find what header fields below our own say about the inside of a network."""
    found = []
    for field in message.fields[:_MOST_FIELDS]:
        shown = field.unfolded[:120].decode("utf-8", "backslashreplace")
        if field.name in _LEAKING:
            found.append((field.raw[field.start : field.colon].decode("latin-1").strip(), shown))
        elif field.name == b"received" and arrival.below is not None and field.start >= arrival.below:
            found += [("Received", address) for address in _internal(field.unfolded)]
    if not found:
        return Outcome("leak", GOOD, "good")
    evidence = [f"{name}: {value}" for name, value in dict.fromkeys(found)]
    values = {"fields": ", ".join(dict.fromkeys(name for name, _ in found))}
    return Outcome("leak", WARNING, "found", values, evidence)


def _internal(value: bytes) -> Iterator[str]:
    for number, match in enumerate(_LITERAL.finditer(value)):
        if number == _MOST_LITERALS:
            return
        address = connection.client_address(match[1].decode("ascii"))
        if address is not None and address.is_private and not address.is_loopback:
            yield str(address)
