"""When a message came, as it says itself."""

from __future__ import annotations

from itertools import islice

from mailguard.message import header
from mailguard.message.tree import after_from_line

_FIELDS = 1000
_LONGEST = 1000
_HEADER = 1 << 18


def received(raw: bytes, latest: int) -> int | None:
    """Return the Unix time of the topmost Received field, else of Date, if it is one between 1970 and `latest`."""
    start = after_from_line(raw)
    end, _ = header.end(raw, start, min(len(raw), start + _HEADER))
    date: bytes | None = None
    for field in islice(header.fields(raw, start, end), _FIELDS):
        if field.name == b"received":
            found = _time(field.unfolded.rpartition(b";")[2], latest)
            if found is not None:
                return found
        elif field.name == b"date" and date is None:
            date = field.unfolded
    return _time(date or b"", latest)


def _time(value: bytes, latest: int) -> int | None:
    from email.utils import mktime_tz, parsedate_tz

    if len(value) > _LONGEST:
        return None
    try:
        parsed = parsedate_tz(value.decode("ascii", "replace"))
        found = mktime_tz(parsed) if parsed else None
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return int(found) if found is not None and 0 <= found <= latest else None
