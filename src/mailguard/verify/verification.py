"""The verb verify: a message with one Authentication-Results field and a seal on top, and no other byte changed.

Works on the bytes of the header only, so that a message that is too large to be judged still loses every field which
claims to be ours.
"""

from __future__ import annotations

import re

from mailguard import memory
from mailguard.errors import ContentLimit, MailguardError
from mailguard.findings import Finding, Result
from mailguard.message import header
from mailguard.message.splice import Splice, apply, joined
from mailguard.message.tree import MAX_FIELDS, ROOM, after_from_line, parse
from mailguard.seal import field as seal_field
from mailguard.seal.field import Reading, Seal
from mailguard.verify import results
from mailguard.verify.judgement import Judgement, judge, not_judged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.findings import Chunk
    from mailguard.message.tree import Message
    from mailguard.site import Site
    from mailguard.verify.client import Address, Network
    from mailguard.verify.judgement import VerifyOptions

VERB = "verify"
X_AUTHENTICATION_RESULTS = "x-authentication-results"
RECEIVED_SPF = "received-spf"

_NOT_IN_NAMES = re.compile(rb"[\x00-\x20\x7f-\xff]++")


def verify(raw: bytes, options: VerifyOptions, site: Site) -> Result:
    """Judge a message and return it with what was found out on top.

    raw: the message with any line ends.  With a valid seal of this site that holds a verdict, nothing is done, unless
    an outside client hands the message over: a seal that left the house could come back from anybody.
    MailguardError when the message lost its end since it was sealed.
    """
    reading = Reading(None, "not read")
    try:
        with memory.Limit(site.memory_limit, len(raw)):
            message = parse(raw)
            reading = seal_field.read(message, site.ring, site.now)
            if reading.key is not None and not _comes_from_inside(message, options, site):
                reading = reading.returned()
            if reading.cut:
                raise MailguardError("the message lost its end since it was sealed; nothing was written")
            if _is_settled(message, reading, options):
                return _settled(raw, reading)
            if len(message.fields) > MAX_FIELDS + ROOM:
                judgement = not_judged("limit.fields", "too many header fields")
            else:
                judgement = judge(message, site.envelope, options, site.now)
    except ContentLimit as limit:
        judgement = not_judged(limit.code, "judging it takes too long")
    except MemoryError:
        judgement = not_judged("limit.memory", "judging it takes too much memory")
    return _result(raw, judgement, reading, options, site)


def unjudged(raw: bytes, finding: Finding, options: VerifyOptions, site: Site) -> Result:
    """Return a message that is not read, without any field that claims to be ours: nobody is known to have sent it."""
    judgement = not_judged(finding.code, "the filter failed on it")
    return _result(raw, judgement, Reading(None, "not read"), options, site)


def _is_settled(message: Message, reading: Reading, options: VerifyOptions) -> bool:
    """Tell whether a seal of ours holds a verdict, or a release, and nothing above it claims to be ours."""
    seal = reading.verdict
    if seal is None or "temperror" in seal.flags or not {VERB, "release"}.intersection(seal.verbs):
        return False
    fields = message.fields
    place = next(number for number, field in enumerate(fields) if field.name == seal_field.NAME)
    return not any(_goes(field, options) for field in fields[:place])


def _comes_from_inside(message: Message, options: VerifyOptions, site: Site) -> bool:
    """Tell whether no outside client handed the message over since it was sealed.

    None is known, it is this host, or one of our relays or users; and no relay of ours says above the seal that it took
    the message from outside.
    """
    from mailguard.verify import client as connection

    known = connection.facts(site.envelope, environment=options.environment)
    given = known.envelope.client_address
    trusted = (*options.trusted_relays, *options.trusted_clients)
    if given is not None and not _is_ours(connection.client_address(given), trusted):
        return False
    if not options.trusted_relays:
        return True
    known = connection.facts(
        site.envelope,
        environment=options.environment,
        raw=message.raw,
        start=message.start,
        trusted_relays=options.trusted_relays,
    )
    seal = next(field for field in message.fields if field.name == seal_field.NAME)
    if known.entry is None or known.entry > seal.start:
        return True
    return _is_ours(connection.client_address(known.envelope.client_address), options.trusted_clients)


