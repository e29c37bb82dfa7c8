"""CSV and other tables in text: formulas that act when a spreadsheet opens them."""

from __future__ import annotations

from mailguard.formats.budget import TooLarge, Unreadable, windows
from mailguard.formats.text.formulas import Formulas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

_OVERLAP = 1 << 15  # the longest cell in any encoding
_WIDE = ("utf-16-le", "utf-16-be")


def examine(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine a table in text: "dde", "formula"; Unreadable when it has too many cells that begin as formulas do."""
    head = content.read(0, _OVERLAP)
    tables = {codec: Formulas(head.decode(codec, "replace")) for codec in _codecs(head)}
    codes: set[str] = set()
    behind = ""  # a letter before what is not the begin of the table
    offset = 0
    for window in windows(content.chunks(), _OVERLAP):
        broken = True
        for codec, formulas in tables.items():
            if codec == "latin-1" and not broken:  # what is text in no other encoding
                continue
            text = window[offset % 2 :].decode(codec, "replace") if codec in _WIDE else window.decode(codec, "replace")
            codes.update(_codes(formulas, behind + text))
            broken = broken and "\ufffd" in text
        behind = "x"
        offset += len(window) - min(len(window), _OVERLAP)
    yield from sorted(codes)


def _codecs(head: bytes) -> tuple[str, ...]:
    """Return in which encodings a table has to be read."""
    return _WIDE if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head else ("utf-8", "cp932", "latin-1")


def _codes(formulas: Formulas, text: str) -> set[str]:
    try:
        return {code for _, code in formulas.dangerous(text)}
    except TooLarge as error:
        raise Unreadable from error
