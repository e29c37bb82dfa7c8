"""The milter protocol, version 6, as bytes: packets, what both sides agree on, macros.

There is no RFC; Sendmail's libmilter (`mfdef.h`, `milter-protocol.txt`) defines it, and Postfix speaks it too.  A
packet is a length (32 bits, big-endian), a letter, and data; texts in it end in NUL.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.findings import Chunk

VERSION = 6
PIECE = 65535  # of a body; no mail server takes more in one packet unless asked
LARGEST = (1 << 20) + 512  # of a packet; mail servers send at most 64 KiB, or 1 MiB where that was agreed

ADD_FIELDS, CHANGE_BODY, CHANGE_FIELDS = 0x01, 0x02, 0x10
ACTIONS = ADD_FIELDS | CHANGE_BODY | CHANGE_FIELDS

LEADING_BLANKS = 0x100000
WITHOUT_REPLY = {"L": 0x80, "C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "U": 0x20000,
                 "N": 0x40000, "B": 0x80000}  # fmt: skip
"""For each command the flag by which both sides agree that it is not answered."""

MACROS = frozenset({"i", "auth_authen", "tls_version", "cipher", "v"})

CONTINUE = b"\0\0\0\1c"
PROGRESS = b"\0\0\0\1p"

_LENGTH = struct.Struct(">I")
_NEGOTIATION = struct.Struct(">III")


class ProtocolError(Exception):
    """The other side does not speak the protocol; the connection ends."""


class Agreement:
    """What this connection may do: leading, whether blanks before a value are kept; silent: unanswered commands."""

    __slots__ = ("actions", "flags", "leading", "silent", "version")

    def __init__(self, data: bytes, *, answer_recipients: bool = False) -> None:
        """Read the offer of the mail server: ProtocolError when it cannot do what a filter needs."""
        if len(data) < _NEGOTIATION.size:
            raise ProtocolError("no negotiation")
        version, actions, flags = _NEGOTIATION.unpack_from(data)
        if version < 2 or actions & ACTIONS != ACTIONS:
            raise ProtocolError("the mail server does not let a milter change messages")
        self.version = min(version, VERSION)
        self.actions = ACTIONS
        wanted = LEADING_BLANKS
        for command, flag in WITHOUT_REPLY.items():
            wanted |= 0 if command == "R" and answer_recipients else flag
        self.flags = flags & wanted
        self.leading = bool(flags & LEADING_BLANKS)
        self.silent = frozenset(ord(command) for command, flag in WITHOUT_REPLY.items() if self.flags & flag)

    def packet(self) -> bytes:
        """Return our answer to the offer."""
        return packet(b"O", _NEGOTIATION.pack(self.version, self.actions, self.flags))


def packet(letter: bytes, data: bytes = b"") -> bytes:
    """Return one packet."""
    return _LENGTH.pack(len(data) + 1) + letter + data


def packets(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take complete packets from the front of a buffer: (letter, data).  ProtocolError for an impossible length.

    Stopping early leaves the rest in the buffer.
    """
    while len(buffer) >= 4:
        length = int.from_bytes(buffer[:4], "big")
        if not 0 < length <= LARGEST:
            raise ProtocolError("a packet of impossible length")
        if len(buffer) < 4 + length:
            return
        letter, data = buffer[4], bytes(buffer[5 : 4 + length])
        del buffer[: 4 + length]
        yield letter, data


def texts(data: bytes) -> list[bytes]:
    """Return the texts in a packet: ProtocolError when the last one does not end."""
    if not data.endswith(b"\0"):
        raise ProtocolError("a text without end")
    return data[:-1].split(b"\0")


def field(data: bytes) -> tuple[bytes, bytes]:
    """Return name and value of a header field."""
    name, value, *rest = texts(data) + [b""] * (data.count(b"\0") < 2)
    if rest or not name:
        raise ProtocolError("no header field")
    return name, value


def client_address(data: bytes) -> str | None:
    """Return the address of the client that a connection command names; None when it has none (a local socket)."""
    _host, end, rest = data.partition(b"\0")
    if not end or not rest:
        raise ProtocolError("no connection")
    if rest[:1] not in {b"4", b"6"}:
        return None
    address = texts(rest[3:])[0].decode("ascii", "replace")
    return address[5:] if address[:5].lower() == "ipv6:" else address


def macros(data: bytes) -> dict[str, str]:
    """Return those macros in a packet that mean something to us, by name."""
    words = texts(data[1:]) if len(data) > 1 else []
    found = {}
    for name, value in zip(words[::2], words[1::2], strict=False):
        plain = name.decode("ascii", "replace").strip("{}")
        if plain in MACROS:
            found[plain] = text(value)
    return found


def text(value: bytes) -> str:
    """Return a value as the command line would give it: bytes that are not UTF-8 become surrogates."""
    return value.decode("utf-8", "surrogateescape")


def reply(code: str, words: str) -> bytes:
    """Return an SMTP reply ("451 4.3.0"), on one line; mail servers take % for a format."""
    line = "".join(character if " " <= character <= "~" else "?" for character in words)[:400].replace("%", "%%")
    return packet(b"y", f"{code} {line}".encode("ascii") + b"\0")


def change(name: bytes, occurrence: int, value: bytes) -> bytes:
    """Return the packet that gives the n-th field (from 1) of this name a value; an empty one deletes it."""
    return packet(b"m", _LENGTH.pack(occurrence) + name + b"\0" + value + b"\0")


def insert(position: int, name: bytes, value: bytes) -> bytes:
    """Return the packet that inserts a field below this many others."""
    return packet(b"i", _LENGTH.pack(position) + name + b"\0" + value + b"\0")


def body(pieces: Sequence[Chunk]) -> Iterator[bytes]:
    """Yield the packets that replace the body, as few as there can be; an empty body is a packet without data."""
    waiting = bytearray()
    for piece in pieces:
        for start in range(0, len(piece), PIECE):
            waiting += piece[start : start + PIECE]
            if len(waiting) >= PIECE:
                yield packet(b"b", bytes(waiting[:PIECE]))
                del waiting[:PIECE]
    if waiting or not any(map(len, pieces)):
        yield packet(b"b", bytes(waiting))
