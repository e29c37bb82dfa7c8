"""A laboratory in this process: DNS from a text, mail servers and a web server on loopback, certificates of an own CA."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from mailguard.check.guard import Guard
from mailguard.check.scan import Settings
from mailguard.dns import OK, Answer
from mailguard.dns.files import Zone

NOW = 1_800_000_000  # of the diagnosis; certificates are made around the real time where OpenSSL looks at them


class Dns:
    """A `Source`: what a zone text says; answers for names in `signed` (suffixes) carry AD, those in `bogus` fail."""

    def __init__(self, text, signed=(), bogus=()):
        self.zone = Zone(text)
        self.signed, self.bogus = tuple(signed), tuple(bogus)
        self.questions = []

    def ask(self, name, rdtype, seconds):
        self.questions.append((name, rdtype))
        if self._within(name, self.bogus):
            return Answer("SERVFAIL")
        return self.unchecked(name, rdtype)

    def unchecked(self, name, rdtype):
        answer = self.zone.ask(name, rdtype, 1.0)
        if self._within(name, self.signed):
            return Answer(answer.status, answer.records, answer.ttl, authenticated_data=True)
        if rdtype == "DS" and answer.status == OK and not self.signed:
            return answer
        return answer

    @staticmethod
    def _within(name, suffixes):
        return any(name == suffix or name.endswith("." + suffix) for suffix in suffixes)


class Authority:
    """A certificate authority; `issue` returns a `Leaf`."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Lab CA")])
        self.certificate = self._signed(self.name, self.name, self.key.public_key(), [], 3650, ca=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self._number = 0

    def issue(self, *names, days=60, bits=None, own=False, started=1):
        """days: until it ends, negative for an expired one; bits: an RSA key of that size; own: self-signed."""
        key = rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        issuer, signer = (subject, key) if own else (self.name, self.key)
        certificate = self._signed(subject, issuer, key.public_key(), names, days, signer=signer, started=started)
        self._number += 1
        path = self.folder / f"leaf{self._number}.pem"
        chain = [certificate] if own else [certificate, self.certificate]
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain))
        return Leaf(path, certificate, [each.public_bytes(serialization.Encoding.DER) for each in chain])

    def _signed(self, subject, issuer, public, names, days, *, ca=False, signer=None, started=1):
        today = dt.datetime.now(dt.UTC).replace(microsecond=0)
        begin = today - dt.timedelta(days=max(started, 1 - days))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin if started > 0 else today - dt.timedelta(days=started))
            .not_valid_after(today + dt.timedelta(days=days, hours=12))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
        return builder.sign(signer or self.key, hashes.SHA256())


