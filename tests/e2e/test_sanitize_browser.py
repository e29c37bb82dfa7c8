"""Hostile pages in a real browser: what `sanitize` gives runs nothing and asks nobody, whatever is done with it."""

from __future__ import annotations

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hostile_pages
import pytest
from browser import Browser
from hypothesis import HealthCheck, given, settings

from mailguard.formats.disarmed import Options, Refused
from mailguard.formats.html.disarm import disarm_body

# Called by the pages; set before any script of theirs.
_EVIL = "window.evil = window.alert = () => { new Image().src = '/ran' + location.pathname }"
# What each frame holds once it was parsed, after everything that a mouse could touch was touched.
_LOOK = r"""
(() => {
  const acting = ['script', 'iframe', 'frame', 'form', 'input', 'object', 'embed', 'base', 'template', 'math', 'svg',
    'video', 'audio', 'select', 'textarea', 'marquee', 'frameset', 'applet'];
  const texts = ['quotes', 'content', 'font-family'];
  const remote = (style) => [...style].filter((name) =>
    !texts.includes(name) && /(url|src|image-set)\(/.test(style.getPropertyValue(name))
    && /\/\/evil/.test(style.getPropertyValue(name)));
  const rules = (list) => [...list].flatMap((rule) => rule.type === CSSRule.IMPORT_RULE ? ['@import']
    : [...remote(rule.style || []), ...(rule.cssRules ? rules(rule.cssRules) : [])]);
  return [...document.querySelectorAll('iframe')].map((frame) => {
    const found = [];
    const page = frame.contentDocument;
    if (!page) return ['elsewhere'];
    for (const one of page.querySelectorAll('*')) {
      if (acting.includes(one.localName) || one.shadowRoot) found.push(`<${one.localName}>`);
      if (one.localName === 'meta' && /refresh/i.test(one.httpEquiv)) found.push('refresh');
      for (const {name, value} of one.attributes)
        if (/^on[a-z]{3,}$|^(ping|formaction|srcdoc|srcset|attributionsrc)$/.test(name) && value) found.push(name);
      if (one.localName === 'a' && one.href && !/^(https?|mailto|tel|cid)?:$/.test(one.protocol)) found.push(one.href);
      found.push(...remote(one.style || []));
      for (const event of ['mouseover', 'mousemove', 'focus', 'error'])
        one.dispatchEvent(new MouseEvent(event, {bubbles: true}));
    }
    for (const sheet of page.styleSheets) found.push(...(sheet.href ? [sheet.href] : rules(sheet.cssRules)));
    return found;
  });
})()
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        number = self.path.removeprefix("/page/")
        pages = self.server.pages
        if self.path == "/":
            frames = (f'<iframe src="/page/{number}"></iframe>' for number in range(len(pages)))
            self._answer("text/html; charset=utf-8", f"<!DOCTYPE html>{''.join(frames)}".encode())
        elif number.isdecimal() and int(number) < len(pages):
            content, charset = pages[int(number)]
            self._answer(f"text/html; charset={charset}" if charset else "text/html", content)
        else:
            self.send_error(404)

    def _answer(self, kind, content):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class _Laboratory(Browser):
    """A browser without any network but our server; `acts` tells what each of many pages does."""

    options = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",)

    def __enter__(self):
        super().__enter__()
        self._call("Page.addScriptToEvaluateOnNewDocument", source=_EVIL)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.thread.join(120)
        self.server.server_close()
        super().__exit__(*error)

    def acts(self, pages: list[tuple[bytes, str]]) -> list[list[str]]:
        """What each of these (content, charset) does and holds."""
        self.server.pages = pages
        self.asked: list[tuple[str, str]] = []
        here = f"http://127.0.0.1:{self.server.server_port}/"
        self.open(here)
        found = self.evaluate(_LOOK)
        self.evaluate("1")  # an answer behind what the events have asked for
        for document, url in self.asked:
            frame = document.removeprefix(f"{here}page/")
            remote = url.startswith("http") and not url.startswith(here)
            if frame.isdecimal() and (remote or url.startswith(f"{here}ran/")):
                found[int(frame)].append(url)
        return found

    def _next(self, deadline):
        message = super()._next(deadline)
        if message.get("method") == "Network.requestWillBeSent":
            parameters = message["params"]
            self.__dict__.setdefault("asked", []).append((parameters["documentURL"], parameters["request"]["url"]))
        return message


@pytest.fixture(scope="module")
def laboratory():
    if not shutil.which("chromium"):
        pytest.skip("not installed: chromium")
    with _Laboratory() as laboratory:
        yield laboratory


def _drawn(count: int) -> list[tuple[bytes, str]]:
    pages: list[tuple[bytes, str]] = []

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(hostile_pages.pages())
    def draw(page):
        pages.append((page, ""))

    draw()
    return pages


def _sanitized(pages: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
    """What is delivered: the same octets in the same charset, or a page in UTF-8."""
    made = []
    for page, charset in pages:
        try:
            result = disarm_body(page, charset, Options())
        except Refused:
            continue
        made.append((result.data, "utf-8" if result.removed else charset))
    return made


def test_the_browser_sees_most_of_the_hostile_pages_act(laboratory):
    pages = [*hostile_pages.PAGES.values(), *((page, "") for page in hostile_pages.LINKS.values())]
    seen = [bool(found) for found in laboratory.acts(pages)]
    assert sum(seen) > len(pages) * 2 / 3


def test_no_hostile_page_acts_any_more(laboratory):
    pages = _sanitized([*hostile_pages.PAGES.values(), *((page, "") for page in hostile_pages.LINKS.values())])
    assert laboratory.acts(pages) == [[] for _ in pages]


def test_no_page_acts_that_was_drawn_at_random(laboratory):
    drawn = _drawn(250)
    assert sum(map(bool, laboratory.acts(drawn))) > 20
    pages = _sanitized(drawn)
    assert [(page, found) for page, found in zip(pages, laboratory.acts(pages), strict=True) if found] == []
