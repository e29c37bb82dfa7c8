"""The sockets of the milter and the daemon: whether they are there, for whom, and whether somebody answers.

Each is asked as those who use it ask; nothing comes of the question, and the daemon's worker touches nothing.
"""

from __future__ import annotations

import os
import socket
import stat
import struct

from mailguard.doctor import postfix
from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.doctor.secrets import as_owner
from mailguard.doctor.units import units
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.doctor.row import Setup
    from mailguard.doctor.units import Unit

_SECONDS = 5.0
_BETWEEN = str.maketrans(",{}", "   ")
_LONGEST = 4096
_WAITS = "every mail waits"
_ALONE = "filters do the work themselves meanwhile, clients without Python let mail wait"


def look(setup: Setup) -> Iterator[Row]:
    """Look at what units of systemd, Postfix and the environment name; nothing where they name none."""
    found = list(units(setup.units))
    named = _named_by_postfix(setup)
    for unit in found:
        if unit.verb in {"milter", "daemon"}:
            yield from _unit(unit)
        if unit.verb == "milter":
            yield from _milter(unit, named, setup)
    listening = {_path(unit) for unit in found if unit.verb == "milter"}
    for path in sorted(named - listening):
        yield from _milter_socket("main.cf: smtpd_milters", path, _WAITS)
    for name, path in _daemons(found).items():
        yield from _daemon_socket(name, path)


def _unit(unit: Unit) -> Iterator[Row]:
    """Look at who runs what."""
    import pwd

    program, user = unit.command[0], unit.value("User") or "root"
    if not os.access(program, os.X_OK):
        repair = f"the path of the program in ExecStart= of {show(unit.name)}, then systemctl daemon-reload"
        yield Row(show(unit.name), FAILURE, f"{show(program)} is not there or cannot be executed", repair)
    if user in {"root", "0"}:
        what = "runs as root: a mistake in a filter would be one of root"
        yield Row(show(unit.name), WARNING, what, "User=mailguard, a user that does nothing else")
        return
    try:
        pwd.getpwnam(user)
    except (KeyError, ValueError):
        repair = f"adduser --system --group --home /var/lib/mailguard {show(user)}"
        yield Row(show(unit.name), FAILURE, f"there is no user {show(user)}", repair)


# The milter


def _has_postfix(setup: Setup) -> bool:
    return os.path.isfile(os.path.join(setup.postfix, "main.cf"))


def _named_by_postfix(setup: Setup) -> set[str]:
    """Return the paths of our milters in main.cf; those that are relative lie in the queue folder."""
    if not _has_postfix(setup):
        return set()
    main = postfix.parameters(setup)
    queue = main.get("queue_directory", "/var/spool/postfix")
    words = f"{main.get('smtpd_milters', '')} {main.get('non_smtpd_milters', '')}".translate(_BETWEEN).split()
    found = {word.removeprefix("unix:") for word in words if word.startswith("unix:") and "mailguard" in word}
    return {os.path.join(queue, path) for path in found}


def _path(unit: Unit) -> str:
    return unit.option("--listen").removeprefix("unix:")


def _milter(unit: Unit, named: set[str], setup: Setup) -> Iterator[Row]:
    from mailguard.milter.listener import Address

    name = show(unit.name)
    try:
        address = Address(unit.option("--listen"))
    except ValueError as error:
        yield Row(name, FAILURE, f"--listen: {show(str(error))}", f"mend ExecStart= of {name}")
        return
    if _has_postfix(setup) and address.path and address.path not in named:
        where = os.path.relpath(address.path, "/var/spool/postfix") if "/postfix/" in address.path else address.path
        what = "Postfix does not name this socket in smtpd_milters, so no mail comes here"
        repair = f"unix:{show(where)} in smtpd_milters of main.cf: mailguard setup milter"
        yield Row(name, WARNING, what, repair)
    observes = "; observes only (--dry-run)" if "--dry-run" in unit.command else ""
    effect = _WAITS if address.path in named else f"no mail is filtered; systemctl status {name} tells why"
    if address.path:
        yield from _milter_socket(name, address.path, effect, observes)
    else:
        if not address.local:
            what = f"{show(address.text)}: whoever reaches it can claim any client"
            yield Row(name, WARNING, what, "a socket, or a packet filter that lets only the mail server through")
        yield _answer(name, address.text, (address.host, address.port), effect, observes)


def _milter_socket(name: str, path: str, effect: str, observes: str = "") -> Iterator[Row]:
    trouble = _trouble(name, path, effect)
    if trouble:
        yield trouble
        return
    mode = os.stat(path).st_mode
    folder = os.path.dirname(path)
    if mode & 0o002 and not _is_closed(folder):
        what = f"{show(path)}: every user of this machine can claim any client, and gets a seal for it"
        yield Row(name, FAILURE, what, f"chmod o-rwx {show(path)}; systemctl restart {show(name)}")
    if os.stat(folder).st_mode & 0o022:
        what = f"{show(folder)} can be written by others: they could put another socket there"
        yield Row(name, FAILURE, what, f"chmod go-w {show(folder)}")
    if "/postfix/" in path:
        yield from _for_postfix(name, path)
    yield _answer(name, path, path, effect, observes)


