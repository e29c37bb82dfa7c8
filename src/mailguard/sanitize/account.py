"""How much memory a program and everything it has started hold together.

RLIMIT_AS is for each process, so that many small ones are no smaller than a large one, and a control group needs a
manager that gives one away: a filter under pipe(8) or procmail has none.  So who waits for the program looks at it,
many times a second; between two looks it can grow by what a processor writes in that time.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_PROCESSES = 256
_HELD = (b"RssAnon:", b"RssShmem:", b"VmSwap:")  # proc(5); pages of files can be given back at any time
_EVERYTHING = 1 << 62


def limit() -> int:
    """Return how many octets a sandbox may hold: 3 GB, or three quarters of a smaller machine or control group."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(3 << 30, min([machine, *_groups()]) * 3 // 4)


def _groups() -> Iterator[int]:
    """Yield what our control group and those around it may hold, such as MemoryMax= of a unit (cgroup v2)."""
    for line in _content("/proc/self/cgroup").decode("utf-8", "surrogateescape").splitlines():
        hierarchy, _, path = line.partition("::")
        while hierarchy == "0" and path.strip("/"):
            most = _content(f"/sys/fs/cgroup{path}/memory.max").strip()
            if most.isdigit():  # else "max"
                yield int(most)
            path = path.rpartition("/")[0]


def held(process: int, folders: Mapping[str, int]) -> int:
    """Return the octets that a process and its descendants hold; folders: of theirs in memory, with their sizes.

    More than 256 processes count as everything.
    """
    family = [process]
    for member in family:
        family += _children(member)
        if len(family) > _MOST_PROCESSES:
            return _EVERYTHING
    return sum(map(_resident, family)) + _stored(family[-1], folders)


def _children(process: int) -> list[int]:
    found: list[int] = []
    for thread in _names(f"/proc/{process}/task"):
        found += map(int, _content(f"/proc/{process}/task/{thread}/children").split())
    return found


def _resident(process: int) -> int:
    lines = _content(f"/proc/{process}/status").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(_HELD))


def _stored(process: int, folders: Mapping[str, int]) -> int:
    return sum(_used(f"/proc/{process}/root{folder}", size) for folder, size in folders.items())


def _used(folder: str, size: int) -> int:
    try:
        room = os.statvfs(folder)
    except OSError:  # it has ended since
        return 0
    ours = room.f_blocks * room.f_frsize == size  # before the sandbox is made, the same name is another folder
    return (room.f_blocks - room.f_bfree) * room.f_frsize if ours else 0


def _names(folder: str) -> Iterator[str]:
    try:
        yield from os.listdir(folder)
    except OSError:
        return


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
