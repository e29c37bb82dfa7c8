"""Where copies go: the URL of a target and its options."""

from __future__ import annotations

import re

from mailguard.errors import ConfigurationError
from mailguard.findings import show

_PORTS = {"smtp": 25, "smtps": 465, "lmtp": 24}
_SERVER = re.compile(r"(smtps?|lmtp)://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?/?(?:\?(.*))?")
_PATH = re.compile(r"(lmtp|maildir|mbox|exec):(?://(?=/))?(/[^?]*)(?:\?(.*))?")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_SESSION_OPTIONS = frozenset({"starttls", "ca", "helo", "credentials", "timeout", "8bit"})
_OPTIONS = {
    "smtp": _SESSION_OPTIONS,
    "lmtp": _SESSION_OPTIONS,
    "smtps": _SESSION_OPTIONS - {"starttls"},
    "maildir": frozenset[str](),
    "mbox": frozenset({"timeout"}),
    "exec": frozenset({"timeout"}),
}
_CHOICES = {"starttls": ("require", "opportunistic", "off"), "8bit": ("hold", "send")}
_FORMS = "smtp://HOST[:PORT], smtps://HOST, lmtp://HOST, lmtp:/SOCKET, maildir:/PATH, mbox:/PATH or exec:/PROGRAM"


class Target:
    """Where copies go.

    url: as given; scheme, host, port, path: its parts (path: unquoted; for exec the command line); name: what stays
    the same when the options change, used to recognise the target in the spool; timeout: seconds for one reply.
    """

    __slots__ = ("_options", "host", "name", "path", "port", "scheme", "url")

    def __init__(self, url: str, scheme: str, host: str, port: int, path: str, options: dict[str, str]) -> None:
        self.url = url
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path
        self._options = options
        place = f"[{host}]" if ":" in host else host
        self.name = f"{scheme}:{path}" if path else f"{scheme}://{place}:{port}"

    def option(self, name: str) -> str | None:
        """Return the value of an option in the URL, None when it is not given."""
        return self._options.get(name)

    @property
    def timeout(self) -> float:
        """Seconds that one reply, a mailbox lock or the program may take."""
        return float(self._options.get("timeout", "60"))

    @property
    def starttls(self) -> str:
        """One of require, opportunistic, off."""
        return self._options.get("starttls", "off" if self.path else "opportunistic")

    @property
    def by_recipient(self) -> bool:
        """Whether the target takes an envelope; a Maildir or mbox holds one copy for all recipients."""
        return self.scheme not in {"maildir", "mbox"}


def parse(url: str) -> Target:
    """Read a target URL; ConfigurationError when it is none, or its options are unknown or contradict each other."""
    if not url.isprintable():
        raise ConfigurationError(f"{show(url)}: a target is one line of printable characters")
    server, path = _SERVER.fullmatch(url), _PATH.fullmatch(url)
    if server is not None:
        scheme, address, host, port, query = server.groups()
        number = int(port or _PORTS[scheme])
        if not 0 < number < 65536:
            raise ConfigurationError(f"{url}: the port must be between 1 and 65535")
        return Target(url, scheme, address or host.lower(), number, "", _options(url, scheme, query))
    if path is not None:
        scheme, place, query = path.groups()
        place = _unquoted(place)
        if not place.isprintable():
            raise ConfigurationError(f"{url}: a path is one line of printable characters")
        return Target(url, scheme, "", 0, place, _options(url, scheme, query))
    raise ConfigurationError(f"{_hidden(url)}: not a target; write {_FORMS} (passwords go into a credentials file)")


def _hidden(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)


def _unquoted(text: str) -> str:
    raw = re.sub(
        rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode("utf-8", "surrogateescape")
    )
    return raw.decode("utf-8", "surrogateescape")


def _options(url: str, scheme: str, query: str | None) -> dict[str, str]:
    options = {}
    for setting in (query or "").split("&"):
        name, _, value = setting.partition("=")
        if name and name not in _OPTIONS[scheme]:
            raise ConfigurationError(f"{url}: {scheme} has no option {name}")
        if name:
            options[name] = _unquoted(value)
            _check(url, name, options[name])
    _check_security(url, scheme, options)
    return options


def _check(url: str, name: str, value: str) -> None:
    if not value or re.search(r"[\x00-\x1f\x7f]", value):
        raise ConfigurationError(f"{url}: {name} needs a value without control characters")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ConfigurationError(f"{url}: {name} is one of {', '.join(_CHOICES[name])}")
    if name == "helo" and not re.fullmatch(r"[A-Za-z0-9._-]+|\[[A-Za-z0-9.:]+\]", value):
        raise ConfigurationError(f"{url}: helo is a host name or an address in brackets")
    if name == "timeout" and not (re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", value) and 0 < float(value) <= 3600):
        raise ConfigurationError(f"{url}: timeout is a number of seconds up to 3600")


def _check_security(url: str, scheme: str, options: dict[str, str]) -> None:
    verified = scheme == "smtps" or options.get("starttls") == "require"
    for name in ("ca", "credentials"):
        if name in options and not verified:
            raise ConfigurationError(f"{url}: {name} needs smtps:// or starttls=require")
