"""Filters work once on a mail of nobody's, before the first fork: what is made at first use need not be made again.

Patterns are compiled then, tables of types filled.  There is no effect outside of the process, the key is nobody's,
and nothing about the message stays.  After that a whole worker does its work once, to learn which pages that takes.
"""

from __future__ import annotations

import os
import socket

from mailguard.daemon import pages, request, worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from mailguard.daemon.pages import Range
    from mailguard.daemon.server import Program
    from mailguard.findings import Result
    from mailguard.site import Site

_SECONDS = 20.0
_PLAIN = b"From: sender@example.com\nMessage-ID: <rehearsal@example.com>\nSubject: rehearsal\n\nA text.\n"
_ARGUMENTS = [b"strip", b"--log", b"none", b"--config", os.fsencode(os.devnull)]

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
    from mailguard.verify.judgement import Options
    from mailguard.verify.verification import verify

    return verify(raw, Options("localhost", Unopened(source)), site)


def _acting(verb: Callable[..., Result], raw: bytes, site: Site) -> Result:
    from mailguard.assessment import Rules
    from mailguard.attachments.selection import Selection

    return verb(raw, Rules(Selection("always")), site)


def _quarantine(raw: bytes, site: Site) -> Result:
    from mailguard.quarantine import quarantine

    return _acting(quarantine, raw, site)


def _strip(raw: bytes, site: Site) -> Result:
    from mailguard.strip import strip

    return _acting(strip, raw, site)


class _Observed(worker.Client):
    """A client after whose work the worker tells which pages it took, to the descriptor `told`."""

    __slots__ = ("told",)
    told: int

    def done(self, status: int) -> None:
        """Tell the status, then the pages."""
        super().done(status)
        with open(self.told, "w", encoding="ascii") as file:
            file.writelines(f"{start} {length} {advice}\n" for start, length, advice in pages.used())


def needed(program: Program) -> list[Range]:
    """Return the pages that a worker takes for a plain mail; nothing when that cannot be learned."""
    ours, theirs = socket.socketpair()
    reading, told = os.pipe()
    try:
        process = os.fork()
    except OSError:
        process = -1  # later ones may succeed
    if not process:
        ours.close()
        os.close(reading)
        _perform(theirs, told, program)
    theirs.close()
    os.close(told)
    with ours, open(reading, encoding="ascii") as file:
        ours.settimeout(_SECONDS)
        try:
            ours.sendall(request.compose(_ARGUMENTS, {}) + _PLAIN)
            ours.shutdown(socket.SHUT_WR)
            found = [tuple(map(int, line.split())) for line in file]
        except OSError:
            found = []
    if process > 0:
        os.waitpid(process, 0)
    return pages.shared(found)  # type: ignore[arg-type]


def _perform(connection: socket.socket, told: int, program: Program) -> NoReturn:
    def meet(connection: socket.socket) -> worker.Client:
        client = _Observed(connection)
        client.told = told
        return client

    try:
        worker.begin()
        worker.work(connection, program, meet)
    finally:
        os._exit(0)
