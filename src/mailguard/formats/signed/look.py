"""S/MIME (RFC 8551): what is signed is judged like an attached message.

What is encrypted for the recipient alone cannot be looked into by anybody on the way, and is no danger of this class.
"""

from __future__ import annotations

from mailguard.filename import split
from mailguard.formats.budget import Kind, Member, TooLarge, Unreadable
from mailguard.formats.signed import cms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Found, Quota
    from mailguard.message.content import Content

_LARGEST = 64 << 20
_PIECE = 1 << 16


def examine(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a ContentInfo; the message or file in it is a member."""
    if content.size > _LARGEST:
        raise TooLarge
    data = cms.binary(content.whole())
    found = cms.read(data)
    if found.detached:
        yield Kind("application/pkcs7-signature")
        return
    yield Kind("application/pkcs7-mime")
    if found.kind in cms.FOR_THE_RECIPIENT:
        return
    if found.content is None or found.inner != cms.DATA:
        raise Unreadable
    quota.count_member()
    pieces = (data[start:end] for start, end in found.content)
    with quota.unpacked(_inflated(pieces) if found.kind == cms.COMPRESSED else pieces) as inner:
        yield Member(inner, ["message.eml", *_without_extension(names)], "mail")


def _without_extension(names: Sequence[str]) -> Iterator[str]:
    """Yield the names of the signed file: programs for signed documents open `invoice.pdf.p7m` as invoice.pdf."""
    for stem, extension in map(split, names):
        if extension.lower() in {"p7m", "p7s"} and "." in stem:
            yield stem


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack ZLIB data (RFC 3274 2, RFC 1950), which ends where the octets end."""
    import zlib

    unpacker = zlib.decompressobj()
    for piece in pieces:
        waiting = piece
        while waiting and not unpacker.eof:
            try:
                yield unpacker.decompress(waiting, _PIECE)
            except zlib.error as error:
                raise Unreadable from error
            waiting = unpacker.unconsumed_tail
        if unpacker.unused_data:
            raise Unreadable
    if not unpacker.eof:
        raise Unreadable
