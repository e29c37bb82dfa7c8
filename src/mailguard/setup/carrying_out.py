"""Doing what was planned, and undoing it; each step can be done again after a power cut."""

from __future__ import annotations

import os
import pwd
import re

from mailguard import safefile
from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.setup import places
from mailguard.setup.daemon import control
from mailguard.setup.mailbox import RECIPES, marked
from mailguard.setup.plan import content
from mailguard.setup.postconf import NAMES, PostfixFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.setup.places import Places
    from mailguard.setup.plan import SetupPlan, WrittenFile
    from mailguard.setup.record import Original, Record

_BATCH = 100


def carry_out(plan: SetupPlan, site: Places, record: Record) -> None:
    """Do it: the record first, then what mail does not touch yet, and what sends mail through it last."""
    if plan.account:
        _add_user(plan.account, site.home)
    record.take_in(plan)
    for path, mode, user in plan.folders:
        _make_folder(path, mode, pwd.getpwnam(user))
    _make_key(plan, site)
    for file in plan.files:
        _write(file)
    if plan.services or plan.restart:
        places.run(control(site, "daemon-reload"))
    for name in plan.services:
        places.run(control(site, "enable", "--now", name))
    for name in plan.restart:
        places.run(control(site, "restart", name))
    for file in plan.mail_server_files:
        _write(file)
    if plan.mail_server_files:
        _reload(plan.postfix)


def _add_user(name: str, home: str) -> None:
    if places.find("adduser") and os.path.exists("/etc/debian_version"):
        places.run(["adduser", "--system", "--group", "--quiet", "--home", home, name])
    else:
        places.run(["useradd", "--system", "--user-group", "--create-home", "--home-dir", home, name])


def _make_folder(path: str, mode: int, account: pwd.struct_passwd) -> None:
    if os.path.isdir(path):
        return
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    os.mkdir(path, 0o700)
    if os.geteuid() == 0:
        os.chown(path, account.pw_uid, account.pw_gid)
    os.chmod(path, mode)


def _make_key(plan: SetupPlan, site: Places) -> None:
    """Make the key, in the hands of its user from its first moment."""
    from mailguard.seal import keys

    if plan.key and not os.path.lexists(plan.key):
        account = pwd.getpwnam(site.user)
        owner = (account.pw_uid, account.pw_gid) if os.geteuid() == 0 else None
        safefile.create(plan.key, [keys.join([keys.new_key()]).encode("ascii")], owner=owner)


def _write(file: WrittenFile) -> None:
    """Write a file that is still what the plan saw."""
    os.makedirs(os.path.dirname(file.path), mode=0o755, exist_ok=True)
    if content(file.path) != file.before:
        raise ConfigurationError(f"{show(file.path)}: changed while this ran; call it again")
    safefile.replace(file.path, [file.after], file.mode, file.owner)


def _reload(folder: str) -> None:
    """Let a Postfix that runs read its files anew."""
    if places.attempt(["postfix", "-c", folder, "status"]).returncode == 0:
        places.run(["postfix", "-c", folder, "reload"])


def undo(site: Places, record: Record) -> Iterator[str]:
    """Take everything back, in the opposite order, and yield a line for whatever stays as it is."""
    ours = [os.path.realpath(os.path.join(record.postfix, name)) for name in NAMES] if record.postfix else []
    for path in filter(record.files.__contains__, reversed(ours)):
        yield from _take_back(record.files[path], record)
    if ours:
        freed = requeue(record.postfix)
        _reload(record.postfix)  # which wakes pickup(8); else a mail that is queued again waits for a minute
        freed += requeue(record.postfix)
        if freed:
            yield f"{freed} mails that waited for the filter go on without it"
    for name in record.services:
        places.attempt(control(site, "disable", "--now", name))
        places.attempt(control(site, "stop", name.replace(".socket", ".service")))
    for path, kept in reversed(record.files.items()):
        if path not in ours:
            yield from _take_back(kept, record)
    if record.services:
        places.attempt(control(site, "daemon-reload"))
    _remove_folders(record.folders)
    if os.path.exists(site.key):
        yield f"{show(site.key)} stays, and what lies in {show(site.home)}: by these, what is held can be released"
    record.forget()


