"""A mail server that answers for every address of a name."""

from __future__ import annotations

from aiosmtpd.controller import Controller

from mailguard.check.guard import Guard


class Server:
    """A mail server on loopback; replies: what it says instead to RCPT or DATA; taken: (envelope, TLS) of its mails."""

    def __init__(self, *, context=None, required=False, **replies):
        self.replies, self.taken = replies, []
        tls = {"tls_context": context, "require_starttls": required}
        self.controller = Controller(self, hostname="127.0.0.1", port=0, **tls)

    async def handle_RCPT(self, server, session, envelope, address, options):
        envelope.rcpt_tos.append(address)
        return self.replies.get("rcpt", "250 ok")

    async def handle_DATA(self, server, session, envelope):
        self.taken.append((envelope, session.ssl is not None))
        return self.replies.get("data", "250 ok")

    def __enter__(self):
        connect = self.controller._trigger_server
        self.controller._trigger_server = lambda: (self.find_port(), connect())
        self.controller.start()
        return self

    def find_port(self):
        self.port = self.controller.port = self.controller.server.sockets[0].getsockname()[1]

    def __exit__(self, *_):
        self.controller.stop()


class Mapped(Guard):
    """A door through which the addresses of a zone lead to servers on loopback; others refuse."""

    def __init__(self, servers):
        super().__init__(20, lab=True, pause=0)
        self.servers = servers

    def connect(self, address, port, limit):
        assert port == 25
        if address not in self.servers:
            raise ConnectionRefusedError(111, "Connection refused")
        self._ports[("127.0.0.1", 25)] = self.servers[address].port
        return super().connect("127.0.0.1", port, limit)

    def close(self, connection, address):
        super().close(connection, "127.0.0.1")
