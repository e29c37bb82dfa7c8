"""RTF as Outlook stores it: compressed ([MS-OXRTFCP])."""

from __future__ import annotations

from struct import Struct

from mailguard.formats.disarmed import Refused

_HEADER = Struct("<4I")  # length of what follows, length unpacked, kind, sum
_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_LARGEST = 32 << 20
_WINDOW = 4096
# [MS-OXRTFCP] 2.1.3.1.2: what the window holds before anything was written.
_BEFORE = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0" b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)  # fmt: skip


def decompressed(data: bytes) -> bytes:
    """Return the RTF in such a stream; Refused("damaged"), also for a wrong sum, or ("over-limit")."""
    if len(data) < _HEADER.size:
        raise Refused("damaged")
    length, size, kind, total = _HEADER.unpack_from(data)
    if size > _LARGEST:
        raise Refused("over-limit")
    packed = data[_HEADER.size : length + 4]
    if length + 4 > len(data):
        raise Refused("damaged")
    if kind == _PLAIN:
        return packed[:size]
    if kind != _COMPRESSED or _sum(packed) != total:
        raise Refused("damaged")
    return _unpacked(packed, size)


def _sum(data: bytes) -> int:
    """[MS-OXRTFCP] 2.1.3.2: the sum of ZIP, but neither begun nor ended with the complement."""
    import zlib

    return zlib.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF


def _unpacked(packed: bytes, size: int) -> bytes:
    output = bytearray(_BEFORE)
    position, end = 0, len(packed)
    largest = size + len(_BEFORE)
    while position < end:
        control = packed[position]
        position += 1
        for bit in range(8):
            if len(output) > largest or position >= end:
                break
            if not control >> bit & 1:
                output.append(packed[position])
                position += 1
                continue
            reference = int.from_bytes(packed[position : position + 2], "big")
            position += 2
            back = (len(output) - (reference >> 4)) % _WINDOW
            if not back:  # the reference to the place that is written next ends it
                return bytes(output[len(_BEFORE) : largest])
            _repeat(output, back, (reference & 0xF) + 2)
    return bytes(output[len(_BEFORE) : largest])


def _repeat(output: bytearray, back: int, count: int) -> None:
    start = len(output) - back
    if start < 0:
        raise Refused("damaged")
    piece = output[start : start + count]
    output += (piece * (count // len(piece) + 1))[:count]
