"""The filter contract once more, word for word, with a daemon that does the work."""

from __future__ import annotations

import inspect

import pytest
import test_contract
from daemons import Daemon

for _name, _test in vars(test_contract).items():
    if _name.startswith("test_") and "driver" not in inspect.signature(_test).parameters:
        globals()[_name] = _test


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, environment):
    daemon = Daemon(tmp_path_factory.mktemp("daemon") / "own", environment)
    yield daemon
    assert daemon.stop() == 0
    # Besides these no client did the work itself: the daemon was there all the time, and it tells of what it refuses.
    assert {line.partition("client: ")[2] for line in daemon.refusals()} == {"the client's memory is limited"}


@pytest.fixture(autouse=True)
def through_the_daemon(daemon, monkeypatch, environment):
    monkeypatch.setitem(environment, "MAILGUARD_DAEMON", daemon.path)
