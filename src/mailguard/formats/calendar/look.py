"""Calendars and address cards: files in them, and what starts programs, as the reader of `disarm` sees it."""

from __future__ import annotations

import re

from mailguard.formats.budget import TooLarge, Unreadable
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import FEATURES, Options, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

_IS_CARD = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,100}BEGIN:VCARD\b", re.IGNORECASE)


def examine(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine a calendar or an address card; links to the web and alarm sounds are no danger."""
    from mailguard.formats.calendar.disarm import LARGEST, disarmed

    if content.size > LARGEST:
        raise TooLarge
    is_card = bool(_IS_CARD.match(content.read(0, 128)))
    try:
        _, removed = disarmed(content.whole(), Options(frozenset(FEATURES)), is_card=is_card)
    except Refused as error:
        raise Unreadable from error
    if any(map(danger, removed)):
        yield "calendar-attachment"
