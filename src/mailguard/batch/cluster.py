"""The workers of a Dask cluster: the same tasks through `Client(address).get_executor()`.

A thread of a Dask worker runs each task in a process of its own, so that a message can neither outlive its time nor
take the Dask worker with it.  That process reads the site key from its own machine's file; the task holds neither key
nor mail.  Outside of this machine every connection must be TLS, with certificates from Dask's own configuration.
"""

from __future__ import annotations

import os
import sys

from mailguard.batch import worker
from mailguard.errors import ConfigurationError, MailguardError, installation
from mailguard.findings import show, typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor
    from typing import Any, NoReturn

    from mailguard.batch.driver import Counts
    from mailguard.batch.job import Task

_CONNECT_SECONDS = 30
_LATE_SECONDS = 3600.0  # for a whole chunk, in which each message has its own limit


class Lost(MailguardError):  # noqa: N818 (what happened to a task)
    """The process of a task died; number: of the message at work, None when it is not known."""

    def __init__(self, number: int | None) -> None:
        super().__init__(number)
        self.number = number


def process(task: Task) -> Counts:
    """Do a task in a process of its own, on the machine of a Dask worker; Lost when it dies."""
    import pickle
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mailguard-batch-") as notes:
        task.notes = notes
        done = subprocess.run(
            [sys.executable, "-P", "-m", "mailguard.batch.cluster"],
            input=pickle.dumps(task),
            stdout=subprocess.PIPE,
            timeout=_LATE_SECONDS,
            check=False,
        )
        if done.returncode < 0 or done.returncode == MailguardError.status:  # killed, or it was late
            raise Lost(worker.interrupted(task))
    if done.returncode or not done.stdout:
        raise MailguardError("the process of a task could not begin on a worker; its log tells why")
    result = pickle.loads(done.stdout)  # noqa: S301 (from our own process)
    if isinstance(result, Exception):
        raise result
    counts: Counts = result
    return counts


def _child() -> None:
    """Do the task that stands on stdin; its result goes to stdout."""
    import pickle

    from mailguard import pipeline

    task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301 (from our own process)
    output = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no result
    result: Any
    try:
        pipeline.begin_worker()
        result = worker.process(task, task.job.order.make())
    except MailguardError as error:
        result = error
    except OSError as error:
        result = MailguardError(show(str(error), 500))
    with open(output, "wb") as file:
        pickle.dump(result, file)


def _version() -> str:
    from importlib.metadata import version

    return version("mailguard")


class Cluster:
    """A connection to a cluster; `executor` gives what the driver needs."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise ConfigurationError(f"--cluster needs an extra; {installation('cluster')}") from None
        _check([address])
        _check_certificate(address)
        try:
            self._client: Any = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            _refuse(address, error)
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        _check(workers)
        if not workers:
            raise MailguardError(f"{typed(address)}: the cluster has no workers")
        self.jobs = sum(each["nthreads"] for each in workers.values())
        self._check_versions()

    def _check_versions(self) -> None:
        try:
            versions = self._client.run(_version)
        except Exception as error:  # noqa: BLE001 (whatever the worker's import raised)
            raise ConfigurationError(f"a worker of the cluster cannot run mailguard: {show(str(error), 300)}") from None
        if set(versions.values()) != {_version()}:
            raise ConfigurationError("the workers of the cluster have another version of mailguard")

    def executor(self) -> Executor:
        """Return the executor; a lost Dask worker's tasks go to another one."""
        executor: Executor = self._client.get_executor(pure=False)
        return executor

    def close(self) -> None:
        """Cancel what is left, and disconnect."""
        self._client.close()


def lost() -> tuple[type[BaseException], ...]:
    """Return what a task raises when the cluster lost it."""
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    return Lost, KilledWorker, CommClosedError, CancelledError


def _check(addresses: Iterable[str]) -> None:
    """Refuse whatever is neither TLS nor on this machine: ConfigurationError."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    for address in addresses:
        parts = urlsplit(address)
        try:
            here = parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
        except ValueError:
            here = False
        if parts.scheme not in {"tls", "tcp"} or (parts.scheme == "tcp" and not here):
            raise ConfigurationError(f"{typed(address)}: only tls:// leaves this machine; see the manual")


def _check_certificate(address: str) -> None:
    """Make sure that there is a certificate to show: without one, Dask fails late and in many lines."""
    from distributed.security import Security

    if address.startswith("tls:"):
        try:
            context = Security().get_connection_args("client").get("ssl_context")
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            _refuse(address, error)
        if context is None:
            raise ConfigurationError(f"{typed(address)}: Dask has no certificate (distributed.comm.tls.client)")


def _refuse(address: str, error: Exception) -> NoReturn:
    raise MailguardError(f"{typed(address)}: {typed(str(error) or type(error).__name__, 300)}") from None


if __name__ == "__main__":
    _child()
