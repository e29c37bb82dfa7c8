"""gzip (RFC 1952), bzip2 and xz: one file, in one stream or in several behind each other.

Every unpacker joins the streams (RFC 1952 2.2, bzip2(1), xz(1)), and so does the reader here.  Anything else behind a
stream is unreadable: some unpackers leave it out with a warning, and other programs open it.
"""

from __future__ import annotations

import re

from mailguard.formats import magic
from mailguard.formats.archive.entries import ArchiveEntry, DamagedArchive, checked
from mailguard.formats.budget import TooLarge, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Protocol

    from mailguard.formats.archive.files import ArchiveFile
    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

    class Unpacker(Protocol):
        """As in bz2 and lzma."""

        @property
        def eof(self) -> bool:
            """Whether the stream has ended."""

        @property
        def needs_input(self) -> bool:
            """Whether nothing comes out before more goes in."""

        @property
        def unused_data(self) -> bytes:
            """What stood behind the end of the stream."""

        def decompress(self, data: bytes, max_length: int, /) -> bytes:
            """Return up to `max_length` octets."""


_PIECE = 1 << 18
_STREAMS = 1_000
_MEMORY = 96 << 20
_FLAG_EXTRA, _FLAG_NAME = 4, 8
_LONGEST_NAME = 1024
_ENDING = re.compile(r"\.(?:gz|bz2?|xz|t(?:gz|bz2?|xz)|svgz|[^./\\]{0,9})[. ]{0,9}$", re.IGNORECASE)


class _Inflater:
    """A gzip member, with the methods that unpackers of bz2 and lzma have."""

    __slots__ = ("_rest", "_unpacker")

    def __init__(self) -> None:
        import zlib

        self._unpacker = zlib.decompressobj(31)
        self._rest = b""

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        import zlib

        try:
            piece = self._unpacker.decompress(self._rest or data, max_length)
        except zlib.error as error:
            raise ValueError from error
        self._rest = self._unpacker.unconsumed_tail
        return piece


def _unpacker(mime: str) -> tuple[Callable[[], Unpacker], type[Exception]]:
    """Return what makes an unpacker for one stream, and what it raises for damage."""
    if mime == magic.GZIP:
        return _Inflater, ValueError
    if mime == magic.BZIP2:
        import bz2

        return bz2.BZ2Decompressor, OSError
    import lzma

    return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY), lzma.LZMAError


def read(content: Content, names: Sequence[str], quota: Quota, mime: str) -> list[ArchiveEntry]:
    """Return the one file in an archive of these names; raise Unreadable or TooLarge."""
    path = _gzip_name(content) if mime == magic.GZIP else ""
    quota.count_member()
    entry = ArchiveEntry(path, without_ending(names), pieces=lambda: _pieces(content, mime), packed=content.size)
    return checked([entry])


def _gzip_name(content: Content) -> str:
    fixed = content.read(0, 1 << 16)
    if len(fixed) < 18 or fixed[2] != 8 or fixed[3] > 0x1F:
        raise Unreadable
    if not fixed[3] & _FLAG_NAME:
        return ""
    start = 12 + int.from_bytes(fixed[10:12], "little") if fixed[3] & _FLAG_EXTRA else 10
    raw, end, _ = content.read(start, _LONGEST_NAME).partition(b"\0")
    if not end:
        raise Unreadable
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp932", "replace")


def _pieces(content: Content, mime: str) -> Iterator[bytes]:
    start, damage = _unpacker(mime)
    position = 0
    for _ in range(_STREAMS):
        unpacker = start()
        data = b""
        while not unpacker.eof:
            if unpacker.needs_input:
                data = content.read(position, 1 << 16)
                position += len(data)
            try:
                piece = unpacker.decompress(data, _PIECE)
            except damage as error:
                raise DamagedArchive from error
            if not (piece or data or unpacker.eof):
                raise DamagedArchive
            data = b""
            yield piece
        position -= len(unpacker.unused_data)
        position += _padding(content, position, mime)
        if position >= content.size:
            return
    raise TooLarge


def _padding(content: Content, position: int, mime: str) -> int:
    """Return how many octets of padding stand here; raise Unreadable when neither a stream nor the end follows."""
    begin = {magic.GZIP: b"\x1f\x8b\x08", magic.BZIP2: b"BZh", magic.XZ: b"\xfd7zXZ\0"}[mime]
    if content.read(position, len(begin)) == begin:
        return 0
    size = 0
    while piece := content.read(position + size, 1 << 16):
        rest = piece.lstrip(b"\0")
        size += len(piece) - len(rest)
        if rest:
            break
    if mime == magic.BZIP2 and size:
        raise Unreadable
    if position + size < content.size and (mime != magic.XZ or content.read(position + size, len(begin)) != begin):
        raise Unreadable
    return size


def without_ending(names: Sequence[str]) -> list[str]:
    """Return what an unpacker calls the file in archives of these names: `a.js.gz` holds `a.js`, `a.tgz` `a.tar`."""
    inner = []
    for name in names:
        ending = _ENDING.search(name)
        if ending:
            kind = ending[0].strip(". ").lower()
            inner.append(
                name[: ending.start()] + (".tar" if kind[:2] in {"tg", "tb", "tx"} else ".svg" * (kind == "svgz"))
            )
    return inner


def write(files: list[ArchiveFile], mime: str) -> bytes:
    """Return the one file in one stream; a gzip has its name and no time."""
    data = files[0].data or b""
    if mime == magic.BZIP2:
        import bz2

        return bz2.compress(data)
    if mime == magic.XZ:
        import lzma

        return lzma.compress(data, preset=6)
    import gzip
    import io

    buffer = io.BytesIO()
    name = files[0].path.rpartition("/")[2].encode("ascii", "replace").decode("ascii").replace("?", "_")
    with gzip.GzipFile(filename=name, mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()
