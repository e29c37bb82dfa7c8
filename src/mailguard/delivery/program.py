"""Delivery by a program that takes mail as sendmail does: message on stdin, `-i -f SENDER -- RECIPIENT...`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from mailguard.delivery import DELIVERED, PERMANENT, TEMPORARY, Attempt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.delivery import Copy, Target

_OUTPUT = 4096
# sysexits.h: data error, no user, no host, unavailable, no permission. All others may be the program's own trouble.
_PERMANENT_STATUSES = frozenset({65, 67, 68, 69, 77})


class Program:
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
        feeder = _Feeder(process, copy)
        try:
            output = feeder.run(self._target.timeout)
            status = process.wait(self._target.timeout)
        except subprocess.TimeoutExpired:
            return TEMPORARY, f"4.4.7 no answer within {self._target.timeout:g} seconds"
        finally:
            _end(process)
        attempt.note(f"< status {status} {output.decode('utf-8', 'backslashreplace').strip()}")
        if status == 0 and feeder.complete:
            return DELIVERED, "2.0.0 status 0"
        if status == 0:
            return TEMPORARY, "4.3.0 the program said 0 but did not read the whole message"
        return PERMANENT if status in _PERMANENT_STATUSES else TEMPORARY, f"status {status}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the program and its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


class _Feeder:
    """Writes the message and reads the output at the same time, so that neither side waits for the other."""

    def __init__(self, process: subprocess.Popen[bytes], copy: Copy) -> None:
        self._process = process
        self._chunks = copy.chunks()
        self._piece = memoryview(b"")
        self.complete = False

    def run(self, seconds: float) -> bytes:
        """Return the first part of the output; TimeoutExpired when the program does neither read nor end."""
        import selectors
        import time

        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        os.set_blocking(stdin.fileno(), False)
        output = b""
        limit = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(limit - time.monotonic(), 0))
                if not ready:
                    raise subprocess.TimeoutExpired("", seconds)
                for key, _ in ready:
                    if key.fileobj is stdin and not self._feed(stdin.fileno()):
                        selector.unregister(stdin)
                        stdin.close()
                    elif key.fileobj is stdout:
                        data = os.read(stdout.fileno(), _OUTPUT)
                        output = (output + data)[:_OUTPUT]
                        if not data:
                            selector.unregister(stdout)
        return output

    def _feed(self, descriptor: int) -> bool:
        """Write one piece; False when there is nothing more to write, or nobody who reads."""
        if not self._piece:
            self._piece = memoryview(next(self._chunks, b""))
        if not self._piece:
            self.complete = True
            return False
        try:
            self._piece = self._piece[os.write(descriptor, self._piece) :]
        except BrokenPipeError:
            return False
        return True
