"""The form of a detached S/MIME signature: one SignedData without content, and nothing behind it (RFC 5652 5)."""

from __future__ import annotations

_OID = bytes.fromhex("06092a864886f70d010702")  # 1.2.840.113549.1.7.2, signed data
_ELEMENTS = 10_000
_SEQUENCE, _SET, _INTEGER, _IDENTIFIER = 0x30, 0x31, 0x02, 0x06
_CERTIFICATES, _REVOCATIONS = 0xA0, 0xA1


def is_detached(data: bytes) -> bool:
    """Tell whether data, in DER or BER, is exactly one SignedData that holds signatures but not what they sign."""
    try:
        if _end(data, 0) != len(data):
            return False
        identifier, explicit = _children(data, 0)
        (signed,) = _children(data, explicit)
        version, algorithms, encapsulated, *rest = _children(data, signed)
        (content_type,) = _children(data, encapsulated)
    except (IndexError, ValueError):
        return False
    order = (0, explicit, signed, version, algorithms, encapsulated, content_type)
    tags = bytes(data[position] for position in order)
    if tags != bytes((_SEQUENCE, 0xA0, _SEQUENCE, _INTEGER, _SET, _SEQUENCE, _IDENTIFIER)):
        return False
    kinds = [data[position] for position in rest]
    known = kinds[-1:] == [_SET] and {_CERTIFICATES, _REVOCATIONS}.issuperset(kinds[:-1])
    return known and data.startswith(_OID, identifier)


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
