"""A service of checks in a folder, with a zone for its DNS and a diagnosis that asks nobody."""

from __future__ import annotations

import json
import re

from check_reports import mixed
from signed_mail import MESSAGE, SELECTOR, record, rsa_key, sign
from verbs import RING

from mailguard.check.guard import Guard
from mailguard.check.report import Report
from mailguard.check.service import Service
from mailguard.check.state import State
from mailguard.dns.files import Zone

NOW = 1_760_000_000
ADDRESS = "joe@example.com"
BOX = "check@checker.example.net"
ZONE = f"""
example.com              MX   10 mail.example.com
example.com              TXT  v=spf1 ip4:192.0.2.1 -all
_dmarc.example.com       TXT  v=DMARC1; p=reject
mail.example.com         A    192.0.2.1
1.2.0.192.in-addr.arpa   PTR  mail.example.com
{SELECTOR}               TXT  {record(2048).decode()}
null.example.com         MX   0 .
private.example.com      MX   10 inside.example.com
inside.example.com       A    10.1.2.3
inside.example.com       AAAA ::1
down.example.com         MX   SERVFAIL
"""
RECEIVED = (
    b"Received: from mail.example.com (mail.example.com [192.0.2.1])\r\n"
    b"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n"
    b"\tby checker.example.net (Postfix) with ESMTPS id 4X for <x@y>; date\r\n"
)


class Bench:
    """service: in `folder`; scanned: (domain, proved) of every diagnosis; failing: raised by the next one."""

    def __init__(self, folder, *, lab=True, asked=None, confirmed=None, **options):
        self.folder = folder
        self.scanned = []
        self.failing = None
        self.pages = folder / "pages"
        self.pages.mkdir(exist_ok=True)
        options = {"url": "https://check.example.net/"} | options
        self.service = Service(
            BOX,
            RING,
            State(str(folder / "state"), asked, confirmed),
            pages=str(self.pages),
            source=options.pop("source", None) or Zone(ZONE),
            scan=self._scan,
            guard=options.pop("guard", None) or (lambda: Guard(10, lab=lab, pause=0)),
            **options,
        )

    def _scan(self, domain, proved):
        self.scanned.append((domain, proved))
        if self.failing:
            failing, self.failing = self.failing, None
            raise failing
        report = mixed(NOW)
        return Report(domain, NOW, report.duration, report.outcomes, report.servers)


def kept(file):
    """What stands in the file of an exchange: what is counted, and the report."""
    counted, report = map(json.loads, file.read_text().splitlines())
    return counted | {"report": report}


def reply(token, *, to=None, sender=ADDRESS, extra=b"", received=RECEIVED, body=b"", name=b"Joe", **tags):
    """A signed reply to the confirmation with this token."""
    to = f"check+{token}@checker.example.net" if to is None else to
    header = re.sub(rb"To: [^\r]*\r\n", b"To: " + to.encode() + b"\r\n", MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n")
    header = header.replace(b"Fri, 11 Jul 2003 21:00:37 -0700", b"Thu, 09 Oct 2025 08:53:20 +0000")
    header = header.replace(b"Joe <joe@example.com>", name + b" <" + sender.encode() + b">")
    return received + sign(header + extra + b"\r\n" + body, key=rsa_key(2048), **tags)
