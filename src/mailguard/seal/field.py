"""The Mailguard-Seal field: what a verb found out, bound to the message it was found out about.

The MAC covers the seal's own values, the header fields below it in relaxed form and, by its digest, the body, whatever
its line ends.  So a re-injection, a Maildir or an mbox does not break it, and no sender can make one.  The header's MAC
does not need the body: input that is shorter than its valid seal says was cut on the way to us.
"""

from __future__ import annotations

import binascii
import re

from mailguard.findings import show
from mailguard.seal import body
from mailguard.seal.keys import equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from mailguard.findings import Chunk
    from mailguard.message.header import Field
    from mailguard.message.tree import Message
    from mailguard.seal.keys import Key, KeyRing

NAME = b"mailguard-seal"
VALIDITY = 7 * 86400  # seconds for which a verdict counts
_CLOCK_SKEW = 300

# Written and removed by mail servers and stores, at any place in the header.
_TRANSPORT = frozenset(
    {
        b"return-path",
        b"delivered-to",
        b"x-original-to",
        b"bcc",
        b"resent-bcc",
        b"content-length",
        b"status",
        b"x-status",
        b"lines",
        # c-client (UW, Dovecot) and Thunderbird keep them in mbox files, and change them whenever somebody reads.
        b"x-uid",
        b"x-keywords",
        b"x-imap",
        b"x-imapbase",
        b"x-mozilla-status",
        b"x-mozilla-status2",
        b"x-mozilla-keys",
    }
)
# Who wrote, to whom and about what; where an answer or a receipt goes.
_NOT_ABOVE = frozenset(
    {
        b"from", b"sender", b"reply-to", b"to", b"cc", b"date", b"subject", b"message-id", b"mime-version",
        b"in-reply-to", b"references", b"resent-from", b"resent-sender", b"resent-to", b"resent-cc", b"resent-date",
        b"resent-message-id", b"resent-reply-to", b"mail-reply-to", b"mail-followup-to", b"disposition-notification-to",
        b"return-receipt-to", b"x-confirm-reading-to", b"errors-to",
    }
)  # fmt: skip
_WELL_FORMED = re.compile(rb"[!-9;-~]++:[^\r\n\0]*+(?:\r?\n[ \t][^\r\n\0]*+)*\r?\n?")
_BLANKS = re.compile(rb"[ \t]++")
_VALUES = re.compile(
    rb"v=1; k=([a-z2-9]{3}); t=([0-9]{1,11}); l=([0-9]{1,15}); s=([a-z,]{1,100}); a=(yes|no)"
    rb"(?:; d=([A-Za-z0-9._-]{1,255}))?(?:; n=([A-Za-z0-9._-]{1,255}))?(?:; f=([a-z,]{1,60}))?"
    rb"(?:; q=([a-z2-9]{24}))?(?:; r=([0-9a-f ]{1,4000}))?(?:; u=([a-z,]{1,100}))?"
    rb"; bh=([A-Za-z0-9+/]{43}=); m=([A-Za-z0-9+/]{43}=)"
)
_SAFE_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")


class Seal:
    """The values of a seal.

    time: Unix time; verbs: verbs that wrote it, in order; authenticated, author_domain: the verdict (DESIGN of
    `verify`); authserv_id: of our Authentication-Results; flags: "impersonating", "lookalike", "temperror";
    quarantine_id: of the capsule in the message; released: digests of the recipients to whom the operator released the
    message; used: verbs that have honoured the release.
    """

    __slots__ = (
        "authenticated",
        "author_domain",
        "authserv_id",
        "flags",
        "quarantine_id",
        "released",
        "time",
        "used",
        "verbs",
    )

    def __init__(  # noqa: PLR0913 (a record)
        self,
        time: int,
        verbs: Sequence[str] = (),
        *,
        authenticated: bool = False,
        author_domain: str | None = None,
        authserv_id: str | None = None,
        flags: Sequence[str] = (),
        quarantine_id: str | None = None,
        released: Sequence[str] = (),
        used: Sequence[str] = (),
    ) -> None:
        self.time = time
        self.verbs = tuple(verbs)
        self.authenticated = authenticated
        self.author_domain = author_domain
        self.authserv_id = authserv_id
        self.flags = tuple(flags)
        self.quarantine_id = quarantine_id
        self.released = tuple(released)
        self.used = tuple(used)

    def after(self, verb: str, quarantine_id: str | None = None) -> Seal:
        """Return the seal that `verb` writes after changing the message: the same verdict at the same time."""
        verbs = self.verbs if self.verbs[-1:] == (verb,) else (*self.verbs[-8:], verb)
        return self._with(verbs=verbs, quarantine_id=quarantine_id or self.quarantine_id)

    def honoured(self, verb: str) -> Seal:
        """Return the seal after `verb` has let a released message pass: it does so once."""
        return self._with(used=(*self.used, verb))

    def _with(self, **changes: Any) -> Seal:
        values = {name: getattr(self, name) for name in self.__slots__} | changes
        return Seal(values.pop("time"), **values)

    def values(self, key_name: str, length: int) -> bytes:
        """Write the values in their one order, without body hash and MAC."""
        optional = (
            ("d", self.author_domain if _SAFE_NAME.fullmatch(self.author_domain or "") else None),
            ("n", self.authserv_id if _SAFE_NAME.fullmatch(self.authserv_id or "") else None),
            ("f", ",".join(self.flags)),
            ("q", self.quarantine_id),
            ("r", " ".join(self.released)),
            ("u", ",".join(self.used)),
        )
        text = f"v=1; k={key_name}; t={self.time}; l={length}; s={','.join(self.verbs)}"
        text += f"; a={'yes' if self.authenticated else 'no'}"
        return (text + "".join(f"; {tag}={value}" for tag, value in optional if value)).encode("ascii")


