"""The inner ZIP: plain, with the files under safe names; anybody's archive program shows it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mailguard.capsule.pieces import Pieces
    from mailguard.message.content import Content

_LEVEL = 4  # of large content: twice as fast as 6 on text, and 3 to 5 % larger
_BLOCK = 1 << 18
_BLOCKS = 16  # that are in memory at once
_WINDOW = 1 << 15
_SAMPLES = 16
_SAMPLE = 1 << 12
_WORTHWHILE = 0.95


def write(files: Iterable[tuple[str, bytes | Content]], moment: tuple[int, ...]) -> Pieces:
    """Write (name, content) pairs as a ZIP, in order; moment: year to second, UTC, for all of them."""
    import zipfile

    from mailguard.capsule.pieces import Pieces

    target = Pieces()
    with zipfile.ZipFile(target, "w") as archive:  # type: ignore[call-overload] # what it needs of a file
        for name, content in files:
            entry = zipfile.ZipInfo(name, moment)  # type: ignore[arg-type]
            entry.create_system = 3
            entry.external_attr = 0o600 << 16
            entry.file_size = len(content)
            _add(archive, entry, content)
    return target


def _add(archive: Any, entry: Any, content: bytes | Content) -> None:
    import zipfile

    compressible = _compressible(content)
    entry.compress_type = zipfile.ZIP_DEFLATED if compressible else zipfile.ZIP_STORED
    with archive.open(entry, "w") as writer:
        if len(content) <= 2 * _BLOCK:
            writer.write(content[:])
            return
        if compressible:
            # The one private name of the library that is touched: should it change, the result is as good, only later.
            writer._compressor = _BlockCompressor(len(content))  # noqa: SLF001
        for start in range(0, len(content), _BLOCKS * _BLOCK):
            writer.write(content[start : start + _BLOCKS * _BLOCK])


def _compressible(content: bytes | Content) -> bool:
    """Tell whether compressing is worth the time, from samples spread over the content."""
    import zlib

    if len(content) > _SAMPLES * _SAMPLE:
        step = (len(content) - _SAMPLE) // (_SAMPLES - 1)
        sample = b"".join([content[step * index : step * index + _SAMPLE] for index in range(_SAMPLES)])
    else:
        sample = content[:]
    return len(zlib.compress(sample, 1)) < _WORTHWHILE * len(sample)


class _BlockCompressor:
    """Compresses one large content on all processors, into one ordinary deflate stream.

    Each block starts with the window that the block before it leaves, so that hardly anything is lost by the cuts.
    The result depends on the content only, never on the number of processors.

    size: octets of the content, which comes in whole blocks but for the last.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._window = b""

    def compress(self, content: bytes) -> bytes:
        import os
        from concurrent.futures import ThreadPoolExecutor

        before = len(self._window)
        self._left -= len(content)
        is_last = not self._left
        with memoryview(self._window + content) as view, ThreadPoolExecutor(os.cpu_count()) as pool:
            starts = range(before, len(view), _BLOCK)
            compressed = b"".join(pool.map(lambda start: _compressed(view, start, is_last=is_last), starts))
        self._window = content[-_WINDOW:]
        return compressed

    def flush(self) -> bytes:
        return b""


def _compressed(view: memoryview, start: int, *, is_last: bool) -> bytes:
    import zlib

    window = view[max(0, start - _WINDOW) : start]
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=window)
    block = compressor.compress(view[start : start + _BLOCK])
    ends = is_last and start + _BLOCK >= len(view)
    return block + compressor.flush(zlib.Z_FINISH if ends else zlib.Z_SYNC_FLUSH)