class Leaf:
    """path: key and chain in PEM; certificate; chain: in DER."""

    def __init__(self, path, certificate, chain):
        self.path, self.certificate, self.chain = path, certificate, chain

    def context(self, *, old=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if old:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.load_cert_chain(self.path)
        return context

    def tlsa(self, usage=3, selector=1, *, of=0):
        import hashlib

        certificate = x509.load_der_x509_certificate(self.chain[of])
        data = self.chain[of]
        if selector:
            data = certificate.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        return f"{usage} {selector} 1 {hashlib.sha256(data).hexdigest()}"


class Listener:
    """Serves each connection in a thread."""

    def __init__(self, address="127.0.0.2"):
        self.address = address
        self.connections = 0
        self._lock = threading.Lock()
        self._open = set()
        self.stopped = threading.Event()

    def __enter__(self):
        self._socket = socket.socket()
        self._socket.bind((self.address, 0))
        self._socket.listen(50)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            self.serve(connection)
        except (OSError, ValueError, EOFError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


class MailServer(Listener):
    """An SMTP server that does what its attributes say.

    banner, name: how it introduces itself; tls: SSLContext; raw: function from a ClientHello to bytes, in the place of
    TLS; extensions; login: AUTH before TLS; recipients: function from an address to a reply; vrfy, expn: functions
    from the argument to a reply; inject: plain text after STARTTLS is executed; starttls: its reply; first: a function
    that gets the connection before anything else.
    """

    domain = "good.test"

    def __init__(self, address="127.0.0.2", *, tls=None, **attributes):
        super().__init__(address)
        self.tls = tls
        self.name = "mx.good.test"
        self.banner = f"220 {self.name} ESMTP"
        self.ehlo = None
        self.raw = None
        self.extensions = ["PIPELINING", "8BITMIME"]
        self.login = False
        self.starttls = "220 2.0.0 go ahead"
        self.inject = False
        self.first = None
        self.commands = []
        self.recipients = self._recipient
        self.vrfy = self.expn = lambda _: "502 5.5.1 no"
        self.senders = lambda _: "250 2.1.0 ok"
        for key, value in attributes.items():
            assert hasattr(self, key), key
            setattr(self, key, value)

    def _recipient(self, address):
        local, _, domain = address.strip("<>").rpartition("@")
        if domain != self.domain:
            return "454 4.7.1 relay access denied"
        return "250 2.1.5 ok" if local in {"postmaster", "abuse", "alice"} else "550 5.1.1 no such user"

    def serve(self, connection):
        if self.first is not None:
            self.first(connection)
            return
        connection.sendall(self.banner.encode() + b"\r\n")
        waiting, encrypted = b"", False
        while True:
            while b"\r\n" not in waiting:
                received = connection.recv(4096)
                if not received:
                    return
                waiting += received
            line, _, waiting = waiting.partition(b"\r\n")
            text = line.decode("latin-1")
            self.commands.append(text)
            verb, _, argument = text.partition(" ")
            if verb == "STARTTLS" and self.starttls.startswith("220"):
                connection.sendall(self.starttls.encode() + b"\r\n")
                if self.raw:
                    connection.sendall(self.raw(connection.recv(4096)))
                    return
                waiting = waiting if self.inject else b""
                connection = self.tls.wrap_socket(connection, server_side=True)
                encrypted = True
                continue
            connection.sendall(self.reply(verb.upper(), argument, encrypted).encode() + b"\r\n")
            if verb == "QUIT":
                return

    def reply(self, verb, argument, encrypted):
        if verb == "EHLO":
            lines = [self.ehlo or self.name, *self.extensions]
            if (self.tls or self.raw or not self.starttls.startswith("220")) and not encrypted:
                lines.append("STARTTLS")
            if self.login or encrypted:
                lines.append("AUTH PLAIN LOGIN")
            return "\r\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"])
        if verb == "MAIL":
            return self.senders(argument)
        if verb == "RCPT":
            return self.recipients(argument.partition(":")[2])
        if verb == "VRFY":
            return self.vrfy(argument)
        if verb == "EXPN":
            return self.expn(argument)
        return {"QUIT": "221 2.0.0 bye", "STARTTLS": self.starttls}.get(verb, "250 2.0.0 ok")


class WebServer(Listener):
    """Answers each HTTPS request with the same bytes."""

    def __init__(self, tls, response, address="127.0.0.3"):
        super().__init__(address)
        self.tls, self.response = tls, response
        self.requests = []

    def serve(self, connection):
        with self.tls.wrap_socket(connection, server_side=True) as encrypted:
            self.requests.append(encrypted.recv(4096))
            encrypted.sendall(self.response)


def http(body, status="200 OK", kind="text/plain", extra=""):
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body.encode()


class CountingGuard(Guard):
    """A guard that knows how many connections were open at the same time: `most` to one address, `most_of_all` to all.

    Where no listener of the test is, nobody listens, whatever else runs on this machine.
    """

    def __init__(self, *arguments, ports, **options):
        super().__init__(*arguments, ports=ports, **options)
        self.listeners = set(ports)
        self.open, self.most, self.most_of_all, self._counting = {}, 0, 0, threading.Lock()

    def connect(self, address, port, limit):
        if (address, port) not in self.listeners:
            raise ConnectionRefusedError(111, "Connection refused")
        connection = super().connect(address, port, limit)
        with self._counting:
            self.open[address] = self.open.get(address, 0) + 1
            self.most = max(self.most, self.open[address])
            self.most_of_all = max(self.most_of_all, sum(self.open.values()))
        return connection

    def wait(self, seconds):
        super().wait(0.0)

    def close(self, connection, address):
        with self._counting:
            self.open[address] = self.open.get(address, 0) - 1
        super().close(connection, address)


def guard(*listeners, seconds=30.0):
    """A guard that finds these listeners: mail servers at port 25, web servers at 443."""
    table = {(each.address, 443 if isinstance(each, WebServer) else 25): each.port for each in listeners}
    return CountingGuard(seconds, lab=True, ports=table, pause=0.0)


def settings(dns, *listeners, seconds=30.0, now=None, **options):
    from time import time

    made = Settings(
        dns,
        guard(*listeners, seconds=seconds),
        int(time()) if now is None else now,
        unchecked=getattr(dns, "unchecked", None),
        trusted=True,
        **options,
    )
    made.address_lists = made.domain_lists = ()
    return made


def free_address(number):
    """An address of loopback that nothing else uses."""
    return str(ipaddress.IPv4Address("127.0.50.0") + number)
