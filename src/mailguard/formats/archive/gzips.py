"""gzip (RFC 1952) with one member, in and out."""

from __future__ import annotations

from mailguard.formats.archive.files import File
from mailguard.formats.archive.single import unpacked, without_ending
from mailguard.formats.budget import Unreadable
from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.formats.disarmed import Options

_FLAG_EXTRA, _FLAG_NAME = 4, 8
_LONGEST_NAME = 1024


def read(content: bytes, options: Options) -> list[File]:
    """Return the one file; raise Unreadable when there is more behind it."""
    inner = _name(content)
    data = unpacked(_inflated(content), len(content), options)
    return [File(inner, data, without_ending(options.names))]


def _name(content: bytes) -> str:
    if len(content) < 18 or content[2] != 8 or content[3] > 0x1F:
        raise Unreadable
    if not content[3] & _FLAG_NAME:
        return ""
    start = 12 + int.from_bytes(content[10:12], "little") if content[3] & _FLAG_EXTRA else 10
    raw, end, _ = content[start : start + _LONGEST_NAME].partition(b"\0")
    if not end:
        raise Unreadable
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp932", "replace")


def _inflated(content: bytes) -> Iterator[bytes]:
    import zlib

    unpacker = zlib.decompressobj(31)
    data = content
    while not unpacker.eof:
        try:
            piece = unpacker.decompress(data, 1 << 18)
        except zlib.error as error:
            raise Refused("damaged") from error
        data = unpacker.unconsumed_tail
        if not piece and not data and not unpacker.eof:
            raise Refused("damaged")
        yield piece
    if unpacker.unused_data:
        raise Unreadable


def write(files: list[File]) -> bytes:
    """Return a gzip of the one file, with its name and no time."""
    import gzip
    import io

    buffer = io.BytesIO()
    name = files[0].path.rpartition("/")[2].encode("ascii", "replace").decode("ascii").replace("?", "_")
    with gzip.GzipFile(filename=name, mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(files[0].data or b"")
    return buffer.getvalue()
