"""Runs whole processes and says what they cost."""

import os
import subprocess
import sys
import sysconfig
import tempfile
import time

from mailguard.seal import new_key

MAILGUARD = os.path.join(sysconfig.get_path("scripts"), "mailguard")
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


class Cost:
    def __init__(self, cpu, wall, peak):
        self.cpu = cpu  # seconds, user and system
        self.wall = wall  # seconds
        self.peak = peak  # octets


def key_file(folder):
    """Make a site key; return its path."""
    path = os.path.join(folder, "key")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as target:
        target.write(new_key() + "\n")
    return path


def run(command, source, output=os.devnull, *, pipe=False):
    """Run a command with a file as its input (through a pipe when asked); return its Cost."""
    with open(source, "rb") as file, open(output, "wb") as result:
        started = time.perf_counter()
        feeder = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) if pipe else None
        process = subprocess.Popen(command, stdin=feeder.stdout if feeder else file, stdout=result, env=ENVIRONMENT)
        if feeder:
            feeder.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        if feeder:
            feeder.wait()
    if process.returncode:
        raise SystemExit(f"{command}: status {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def in_turns(rounds, *jobs):
    """Run the jobs alternately, so that the load of the machine hits all of them; return the best Costs of each."""
    costs = [[job() for job in jobs] for _ in range(rounds)]
    return [
        Cost(*(min(getattr(row[index], name) for row in costs) for name in ("cpu", "wall", "peak")))
        for index in range(len(jobs))
    ]


def interpreter(*arguments):
    """Return the command that runs this Python."""
    return [sys.executable, *arguments]


def file(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "wb") as target:
        target.write(content)
    return path


def folder():
    return tempfile.TemporaryDirectory(prefix="mailguard-bench-")
