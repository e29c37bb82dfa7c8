"""Headless Chromium, told what to do through a pipe (the DevTools protocol), and every request that it makes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Self

from paths import ARTEFACTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATIENCE = 120
"""How many seconds an answer or a page may take, on a machine that does other work besides."""


class Browser:
    """One page.

    requests: the URLs it asked for; headers: of each answer, by URL, names in lower case; errors: what its console said; dialogs: what alert and the like said; inside: the
    beginning of a command that runs the browser in another network; options: more of Chromium's.
    """

    options: Sequence[str] = ()

    def __init__(self, inside: Sequence[str] = ()) -> None:
        self.requests: list[str] = []
        self.headers: dict[str, dict[str, str]] = {}
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        self._inside = inside
        self._number = 0
        self._buffer = b""
        self._loaded = False

    def __enter__(self) -> Self:
        self._profile = tempfile.mkdtemp(prefix="mailguard-chromium-")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        options = [
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
            *(
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
            ),
            *self.options,
            *("--remote-debugging-pipe", f"--user-data-dir={self._profile}", "about:blank"),
        ]
        self._process = subprocess.Popen(
            [*self._inside, "bash", "-c", f'exec chromium "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *options],
            env=os.environ | {"XDG_CONFIG_HOME": self._profile, "XDG_CACHE_HOME": self._profile},
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._session = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self._call("Browser.close")
        os.close(self._in)
        os.close(self._out)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(120)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, url: str) -> None:
        """Open a page and wait until it has loaded."""
        self.requests.clear()
        self.errors.clear()
        self.dialogs.clear()
        self._loaded = False
        assert "errorText" not in self._call("Page.navigate", url=url), url
        self._until_loaded()

    def fill(self, selector: str, text: str) -> None:
        """Type into a field as a person does."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self._call("Input.insertText", text=text)

    def submit(self) -> None:
        """Press Enter in the field that has the focus, and wait for the page that follows."""
        self._loaded = False
        key = {"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}
        self._call("Input.dispatchKeyEvent", type="keyDown", **key)
        self._call("Input.dispatchKeyEvent", type="keyUp", **key)
        self._until_loaded()

    def evaluate(self, expression: str):
        """The value of an expression in the page."""
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    @property
    def text(self) -> str:
        return self.evaluate("document.body.innerText")

    def shape(self, width: int, *, dark: bool = False) -> None:
        """Take the width of a screen, and light or dark."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, name: str) -> Path:
        """Keep the whole page as a picture."""
        data = self._call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        return self._kept(f"{name}.png", base64.b64decode(data))

    def printed(self, name: str) -> bytes:
        """Keep the page as it is printed; return the PDF."""
        data = base64.b64decode(self._call("Page.printToPDF")["data"])
        self._kept(f"{name}.pdf", data)
        return data

    def _kept(self, name: str, content: bytes) -> Path:
        ARTEFACTS.mkdir(exist_ok=True)
        file = ARTEFACTS / name
        file.write_bytes(content)
        return file

    def _call(self, method: str, **parameters):
        number = self._send(method, **parameters)
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def _send(self, method: str, **parameters) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._number

    def _until_loaded(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._loaded:
            self._next(deadline)

    def _next(self, deadline: float) -> dict:
        """What the browser says next; TimeoutError when it says nothing until then, AssertionError when it has ended."""
        while b"\0" not in self._buffer:
            readable, _, _ = select.select([self._in], [], [], max(deadline - time.monotonic(), 0))
            if not readable:
                raise TimeoutError("Chromium says nothing")
            read = os.read(self._in, 1 << 20)
            assert read, "Chromium has ended"
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message.get("method") == "Network.responseReceived":
            response = parameters["response"]
            self.headers[response["url"]] = {name.lower(): value for name, value in response["headers"].items()}
        elif message.get("method") == "Log.entryAdded":
            self.errors.append(parameters["entry"]["text"])
        elif message.get("method") == "Page.loadEventFired":
            self._loaded = True
        elif message.get("method") == "Page.javascriptDialogOpening":
            self.dialogs.append(parameters["message"])
            self._send("Page.handleJavaScriptDialog", accept=True)
        return message
