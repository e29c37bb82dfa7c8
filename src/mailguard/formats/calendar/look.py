"""iCalendar (RFC 5545): files in calendar entries."""

from __future__ import annotations

import re

from mailguard.formats.budget import windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

_FOLD = re.compile(rb"\r?\n[ \t]")
_ATTACHED = re.compile(
    rb"^attach(?:[;:](?:[^\r\n]{0,400}[;:])?)(?:value=[\"']?binary|encoding=[\"']?base64|(?:data|cid|file|javascript):|\\\\)"
    rb"|^action[^\r\n:]{0,100}:\s{0,9}procedure",
    re.IGNORECASE | re.MULTILINE,
)


def examine(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine a calendar; links to the web and alarm sounds are no attachments."""
    for window in windows(content.chunks(), 2048):
        text = window.replace(b"\0", b"") if b"\0" in window else window
        if _ATTACHED.search(_FOLD.sub(b"", text)):
            yield "calendar-attachment"
            return
