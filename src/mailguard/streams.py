"""The driver of all filters: one message from standard input to standard output, or status 75 and not a byte lost.

A mail system believes three things about a filter: status 0 means that what stands on stdout is the mail, 75 means
that it must try again, and everything else bounces mail somewhere.  So this module reads all, computes all, and only
then writes; it checks every write; and whatever goes wrong, signals and exhausted memory included, ends in one line on
stderr and `os._exit`.  A signal is treated like a crash, on purpose: what a verb does on the way must survive a crash
anyway, and an exception raised by a handler could be swallowed by any `except` of a library.

`begin()` belongs before the first expensive import; `run()` is the whole life of a filter.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the module `signal` builds enumerations at import
import gc
import os

from mailguard import deadline, pipeline
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show
from mailguard.message.splice import views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import NoReturn

    from mailguard.findings import Chunk
    from mailguard.settings import Filter

_CPU_SECONDS = 700.0  # the kernel's own end, should a library hang where no handler can run
_PIECES = 1024  # IOV_MAX of Linux and the BSDs
_AT_ONCE = 1 << 20
_STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_NO_MEMORY = b"4.3.0 mailguard: out of memory\n"
_written: list[bool] = []  # what a signal handler must know


class Caller:
    """The process in whose place this one works; without one, nobody waits for what the process itself tells."""

    __slots__ = ()

    def check(self) -> None:
        """Return when it is still there; end the process otherwise."""

    def done(self, status: int) -> None:
        """Tell it the status with which this process ends."""


_client = Caller()


def begin(client: Caller | None = None) -> None:
    """Make the process safe to run as a filter: private files, signals, deadline, no lost descriptors."""
    global _client  # noqa: PLW0603 (signal handlers end the process too)
    _client = client or _client
    os.umask(0o077)
    occupy()
    for number in _STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup and background jobs ignore some on purpose
            signal.signal(number, _stop)
    deadline.begin(_late)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)
    # SIGPIPE and SIGXFSZ are ignored by the interpreter itself: a write says EPIPE or EFBIG instead.


def occupy() -> None:
    """Put something in the place of closed standard descriptors, so that no file of ours gets their number.

    For a server that is a connection or the mail of a client.  Opened the wrong way round: reading stdin and writing
    stdout still fail, as they must.
    """
    for descriptor, way in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, way)


def _stop(number: int, _frame: FrameType | None) -> None:
    _end(f"stopped by signal {number}")


def _late() -> NoReturn:
    _end("not done within the deadline")


def _end(cause: str) -> NoReturn:
    if _written:
        leave(0)
    fail(MailguardError(cause))


def leave(status: int) -> NoReturn:
    """End the process at once, without what libraries do at their end."""
    _client.done(status)
    os._exit(status)


def fail(error: BaseException) -> NoReturn:
    """End a filter: one line on stderr, and the status that the error asks for (75 unless it is a refusal)."""
    known = error if isinstance(error, MailguardError) else None
    try:
        line = f"{known.dsn if known else '4.3.0'} mailguard: {describe(error)}\n".encode("utf-8", "backslashreplace")
    except BaseException:  # noqa: BLE001 (memory, once more)
        line = _NO_MEMORY
    say(_NO_MEMORY if isinstance(error, MemoryError) else line)
    leave(known.status if known else MailguardError.status)


def describe(error: BaseException) -> str:
    """Say in one line what went wrong; for an error that nobody foresaw, also where."""
    text = str(error)
    if isinstance(error, MailguardError):
        return text if text.isprintable() else show(text, 1000)  # the raiser has shown what is foreign
    if isinstance(error, OSError) and error.strerror:
        return show(f"{error.filename}: {error.strerror}" if error.filename else error.strerror, 1000)
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f" ({os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno})" if place else ""
    return show(f"internal error: {type(error).__name__}: {text}", 500) + where


def say(line: bytes) -> None:
    """Write a line to standard error; where nobody listens, the status says enough."""
    try:  # noqa: SIM105 (contextlib's suppress needs memory that may not be there)
        os.write(2, line)
    except OSError:
        pass


def read_message() -> bytes:
    """Read standard input to its end: MailguardError when that fails or nothing is there.

    Nothing on stdin means that the program before us failed; an empty mail in its place would be a lost one.
    """
    try:
        if os.isatty(0):
            raise ConfigurationError("reads one message on standard input, as in: mailguard COMMAND < message")
        os.set_blocking(0, True)  # or half a message could look like a whole one
        with open(0, "rb", buffering=0, closefd=False) as stdin:
            raw = stdin.read()  # one buffer that grows in place, of exactly the right size for a regular file
    except OSError as error:
        raise MailguardError(f"standard input: {error.strerror}") from None
    if not raw:
        raise MailguardError("nothing on standard input: the program before this one failed?")
    return raw


class _Output:
    """Standard output, which gets everything or is put back as it was."""

    __slots__ = ("position", "size", "written")

    def __init__(self) -> None:
        self.written = 0
        self.size: int | None = None
        self.position = 0
        status = os.fstat(1)
        if status.st_mode & 0o170000 == 0o100000:  # a regular file
            import fcntl

            appending = fcntl.fcntl(1, fcntl.F_GETFL) & os.O_APPEND
            self.size = status.st_size
            self.position = self.size if appending else os.lseek(1, 0, os.SEEK_CUR)

    def write(self, pieces: Sequence[Chunk]) -> None:
        """Write all pieces; OSError when the system takes less."""
        waiting: list[bytes | memoryview] = []
        size = 0
        for view in views(pieces):
            waiting.append(view)
            size += len(view)
            if size >= _AT_ONCE or len(waiting) == _PIECES:
                self._write(waiting)
                waiting, size = [], 0
        self._write(waiting)
        os.close(os.dup(1))  # a network file system tells of a full disk only on close

    def _write(self, pieces: Sequence[bytes | memoryview]) -> None:
        left = [memoryview(piece) for piece in pieces]
        first = 0
        while first < len(left):
            count = os.writev(1, left[first:])
            if not count:
                raise OSError(5, "takes no more data")
            self.written += count
            while first < len(left) and count >= len(left[first]):
                count -= len(left[first])
                first += 1
            if count:
                left[first] = left[first][count:]

    def take_back(self) -> None:
        """Cut off what was written, unless somebody else has written behind it."""
        if self.size is None or not self.written:
            return
        try:
            if os.fstat(1).st_size == max(self.size, self.position + self.written):
                os.ftruncate(1, self.size)
                os.lseek(1, self.position, os.SEEK_SET)
        except OSError:
            pass  # the status tells the caller not to use it


def write_message(pieces: Sequence[Chunk]) -> None:
    """Write the complete result on standard output: MailguardError when not all of it could be written.

    A regular file is then cut back to what it was.
    """
    if not any(map(len, pieces)):
        raise MailguardError("the result is empty")
    _client.check()
    try:
        output = _Output()
        if output.size is not None:  # a disk does not block for long, and a signal must not leave half a message
            signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOPPING, signal.SIGALRM, signal.SIGIO))
        else:
            os.set_blocking(1, True)
    except OSError as error:
        raise MailguardError(f"standard output: {error.strerror}") from None
    try:
        output.write(pieces)
    except OSError as error:
        output.take_back()
        raise MailguardError(f"standard output: {error.strerror}") from None
    except BaseException:
        output.take_back()
        raise


def run(filters: Sequence[Filter], raw: bytes | None = None) -> NoReturn:
    """Filter one message through all filters and end the process; never returns, never raises.

    raw: what `read_message` gave, when it was read before.  With settings.dry_run the result of a filter is only
    reported, and the message passes.
    """
    try:
        gc.freeze()  # nothing of what was imported is garbage
        gc.enable()
        raw = read_message() if raw is None else raw
        pipeline.check_records(filters)
        applied = pipeline.chain([(mail_filter, mail_filter.settings) for mail_filter in filters], raw)
        write_message(applied.output)
        _written.append(True)
    except BaseException as error:  # noqa: BLE001 (not even SystemExit may pass)
        fail(error)
    applied.report()
    leave(0)