def _trouble(name: str, path: str, effect: str) -> Row | None:
    """Say that there is no socket; None where there is one."""
    try:
        kind = os.stat(path).st_mode
    except PermissionError:
        what = f"{show(path)} cannot be reached by the user who runs this"
        return Row(name, WARNING, what, "look as root, or as the user of the service")
    except OSError:
        start = name if name.endswith((".service", ".socket")) else "mailguard-milter"
        return Row(name, FAILURE, f"{show(path)} is not there: {effect}", f"systemctl enable --now {show(start)}")
    if not stat.S_ISSOCK(kind):
        return Row(
            name, FAILURE, f"{show(path)} is no socket: {effect}", f"rm {show(path)}, then start the service again"
        )
    return None


def _is_closed(folder: str) -> bool:
    return not os.stat(folder).st_mode & 0o001


def _for_postfix(name: str, path: str) -> Iterator[Row]:
    """Make sure that Postfix, which gives up all groups but its own, can connect."""
    import grp
    import pwd

    try:
        account = pwd.getpwnam("postfix")
    except KeyError:
        return
    group = grp.getgrgid(account.pw_gid).gr_name
    for each, needed in ((os.path.dirname(path), 1), (path, 2)):
        status = os.stat(each)
        shift = 6 if status.st_uid == account.pw_uid else 3 if status.st_gid == account.pw_gid else 0
        if not (status.st_mode >> shift) & needed:
            what = f"Postfix cannot reach {show(each)}, which is not of its group: {_WAITS}"
            yield Row(name, FAILURE, what, f"Group={group} in the unit, and for the folder: chgrp {group} {show(each)}")
            return


def _answer(name: str, shown: str, place: str | tuple[str, int], effect: str, observes: str) -> Row:
    from mailguard.milter import protocol

    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    start = name if name.endswith(".service") else "mailguard-milter"
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(place)
            connection.sendall(protocol.packet(b"O", struct.pack(">III", protocol.VERSION, 0x1FF, 0x1FFFFF)))
            data = connection.recv(_LONGEST)
    except PermissionError:
        what = f"{show(shown)}: this user may not connect"
        return Row(name, WARNING, what, "look as root, or as the user of the service")
    except OSError as error:
        what = f"{show(shown)}: {show(str(error.strerror or 'no answer within 5 seconds'))}: {effect}"
        return Row(name, FAILURE, what, f"systemctl restart {show(start)}; its log tells why")
    if data[4:5] != b"O":
        what = f"{show(shown)}: who listens there is no milter, or has too many connections: {effect}"
        return Row(name, FAILURE, what, f"systemctl restart {show(start)}; its log tells why")
    return Row(name, GOOD, f"{show(shown)}: answers{observes}")


# The daemon


def _daemons(found: list[Unit]) -> dict[str, str]:
    """Return the sockets of daemons by who names them; each socket once."""
    paths = {unit.name: unit.value("ListenStream") for unit in found if unit.name.endswith(".socket")}
    paths |= {unit.name: unit.option("--listen") for unit in found if unit.verb == "daemon"}
    paths["MAILGUARD_DAEMON"] = os.environ.get("MAILGUARD_DAEMON", "")
    names = {path: name for name, path in reversed(paths.items()) if path.startswith("/")}
    return {name: path for path, name in names.items()}


def _daemon_socket(name: str, path: str) -> Iterator[Row]:
    trouble = _trouble(name, path, _ALONE)
    if trouble:
        yield trouble if trouble.state == WARNING else Row(name, WARNING, trouble.what, trouble.repair)
        return
    folder = os.path.dirname(path)
    status = os.stat(folder)
    if stat.S_IMODE(status.st_mode) & 0o077:
        what = f"{show(folder)} is open to others; the daemon does not start like that"
        yield Row(name, FAILURE, what, f"chmod 700 {show(folder)}")
    if status.st_uid != os.geteuid():
        what = f"{show(path)} serves another user than the one who runs this"
        yield Row(name, WARNING, what, as_owner(status.st_uid))
        return
    yield _daemon_answer(name, path)


def _daemon_answer(name: str, path: str) -> Row:
    from mailguard.daemon import client

    service = name.replace(".socket", ".service") if "." in name else "mailguard-daemon.service"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(path)
            answer = client.ask(connection, ["strip"])
    except OSError as error:
        what = f"{show(path)}: {show(str(error.strerror or 'no answer within 5 seconds'))}; {_ALONE}"
        return Row(name, WARNING, what, f"systemctl restart {show(service)}; its log tells why")
    if answer != b"ready\n":
        reason = show(answer.decode("utf-8", "replace").strip().removeprefix("refused ") or "ended", 200)
        return Row(name, WARNING, f"{show(path)}: {reason}; {_ALONE}", f"systemctl restart {show(service)}")
    return Row(name, GOOD, f"{show(path)}: answers")
