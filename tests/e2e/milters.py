"""mailguard as a milter of the tests' mail systems: the process, its status, and mails to send through it."""

from __future__ import annotations

import contextlib
import grp
import http.client
import os
import pwd
import shlex
import signal
import smtplib
import socket
import subprocess
from pathlib import Path

from mail_system import RECIPIENTS, USER, MailSystem, free_port, until
from messages import STRANGER

from mailguard.setup import milter as milter_setup

NOW = "2026-11-24T12:00:00Z"
HELO = "client.example"
PIPELINE = f"verify --now {NOW} | quarantine --now {NOW}"

SMTPD = """
127.0.0.1:{port} inet n - n - 100 smtpd
127.0.0.1:{plain} inet n - n - 100 smtpd -o smtpd_milters=
tlsmgr unix - - n 1000? 1 tlsmgr
"""


class Status(http.client.HTTPConnection):
    """HTTP over the status socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


class Milter:
    """The program as its systemd unit starts it, with its socket in the queue folder of a private Postfix."""

    def __init__(self, site, folder, pipeline, *options):
        self.site = site
        self.socket = folder / "milter.sock"
        self.status = site.home / "status.sock"
        self.log = site.home / "milter.log"
        self.command = [
            *("milter", "--listen", f"unix:{self.socket}", "--status", f"unix:{self.status}"),
            *("--log", str(self.log), "--spool", str(site.work), *options, pipeline),
        ]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {self.site.runnable} {shlex.join(self.command)}"],
            user=pwd.getpwnam(USER).pw_uid,
            group=grp.getgrnam("postfix").gr_gid,
            extra_groups=[],
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "MAILGUARD_CONFIG": str(self.site.configuration)},
            cwd="/",
        )
        until(self.healthy, self.text)

    def healthy(self):
        assert self.process.poll() is None, self.text()
        with contextlib.suppress(OSError):
            return self.ask("/health") == (200, b"ok\n")

    def ask(self, path):
        status = Status(self.status)
        status.request("GET", path)
        response = status.getresponse()
        return response.status, response.read()

    def metric(self, name):
        lines = self.ask("/metrics")[1].decode().splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"mailguard_milter_{name} "))

    def text(self):
        return self.log.read_text() if self.log.exists() else ""

    def workers(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in children.split()]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(60)


@contextlib.contextmanager
def filtered(site, pipeline=PIPELINE, options=(), main=""):
    """A mail system with the shipped lines; `plain` is a second port that does not filter."""
    port, plain = free_port(), free_port()
    folder = site.folder / "queue" / "mailguard"
    system = MailSystem(site.folder, main=main, master=SMTPD.format(port=port, plain=plain), port=port)
    system.edit(milter_setup.add)
    folder.mkdir()
    os.chown(folder, pwd.getpwnam(USER).pw_uid, grp.getgrnam("postfix").gr_gid)
    folder.chmod(0o750)
    milter = Milter(site, folder, pipeline, *options)
    milter.start()
    system.plain = plain
    try:
        with system:
            yield system, milter
    finally:
        with contextlib.suppress(ProcessLookupError):
            milter.process.kill()
        milter.process.wait(120)


def send(port, raw, sender=STRANGER, recipients=RECIPIENTS[:1], session=None):
    """By SMTP, with a HELO that is known; `raw` has CRLF line ends."""
    with contextlib.ExitStack() as stack:
        session = session or stack.enter_context(smtplib.SMTP("127.0.0.1", port, HELO, timeout=60))
        session.sendmail(sender, list(recipients), raw, ["BODY=8BITMIME"])


def handed_over(raw):
    """A delivered message without what Postfix wrote above it."""
    lines = raw.split(b"\n")
    place = next(number for number, line in enumerate(lines) if line.startswith(b"Received: from client.example"))
    while lines[place + 1][:1] in {b" ", b"\t"}:
        place += 1
    return b"\n".join(lines[place + 1 :])
