"""What the client sends: arguments, environment, and what tells whether the server is the same program."""

from __future__ import annotations

import os
import sys

from mailguard.errors import MailguardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = b"mailguard-1"
_DIGITS = 6  # a million arguments fit into no command line
_HEAD = 3


class Request:
    """A request.

    arguments, environment: as bytes; fingerprint: b"" from a client that has none; started: when the client did, on the
    monotonic clock, or None; rest: what stood behind the request.
    """

    __slots__ = ("arguments", "environment", "fingerprint", "rest", "started")

    def __init__(self, head: list[bytes], arguments: list[bytes], variables: list[bytes], rest: bytes) -> None:
        _, self.fingerprint, started = head
        self.started = _moment(started)
        self.arguments = arguments
        self.environment = dict(map(_variable, variables))
        self.rest = rest


def fingerprint() -> bytes:
    """Return what changes whenever mailguard or its Python is installed anew."""
    status = os.stat(os.path.join(os.path.dirname(os.path.dirname(__file__)), "__init__.py"))
    return b"%d %d %d %d" % (sys.hexversion, status.st_dev, status.st_ino, status.st_mtime_ns)


def compose(
    arguments: Sequence[bytes], environment: Mapping[bytes, bytes], fingerprint: bytes = b"", started: str = ""
) -> bytes:
    """Return a request as it is sent."""
    head = (VERSION, fingerprint, started.encode("ascii"))
    variables = [b"%b=%b" % item for item in environment.items()]
    counted = (b"%d" % len(arguments), *arguments, b"%d" % len(variables), *variables)
    return b"\0".join((*head, *counted, b""))


def parse(data: bytes) -> Request | None:
    """Return the request at the beginning of `data`, None when more must come; MailguardError when it is none."""
    if not data.startswith(VERSION[: len(data)]):
        raise MailguardError("another protocol")
    try:
        head, rest = _take(data, _HEAD)
        arguments, rest = _counted(rest)
        variables, rest = _counted(rest)
    except _Incomplete:
        return None
    return Request(head, arguments, variables, rest)


class _Incomplete(Exception):  # noqa: N818 (no error)
    pass


def _take(data: bytes, count: int) -> tuple[list[bytes], bytes]:
    items = data.split(b"\0", count)
    if len(items) <= count:
        raise _Incomplete
    return items[:count], items[count]


def _counted(data: bytes) -> tuple[list[bytes], bytes]:
    (number,), rest = _take(data, 1)
    if not number.isdigit() or len(number) > _DIGITS:
        raise MailguardError("another protocol")
    return _take(rest, int(number))


def _moment(item: bytes) -> float | None:
    if not item:
        return None
    try:
        return float(item)
    except ValueError:
        raise MailguardError("another protocol") from None


def _variable(item: bytes) -> tuple[bytes, bytes]:
    name, _, value = item.partition(b"=")
    return name, value
