"""xz with one stream, in and out."""

from __future__ import annotations

from mailguard.formats.archive import single

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.archive.files import File
    from mailguard.formats.disarmed import Options

_MEMORY = 96 << 20


def read(content: bytes, options: Options) -> list[File]:
    """Return the one file; raise Unreadable when there is more behind it, Refused when it is damaged."""
    import lzma

    return single.read(content, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY), options)


def write(files: list[File]) -> bytes:
    """Return the one file, packed."""
    import lzma

    return lzma.compress(files[0].data or b"", preset=6)
