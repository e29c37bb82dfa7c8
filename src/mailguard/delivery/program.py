"""Delivery by a program that takes mail as sendmail does: message on stdin, `-i -f SENDER -- RECIPIENT...`."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time

from mailguard.delivery.attempt import DELIVERED, PERMANENT, TEMPORARY, Attempt
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.delivery.copy import Copy
    from mailguard.delivery.target import Target

_OUTPUT = 4096
_PATIENCE = 0.2
# sysexits.h: data error, no user, no host, unavailable, no permission. All others may be the program's own trouble.
_PERMANENT_STATUSES = frozenset({65, 67, 68, 69, 77})


class ProgramSession:
    """A program, run once per copy, without a shell."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def deliver(self, copy: Copy, recipients: Sequence[str]) -> Attempt:
        """Run the program; it has accepted the copy only when it read all of it and said 0."""
        attempt = Attempt()
        status, reply = self._run(copy, recipients, attempt)
        attempt.settle(recipients, status, reply)
        return attempt

    def close(self) -> None:
        """Nothing stays open."""

    def _run(self, copy: Copy, recipients: Sequence[str], attempt: Attempt) -> tuple[str, str]:
        import shlex

        try:
            words = shlex.split(self._target.path)
            command = [*words, "-i", "-f", copy.sender or "<>", "--", *recipients]
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            attempt.down = True
            return TEMPORARY, f"4.3.5 {self._target.name}: {error}"
        with process:
            return self._outcome(process, copy, attempt)

    def _outcome(self, process: subprocess.Popen[bytes], copy: Copy, attempt: Attempt) -> tuple[str, str]:
        limit = time.monotonic() + self._target.timeout
        output = _Output(process)
        try:
            complete = _feed(process, copy, limit)
            status = process.wait(max(limit - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return TEMPORARY, f"4.4.7 no answer within {self._target.timeout:g} seconds"
        finally:
            if process.poll() is None:  # else what it left running, it left on purpose
                _kill(process)
        attempt.note(f"< status {status} {show(output.first())}")
        if status == 0 and complete:
            return DELIVERED, "2.0.0 status 0"
        if status == 0:
            return TEMPORARY, "4.3.0 the program said 0 but did not read the whole message"
        return PERMANENT if status in _PERMANENT_STATUSES else TEMPORARY, f"status {status} {output.first()}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _feed(process: subprocess.Popen[bytes], copy: Copy, limit: float) -> bool:
    """Write the message on the program's stdin; False when it stopped reading, TimeoutExpired when it just does not."""
    assert process.stdin is not None
    descriptor = process.stdin.fileno()
    os.set_blocking(descriptor, False)
    try:
        for chunk in copy.chunks():
            piece = memoryview(chunk)
            while piece:
                if not select.select([], [descriptor], [], max(limit - time.monotonic(), 0))[1]:
                    raise subprocess.TimeoutExpired("", 0)
                piece = piece[os.write(descriptor, piece) :]
    except BrokenPipeError:
        return False
    finally:
        process.stdin.close()
    return True


class _Output:
    """Reads what the program says, keeps the first part, and never waits for processes that it left running."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._descriptor = os.dup(process.stdout.fileno())
        self._first = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def first(self) -> str:
        """Return the first octets of the output, on one line."""
        self._thread.join(_PATIENCE)
        return " ".join(self._first.decode("utf-8", "backslashreplace").split())

    def _read(self) -> None:
        while data := os.read(self._descriptor, _OUTPUT):
            self._first = (self._first + data)[:_OUTPUT]
        os.close(self._descriptor)
