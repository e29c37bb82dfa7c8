"""What a service of checks remembers: one directory, one JSON file for each token, and no body of any mail.

    tokens/NAME.json    an exchange, kept 30 days from its last change
    stopped/NAME        an address that never wants a mail again, kept for ever

Every file is written whole or not at all; what must not happen twice happens under the lock of the directory.  Limits
are counted from the exchanges themselves: the first line of a file holds what is counted, the second one the report,
which is much longer and seldom read.

Who asks has proved nothing, so asking spends only what protects those who get our mails.  Diagnoses are spent by those
who confirmed: nobody can use up the checks of a domain, or of everybody at a large provider, by filling in a form.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict

from mailguard import safefile
from mailguard.check import token as tokens
from mailguard.errors import MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from mailguard.seal import KeyRing

KEEP = 30 * 86400

SENT = "sent"  # the confirmation is on its way
UNDELIVERABLE = "undeliverable"  # and came back
AUTOMATIC = "automatic"  # only a program has answered
ANSWERED = "answered"  # a person has; the diagnosis is being made
DONE = "done"

DAY = 86400
Limits = dict[str, tuple[tuple[int, int], ...]]
ASKED: Limits = {
    "address": ((600, 1), (DAY, 5)),
    "client": ((3600, 5), (DAY, 20)),
    "domain": ((DAY, 50),),
    "network": ((DAY, 500),),
    "all": ((DAY, 5000),),
}
"""How many confirmations go out in how many seconds, for each of what they have in common."""
CONFIRMED: Limits = {
    "domain": ((DAY, 10),),
    "server": ((DAY, 30),),
    "network": ((DAY, 60),),
    "all": ((DAY, 1000),),
}
"""How many diagnoses are made, for each of what they have in common: spent by replies that count."""
MOST_RESULTS = 3
"""How often the result of one exchange is mailed, however often its reply comes."""

_MOST_UNANSWERED = tokens.LIFETIME + DAY  # kept: no reply can count any longer
_SWEEP_SECONDS = 3600
_LEAST_ROOM = 256 << 20
_NAME = re.compile(r"[0-9a-f]{32}")
_PAGE = re.compile(r"[0-9a-f]{32}\.(?:ja|en)\.html")
_VERSION = 2


class Denied(Exception):  # noqa: N818 (a decision)
    """No check begins, or none is made; reason: a key of `ASKED` or `CONFIRMED`, "stopped", or "room" on the disk."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Exchange:
    """One exchange of mails.

    name: of its file; address: to which alone results go; lang: ja or en; created: Unix time; client: network of who
    asked, or ""; servers: IP addresses of the mail servers of the domain; status: see above; reply: SHA-256 of the
    reply that counts, ""; answered: when it came, 0; results: how many mails told the result; postponed: whether one
    told that a limit is reached; page: name of the result page, ""; report: as `Report.as_dict` gives it, None before;
    sent_by: what `Exchange` of the page needs about the reply; dialogue: lines of our own delivery, as they came;
    trials: "time" of the mails of the second level, empty before.
    """

    __slots__ = (
        "address", "answered", "client", "created", "dialogue", "lang", "name", "page", "postponed", "reply", "report",
        "results", "sent_by", "servers", "status", "trials",
    )  # fmt: skip

    def __init__(self, name: str, address: str, lang: str, created: int) -> None:
        self.name = name
        self.address = address
        self.lang = lang
        self.created = created
        self.client = ""
        self.servers: list[str] = []
        self.status = SENT
        self.reply = ""
        self.answered = 0
        self.results = 0
        self.postponed = False
        self.page = ""
        self.report: dict[str, Any] | None = None
        self.sent_by: dict[str, str | None] = {}
        self.dialogue: list[str] = []
        self.trials: dict[str, str] = {}

    @property
    def domain(self) -> str:
        """The domain that is diagnosed, A-labels."""
        return self.address.rpartition("@")[2]

    def subjects(self) -> dict[str, set[str]]:
        """Return what the exchange counts against, by the keys of `ASKED` and `CONFIRMED`."""
        return {
            "address": {tokens.folded(self.address)},
            "domain": {self.domain},
            "client": {self.client} - {""},
            "server": set(self.servers),
            "network": {network(address) for address in self.servers},
            "all": {""},
        }


def network(address: str) -> str:
    """Return the network of an IP address that belongs to one owner: /24 or /48; "" for what is no address."""
    from ipaddress import ip_network

    try:
        return str(ip_network(f"{address}/{48 if ':' in address else 24}", strict=False))
    except ValueError:
        return ""


