"""Cryptographic Message Syntax (RFC 5652), in DER or BER: what kind of content it is, and what was signed.

Strict: exactly one ContentInfo, and nothing behind it.  Nothing is verified: who signed does not matter here.
"""

from __future__ import annotations

import re

_ELEMENTS = 10_000
_SEQUENCE, _SET, _INTEGER, _IDENTIFIER, _OCTETS, _EXPLICIT = 0x30, 0x31, 0x02, 0x06, 0x04, 0xA0
_CERTIFICATES, _REVOCATIONS = 0xA0, 0xA1

# Object identifiers as they stand in the data (RFC 5652 4, 5, 6, 8; RFC 3274; RFC 5083).
DATA = bytes.fromhex("06092a864886f70d010701")
SIGNED = bytes.fromhex("06092a864886f70d010702")
ENVELOPED = bytes.fromhex("06092a864886f70d010703")
ENCRYPTED = bytes.fromhex("06092a864886f70d010706")
COMPRESSED = bytes.fromhex("060b2a864886f70d0109100109")
AUTHENTICATED_ENVELOPED = bytes.fromhex("060b2a864886f70d0109100117")
FOR_THE_RECIPIENT = frozenset({ENVELOPED, ENCRYPTED, AUTHENTICATED_ENVELOPED})

# As OpenSSL and Windows write it in text (RFC 7468 8, 9); Windows takes the base64 without these lines too.
_ARMOR = re.compile(rb"\s*+-----BEGIN (PKCS7|CMS|PKCS #7 SIGNED DATA)-----([A-Za-z0-9+/=\s]++)-----END \1-----\s*+")
_BASE64 = re.compile(rb"\s*+MI[A-Za-z0-9+/=\s]++")


class ContentInfo:
    """One ContentInfo.

    kind: the object identifier of its content type, one of the constants above or another; inner: that of what it
    encapsulates, b"" where it is not looked into; content: the encapsulated octets as ranges of `data`, None where
    there is none; detached: signatures or certificates without content.
    """

    __slots__ = ("content", "data", "detached", "inner", "kind")

    def __init__(self, data: bytes, kind: bytes) -> None:
        self.data = data
        self.kind = kind
        self.inner = b""
        self.content: list[tuple[int, int]] | None = None
        self.detached = False


def binary(content: bytes) -> bytes:
    """Return DER or BER from content that may be base64, with or without armor."""
    armored = _ARMOR.fullmatch(content)
    text = armored[2] if armored else content if _BASE64.fullmatch(content) else None
    if text is None:
        return content
    import binascii

    return binascii.a2b_base64(text)


def read(data: bytes) -> ContentInfo:
    """Read one ContentInfo in DER or BER; ValueError for anything else, and for what programs read differently."""
    try:
        return _read(data)
    except IndexError as error:
        raise ValueError("it ends within an element") from error


def is_detached(data: bytes) -> bool:
    """Tell whether data, in DER or BER, is exactly one SignedData that holds signatures but not what they sign."""
    try:
        return read(data).detached
    except ValueError:
        return False


def _read(data: bytes) -> ContentInfo:
    if _end(data, 0) != len(data):
        raise ValueError("something stands behind it")
    identifier, explicit = _children(data, 0)
    (value,) = _children(data, explicit)
    if (data[0], data[identifier], data[explicit]) != (_SEQUENCE, _IDENTIFIER, _EXPLICIT):
        raise ValueError("no ContentInfo")
    found = ContentInfo(data, data[identifier : _end(data, identifier)])
    if found.kind in {SIGNED, COMPRESSED}:
        if data[value] != _SEQUENCE:
            raise ValueError("no SEQUENCE")
        version, algorithms, encapsulated, *rest = _children(data, value)
        expected = (_INTEGER, _SET if found.kind == SIGNED else _SEQUENCE, _SEQUENCE)
        if (data[version], data[algorithms], data[encapsulated]) != expected:
            raise ValueError("no SignedData or CompressedData")
        _encapsulated(data, encapsulated, found)
        kinds = [data[position] for position in rest]
        known = kinds[-1:] == [_SET] and {_CERTIFICATES, _REVOCATIONS}.issuperset(kinds[:-1])
        if not (known if found.kind == SIGNED else not rest):
            raise ValueError("unknown elements")
        found.detached = found.kind == SIGNED and found.content is None
    return found


def _encapsulated(data: bytes, position: int, found: ContentInfo) -> None:
    """Read EncapsulatedContentInfo: a type, and the octets in one piece or, in BER, in several (X.690 8.7)."""
    identifier, *content = _children(data, position)
    if data[identifier] != _IDENTIFIER or len(content) > 1:
        raise ValueError("no EncapsulatedContentInfo")
    found.inner = data[identifier : _end(data, identifier)]
    if not content:
        return
    (octets,) = _children(data, content[0])
    if data[content[0]] != _EXPLICIT or data[octets] & ~0x20 != _OCTETS:
        raise ValueError("no OCTET STRING")
    pieces = _children(data, octets) if data[octets] & 0x20 else [octets]
    if any(data[piece] != _OCTETS for piece in pieces):
        raise ValueError("octets within octets")
    found.content = [(_header(data, piece)[0], _end(data, piece)) for piece in pieces]


def _header(data: bytes, position: int) -> tuple[int, int]:
    """Return where the content of an element starts, and its length, -1 when that is indefinite (X.690 8.1)."""
    first = data[position + 1]
    if data[position] & 0x1F == 0x1F or first > 0x84:
        raise ValueError("no element of a signature")
    start = position + 2
    if first == 0x80:
        return start, -1
    if first < 0x80:
        return start, first
    octets = first & 0x7F
    return start + octets, int.from_bytes(data[start : start + octets], "big")


def _end(data: bytes, position: int) -> int:
    """Return where an element ends; IndexError or ValueError when there is none."""
    depth = 0
    for _ in range(_ELEMENTS):
        if depth and data[position : position + 2] == b"\0\0":
            position += 2
            depth -= 1
        else:
            start, length = _header(data, position)
            if length < 0 and not data[position] & 0x20:
                raise ValueError("a primitive without length")
            depth += length < 0
            position = start + max(length, 0)
        if position > len(data):
            raise ValueError("longer than the data")
        if not depth:
            return position
    raise ValueError("too many elements")


def _children(data: bytes, position: int) -> list[int]:
    """Return where the elements in a constructed element start."""
    end = _end(data, position)
    start, length = _header(data, position)
    last = end - 2 if length < 0 else end
    children: list[int] = []
    while start < last and len(children) < _ELEMENTS:
        children.append(start)
        start = _end(data, start)
    if start != last:
        raise ValueError("a child is longer than its parent")
    return children
