"""A private Postfix below one folder: its own ports, queue, log and Maildirs, next to the system's own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from paths import EXAMPLES

from mailguard import safefile
from mailguard.setup.places import FILES
from mailguard.setup.postconf import PostfixFiles

if TYPE_CHECKING:
    from collections.abc import Callable

# An account of every Debian that nothing uses: it stands for the dedicated user of the examples.
USER = "uucp"
# Receives mail in its home, as an ordinary user does.
READER = "games"
RECIPIENTS = ("ayumi@rcpt.test", "bob@rcpt.test", "chie@rcpt.test")

MASTER = """
pickup    unix  n  -  n  60  1  pickup
cleanup   unix  n  -  n  -  0  cleanup
qmgr      unix  n  -  n  300  1  qmgr
rewrite   unix  -  -  n  -  -  trivial-rewrite
bounce    unix  -  -  n  -  0  bounce
defer     unix  -  -  n  -  0  bounce
trace     unix  -  -  n  -  0  bounce
proxymap  unix  -  -  n  -  -  proxymap
error     unix  -  -  n  -  -  error
retry     unix  -  -  n  -  -  error
flush     unix  n  -  n  1000?  0  flush
showq     unix  n  -  n  -  -  showq
virtual   unix  -  n  n  -  -  virtual
local     unix  -  n  n  -  -  local
anvil     unix  -  -  n  -  1  anvil
scache    unix  -  -  n  -  1  scache
postlog   unix-dgram  n  -  n  -  1  postlogd
"""

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.rcpt.test
mydestination = local.test
alias_maps =
alias_database =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks,reject
virtual_mailbox_domains = rcpt.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/etc/boxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 1
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(condition, explain, seconds: float = 60):
    """The first true value of condition(): other processes tell us nothing, so it is asked again and again."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {explain()}"
        time.sleep(0.02)
    return value


