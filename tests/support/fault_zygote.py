"""A process that has loaded mailguard and forks programs which wait for a tracer: `python -I fault_zygote.py FD`.

Reads one JSON object a line on stdin, answers with the status of that program.  FD: where a process that waits to be
traced says who it is.  It is the program itself (depth 0), or the first process that is so many forks below it.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main(told: int) -> None:
    from mailguard.__main__ import main as program
    from mailguard.cli.group import mailguard
    from mailguard.daemon.server import DaemonProgram

    DaemonProgram([], program).load()
    for name in mailguard.commands if hasattr(mailguard, "commands") else ():
        mailguard.get_command(None, name)
    import mailguard.batch.archive
    import mailguard.cli.batch
    import mailguard.duplicate.flush

    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if not process:
            become(order, told)
            sys.argv[:] = ["mailguard", *order["arguments"]]
            program()
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def become(order: dict, told: int) -> None:
    for descriptor, name, flags in (
        (0, order["input"], os.O_RDONLY),
        (1, order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, order["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    depth, marker = order["depth"], order["folder"] + "/.traced"
    if depth == 0:
        wait_for_tracer(marker, told)
    elif depth is not None:
        fork, below = os.fork, [0]

        def counted() -> int:
            process = fork()
            if not process:
                below[0] += 1
                if below[0] == depth:
                    wait_for_tracer(marker, told)
            return process

        os.fork = counted


def wait_for_tracer(marker: str, told: int) -> None:
    """Only once for each program: a worker that takes the place of a dead one goes its way."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.write(told, b"%d\n" % os.getpid())
    os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    main(int(sys.argv[1]))
