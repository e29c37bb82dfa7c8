"""Pages of memory that every message makes its worker copy: they are copied while the worker still waits.

A worker shares the memory of the server until it writes, and an interpreter writes nearly everywhere: it counts
references.  To take a page for oneself costs more than what is then done with it, and some 800 are needed for the
shortest mail.  Which, is learned once, from a worker that filters a mail of nobody's; only the numbers of its pages are
kept.  Where the kernel does not offer this (Linux 5.14 does), pages are copied when they are written, as ever.
"""

from __future__ import annotations

import os

_SIZE = os.sysconf("SC_PAGE_SIZE")
_PRESENT, _EXCLUSIVE = 1 << 63, 1 << 56  # pagemap: in memory; mapped by nobody else
_READ, _WRITE = 22, 23  # MADV_POPULATE_READ, MADV_POPULATE_WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Range = tuple[int, int, int]
    """Start, length, advice for madvise(2)."""


def used() -> list[Range]:
    """Return what this process has in memory for itself, or of files, until now; nothing where that is not told."""
    found: list[Range] = []
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            for start, stop, advice in _mappings():
                found += _ranges(pagemap.fileno(), start, stop, advice)
    except OSError:
        return []
    return found


def _mappings() -> Iterator[Range]:
    """Yield private mappings: (start, stop, advice)."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            place, permissions, *rest = line.split()
            if permissions[3] != "p" or permissions[0] != "r" or rest[-1].startswith("[v"):
                continue
            start, stop = (int(each, 16) for each in place.split("-"))
            if permissions[1] == "w" or len(rest) > 3:
                yield start, stop, _WRITE if permissions[1] == "w" else _READ


def _ranges(pagemap: int, start: int, stop: int, advice: int) -> Iterator[Range]:
    wanted = _PRESENT | _EXCLUSIVE if advice == _WRITE else _PRESENT
    entries = memoryview(os.pread(pagemap, (stop - start) // _SIZE * 8, start // _SIZE * 8)).cast("Q")
    first = None
    for number, entry in enumerate(entries):
        if entry & wanted == wanted:
            first = number if first is None else first
        elif first is not None:
            yield start + first * _SIZE, (number - first) * _SIZE, advice
            first = None
    if first is not None:
        yield start + first * _SIZE, (len(entries) - first) * _SIZE, advice


def shared(ranges: list[Range]) -> list[Range]:
    """Return those that this process has too, and so whatever it forks: what the other one made for itself is not."""
    mappings = list(_mappings()) if ranges else []
    return [
        (start, length, advice)
        for start, length, advice in ranges
        if any(first <= start and start + length <= stop and advice == kind for first, stop, kind in mappings)
    ]


def take(ranges: list[Range]) -> None:
    """Take these pages now."""
    if ranges:
        import ctypes

        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
        for start, length, advice in ranges:
            madvise(start, length, advice)  # whatever comes of it: they are only taken earlier
