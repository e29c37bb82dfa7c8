"""The sandbox for external programs: whether it starts, and whether a program that tries to break out stays inside."""

from __future__ import annotations

import os
import sys
import time

from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.errors import MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.doctor.row import Setup
    from mailguard.sanitize.command import Sandbox

_PATIENCE = 30
_MEMORY = 192 << 20
_TRIED = "network, settings of the kernel, key, other files, {} system calls, namespaces, memory, outliving it"
_REPAIR = 'update bubblewrap and the kernel; until then hold what needs a program: --rules without "pdf" and "command"'


def bubblewrap(_setup: Setup) -> Iterator[Row]:
    """Run a program in the sandbox, as sanitize would."""
    from mailguard.formats.disarmed import ProgramRefused
    from mailguard.sanitize.command import Sandbox
    from mailguard.sanitize.policy import Program

    try:
        output = Sandbox().run(Program(("cat",), timeout=20), b"mailguard", "text/plain", "a.txt")
    except ProgramRefused as error:
        yield _refused(error.said.strip() or error.code)
    except MailguardError as error:
        yield _refused(str(error))
    else:
        works = output == b"mailguard"
        yield Row("bubblewrap", GOOD, "a program ran in the sandbox") if works else _refused("its output was lost")


def _refused(reason: str) -> Row:
    from shutil import which

    held = "sanitize holds what it needs a program for"
    if which("bwrap") is None:
        return Row("bubblewrap", WARNING, f"not installed: {held}", "apt-get install bubblewrap")
    repair = (
        "allow user namespaces, also to nobody where root runs this: sysctl kernel.unprivileged_userns_clone, "
        "AppArmor, the settings of the container"
    )
    return Row("bubblewrap", WARNING, f"does not work ({show(reason)}): {held}", repair)


def escapes(setup: Setup) -> Iterator[Row]:
    """Run a program in the sandbox that tries to get out of it, in all ways that are known, and say what it reached."""
    from mailguard.formats.disarmed import ProgramRefused
    from mailguard.sanitize import syscalls

    machine = syscalls.machine()
    if machine is None:
        yield _refused(f"no list of system calls for {os.uname().machine}")
        return
    try:
        found = [*_escaped(setup, machine), *_grown()]
    except ProgramRefused as error:
        if error.code != "sandbox-missing":  # else the row before has said it
            yield Row(
                "sandbox", WARNING, f"could not be tried: {show(error.said.strip() or error.code)}", "run it again"
            )
        return
    for what in found:
        yield Row("sandbox", FAILURE, f"a program in it gets out: {show(what)}", _REPAIR)
    if not found:
        calls = len(_calls(machine))
        yield Row("sandbox", GOOD, f"a program that tried to get out reached nothing: {_TRIED.format(calls)}")


def _calls(machine: str) -> dict[str, int]:
    """Return the system calls that must be refused, with their numbers."""
    from mailguard.sanitize import syscalls

    column = syscalls.MACHINES[machine][0]
    groups = syscalls.table()
    calls = {name: numbers[column] for group in ("refused", "absent") for name, numbers in groups[group].items()}
    return {name: number for name, number in calls.items() if number >= 0}


def _escaped(setup: Setup, machine: str) -> list[str]:
    """Return what the program of `escape` reached."""
    import json
    import socket

    from mailguard.sanitize.command import Sandbox
    from mailguard.site import secret_files

    secrets = secret_files(setup.key_file)
    mark = f"mailguard-doctor-{os.urandom(8).hex()}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        task = {"port": server.getsockname()[1], "secrets": secrets, "mark": mark, "calls": _calls(machine)}
        answers = _run(Sandbox(secrets=secrets), "escape", json.dumps(task)).splitlines()
    escaped = [line for line in answers if line != "done"]
    if "done" not in answers:
        escaped.append("its test did not come to an end")
    return [*escaped, *(["a process outlives it"] if _lives(mark) else [])]


def _grown() -> list[str]:
    """Return what is to be said of a program that takes more memory than there is for it."""
    from mailguard.formats.disarmed import ProgramRefused
    from mailguard.sanitize.command import Sandbox

    try:
        _run(Sandbox(memory=_MEMORY), "grow", "")
    except ProgramRefused as error:
        if error.code != "program-memory":
            raise
        return []
    return ["its processes together hold more memory than one may"]


def _run(sandbox: Sandbox, what: str, task: str) -> str:
    """Run `escape` by our own interpreter."""
    from mailguard.sanitize.policy import Program

    python = os.path.realpath(sys.executable)
    visible = () if python.startswith("/usr/") else (sys.base_prefix,)
    program = Program((python, "-I", "-S", "-", what, task), timeout=_PATIENCE, visible=visible)
    with open(os.path.join(os.path.dirname(__file__), "escape.py"), "rb") as file:
        return sandbox.run(program, file.read(), "text/x-python", "escape.py").decode("utf-8", "replace")


def _lives(mark: str) -> bool:
    """Tell whether a process with this in its command line is still there; what was killed may need a moment."""
    limit = time.monotonic() + 5
    while any(mark.encode() in _command_line(name) for name in os.listdir("/proc") if name.isdecimal()):
        if time.monotonic() > limit:
            return True
        time.sleep(0.05)
    return False


def _command_line(process: str) -> bytes:
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
