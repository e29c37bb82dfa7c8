"""bzip2 with one stream, in and out."""

from __future__ import annotations

from mailguard.attachments.examination import Unreadable
from mailguard.sanitize.archive.files import File
from mailguard.sanitize.archive.single import unpacked, without_ending
from mailguard.sanitize.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.sanitize.disarmed import Options


def read(content: bytes, options: Options) -> list[File]:
    """Return the one file; raise Unreadable when there is more behind it."""
    return [File("", unpacked(_pieces(content), len(content), options), without_ending(options.names))]


def _pieces(content: bytes) -> Iterator[bytes]:
    import bz2

    unpacker = bz2.BZ2Decompressor()
    data = content
    while not unpacker.eof:
        if not unpacker.needs_input:
            data = b""
        elif not data:
            raise Refused("damaged")
        try:
            piece = unpacker.decompress(data, 1 << 18)
        except (OSError, ValueError, EOFError) as error:
            raise Refused("damaged") from error
        data = b""
        yield piece
    if unpacker.unused_data:
        raise Unreadable


def write(files: list[File]) -> bytes:
    """Return the one file, packed."""
    import bz2

    return bz2.compress(files[0].data or b"")
