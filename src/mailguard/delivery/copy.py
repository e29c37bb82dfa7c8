"""A message on its way: read piece by piece, and put into the form of the wire."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CHUNK = 1 << 16
_SMUGGLED = re.compile(rb"\r\.[\r\n]")


class Copy:
    """A message on its way, read piece by piece from wherever it lies.

    read: (offset, length) -> bytes, from several threads at once; size: octets; sender: the envelope sender, "" for
    the null sender, None when unknown; identifier: names this copy (letters and digits); created: POSIX time.
    """

    __slots__ = ("_read", "_survey", "created", "identifier", "sender", "size", "start")

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        size: int,
        *,
        sender: str | None,
        identifier: str,
        created: float,
    ) -> None:
        self._read = read
        self._survey: tuple[int, bool, bool] | None = None
        self.size = size
        self.sender = sender
        self.identifier = identifier
        self.created = created
        self.start = len(self.from_line)

    @property
    def from_line(self) -> bytes:
        """The mailbox separator above the message with its line end, b"" when there is none."""
        head = self._read(0, min(self.size, CHUNK))
        return head[: head.find(b"\n") + 1] if head.startswith(b"From ") else b""

    def chunks(self, start: int | None = None) -> Iterator[bytes]:
        """Yield the message without its `From_` line, or everything from `start`."""
        position = self.start if start is None else start
        while position < self.size:
            piece = self._read(position, min(CHUNK, self.size - position))
            if not piece:
                raise OSError(5, "the message in the spool is shorter than it was")
            position += len(piece)
            yield piece

    @property
    def wire_size(self) -> int:
        """Octets on the wire, without dot-stuffing (RFC 1870 5)."""
        return self._surveyed()[0]

    @property
    def eight_bit(self) -> bool:
        """Whether an octet above 127 occurs."""
        return self._surveyed()[1]

    @property
    def smuggles(self) -> bool:
        """Whether a bare CR and a dot could end the message for a server that takes CR as a line end."""
        return self._surveyed()[2]

    def _surveyed(self) -> tuple[int, bool, bool]:
        if self._survey is None:
            size, eight_bit, smuggles = 0, False, False
            last = b"\n"
            for piece in wire(self.chunks(), stuffed=False):
                size += len(piece)
                eight_bit = eight_bit or not piece.isascii()
                smuggles = smuggles or _SMUGGLED.search(last + piece) is not None
                last = (last + piece)[-2:]
            self._survey = (size, eight_bit, smuggles)
        return self._survey


def wire(chunks: Iterable[bytes], *, stuffed: bool = True) -> Iterator[bytes]:
    """Turn a message into what goes over the wire: CRLF line ends, a final one, dots doubled (RFC 5321 4.5.2).

    A CR that is not part of a line end stays as it is.  Nothing is said about the final dot.
    """
    held = b""
    line_start = True
    for chunk in chunks:
        piece = held + chunk
        held = b"\r" if piece.endswith(b"\r") else b""
        piece = piece[: len(piece) - len(held)].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if not piece:
            continue
        if stuffed:
            first = b"." if line_start and piece.startswith(b".") else b""
            piece = first + piece.replace(b"\n.", b"\n..")
        line_start = piece.endswith(b"\n")
        yield piece
    if held or not line_start:
        yield held + b"\r\n"
