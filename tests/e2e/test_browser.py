"""The browser of the tests may be as slow as it likes, but nothing waits for it for ever."""

from __future__ import annotations

import os
import time

import pytest
from browser import Browser
from detectors.chromium import Watcher


def test_a_browser_that_says_nothing_is_not_waited_for():
    silent = Browser()
    silent._in, writing = os.pipe()
    with pytest.raises(TimeoutError):
        silent._next(time.monotonic())
    os.close(writing)
    with pytest.raises(AssertionError, match="has ended"):
        silent._next(time.monotonic())
    os.close(silent._in)


class Overtaken(Watcher):
    """A browser whose first navigations are lost to those of the page before."""

    def __init__(self, lost):
        super().__init__()
        self.lost = lost
        self.asked = 0
        self._ready = set()

    def _call(self, method, **parameters):
        self.asked += 1
        return {"loaderId": str(self.asked)}

    def _next(self, deadline):
        if self.asked <= self.lost:
            raise TimeoutError
        self._ready.add(str(self.asked))


def test_a_navigation_that_was_overtaken_is_asked_for_again():
    watcher = Overtaken(2)
    assert watcher._go("about:blank") == "3"
    with pytest.raises(TimeoutError, match="about:blank does not load"):
        Overtaken(99)._go("about:blank")
