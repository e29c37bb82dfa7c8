"""The web and the SMTP server of a service in this process, on a bench."""

from __future__ import annotations

import io
import smtplib
import wsgiref.validate
from urllib.parse import urlencode

from check_service import ADDRESS, NOW, Bench

from mailguard.check.beginnings import Beginnings
from mailguard.check.listener import Listener
from mailguard.check.start import begin
from mailguard.check.web import Application
from mailguard.errors import MailguardError


class Answer:
    def __init__(self, status, headers, content):
        self.status, self.headers, self.content = int(status[:3]), dict(headers), content

    @property
    def text(self):
        return self.content.decode()


class Site:
    """An application with a bench behind it; sent: the mails that went out; now: its clock."""

    def __init__(self, folder, **options):
        self.bench = Bench(folder, **options)
        self.sent = []
        self.now = NOW
        self.broken = False
        self.lines = []
        self.beginnings = Beginnings(self.bench.service, self.send, self.lines.append, waiting=2, seconds=60)
        checked = Application(self.bench.service, self.beginnings, lambda: self.now)
        self.application = wsgiref.validate.validator(checked)

    def send(self, mail, envelope_sender, recipient):
        if self.broken:
            raise MailguardError("no mail server")
        self.sent.append((mail, envelope_sender, recipient))

    def __call__(self, method, path, body=b"", **environ):
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path.partition("?")[0],
            "QUERY_STRING": path.partition("?")[2],
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "198.51.100.9",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        } | environ
        started = []
        result = self.application(environ, lambda *arguments: started.append(arguments[:2]) or (lambda _: None))
        content = b"".join(result)
        result.close()
        return Answer(*started[0], content)

    def start(self, address=ADDRESS, lang="en", **environ):
        return self("POST", "/start", urlencode({"address": address, "lang": lang}).encode(), **environ)


class Listening:
    def __init__(self, folder, certificate=None, **options):
        self.site = Site(folder, **options)
        self.lines = []
        self.listener = Listener(
            self.site.bench.service,
            ("127.0.0.1", 0),
            certificate=certificate,
            send=self.site.send,
            report=self.lines.append,
            clock=lambda: NOW + 60,
        )

    def __enter__(self):
        connect = self.listener._trigger_server
        self.listener._trigger_server = lambda: (self.find_port(), connect())
        self.listener.start()
        return self

    def find_port(self):
        """The library connects to the port that it was told, which is none."""
        self.port = self.listener.port = self.listener.server.sockets[0].getsockname()[1]

    def __exit__(self, *_):
        self.listener.stop()

    def begin(self, address=ADDRESS):
        return begin(self.site.bench.service, address, "en", NOW)

    def client(self):
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="mail.example.com", timeout=20)
