"""A program that tries to break out of the sandbox that it runs in; `sandbox` starts it there, on standard input.

It stands alone, without the modules of mailguard.  It says what it reached, a line each, and at last "done"; what it
does with all its might changes nothing where it succeeds.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_USER = 0x10000000  # CLONE_NEWUSER
_FAMILIES = {"IPv4": 2, "IPv6": 10, "netlink": 16, "packet": 17, "vsock": 40}
_NOT_TRIED = ("vhangup",)  # would end a terminal where it is allowed
_WRITABLE = ("/scratch", "/tmp", "/dev/shm")  # noqa: S108 (of the sandbox)
_MEGABYTE = 1 << 20


def network(task: dict[str, Any]) -> Iterator[str]:
    """Reach a port of this machine, or make a socket by which to reach others."""
    for name, family in _FAMILIES.items():
        try:
            socket.socket(family, socket.SOCK_RAW if family in {16, 17} else socket.SOCK_STREAM).close()
        except OSError:
            continue
        yield f"it can make a socket for {name}"
    try:
        socket.create_connection(("127.0.0.1", task["port"]), 2).close()
    except OSError:
        return
    yield "it reaches a port of this machine"


def settings(_task: dict[str, Any]) -> Iterator[str]:
    """Open a setting of the kernel for writing."""
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            path = os.path.join(folder, name)
            if _opens(path, os.O_WRONLY | os.O_NONBLOCK):
                yield f"it can write {path}"
                return


def secrets(task: dict[str, Any]) -> Iterator[str]:
    """See the key or another secret."""
    for path in task["secrets"]:
        if os.path.lexists(path):
            yield f"it sees {path}"


def files(_task: dict[str, Any]) -> Iterator[str]:
    """Write where others read."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = {line.split()[4] for line in file}
    for folder in sorted(mounts | {"/", "/dev", "/etc", "/home", "/usr", "/usr/local/etc", "/var"}):
        path = os.path.join(folder, f"mailguard-{os.getpid()}")
        if folder not in _WRITABLE and os.path.isdir(folder) and _opens(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL):
            os.unlink(path)
            yield f"it can make a file in {folder}"


def calls(task: dict[str, Any]) -> Iterator[str]:
    """Make the system calls that no converter needs, with arguments that are good for nothing."""
    worst = ctypes.c_long(-1)
    for name, number in task["calls"].items():
        if name in _NOT_TRIED:
            continue
        ctypes.set_errno(0)
        _LIBC.syscall(ctypes.c_long(number), *[worst] * 6)
        if ctypes.get_errno() not in {errno.EPERM, errno.ENOSYS}:
            yield f"the kernel takes the system call {name}"


def namespace(_task: dict[str, Any]) -> Iterator[str]:
    """Make a user namespace, in which a program has all capabilities."""
    process = os.fork()
    if process == 0:
        os._exit(int(_LIBC.unshare(_NEW_USER) != 0))
    if os.waitpid(process, 0)[1] == 0:
        yield "it can make a user namespace of its own"


def survivor(task: dict[str, Any]) -> Iterator[str]:
    """Leave a process behind; whether it lives is seen from outside."""
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(0, 100)
        os.execv("/bin/sh", ["sh", "-c", "sleep 60; :", task["mark"]])  # noqa: S606
    os.wait()
    yield from ()


def grow() -> None:
    """Take 512 MB in eight processes, of which none is large."""
    for _ in range(8):
        if os.fork() == 0:
            held = bytearray(64 * _MEGABYTE)
            for place in range(0, len(held), 4096):
                held[place] = 1
            time.sleep(10)
            os._exit(0)
    for _ in range(8):
        os.wait()


def _opens(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags, 0o600))
    except OSError:
        return False
    return True


def main(what: str, task: str) -> None:
    """Try everything, or grow, and say what came of it."""
    if what == "grow":
        grow()
    else:
        for attempt in (network, settings, secrets, files, calls, namespace, survivor):
            for line in attempt(json.loads(task)):
                sys.stdout.write(line + "\n")
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
