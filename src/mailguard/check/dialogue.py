"""One SMTP conversation with a server that may be hostile: bounded, timed, written down."""

from __future__ import annotations

import re
import socket
from time import monotonic

from mailguard.check.guard import SMTP, Late

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Self

    from mailguard.check.guard import Guard

GREETING_SECONDS = 30.0
REPLY_SECONDS = 20.0
CONNECT_SECONDS = 10.0
_PATIENCE = (0.3, 1.0)
_LONGEST_LINE = 2048  # RFC 5321 4.5.3.1.5 allows 512
_MOST_LINES = 100
_REPLY = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*+))?", re.DOTALL)


class Broken(Exception):  # noqa: N818 (what happened, not an error of ours)
    """The conversation cannot go on: closed, too slow, or no SMTP; the text says why, without values of the peer."""


class Slow(Broken):
    """Nothing came in time; the connection is still there, and an answer may come later."""


class Reply:
    """code: three digits as a number; lines: what stands after them, raw, without line ends."""

    __slots__ = ("code", "lines")

    def __init__(self, code: int, lines: list[bytes]) -> None:
        self.code = code
        self.lines = lines

    @property
    def text(self) -> str:
        """The reply in one line, as it came."""
        return f"{self.code} {' '.join(line.decode('utf-8', 'backslashreplace') for line in self.lines)}"

    def keywords(self) -> dict[str, str]:
        """Return the extensions that a reply to EHLO names, upper case, with their parameters (RFC 5321 4.1.1.1)."""
        found: dict[str, str] = {}
        for line in self.lines[1:]:
            word, _, rest = line.decode("latin-1").strip().partition(" ")
            keyword, equals, first = word.partition("=")  # AUTH=LOGIN of old servers
            found.setdefault(keyword.upper(), f"{first} {rest}".strip() if equals else rest.strip())
        return found


def read_reply(line: bytes, lines: list[bytes]) -> Reply | None:
    """Take one more line (without its end) into `lines`; return the reply when it is complete.  Raises Broken."""
    match = _REPLY.fullmatch(line)
    if match is None:
        raise Broken("no SMTP reply")
    lines.append(match[3] or b"")
    if len(lines) > _MOST_LINES:
        raise Broken("a reply without end")
    return None if match[2] == b"-" else Reply(int(match[1]), lines)


class Dialogue:
    """A connection to port 25 of one address.

    transcript: what was said, "C: ..." and "S: ...", as it came; greeting: the first reply; closed: by the server.
    Raises OSError, Broken, Late, or Forbidden.  Use as a context manager.
    """

    def __init__(self, guard: Guard, address: str) -> None:
        self.transcript: list[str] = []
        self.closed = False
        self._guard = guard
        self._address = address
        self._buffer = bytearray()
        self._connection = guard.connect(address, SMTP, CONNECT_SECONDS)
        try:
            self.greeting = self.receive(GREETING_SECONDS)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._guard.close(self._connection, self._address)

    def leave(self) -> None:
        """Say QUIT, and wait for no answer."""
        try:
            self.send(b"QUIT\r\n")
        except (OSError, Broken):
            return

    @property
    def own_name(self) -> str:
        """What we say in EHLO: our full name, or the address from which we connect (RFC 5321 4.1.4)."""
        name = socket.gethostname()
        if "." in name and re.fullmatch(r"[A-Za-z0-9.-]{1,255}", name):
            return name
        address = str(self._connection.getsockname()[0]).partition("%")[0]
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def hello(self) -> Reply:
        """Say EHLO."""
        return self.command(f"EHLO {self.own_name}")

    def command(self, text: str) -> Reply:
        """Say one command and return its reply."""
        assert "\r" not in text
        assert "\n" not in text
        self.send(text.encode("ascii") + b"\r\n")
        return self.receive()

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.transcript += [f"C: {line.decode('latin-1')}" for line in raw.split(b"\r\n") if line]
        self._connection.settimeout(self._guard.remaining(REPLY_SECONDS))
        self._connection.sendall(raw)

    def receive(self, seconds: float = REPLY_SECONDS) -> Reply:
        """Return the next reply, all of which must come within `seconds`."""
        end = monotonic() + seconds
        lines: list[bytes] = []
        while True:
            line = self._line(end)
            self.transcript.append(f"S: {line.decode('latin-1')}")
            reply = read_reply(line, lines)
            if reply is not None:
                return reply

    def _line(self, end: float) -> bytes:
        while (index := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LONGEST_LINE:
                raise Broken("a line without end")
            self._buffer += self.raw(4096, end)
        if index > _LONGEST_LINE:
            raise Broken("a line that is too long")
        line = bytes(self._buffer[:index]).removesuffix(b"\r")
        del self._buffer[: index + 1]
        return line

    def send_silently(self, raw: bytes) -> None:
        """Send bytes that are no text and do not belong into the transcript."""
        self._connection.settimeout(self._guard.remaining(REPLY_SECONDS))
        self._connection.sendall(raw)

    def exactly(self, size: int, end: float) -> bytes:
        """Return so many bytes, those first that came with the last reply."""
        while len(self._buffer) < size:
            self._buffer += self.raw(size - len(self._buffer), end)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def raw(self, size: int, end: float) -> bytes:
        """Return the next bytes from the connection, at least one, before `end` (monotonic)."""
        left = end - monotonic()
        if left <= 0:
            raise Slow("too slow")
        self._connection.settimeout(self._guard.remaining(left))
        try:
            received = self._connection.recv(size)
        except TimeoutError:
            self._guard.remaining(left)  # raises Late when it is that
            raise Slow("no answer in time") from None
        if not received:
            self._guard.remaining(left)
            self.closed = True
            raise Broken("the server closed the connection")
        return received

    def encrypt(self, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
        """Begin TLS; what was received before it is thrown away.  Raises ssl.SSLError too."""
        del self._buffer[:]
        self._connection.settimeout(self._guard.remaining(REPLY_SECONDS))
        plain = self._connection
        encrypted = context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
        self._connection = encrypted
        self._guard.exchange(plain, encrypted)
        encrypted.do_handshake()
        return encrypted


def again(guard: Guard, address: str) -> Dialogue:
    """Connect to a server that greeted us before; raises as `Dialogue` does, and Broken for another greeting.

    A server that allows one connection at a time may not yet have noticed that the last one was closed, so it is asked
    again, soon and later.
    """
    for seconds in _PATIENCE:
        try:
            return _greeted(guard, address)
        except (Broken, ConnectionError):
            guard.wait(seconds)
    return _greeted(guard, address)


def _greeted(guard: Guard, address: str) -> Dialogue:
    dialogue = Dialogue(guard, address)
    if dialogue.greeting.code != 220:
        dialogue.close()
        raise Broken(f"greeting {dialogue.greeting.code}")
    return dialogue


def unverified() -> ssl.SSLContext:
    """Return a context that encrypts whatever the certificate says (RFC 7435): it is judged by the diagnosis."""
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def why(error: Exception) -> str:
    """Say in a word or two why a connection failed, without anything the peer said."""
    if isinstance(error, Late):
        return "late"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
