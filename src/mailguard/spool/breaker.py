"""Circuit breakers: which targets are down, so that not every message waits to find that out again."""

from __future__ import annotations

import contextlib
import os

from mailguard.spool import files

_FIRST_PAUSE = 30.0
_LONGEST_PAUSE = 900.0


class Breakers:
    """One small file per target that is down: until when nobody should try, and how often it failed in a row.

    A breaker that cannot be read or written counts as closed: it saves time, it never decides about mail.
    """

    __slots__ = ("_folder",)

    def __init__(self, folder: int) -> None:
        self._folder = folder

    def is_open(self, target: str, now: float) -> bool:
        """Tell whether to leave the target alone; after the pause exactly one caller hears no and tries."""
        until, failures = self._state(target)
        if not failures:
            return False
        if now < until <= now + _LONGEST_PAUSE:  # later than that means that the clock was set back
            return True
        self._write(target, now + _FIRST_PAUSE, failures)
        return False

    def trip(self, target: str, now: float) -> None:
        """Leave a target that failed alone, twice as long as the last time."""
        failures = min(self._state(target)[1], 20) + 1
        self._write(target, now + min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE), failures)

    def reset(self, target: str) -> None:
        """Forget the failures of a target that works."""
        with contextlib.suppress(OSError):
            files.remove(self._folder, _name(target))

    def _state(self, target: str) -> tuple[float, int]:
        try:
            until, failures = (files.read(self._folder, _name(target)) or b"0 0").split()
            return float(until), int(failures)
        except (OSError, ValueError):
            return 0.0, 0

    def _write(self, target: str, until: float, failures: int) -> None:
        with contextlib.suppress(OSError):
            files.replace(self._folder, _name(target), f"{until:.3f} {failures}\n".encode("ascii"), durable=False)


def _name(target: str) -> str:
    import hashlib

    return hashlib.sha256(os.fsencode(target)).hexdigest()[:32]
