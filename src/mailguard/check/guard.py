"""What a diagnosis may connect to, and when it must stop.

A service that connects wherever a name leads is a weapon, so: an address is looked up once and that address is used;
only public addresses that are not our own, only ports 25 and 443; every wait has an end, and everything can be
cancelled from another thread.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SMTP = 25
HTTPS = 443
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that the IANA gives out as global unicast addresses
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip
"""The IANA registries of special-purpose addresses, IPv4 and IPv6 (RFC 6890), and multicast.

`is_global` of Python knows only those of its day (RFC 9637 came after 3.11.2).  Anycast services in them, which are
global, are no mail servers; neither is what 6to4 or Teredo carries.
"""


class Late(TimeoutError):  # noqa: N818 (the diagnosis is over, not broken)
    """The time for the whole diagnosis is over, or it was cancelled."""


class Forbidden(ValueError):  # noqa: N818 (a property of the address, not a failure)
    """The address or port may not be connected to."""


class Guard:
    """The only door to the network besides the DNS.

    seconds: for the whole diagnosis, from now; lab: any address is allowed (tests); ports: where to connect instead,
    by (address, port) (tests); pause: seconds between two connections to the same address.
    """

    def __init__(
        self,
        seconds: float,
        *,
        lab: bool = False,
        ports: Mapping[tuple[str, int], int] | None = None,
        pause: float = 0.2,
    ) -> None:
        self._end = monotonic() + seconds
        self._lab = lab
        self._ports = dict(ports or {})
        self._pause = pause
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._busy: dict[str, threading.Lock] = {}
        self._last: dict[str, float] = {}

    def allows(self, address: str) -> bool:
        """Whether this IP address may be connected to."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return self._lab or (_is_public(parsed) and not _is_own(parsed))

    def remaining(self, limit: float) -> float:
        """Return how long the next wait may take, at most `limit` seconds; raises Late when the time is over."""
        left = self._end - monotonic()
        if left <= 0 or self._cancelled.is_set():
            raise Late
        return min(left, limit)

    def together(self, addresses: Iterable[str]) -> None:
        """Take these IP addresses for one machine, which has one connection at a time; before the first of them."""
        busy = threading.Lock()
        with self._lock:
            self._busy.update(dict.fromkeys(addresses, busy))

    def connects(self, address: str, port: int = SMTP, limit: float = 5.0) -> bool:
        """Whether a connection comes about at all; nothing is said."""
        try:
            self.close(self.connect(address, port, limit), address)
        except (OSError, Forbidden):
            return False
        return True

    def connect(self, address: str, port: int, limit: float) -> socket.socket:
        """Connect to an IP address, waiting while another connection to it, or to its machine, is open.

        Give the socket back to `close`.  Raises Forbidden, Late, or OSError.
        """
        if port not in {SMTP, HTTPS} or not self.allows(address):
            raise Forbidden(f"{address} port {port}")
        self._take(address)
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        with self._lock:
            self._open.add(connection)
        try:
            connection.settimeout(self.remaining(limit))
            connection.connect((address, self._ports.get((address, port), port)))
        except BaseException:
            self.close(connection, address)
            raise
        return connection

    def close(self, connection: socket.socket, address: str) -> None:
        """End a connection; the next one to the same address may begin."""
        with self._lock:
            self._open.discard(connection)
            self._last[address] = monotonic()
            busy = self._busy[address]
        connection.close()
        busy.release()

    def exchange(self, old: socket.socket, new: socket.socket) -> None:
        """Keep track of a connection that got another object (TLS)."""
        with self._lock:
            self._open.discard(old)
            self._open.add(new)
        if self._cancelled.is_set():
            raise Late

    def wait(self, seconds: float) -> None:
        """Do nothing for a while; raises Late."""
        if self._cancelled.wait(self.remaining(seconds)):
            raise Late

    def cancel(self) -> None:
        """End everything now, from any thread: waits on the network fail, and nothing new begins."""
        self._cancelled.set()
        with self._lock:
            for connection in self._open:
                try:
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not the one of TLS, which is not thread-safe
                except OSError:
                    continue  # not connected yet

    def _take(self, address: str) -> None:
        """Wait for the turn of this address; while it has its pause, another one of the machine may be connected to."""
        with self._lock:
            busy = self._busy.setdefault(address, threading.Lock())
        while True:
            pause = self.remaining(self._rest(address))
            if self._cancelled.wait(pause) or not busy.acquire(timeout=self.remaining(3600)):
                raise Late
            if not self._rest(address):
                return
            busy.release()

    def _rest(self, address: str) -> float:
        """Return how much longer the address is to be left alone."""
        return max(0.0, self._last.get(address, -self._pause) + self._pause - monotonic())


def is_public(address: str) -> bool:
    """Whether an IP address can be reached from the Internet at all."""
    return _is_public(ipaddress.ip_address(address))


def _is_public(address: Address) -> bool:
    if address in _NAT64:
        return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.version == 6 and address not in _UNICAST:
        return False
    return address.is_global and not any(address in network for network in _SPECIAL)


def _is_own(address: Address) -> bool:
    """Whether it is an address of this machine: then the system would use it as its own side too."""
    with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), SMTP))  # a datagram socket: nothing is sent
            return bool(ipaddress.ip_address(probe.getsockname()[0]) == address)
        except OSError:
            return False
