"""The site key and the other files that the operator wrote."""

from __future__ import annotations

import os

from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailguard.doctor.row import Setup

_QUIET_DAYS = 14  # holidays are shorter


def key(setup: Setup) -> Iterator[Row]:
    """Look at the key that the filters of this user would take."""
    from mailguard.seal import keys
    from mailguard.site import key_paths

    path = setup.key_file or next(filter(os.path.lexists, key_paths()), None)
    if path is None:
        yield Row("key", FAILURE, "there is no site key: nothing can be sealed or held", "mailguard init")
        return
    try:
        ring = keys.load(path)
    except ConfigurationError as error:
        yield Row("key", FAILURE, str(error), _repair(path, str(error)))
        return
    older = f"; older: {', '.join(key.name for key in ring.keys[1:])}" if len(ring.keys) > 1 else ""
    yield Row("key", GOOD, f"{show(path)}: {ring.active.name}{older}")
    yield from _owner(path)
    yield Row("key backup", GOOD, f"cannot be seen from here; to make one: install -m 600 {show(path)} SAFE-PLACE")


def _repair(path: str, reason: str) -> str:
    if "read by others" in reason:
        return f"chmod 600 {show(path)}"
    if "No such file" in reason:
        return f"mailguard init --key-file {show(path)}"
    if "Permission denied" in reason:
        return f"chown USER {show(path)}, where USER runs the filters; and run this as USER"
    return f"put the copy of the key in the place of {show(path)}"


def _owner(path: str) -> Iterator[Row]:
    status = os.stat(path)
    if status.st_uid != os.geteuid():
        what = "belongs to another user than the one who runs this"
        yield Row("key owner", WARNING, f"{show(path)} {what}", as_owner(status.st_uid))
    folder = os.path.dirname(os.path.abspath(path))
    problem = _others_write(folder)
    if problem:
        yield Row("key folder", FAILURE, f"{problem}: they could put another key there", f"chmod go-w {show(folder)}")


def as_owner(uid: int) -> str:
    """Return how the user looks to whom a file belongs."""
    import pwd

    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f"look as the user of the filters: runuser -u {show(name)} -- mailguard doctor"


def _others_write(path: str) -> str:
    """Say that others may write to a file or folder; "" when only its owner or root may."""
    status = os.stat(path)
    sticky = status.st_mode & 0o1000
    return f"{show(path)} can be written by others" if status.st_mode & 0o022 and not sticky else ""


def files(setup: Setup) -> Iterator[Row]:
    """Read what the configuration names as the filters would."""
    for option, read in _READERS.items():
        for path in setup.files.get(option, ()):
            name = option.replace("_", " ")
            try:
                read(path)
                problem = _others_write(path)
            except ConfigurationError as error:
                yield Row(name, FAILURE, str(error), "mend the file; mail waits meanwhile")
                continue
            repair = f"chmod go-w {show(path)}" if problem else ""
            if problem or option != "config":  # which has its row already
                yield Row(name, FAILURE if problem else GOOD, problem or show(path), repair)


def conversations(setup: Setup) -> Iterator[Row]:
    """Open the conversations with the key, as the filters do, and see whether anything is learned still."""
    from time import time

    from mailguard.correspondence.conversations import OpenConversations
    from mailguard.site import key_ring

    for path in setup.files.get("conversations", ()):
        shown = show(path)
        begin = f"echo | mailguard learn --conversations {shown}, as the user of the filters"
        try:
            with OpenConversations(path, key_ring(setup.key_file)):
                problem = _others_write(path)
                status = os.stat(path)
        except (ConfigurationError, OSError) as error:
            yield Row("conversations", FAILURE, f"{error}: mail waits", begin)
            continue
        days = int((time() - status.st_mtime) / 86400)
        if problem:
            yield Row("conversations", FAILURE, problem, f"chmod go-w {shown}")
        elif days > _QUIET_DAYS:
            what = f"{shown}: nothing was learned for {days} days, so what our users write is not recognized"
            yield Row("conversations", WARNING, what, "give outgoing mail to mailguard learn, as filter.sh does")
        else:
            yield Row("conversations", GOOD, f"{shown}: {status.st_size >> 10} KiB")


def _addresses(path: str) -> None:
    from mailguard.addresses import AddressList

    AddressList.read(path)


def _passwords(path: str) -> None:
    from mailguard.passwords import Passwords

    Passwords.read(path)


def _policy(path: str) -> None:
    from mailguard.sanitize.policy import load

    load(path)


def _template(path: str) -> None:
    from mailguard.outcome.notice import check_template

    try:
        with open(path, encoding="utf-8") as file:
            check_template(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{show(path)}: cannot be read: {show(str(error))}") from None


def _config(path: str) -> None:
    os.stat(path)  # it was read for all sections when this began


_READERS: dict[str, Callable[[str], None]] = {
    "config": _config,
    "password_file": _passwords,
    "known": _addresses,
    "only_senders": _addresses,
    "only_recipients": _addresses,
    "rules": _policy,
    "notice_template": _template,
}
READ = frozenset(_READERS)
"""Options whose files are read by `files`."""
