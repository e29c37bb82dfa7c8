"""Pages that workers take ahead of need: what was learned is what is written, and nothing in them changes."""

from __future__ import annotations

import ctypes
import json
import mmap
import os

import pytest

from mailguard.daemon import pages, rehearsal
from mailguard.daemon.server import Program

SIZE = mmap.PAGESIZE


@pytest.fixture
def memory():
    """Forty pages that a child shares until it writes: (map, address)."""
    with mmap.mmap(-1, 40 * SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for number in range(40):
            memory[number * SIZE] = number + 1
        anchor = ctypes.c_char.from_buffer(memory)
        yield memory, ctypes.addressof(anchor)
        del anchor


def in_child(work):
    """What `work` returns in a fork of this process."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        try:
            os.write(writing, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        told = file.read()
    os.waitpid(process, 0)
    return json.loads(told)


def own(address):
    """The numbers of those of the forty pages that this process has for itself."""
    return [
        number
        for number in range(40)
        if any(
            start <= address + number * SIZE < start + length for start, length, advice in pages.used() if advice == pages._WRITE
        )
    ]  # fmt: skip


def test_what_was_written_is_known_and_no_other_page(memory):
    data, address = memory

    def work():
        data[5 * SIZE] = data[9 * SIZE + 7] = data[10 * SIZE] = 0xFF
        return own(address)

    assert in_child(work) == [5, 9, 10]


def test_a_page_is_taken_without_a_change(memory):
    data, address = memory

    def work():
        pages.take([(address + 20 * SIZE, 2 * SIZE, pages._WRITE)])
        return [own(address), data[:].hex()]

    assert in_child(work) == [[20, 21], data[:].hex()]
    assert in_child(lambda: own(address)) == []


def test_what_cannot_be_taken_is_left(memory):
    _, address = memory
    pages.take([(0, SIZE, pages._WRITE), (address + 1, SIZE, pages._WRITE), (address, SIZE, 12345)])
    pages.take([])


def test_only_what_a_fork_will_have_too_is_taken(memory):
    _, address = memory
    ours = (address, SIZE, pages._WRITE)
    assert pages.shared([ours, (1 << 40, SIZE, pages._WRITE), (address, SIZE, pages._READ)]) == [ours]
    assert pages.shared([]) == []


def test_without_the_table_of_pages_nothing_is_known(monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    assert pages.used() == []


def test_a_worker_tells_its_pages_and_a_program_that_fails_none(capfd):
    from mailguard import streams

    def told():
        return rehearsal.needed(Program(["strip"], lambda: streams.leave(0)))

    assert in_child(told)
    assert in_child(lambda: rehearsal.needed(Program([], None))) == []
