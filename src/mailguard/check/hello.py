"""A ClientHello of our own, and what a server answers to it (RFC 5246, RFC 8446, RFC 6101).

No TLS library speaks what is to be found out here: SSLv3, NULL and EXPORT ciphers, one group alone.  Nothing is
negotiated to the end; the first message of the server says what it would have chosen.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SSL3, TLS10, TLS11, TLS12, TLS13 = 0x300, 0x301, 0x302, 0x303, 0x304
VERSIONS = {SSL3: "SSLv3", TLS10: "TLS 1.0", TLS11: "TLS 1.1", TLS12: "TLS 1.2", TLS13: "TLS 1.3"}
GROUPS = {0x11EC: "X25519MLKEM768", 29: "X25519", 23: "P-256", 24: "P-384", 25: "P-521", 30: "X448"}

MODERN = (0x1301, 0x1302, 0x1303)
SOUND = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8)  # ECDHE with AEAD
ECDHE_CBC = (0xC009, 0xC013, 0xC00A, 0xC014, 0xC023, 0xC027, 0xC024, 0xC028)
DHE = (0x9E, 0x9F, 0x33, 0x39, 0x67, 0x6B, 0xCCAA)
RSA_KEY_EXCHANGE = (0x9C, 0x9D, 0x2F, 0x35, 0x3C, 0x3D)
WEAK = (
    *(0xC012, 0xC008, 0x0A, 0x16, 0x09, 0x15),  # 3DES, DES
    *(0xC011, 0xC007, 0x05, 0x04),  # RC4
    *(0x01, 0x02, 0x3B, 0xC006, 0xC010),  # NULL
    *(0x03, 0x06, 0x08, 0x14),  # EXPORT
)
ANONYMOUS = (
    *(0xC018, 0xC019, 0xC017, 0xC016, 0xC015),  # ECDH: AES, 3DES, RC4, NULL
    *(0xA6, 0xA7, 0x34, 0x3A, 0x6C, 0x6D, 0x1B, 0x1A, 0x18, 0x17, 0x19),  # DH: AES, 3DES, DES, RC4, EXPORT
)
ALL = (*SOUND, *ECDHE_CBC, *DHE, *RSA_KEY_EXCHANGE, *WEAK)

_NAMES = {
    0xC012: "ECDHE-RSA-3DES", 0xC008: "ECDHE-ECDSA-3DES", 0x0A: "RSA-3DES", 0x16: "DHE-RSA-3DES", 0x09: "RSA-DES",
    0x15: "DHE-RSA-DES", 0xC011: "ECDHE-RSA-RC4", 0xC007: "ECDHE-ECDSA-RC4", 0x05: "RSA-RC4-SHA", 0x04: "RSA-RC4-MD5",
    0x01: "RSA-NULL-MD5", 0x02: "RSA-NULL-SHA", 0x3B: "RSA-NULL-SHA256", 0xC006: "ECDHE-ECDSA-NULL",
    0xC010: "ECDHE-RSA-NULL", 0x03: "EXPORT-RC4", 0x06: "EXPORT-RC2", 0x08: "EXPORT-DES", 0x14: "EXPORT-DHE-DES",
}  # fmt: skip
_SIGNATURES = bytes.fromhex("0403050306030807080808040805080604010501060102030201")
_HANDSHAKE, _ALERT = 22, 21
_SERVER_HELLO = 2
_SERVER_KEY_EXCHANGE, _SERVER_HELLO_DONE = 12, 14
_LONGEST_FLIGHT = 1 << 17
_LONGEST_RECORD = 16384 + 2048
_SERVER_NAME, _SUPPORTED_GROUPS, _POINT_FORMATS, _SIGNATURE_ALGORITHMS = 0, 10, 11, 13
_EXTENDED_MASTER_SECRET, _SUPPORTED_VERSIONS, _PSK_MODES, _KEY_SHARE = 23, 43, 45, 51
_RENEGOTIATION_INFO = 0xFF01


class Garbage(ValueError):  # noqa: N818 (a property of the answer, not a failure)
    """What came is no TLS."""


class ServerHello:
    """What a server chose.

    version, cipher; group: of the key share, None before TLS 1.3; compressed; extensions: their types; prime: bits of
    the prime of its Diffie-Hellman key exchange, 0 where none was seen.
    """

    __slots__ = ("cipher", "compressed", "extensions", "group", "prime", "version")

    def __init__(self, body: bytes) -> None:
        reader = _Reader(body)
        self.version = reader.number(2)
        reader.take(32)
        reader.take(reader.number(1))
        self.cipher = reader.number(2)
        self.compressed = reader.number(1) != 0
        self.group: int | None = None
        self.prime = 0
        self.extensions: set[int] = set()
        if reader.left():
            self._extensions(_Reader(reader.take(reader.number(2))))

    def _extensions(self, reader: _Reader) -> None:
        while reader.left():
            kind, content = reader.number(2), _Reader(reader.take(reader.number(2)))
            self.extensions.add(kind)
            if kind == _SUPPORTED_VERSIONS:
                self.version = content.number(2)
            elif kind == _KEY_SHARE:
                self.group = content.number(2)

    @property
    def cipher_name(self) -> str:
        """The name of a weak cipher, or its number."""
        return _NAMES.get(self.cipher, f"0x{self.cipher:04X}")

    @property
    def secure_renegotiation(self) -> bool:
        """RFC 5746."""
        return _RENEGOTIATION_INFO in self.extensions

    @property
    def extended_master_secret(self) -> bool:
        """RFC 7627."""
        return _EXTENDED_MASTER_SECRET in self.extensions


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._position = 0

    def left(self) -> int:
        return len(self._raw) - self._position

    def take(self, length: int) -> bytes:
        if length > self.left():
            raise Garbage("too short")
        self._position += length
        return self._raw[self._position - length : self._position]

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")


def client_hello(version: int, ciphers: Sequence[int], groups: Sequence[int] = tuple(GROUPS), name: str = "") -> bytes:
    """Return a ClientHello in one record.

    version: highest that is offered; groups: for key exchange; name: for SNI, "" for none.  TLS 1.3 is offered alone,
    with an empty key share, so that the server names the group that it wants (HelloRetryRequest).
    """
    extensions = b"" if version == SSL3 else _offered(version, groups, name)
    chosen = b"".join(struct.pack(">H", cipher) for cipher in ciphers)
    session = os.urandom(32) if version == TLS13 else b""
    body = struct.pack(">H", min(version, TLS12)) + os.urandom(32) + bytes([len(session)]) + session
    body += struct.pack(">H", len(chosen)) + chosen + b"\x01\x00"
    if extensions:
        body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", _HANDSHAKE, SSL3 if version == SSL3 else TLS10, len(message)) + message


def _offered(version: int, groups: Sequence[int], name: str) -> bytes:
    server = name.encode("ascii")
    named = b"".join(struct.pack(">H", group) for group in groups)
    parts = [
        (_SERVER_NAME, struct.pack(">HBH", len(server) + 3, 0, len(server)) + server),
        (_SUPPORTED_GROUPS, struct.pack(">H", len(named)) + named),
        (_POINT_FORMATS, b"\x01\x00"),
        (_SIGNATURE_ALGORITHMS, struct.pack(">H", len(_SIGNATURES)) + _SIGNATURES),
        (_EXTENDED_MASTER_SECRET, b""),
        (_RENEGOTIATION_INFO, b"\x00"),
    ]
    if version == TLS13:
        parts += [(_SUPPORTED_VERSIONS, b"\x02\x03\x04"), (_PSK_MODES, b"\x01\x01"), (_KEY_SHARE, b"\x00\x00")]
    return b"".join(
        struct.pack(">HH", kind, len(content)) + content for kind, content in parts if kind != _SERVER_NAME or server
    )


def record_length(header: bytes) -> int:
    """Return how long the record is whose first five bytes these are; raises Garbage."""
    kind, version, length = struct.unpack(">BHH", header)
    if kind not in {_HANDSHAKE, _ALERT} or version >> 8 != 3 or not 0 < length <= _LONGEST_RECORD:
        raise Garbage("no TLS record")
    return int(length)


def answer(header: bytes, content: bytes) -> ServerHello | None:
    """Read the first record of a server: its ServerHello, or None for an alert, which is a refusal.  Raises Garbage."""
    if header[0] == _ALERT:
        return None
    reader = _Reader(content)
    if reader.number(1) != _SERVER_HELLO:
        raise Garbage("no ServerHello")
    return ServerHello(reader.take(reader.number(3)))


class Flight:
    """What a server says in TLS 1.2 before it waits, taken in record by record (RFC 5246 7.3)."""

    def __init__(self) -> None:
        self._messages = bytearray()
        self._position = 0

    def take(self, header: bytes, content: bytes) -> int | None:
        """Take one record in; return the bits of the prime of ServerKeyExchange, 0 at the end, None before.

        Only for a cipher with Diffie-Hellman over a prime.  Raises Garbage.
        """
        if header[0] != _HANDSHAKE or len(self._messages) > _LONGEST_FLIGHT:
            return 0
        self._messages += content
        while len(self._messages) - self._position >= 4:
            kind = self._messages[self._position]
            end = self._position + 4 + int.from_bytes(self._messages[self._position + 1 : self._position + 4], "big")
            if kind == _SERVER_HELLO_DONE or end - self._position > _LONGEST_FLIGHT:
                return 0
            if len(self._messages) < end:
                return None
            if kind == _SERVER_KEY_EXCHANGE:
                reader = _Reader(bytes(self._messages[self._position + 4 : end]))
                return int.from_bytes(reader.take(reader.number(2)), "big").bit_length()
            self._position = end
        return None
