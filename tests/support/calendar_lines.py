"""A calendar, and lines that act in it."""

from __future__ import annotations

CALENDAR = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20261124T090000Z\r\n"
    b"SUMMARY:a long sum\r\n mary\r\nORGANIZER;CN=A:mailto:a@example.com\r\nX-MICROSOFT-CDO-BUSYSTATUS:BUSY\r\n"
    b"BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT15M\r\nDESCRIPTION:x\r\nEND:VALARM\r\n"
    b"%sEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
ACTING = {
    "attached file": b"ATTACH;ENCODING=BASE64;VALUE=BINARY:TVqQ\r\n AAMA\r\n",
    "file of a program": b"ATTACH:file:///c:/windows/calc.exe\r\n",
    "file of the mail": b"ATTACH:cid:a@b\r\n",
    "alarm that starts a program": b"BEGIN:VALARM\r\nACTION:PROCEDURE\r\nATTACH:file:///calc.exe\r\nTRIGGER:-PT1M\r\nEND:VALARM\r\n",
    "link that is a script": b"URL:javascript:evil()\r\n",
    "page with a script": b"X-ALT-DESC;FMTTYPE=text/html:<script>evil()</script>\r\n",
    "unknown property": b"STRANGE:x\r\n",
    "sound on a share": b"X-MICROSOFT-REMINDERSOUND:\\\\evil\\x.wav\r\n",
    "name over lines": b"ATT\r\n\tACH:file:///x\r\n",
    "name with a group": b"a.attach:file:x\r\n",
    "alarm with a sound": b"AALARM;TYPE=WAVE;VALUE=URL:20260101T000000;;1;file:///x.wav\r\n",
    "alarm with a sound on a share": b"AALARM;TYPE=WAVE;VALUE=URL:20260101T000000;;1;file://evil/x.wav\r\n",
    "alarm that starts a program, as it was once": b"PALARM:20260101T000000;;1;calc.exe\r\n",
    "text elsewhere": b'DESCRIPTION;ALTREP="file://evil":x\r\n',
    "organizer that is a file": b"ORGANIZER:file://evil\r\n",
    "unknown component": b"BEGIN:VSTRANGE\r\nX-A:b\r\nEND:VSTRANGE\r\n",
}
