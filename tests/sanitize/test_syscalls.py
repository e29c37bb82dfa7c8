"""The filter of system calls: its numbers are the kernel's, and it decides as the list says, on both machines."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import struct

import pytest

from mailguard.sanitize import syscalls

ALLOW, KILL = 0x7FFF0000, 0x80000000
MACHINES = pytest.mark.parametrize("machine", syscalls.MACHINES)
NEW_USER, NEW_NET, VFORK = 0x10000000, 0x40000000, 0x4111


def refusal(number):
    return 0x00050000 | number


def decision(machine, number, *arguments, architecture=None):
    """What the kernel would do: the filter, run as seccomp(2) says."""
    architecture = architecture or syscalls.MACHINES[machine][1]
    given = [*arguments, *[0] * 6][:6]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *given)
    lines = list(struct.iter_unpack("<HBBI", syscalls.program(machine)))
    place = register = 0
    while True:
        code, then, otherwise, value = lines[place]
        place += 1
        if code == 0x20:
            (register,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        else:
            yes = {0x15: register == value, 0x25: register > value, 0x45: bool(register & value)}[code]
            place += then if yes else otherwise


def numbers(machine):
    column = syscalls.MACHINES[machine][0]
    return {
        group: {name: both[column] for name, both in calls.items() if both[column] >= 0}
        for group, calls in syscalls.table().items()
    }


@MACHINES
def test_the_numbers_are_those_of_libseccomp(machine):
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("libseccomp2 is not installed")
    resolve = ctypes.CDLL(name).seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    column, architecture = syscalls.MACHINES[machine]
    for calls in syscalls.table().values():
        for call, both in calls.items():
            known = resolve(architecture, call.encode())
            assert max(known, -1) == both[column] or (known == -1 and both[column] > 440), call


@MACHINES
def test_what_is_listed_is_refused_and_what_programs_need_is_not(machine):
    groups = numbers(machine)
    assert {decision(machine, number) for number in groups["refused"].values()} == {refusal(errno.EPERM)}
    assert {decision(machine, number) for number in groups["absent"].values()} == {refusal(errno.ENOSYS)}
    listed = {number for calls in groups.values() for number in calls.values()}
    assert {decision(machine, number) for number in set(range(457)) - listed} == {ALLOW}
    assert {decision(machine, number) for number in (457, 500, 0x40000000, 0xFFFFFFFF)} == {refusal(errno.ENOSYS)}


@MACHINES
def test_a_foreign_architecture_is_killed(machine):
    for architecture in (0x40000003, 0x40000028, 0x80000015):  # i386, arm, ppc64
        assert decision(machine, 0, architecture=architecture) == KILL


@MACHINES
def test_arguments_decide_where_a_call_is_also_needed(machine):
    asked = numbers(machine)["asked"]
    for flags in (NEW_USER, NEW_USER | VFORK, NEW_NET, 0x00020000, 0x02000000, 0x08000000):
        assert decision(machine, asked["clone"], flags) == refusal(errno.EPERM)
    assert decision(machine, asked["clone"], VFORK) == ALLOW
    assert decision(machine, asked["clone"], 0x3D0F00) == ALLOW  # a thread of glibc
    for family, wanted in ((1, ALLOW), (2, refusal(errno.EAFNOSUPPORT)), (0x1_0000_0002, refusal(errno.EAFNOSUPPORT))):
        assert decision(machine, asked["socket"], family) == wanted
    assert decision(machine, asked["ioctl"], 0, 0x5412) == refusal(errno.EPERM)
    assert decision(machine, asked["ioctl"], 0, 0x541C) == refusal(errno.EPERM)
    assert decision(machine, asked["ioctl"], 0, 0x5401) == ALLOW
    assert decision(machine, asked["personality"], 0xFFFFFFFF) == ALLOW
    assert decision(machine, asked["personality"], 0) == ALLOW
    assert decision(machine, asked["personality"], 0x0040000) == refusal(errno.EPERM)  # ADDR_NO_RANDOMIZE


def test_a_machine_without_a_list_has_none(monkeypatch):
    monkeypatch.setattr(syscalls.os, "uname", lambda: type("", (), {"machine": "riscv64"}))
    assert syscalls.machine() is None
