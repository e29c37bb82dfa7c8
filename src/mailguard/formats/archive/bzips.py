"""bzip2 with one stream, in and out."""

from __future__ import annotations

from mailguard.formats.archive import single

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.archive.files import File
    from mailguard.formats.disarmed import Options


def read(content: bytes, options: Options) -> list[File]:
    """Return the one file; raise Unreadable when there is more behind it, Refused when it is damaged."""
    import bz2

    return single.read(content, bz2.BZ2Decompressor(), options)


def write(files: list[File]) -> bytes:
    """Return the one file, packed."""
    import bz2

    return bz2.compress(files[0].data or b"")
