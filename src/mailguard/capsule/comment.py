"""The comment at the end of a capsule: version, id and MAC, readable without the password.

    mailguard-capsule 1 id=<id> mac=<HMAC-SHA256 in 64 hexadecimal digits>

This line has the same form in every format version, so that an older mailguard recognises a newer capsule.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailguard.capsule.pieces import Pieces

    Mac = Callable[[bytes], bytes]

# End of central directory (APPNOTE 4.3.16) of one disk: entries here and in total, size and offset of the directory,
# length of the comment.
_END = re.compile(
    rb"PK\x05\x06\0\0\0\0(?P<entries>.{4})(?P<size>.{4})(?P<offset>.{4})(?P<length>.{2})"
    rb"(?P<signed>mailguard-capsule (?P<version>[0-9]{1,4}) id=(?P<id>[0-9A-Za-z-]{1,64}) mac=)(?P<mac>[0-9a-f]{64})",
    re.DOTALL,
)
_ONE_ENTRY = b"\x01\0\x01\0"
_LOCAL_HEADER = b"PK\x03\x04"
_MAGIC = b"mailguard-capsule "
_LONGEST = 256
_PIECE = 1 << 20
_MAC_LENGTH = 32


class Comment:
    """A capsule that was found in some bytes; nothing of it is proven before `authentic` says so.

    version: of the format; id: of the capsule; mac: 32 bytes; covered: the bytes that the MAC is about;
    start, end: where the ZIP lies in the bytes that were searched.
    """

    __slots__ = ("covered", "end", "id", "mac", "start", "version")

    def __init__(self, version: int, identifier: str, mac: bytes, covered: bytes, span: tuple[int, int]) -> None:
        self.version = version
        self.id = identifier
        self.mac = mac
        self.covered = covered
        self.start, self.end = span

    def authentic(self, mac: Mac) -> bool:
        """Tell whether the key behind `mac` (bytes -> 32 bytes) made this capsule, comparing in constant time."""
        import hmac

        return hmac.compare_digest(mac(self.covered), self.mac)


def find(data: bytes) -> Comment | None:
    """Find our capsule in `data`: a ZIP of ours, whatever transport put before or behind it; None when there is none.

    Of several the last one counts.  Total over all bytes and linear in their number.
    """
    found = None
    for match in _END.finditer(data):
        if match["entries"] == _ONE_ENTRY and _number(match["length"]) == match.end() - match.start("signed"):
            start = match.start() - _number(match["size"]) - _number(match["offset"])
            if start >= 0 and data.startswith(_LOCAL_HEADER, start):
                found = start, match
    return None if found is None else _comment(data, *found)


def unsigned(version: int, identifier: str) -> bytes:
    """Return the comment with room for the MAC that `sign` puts in."""
    return b"%s%d id=%s mac=%s" % (_MAGIC, version, identifier.encode("ascii"), b"0" * 2 * _MAC_LENGTH)


def sign(capsule: Pieces, mac: Mac) -> None:
    """Put the MAC into the ZIP, which ends in an `unsigned` comment.

    The MAC is about a digest of all bytes before the comment, its length included, and about the comment's own
    fields: so `mac` gets a short value, and the ZIP is neither copied nor read twice.
    """
    end = capsule.size
    tail = capsule.read(max(end - _LONGEST, 0), _LONGEST)
    comment = tail[tail.rindex(_MAGIC) : -2 * _MAC_LENGTH]
    before = end - 2 * _MAC_LENGTH - len(comment)
    code = mac(
        _covered(comment, (capsule.read(start, min(_PIECE, before - start)) for start in range(0, before, _PIECE)))
    )
    if len(code) != _MAC_LENGTH:
        raise ValueError("the MAC of a capsule has 32 bytes")
    capsule.seek(end - 2 * _MAC_LENGTH)
    capsule.write(code.hex().encode("ascii"))


def _comment(data: bytes, start: int, match: re.Match[bytes]) -> Comment:
    with memoryview(data) as view:
        covered = _covered(match["signed"], [view[start : match.start("signed")]])
    code = bytes.fromhex(match["mac"].decode("ascii"))
    return Comment(int(match["version"]), match["id"].decode("ascii"), code, covered, (start, match.end()))


def _covered(signed: bytes, before: Iterable[bytes | memoryview]) -> bytes:
    import hashlib

    code = hashlib.sha256()
    for piece in before:
        code.update(piece)
    return signed + code.digest()


def _number(little_endian: bytes) -> int:
    return int.from_bytes(little_endian, "little")
