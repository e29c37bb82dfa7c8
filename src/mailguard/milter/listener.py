"""Where connections come in: `inet:PORT@HOST` or `unix:PATH`, as mail servers write it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat

from mailguard.errors import ConfigurationError

_INET = re.compile(r"inet6?:([0-9]{1,5})@(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]]+))")
_BACKLOG = 256


class Address:
    """A place to listen at: path of a socket, or host and port.  ValueError for another text."""

    __slots__ = ("host", "path", "port", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.path = text.removeprefix("unix:") if text.startswith("unix:") else ""
        match = _INET.fullmatch(text)
        if not match and not self.path.startswith("/"):
            raise ValueError(f"{text!r} is neither inet:PORT@HOST nor unix:/PATH")
        self.port = int(match[1]) if match else 0
        self.host = (match[2] or match[3]) if match else ""
        if self.port > 65535:
            raise ValueError(f"{text!r} has no such port")

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        from ipaddress import ip_address

        try:
            return bool(self.path) or self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    def listen(self) -> socket.socket:
        """Listen there: ConfigurationError when that does not work."""
        try:
            listener = self._local() if self.path else self._inet()
            listener.listen(_BACKLOG)
        except OSError as error:
            raise ConfigurationError(f"{self.text}: {error.strerror or error}") from None
        listener.setblocking(False)
        return listener

    def _inet(self) -> socket.socket:
        family, _, _, _, place = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
        except OSError:
            listener.close()
            raise
        return listener

    def _local(self) -> socket.socket:
        """Bind the path; a socket that a dead process left there is replaced, anything else is not."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            try:
                listener.bind(self.path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not self._is_left_over():
                    raise
                os.unlink(self.path)
                listener.bind(self.path)
            os.chmod(self.path, 0o660)  # for the mail server, which is in our group
        except OSError:
            listener.close()
            raise
        return listener

    def _is_left_over(self) -> bool:
        if not stat.S_ISSOCK(os.lstat(self.path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(self.path) == errno.ECONNREFUSED

    def close(self, listener: socket.socket) -> None:
        """Listen no more, and leave no socket behind."""
        listener.close()
        if self.path:
            with contextlib.suppress(OSError):  # somebody else's by now, or gone
                os.unlink(self.path)
