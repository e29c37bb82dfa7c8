"""Which system calls a converter may make: a filter for the kernel (seccomp), as bubblewrap takes it.

The list is syscalls.toml.  The filter is the classic BPF of seccomp(2): a decision for each number, no loop, no state.
"""

from __future__ import annotations

import errno
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the list and AUDIT_ARCH of linux/audit.h, by the name of the machine."""

_KILL = 0x80000000
_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000
_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # struct seccomp_data; both machines are little-endian

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET
_UNIX = 1
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: words typed into the terminal of whoever started us
_PERSONALITIES = (0, 0xFFFFFFFF)  # Linux as it is, and the question which it is


def machine() -> str | None:
    """Return the name of this machine, None when there is no list for it."""
    name = os.uname().machine
    return name if name in MACHINES else None


def table() -> dict[str, dict[str, list[int]]]:
    """Return the list as it stands in the file, without `newest`."""
    return {name: group for name, group in _read().items() if isinstance(group, dict)}


def program(name: str) -> bytes:
    """Return the filter for a machine of MACHINES: struct sock_filter after struct sock_filter."""
    column, architecture = MACHINES[name]
    groups = _read()
    asked = {call: numbers[column] for call, numbers in groups["asked"].items()}
    lines = [
        *(_load(_ARCHITECTURE), _line(_EQUAL, architecture, 1, 0), _line(_RETURN, _KILL)),
        *(_load(_NUMBER), _line(_GREATER, groups["newest"], 0, 1), _error(errno.ENOSYS)),
    ]
    for group, number in (("refused", errno.EPERM), ("absent", errno.ENOSYS)):
        for numbers in groups[group].values():
            if numbers[column] >= 0:
                lines += [_line(_EQUAL, numbers[column], 0, 1), _error(number)]
    new = [_line(_ANY_BIT, _NEW_NAMESPACES, 0, 1)]
    lines += _asked(asked["clone"], 0, new, errno.EPERM)
    lines += _asked(asked["socket"], 0, [_line(_EQUAL, _UNIX, 1, 0)], errno.EAFNOSUPPORT)
    typed = [_line(_EQUAL, _TERMINAL_INPUT[0], 1, 0), _line(_EQUAL, _TERMINAL_INPUT[1], 0, 1)]
    lines += _asked(asked["ioctl"], 1, typed, errno.EPERM)
    usual = [_line(_EQUAL, _PERSONALITIES[0], 2, 0), _line(_EQUAL, _PERSONALITIES[1], 1, 0)]
    lines += _asked(asked["personality"], 0, usual, errno.EPERM)
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _asked(number: int, argument: int, test: list[bytes], refusal: int) -> list[bytes]:
    """Return the lines for a call whose argument decides: the test goes on to the refusal, or jumps over it.

    The kernel takes these arguments as 32 bits, so their lower half is what counts.
    """
    lines = [_load(_ARGUMENTS + 8 * argument), *test, _error(refusal), _line(_RETURN, _ALLOW)]
    return [_line(_EQUAL, number, 0, len(lines)), *lines]


def _load(offset: int) -> bytes:
    return _line(_LOAD, offset)


def _error(number: int) -> bytes:
    return _line(_RETURN, _ERRNO | number)


def _line(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, value)


def _read() -> dict[str, Any]:
    import tomllib

    with open(os.path.join(os.path.dirname(__file__), "syscalls.toml"), "rb") as file:
        return tomllib.load(file)
