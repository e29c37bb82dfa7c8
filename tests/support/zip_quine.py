"""A ZIP file whose only member is the ZIP file itself, made here bit by bit.

The packed data is a program for the decoder: L(n) prints the n octets that follow (a stored block), R(n) prints the
last n octets again (a match as long as it is far).  Each takes five octets, so that the program can print itself:

    [head] L [head] L  R  L1 R  L1 L1  L4 R L1 L1 L4  R4  L4 R4 L4 R4 L4  R4  L4 R4 L0 L0 L'  R4 L0 L0  L' R' [tail]  R' [tail]

What has been printed is first behind the program and then ahead of it, and at the end both are the same.  The CRC
stands in head and tail and so in what it is computed of; as a CRC is linear (GF(2)), 32 equations give it.
"""

import struct
import zlib

UNIT = 5
REPEATED = 258  # octets of head or tail and one instruction: a length and distance that fill five octets
NAME = b"again.zip"


def bits(*fields):
    """Pack (value, width) pairs as DEFLATE does (RFC 1951 3.1.1): 40 bits, five octets."""
    value = shift = 0
    for field, width in fields:
        value |= field << shift
        shift += width
    assert shift == 8 * UNIT
    return value.to_bytes(UNIT, "little")


def huffman(code, width):
    """A Huffman code, which is packed from its most significant bit."""
    return int(f"{code:0{width}b}"[::-1], 2), width


END = huffman(0, 7)
FIXED, LAST = (0b010, 3), (0b011, 3)


def literal(octets):
    return struct.pack("<BHH", 0, octets, octets ^ 0xFFFF)


def repeat_four():
    """Two matches of 10 octets, 20 octets back."""
    match = (huffman(264 - 256, 7), huffman(8, 5), (20 - 17, 3))
    return bits(FIXED, *match, *match, END)


def repeat(*, last=False):
    """An empty block to fill up, and a match of 258 octets, 258 octets back."""
    match = (huffman(0b11000000 + 285 - 280, 8), huffman(16, 5), (REPEATED - 257, 7))
    return bits(FIXED, END, LAST if last else FIXED, *match, END)


def program(head, tail):
    """The packed data: what it prints is head, itself, tail."""
    whole, one, four, none = literal(REPEATED), literal(UNIT), literal(4 * UNIT), literal(0)
    again, again_four, ended = repeat(), repeat_four(), repeat(last=True)
    steps = [whole, head, whole, again, one, again, one, one]
    steps += [four, again, one, one, four, again_four]
    steps += [four, again_four, four, again_four, four, again_four]
    steps += [four, again_four, none, none, whole, again_four, none, none]
    return b"".join([*steps, whole, ended, tail, ended])


def written(crc):
    """The file with this CRC in it, right or wrong."""
    space = REPEATED - UNIT - 30 - len(NAME)
    extra = struct.pack("<HH", 0x5151, space - 4) + bytes(space - 4)
    comment = b"." * (REPEATED - UNIT - 46 - len(NAME) - 22)
    packed = len(program(bytes(REPEATED - UNIT), bytes(REPEATED - UNIT)))
    size = packed + 2 * (REPEATED - UNIT)
    known = (20, 0, 8, 0, 0x21, crc, packed, size, len(NAME))
    head = struct.pack("<4s5H3I2H", b"PK\3\4", *known, len(extra)) + NAME + extra
    tail = struct.pack("<4sH5H3I5H2I", b"PK\1\2", 20, *known, 0, len(comment), 0, 0, 0, 0) + NAME + comment
    tail += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(tail), len(head) + packed, 0)
    return head + program(head, tail) + tail


def quine():
    """Solve crc32(written(crc)) == crc, one bit of crc after the other (Gauss)."""
    constant = zlib.crc32(written(0))
    rows = []  # (what a choice of bits changes in "computed xor written", the choice)
    for bit in range(32):
        change, choice = zlib.crc32(written(1 << bit)) ^ constant ^ (1 << bit), 1 << bit
        for other, chosen in rows:
            if change ^ other < change:
                change, choice = change ^ other, choice ^ chosen
        if change:
            rows.append((change, choice))
            rows.sort(reverse=True)
    crc, missing = 0, constant
    for change, choice in rows:
        if missing ^ change < missing:
            missing, crc = missing ^ change, crc ^ choice
    assert not missing, "no CRC fits; another name gives other equations"
    return written(crc)