def _remove_folders(paths: Sequence[str]) -> None:
    for path in reversed(paths):
        try:
            os.rmdir(path)
        except OSError:  # something lies in it: mail, keys, the journal
            continue


def _take_back(kept: Original, record: Record) -> Iterator[str]:
    """Restore a file, or take our own lines out of one that the site has changed since."""
    now = content(kept.path)
    if now is not None and kept.is_ours(now) and kept.whole:
        if kept.before is None:
            os.unlink(kept.path)
        else:
            safefile.replace(kept.path, [kept.before], kept.mode, kept.owner)
    elif now in {None, kept.before} and kept.whole:
        return
    elif record.postfix and os.path.basename(kept.path) in NAMES:
        yield from _take_settings_back(kept, record)
    elif kept.is_shared and now is not None:
        _take_lines_back(kept, now)
    else:
        yield f"{show(kept.path)} stays: you have changed it"


def _take_settings_back(kept: Original, record: Record) -> Iterator[str]:
    """Let postconf take back those of our lines that are still as we wrote them; what else the site wrote stays."""
    is_main = os.path.basename(kept.path) == NAMES[0]
    with PostfixFiles(record.postfix) as copy:
        for kind, name in reversed(record.settings):
            if (kind == "main") != is_main:
                continue
            now = copy.current(kind, name)
            setting = record.ours(kind, name, now)
            if setting:
                copy.take_back(setting)
            elif now != record.settings[kind, name][0]:
                yield f"{show(kept.path)}: {show(name)} stays: you have changed it"
        for file in copy.files():
            _write(file)


def _take_lines_back(kept: Original, now: bytes) -> None:
    """Cut our lines out of the recipes of a user, who has changed others since."""
    text = now.decode("utf-8", "surrogateescape")
    for shipped, _ in RECIPES.values():
        with open(os.path.join(places.FILES, shipped), encoding="utf-8") as file:
            text = marked(file.read()).sub("", text)
    rest = text.encode("utf-8", "surrogateescape")
    if rest != now:
        safefile.replace(kept.path, [rest], kept.mode, kept.owner)


def requeue(folder: str) -> int:
    """Send mail that still waits for a filter which is gone on its way without it; how many mails that were.

    postsuper(1): a mail that is queued again gets the content_filter of pickup(8), which has none.  What is being
    delivered at this moment is left alone, and so is what is on hold.
    """
    from mailguard.setup.content_filter import TRANSPORT

    with PostfixFiles(folder) as copy:
        if copy.service(f"{TRANSPORT}/unix"):
            return 0
        queue = copy.value("queue_directory")
    waiting = [
        name for part in ("deferred", "incoming") for _, _, names in os.walk(f"{queue}/{part}") for name in names
    ]
    wanted: list[str] = []
    for start in range(0, len(waiting), _BATCH):
        wanted += _for_filter(folder, waiting[start : start + _BATCH], TRANSPORT)
    if wanted:
        places.run(["postsuper", "-c", folder, "-r", "-"], text="".join(f"{name}\n" for name in wanted))
    return len(wanted)


def _for_filter(folder: str, names: list[str], transport: str) -> list[str]:
    text = places.attempt(["postcat", "-c", folder, "-e", "-q", *names]).stdout
    found = []
    for part in re.split(r"^\*\*\* ENVELOPE RECORDS ", text, flags=re.MULTILINE)[1:]:
        path, _, records = part.partition(" ***")
        if re.search(rf"^content_filter: {transport}:", records, re.MULTILINE):
            found.append(os.path.basename(path))
    return found
