"""kill -9 at random moments: no message is lost, and a second copy appears only where the answer was on its way."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from smtp_faults import Server

CI = bool(os.environ.get("MAILGUARD_CI"))
KILLS = int(os.environ.get("MAILGUARD_KILLS", "200" if CI else "30"))
SEED = int(os.environ.get("MAILGUARD_SEED", "5"))

pytestmark = pytest.mark.timeout(600 + 10 * KILLS)


class Installation:
    def __init__(self, folder: Path, url: str, *more: str) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        common = ["--log", "none", "--spool", str(self.spool), "--spool-reserve", "0"]
        self.start = [sys.executable, "-m", "mailguard", "duplicate", *common]
        self.targets = [word for target in (url, *more) for word in ("--to", target)]
        self.kills = 0

    def filter(self, raw: bytes, seconds: float | None) -> bool:
        """Run the filter, kill it and what it left working after `seconds`; whether the mail system took the mail."""
        (self.folder / "in").write_bytes(raw)
        command = [*self.start, *self.targets, "--sender", "", "--recipient", "b@two.test"]
        with (self.folder / "in").open("rb") as stdin, (self.folder / "out").open("wb") as stdout:
            process = subprocess.Popen(command, stdin=stdin, stdout=stdout)
            self.wait(process, seconds)
        if process.returncode == 0:
            assert (self.folder / "out").read_bytes() == raw
        return process.returncode == 0

    def flush(self, seconds: float | None) -> None:
        self.wait(subprocess.Popen([*self.start, "--flush", "--all"]), seconds)

    def wait(self, process: subprocess.Popen, seconds: float | None) -> None:
        try:
            process.wait(120 if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            assert seconds is not None, "it does not end"
            process.kill()
            self.kills += 1
            for other in self.others():
                with contextlib.suppress(ProcessLookupError):  # it has ended since
                    os.kill(other, signal.SIGKILL)
            process.wait(120)

    def others(self) -> list[int]:
        """Every process that works in our spool."""
        wanted = os.fsencode(self.spool)
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def waiting(self) -> list[Path]:
        return list((self.spool / "queue").glob("?" * 32))


def message(number: int) -> bytes:
    return b"Message-ID: <%d@one.test>\nSubject: x\n\n.\nline\r\n" % number + b"x" * (number * 997 % 60_000)


def test_kill_9_at_any_moment_loses_nothing_and_doubles_only_what_was_in_flight(tmp_path):
    moments = random.Random(SEED)
    with Server() as server:
        site = Installation(tmp_path, server.url(), f"maildir:{tmp_path}/copies")
        started = time.monotonic()
        assert site.filter(message(0), None)
        whole = time.monotonic() - started
        number = 0
        while site.kills < KILLS:
            number += 1
            if not site.filter(message(number), moments.uniform(0, whole)):
                if number % 7 == 0:
                    site.flush(moments.uniform(0, whole))
                assert site.filter(message(number), None), "the mail system tries again"
        while site.waiting():
            site.flush(None)
        server.wait_for_goodbyes()
    for each in range(number + 1):
        copies = server.copies(message(each))
        assert copies, f"message {each} is lost"
        assert all(not copy.acknowledged for copy in copies[:-1]), f"message {each} was doubled after its answer"
    assert len(server.messages) <= number + 1 + site.kills
    stored = sorted(file.read_bytes() for file in (tmp_path / "copies/new").iterdir())
    assert stored == sorted(map(message, range(number + 1)))


@pytest.mark.parametrize("kills", [max(KILLS // 8, 5)])
def test_a_flush_killed_at_any_moment_doubles_only_what_was_in_flight(tmp_path, kills):
    moments = random.Random(SEED)
    with Server() as server:
        site = Installation(tmp_path, server.url())
        site.targets += ["--timeout", "0"]
        for number in range(20):
            assert site.filter(message(number), None)
        for _ in range(kills):
            site.flush(moments.uniform(0.05, 0.3))
        while site.waiting():
            site.flush(None)
        server.wait_for_goodbyes()
    for number in range(20):
        copies = server.copies(message(number))
        assert copies, f"message {number} is lost"
        assert all(not copy.acknowledged for copy in copies[:-1])
    assert len(server.messages) <= 20 + site.kills
