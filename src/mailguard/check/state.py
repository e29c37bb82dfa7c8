"""What a service of checks remembers: one directory, one JSON file for each token, and no body of any mail.

    tokens/NAME.json    an exchange, kept 30 days from its last change
    stopped/NAME        an address that never wants a mail again, kept for ever

Every file is written whole or not at all; what must not happen twice happens under the lock of the directory.  Limits
are counted from the exchanges themselves.
"""

from __future__ import annotations

import os
import re

from mailguard import safefile
from mailguard.check import token as tokens
from mailguard.errors import MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
LIMITS: dict[str, tuple[tuple[int, int], ...]] = {
    "address": ((600, 1), (DAY, 5)),
    "domain": ((DAY, 10),),
    "client": ((3600, 5),),
    "server": ((DAY, 30),),
    "network": ((DAY, 60),),
    "all": ((DAY, 1000),),
}
"""How many checks may begin in how many seconds, for each of what they have in common."""

_NAME = re.compile(r"[0-9a-f]{32}")
_PAGE = re.compile(r"[0-9a-f]{32}\.(?:ja|en)\.html")
_VERSION = 1


class Denied(Exception):  # noqa: N818 (a decision)
    """No check begins; reason: a key of `LIMITS`, or "stopped"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Exchange:
    """One exchange of mails.

    name: of its file; address: to which alone results go; lang: ja or en; created: Unix time; client: network of who
    asked, or ""; servers: IP addresses of the mail servers of the domain; status: see above; reply: SHA-256 of the
    reply that counts, ""; page: name of the result page, ""; report: as `Report.as_dict` gives it, None before;
    sent_by: what `Exchange` of the page needs about the reply; dialogue: lines of our own delivery, as they came;
    trials: "time" of the mails of the second level, empty before.
    """

    __slots__ = (
        "address", "client", "created", "dialogue", "lang", "name", "page", "reply", "report", "sent_by", "servers",
        "status", "trials",
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
        """Return what the exchange counts against, by the keys of `LIMITS`."""
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

    directory: its path; limits: instead of `LIMITS`.  Raises MailguardError when the disk does not do its part.
    """

    def __init__(self, directory: str, limits: dict[str, tuple[tuple[int, int], ...]] | None = None) -> None:
        self._directory = directory
        self._tokens = os.path.join(directory, "tokens")
        self._stopped = os.path.join(directory, "stopped")
        self._limits = LIMITS if limits is None else limits
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
        with self.locked():
            self.check(ring, exchange, now)
            self.save(exchange)

    def check(self, ring: KeyRing, exchange: Exchange, now: int) -> None:
        """Raise Denied as `begin` would, by what is known about the exchange so far."""
        if self.is_stopped(ring, exchange.address):
            raise Denied("stopped")
        self._check_limits(exchange, now)

    def load(self, name: str) -> Exchange | None:
        """Return an exchange by its name; None when there is none (any longer), or its file is damaged."""
        import json

        try:
            with open(self._path(name), "rb") as file:
                record = json.load(file)
            return _exchange(name, record)
        except OSError:
            return None
        except (ValueError, KeyError, TypeError):
            return None

    def save(self, exchange: Exchange) -> None:
        """Write an exchange."""
        import json

        record = {"version": _VERSION} | {name: getattr(exchange, name) for name in Exchange.__slots__}
        safefile.replace(self._path(exchange.name), [json.dumps(record).encode("ascii")])

    def claim(self, exchange: Exchange, digest: str) -> bool:
        """Make this reply the one that counts; False when another one counts already."""
        with self.locked():
            current = self.load(exchange.name)
            if current is None or current.reply not in {"", digest}:
                return False
            if not current.reply:
                exchange.reply, exchange.status = digest, ANSWERED
                self.save(exchange)
            return True

    def previous(self, exchange: Exchange) -> dict[str, Any] | None:
        """Return the latest report about the same address before this exchange."""
        wanted = tokens.folded(exchange.address)
        found = [
            each
            for each in self._all(0)
            if each.report and each.created < exchange.created and tokens.folded(each.address) == wanted
        ]
        return max(found, key=lambda each: each.created).report if found else None

    def latest(self, address: str) -> Exchange | None:
        """Return the latest exchange with an address."""
        wanted = tokens.folded(address)
        found = [each for each in self._all(0) if tokens.folded(each.address) == wanted]
        return max(found, key=lambda each: each.created, default=None)

    def stop(self, stopped_name: str) -> None:
        """Never send mail to an address again; stopped_name: see `token.stopped_name`."""
        assert _NAME.fullmatch(stopped_name)
        safefile.replace(os.path.join(self._stopped, stopped_name), [])

    def is_stopped(self, ring: KeyRing, address: str) -> bool:
        """Tell whether an address wants no mail."""
        return any(os.path.lexists(os.path.join(self._stopped, name)) for name in tokens.stopped_names(ring, address))

    def sweep(self, now: int, pages: str) -> None:
        """Remove what is older than 30 days: exchanges, and result pages in the folder `pages`."""
        _remove(self._tokens, re.compile(_NAME.pattern + r"\.json"), now - KEEP)
        _remove(pages, _PAGE, now - KEEP)

    def _check_limits(self, exchange: Exchange, now: int) -> None:
        longest = max(seconds for windows in self._limits.values() for seconds, _ in windows)
        earlier = [(each.created, each.subjects()) for each in self._all(now - longest)]
        for kind, values in exchange.subjects().items():
            for seconds, most in self._limits.get(kind, ()):
                recent = [subjects[kind] for created, subjects in earlier if created > now - seconds]
                if any(sum(value in taken for taken in recent) >= most for value in values):
                    raise Denied(kind)

    def _all(self, since: int) -> Iterator[Exchange]:
        """Yield the exchanges whose files have changed since then."""
        with os.scandir(self._tokens) as entries:
            names = [
                entry.name.removesuffix(".json")
                for entry in entries
                if entry.name.endswith(".json") and not entry.name.startswith(".") and entry.stat().st_mtime >= since
            ]
        for name in names:
            exchange = self.load(name)
            if exchange is not None:
                yield exchange

    def _path(self, name: str) -> str:
        assert _NAME.fullmatch(name)
        return os.path.join(self._tokens, f"{name}.json")


def _exchange(name: str, record: Any) -> Exchange:
    if record["version"] != _VERSION:
        raise ValueError("another version")
    exchange = Exchange(name, str(record["address"]), str(record["lang"]), int(record["created"]))
    for attribute in ("client", "status", "reply", "page"):
        setattr(exchange, attribute, str(record[attribute]))
    exchange.servers = _texts(record["servers"])
    exchange.dialogue = _texts(record["dialogue"])
    exchange.report = record["report"]
    exchange.sent_by = dict(record["sent_by"])
    exchange.trials = {str(key): str(value) for key, value in record["trials"].items()}
    return exchange


def _texts(values: Sequence[object]) -> list[str]:
    return [str(value) for value in values]


def _remove(directory: str, pattern: re.Pattern[str], before: int) -> None:
    try:
        with os.scandir(directory) as entries:
            old = [entry.path for entry in entries if pattern.fullmatch(entry.name) and _changed(entry) < before]
    except FileNotFoundError:
        return
    for path in old:
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue  # somebody else was faster


def _changed(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return float("inf")
