"""Handing a copy of a message to another server, store or program.

Every answer is read and kept per recipient; none is assumed.  What is handed over is the message as it came: only the
line ends on the wire and the `From_` line (which belongs to mailboxes, not to messages) differ.
"""

from __future__ import annotations

import re

from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Protocol

    class Session(Protocol):
        """The means of delivery to one target, used for one copy after another."""

        def deliver(self, copy: Copy, recipients: Sequence[str]) -> Attempt:
            """Hand over one copy; every recipient has an outcome afterwards.  Failures are outcomes, not exceptions."""

        def close(self) -> None:
            """Leave."""


DELIVERED = "delivered"
TEMPORARY = "temporary"
PERMANENT = "permanent"

CHUNK = 1 << 16
DIALOGUE_LINES = 60

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


class Outcome:
    """What became of the copy for one recipient: a status and the answer that says so, fit for a person's eyes."""

    __slots__ = ("reply", "status")

    def __init__(self, status: str, reply: str | bytes) -> None:
        self.status = status
        self.reply = show(reply)


class Attempt:
    """What came of handing one copy to one target.

    outcomes: by recipient ("" for a store); dialogue: the last lines that were exchanged; down: the target could not
    be reached or not be used at all, so the next message will not fare better; broken: the exchange was cut off.
    """

    __slots__ = ("broken", "dialogue", "down", "outcomes")

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.dialogue: list[str] = []
        self.down = False
        self.broken = False

    def note(self, line: str) -> None:
        """Keep one line of the dialogue, forget the oldest."""
        self.dialogue.append(line)
        del self.dialogue[:-DIALOGUE_LINES]

    def settle(self, recipients: Iterable[str], status: str, reply: str | bytes) -> None:
        """Give all these recipients, as far as they have none yet, this outcome."""
        for recipient in recipients:
            self.outcomes.setdefault(recipient, Outcome(status, reply))


class Copy:
    """A message on its way, read piece by piece from wherever it lies.

    read: (offset, length) -> bytes, from several threads at once; size: octets; sender: the envelope sender, "" for
    the null sender, None when unknown; identifier: names this copy (letters and digits); created: POSIX time.
    """

    __slots__ = ("_read", "_survey", "created", "identifier", "sender", "size", "start")

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        size: int,
        *,
        sender: str | None,
        identifier: str,
        created: float,
    ) -> None:
        self._read = read
        self._survey: tuple[int, bool, bool] | None = None
        self.size = size
        self.sender = sender
        self.identifier = identifier
        self.created = created
        self.start = len(self.from_line)

    @property
    def from_line(self) -> bytes:
        """The mailbox separator above the message with its line end, b"" when there is none."""
        head = self._read(0, min(self.size, CHUNK))
        return head[: head.find(b"\n") + 1] if head.startswith(b"From ") else b""

    def chunks(self, start: int | None = None) -> Iterator[bytes]:
        """Yield the message without its `From_` line, or everything from `start`."""
        position = self.start if start is None else start
        while position < self.size:
            piece = self._read(position, min(CHUNK, self.size - position))
            if not piece:
                raise OSError(5, "the message in the spool is shorter than it was")
            position += len(piece)
            yield piece

    @property
    def wire_size(self) -> int:
        """Octets on the wire, without dot-stuffing (RFC 1870 5)."""
        return self._surveyed()[0]

    @property
    def eight_bit(self) -> bool:
        """Whether an octet above 127 occurs."""
        return self._surveyed()[1]

    @property
    def smuggles(self) -> bool:
        """Whether a bare CR and a dot could end the message for a server that takes CR as a line end."""
        return self._surveyed()[2]

    def _surveyed(self) -> tuple[int, bool, bool]:
        if self._survey is None:
            size, eight_bit, smuggles = 0, False, False
            last = b"\n"
            for piece in wire(self.chunks(), stuffed=False):
                size += len(piece)
                eight_bit = eight_bit or not piece.isascii()
                smuggles = smuggles or _SMUGGLED.search(last + piece) is not None
                last = (last + piece)[-2:]
            self._survey = (size, eight_bit, smuggles)
        return self._survey


_SMUGGLED = re.compile(rb"\r\.[\r\n]")


def wire(chunks: Iterable[bytes], *, stuffed: bool = True) -> Iterator[bytes]:
    """Turn a message into what goes over the wire: CRLF line ends, a final one, dots doubled (RFC 5321 4.5.2).

    A CR that is not part of a line end stays as it is.  Nothing is said about the final dot.
    """
    held = b""
    line_start = True
    for chunk in chunks:
        piece = held + chunk
        held = b"\r" if piece.endswith(b"\r") else b""
        piece = piece[: len(piece) - len(held)].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if not piece:
            continue
        if stuffed:
            first = b"." if line_start and piece.startswith(b".") else b""
            piece = first + piece.replace(b"\n.", b"\n..")
        line_start = piece.endswith(b"\n")
        yield piece
    if held or not line_start:
        yield held + b"\r\n"


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


def hand_over(session: Session, copy: Copy, recipients: Sequence[str]) -> Attempt:
    """Deliver, and turn also a fault of ours into an outcome: it must not take other copies or targets with it."""
    try:
        return session.deliver(copy, recipients)
    except Exception as error:  # noqa: BLE001
        attempt = Attempt()
        attempt.broken = True
        attempt.settle(recipients, TEMPORARY, f"4.3.0 internal error: {type(error).__name__}: {error}")
        return attempt


def session(target: Target) -> Session:
    """Return the means of delivery to this target; nothing is opened yet."""
    if target.scheme == "maildir":
        from mailguard.delivery.store import Maildir

        return Maildir(target)
    if target.scheme == "mbox":
        from mailguard.delivery.store import Mbox

        return Mbox(target)
    if target.scheme == "exec":
        from mailguard.delivery.program import Program

        return Program(target)
    from mailguard.delivery.smtp import Session

    return Session(target)
