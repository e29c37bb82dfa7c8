"""An SMTP and LMTP server on loopback that goes wrong exactly where a test says, and remembers what it was given."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

EXTENSIONS = ("PIPELINING", "SIZE 200000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")
STEPS = ("connect", "ehlo", "mail", "rcpt", "data", "content", "final")


class Message:
    """One transaction that reached its final dot."""

    def __init__(self, sender: str, recipients: list[str], data: bytes) -> None:
        self.sender = sender  # the arguments of MAIL, as sent
        self.recipients = recipients
        self.data = data  # with CRLF, without the doubled dots
        self.acknowledged = False  # the client went on after our answer: it has read it


class Fault:
    """step: where; action: hang, close, drop (after the final dot), garbage, drip, endless, twice, or a reply."""

    def __init__(self, step: str, action: str, times: int = 1_000_000) -> None:
        self.step = step
        self.action = action
        self.times = times


class Server:
    """A server in threads; `with Server() as server` listens on server.port or server.path."""

    def __init__(
        self,
        fault: Fault | None = None,
        *,
        extensions=EXTENSIONS,
        lmtp: bool = False,
        path: Path | None = None,
        refusals: dict[str, str] | None = None,
        final_refusals: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        credentials: str | None = None,
    ) -> None:
        self.fault = fault
        self.extensions = extensions
        self.lmtp = lmtp
        self.path = path
        self.refusals = refusals or {}
        self.final_refusals = final_refusals or {}
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.credentials = credentials
        self.messages: list[Message] = []
        self.commands: list[str] = []
        self.connections = 0
        self.released = threading.Event()  # ends the waiting of a slow final answer
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        if self.path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.path))
        else:
            self._listener = socket.socket()
            self._listener.bind(("127.0.0.1", 0))
            self.port = self._listener.getsockname()[1]
        self._listener.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def wait_for_goodbyes(self) -> None:
        """Return when every client has closed its connection."""
        with self._idle:
            assert self._idle.wait_for(lambda: not self._open, 60)

    def url(self, options: str = "") -> str:
        scheme = "lmtp" if self.lmtp else "smtps" if self.implicit_tls else "smtp"
        place = f":{self.path}" if self.path else f"://127.0.0.1:{self.port}"
        return f"{scheme}{place}{options}"

    def copies(self, raw: bytes) -> list[Message]:
        return [message for message in self.messages if message.data == on_wire(raw)]

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, _ClosedError):
            _Connection(self, connection).run()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(connection)
            self._idle.notify_all()
        connection.close()

    def take_fault(self, step: str) -> str | None:
        with self._lock:
            fault = self.fault
            if fault is None or fault.step != step or fault.times <= 0:
                return None
            fault.times -= 1
            return fault.action

    def hang(self, connection: socket.socket) -> None:
        """Say nothing until the client or the test ends."""
        connection.setblocking(True)
        with contextlib.suppress(OSError):
            while connection.recv(1 << 16):
                pass

    def keep(self, message: Message) -> None:
        with self._lock:
            self.messages.append(message)

    def note(self, command: str) -> None:
        with self._lock:
            self.commands.append(command)


class _ClosedError(Exception):
    pass


class _Connection:
    def __init__(self, server: Server, connection: socket.socket) -> None:
        self.server = server
        self.socket = connection
        self.sender = ""
        self.recipients: list[str] = []
        self.message: Message | None = None
        self.buffer = b""
        self.encrypted = False

    def run(self) -> None:
        if self.server.implicit_tls:
            self._encrypt()
        self.reply("connect", "220 fault.test ready")
        while True:
            line = self.line().decode("utf-8", "surrogateescape")
            verb = line.split(" ", 1)[0].upper()
            self.server.note(verb + line[len(verb) :])
            if self.message:
                self.message.acknowledged = True
            handler = getattr(self, "do_" + verb.lower(), None)
            if handler is None:
                self.send("500 what?")
            elif handler(line):
                return

    def do_ehlo(self, _line):
        lines = [*self.server.extensions]
        if self.server.tls and not self.encrypted:
            lines.append("STARTTLS")
        if self.server.credentials:
            lines.append("AUTH PLAIN")
        lines = ["fault.test", *lines]
        self.reply("ehlo", "\r\n".join(f"250{'-' if line is not lines[-1] else ' '}{line}" for line in lines))

    do_lhlo = do_ehlo

    def do_helo(self, _line):
        self.send("250 fault.test")

    def do_starttls(self, _line):
        self.send("220 go")
        self._encrypt()

    def do_auth(self, line):
        self.send("235 in" if line == f"AUTH PLAIN {self.server.credentials}" else "535 5.7.8 no")

    def do_mail(self, line):
        self.sender, self.recipients = line[len("MAIL FROM:") :], []
        self.reply("mail", "250 2.1.0 ok")

    def do_rcpt(self, line):
        recipient = line[len("RCPT TO:<") :].split(">", 1)[0]
        refusal = self.server.refusals.get(recipient)
        if refusal is None:
            self.recipients.append(recipient)
        self.reply("rcpt", refusal or "250 2.1.5 ok")

    def do_rset(self, _line):
        self.send("250 ok")

    def do_quit(self, _line):
        self.send("221 bye")
        return True

    def do_data(self, _line):
        if not self.recipients:
            self.send("503 no recipients")
            return
        self.reply("data", "354 go ahead")
        action = self.server.take_fault("content")
        if action:
            self.line()
            self.perform(action, "250 2.0.0 kept")
            self.content()
            raise _ClosedError
        message = Message(self.sender, self.recipients, self.content())
        action = self.server.take_fault("final")
        if action == "slow":
            self.server.released.wait(120)
            action = None
        if action in (None, "drop", "multi-line", "split", "twice"):
            self.server.keep(message)
            self.message = message
        if action == "drop":
            raise _ClosedError
        for recipient in self.recipients if self.server.lmtp else [""]:
            self.perform(action, self.server.final_refusals.get(recipient, "250 2.0.0 kept"))

    def content(self) -> bytes:
        data = bytearray(b"\r\n" + self.buffer)
        while (end := data.find(b"\r\n.\r\n", max(len(data) - (1 << 17), 0))) < 0:
            data += self.receive()
        self.buffer = bytes(data[end + 5 :])
        return bytes(data[: end + 2].replace(b"\r\n..", b"\r\n.")[2:])

    def reply(self, step: str, text: str) -> None:
        self.perform(self.server.take_fault(step), text)

    def perform(self, action: str | None, text: str) -> None:
        if action is None:
            self.send(text)
        elif action == "hang":
            self.server.hang(self.socket)
            raise _ClosedError
        elif action == "close":
            raise _ClosedError
        elif action == "garbage":
            self.send("\x1b[31m\xff HTTP/1.1 200 OK")
        elif action == "drip":
            self.drip(text)
        elif action == "endless":
            self.endless(text)
        elif action == "multi-line":
            self.send(f"{text[:3]}-first\r\n{text[:3]}-second\r\n{text}")
        elif action == "split":
            for character in f"{text}\r\n":
                self.socket.sendall(character.encode())
        elif action == "twice":
            self.send(f"{text}\r\n{text}")
        else:
            self.send(action)
            if action.startswith("421"):
                raise _ClosedError

    def drip(self, text: str) -> None:
        """One octet now and then: every single read succeeds, the reply never ends."""
        stopped = self.server._stopped
        while not stopped.wait(0.2):
            self.socket.sendall(text[:1].encode())

    def endless(self, text: str) -> None:
        while not self.server._stopped.is_set():
            self.socket.sendall(f"{text[:3]}-and so on\r\n".encode() * 100)

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode("latin-1") + b"\r\n")

    def line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self.buffer += self.receive()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def receive(self) -> bytes:
        data = self.socket.recv(1 << 16)
        if not data:
            raise _ClosedError
        return data

    def _encrypt(self) -> None:
        assert self.server.tls is not None
        self.socket = self.server.tls.wrap_socket(self.socket, server_side=True)
        self.encrypted = True


def on_wire(raw: bytes) -> bytes:
    """What a message must be on the wire, written down independently of the client: line ends, and a final one."""
    if raw.startswith(b"From "):
        raw = raw[raw.index(b"\n") + 1 :]
    lines = raw.split(b"\n")
    ended = [line if line.endswith(b"\r") else line + b"\r" for line in lines[:-1]]
    data = b"".join(line + b"\n" for line in ended) + lines[-1]
    return data if data.endswith(b"\r\n") or not lines[-1] else data + b"\r\n"


class Authority:
    """Certificates made at run time."""

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self.key, authority=True)
        self.file = self._write("authority", self.certificate)

    def context(self, address: str = "127.0.0.1", *, days: int = 1) -> ssl.SSLContext:
        """What a server with this address needs; negative days: expired."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = f"{address}{days}"
        file = self._write(name, self._sign(address, key, days=days))
        key_file = self.folder / f"{name}.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file, key_file)
        return context

    def _sign(self, name: str, key, *, authority: bool = False, days: int = 1):
        import datetime as dt
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import NameOID

        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=3))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True).add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        else:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name: str, certificate) -> Path:
        from cryptography.hazmat.primitives import serialization

        file = self.folder / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return file
