"""Where things of this machine are, and who runs the filters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pwd
    from collections.abc import Sequence

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECONDS = 120.0
"""How long another program may take."""
FILES = os.path.join(os.path.dirname(__file__), "files")
"""What is written, in the form for the usual places."""


class Places:
    """Paths of one site; those of the whole machine when nothing else is said.

    program: mailguard, as the mail system starts it; user: who owns the key and runs the filters; home: of the user.
    """

    def __init__(self, program: str | None = None, user: str = "mailguard") -> None:
        self.program = program or _program()
        self.user = user
        self.postfix = "/etc/postfix"
        self.etc = "/etc/mailguard"
        self.lib = "/usr/local/lib/mailguard"
        self.home = "/var/lib/mailguard"
        self.spool = "/var/spool/mailguard"
        self.units = "/etc/systemd/system"
        self.records = "/var/lib/mailguard-setup"
        self.daemon = "/run/mailguard/daemon/socket"

    @property
    def key(self) -> str:
        """The site key."""
        return os.path.join(self.etc, "key")

    @property
    def configuration(self) -> str:
        """The configuration of all commands."""
        return os.path.join(self.etc, "mailguard.toml")

    def rendered(self, name: str) -> str:
        """Return a shipped file with the paths and the user of this site."""
        with open(os.path.join(FILES, name), encoding="utf-8") as file:
            text = file.read()
        for shipped, here in (
            ("/opt/mailguard/bin/python", os.path.join(os.path.dirname(self.program), "python")),
            ("/opt/mailguard/bin/mailguard", self.program),
            ("/usr/local/lib/mailguard", self.lib),
            ("/var/spool/mailguard", self.spool),
            ("/var/lib/mailguard", self.home),
            ("/etc/mailguard", self.etc),
            ("/run/mailguard/daemon/socket", self.daemon),
        ):
            text = text.replace(shipped, here)
        return text


class Mine(Places):
    """The places of one user, who filters his own mail."""

    def __init__(self, account: pwd.struct_passwd, program: str | None = None) -> None:
        super().__init__(program, account.pw_name)
        home = os.environ.get("HOME") or account.pw_dir
        self.etc = os.path.join(os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config", "mailguard")
        self.home = os.path.join(os.environ.get("XDG_STATE_HOME") or f"{home}/.local/state", "mailguard")
        self.records = os.path.join(self.home, "setup")
        self.units = os.path.join(os.path.dirname(self.etc), "systemd", "user")
        self.folder = home
        self.daemon = f"/run/user/{account.pw_uid}/mailguard/daemon/socket"


def _program() -> str:
    """Return the program that runs here, by a path that an update does not change."""
    path = os.path.join(sys.prefix, "bin", "mailguard")
    return path if os.path.exists(path) else find("mailguard") or path


def find(name: str) -> str | None:
    """Return the path of a program of the system, None where it is not installed."""
    return shutil.which(name, path=f"{PATH}:{os.environ.get('PATH', '')}")


def run(command: Sequence[str], *, text: str | None = None, seconds: float = SECONDS) -> str:
    """Run a program and return what it wrote; ConfigurationError when it cannot be run, or fails."""
    done = attempt(command, text=text, seconds=seconds)
    if done.returncode:
        said = show(done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}", 400)
        raise ConfigurationError(f"{show(' '.join(command), 200)}: {said}")
    return done.stdout


def attempt(
    command: Sequence[str], *, text: str | None = None, seconds: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a program, whatever comes of it; ConfigurationError when it cannot be run."""
    program = command[0] if "/" in command[0] else find(command[0])
    if program is None:
        raise ConfigurationError(f"{command[0]}: not installed")
    try:
        return subprocess.run(
            [program, *command[1:]], input=text or "", capture_output=True, text=True, errors="replace",
            check=False, timeout=seconds, cwd="/",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{show(' '.join(command), 200)}: not done within {seconds:.0f} seconds") from None
    except OSError as error:
        raise ConfigurationError(f"{show(program)}: {error.strerror}") from None


def as_user(user: str, command: Sequence[str]) -> list[str]:
    """Return the command by which root, or the user himself, lets the user run something."""
    return ["runuser", "-u", user, "--", *command] if os.geteuid() == 0 and user != "root" else list(command)


def has_systemd() -> bool:
    """Tell whether systemd runs this machine (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")
