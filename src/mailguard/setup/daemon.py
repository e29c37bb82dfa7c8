"""The server that keeps everything loaded: units of the machine, or of one user, and a look whether they run."""

from __future__ import annotations

import os

from mailguard.errors import ConfigurationError
from mailguard.setup import places
from mailguard.setup.observation import kept
from mailguard.setup.places import Mine
from mailguard.setup.plan import SetupPlan
from mailguard.setup.server import foundation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.setup.places import Places
    from mailguard.setup.record import Record

SERVICE = "mailguard-daemon.service"
SOCKET = "mailguard-daemon.socket"
_ROOTS_ALONE = ("SocketUser=", "ExecStartPre=/usr/bin/install", "User=", "CapabilityBoundingSet=", "# systemd makes")
"""Lines of the units of the machine that a user's own systemd does not need, or must not have."""


def plan(site: Places, record: Record) -> SetupPlan:
    """Plan the units; ConfigurationError without systemd."""
    if not places.has_systemd():
        raise ConfigurationError(
            "there is no systemd here: let what supervises programs on this machine run, as the user of the filters,"
            f" {site.program} daemon --listen {site.daemon}"
        )
    made = SetupPlan("daemon")
    own = isinstance(site, Mine)
    if own:
        for folder in (os.path.dirname(site.units), site.units):
            made.folder(folder, 0o700, site.user)
        made.notes.append(f"it runs while you are logged in; always: loginctl enable-linger {site.user} (as root)")
    else:
        foundation(made, site, None, ())
    for name in (SERVICE, SOCKET):
        shipped = site.rendered(name)
        made.file(kept(os.path.join(site.units, name), _of_a_user(shipped) if own else shipped, None, record))
    if places.attempt(control(site, "is-enabled", "--quiet", SOCKET)).returncode:
        made.services.append(SOCKET)
    elif made.files:
        made.restart.append(SERVICE)
    return made


def control(site: Places, *words: str) -> list[str]:
    """Return the command to systemd, that of the machine or the user's own."""
    return ["systemctl", *(["--user"] if isinstance(site, Mine) else []), *words]


def _of_a_user(unit: str) -> str:
    lines = [line for line in unit.splitlines() if not line.startswith(_ROOTS_ALONE)]
    return "\n".join(lines) + "\n"
