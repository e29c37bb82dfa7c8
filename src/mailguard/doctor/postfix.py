"""The lines of main.cf and master.cf that have to do with mailguard, and the mistakes that lose mail there."""

from __future__ import annotations

import os
import re
import stat

from mailguard.commands import FILTERS
from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.doctor.scripts import script_rows, text_of
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.doctor.row import Setup

_ASSIGNMENT = re.compile(r"([A-Za-z0-9_]++)[ \t]*=[ \t]*(.*)", re.DOTALL)
_OPTION = re.compile(r"-o[ \t]*(?:\{[ \t]*)?([A-Za-z0-9_]++)[ \t]*=[ \t]*([^\s}]*)")
_CHANGING = {"D": "Delivered-To", "F": "From_", "O": "X-Original-To", "R": "Return-Path"}
_MESSAGE, _MAILBOX = "10240000", "51200000"
_MAILBOXES = {"mailbox_size_limit": _MAILBOX, "virtual_mailbox_limit": _MAILBOX}
"""What postconf(5) says where main.cf says nothing."""
_SHARED_USERS = {"postfix", "nobody", "daemon", "mail", "www-data"}


class _Service:
    """A line of master.cf: its columns, and the text behind them; attributes: user=, flags= and so on of pipe(8)."""

    def __init__(self, line: str) -> None:
        columns = line.split(None, 8)
        self.name, self.command = columns[0], columns[7]
        self.arguments = columns[8] if len(columns) > 8 else ""
        before, _, argv = self.arguments.partition("argv=")
        self.argv = argv.split()
        self.attributes = dict(item.split("=", 1) for item in before.split() if "=" in item)
        self.options = dict(_OPTION.findall(self.arguments))

    def row(self, state: str, what: str, repair: str = "") -> Row:
        return Row(f"master.cf: {show(self.name)}", state, what, repair)


def look(setup: Setup) -> Iterator[Row]:
    """Check the services that run mailguard, and what sends mail to them; nothing without Postfix."""
    if not os.path.isdir(setup.postfix):
        return
    services = [_Service(line) for line in _lines(setup, "master.cf") if len(line.split(None, 8)) >= 8]
    main = parameters(setup)
    ours = [service for service in services if service.command == "pipe" and _is_ours(service)]
    found = [*_main(main, [service.name for service in ours])]
    for service in ours:
        found += _pipe(service, setup)
        found += _surroundings(service, services, main)
        if not any(row.name == f"master.cf: {show(service.name)}" for row in found):
            found.append(service.row(GOOD, show(" ".join(service.argv), 80)))
    if not found and "mailguard" not in main.get("smtpd_milters", ""):
        found.append(Row("Postfix", GOOD, "no line of main.cf or master.cf names mailguard"))
    yield from found


def _is_ours(service: _Service) -> bool:
    return "mailguard" in service.arguments or any("mailguard" in text_of(path) for path in service.argv[:1])


def parameters(setup: Setup) -> dict[str, str]:
    """Return what main.cf sets; the last line of a name counts."""
    matches = map(_ASSIGNMENT.fullmatch, _lines(setup, "main.cf"))
    return {match[1]: match[2] for match in matches if match is not None}


def mailbox_command(setup: Setup) -> str:
    """Return the program that delivers to users, "" for none."""
    return parameters(setup).get("mailbox_command", "") if os.path.isdir(setup.postfix) else ""


