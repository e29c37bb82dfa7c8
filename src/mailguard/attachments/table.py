"""CSV and other tables in text: formulas that start programs when a spreadsheet opens them."""

from __future__ import annotations

import re

from mailguard.attachments.examination import windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.attachments.examination import Quota
    from mailguard.message.content import Content

_OVERLAP = 1024
_CANDIDATES = 100_000
# application|'topic'!item, with or without quotes
_LINK = re.compile(rb"[a-z0-9_.]{2}['\"]?\|[^\r\n!|]{1,400}!", re.IGNORECASE)
_CELL = re.compile(rb"[\r\n,;\t]")


def examine(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine a table in text: DDE links in cells that begin as a formula."""
    candidates = 0
    for window in windows(content.chunks(), _OVERLAP):
        text = window.replace(b"\0", b"")
        for link in _LINK.finditer(text):
            candidates += 1
            cell = _CELL.split(text[max(link.start() - 300, 0) : link.start() + 1])[-1]
            if cell.lstrip(b" \"'")[:1] in {b"=", b"+", b"-", b"@"} or candidates > _CANDIDATES:
                yield "dde"
                return
