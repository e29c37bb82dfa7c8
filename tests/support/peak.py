"""Runs the program as a process and says what it took."""

from __future__ import annotations

import os
import subprocess
import sys

from program import PROGRAM

# A process of its own starts the program: what it reports of memory must not be that of the tests.
_LAUNCH = """
import os, sys
source, target = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
actions = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, target, 1)]
_, status, used = os.wait4(os.posix_spawn(sys.argv[3], sys.argv[3:], os.environ, file_actions=actions), 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss << 10, int(used.ru_utime + used.ru_stime))
"""


def run(arguments, source, target, environment):
    """Return status, peak of memory in octets, and seconds of processor time of a filter from file to file."""
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCH, source, target, PROGRAM, *arguments]
    done = subprocess.run(
        [*map(str, launcher)],
        env=environment | {"PATH": os.environ["PATH"]}, check=True, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.stderr == ""
    status, octets, seconds = map(int, done.stdout.split())
    return status, octets, seconds
