"""What the modules for single formats share: quotas, members, and content that is unpacked or part of other content.

An examiner is a generator over one content.  It yields danger codes (`str`), more precise types (`Kind`), and what it
found inside (`Member`); the loop in `detect` examines members in turn, so that no input decides about recursion.
"""

from __future__ import annotations

from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import IO

    Found = Iterator["str | Kind | Member"]

DEPTH = 3
MEMBERS = 1_000
OCTETS = 64 << 20
IN_MEMORY = 1 << 20
_WINDOW = 1 << 17


class Unreadable(Exception):  # noqa: N818 (an observation about content)
    """The content is damaged, or built in a way that programs read differently; never leaves this package."""


class TooLarge(Exception):  # noqa: N818 (an observation about content)
    """The content asks for more than the quotas allow, or than the disk takes; never leaves this package."""


class Kind:
    """A more precise type of the content that is being examined, for example .docx instead of ZIP."""

    __slots__ = ("mime",)

    def __init__(self, mime: str) -> None:
        self.mime = mime


class Member:
    """Something inside the content.

    names: every name that a reader could give it; prefix: what opens the codes found in it ("archive"; "" = as they
    are, for what belongs to a document).
    """

    __slots__ = ("content", "names", "prefix")

    def __init__(self, content: Content, names: list[str], prefix: str) -> None:
        self.content = content
        self.names = names
        self.prefix = prefix


class Quota:
    """What the attachments of one message may cost altogether: members and unpacked octets."""

    __slots__ = ("members", "octets")

    def __init__(self, members: int = MEMBERS, octets: int = OCTETS) -> None:
        self.members = members
        self.octets = octets

    def count_member(self) -> None:
        """Count one member; raise TooLarge when there are too many."""
        self.members -= 1
        if self.members < 0:
            raise self.exceeded

    def count_octets(self, octets: int) -> None:
        """Count unpacked octets; raise TooLarge when there are too many."""
        self.octets -= octets
        if self.octets < 0:
            raise self.exceeded

    @property
    def exceeded(self) -> Exception:
        """What says that there is too much."""
        return TooLarge()

    def counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pass pieces on and count them."""
        for piece in pieces:
            self.count_octets(len(piece))
            yield piece

    def unpacked(self, pieces: Iterable[bytes]) -> Unpacked:
        """Collect unpacked pieces within the quota; a context manager that gives their content."""
        return Unpacked(self.counted(pieces))


class Window(Content):
    """A range of other content, not copied."""

    __slots__ = ("_offset", "_outer")

    def __init__(self, outer: Content, offset: int, size: int) -> None:
        super().__init__(b"", 0, 0)
        self._outer = outer
        self._offset = offset
        self.size = max(min(size, outer.size - offset), 0)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        offset = min(max(offset, 0), self.size)
        return self._outer.read(self._offset + offset, min(max(length, 0), self.size - offset))


class _Stored(Content):
    __slots__ = ("_file",)

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__(b"", 0, 0)
        self._file = file
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        self._file.seek(min(max(offset, 0), self.size))
        return self._file.read(max(length, 0))


class Unpacked:
    """Unpacked octets: in memory while small, above that in a temporary file without a name.

    Raises TooLarge when the file cannot be written: how much is written, the sender decides.
    """

    __slots__ = ("_file", "_pieces")

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Content:
        held: list[bytes] = []
        size = 0
        for piece in self._pieces:
            size += len(piece)
            if self._file is None and size > IN_MEMORY:
                self._file = _temporary_file()
                _write(self._file, b"".join(held))
                held.clear()
            if self._file is None:
                held.append(piece)
            else:
                _write(self._file, piece)
        return Content.of(b"".join(held)) if self._file is None else _Stored(self._file, size)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def _temporary_file() -> IO[bytes]:
    import tempfile

    try:
        return tempfile.TemporaryFile("w+b")
    except OSError as error:
        raise TooLarge from error


def _write(file: IO[bytes], piece: bytes) -> None:
    """Write and flush, so that a full disk shows here and not where the file is read or closed."""
    try:
        file.write(piece)
        file.flush()
    except OSError as error:
        raise TooLarge from error


def windows(pieces: Iterable[bytes], overlap: int) -> Iterator[bytes]:
    """Yield the pieces, cut to 128 KiB; each begins with the last `overlap` bytes of what stood before it.

    A pattern of at most `overlap` bytes is never cut.
    """
    tail = b""
    for piece in pieces:
        for start in range(0, len(piece), _WINDOW):
            window = tail + piece[start : start + _WINDOW]
            yield window
            tail = window[-overlap:]


def inflated(content: Content, offset: int, size: int, wbits: int = -15) -> Iterator[bytes]:
    """Yield what a deflate stream in `content` unpacks to, in pieces of at most 256 KiB; raise Unreadable."""
    import zlib

    unpacker = zlib.decompressobj(wbits)
    position, end = offset, offset + size
    data = b""
    while not unpacker.eof:
        if not data:
            data = content.read(position, min(1 << 16, end - position))
            position += len(data)
        exhausted = not data
        try:
            piece = unpacker.decompress(data, 1 << 18)
        except zlib.error as error:
            raise Unreadable from error
        data = unpacker.unconsumed_tail
        if piece:
            yield piece
        elif exhausted and not unpacker.eof:
            raise Unreadable
