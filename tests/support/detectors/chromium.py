"""Chromium as a detector: what a page or drawing starts, asks for, and holds once it was parsed."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time

from browser import PATIENCE, Browser

# Said once in every frame: what would show that a script runs, and what leaves the page before anybody looks at it.
_REPORT = """
window.evil = window.alert = () => report('a script ran');
addEventListener('DOMContentLoaded', () => document.querySelector('meta[http-equiv=refresh i]') && report('refresh'));
"""
_LOOK = r"""
(() => {
  const found = [];
  const acting = ['script', 'iframe', 'frame', 'form', 'input', 'object', 'embed', 'base', 'link', 'template', 'math',
    'foreignObject', 'animate', 'set', 'feImage', 'video', 'audio'];
  const fetched = ['src', 'srcset', 'background', 'poster', 'data', 'action', 'xlink:href', 'href'];
  for (const one of document.querySelectorAll('*')) {
    if (acting.includes(one.localName)) found.push('<' + one.localName + '>');
    for (const {name, value} of one.attributes) {
      if (/^on|^(ping|formaction|srcdoc|download|datasrc|imagesrcset|ev:event)$/i.test(name)) found.push(name);
      if (!fetched.includes(name) || value.startsWith('#')) continue;
      let url;
      try { url = new URL(value, 'file:///') } catch { continue }
      if (url.protocol === 'file:' && !url.host && !/^[a-z]+:/i.test(value)) continue;
      const link = one.localName === 'a' && name.endsWith('href');
      if (link ? !/^(https?|mailto|tel|cid):$/.test(url.protocol) || /\\/.test(value)
               : !/^(cid|data):$/.test(url.protocol) || /^data:(?!image\/(png|jpe?g|gif|webp|bmp);)/i.test(value))
        found.push(name + '=' + value);
    }
    for (const rule of one.style || [])
      if (/url\(|image-set|src\(/.test(one.style.getPropertyValue(rule))) found.push(rule);
  }
  return [found, document.body?.innerText ?? document.documentElement?.textContent ?? ''];
})()
"""


CHROMIUM = "Chromium"
"""Stands for a detector: the browser, which a test has to start first."""


class Watcher(Browser):
    """A browser without any network that tells what pages do."""

    options = ("--host-resolver-rules=MAP * ~NOTFOUND",)

    def __enter__(self):
        super().__enter__()
        self._reports: list[str] = []
        self._asked: list[tuple[str, str]] = []
        self._ready: set[str] = set()
        self._call("Runtime.addBinding", name="report")
        self._call("Page.addScriptToEvaluateOnNewDocument", source=_REPORT)
        self._call("Page.setLifecycleEventsEnabled", enabled=True)
        return self

    def look(self, content: bytes, extension: str = "html") -> tuple[list[str], str]:
        """What the page does and holds, and all its text."""
        with tempfile.TemporaryDirectory(prefix="mailguard-page-") as folder:
            path = os.path.join(folder, f"page.{extension}")
            with open(path, "wb") as file:
                file.write(content)
            self._go("about:blank")  # where the page before may have sent the browser does not count
            self._asked.clear()
            self._reports.clear()
            page = self._go(f"file://{path}")
            try:
                found, text = self.evaluate(_LOOK)
            except AssertionError:  # the page was just being left
                found, text = self.evaluate(_LOOK)
        urls = [url for loader, url in self._asked if loader == page and re.match(r"https?:|file:", url)]
        return [*found, *self._reports, *[url for url in urls if not url.endswith(path)]], text

    def _go(self, url: str) -> str:
        """Open a page and wait until it has loaded; what its loader is called.

        The page before may send the browser elsewhere at the same moment (a meta refresh), and that navigation takes
        the place of ours: then nothing of ours is ever loaded, and it is asked for again.
        """
        for seconds in (5, 10, 20, 40, PATIENCE):
            loader = self._call("Page.navigate", url=url)["loaderId"]
            moment = time.monotonic() + seconds
            with contextlib.suppress(TimeoutError):
                while loader not in self._ready:
                    self._next(moment)
                return loader
        raise TimeoutError(f"{url} does not load")

    def _next(self, deadline: float) -> dict:
        message = super()._next(deadline)
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.bindingCalled":
            self._reports.append(parameters["payload"])
        elif message.get("method") == "Network.requestWillBeSent":
            self._asked.append((parameters["loaderId"], parameters["request"]["url"]))
        elif message.get("method") == "Page.lifecycleEvent" and parameters["name"] == "load":
            self._ready.add(parameters["loaderId"])
        return message
