"""Filters work once on a mail of nobody's, before the first fork: what is made at first use need not be made again.

Patterns are compiled then, tables of types filled.  There is no effect outside of the process, the key is nobody's,
and nothing about the message stays.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailguard.findings import Result
    from mailguard.site import Site

_MAIL = b"""From: Sender <sender@example.com>
To: recipient@example.com
Subject: =?utf-8?q?rehearsal?=
Message-ID: <rehearsal@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="parts"

--parts
Content-Type: multipart/alternative; boundary="texts"

--texts
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

A text.=20
--texts
Content-Type: text/html; charset=utf-8

<p>A <a href="https://example.com/">text</a>.</p>
--texts--

--parts
Content-Type: application/octet-stream; name="list.txt"
Content-Disposition: attachment; filename*=utf-8''list.txt
Content-Transfer-Encoding: base64

YSBsaXN0Cg==
--parts--
"""


def rehearse() -> None:
    """Run the verbs that need nothing but a message."""
    from mailguard.seal import Key, KeyRing
    from mailguard.site import Site

    site = Site(0, ring=KeyRing([Key("222", bytes(32))]))
    for verb in (_verify, _quarantine, _strip):
        verb(_MAIL, site)


def _verify(raw: bytes, site: Site) -> Result:
    from mailguard.dns import Unopened, source
    from mailguard.verify.judgement import VerifyOptions
    from mailguard.verify.verification import verify

    return verify(raw, VerifyOptions("localhost", Unopened(source)), site)


def _acting(verb: Callable[..., Result], raw: bytes, site: Site) -> Result:
    from mailguard.outcome.assessment import Choice
    from mailguard.parts.selection import Selection

    return verb(raw, Choice(Selection("always")), site)


def _quarantine(raw: bytes, site: Site) -> Result:
    from mailguard.quarantine import quarantine

    return _acting(quarantine, raw, site)


def _strip(raw: bytes, site: Site) -> Result:
    from mailguard.strip import strip

    return _acting(strip, raw, site)
