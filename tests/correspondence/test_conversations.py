"""The file of conversations: what is in it is found, whoever writes or dies meanwhile, and nothing else is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from verbs import KEY, RING, key

from mailguard.correspondence import conversations
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.seal import KeyRing

NOW = 1_790_000_000
DAY = 86400


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "conversations"
    conversations.create(str(path), RING, NOW)
    return str(path)


def learn(path, numbers, *, ring=RING, now=NOW):
    def marked(_known):
        yield [(b"%d@x" % number, b"@p%d" % (number % 7)) for number in numbers]
        yield [(b"%d@x" % number,) for number in numbers]

    conversations.learn(path, ring, now, marked)


def found(path, numbers, ring=RING):
    with conversations.OpenConversations(path, ring) as known:
        return sum(
            known.has(b"%d@x" % number) and known.has(b"%d@x" % number, b"@p%d" % (number % 7)) for number in numbers
        )


def heading(path):
    with open(path, "rb") as file:
        return file.read(4096).rstrip(b"\0").decode().splitlines()[1:]


def test_what_was_learned_is_found_and_nothing_else_is(path):
    learn(path, range(3000))
    assert found(path, range(3000)) == 3000
    assert heading(path)[0].split()[1] > "2"  # it has grown
    with conversations.OpenConversations(path, RING) as known:
        assert not any(known.has(b"%d@x" % number) for number in range(3000, 6000))
        assert not any(known.has(b"%d@x" % number, b"@p9") for number in range(3000))


def test_a_second_time_changes_nothing(path):
    learn(path, range(300))
    with open(path, "rb") as file:
        before = file.read()
    learn(path, range(300))
    with open(path, "rb") as file:
        assert file.read() == before


def test_without_the_key_nothing_can_be_read_from_it(path):
    learn(path, range(50))
    other = KeyRing([key(b"other")])
    with pytest.raises(ConfigurationError, match=KEY.name):
        found(path, [1], other)
    with pytest.raises(ConfigurationError, match=KEY.name), conversations.OpenConversations(path, None):
        pass
    with open(path, "rb") as file:
        text = file.read()
    assert b"@x" not in text
    assert b"@p" not in text


def test_the_file_is_bounded_and_the_latest_are_there(path, monkeypatch):
    monkeypatch.setattr(conversations, "MOST_BITS", 1)
    for start in range(0, 4000, 200):
        learn(path, range(start, start + 200))
        assert os.path.getsize(path) <= 4096 * (1 + 2 * 2)
        assert found(path, range(start, start + 200)) == 200
    assert len(heading(path)) == 2
    assert found(path, range(3700, 4000)) == 300  # the generation before is there
    assert found(path, range(1000)) == 0


def test_a_generation_lasts_a_year(path):
    learn(path, range(10))
    learn(path, range(10, 20), now=NOW + 364 * DAY)
    assert len(heading(path)) == 1
    learn(path, range(20, 30), now=NOW + 366 * DAY)
    assert len(heading(path)) == 2
    assert found(path, range(30)) == 30
    learn(path, range(30, 40), now=NOW + 2 * 366 * DAY)
    assert found(path, range(20)) == 0
    assert found(path, range(20, 40)) == 20


def test_old_keys_open_what_was_learned_with_them(path):
    new = key(b"new")
    learn(path, range(10))
    learn(path, range(10, 20), ring=KeyRing([new, KEY]))
    assert found(path, range(20), KeyRing([new, KEY])) == 20
    learn(path, range(20, 30), ring=KeyRing([new]))  # the old key is gone, and what it made with it
    assert found(path, range(20, 30), KeyRing([new])) == 10
    assert found(path, range(20), KeyRing([new])) == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: b"",
        lambda raw: b"x" * 9000,
        lambda raw: raw.replace(b"-1\n", b"-2\n"),
        lambda raw: raw.replace(b" 0 ", b" 60 "),
        lambda raw: raw.replace(b" 0 ", b" -1 "),
    ],
)
def test_a_damaged_file_is_told(path, damage):
    with open(path, "rb") as file:
        raw = file.read()
    with open(path, "wb") as file:
        file.write(damage(raw))
    with pytest.raises(ConfigurationError, match="conversations"):
        found(path, [1])
    with pytest.raises(ConfigurationError, match="conversations"):
        learn(path, [1])


def test_what_is_no_file_is_told(tmp_path, path):
    for wrong in (tmp_path, tmp_path / "missing", "/dev/null"):
        with pytest.raises(ConfigurationError):
            found(str(wrong), [1])
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(ConfigurationError):
        learn(str(link), [1])


def test_owner_and_mode_stay_when_it_grows(path):
    os.chmod(path, 0o640)
    learn(path, range(1000))
    assert os.stat(path).st_mode & 0o777 == 0o640
    conversations.create(path, RING, NOW)
    assert found(path, range(1000)) == 1000


WRITER = """
import sys
from mailguard.correspondence import conversations
from mailguard.seal import keys
from verbs import RING
path, start = sys.argv[1], int(sys.argv[2])
for number in range(start, start + 400):
    name = b"%d@x" % number
    conversations.learn(path, RING, 1_790_000_000, lambda _: iter([[(name, b"@p%d" % (number % 7))], [(name,)]]))
    print(number, flush=True)
"""


def writer(path, start):
    return subprocess.Popen([sys.executable, "-c", WRITER, path, str(start)], stdout=subprocess.PIPE)


def test_several_write_at_once_and_one_reads(path):
    writers = [writer(path, start) for start in (0, 10_000, 20_000)]
    while any(each.poll() is None for each in writers):
        with conversations.OpenConversations(path, RING) as known:
            for number in (5, 10_005, 20_005):
                if known.has(b"%d@x" % number):  # who sees the message sees its party
                    assert known.has(b"%d@x" % number, b"@p%d" % (number % 7))
    for each in writers:
        each.communicate(timeout=60)
        assert each.returncode == 0
    assert found(path, [*range(400), *range(10_000, 10_400), *range(20_000, 20_400)]) == 1200


def test_what_was_told_to_be_learned_survives_a_kill(path):
    process = writer(path, 0)
    told = [int(process.stdout.readline()) for _ in range(150)]
    process.kill()
    process.communicate(timeout=60)
    assert found(path, told) == len(told)
    learn(path, [7777])
    assert found(path, [7777, *told]) == len(told) + 1


def test_a_full_disk_loses_nothing(path, monkeypatch):
    learn(path, range(400))

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", full)  # while it is written anew
        broken.setattr(os, "pwrite", full)
        with pytest.raises(MailguardError, match="space"):
            learn(path, range(400, 2000))
    assert found(path, range(400)) == 400
    learn(path, range(400, 2000))
    assert found(path, range(2000)) == 2000