class State:
    """The directory, made when it is first needed.

    directory: its path; asked, confirmed: instead of `ASKED` and `CONFIRMED`.  Raises MailguardError when the disk does
    not do its part.
    """

    def __init__(self, directory: str, asked: Limits | None = None, confirmed: Limits | None = None) -> None:
        self._directory = directory
        self._tokens = os.path.join(directory, "tokens")
        self._stopped = os.path.join(directory, "stopped")
        self._asked = ASKED if asked is None else asked
        self._confirmed = CONFIRMED if confirmed is None else confirmed
        self._known: dict[str, tuple[tuple[int, int], Exchange]] = {}
        try:
            for path in (directory, self._tokens, self._stopped):
                os.makedirs(path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise MailguardError(f"{show(directory)}: {error.strerror}") from None

    def locked(self) -> AbstractContextManager[None]:
        """Hold the lock of the directory."""
        return safefile.locked(self._directory)

    def begin(self, ring: KeyRing, exchange: Exchange, now: int) -> None:
        """Remember a new exchange; raises Denied when its address is stopped or a limit is reached."""
        if _room(self._directory) < _LEAST_ROOM:
            raise Denied("room")
        with self.locked():
            self.check(ring, exchange, now)
            self.save(exchange)

    def check(self, ring: KeyRing, exchange: Exchange, now: int) -> None:
        """Raise Denied as `begin` would, by what is known about the exchange so far."""
        if self.is_stopped(ring, exchange.address):
            raise Denied("stopped")
        self._check_limits(self._asked, exchange, now, lambda each: each.created)
        self._check_limits(self._confirmed, exchange, now, lambda each: each.answered)

    def load(self, name: str) -> Exchange | None:
        """Return an exchange by its name; None when there is none (any longer), or its file is damaged."""
        return self._read(name, whole=True)

    def save(self, exchange: Exchange) -> None:
        """Write an exchange."""
        import json

        counted = {name: getattr(exchange, name) for name in Exchange.__slots__ if name != "report"}
        lines = ({"version": _VERSION} | counted, exchange.report)
        safefile.replace(self._path(exchange.name), [json.dumps(line).encode("ascii") + b"\n" for line in lines])

    def claim(self, exchange: Exchange, digest: str, now: int) -> bool:
        """Make this reply the one that counts; False when another one counts already.

        Raises Denied when no diagnosis is made now: the same reply may come again.
        """
        with self.locked():
            current = self.load(exchange.name)
            if current is None or current.reply not in {"", digest}:
                return False
            if not current.reply:
                self._claim(current, digest, now)
            return True

    def _claim(self, exchange: Exchange, digest: str, now: int) -> None:
        self._check_limits(self._confirmed, exchange, now, lambda each: each.answered)
        exchange.reply, exchange.answered, exchange.status = digest, now, ANSWERED
        self.save(exchange)

    def postpone(self, exchange: Exchange) -> bool:
        """Whether nobody was told yet that this exchange must wait; now somebody is."""
        with self.locked():
            current = self.load(exchange.name)
            if current is None or current.postponed:
                return False
            current.postponed = True
            self.save(current)
            return True

    def tell(self, name: str) -> bool:
        """Count a mail with the result of this exchange; False when as many as may be are sent."""
        return self._count(name, 1)

    def untold(self, name: str) -> None:
        """Take back what `tell` counted: the mail could not be sent."""
        self._count(name, -1)

    def _count(self, name: str, change: int) -> bool:
        with self.locked():
            current = self.load(name)
            if current is None or not 0 <= current.results + change <= MOST_RESULTS:
                return False
            current.results += change
            self.save(current)
            return True

    def previous(self, exchange: Exchange) -> dict[str, Any] | None:
        """Return the latest report about the same address before this exchange."""
        wanted = tokens.folded(exchange.address)
        found = [
            each
            for each in self._all(0)
            if each.status == DONE and each.created < exchange.created and tokens.folded(each.address) == wanted
        ]
        for each in sorted(found, key=lambda each: each.created, reverse=True):
            whole = self.load(each.name)
            if whole is not None and whole.report:
                return whole.report
        return None

    def latest(self, address: str) -> Exchange | None:
        """Return the latest exchange with an address."""
        wanted = tokens.folded(address)
        found = [each for each in self._all(0) if tokens.folded(each.address) == wanted]
        last = max(found, key=lambda each: each.created, default=None)
        return None if last is None else self.load(last.name)

    def stop(self, stopped_name: str) -> None:
        """Never send mail to an address again; stopped_name: see `token.stopped_name`."""
        assert _NAME.fullmatch(stopped_name)
        safefile.replace(os.path.join(self._stopped, stopped_name), [])

    def is_stopped(self, ring: KeyRing, address: str) -> bool:
        """Tell whether an address wants no mail."""
        return any(os.path.lexists(os.path.join(self._stopped, name)) for name in tokens.stopped_names(ring, address))

    def sweep(self, now: int, pages: str) -> None:
        """Remove exchanges and result pages (in the folder `pages`) older than 30 days, and what nobody answered.

        At most once in an hour: it looks at every file.
        """
        if not self._is_time(now):
            return
        _remove(self._tokens, re.compile(_NAME.pattern + r"\.json"), now - KEEP)
        _remove(pages, _PAGE, now - KEEP)
        for each in list(self._all(0)):
            if not each.reply and each.created < now - _MOST_UNANSWERED:
                _unlink(self._path(each.name))

    def _is_time(self, now: int) -> bool:
        """Whether the last sweep was an hour ago; now it is this one."""
        path = os.path.join(self._directory, "swept")
        try:
            if abs(os.stat(path).st_mtime - now) < _SWEEP_SECONDS:
                return False
        except FileNotFoundError:
            safefile.replace(path, [])
        try:
            os.utime(path, (now, now))
        except OSError as error:
            raise MailguardError(f"{show(path)}: {error.strerror}") from None
        return True

    def _check_limits(self, limits: Limits, exchange: Exchange, now: int, moment: Callable[[Exchange], int]) -> None:
        longest = max((seconds for windows in limits.values() for seconds, _ in windows), default=0)
        taken: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        for each in self._all(now - longest):
            self._add(taken, limits, each, now - moment(each))
        for kind, values in exchange.subjects().items():
            for seconds, most in limits.get(kind, ()):
                if any(taken[kind, seconds][value] >= most for value in values):
                    raise Denied(kind)

    @staticmethod
    def _add(taken: dict[tuple[str, int], Counter[str]], limits: Limits, exchange: Exchange, age: int) -> None:
        """Count an exchange for each limit in whose time it falls."""
        subjects = exchange.subjects()
        for kind, windows in limits.items():
            for seconds, _ in windows:
                if age < seconds:
                    taken[kind, seconds].update(subjects[kind])

    def _all(self, since: int) -> Iterator[Exchange]:
        """Yield the exchanges whose files have changed since then, without their reports."""
        with os.scandir(self._tokens) as entries:
            found = {
                entry.name.removesuffix(".json"): status
                for entry in entries
                if entry.name.endswith(".json")
                and not entry.name.startswith(".")
                and (status := _status(entry)) is not None
                and status.st_mtime >= since
            }
        for name, status in found.items():
            version = (status.st_mtime_ns, status.st_ino)
            known = self._known.get(name)
            if known is None or known[0] != version:
                exchange = self._read(name, whole=False)
                if exchange is None:
                    continue
                known = self._known[name] = (version, exchange)
            yield known[1]
        for name in list(self._known):  # other threads look too
            if name not in found:
                self._known.pop(name, None)

    def _read(self, name: str, *, whole: bool) -> Exchange | None:
        import json

        try:
            with open(self._path(name), "rb") as file:
                exchange = _exchange(name, json.loads(file.readline()))
                if whole:
                    exchange.report = json.loads(file.readline())
                return exchange
        except OSError:
            return None
        except (ValueError, KeyError, TypeError):
            return None

    def _path(self, name: str) -> str:
        assert _NAME.fullmatch(name)
        return os.path.join(self._tokens, f"{name}.json")


def _exchange(name: str, record: Any) -> Exchange:
    if record["version"] != _VERSION:
        raise ValueError("another version")
    exchange = Exchange(name, str(record["address"]), str(record["lang"]), int(record["created"]))
    exchange.answered, exchange.results = int(record["answered"]), int(record["results"])
    exchange.postponed = bool(record["postponed"])
    for attribute in ("client", "status", "reply", "page"):
        setattr(exchange, attribute, str(record[attribute]))
    exchange.servers = _texts(record["servers"])
    exchange.dialogue = _texts(record["dialogue"])
    exchange.sent_by = dict(record["sent_by"])
    exchange.trials = {str(key): str(value) for key, value in record["trials"].items()}
    return exchange


def _texts(values: Sequence[object]) -> list[str]:
    return [str(value) for value in values]


def _remove(directory: str, pattern: re.Pattern[str], before: int) -> None:
    try:
        with os.scandir(directory) as entries:
            old = [
                entry.path
                for entry in entries
                if pattern.fullmatch(entry.name) and (status := _status(entry)) is not None and status.st_mtime < before
            ]
    except FileNotFoundError:
        return
    for path in old:
        _unlink(path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # somebody else was faster


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _room(directory: str) -> int:
    """Return how many octets are free for us."""
    try:
        status = os.statvfs(directory)
    except OSError as error:
        raise MailguardError(f"{show(directory)}: {error.strerror}") from None
    return status.f_bavail * status.f_frsize
