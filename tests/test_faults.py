"""Faults are proven: each system call of a program fails once, or kills it, and no mail is lost or doubled.

What the mail system sees is checked after each fault: status 0 with the whole mail, or 75 with none; after a 75 or a
kill it tries again, and that must succeed.  In CI a sample, the same every time; all of them by hand:

    MAILGUARD_FAULTS=all sh tests/run tests/test_faults.py
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from faults import KILL, Case, Zygote, cases, sampled
from program import PROGRAM
from smtp_faults import Server

from mailguard.spool.queue import Spool

if TYPE_CHECKING:
    from pathlib import Path

COUNT = os.environ.get("MAILGUARD_FAULTS", "24")  # of each program, or "all"
SEED = int(os.environ.get("MAILGUARD_SEED", "5"))
RAW = b"From: a@one.test\nTo: b@two.test\nMessage-ID: <1@one.test>\nSubject: x\n\nbody\n"
EVIL = (
    b"From: a@one.test\nMessage-ID: <2@one.test>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
    b"--b\n\ntext\n--b\nContent-Type: application/octet-stream; name=run.exe\n\nMZ\n"
    b"--b\nContent-Type: application/pdf; name=x.pdf\n\n%PDF-1.4\n--b--\n"
)
MOMENT = ["--now", "2026-01-31T09:00:00Z"]
ENVELOPE = ["--sender", "a@one.test", "--recipient", "b@two.test"]
DEAD = "smtp://127.0.0.1:1"


@pytest.fixture(scope="module")
def zygote():
    if not shutil.which("strace"):
        pytest.skip("strace is missing")
    with Zygote() as zygote:
        yield zygote


class Site:
    """A fresh folder for each case, and the program in it."""

    raw = RAW
    statuses = (0, 75)

    def __init__(self, zygote, environment, folder: Path) -> None:
        self.zygote = zygote
        self.environment = environment
        self.folder = folder
        folder.mkdir()

    def arguments(self) -> list[str]:
        raise NotImplementedError

    def run(self, case=None, depth=None):
        return self.zygote.run(self.folder, self.arguments(), self.environment, self.raw, depth=depth, case=case)

    def check(self, done, case) -> None:
        """What holds after one run."""
        assert b"Traceback" not in done.errors, done.errors.decode()
        if case.error == KILL and done.status == -9:
            return
        assert done.status in self.statuses, (done.status, done.errors)
        if done.status == 75:
            assert done.output == b""
            said = re.fullmatch(rb"4\.3\.[05] mailguard: [^\n]+\n", done.errors)
            assert said or (done.errors, case.name) == (b"", "write"), done.errors  # it was that which failed
        else:
            assert done.errors.count(b"\n") <= 1, done.errors
            self.check_output(done.output)

    def again(self, status: int) -> None:
        """What the mail system does after a run."""
        for _ in range(0 if status == 0 else 2):
            done = self.run()
            assert b"Traceback" not in done.errors, done.errors.decode()
            status = done.status
        assert status == 0, done.errors
        if status == 0:
            self.check_output((self.folder / ".out").read_bytes())

    def check_output(self, output: bytes) -> None:
        assert output == self.raw

    def finish(self) -> None:
        """What holds at the end."""

    def expect(self, done) -> None:
        """Take what a run without faults gave for what must come out."""
        assert done.status == self.statuses[0], done.errors
        type(self).expected = done.output


class Duplicate(Site):
    """Copies to a server, a Maildir and an mbox."""

    options = ("--spool-reserve", "0")
    server: Server

    def targets(self):
        return [self.server.url(), f"maildir:{self.folder}/copies", f"mbox:{self.folder}/box"]

    def arguments(self):
        return [
            *("duplicate", "--log", "none", "--spool", f"{self.folder}/spool", *self.options, *ENVELOPE),
            *[word for url in self.targets() for word in ("--to", url)],
        ]

    def flush(self):
        words = ["duplicate", "--flush", "--all", "--log", "none", "--spool", f"{self.folder}/spool"]
        return self.zygote.run(self.folder, words, self.environment)

    def waiting(self) -> list[str]:
        with Spool(f"{self.folder}/spool", create=False) as spool:
            return [name for folder in ("queue", "failed") for name in spool.identifiers(folder)]

    def settle(self) -> None:
        """Wait until no process works on an entry any more."""
        import fcntl

        for path in self.folder.glob("spool/queue/" + "?" * 32):
            with contextlib.suppress(FileNotFoundError), path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)

    def finish(self):
        self.settle()
        for _ in range(3):
            if not self.waiting():
                break
            assert self.flush().status in {0, 1}
        assert not self.waiting()
        self.server.wait_for_goodbyes()
        self.check_copies()

    def check_copies(self):
        copies = self.server.copies(self.raw)
        assert copies, "the copy is lost"
        assert len(copies) == len(self.server.messages)
        assert all(not copy.acknowledged for copy in copies[:-1]), "doubled after its final answer"
        assert [path.read_bytes() for path in (self.folder / "copies/new").iterdir()] == [self.raw]
        assert (self.folder / "box").read_bytes().count(b"Message-ID:") == 1


class DuplicateLocal(Duplicate):
    """One place: the process that delivers does it in its own thread."""

    def targets(self):
        return [f"mbox:{self.folder}/box"]

    def check_copies(self):
        assert (self.folder / "box").read_bytes().count(b"Message-ID:") == 1


class DuplicateServer(Duplicate):
    def targets(self):
        return [self.server.url()]

    def check_copies(self):
        copies = self.server.copies(self.raw)
        assert copies, "the copy is lost"
        assert all(not copy.acknowledged for copy in copies[:-1]), "doubled after its final answer"


class DuplicateWithoutRoom(DuplicateServer):
    """No room in the spool, and another place that is down: every try ends with 75."""

    statuses = (75,)
    options = ("--spool-reserve", "900000G", "--timeout", "2")

    def targets(self):
        return [self.server.url(), DEAD]

    def again(self, status):
        for _ in range(2):
            done = self.run()
            assert done.status == 75, done.errors

    def finish(self):
        self.server.wait_for_goodbyes()
        self.check_copies()


class Flush(DuplicateServer):
    """The work on what waits."""

    statuses = (0, 1, 75)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.filled = False

    def arguments(self):
        words = super().arguments()
        return words if not self.filled else ["duplicate", "--flush", "--all", *words[1:]]

    def run(self, case=None, depth=None):
        if not self.filled:
            self.options = ("--timeout", "0", "--spool-reserve", "0")
            assert super().run().status == 0
            self.filled = True
        return super().run(case, depth)

    def check(self, done, case):
        assert b"Traceback" not in done.errors, done.errors.decode()
        assert done.status in self.statuses or (done.status, case.error) == (-9, KILL), (done.status, done.errors)

    def again(self, status):
        pass


class Strip(Site):
    raw = EVIL

    def arguments(self):
        return ["strip", "--when", "always", "--log", "none", "--save", f"{self.folder}/held", *MOMENT]

    def check_output(self, output):
        assert output == self.expected
        assert self.held() == self.expected_held

    def held(self) -> dict[str, bytes]:
        files = [path for path in (self.folder / "held").glob("*/*") if not path.name.startswith(".")]
        return {path.name: path.read_bytes() for path in files}

    def expect(self, done):
        super().expect(done)
        type(self).expected_held = self.held()
        assert len(self.held()) == 2


class Quarantine(Site):
    raw = EVIL

    def arguments(self):
        return ["quarantine", "--when", "always", "--log", "none", "--journal", f"{self.folder}/journal", *MOMENT]

    def check_output(self, output):
        assert output == self.expected
        lines = (self.folder / "journal").read_bytes().splitlines()
        identifiers = {json.loads(line)["quarantine_id"] for line in lines}
        assert len(identifiers) == 1
        assert identifiers.pop().encode() in output


class Batch(Site):
    """Status 1 leaves no output; 65 leaves each message in its place."""

    statuses = (0, 1, 65)

    def arguments(self):
        if not (self.folder / "in").exists():
            mails = (
                b"From a@one.test Sat Jan 31 09:00:00 2026\n" + EVIL.replace(b"<2@", b"<%d@" % n) for n in range(3)
            )
            (self.folder / "in").write_bytes(b"\n".join(mails) + b"\n")
        resume = ["--resume"] if (self.folder / ".out.mbox.mailguard-batch").exists() else []
        words = ["quarantine --when always --log none", f"{self.folder}/in", "--output", f"{self.folder}/out.mbox"]
        return ["batch", *words, "--jobs", "1", *resume, *MOMENT]

    def check(self, done, case):
        assert b"Traceback" not in done.errors, done.errors.decode()
        assert done.status in self.statuses or (done.status, case.error) == (-9, KILL), (done.status, done.errors)
        if done.status in {1, -9}:
            self.check_complete()
        else:
            self.check_result(failed=done.status == 65)

    def check_complete(self):
        """An output that is there is whole, also without a status that says so."""
        if (self.folder / "out.mbox").exists():
            self.check_result()

    def check_result(self, *, failed=False):
        assert (self.folder / "out.mbox").exists(), "no output"
        output = (self.folder / "out.mbox").read_bytes()
        assert re.findall(rb"(?m)^Message-ID: <([0-9])@", output) == [b"0", b"1", b"2"]
        if not failed:
            assert output == self.expected

    def again(self, status):
        if status in {0, 65}:
            return
        done = self.run()
        if done.status == 1 and b"exists already" in done.errors:  # complete, but for its working folder
            return
        assert done.status == 0, done.errors
        self.check_result()

    def check_output(self, output):
        pass

    def finish(self):
        self.check_result(failed=True)

    def expect(self, done):
        super().expect(done)
        type(self).expected = (self.folder / "out.mbox").read_bytes()


PROGRAMS = [
    pytest.param(Duplicate, 0, id="duplicate"),
    pytest.param(DuplicateLocal, 2, id="delivery-mbox"),
    pytest.param(DuplicateServer, 2, id="delivery-server"),
    pytest.param(DuplicateWithoutRoom, 0, id="duplicate-without-room"),
    pytest.param(DuplicateWithoutRoom, 2, id="delivery-without-room"),
    pytest.param(Flush, 0, id="flush"),
    pytest.param(Strip, 0, id="strip"),
    pytest.param(Quarantine, 0, id="quarantine"),
    pytest.param(Batch, 0, id="batch"),
    pytest.param(Batch, 1, id="batch-worker"),
]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("program", "depth"), PROGRAMS)
def test_each_system_call_may_fail_once(zygote, environment, tmp_path, program, depth, record_property):
    with Server() as server:
        program.server = server
        first = program(zygote, environment, tmp_path / "first")
        done = first.run(depth=depth)
        first.expect(done)
        found = cases(done.calls)
        count = len(found) if COUNT == "all" else int(COUNT)
        wrong = []
        tried = 0
        for number, case in enumerate(sampled(found, count, SEED)):
            server.messages.clear()
            site = program(zygote, environment, tmp_path / str(number))
            tried += 1
            try:
                done = site.run(case, depth)
                site.check(done, case)
                site.again(done.status)
                site.finish()
            except (AssertionError, OSError) as error:
                wrong.append(f"{case}: {error!r}")
            shutil.rmtree(site.folder, ignore_errors=True)
    record_property("faults", f"{tried} of {len(found)}")
    print(f"{program.__name__} {depth}: {tried} of {len(found)} faults, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(3600)
def test_each_system_call_of_a_start_may_fail_once(environment, tmp_path):
    """From the first look for our own files on; before that it is the shell and Python that cannot start."""
    command = [PROGRAM, "strip", "--log", "none"]
    site = tmp_path / "trace"

    output = tmp_path / "output"

    def traced(*words):
        with output.open("wb") as file:
            return subprocess.run(
                ["strace", "-o", site, *words, *command],
                env=environment,
                input=RAW,
                stdout=file,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )

    assert traced().returncode == 0
    names = [line.partition("(")[0] for line in site.read_text(errors="replace").splitlines()]
    begin = next(number for number, line in enumerate(site.read_text().splitlines()) if "site-packages" in line)
    before, whole = Counter(names[:begin]), Counter(name for name in names if name.isidentifier())
    found = [case for case in cases(whole) if case.number > before[case.name]]
    wrong = []
    for case in sampled(found, len(found) if COUNT == "all" else int(COUNT), SEED):
        done = traced("-e", f"trace={case.name}", "-e", case.expression)
        told = done.returncode, output.read_bytes()
        killed = case.error == KILL and done.returncode == -9
        if not (killed or told in {(0, RAW), (75, b"")}) or b"Traceback" in done.stderr:
            wrong.append(f"{case}: {done.returncode} {done.stderr.decode()[-300:]}")
    assert not wrong, "\n".join(wrong)


def test_a_fault_is_made(zygote, environment, tmp_path):
    """Or the sweep would prove nothing."""
    site = Strip(zygote, environment, tmp_path / "site")
    done = site.run(Case("fsync", 1, "EIO"), 0)
    assert (done.status, b"Input/output error" in done.errors) == (75, True)
    done = site.run(Case("fsync", 1, KILL), 0)
    assert done.status == -9
