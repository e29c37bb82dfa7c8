"""Calendars (iCalendar, RFC 5545) and address cards (vCard, RFC 6350): properties by lists, line by line."""

from __future__ import annotations

import re

from mailguard.formats import links
from mailguard.formats.calendar.lines import read
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import Disarmed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.calendar.lines import Line
    from mailguard.formats.disarmed import Options

LARGEST = 16 << 20
_CALENDAR = frozenset(
    {"VCALENDAR", "VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "STANDARD", "DAYLIGHT", "VALARM"}
)
_CARD = frozenset({"VCARD"})
_PROPERTIES = frozenset(
    """
    BEGIN END CALSCALE METHOD PRODID VERSION CATEGORIES CLASS COMMENT DESCRIPTION GEO LOCATION PERCENT-COMPLETE PRIORITY
    RESOURCES STATUS SUMMARY COMPLETED DTEND DUE DTSTART DURATION FREEBUSY TRANSP TZID TZNAME TZOFFSETFROM TZOFFSETTO
    ATTENDEE CONTACT ORGANIZER RECURRENCE-ID RELATED-TO UID EXDATE EXRULE RDATE RRULE ACTION REPEAT TRIGGER CREATED
    DTSTAMP LAST-MODIFIED SEQUENCE REQUEST-STATUS NAME REFRESH-INTERVAL COLOR ACKNOWLEDGED PROXIMITY
    FN N NICKNAME BDAY ANNIVERSARY GENDER ADR LABEL TEL EMAIL LANG TZ TITLE ROLE ORG MEMBER RELATED NOTE REV KIND
    SORT-STRING SORT-AS XML-NS MAILER PROFILE IMPP CLIENTPIDMAP
    """.split()  # noqa: SIM905 (a list of words reads better)
)
_ADDRESSES = frozenset({"URL", "TZURL", "SOURCE", "CONFERENCE", "CALURI", "CALADRURI", "FBURL"})
_DATA = frozenset({"ATTACH", "IMAGE", "PHOTO", "LOGO", "SOUND", "KEY", "AGENT"})
_PAGES = frozenset({"X-ALT-DESC", "STYLED-DESCRIPTION", "STRUCTURED-DATA"})
_SCHEME = re.compile(
    r"\s{0,20}(?!https?:|mailto:|tel:|urn:|cid:|maps:|geo:|sips?:|xmpp:)[a-z][a-z0-9+.-]{1,30}:(?=\S)", re.IGNORECASE
)
_SHARE = re.compile(r"\s{0,20}(?:\\\\|//)")
_PICTURE = re.compile(r"(?:data:image/(?:png|jpeg|gif);base64,)?[A-Za-z0-9+/=\s]++", re.IGNORECASE)
_ALTERNATIVE = re.compile(r"ALTREP=\"?([^\";]*)")
_SOUND = re.compile(r"[A-Za-z][\w -]{0,40}")  # the name of one that macOS has: ATTACH;VALUE=URI:Basso
_WEB = re.compile(r"https?://", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)")
_RASTER = ("iVBORw0KGgo", "/9j/", "R0lGOD")
# Alarms that show, sound or mail something; PROCEDURE starts a program.
_ACTIONS = frozenset({"AUDIO", "DISPLAY", "EMAIL", "NONE", "URI"})


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:
    """Make a calendar or an address card harmless; every line that stays is the bytes that it was.

    Refused: no calendar ("not-understood"), components that do not close ("damaged"), lines that end differently for
    different programs ("ambiguous"), more than 16 MiB ("over-limit").
    """
    is_card = mime.partition(";")[0].strip().lower() in {"text/vcard", "text/x-vcard", "text/directory"}
    data, removed = disarmed(content, options, is_card=is_card)
    kind, extension = ("text/vcard", "vcf") if is_card else ("text/calendar", "ics")
    if not removed and data == content:
        return Disarmed(content, kind, extension)
    return Disarmed(data, kind, extension, tuple(removed))


def disarmed(content: bytes, options: Options, *, is_card: bool) -> tuple[bytes, set[str]]:
    """Return what may stay, and the codes of what may not; Refused as `disarm` says.

    is_card: it is an address card, else a calendar.
    """
    if len(content) > LARGEST:
        raise Refused("over-limit")
    mark = b"\xef\xbb\xbf" if content.startswith(b"\xef\xbb\xbf") else b""
    reader = _Reader(_CARD if is_card else _CALENDAR, options)
    for line in read(content[len(mark) :]):
        reader.add(line)
    return mark + reader.finish(), reader.removed


class _Reader:
    """Collects what stays; an alarm or a component that is not on the list goes as a whole."""

    def __init__(self, components: frozenset[str], options: Options) -> None:
        self.components = components
        self.options = options
        self.removed: set[str] = set()
        self.open: list[str] = []
        self.kept: list[bytes] = []
        self.marks: list[int] = []  # where in `kept` each open component begins
        self.dropped = 0  # depth in `open` at which everything is dropped, 0 = nothing

    def add(self, line: Line) -> None:
        if line.name == "BEGIN":
            self._begin(line)
        elif line.name == "END":
            self._end(line)
        elif not line.raw.strip():
            self._keep(line)
        elif not self.open:
            raise Refused("not-understood")
        elif not self.dropped:
            code = self._objection(line)
            if code and line.name == "ACTION":  # of an alarm, which goes with it
                self._drop(code)
            elif code:
                self.removed.add(code)
            else:
                self._keep(line)

    def finish(self) -> bytes:
        if self.open:
            raise Refused("damaged")
        if not any(self.kept):
            raise Refused("not-understood")
        return b"".join(self.kept)

    def _keep(self, line: Line) -> None:
        if not self.dropped:
            self.kept.append(line.raw)

    def _begin(self, line: Line) -> None:
        name = line.value.strip().upper()
        if len(self.open) > 10 or (not self.open and name not in {"VCALENDAR", "VCARD"}):
            raise Refused("not-understood")
        self.open.append(name)
        self.marks.append(len(self.kept))
        self._keep(line)
        if name not in self.components and not self.dropped:
            self._drop("unknown-part")

    def _drop(self, code: str) -> None:
        """Drop the component that is open, from its first line."""
        self.removed.add(code)
        del self.kept[self.marks[-1] :]
        self.dropped = len(self.open)

    def _end(self, line: Line) -> None:
        if not self.open or self.open.pop() != line.value.strip().upper():
            raise Refused("damaged")
        self.marks.pop()
        if self.dropped > len(self.open):
            self.dropped = 0
        else:
            self._keep(line)

    def _objection(self, line: Line) -> str:  # noqa: PLR0911 (one kind of property each)
        """Return why a line may not stay, or ""."""
        if line.name == "ACTION" and line.value.strip().upper() not in _ACTIONS:
            return "launch"
        if line.name in _DATA:
            return self._data(line)
        if line.name in _ADDRESSES:
            return "" if links.link(line.value, self.options) else _leads_away(line)
        if line.name in _PAGES or "TEXT/HTML" in line.parameters:
            return self._page(line)
        if line.name in {"ATTENDEE", "ORGANIZER", "CONTACT", "RELATED", "MEMBER", "IMPP"} and _SCHEME.match(line.value):
            return _leads_away(line)
        if "VALUE=BINARY" in line.parameters or "ENCODING=B" in line.parameters:
            return "attachment"
        if "ALTREP" in line.parameters:
            targets = _ALTERNATIVE.findall(line.parameters)
            return next(filter(None, map(links.acting, targets)), "hyperlink")
        if line.name.startswith("X-") or line.name in _PROPERTIES:
            away = _SCHEME.match(line.value) or _SHARE.match(line.value)
            return _leads_away(line) if line.name.startswith("X-") and away else ""
        if line.name == "PALARM":  # the procedure alarm of vCalendar 1.0
            return "launch"
        return next(filter(None, map(links.acting, line.value.split(";"))), "unknown-part")

    def _data(self, line: Line) -> str:
        """Judge a file or picture that stands in the line, or that it leads to; keys are in honest cards."""
        value = line.value
        carried = value.partition("base64,")[2] or value
        if line.name in {"PHOTO", "LOGO"} and _PICTURE.fullmatch(value) and carried.startswith(_RASTER):
            return ""
        if _WEB.match(value) and "VALUE=BINARY" not in line.parameters:
            return "" if line.name in {"ATTACH", "IMAGE"} and links.link(value, self.options) else "hyperlink"
        if _SOUND.fullmatch(value) and "BINARY" not in line.parameters and "ENCODING" not in line.parameters:
            return ""
        return "unknown-part" if line.name == "KEY" else "attachment"

    def _page(self, line: Line) -> str:
        from mailguard.formats.html import charset, page

        # A program may undo each backslash, or only those that are needed.
        text = line.value.replace("\\n", "\n").replace("\\N", "\n").replace("\\,", ",").replace("\\;", ";")
        readings = {text, _ESCAPED.sub(lambda one: "\n" if one[1] in "nN" else one[1], line.value)}
        codes = set()
        for octets in (reading.encode() for reading in readings):
            codes |= page.everything(octets, charset.read(octets, "utf-8"), self.options)
        return "active-content" if any(map(danger, codes)) else "style" if codes else ""


def _leads_away(line: Line) -> str:
    """Return the code of an address that may not stay."""
    return links.acting(line.value, clicked=True) or "hyperlink"
