"""Edits of a message as splices: what is not edited leaves as the bytes that came in."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailguard.findings import Chunk

_VIEW = 1 << 20


class Splice:
    """Replace `raw[start:end]` by `replacement` (pieces of bytes; start == end inserts)."""

    __slots__ = ("end", "replacement", "start")

    def __init__(self, start: int, end: int, *replacement: Chunk) -> None:
        self.start = start
        self.end = end
        self.replacement = replacement

    def __repr__(self) -> str:
        return f"Splice({self.start}, {self.end}, {self.replacement!r})"


def apply(raw: bytes, splices: Iterable[Splice], start: int = 0, end: int | None = None) -> list[Chunk]:
    """Return the pieces of `raw[start:end]` with the splices done; unchanged ranges are views, not copies.

    Splices inside the range of another are swallowed by it; insertions at its start come first, in their order.
    """
    view = memoryview(raw)
    pieces: list[Chunk] = []
    position = start
    for splice in sorted(splices, key=lambda splice: (splice.start, splice.end > splice.start, -splice.end)):
        if splice.start < position:
            if splice.end <= position:
                continue
            raise AssertionError(f"splices overlap at {splice.start}")
        if splice.start > position:
            pieces.append(view[position : splice.start])
        pieces.extend(splice.replacement)
        position = splice.end
    stop = len(raw) if end is None else end
    if position < stop:
        pieces.append(view[position:stop])
    return pieces


def views(pieces: Iterable[Chunk]) -> Iterator[bytes | memoryview]:
    """Yield the octets of all pieces in order, at most 1 MiB at a time, without empty ones."""
    for piece in pieces:
        source = memoryview(piece) if isinstance(piece, bytes) else piece
        for start in range(0, len(source), _VIEW):
            yield source[start : start + _VIEW]


def joined(pieces: Sequence[Chunk]) -> bytes:
    """Return the octets of all pieces; a single one itself."""
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return pieces[0]
    import io

    whole = io.BytesIO()
    for view in views(pieces):
        whole.write(view)
    return whole.getvalue()
