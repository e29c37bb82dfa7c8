"""Calendars: each line of CALENDAR_LINES in an entry, and address cards."""

import calendar_lines
from specimens import Specimen

_CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Yamada Taro\r\n%sEND:VCARD\r\n"
_PICTURE = b"PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//\r\n"


def acts():
    """Entries that carry a file, start a program or lead to something that does."""
    lines = calendar_lines.ACTING
    return {name: Specimen(calendar_lines.CALENDAR % line, "a.ics") for name, line in lines.items()} | {
        "file in a card": Specimen(_CARD % b"PHOTO;ENCODING=b;TYPE=JPEG:TVqQAAMAAAAEAAAA\r\n", "a.vcf", "text/vcard"),
        "cut": Specimen((calendar_lines.CALENDAR % b"")[:-20], "a.ics", "text/calendar"),
        "line ends that are none": Specimen(calendar_lines.CALENDAR % b"SUMMARY:x\rATTACH:cid:a\r\n", "a.ics"),
        "program instead of a calendar": Specimen(b"attach me\r\n", "a.ics", "text/calendar"),
    }


def ordinary():
    """Entries as calendars write them, and a card with a picture."""
    return {
        "link": Specimen(calendar_lines.CALENDAR % b"URL:https://example.com/\r\n", "a.ics", "text/calendar"),
        "attached link": Specimen(
            calendar_lines.CALENDAR % b"ATTACH;FMTTYPE=text/html:https://example.com/agenda\r\n",
            "a.ics",
            "text/calendar",
        ),
        "sound of the system": Specimen(
            calendar_lines.CALENDAR % b"ATTACH;VALUE=URI:Basso\r\n", "a.ics", "text/calendar"
        ),
        "page without anything": Specimen(
            calendar_lines.CALENDAR % b"X-ALT-DESC;FMTTYPE=text/html:<p>see you</p>\r\n", "a.ics", "text/calendar"
        ),
        "card": Specimen(_CARD % b"TEL:+81-3-1234-5678\r\nNOTE:text\r\n", "a.vcf", "text/vcard"),
        "card with a picture": Specimen(_CARD % _PICTURE, "a.vcf", "text/vcard"),
    }


_UNKNOWN = "nothing is known of it, but that it is no file and no address"
OUTSIDE = {"alarm with a sound": _UNKNOWN, "unknown property": _UNKNOWN, "unknown component": _UNKNOWN}
