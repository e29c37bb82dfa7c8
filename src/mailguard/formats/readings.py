"""Every reading that some program makes of content."""

from __future__ import annotations

from mailguard.formats import magic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.message.content import Content


def sniff(content: Content) -> list[str]:
    """Return the readings, by structure or else as text, what stands first in the content first, without duplicates."""
    if found := magic.structures(content):
        return found
    from mailguard.formats.text.kinds import text_types

    return list(dict.fromkeys(text_types(content.read(0, magic.HEAD))))
