"""CSV and other tables in text: formulas that start programs when a spreadsheet opens them."""

from __future__ import annotations

import re

from mailguard.attachments.examination import windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.attachments.examination import Quota
    from mailguard.message.content import Content

# =application|'topic'!item, also after a sign or within a function
_DDE = re.compile(
    rb"(?:^|[,;\t])[\s\"']{0,20}[=+\-@][^\r\n|,;]{0,200}?\b[a-z0-9_.]{2,40}['\"]?\|[^\r\n!]{1,400}!",
    re.IGNORECASE | re.MULTILINE,
)


def examine(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine a table in text."""
    for window in windows(content.chunks(), 1024):
        if _DDE.search(window.replace(b"\0", b"")):
            yield "dde"
            return
