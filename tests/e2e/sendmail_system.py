"""A private Sendmail below one folder, from Debian's packages unpacked beside the tests: they conflict with Postfix.

It has a host name, a table of hosts and mounts of its own, so that it neither asks a name server nor waits for one.
What it accepts it sends to a server that keeps it.
"""

from __future__ import annotations

import os
import smtplib
import subprocess
from typing import TYPE_CHECKING, Self

from aiosmtpd.controller import Controller
from mail_system import free_port, until
from paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

UNPACKED = ROOT / ".sendmail" / "usr"
PROGRAM = UNPACKED / "libexec/sendmail/sendmail"
MACROS = UNPACKED / "share/sendmail/cf"

CONFIGURATION = """
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mx.rcpt.test')dnl
define(`confPID_FILE', `{folder}/pid')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/switch')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`ALIAS_FILE', `')dnl
define(`STATUS_FILE', `')dnl
define(`HELP_FILE', `')dnl
define(`confTO_IDENT', `0')dnl
define(`confDELIVERY_MODE', `interactive')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`SMART_HOST', `esmtp:[127.0.0.1]')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {next}')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
RELAY_DOMAIN(`rcpt.test')dnl
DAEMON_OPTIONS(`Port={port}, Addr=127.0.0.1, Name=guarded, InputMailFilters=mailguard')dnl
DAEMON_OPTIONS(`Port={plain}, Addr=127.0.0.1, Name=plain, InputMailFilters=')dnl
{lines}
MAILER(`smtp')dnl
"""

START = 'hostname mx.rcpt.test && mount --bind "$1" /etc/hosts && shift && exec "$@"'


class SendmailSystem:
    """Started with the lines of an example in its configuration; `plain` is a second port that does not filter."""

    def __init__(self, folder: Path, lines: str) -> None:
        self.folder = folder
        self.port, self.plain, following = free_port(), free_port(), free_port()
        self.kept: list[bytes] = []
        self._next = Controller(self, "127.0.0.1", following, server_hostname="next.rcpt.test")
        (folder / "queue").mkdir(mode=0o700)
        (folder / "hosts").write_text("127.0.0.1 mx.rcpt.test localhost\n")
        (folder / "switch").write_text("hosts files\n")
        values = {"folder": folder, "port": self.port, "plain": self.plain, "next": following, "lines": lines}
        (folder / "sendmail.mc").write_text(CONFIGURATION.format_map(values))
        made = subprocess.run(
            ["m4", f"-D_CF_DIR_={MACROS}/", MACROS / "m4/cf.m4", folder / "sendmail.mc"],
            check=True,
            capture_output=True,
            timeout=120,
        )
        (folder / "sendmail.cf").write_bytes(made.stdout)

    async def handle_DATA(self, _server: object, _session: object, envelope) -> str:
        """Keep a message, as aiosmtpd asks for it."""
        self.kept.append(envelope.original_content.replace(b"\r\n", b"\n"))
        return "250 kept"

    def __enter__(self) -> Self:
        self._next.start()
        command = [PROGRAM, "-C", self.folder / "sendmail.cf", "-bD", "-X", self.folder / "traffic"]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--uts", "--mount", "sh", "-c", START, "sh", self.folder / "hosts", *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until(self._listens, self.log)
        return self

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log()
        try:
            smtplib.SMTP("127.0.0.1", self.port, timeout=30).close()
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._next.stop()

    def log(self) -> str:
        traffic = self.folder / "traffic"
        return (self.folder / "log").read_text() + (traffic.read_text("latin-1") if traffic.exists() else "")

    def until_idle(self) -> None:
        """Waits until nothing is in the queue."""
        until(lambda: not os.listdir(self.folder / "queue"), self.log)

    def delivered(self, _recipient: str) -> list[bytes]:
        """What has come to the next server."""
        return list(self.kept)
