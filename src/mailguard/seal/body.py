"""The form of a body that does not depend on transport: LF line ends, and one of them at the end."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailguard.findings import Chunk

_PIECE = 1 << 16


def digest(chunks: Iterable[Chunk]) -> tuple[bytes, int]:
    """Return (SHA-256, length in octets) of the canonical form of a body given in pieces with any line ends."""
    import hashlib

    code = hashlib.sha256()
    length = 0
    for text in _canonical(chunks):
        code.update(text)
        length += len(text)
    return code.digest(), length


def _canonical(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    newlines = 0  # held back: only one counts at the end
    for text in _with_newlines(chunks):
        content = text.rstrip(b"\n")
        if content:
            yield b"\n" * newlines
            yield content
            newlines = 0
        newlines += len(text) - len(content)
    yield b"\n"


def _with_newlines(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """Turn CRLF into LF, also where a piece ends between the two."""
    carry = b""
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            text = carry + bytes(chunk[start : start + _PIECE])
            carry = b"\r" if text.endswith(b"\r") else b""
            yield text[: len(text) - len(carry)].replace(b"\r\n", b"\n") if b"\r" in text else text
    if carry:
        yield carry
