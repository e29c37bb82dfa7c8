"""The web side of a service: form, result pages, stop.  A WSGI application (PEP 3333) without state of its own.

Result pages are static files with names that nobody can guess; any web server can serve them instead.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections import OrderedDict, deque

from mailguard.check import beginnings, form, token
from mailguard.check.page.document import style
from mailguard.check.state import KEEP, network
from mailguard.errors import MailguardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mailguard.check.beginnings import Beginnings
    from mailguard.check.service import Service

_HOUR = 3600
_USES = 30  # of the form, by one client in an hour
_MOST_VISITORS = 20_000
_LARGEST_FORM = 2048
_LARGEST_PAGE = 8 << 20
_PAGE = re.compile(r"/([0-9a-f]{32}\.(?:ja|en)\.html)")
_STOP = re.compile(r"/stop/([A-Za-z2-7]{39})")
_STATUS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    503: "Service Unavailable",
}
_CODES = {
    beginnings.SENT: 200,
    beginnings.ASKED: 202,
    beginnings.ADDRESS: 400,
    beginnings.DOMAIN: 400,
    beginnings.LATER: 503,
}
_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Robots-Tag", "noindex, nofollow"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class Response:
    """status: of HTTP; content: the page; policy: its content security policy; more: further header fields."""

    __slots__ = ("content", "more", "policy", "status")

    def __init__(self, status: int, content: bytes, policy: str = "", more: tuple[tuple[str, str], ...] = ()) -> None:
        self.status = status
        self.content = content
        self.policy = policy or form.policy()
        self.more = more


class Visitors:
    """How often a network has used the form in the last hour, whatever came of it: each use asks the DNS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uses: OrderedDict[str, deque[float]] = OrderedDict()  # by its last use

    def allow(self, client: str, now: float) -> bool:
        """Count one use, unless this client has used up its own."""
        name = network(client)
        with self._lock:
            self._forget(now)
            uses = self._uses.setdefault(name, deque())
            while uses and uses[0] <= now - _HOUR:
                uses.popleft()
            if len(uses) >= _USES:
                return False
            uses.append(now)
            self._uses.move_to_end(name)
            return True

    def _forget(self, now: float) -> None:
        """Forget who was not here for an hour, and whoever is too many."""
        while self._uses:
            name = next(iter(self._uses))
            if self._uses[name][-1] > now - _HOUR and len(self._uses) < _MOST_VISITORS:
                return
            del self._uses[name]


class Application:
    """The application; begin: what begins checks; clock: gives Unix time."""

    def __init__(self, service: Service, begin: Beginnings, clock: Callable[[], float]) -> None:
        self._service = service
        self._begin = begin
        self._clock = clock
        self._visitors = Visitors()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        response = self._response(environ)
        headers = [
            *_HEADERS,
            ("Content-Security-Policy", response.policy),
            ("Content-Length", str(len(response.content))),
            *response.more,
        ]
        start_response(f"{response.status} {_STATUS[response.status]}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.content]

    def _response(self, environ: WSGIEnvironment) -> Response:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO") or "/"
        lang = _language(environ)
        try:
            if method in {"GET", "HEAD"}:
                return self._read(path, lang)
            if method == "POST" and (path == "/start" or _STOP.fullmatch(path)):
                return self._write(path, lang, environ)
        except MailguardError:
            return Response(503, form.said("later", lang))
        return Response(405, form.said("missing", lang), more=(("Allow", "GET, HEAD"),))

    def _read(self, path: str, lang: str) -> Response:
        if path == "/":
            return Response(200, form.form(lang))
        page, code = _PAGE.fullmatch(path), _STOP.fullmatch(path)
        if code and token.stopped_name(self._service.ring, code[1]):
            return Response(200, form.stop(lang))
        content = self._file(page[1]) if page else None
        if content is None:
            return Response(404, form.said("missing", lang, "../" if path.count("/") > 1 else "./"))
        return Response(200, content, f"{style()[1]}; frame-ancestors 'none'")

    def _file(self, name: str) -> bytes | None:
        """Return a result page, None when there is none or its time is over."""
        try:
            descriptor = os.open(
                os.path.join(self._service.pages, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError:
            return None
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_mtime < self._clock() - KEEP:
                return None
            return file.read(_LARGEST_PAGE)

    def _write(self, path: str, lang: str, environ: WSGIEnvironment) -> Response:
        code = _STOP.fullmatch(path)
        if code:
            name = token.stopped_name(self._service.ring, code[1])
            if name is None:
                return Response(404, form.said("missing", lang, "../"))
            self._service.state.stop(name)
            return Response(200, form.said("stopped", lang, "../"))
        if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in {"same-origin", "none"}:
            return Response(403, form.said("later", lang))
        fields = _fields(environ)
        return self._start(
            fields.get("address", ""), _known(fields.get("lang", ""), lang), str(environ.get("REMOTE_ADDR") or "")
        )

    def _start(self, address: str, lang: str, client: str) -> Response:
        now = self._clock()
        if not self._visitors.allow(client, now):
            return _too_many(lang)
        code = self._begin.begin(address, lang, int(now), client)
        if code == beginnings.LIMIT:
            return _too_many(lang)
        return Response(_CODES[code], form.said(code, lang))


def _too_many(lang: str) -> Response:
    return Response(429, form.said("limit", lang), more=(("Retry-After", str(_HOUR)),))


def _language(environ: WSGIEnvironment) -> str:
    query = str(environ.get("QUERY_STRING") or "")
    accepted = str(environ.get("HTTP_ACCEPT_LANGUAGE") or "").lower()
    return _known(query.removeprefix("lang="), "ja" if accepted.startswith("ja") else "en")


def _known(lang: str, otherwise: str) -> str:
    return lang if lang in {"ja", "en"} else otherwise


def _fields(environ: WSGIEnvironment) -> dict[str, str]:
    """Return the fields of a form; nothing for what is none, or larger than ours can be."""
    from urllib.parse import parse_qsl

    length: Any = environ.get("CONTENT_LENGTH") or "0"
    if not str(length).isdecimal() or int(str(length)[:9]) > _LARGEST_FORM:
        return {}
    raw = environ["wsgi.input"].read(int(length))
    try:
        return dict(parse_qsl(raw.decode("utf-8"), max_num_fields=10))
    except ValueError:
        return {}
