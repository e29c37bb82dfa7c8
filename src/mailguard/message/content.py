"""The decoded bytes of a part, without holding them all at once.

A 50 MB attachment must be hashed, typed and searched within a few megabytes.  Unencoded content is read from the
message itself; base64 in regular lines is decoded where it is read, because there the place of each byte is known.
Only small or irregular content is decoded as a whole.
"""

from __future__ import annotations

import binascii
import io

from mailguard.message import encoding as transfer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 16
_SMALL = 1 << 16


class Content:
    """Decoded bytes by position.

    size: octets; exact: no other reader reads other bytes; recipe: how it is encoded (see `encoding`), which holds
    only if encoding again is seen to give the same bytes.
    """

    is_regular = False  # base64 in lines of equal length, seen to be valid

    __slots__ = ("_digest", "_end", "_start", "_store", "exact", "recipe", "size")

    def __init__(
        self, store: bytes, start: int, end: int, *, exact: bool = True, recipe: transfer.Recipe | None = None
    ) -> None:
        self._store = store
        self._start = start
        self._end = end
        self._digest: str | None = None
        self.size = end - start
        self.exact = exact
        self.recipe = recipe

    @classmethod
    def of(cls, data: bytes) -> Content:
        """Wrap bytes that are decoded already."""
        return cls(data, 0, len(data))

    @classmethod
    def decoded(cls, raw: bytes, start: int, end: int, encoding: bytes) -> Content:
        """Give the content of the body `raw[start:end]` in this (lower-case) Content-Transfer-Encoding."""
        if encoding in transfer.IDENTITY:
            return cls(raw, start, end, recipe={"encoding": "identity"})
        if encoding == b"base64" and end - start > _SMALL:
            regular = Base64Content.measured(raw, start, end)
            if regular is not None:
                return regular
        whole = transfer.decode(raw, start, end, encoding)
        return cls(whole.data, 0, len(whole.data), exact=whole.exact, recipe=whole.recipe)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer at the end, none behind it."""
        begin = self._start + min(max(offset, 0), self.size)
        return self._store[begin : min(begin + max(length, 0), self._end)]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, window: slice) -> bytes:
        start, stop, _ = window.indices(self.size)
        return self.read(start, stop - start)

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in order, in pieces of about 64 KiB."""
        for offset in range(0, self.size, CHUNK):
            yield self.read(offset, CHUNK)

    def sha256(self) -> str:
        """Return the SHA-256 of all of it in hexadecimal digits."""
        if self._digest is None:
            import hashlib

            code = hashlib.sha256()
            for chunk in self.chunks():
                code.update(chunk)
            self._digest = code.hexdigest()
        return self._digest

    def whole(self) -> bytes:
        """Return all of it."""
        if not self.is_regular:
            return self.read(0, self.size)
        whole = io.BytesIO()  # joining a list of pieces would need room for all of it twice
        for chunk in self.chunks():
            whole.write(chunk)
        return whole.getvalue()

    def open(self) -> io.BufferedReader:
        """Return a seekable binary file over the content."""
        return io.BufferedReader(_Reader(self), 1 << 16)


class Base64Content(Content):
    """Base64 in lines of equal length, decoded where it is read."""

    is_regular = True

    __slots__ = ("_columns", "_eol")

    _columns: int
    _eol: bytes

    @classmethod
    def measured(cls, raw: bytes, start: int, end: int) -> Base64Content | None:
        """Return the content if the body is regular and valid base64, else None."""
        behind = end
        while end > start and raw[end - 1] in b"\r\n":
            end -= 1
        columns, eol = transfer.base64_layout(raw, start, end)
        if not columns or columns % 4 or columns > 998:
            return None
        step = columns + len(eol)
        lines = (end - start + len(eol)) // step
        for offset, character in enumerate(eol):
            column = raw[start + columns + offset : end : step]
            if column.count(character) != len(column) or len(column) < lines - 1:
                return None
        content = cls(raw, start, end)
        content._columns = columns
        content._eol = eol
        trailing = raw.count(b"\n", end, behind)
        content.recipe = {"encoding": "base64", "line": columns, "eol": eol.decode("ascii"), "trailing": trailing}
        return content if content._measure() else None

    def _measure(self) -> bool:
        """Decode once, piece by piece, to know that each is valid, how long the whole is, and its digest."""
        import hashlib

        step = self._columns + len(self._eol)
        per_line = self._columns // 4 * 3
        lines = -(-(self._end - self._start) // step)
        last = self._lines(lines - 1, 1)
        if last is None:
            return False
        self.size = (lines - 1) * per_line + len(last)
        batch = CHUNK // per_line
        code = hashlib.sha256()
        for first in range(0, lines, batch):
            piece = self._lines(first, batch)
            if piece is None or len(piece) != min(batch * per_line, self.size - first * per_line):
                return False
            code.update(piece)
        self._digest = code.hexdigest()
        return True

    def _lines(self, first: int, count: int) -> bytes | None:
        import pybase64

        step = self._columns + len(self._eol)
        begin = self._start + first * step
        text = self._store[begin : min(begin + count * step, self._end)].replace(self._eol, b"")
        try:
            data: bytes = pybase64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        return data

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` decoded bytes from `offset`."""
        offset = min(max(offset, 0), self.size)
        length = min(max(length, 0), self.size - offset)
        if not length:
            return b""
        per_line = self._columns // 4 * 3
        first, skip = divmod(offset, per_line)
        data = self._lines(first, -(-(skip + length) // per_line))
        assert data is not None  # every line was valid when it was measured
        return data[skip : skip + length]


class _Reader(io.RawIOBase):
    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._content.size}[whence]
        if base + offset < 0:
            raise OSError(22, "seek before the start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._content.read(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
