"""What the compressors of one file share."""

from __future__ import annotations

import re

from mailguard.formats.budget import Unreadable
from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from collections.abc import Iterable, Iterator, Sequence
    from lzma import LZMADecompressor

    from mailguard.formats.archive.files import File
    from mailguard.formats.disarmed import Options

_ENDING = re.compile(r"\.(?:gz|bz2?|xz|t(?:gz|bz2?|xz))[. ]{0,9}$", re.IGNORECASE)
_BOMB = 16 << 20
_RATIO = 500


def read(content: bytes, unpacker: BZ2Decompressor | LZMADecompressor, options: Options) -> list[File]:
    """Return the one file of one stream; raise Unreadable when there is more behind it, Refused when it is damaged."""
    from mailguard.formats.archive.files import File

    return [File("", unpacked(_pieces(content, unpacker), len(content), options), without_ending(options.names))]


def _pieces(content: bytes, unpacker: BZ2Decompressor | LZMADecompressor) -> Iterator[bytes]:
    from lzma import LZMAError

    data = content
    while not unpacker.eof:
        if not unpacker.needs_input:
            data = b""
        elif not data:
            raise Refused("damaged")
        try:
            piece = unpacker.decompress(data, 1 << 18)
        except (LZMAError, OSError, ValueError, EOFError) as error:
            raise Refused("damaged") from error
        data = b""
        yield piece
    if unpacker.unused_data:
        raise Unreadable


def unpacked(pieces: Iterable[bytes], packed: int, options: Options) -> bytes:
    """Return all pieces in one, within the quotas on members, octets and the ratio to `packed` octets."""
    options.quota.count_member()
    kept = []
    size = 0
    for piece in pieces:
        options.quota.count_octets(len(piece))
        size += len(piece)
        if size > _BOMB and packed * _RATIO < size:
            raise Refused("over-limit")
        kept.append(piece)
    return b"".join(kept)


def without_ending(names: Sequence[str]) -> list[str]:
    """Return what an unpacker calls the file in archives of these names: `a.js.gz` holds `a.js`, `a.tgz` `a.tar`."""
    inner = []
    for name in names:
        ending = _ENDING.search(name)
        if ending:
            inner.append(name[: ending.start()] + (".tar" if ending[0].lower().startswith(".t") else ""))
    return inner
