"""Mails as files, web archives, winmail.dat and calendars: the standard library, olefile, tnefparse, icalendar."""

from __future__ import annotations

import email
import email.policy
import io
import re
import zipfile

import icalendar
import tnefparse

from detectors.html import as_office_reads_it
from detectors.oletools_peers import streams

_ENDLESS = 20


def leaves(content: bytes) -> list[tuple[str, bytes]]:
    """(type, decoded content) of every part of a message, of messages within too."""
    found, waiting = [], [email.message_from_bytes(content, policy=email.policy.default)]
    for _ in range(_ENDLESS):
        if not waiting:
            break
        part = waiting.pop()
        if part.is_multipart():
            waiting += part.get_payload()
        else:
            data = part.get_payload(decode=True) or b""
            found.append((part.get_content_type(), data))
            if data.startswith(b"From:"):
                waiting.append(email.message_from_bytes(data, policy=email.policy.default))
    return found


def programs(content: bytes) -> list[str]:
    """Parts that begin as a program does, whatever they are called."""
    return [kind for kind, data in leaves(content) if data.startswith(b"MZ")]


def scripts(content: bytes) -> list[str]:
    """What acts in the pages among the parts, or in the page that is delivered instead."""
    pages = [data for kind, data in leaves(content) if kind == "text/html"] or [content]
    return [one for page in pages for one in as_office_reads_it(page)]


def tnef(content: bytes) -> list[str]:
    """Programs in a winmail.dat, as tnefparse unpacks it, or in the ZIP that is delivered instead."""
    if content.startswith(b"\x78\x9f\x3e\x22"):
        return [one.long_filename() for one in tnefparse.TNEF(content).attachments if one.data.startswith(b"MZ")]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [name for name in archive.namelist() if archive.read(name).startswith(b"MZ")]


def outlook(content: bytes) -> list[str]:
    """Streams of an Outlook message that begin as a program does."""
    found = streams(content) if content.startswith(b"\xd0\xcf\x11\xe0") else {}
    return [path for path, data in found.items() if data.startswith(b"MZ")]


def component(pattern: str):
    """A detector: properties of any component of a calendar, as icalendar reads them: "NAME;PARAMETERS:value"."""

    def detector(content: bytes) -> list[str]:
        found = []
        for one in icalendar.Calendar.from_ical(content).walk():
            found.append(f"BEGIN:{one.name}")
            for name, value in one.property_items(recursive=False):
                written = value.to_ical() if hasattr(value, "to_ical") else str(value).encode()
                found.append(f"{name};{dict(getattr(value, 'params', {}))}:{written.decode('utf-8', 'replace')}")
        return [line for line in found if re.search(pattern, line, re.IGNORECASE | re.DOTALL)]

    return detector


DETECTORS = {
    "message with a program": (programs,),
    "message with a script": (scripts,),
    "message in a message with a program": (programs,),
    "winmail.dat with a program": (tnef,),
    "Outlook message with a program": (outlook,),
    "web archive with a script": (scripts,),
    "calendar: attached file": (component("^ATTACH"),),
    "calendar: file of a program": (component("^ATTACH"),),
    "calendar: file of the mail": (component("^ATTACH"),),
    "calendar: alarm that starts a program": (component("PROCEDURE"),),
    "calendar: link that is a script": (component("javascript"),),
    "calendar: page with a script": (component("<script"),),
    "calendar: unknown property": (component("^STRANGE"),),
    "calendar: sound on a share": (component("REMINDERSOUND"),),
    "calendar: name over lines": (component("^ATTACH"),),
    "calendar: name with a group": (component("attach"),),
    "calendar: alarm with a sound": (component("^AALARM"),),
    "calendar: alarm with a sound on a share": (component("^AALARM"),),
    "calendar: alarm that starts a program, as it was once": (component("^PALARM"),),
    "calendar: text elsewhere": (component("ALTREP"),),
    "calendar: organizer that is a file": (component("ORGANIZER.*file:"),),
    "calendar: unknown component": (component("BEGIN:VSTRANGE"),),
}
