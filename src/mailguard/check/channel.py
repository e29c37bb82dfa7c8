"""Connections of the web server: none keeps a place by being slow, and no client has the places of others."""

from __future__ import annotations

from waitress.channel import HTTPChannel

from mailguard.check.shares import client_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BY_CLIENT = 20
IN_ALL = 200
SECONDS = 30
"""How long a request may take to come, from the connection or the answer before it."""


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection.  Where there is no place, who has been idle for the longest must leave: he may come again.

    A trusted proxy has as many as it wants: it knows who is behind it.
    """

    last_activity: float

    def __init__(self, server: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(server, *arguments, **options)
        others = [each for each in server.active_channels.values() if not each.will_close]
        client, proxy = client_of(str(self.addr[0])), server.adj.trusted_proxy
        own = [each for each in others if client_of(str(each.addr[0])) == client]
        if len(own) > BY_CLIENT and self.addr[0] != proxy:
            _leave(own, self)
        elif len(others) > min(IN_ALL, server.adj.connection_limit // 2):
            _leave(others, self)

    def handle_read(self) -> None:
        """Read; a part of a request is no reason to wait longer for the rest."""
        last = self.last_activity
        super().handle_read()
        self.last_activity = last


def _leave(channels: list[Channel], new: Channel) -> None:
    """End the connection that has been without a request for the longest; the new one where all are at work."""
    idle = [each for each in channels if not each.requests and not each.total_outbufs_len and each is not new]
    min(idle, key=lambda each: each.last_activity, default=new).will_close = True
