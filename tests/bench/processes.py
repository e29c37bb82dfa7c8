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


# A child starts with the peak of the process that made it: only one made by a small process tells its own.
LAUNCHER = """
import os, sys
process = os.fork()
if not process:
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(process, 0)
os.write(2, b"%d" % usage.ru_maxrss)
os._exit(os.waitstatus_to_exitcode(status))
"""


class Cost:
    def __init__(self, cpu, wall):
        self.cpu = cpu  # seconds, user and system
        self.wall = wall  # seconds


def key_file(folder):
    """Make a site key; return its path."""
    path = os.path.join(folder, "key")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as target:
        target.write(new_key() + "\n")
    return path


def run(command, source, output=os.devnull):
    """Run a command with a file as its input; return its Cost."""
    with open(source, "rb") as file, open(output, "wb") as result:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=file, stdout=result, env=ENVIRONMENT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{command}: status {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, wall)


def peak(command, source, *, pipe=False):
    """Return the peak resident size in octets of a command that reads this file, or a pipe with its content."""
    launcher = interpreter("-I", "-S", "-c", LAUNCHER, *command)
    with open(source, "rb") as file:
        feeder = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) if pipe else None
        given = feeder.stdout if feeder else file
        done = subprocess.run(
            launcher,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            check=True,
            timeout=120,
        )
        if feeder:
            feeder.stdout.close()
            feeder.wait(120)
    return int(done.stderr) * 1024


def in_turns(rounds, *jobs):
    """Run the jobs alternately, so that the load of the machine hits all of them; return the best Costs of each."""
    costs = [[job() for job in jobs] for _ in range(rounds)]
    return [
        Cost(*(min(getattr(row[index], name) for row in costs) for name in ("cpu", "wall")))
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
