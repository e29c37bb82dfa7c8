"""Children that read hostile content: one for the small contents of a message, and what ends it takes one content."""

from __future__ import annotations

import os
import signal
import time

import pytest
import verbs

from mailguard.errors import ContentLimit
from mailguard.formats import confined
from mailguard.formats.disarmed import Disarmed, DisarmQuota, Options, Refused
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import load


def number(_content, _options):
    return Disarmed(b"%d" % os.getpid(), "a/b", "c")


def same(content, _options):
    return Disarmed(content, "a/b", "c", ("comment", "script"))


def options_seen(_content, options):
    return Disarmed(repr(options.plain()).encode(), "a/b", "c")


def ends(content, _options):
    if content == b"abort":
        os.abort()
    if content == b"exit":
        os._exit(0)
    if content == b"close":
        os.closerange(3, 100)
    if content == b"memory":
        bytearray(1 << 30)
    if content == b"for ever":
        while True:
            pass
    if content == b"stopped":
        os.kill(os.getpid(), signal.SIGKILL)
    if content == b"refused":
        raise Refused("encrypted")
    raise RuntimeError


def more_than_it_may(_content, _options):
    return Disarmed(bytes(confined._LARGEST_RESULT + 1), "a/b", "c")


def process(content=b"x", memory=confined.MEMORY):
    return int(confined.confined(number, content, Options(), memory).data)


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_small_contents_share_a_child_until_their_message_ends():
    first = process()
    assert first != os.getpid()
    assert process(memory=1 << 28) == first
    confined.dismiss()
    assert not is_there(first)
    assert process() != first


def test_a_large_content_and_a_function_of_the_moment_have_their_own():
    first = process()
    large = process(b"x" * (confined._SMALL + 1))
    moment = int(confined.confined(lambda *_: number(b"", None), b"x", Options()).data)
    assert len({first, large, moment, os.getpid()}) == 4
    assert not is_there(large)
    assert not is_there(moment)
    assert process() == first


@pytest.mark.parametrize("size", [0, 1, 70_000, confined._SMALL, confined._SMALL + 1, 3 << 20])
def test_unchanged_content_is_the_same_object(size):
    content = bytes(size)
    done = confined.confined(same, content, Options())
    assert done.data is content
    assert (done.mime, done.extension, done.removed) == ("a/b", "c", ("comment", "script"))


def test_the_child_sees_the_options_of_each_content():
    for names in (("a.js",), ("b", "c")):
        options = Options(frozenset({"metadata"}), quota=DisarmQuota(5, 6), depth=2, passwords=(b"p",), names=names)
        seen = confined.confined(options_seen, b"", options).data.decode()
        assert seen == repr((("metadata",), 5, 6, 2, (b"p",), names))


@pytest.mark.parametrize("size", [0, confined._SMALL])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"abort", "damaged"),
        (b"exit", "damaged"),
        (b"close", "damaged"),
        (b"memory", "over-limit"),
        (b"for ever", "over-limit"),
        (b"stopped", "over-limit"),
        (b"refused", "encrypted"),
        (b"another error", "damaged"),
    ],
)
def test_what_ends_a_child_takes_one_content(content, code, size, monkeypatch):
    monkeypatch.setattr(confined, "SECONDS", 1)

    def refused(content):
        with pytest.raises(Refused) as caught:
            confined.confined(ends, content, Options(), 64 << 20)
        assert caught.value.code == code

    refused(content)
    refused(content)
    if size:
        monkeypatch.setattr(confined, "_SMALL", -1)
        refused(content)
    assert process() not in {0, os.getpid()}


def test_a_result_that_is_too_large_is_not_taken(monkeypatch):
    monkeypatch.setattr(confined, "_LARGEST_RESULT", 1 << 20)
    for _ in range(2):
        with pytest.raises(Refused, match="over-limit"):
            confined.confined(more_than_it_may, b"", Options())
    assert is_there(process())


def test_the_end_of_the_time_leaves_no_child_in_the_middle_of_something(monkeypatch):
    def alarm(*_):
        raise ContentLimit("limit.time")

    first = int(confined.confined(number, b"", Options()).data)
    monkeypatch.setattr(confined._Child, "answer", alarm)
    with pytest.raises(ContentLimit):
        confined.confined(number, b"", Options())
    assert not is_there(first)
    assert not confined._shared


def test_no_descriptor_and_no_child_is_left(monkeypatch):
    monkeypatch.setattr(confined, "SECONDS", 1)
    before = len(os.listdir("/proc/self/fd"))
    for content in (b"abort", b"refused", b"exit") * 3:
        with pytest.raises(Refused):
            confined.confined(ends, content, Options())
        process(b"x" * (confined._SMALL + 1))
    confined.dismiss()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_child_without_its_parent_ends():
    reading, writing = os.pipe()
    parent = os.fork()
    if not parent:
        os.write(writing, b"%d" % process())
        os._exit(0)
    os.waitpid(parent, 0)
    child = int(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{child}") and not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return b") Z " in file.read()
    except FileNotFoundError:
        return True


def test_many_pages_of_a_message_start_few_processes(monkeypatch):
    started = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: started.append(1) or fork())
    part = b"--x\nContent-Type: text/html\n\n<p onclick=x>%d\n"
    top = b"From: a@b.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
    raw = top + b"".join(part % each for each in range(40)) + b"--x--\n"
    result = sanitize(raw, verbs.rules(), lambda: load(None), verbs.site(), Sandbox)
    assert len([one for one in result.attachments if "handler" in one["removed"]]) == 40
    assert 0 < len(started) <= 2
    assert not confined._shared