def _is_ours(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and (address.is_loopback or any(address in network for network in networks))


def _settled(raw: bytes, reading: Reading) -> Result:
    assert reading.seal is not None
    result = Result(VERB, [raw])
    result.authenticated = reading.seal.authenticated
    result.author_domain = reading.seal.author_domain
    result.quarantine_id = reading.seal.quarantine_id
    result.findings = [Finding("seal.valid", "", "info", "This site has judged the message already.")]
    return result


def _result(raw: bytes, judgement: Judgement, reading: Reading, options: VerifyOptions, site: Site) -> Result:
    seal = _seal(judgement, reading, options, site)
    result = Result(VERB, _marked(raw, judgement, seal, options, site), changed=True)
    result.action = "verified"
    result.authenticated = judgement.authenticated
    result.author_domain = judgement.author_domain
    result.quarantine_id = seal.quarantine_id
    result.results = judgement.records
    result.findings = judgement.findings
    result.details = judgement.details
    return result


def _seal(judgement: Judgement, reading: Reading, options: VerifyOptions, site: Site) -> Seal:
    """Return the seal with the new verdict, and with what an earlier one says about the capsule and a release."""
    flags = (
        ("impersonating", judgement.impersonating),
        ("lookalike", judgement.lookalike),
        ("temperror", judgement.undecided),
    )
    earlier = reading.seal or Seal(site.now)
    return Seal(
        site.now,
        earlier.verbs,
        authenticated=judgement.authenticated,
        author_domain=judgement.author_domain,
        authserv_id=options.authserv_id,
        flags=[name for name, is_set in flags if is_set],
        quarantine_id=earlier.quarantine_id,
        released=earlier.released if reading.fresh else (),
        used=earlier.used if reading.fresh else (),
    ).after(VERB)


def _marked(raw: bytes, judgement: Judgement, seal: Seal, options: VerifyOptions, site: Site) -> list[Chunk]:
    """Return the pieces of the message with the new fields on top."""
    start = after_from_line(raw)
    header_end, body = header.end(raw, start, len(raw))
    eol = _line_end(raw, start, header_end)
    top = start
    removed = []
    for field in header.fields(raw, start, header_end):
        if field.start == start and raw[start : start + 1] in {b" ", b"\t"}:
            top = field.end  # a fold without a field would continue ours
        elif _goes(field, options):
            removed.append(Splice(field.start, field.end))
    from_line = raw[:start] if raw[:start].endswith(b"\n") or not start else raw[:start] + eol
    orphan = raw[start:top] if raw[start:top].endswith(b"\n") or top == start else raw[start:top] + eol
    own = results.field(options.authserv_id, judgement.reported, eol)
    below = own + joined(apply(raw, removed, top, header_end))
    content = memoryview(raw)[body:]
    on_top = b"" if site.ring is None else seal_field.write(site.ring.active, seal, below, [content], eol)
    return [from_line, orphan, on_top, below, memoryview(raw)[header_end:body], content]


def _goes(field: header.Field, options: VerifyOptions) -> bool:
    name = _NOT_IN_NAMES.sub(b"", field.name)
    if name.startswith(b"mailguard-"):
        return True
    if name not in {b"authentication-results", b"x-authentication-results", b"received-spf"}:
        return False
    from mailguard.verify import claims

    found = claims.remove(
        [field],
        options.authserv_id,
        x_authentication_results=X_AUTHENTICATION_RESULTS in options.removed,
        received_spf=RECEIVED_SPF in options.removed,
    )
    return bool(found)


def _line_end(raw: bytes, start: int, stop: int) -> bytes:
    """Return the line end that most lines of the header have."""
    return b"\r\n" if 2 * raw.count(b"\r\n", start, stop) > raw.count(b"\n", start, stop) else b"\n"
