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
from time import monotonic

from mailguard.errors import ConfigurationError, ContentLimit, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import NoReturn

    from mailguard.findings import Chunk, Result
    from mailguard.settings import Settings, Step

DEADLINE_SECONDS = 300.0  # below 1000 s, after which Postfix kills the filter and bounces the mail
CONTENT_SECONDS = 100.0  # after this the message is held whole; the rest is for holding it
_TICK_SECONDS = 1.0
_CPU_SECONDS = 700.0  # the kernel's own end, should a library hang where no handler can run
_PIECES = 1024  # IOV_MAX of Linux and the BSDs
_STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_NO_MEMORY = b"4.3.0 mailguard: out of memory\n"


class _Process:
    """What a signal handler must know: when we started, whether content is at work, whether all is written."""

    __slots__ = ("finished", "in_content", "started")

    def __init__(self) -> None:
        self.started = monotonic()
        self.in_content = False
        self.finished = False

    def remaining(self) -> float:
        return max(self.started + DEADLINE_SECONDS - monotonic(), 0.001)  # zero would disarm a timer


_process = _Process()


def _tick() -> None:
    """Let SIGALRM come every second, while a system call may block without end.

    A signal that arrives shortly before the call is only noted by the interpreter; the next tick interrupts the call,
    and then all handlers run.
    """
    signal.setitimer(signal.ITIMER_REAL, min(_TICK_SECONDS, _process.remaining()), _TICK_SECONDS)


def begin() -> None:
    """Make the process safe to run as a filter: private files, signals, deadline, no lost descriptors."""
    os.umask(0o077)
    _occupy()
    for number in _STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup and background jobs ignore some on purpose
            signal.signal(number, _stop)
    signal.signal(signal.SIGALRM, _alarm)
    _tick()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)
    # SIGPIPE and SIGXFSZ are ignored by the interpreter itself: a write says EPIPE or EFBIG instead.


def _occupy() -> None:
    """Put something in the place of closed standard descriptors, so that no file of ours gets their number.

    Opened the wrong way round: reading stdin and writing stdout still fail, as they must.
    """
    for descriptor, way in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, way)


def _alarm(number: int, frame: FrameType | None) -> None:
    if _process.in_content:
        _process.in_content = False
        signal.setitimer(signal.ITIMER_REAL, _process.remaining())
        raise ContentLimit("limit.time")
    if _process.remaining() < _TICK_SECONDS / 10:
        _stop(number, frame)


def _stop(number: int, _frame: FrameType | None) -> None:
    if _process.finished:
        os._exit(0)
    cause = "not done within the deadline" if number == signal.SIGALRM else f"stopped by signal {number}"
    fail(MailguardError(cause))


def fail(error: BaseException) -> NoReturn:
    """End a filter: one line on stderr, and the status that the error asks for (75 unless it is a refusal)."""
    if isinstance(error, MemoryError):
        _say(_NO_MEMORY)
        os._exit(MailguardError.status)
    known = error if isinstance(error, MailguardError) else None
    dsn = known.dsn if known else "4.3.0"
    _say(f"{dsn} mailguard: {describe(error)}\n".encode("utf-8", "backslashreplace"))
    os._exit(known.status if known else MailguardError.status)


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


def _say(line: bytes) -> None:
    try:  # noqa: SIM105 (contextlib's suppress needs memory that may not be there)
        os.write(2, line)
    except OSError:
        pass  # nobody listens; the status says enough


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
        views = [memoryview(piece) for piece in pieces if len(piece)]
        first = 0
        while first < len(views):
            count = os.writev(1, views[first : first + _PIECES])
            if not count:
                raise OSError(5, "takes no more data")
            self.written += count
            while first < len(views) and count >= len(views[first]):
                count -= len(views[first])
                first += 1
            if count:
                views[first] = views[first][count:]
        os.close(os.dup(1))  # a network file system tells of a full disk only on close

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
    try:
        output = _Output()
        if output.size is not None:  # a disk does not block for long, and a signal must not leave half a message
            signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOPPING, signal.SIGALRM))
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


def run(steps: Sequence[Step]) -> NoReturn:
    """Filter one message through all steps and end the process; never returns, never raises.

    A step's transform may run into ContentLimit("limit.time") at any place, once, catches it and holds the message
    whole.  (Around a call, not around a loop of its own: CPython 3.11 may look for the handler of an exception from a
    signal one instruction before a loop that begins a `try`.)
    With settings.dry_run the result of a step is only reported, and the message passes.
    """
    try:
        gc.freeze()  # nothing of what was imported is garbage
        gc.enable()
        raw = read_message()
        for step in steps:
            _check_records(step.settings)
        output: Sequence[Chunk] = [raw]
        done: list[tuple[Step, bytes, Result]] = []
        for step in steps:
            raw = output[0] if len(output) == 1 and isinstance(output[0], bytes) else b"".join(output)
            result = _transformed(step, raw)
            _record(step.verb, raw, result, step.settings)
            done.append((step, raw, result))
            output = result.output if result.changed and not step.settings.dry_run else [raw]
        write_message(output)
        _process.finished = True
    except BaseException as error:  # noqa: BLE001 (not even SystemExit may pass)
        fail(error)
    for step, raw, result in done:
        _report(raw, result, step.settings)
    os._exit(0)


def _transformed(step: Step, raw: bytes) -> Result:
    remaining = _process.remaining()
    _process.in_content = True
    signal.setitimer(signal.ITIMER_REAL, min(CONTENT_SECONDS, remaining / 2))
    try:
        return step.transform(raw, step.settings)
    finally:
        _process.in_content = False
        _tick()


def _check_records(settings: Settings) -> None:
    """Notice an unusable --json or --journal with the first mail, not with the first attack."""
    if settings.json or settings.journal:
        from mailguard.safefile import check_append

        for path in filter(None, (settings.json, settings.journal)):
            check_append(path)


def _record(verb: str, raw: bytes, result: Result, settings: Settings) -> None:
    """Append to --json and --journal, before the message leaves.

    A mail that passed without its record could not be found again.  The other way round, a record whose mail was
    tried again, is harmless: the second record names the same message and the same quarantine id.
    """
    if settings.json:
        from mailguard.journal import append

        append(settings.json, result.as_dict() | ({"dry_run": True} if settings.dry_run else {}))
    if settings.journal and not settings.dry_run:
        from mailguard.journal import append, held, record

        if held(result):
            append(settings.journal, record(verb, raw, result, settings))


def _report(raw: bytes, result: Result, settings: Settings) -> None:
    """Tell the log and, with --explain, the person at the terminal; the message is out, so no failure counts."""
    try:
        from mailguard import log

        log.write(log.line(raw, result, settings), settings.log)
        if settings.explain:
            _say(log.explanation(result).encode("utf-8", "backslashreplace"))
    except Exception:  # noqa: BLE001, S110
        pass
