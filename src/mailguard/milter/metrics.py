"""What the milter counts, as Prometheus text (exposition format 0.0.4), and the small HTTP server that tells it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from time import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailguard.milter.server import MilterServer

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_REQUEST_BYTES = 8192
_REQUEST_SECONDS = 5.0
_TOGETHER = 16


class Metrics:
    """Counters since the start."""

    def __init__(self) -> None:
        self.started = time()
        self.connections = 0
        self.mails = dict.fromkeys(("unchanged", "changed", "refused", "failed"), 0)
        self.bytes = 0
        self.workers_lost = 0
        self.reloads = {"done": 0, "failed": 0}
        self.loaded = self.started
        self.seconds = 0.0
        self.buckets = dict.fromkeys(_BUCKETS, 0)

    def received(self, size: int) -> None:
        """Count a complete mail of this size."""
        self.bytes += size

    def answered(self, outcome: str, seconds: float) -> None:
        """Count the answer to a mail, and how long it took after its last byte."""
        self.mails[outcome] += 1
        self.seconds += seconds
        for bound in _BUCKETS:
            self.buckets[bound] += seconds <= bound


def text(server: MilterServer) -> str:
    """Return all metrics."""
    metrics = server.metrics
    lines: list[str] = []

    def add(name: str, kind: str, words: str, values: Iterable[tuple[str, float]]) -> None:
        lines.append(f"# HELP mailguard_milter_{name} {words}")
        lines.append(f"# TYPE mailguard_milter_{name} {kind}")
        lines.extend(f"mailguard_milter_{name}{labels} {value}" for labels, value in values)

    outcomes = [(f'{{outcome="{name}"}}', count) for name, count in metrics.mails.items()]
    results = [(f'{{result="{name}"}}', count) for name, count in metrics.reloads.items()]
    add("mails_total", "counter", "Mails by what the mail server was told.", outcomes)
    add("received_bytes_total", "counter", "Bytes of complete mails.", [("", metrics.bytes)])
    add("connections_total", "counter", "Connections of mail servers.", [("", metrics.connections)])
    add("connections", "gauge", "Connections that are open.", [("", len(server.sessions))])
    add("mails_in_work", "gauge", "Mails that are filtered or wait for a worker.", [("", server.pool.busy)])
    add("workers", "gauge", "Worker processes.", [("", len(server.pool.pids))])
    add("workers_lost_total", "counter", "Workers that died or were killed.", [("", metrics.workers_lost)])
    add("reloads_total", "counter", "Reloads of the configuration.", results)
    add("loaded_timestamp_seconds", "gauge", "When the configuration in use was loaded.", [("", metrics.loaded)])
    add("start_timestamp_seconds", "gauge", "When the milter was started.", [("", metrics.started)])
    answered = sum(metrics.mails.values())
    buckets = [(f'_bucket{{le="{bound}"}}', count) for bound, count in metrics.buckets.items()]
    total = [('_bucket{le="+Inf"}', answered), ("_sum", round(metrics.seconds, 6)), ("_count", answered)]
    add("seconds", "histogram", "From the last byte of a mail to its answer.", [*buckets, *total])
    return "\n".join(lines) + "\n"


class Status:
    """Answers GET /health and GET /metrics (HTTP/1.1, one request for each connection)."""

    def __init__(self, server: MilterServer) -> None:
        self._server = server
        self._open = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; a slow, long or wrong one is not worth an answer."""
        self._open += 1
        try:
            if self._open <= _TOGETHER:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._response(request))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open -= 1
            with contextlib.suppress(OSError):
                writer.close()

    def _response(self, request: bytes) -> bytes:
        method, path, *_ = [*request.split(b"\r\n", 1)[0].split(b" "), b"", b""]
        if method not in {b"GET", b"HEAD"}:
            return _http("405 Method Not Allowed", "GET is all there is\n")
        if path == b"/metrics":
            return _http("200 OK", text(self._server))
        if path == b"/health":
            trouble = self._server.trouble()
            return _http("503 Service Unavailable", f"{trouble}\n") if trouble else _http("200 OK", "ok\n")
        return _http("404 Not Found", "try /health or /metrics\n")


def _http(status: str, content: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(content)}\r\n"
    return f"{head}Connection: close\r\n\r\n{content}".encode("ascii", "replace")


def notify(state: str) -> None:
    """Tell systemd (sd_notify(3)) about a change of state, if it asked for that."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path.startswith(("/", "@")):
        import socket

        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)
            connection.send(state.encode("ascii"))
