"""The verb sign: an ARC set (RFC 8617) that says what `verify` found out, for the servers behind this one.

After a filter has changed a message, its DKIM signatures are broken and SPF speaks of us; a server that trusts this
site reads here what was true when the message came.  What goes under the signature is only what stands under our seal:
nobody else can have written that.
"""

from __future__ import annotations

import re

from mailguard import memory
from mailguard.errors import ContentLimit, MailguardError
from mailguard.findings import Finding, Result, show
from mailguard.message.tree import MAX_FIELDS, ROOM, parse
from mailguard.seal import field as seal_field
from mailguard.verify import arc, resinfo
from mailguard.verify.claims import comparable
from mailguard.verify.method import PASS
from mailguard.verify.signature import BadSignature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.message.header import Field
    from mailguard.message.tree import Message
    from mailguard.seal.field import Seal
    from mailguard.site import Site
    from mailguard.verify.arc_set import SigningKey

VERB = "sign"

_ARC = frozenset({arc.RESULTS, arc.SIGNATURE, arc.SEAL})
_WELL_FORMED = re.compile(rb"[!-9;-~]++:[^\r\n\0]*+(?:\r?\n[ \t][^\r\n\0]*+)*\r?\n?")


class _Unsigned(Exception):  # noqa: N818 (an outcome, not a failure)
    """Why a message gets no set."""


def sign(raw: bytes, key: SigningKey, site: Site) -> Result:
    """Return the message with one more ARC set on top, or as it is where there is nothing to sign.

    raw: the message with any line ends; site.ring: with which `verify` has sealed it.  MailguardError when the message
    lost its end since it was sealed.
    """
    result = Result(VERB, [raw])
    try:
        with memory.Limit(site.memory_limit, len(raw)):
            message = parse(raw)
            above = _set(message, key, site)
    except _Unsigned as reason:
        result.findings = [
            Finding("arc.unsigned", "", "notice", f"The message gets no ARC set: {reason}.", "", "RFC 8617")
        ]
    except ContentLimit as limit:
        result.findings = [Finding(limit.code, "", "notice", "The message gets no ARC set: that takes too long.")]
    except MemoryError:
        result.findings = [Finding("limit.memory", "", "notice", "The message gets no ARC set: it is too large.")]
    else:
        if above:
            result = Result(VERB, [raw[: message.start], above, memoryview(raw)[message.start :]], changed=True)
            result.action = "signed"
            result.findings = [Finding("arc.signed", "", "info", f"ARC set of {show(key.domain)}.", "", "RFC 8617 5.1")]
    return result


def _set(message: Message, key: SigningKey, site: Site) -> bytes:
    """Return the set to put on top, b"" where ours is there already; raises _Unsigned."""
    reading = seal_field.read(message, site.ring, site.now)
    if reading.cut:
        raise MailguardError("the message lost its end since it was sealed; nothing was written")
    if reading.verdict is None:
        raise _Unsigned(f"it carries no verdict of this site ({reading.reason or 'its seal is old'})")
    if len(message.fields) > MAX_FIELDS + ROOM:
        raise _Unsigned("it has too many header fields")
    if any(_WELL_FORMED.fullmatch(field.bytes) is None for field in message.fields):
        raise _Unsigned("a header field is malformed")
    place = next(number for number, field in enumerate(message.fields) if field.name == seal_field.NAME)
    if any(field.name in _ARC for field in message.fields[:place]):
        if _is_ours(message, key):
            return b""
        raise _Unsigned("another server has put ARC fields on it since it was judged")
    if message.start and not message.raw[: message.start].endswith(b"\n"):
        raise _Unsigned("its header does not begin")
    results = _results(message.fields[place + 1 :], reading.verdict)
    return _made(message, results, _instance(message, results), key, site)


def _is_ours(message: Message, key: SigningKey) -> bool:
    """Tell whether the newest set is ours, and holds."""
    try:
        arc.check_last(message, key)
    except BadSignature:
        return False
    return True


def _results(fields: list[Field], seal: Seal) -> Field:
    """Return the one Authentication-Results field that `verify` wrote under this seal."""
    found = [field for field in fields if field.name == b"authentication-results" and _names(field, seal.authserv_id)]
    if len(found) != 1:
        raise _Unsigned("the results that verify wrote are not there")
    return found[0]


def _names(field: Field, authserv_id: str | None) -> bool:
    try:
        written, _ = resinfo.parse(field.value)
    except resinfo.UnreadableField:
        return False
    return written is not None and authserv_id is not None and comparable(written) == comparable(authserv_id)


def _instance(message: Message, results: Field) -> int:
    """Return the number of the new set.

    A chain that is broken, or was when the message came, is left alone: a seal with cv=fail (RFC 8617 5.1.2) tells
    nobody anything that he would not find himself, and ends the chain for those who could.
    """
    try:
        sealers = arc.chain(message)
    except BadSignature as bad:
        raise _Unsigned(f"its ARC chain is broken ({bad.reason})") from None
    if not sealers:
        return 1
    _, said = resinfo.parse(results.value)
    judged = [result.result for result in said if result.method == "arc"]
    if not judged:
        raise _Unsigned("nobody has judged the ARC chain that it came with (verify needs --arc)")
    if judged != [PASS]:
        raise _Unsigned("the ARC chain that it came with does not hold")
    if len(sealers) >= arc.MAX_INSTANCES:
        raise _Unsigned(f"its ARC chain has {arc.MAX_INSTANCES} sets already")
    return len(sealers) + 1


def _made(message: Message, results: Field, instance: int, key: SigningKey, site: Site) -> bytes:
    from mailguard.verify import arc_set

    try:
        return arc_set.make(message, results.value, instance, key, site.now)
    except BadSignature as bad:
        raise _Unsigned(f"our own verifier does not accept it ({bad.reason})") from None
    except (MemoryError, _Unsigned):
        raise
    except Exception as error:  # noqa: BLE001 (whatever the library trips over, the message passes as it is)
        raise _Unsigned(f"signing it fails ({show(type(error).__name__)})") from None
