"""DNS records as readable text and back (RFC 1035 5.1): TXT in quotes with escapes, MX as "10 mail.example"."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.dns.answer import Record

_ESCAPE = re.compile(rb"\\(?:([0-9]{3})|(.)|\Z)", re.DOTALL)
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"[ \t]*+', re.DOTALL)


def written(record: Record) -> str:
    r"""Return the text form of a record; what is not visible ASCII in a TXT record is written as \DDD."""
    if isinstance(record, bytes):
        return '"' + "".join(map(_escaped, record)) + '"'
    return f"{record[0]} {record[1] or '.'}" if isinstance(record, tuple) else record


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03}"


def read(text: str, rdtype: str) -> Record:
    """Return the record that `text` describes; raises ValueError.

    TXT: one or more quoted strings, which are joined, or else the whole text as it stands, escapes undone.
    """
    if rdtype == "TXT":
        return _text(text.encode())
    if rdtype == "MX":
        preference, exchange = text.split()
        if not (preference.isascii() and preference.isdigit() and int(preference) < 65536):
            raise ValueError("the preference of an MX record is a number below 65536")
        return int(preference), exchange.removesuffix(".")
    if rdtype in {"A", "AAAA"}:
        from ipaddress import IPv4Address, IPv6Address

        return str((IPv4Address if rdtype == "A" else IPv6Address)(text))
    return text.removesuffix(".")


def _text(raw: bytes) -> bytes:
    if not raw.startswith(b'"'):
        return _ESCAPE.sub(_unescaped, raw)
    position, strings = 0, []
    while position < len(raw):
        match = _STRING.match(raw, position)
        if match is None:
            raise ValueError("a quoted string does not end")
        strings.append(_ESCAPE.sub(_unescaped, match[1]))
        position = match.end()
    return b"".join(strings)


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return bytes([min(int(match[1]), 255)])
    return match[2] or b"\\"
