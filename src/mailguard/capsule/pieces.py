"""A file in memory, in pieces: what is large is written, read once and given back a piece at a time."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 20


class Pieces:
    """Octets in pieces of 1 MiB; writing and seeking as in a file.

    A file in one buffer would be there twice while the next one is made from it.

    size: octets.
    """

    __slots__ = ("_pieces", "_position", "size")

    def __init__(self) -> None:
        self._pieces: list[bytearray | None] = []
        self._position = 0
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write at the position, over what is there and on from its end."""
        view = memoryview(data)
        done = 0
        while done < len(view):
            number, start = divmod(self._position, _PIECE)
            if number == len(self._pieces):
                self._pieces.append(bytearray())
            part = view[done : done + _PIECE - start]
            piece = self._pieces[number]
            assert piece is not None
            piece[start : start + len(part)] = part
            done += len(part)
            self._position += len(part)
            self.size = max(self.size, self._position)
        return done

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, position: int) -> int:
        """Go to a position that was written already, or to the end."""
        self._position = position
        return position

    def flush(self) -> None:
        """Do nothing: what was written is there."""

    def read(self, start: int, length: int) -> bytes:
        """Return up to `length` octets from `start`."""
        stop = min(start + length, self.size)
        found = []
        while start < stop:
            number, offset = divmod(start, _PIECE)
            piece = self._pieces[number]
            assert piece is not None
            found.append(piece[offset : offset + stop - start])
            start += len(found[-1])
        return b"".join(found)

    def __iter__(self) -> Iterator[bytearray]:
        return (piece for piece in self._pieces if piece is not None)

    def taken(self) -> Iterator[bytearray]:
        """Yield the pieces in order; each is gone when the next one is asked for."""
        for number, piece in enumerate(self._pieces):
            assert piece is not None
            self._pieces[number] = None
            yield piece
            del piece
