"""A message that needs more memory than it may have is held whole, whoever notices it and wherever it ends."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import zipfile

import peak
import pytest
import verbs
from mailboxes import FROM
from program import PROGRAM

from mailguard import memory
from mailguard.errors import ConfigurationError, RefusedMail
from mailguard.message import encoding, tree
from mailguard.outcome.assessment import Bounded


def archive():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.html", b"<script>x</script>" * 1000)
    return target.getvalue()


def entity(kind, name, content):
    head = b"--xx\nContent-Type: " + kind + b"; name=" + name + b"\nContent-Transfer-Encoding: base64\n\n"
    return head + encoding.base64(content)


MAIL = (
    b"From: a@example.com\nTo: b@example.org\nSubject: x\nMIME-Version: 1.0\n"
    b"Content-Type: multipart/mixed; boundary=xx\n\n--xx\nContent-Type: text/plain\n\nHello\n"
    + entity(b"text/html", b"a.html", b"<p onclick=x>hello" * 5000)
    + entity(b"application/zip", b"a.zip", archive())
    + b"--xx--\n"
)
SIZES = ["1", "300k", "900k", "1500k", "2M", "2500k", "3M", "4M", "5M", "6M", "8M", "16M"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("verb", ["quarantine", "strip", "sanitize"])
def test_wherever_memory_ends_the_message_is_held_and_comes_back(mailguard, tmp_path, verb, size):
    journal = tmp_path / "journal"
    options = ["--when", "always", "--memory-limit", size, "--journal", journal, "--log", "none"]
    done = mailguard(verb, *options, input=MAIL)
    assert done.returncode == 0
    # libmagic cannot be told to be silent about what it falls back to.
    assert {line[:26] for line in done.stderr.splitlines()} <= {b"Warning: using regular mag"}
    record = json.loads(journal.read_text())
    assert (record["action"] == "held") == ("limit.memory" in record["codes"])
    assert size != "1" or record["action"] == "held"
    assert size != "16M" or record["action"] != "held"
    if record["action"] == "held":
        assert mailguard("release", input=done.stdout).stdout == MAIL


@pytest.mark.parametrize("size", SIZES)
def test_what_cannot_be_judged_in_its_memory_passes_all_the_same(mailguard, size):
    done = mailguard("verify", "--authserv-id", "mx.test", "--memory-limit", size, "--log", "none", input=MAIL)
    assert done.returncode == 0
    assert done.stdout.endswith(MAIL)


@pytest.mark.parametrize(("size", "judged"), [("1", False), ("64M", True)])
def test_what_costs_too_much_memory_to_judge_is_not_judged(mailguard, size, judged):
    raw = b"From: a@example.com\n" + b"X: y\n" * 9000 + b"\nHello\n"
    done = mailguard("verify", "--authserv-id", "mx.test", "--memory-limit", size, "--log", "none", input=raw)
    assert done.returncode == 0
    assert done.stdout.endswith(raw)
    assert (b'dmarc=permerror reason="judging it takes too much memory"' in done.stdout) == (not judged)


def test_the_archive_goes_on_behind_a_message_that_is_held(mailguard, tmp_path):
    (tmp_path / "box").write_bytes((FROM + MAIL + b"\n") * 3)
    pipeline = "quarantine --when always --log none"
    for size, held in (("1", True), ("1G", False)):
        journal = tmp_path / f"journal-{size}"
        paths = [tmp_path / "box", "--output", tmp_path / f"out-{size}", "--journal", journal]
        done = mailguard("batch", pipeline, *paths, "--memory-limit", size)
        assert done.returncode == 0
        found = [json.loads(line)["action"] == "held" for line in journal.read_text().splitlines()]
        # What was loaded for the first message, the next one has.
        assert len(found) == 3
        assert found[0] == held
        assert held or not any(found)


def test_the_configuration_says_it_for_all_commands(mailguard, tmp_path):
    configuration = tmp_path / "mailguard.toml"
    configuration.write_text('memory_limit = "1"\n')
    done = mailguard("quarantine", "--config", configuration, "--log", "stderr", "--when", "always", input=MAIL)
    assert (done.returncode, b"codes=limit.memory" in done.stderr) == (0, True)


# In one process

LIMIT = 96 << 20


def run(act, limit=LIMIT):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        with Bounded(MAIL, "quarantine", verbs.rules(), verbs.site(memory_limit=limit)) as bounded:
            return act(bounded.assess())
        return bounded.held()
    finally:
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_what_grows_without_end_is_held_and_gone():
    def act(found):
        pieces = [found]
        while True:
            pieces.append(bytes(1 << 20))

    result = run(act)
    assert result.action == "held"
    assert [finding.code for finding in result.findings] == ["limit.memory"]
    assert not tree._latest


def test_what_a_library_says_without_memory_is_no_failure_of_the_site():
    def act(found):
        pieces = [found]
        try:
            while True:
                pieces.append(bytes(1 << 20))
        except MemoryError:
            raise ConfigurationError("a library cannot be loaded") from None

    assert run(act).action == "held"


@pytest.mark.parametrize("error", [ConfigurationError("no key"), RefusedMail("not here"), ValueError("x")])
def test_what_goes_wrong_with_memory_left_is_what_it_is(error):
    def act(_found):
        raise error

    with pytest.raises(type(error)):
        run(act)


def test_a_lower_limit_of_somebody_else_stays():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory._size() + (1 << 29), before[1]))
    try:
        now = resource.getrlimit(resource.RLIMIT_DATA)
        with memory.Limit(1 << 40, 0):
            assert resource.getrlimit(resource.RLIMIT_DATA) == now
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def test_without_a_limit_nothing_is_set():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory.Limit(0, 1000):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize(
    "content", [b"MZ" + os.urandom(24 << 20), b"MZ" + b"program " * (3 << 20)], ids=["random", "text"]
)
@pytest.mark.parametrize("verb", ["quarantine", "sanitize"])
def test_a_large_attachment_is_in_memory_less_than_twice(verb, content, tmp_path, environment):
    head = MAIL.partition(b"--xx\n")[0]
    peaks = []  # the difference, because libraries and threads have their size too
    for size in (6 << 20, len(content)):
        source, target = tmp_path / f"{size}.eml", tmp_path / f"{size}.out"
        raw = head + entity(b"application/octet-stream", b"a.exe", content[:size]) + b"--xx--\n"
        source.write_bytes(raw)
        status, octets, _ = peak.run([verb, "--log", "none"], source, target, environment)
        released = subprocess.run(
            [PROGRAM, "release"],
            input=target.read_bytes(),
            env=environment,
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert (status, released.stdout) == (0, raw)
        peaks.append((octets, len(raw)))
    (small, short), (large, long) = peaks
    assert large - small < 2 * (long - short)