def _lines(setup: Setup, name: str) -> Iterator[str]:
    """Yield logical lines: those that begin with a blank continue the one before (postconf(5), master(5))."""
    logical = ""
    with open(os.path.join(setup.postfix, name), encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if line[0] in " \t":
                logical += " " + line.strip()
                continue
            if logical:
                yield logical
            logical = line.strip()
    if logical:
        yield logical


def _main(main: dict[str, str], transports: list[str]) -> Iterator[Row]:
    command = main.get("mailbox_command", "")
    if _runs_filter(command.split()):
        what = "mailbox_command is a filter: what it writes is thrown away, and so is every mail"
        yield Row(
            "main.cf", FAILURE, what, "deliver by procmail or maildrop, which run the filter: examples/procmailrc"
        )
    if "mailguard" in main.get("smtpd_milters", "") and _action(main) == "accept":
        what = "milter_default_action = accept: mail passes unseen while the milter is away"
        yield Row("main.cf", FAILURE, what, "default_action=tempfail for this milter: mailguard setup milter")
    if main.get("content_filter", "").partition(":")[0] in transports:
        what = "content_filter holds for all mail, also for what the filter gives back by sendmail: a loop"
        yield Row("main.cf", FAILURE, what, "write -o content_filter=... into the smtp line of master.cf instead")


def _action(main: dict[str, str]) -> str:
    """Return what becomes of mail while our milter is away: what its own braces say, or what holds for all."""
    own = re.search(r"\{[^}]*mailguard[^}]*default_action[ \t]*=[ \t]*(\w+)", main["smtpd_milters"])
    return own[1] if own else main.get("milter_default_action", "tempfail")


def _runs_filter(words: list[str]) -> bool:
    """Tell whether a command line is mailguard with a command that is no other than a filter."""
    return len(words) > 1 and os.path.basename(words[0]) == "mailguard" and words[1] in FILTERS


def _pipe(service: _Service, setup: Setup) -> Iterator[Row]:
    attributes = service.attributes
    if _runs_filter(service.argv):
        what = "pipe(8) throws away what a filter writes: every mail is deleted"
        yield service.row(FAILURE, what, "argv= a script that gives the mail back: mailguard setup postfix")
    elif service.argv:
        yield from script_rows(f"master.cf: {show(service.name)}", service.argv[0])
    user = attributes.get("user", "").partition(":")[0]
    yield from _user(service, user, setup)
    flags = attributes.get("flags", "")
    changing = [name for flag, name in _CHANGING.items() if flag in flags]
    if changing:
        what = f"flags={show(flags)} puts {', '.join(changing)} on top of each mail"
        yield service.row(WARNING, what, "flags=q")
    if "X" in flags:
        what = "flag X tells senders who ask that the mail is delivered, when it only went through the filter"
        yield service.row(WARNING, what, "take X out of flags=")
    if "${sender}" in service.arguments and "null_sender" not in attributes:
        what = "the null sender of bounces becomes MAILER-DAEMON for the filter"
        yield service.row(WARNING, what, "null_sender= (with nothing behind it) before argv=")


def _user(service: _Service, user: str, setup: Setup) -> Iterator[Row]:
    import pwd

    if user in {"", "root", "0"}:
        what = "user=root" if user else "user= is missing"
        yield service.row(
            FAILURE, f"{what}: pipe(8) does not run this", "user=mailguard, a user that does nothing else"
        )
        return
    if user in _SHARED_USERS:
        what = f"user={show(user)} does other things too, which could read the key"
        yield service.row(WARNING, what, "user=mailguard, a user that does nothing else")
    try:
        uid = pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        yield service.row(FAILURE, f"there is no user {show(user)}", f"adduser --system --group {show(user)}")
        return
    if setup.key_file and os.path.exists(setup.key_file) and os.stat(setup.key_file).st_uid != uid:
        what = f"{show(user)} is not the owner of the key {show(setup.key_file)}"
        yield service.row(FAILURE, what, f"chown {show(user)} {show(setup.key_file)}")


def _surroundings(service: _Service, services: list[_Service], main: dict[str, str]) -> Iterator[Row]:
    """Look at who sends mail to a service of ours, and whether it can come back."""
    parameter = f"{service.name}_destination_recipient_limit"
    if main.get(parameter) != "1":
        what = "all recipients of a mail share one run, and the strictest policy of all holds"
        yield service.row(WARNING, what, f"{show(parameter)} = 1 in main.cf")
    for sender in services:
        if sender.options.get("content_filter", "").partition(":")[0] == service.name and not _has_reserve(
            sender, main
        ):
            what = "a mail that grows in the filter may be too large to come back"
            yield sender.row(WARNING, what, "mailguard setup postfix sets limits that keep what is accepted")


def _has_reserve(sender: _Service, main: dict[str, str]) -> bool:
    """Tell whether what comes in may be a quarter larger when it comes back; 0 is no limit."""
    coming_back = _number(main.get("message_size_limit", _MESSAGE))
    incoming = _number(sender.options.get("message_size_limit", main.get("message_size_limit", _MESSAGE)))
    if coming_back is None or incoming is None:
        return False
    return coming_back == 0 or 0 < incoming * 5 <= coming_back * 4


def _number(value: str) -> int | None:
    """Return a limit; None where it is no number, such as $another_parameter."""
    return int(value) if value.isascii() and value.isdigit() else None


def limits(setup: Setup) -> Iterator[Row]:
    """Look for limits by which Postfix refuses or returns mail that it has accepted; nothing without Postfix."""
    if not os.path.isdir(setup.postfix):
        return
    main = parameters(setup)
    yield from _doubled(setup)
    message = _number(main.get("message_size_limit", _MESSAGE))
    for name, default in _MAILBOXES.items():
        used = name == "mailbox_size_limit" or name in main or "virtual_mailbox_maps" in main
        limit = _number(main.get(name, default)) if used else None
        if limit and message is not None and (message == 0 or limit < message):
            what = f"{name} is smaller than message_size_limit: Postfix delivers no mail to a mailbox"
            yield Row("main.cf", FAILURE, what, f"postconf -e {name}={message}")
    for line in _lines(setup, "master.cf"):
        yield from _announced(line, message)
    limit = _number(main.get("mailbox_size_limit", _MAILBOX))
    for path, size in _mailboxes(main) if limit else ():
        if size > (limit or 0):
            what = f"mail to {show(path)} is returned to its sender: {size} octets, mailbox_size_limit is {limit}"
            yield Row("main.cf", FAILURE, what, "postconf -e mailbox_size_limit=0")


def _announced(line: str, message: int | None) -> Iterator[Row]:
    """Compare what a service of smtpd(8) announces with what cleanup(8) lets in."""
    service = _Service(line) if len(line.split(None, 8)) >= 8 else None
    announced = _number(service.options.get("message_size_limit", "")) if service else None
    if service and service.command == "smtpd" and message and announced is not None and not 0 < announced <= message:
        what = (
            f"accepts mail of {announced or 'any'} octets that message_size_limit of main.cf ({message}) refuses then"
        )
        yield service.row(WARNING, what, "mailguard setup postfix sets limits that fit")


def _doubled(setup: Setup) -> Iterator[Row]:
    matches = map(_ASSIGNMENT.fullmatch, _lines(setup, "main.cf"))
    names = [match[1] for match in matches if match is not None]
    for name in sorted({name for name in names if names.count(name) > 1}):
        what = f"{show(name)} stands more than once: the last line counts, and every command of Postfix complains"
        yield Row("main.cf", WARNING, what, f"leave one line, such as by postconf -e {show(name)}=...")


def _mailboxes(main: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Yield the mailboxes of users that are one file, with their sizes, as far as we may see them."""
    import pwd

    spool = main.get("mail_spool_directory", "/var/mail")
    home = main.get("home_mailbox", "")
    paths = [os.path.join(spool, name) for name in _names(spool)]
    if home and not home.endswith("/"):
        paths += sorted({os.path.join(user.pw_dir, home) for user in pwd.getpwall()})
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:  # another user's
            continue
        if stat.S_ISREG(status.st_mode):
            yield path, status.st_size


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
