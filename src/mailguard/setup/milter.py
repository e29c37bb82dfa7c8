"""The milter in a Postfix, behind the milters that are there, run by systemd."""

from __future__ import annotations

import os
import socket

from mailguard.errors import ConfigurationError
from mailguard.setup import places
from mailguard.setup.observation import kept
from mailguard.setup.plan import SetupPlan
from mailguard.setup.server import foundation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.setup.places import Places
    from mailguard.setup.plan import WrittenFile
    from mailguard.setup.postconf import PostfixFiles
    from mailguard.setup.record import Record

UNIT = "mailguard-milter.service"
# The path is below the queue folder, where Postfix's processes can reach it inside and outside of their chroot.
# Without the filter no mail comes in: senders try again.
MILTER = "{ unix:mailguard/milter.sock, default_action=tempfail, content_timeout=330s }"


def plan(
    site: Places,
    copy: PostfixFiles,
    record: Record,
    *,
    enforce: bool | None = None,
    own_domains: tuple[str, ...] = (),
) -> SetupPlan:
    """Plan the milter; ConfigurationError without systemd, unless somebody else has started it."""
    made = SetupPlan("milter")
    foundation(made, site, copy, own_domains)
    queue = copy.value("queue_directory")
    unit = kept(
        os.path.join(site.units, UNIT),
        site.rendered(UNIT).replace("/var/spool/postfix", queue).replace("User=mailguard", f"User={site.user}"),
        enforce,
        record,
    )
    if places.has_systemd():
        _service(made, unit)
    else:
        _without_systemd(unit.after.decode(), queue)
    add(copy)
    made.mail_server_files = copy.files()
    made.settings = copy.settings
    made.postfix = copy.folder
    return made


def add(copy: PostfixFiles) -> None:
    """Ask for the milter behind those that are there."""
    now = copy.written("smtpd_milters") or ""
    if "mailguard/" not in now:
        copy.set("main", "smtpd_milters", f"{now} {MILTER}".strip())
    # Mail of local programs too.
    now = copy.written("non_smtpd_milters") or ""
    if "mailguard/" not in now and "$smtpd_milters" not in now:
        copy.set("main", "non_smtpd_milters", f"{now} {MILTER}" if now else "$smtpd_milters")
    # A header value that holds a NUL byte would reach the filter only up to there.
    now = copy.written("message_strip_characters") or ""
    if r"\0" not in now:
        copy.set("main", "message_strip_characters", rf"{now}\0")


def _service(made: SetupPlan, unit: WrittenFile) -> None:
    made.file(unit)
    if places.attempt(["systemctl", "is-enabled", "--quiet", UNIT]).returncode:
        made.services.append(UNIT)
    elif unit.is_changed:
        made.restart.append(UNIT)


def _without_systemd(unit: str, queue: str) -> None:
    """Let somebody else run it: it must answer before mail is sent to it."""
    path = os.path.join(queue, "mailguard/milter.sock")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(path)
    except OSError:
        command = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).partition("=")[2]
        raise ConfigurationError(
            "there is no systemd here: let what supervises programs on this machine run the milter as user mailguard,"
            f" group postfix, then call this again (install -d -o mailguard -g postfix -m 0750 {queue}/mailguard):"
            f" {command}"
        ) from None
