"""What acts in a PDF: what sanitize would take out because it is dangerous.

Most documents hold no name of anything dangerous, which needs no reader to be seen.  Others are read by qpdf in a
process of its own, by the same walk that takes things out.
"""

from __future__ import annotations

from mailguard.formats.budget import TooLarge
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import FEATURES, Options, Refused
from mailguard.formats.pdf.names import ADDRESS, AUTOMATIC, ENCRYPTED, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

OCTETS = 64 << 20
_KEPT = frozenset(FEATURES) - {"embedded_files"}


def look(content: Content, _names: Sequence[str], quota: Quota) -> Iterator[str]:
    """Yield the dangers of a PDF: "pdf-active", "encrypted-document", "document-unreadable"."""
    found = names(content, quota)
    if ENCRYPTED in found:
        yield "encrypted-document"
    if not found - {ENCRYPTED, ADDRESS, AUTOMATIC} and not {ADDRESS, AUTOMATIC} <= found:
        return
    if content.size > OCTETS:
        raise TooLarge
    from mailguard.formats.families import needed

    needed("pdf")
    from mailguard.formats.pdf.disarm import judged

    try:
        dangers = {danger(code) for code in judged(content.whole(), Options(_KEPT)).removed} - {""}
    except Refused as refused:
        yield danger(refused.code)
        return
    if "encrypted-document" in dangers:
        yield "encrypted-document"
    if dangers - {"encrypted-document"}:
        yield "pdf-active"
