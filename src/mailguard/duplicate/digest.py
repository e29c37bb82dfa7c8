"""By what a message is recognised when it comes a second time."""

from __future__ import annotations

from mailguard.message import header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What mail systems add on the way (RFC 5321 4.4, RFC 8601, RFC 7208 9.1, RFC 8617 4.1); a retry may bring others.
_TRACE = frozenset(
    {
        b"received",
        b"return-path",
        b"delivered-to",
        b"x-original-to",
        b"authentication-results",
        b"received-spf",
        b"arc-authentication-results",
        b"arc-message-signature",
        b"arc-seal",
        b"mailguard-seal",
    }
)
_INDIVIDUAL = frozenset({b"message-id", b"date"})
_FIELD_LIMIT = 10_000
_CHUNK = 1 << 20


def examine(raw: bytes) -> tuple[bytes, int]:
    """Return (SHA-256 of the message without trace fields, number of Received fields).

    Line ends do not count.  A message with neither Message-ID nor Date has nothing else that tells two of a kind
    apart, so there the trace fields count too, as they do over 10,000 fields.
    """
    import hashlib

    start = raw.find(b"\n") + 1 if raw.startswith(b"From ") else 0
    stop, body = header.end(raw, start, len(raw))
    kept, hops, individual = [], 0, False
    for count, field in enumerate(header.fields(raw, start, stop)):
        hops += field.name == b"received"
        individual = individual or field.name in _INDIVIDUAL
        if count >= _FIELD_LIMIT:
            individual = False
            break
        if field.name not in _TRACE:
            kept.append(field.bytes)
    code = hashlib.sha256()
    for piece in kept if individual else _pieces(raw, start, stop):
        code.update(piece.replace(b"\r\n", b"\n"))
    code.update(b"\n")
    for piece in _pieces(raw, body, len(raw)):
        code.update(piece.replace(b"\r\n", b"\n"))
    return code.digest(), hops


def _pieces(raw: bytes, start: int, stop: int) -> Iterator[bytes]:
    """Yield `raw[start:stop]` in pieces that do not end inside a CRLF."""
    while start < stop:
        end = min(start + _CHUNK, stop)
        if end < stop and raw[end - 1] == 13:
            end += 1
        yield raw[start:end]
        start = end