def public_folder() -> Path:
    """A new folder that every user may pass through (pytest's own are private to root)."""
    folder = Path(tempfile.mkdtemp(prefix="mailguard-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


def owned_folder(folder: Path, user: str, mode: int = 0o700) -> Path:
    folder.mkdir(parents=True)
    shutil.chown(folder, user)
    folder.chmod(mode)
    return folder


def rendered(name: str, replacements: dict[str, str]) -> str:
    """The shipped example with the paths and names of this machine; each replacement must have its place."""
    return _replaced(name, (EXAMPLES / name).read_text(), replacements)


def installed(name: str, replacements: dict[str, str]) -> str:
    """What `mailguard setup` writes, in the same way."""
    return _replaced(name, (Path(FILES) / name).read_text(), replacements)


def _replaced(name: str, text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, f"{name} no longer says {old!r}"
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def permitted_configuration(folder: Path):
    """Lets users without privileges name `folder` as configuration, as the system's main.cf must allow."""
    with Path("/run/lock/mailguard-e2e.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = _postconf("-h", "alternate_config_directories").strip()
        _postconf("-e", f"alternate_config_directories = {folder}")
        try:
            yield
        finally:
            _postconf("-e", f"alternate_config_directories = {before}")


def _postconf(*arguments: str) -> str:
    return subprocess.run(
        ["postconf", "-c", "/etc/postfix", *arguments], check=True, capture_output=True, text=True, timeout=120
    ).stdout


def apply(etc: Path, script: str, *arguments: str) -> list[str]:
    """Does what a script of examples prints, as `sh SCRIPT | sh -e` would, but for the reload; what it printed."""
    environment = os.environ | {"MAIL_CONFIG": str(etc)}

    def run(words: list[str], text: str) -> str:
        done = subprocess.run(
            words, input=text, env=environment, check=False, capture_output=True, text=True, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    printed = run(["sh", "-s", *arguments], script).splitlines()
    assert printed.pop() == "postfix reload"
    run(["sh", "-e"], "\n".join(printed))
    return printed


class MailSystem:
    """Started with the lines of an example added to its main.cf and master.cf; `port` is where mail comes in."""

    def __init__(self, folder: Path, *, main: str = "", master: str = "", port: int) -> None:
        self.folder = folder
        self.port = port
        self.etc = folder / "etc"
        self.mail = folder / "mail"
        self.etc.mkdir()
        owned_folder(self.mail, USER)
        (folder / "queue").mkdir()
        owned_folder(folder / "data", "postfix")
        (self.etc / "boxes").write_text("".join(f"{each} {each.partition('@')[0]}/\n" for each in RECIPIENTS))
        base = MAIN.format(folder=folder, uid=pwd.getpwnam(USER).pw_uid)
        (self.etc / "main.cf").write_text(base + main)
        (self.etc / "master.cf").write_text(MASTER + master)
        os.utime(self.etc / "main.cf", (0, 0))  # Postfix waits two seconds for one that was written just now

    def apply(self, script: str, *arguments: str) -> list[str]:
        return apply(self.etc, script, *arguments)

    def edit(self, change: Callable[[PostfixFiles], None]) -> list[str]:
        """Lets setup change main.cf and master.cf; the names of what it set."""
        with PostfixFiles(str(self.etc)) as copy:
            change(copy)
            for file in copy.files():
                safefile.replace(file.path, [file.after], file.mode, file.owner)
            return [setting.name for setting in copy.settings]

    def settings(self) -> dict[str, str]:
        """Every parameter as Postfix understands main.cf, without what it complains about: it has no complaints."""
        done = subprocess.run(
            ["postconf", "-x", "-c", self.etc], check=True, capture_output=True, text=True, timeout=120
        )
        assert done.stderr == ""
        return dict(line.split(" =", 1) for line in done.stdout.splitlines())

    def set(self, *lines: str) -> None:
        """Sets parameters of main.cf; those that stand there are replaced."""
        subprocess.run(["postconf", "-c", self.etc, "-e", *lines], check=True, timeout=120)

    def __enter__(self) -> Self:
        self._postfix("start")
        return self

    def __exit__(self, *_: object) -> None:
        self._postfix("abort")

    def _postfix(self, action: str) -> None:
        result = subprocess.run(
            ["postfix", "-c", self.etc, action],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr + self.log()

    def log(self) -> str:
        file = self.folder / "mail.log"
        return file.read_text() if file.exists() else ""

    def send(self, raw: bytes, sender: str, recipients) -> None:
        """Hands the message over by SMTP, byte for byte (it must have CRLF line ends)."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as session:
            session.sendmail(sender, list(recipients), raw, ["BODY=8BITMIME"])

    def queue(self) -> list[dict]:
        listing = subprocess.run(
            ["postqueue", "-c", self.etc, "-j"], check=True, capture_output=True, text=True, timeout=120
        )
        return [json.loads(line) for line in listing.stdout.splitlines()]

    def until_deferred(self, count: int = 1) -> list[dict]:
        """Waits until `count` messages wait for their next try, and nothing else is in the queue."""

        def waiting():
            queue = self.queue()
            return queue if [entry["queue_name"] for entry in queue] == ["deferred"] * count else None

        return until(waiting, lambda: f"{count} deferred\n{self.log()}")

    def until_idle(self) -> None:
        """Waits until the queue is empty: everything was delivered or returned, and nothing deferred."""

        def idle():
            queue = self.queue()
            assert all(entry["queue_name"] != "deferred" for entry in queue), self.log()
            return not queue

        until(idle, lambda: f"an empty queue\n{self.log()}")

    def flush(self) -> None:
        subprocess.run(["postqueue", "-c", self.etc, "-f"], check=True, timeout=120)

    def delivered(self, recipient: str) -> list[bytes]:
        """What lies in the Maildir of the recipient, in the order in which it came; names only tell the second."""
        folder = self.mail / recipient.partition("@")[0] / "new"
        files = list(folder.iterdir()) if folder.exists() else []
        return [file.read_bytes() for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)]


def run_as(user: str, command, **options) -> subprocess.CompletedProcess:
    """Runs a command as the user, without any privilege or environment of ours."""
    account = pwd.getpwnam(user)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LOGNAME": user}
    options["env"] = environment | options.get("env", {})
    options.setdefault("timeout", 120)
    return subprocess.run(
        [os.fspath(word) for word in command],
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        capture_output=True,
        check=False,
        **options,
    )