class Reading:
    """What `read` found.

    seal: None unless it counts; reason: why it does not; key: that made it; cut: the message lost its end since it was
    sealed; fresh: young enough for its verdict to count, and made with a site key.
    """

    __slots__ = ("cut", "fresh", "key", "reason", "seal")

    def __init__(
        self, seal: Seal | None, reason: str, key: Key | None = None, *, cut: bool = False, fresh: bool = False
    ) -> None:
        self.seal = seal
        self.reason = reason
        self.key = key
        self.cut = cut
        self.fresh = fresh

    def returned(self) -> Reading:
        """Return the reading of a seal that comes back from outside: it still marks our capsule, and nothing else."""
        return Reading(self.seal, "the message comes from outside", self.key)

    @property
    def verdict(self) -> Seal | None:
        """The seal, if its verdict counts now."""
        return self.seal if self.fresh else None


def write(key: Key, seal: Seal, header: bytes, content: Iterable[Chunk], eol: bytes) -> bytes:
    """Return the Mailguard-Seal field to put above `header` (the fields below it, line ends included).

    content: the body in pieces; eol: line end of the field.  Folded under 78 columns.
    """
    from mailguard.message.header import fields

    body_hash, length = body.digest(content)
    covered = _relaxed(fields(header, 0, len(header)))
    values = seal.values(key.name, length) + b"; bh=" + _base64(body_hash)
    code = key.mac("seal", values, covered)
    return b"Mailguard-Seal: " + _fold(values + b"; m=" + _base64(code), eol) + eol


def read(message: Message, ring: KeyRing | None, now: int) -> Reading:
    """Check the seal of a message; never raises for anything in it."""
    seals = [field for field in message.fields if field.name == NAME]
    if ring is None or not seals:
        return Reading(None, "no key" if ring is None else "no seal")
    if len(seals) > 1:
        return Reading(None, "more than one seal")
    return _check(message, seals[0], ring, now)


def recipient_digest(key: Key, recipient: str) -> str:
    """Return the mark by which a seal names a recipient without showing the address."""
    return key.mac("recipient", recipient.lower().encode("utf-8", "surrogateescape")).hex()[:24]


def _check(message: Message, field: Field, ring: KeyRing, now: int) -> Reading:
    match = _VALUES.fullmatch(_BLANKS.sub(b" ", field.unfolded))
    if match is None or message.raw[field.start : field.colon].lower() != NAME:
        return Reading(None, "the seal is malformed")
    key = ring.find(match[1].decode("ascii"))
    if key is None:
        return Reading(None, "the seal was made with another key")
    seal = _seal(match)
    above, below = _around(message, field)
    values = seal.values(key.name, int(match[3])) + b"; bh=" + match[12]
    if not equal(_base64(key.mac("seal", values, _relaxed(below))), match[13]):
        return Reading(None, "the header has changed since it was sealed, or the seal is forged")
    reason = _above(above, seal)
    if reason:
        return Reading(None, reason)
    body_hash, length = body.digest([memoryview(message.raw)[message.root.body :]])
    if _base64(body_hash) != match[12]:
        cut = length < int(match[3]) and not above
        return Reading(None, "the body has changed since it was sealed", key, cut=cut)
    fresh = key.trusted and seal.time - _CLOCK_SKEW <= now < seal.time + VALIDITY
    return Reading(seal, "", key, fresh=fresh)


def _seal(match: re.Match[bytes]) -> Seal:
    text = [value.decode("ascii") if value else "" for value in match.groups()]
    return Seal(
        int(text[1]),
        text[3].split(","),
        authenticated=text[4] == "yes",
        author_domain=text[5] or None,
        authserv_id=text[6] or None,
        flags=text[7].split(",") if text[7] else (),
        quarantine_id=text[8] or None,
        released=text[9].split(),
        used=text[10].split(",") if text[10] else (),
    )


def _around(message: Message, seal: Field) -> tuple[list[Field], list[Field]]:
    fields = message.fields
    place = next(number for number, field in enumerate(fields) if field is seal)
    return fields[:place], fields[place + 1 :]


def _above(fields: list[Field], seal: Seal) -> str:
    """Say what stands above the seal that must not stand there."""
    for field in fields:
        if _WELL_FORMED.fullmatch(field.bytes) is None:
            return "a malformed field stands above the seal"
        name = field.name
        if name in _NOT_ABOVE or name.startswith((b"content-", b"mailguard-")):
            return f"a field that the seal must cover stands above it: {show(name, 40)}"
        ours = (seal.authserv_id or "\n").lower().encode("ascii")  # no value holds a line end here
        if name == b"authentication-results" and ours in field.unfolded.lower():
            return "Authentication-Results in our name stand above the seal"
    return ""


def _relaxed(fields: Iterable[Field]) -> bytes:
    """Relaxed form of fields (RFC 6376 3.4.2) without those that transport owns.

    What is no well-formed field counts as it stands, whatever its name: some reader may find another field in it, as
    `From` in "Bcc: a<CR>From: b", and "From :" is not what "From:" is.
    """
    lines = []
    for field in fields:
        if _WELL_FORMED.fullmatch(field.bytes) is None:
            lines.append(field.bytes.replace(b"\r\n", b"\n").rstrip(b"\n"))
        elif field.name not in _TRANSPORT:
            lines.append(field.name + b":" + _BLANKS.sub(b" ", field.unfolded).strip(b" "))
    return b"\r\n".join(lines)


def _base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)


def _fold(value: bytes, eol: bytes) -> bytes:
    lines = []
    line = b""
    room = 78 - len("Mailguard-Seal: ")
    for word in value.split(b" "):
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line, room = b"", 77
        line += b" " + word if line else word
    return (eol + b"\t").join([*lines, line])
