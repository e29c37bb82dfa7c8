"""Where the questions of a run are asked, as the options say."""

from __future__ import annotations

from mailguard.dns.answer import remembered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailguard.dns.answer import Answer, Source


class Unopened:
    """A `Source` that is made when the first question comes: most mail of one's own asks none."""

    def __init__(self, make: Callable[[], Source]) -> None:
        from threading import Lock

        self._make = make
        self._source: Source | None = None
        self._lock = Lock()

    def ask(self, name: str, rdtype: str, seconds: float) -> Answer:
        """Answer as the source does; raises what making it raises."""
        return self._opened().ask(name, rdtype, seconds)

    def remembered(self, name: str, rdtype: str) -> Answer | None:
        """Answer as the source does without asking anybody; raises what making it raises."""
        return remembered(self._opened(), name, rdtype)

    def _opened(self) -> Source:
        with self._lock:
            if self._source is None:
                self._source = self._make()
            return self._source


def source(
    nameservers: Sequence[str] = (), load: str | None = None, *, cache: bool = False, timeout: float = 5.0
) -> Source:
    """Return where to ask, as the options say.

    nameservers: HOST[:PORT] (IPv6 in brackets where a port follows); none means those of /etc/resolv.conf.
    load: a file of `--dns-load`; then no name server is asked.  cache: keep answers between messages (long-running
    drivers).  timeout: seconds for one question, all servers and repetitions together.
    Raises ConfigurationError for a bad name server, an unreadable or malformed file.
    """
    if load is not None:
        from mailguard.dns.files import load_file

        return load_file(load)
    from mailguard.dns.live import Nameservers

    servers = Nameservers(nameservers, timeout=timeout)
    if not cache:
        return servers
    from mailguard.dns.cache import Cached

    if not _shared:
        return Cached(servers)
    from mailguard.dns.shared import Shared

    return Cached(Shared(servers, _shared[-1], " ".join(nameservers)))


_shared: list[str] = []


def share(path: str) -> None:
    """Let the cached sources that this process makes from now on share their answers in a file (see `Shared`)."""
    _shared[:] = [path]
