"""A chain of filters in one process: its text as in a shell, and its work on a message.

    from mailguard import pipeline
    from mailguard.cli.pipeline import defaults, filters  # in cli/, where the options of the filters are

    chain = filters(text, defaults(click.get_current_context()))  # list[Filter]; ConfigurationError
    pipeline.check_records(chain)                # --json and --journal can be written
    pipeline.begin_worker()                      # once, in the main thread of each worker process
    applied = pipeline.apply(chain, raw, envelope, now)  # for each message
    applied.output, applied.changed              # pieces of bytes for whatever makes them safe
    applied.report()                             # the log lines, after the message is out

`filters` and what `defaults` returns can be pickled, so that a worker which is not forked makes its own from the text.
A filter reads key ring, password file, policy and known senders when it first needs them, and keeps them and the DNS
answers; `filters` reads the configuration.  So after SIGHUP a driver makes new filters.

`apply` raises MailguardError where the filter would end with 75 (RefusedMail: with 77) and lets all else through:
either way there is no result, and the driver keeps the message.  What costs too much is held by its filter, as on
a command line; a worker that is late all the same ends itself after `deadline.DEADLINE_SECONDS`, and its parent kills
one that is still there a little later.  --json and --journal are written by `apply`: a message that comes again has a
second record, with the same quarantine id.
"""

from __future__ import annotations

import os

from mailguard import deadline
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from typing import NoReturn

    from mailguard.envelope import Envelope
    from mailguard.findings import Chunk, Finding, Result
    from mailguard.settings import Filter, Settings

_PIECE = r"""([ \t]+)|(\n)|(\|)|\\(\n)|\\([^\0])|'([^'\0]*)'|"((?:[^"\\$`\0]|\\[^\0])*)"|([^ \t\n|&;<>()$`\\"'\0]+)"""
_BLANK, _LINE, _PIPE, _CONTINUED, _ESCAPED, _LITERAL, _QUOTED, _BARE = range(1, 9)
_WORD = 0
_PROGRAM = "mailguard"
_HOLDING = frozenset({"quarantine", "sanitize", "strip"})
_TROUBLE = {
    "$": "variables are not replaced here; write it in single quotes if it is meant as it stands",
    "`": "commands are not replaced here; write it in single quotes if it is meant as it stands",
    "'": "this quote is not closed",
    '"': "this quote is not closed, or holds $ or `, which stand in single quotes",
    "\\": "nothing follows the backslash",
    "<": "there is no redirection in a pipeline; messages come and go by themselves",
    ">": "there is no redirection in a pipeline; messages come and go by themselves",
}


def parse(text: str, verbs: Collection[str]) -> list[list[str]]:
    """Split the text of a pipeline as a POSIX shell does: the words of each filter, its verb first.

    verbs: what may stand in a pipeline; `mailguard` before a verb is skipped.  Patterns (`*`) stay as they are.
    ConfigurationError, with the column, for whatever a shell would do besides, and for what is no filter.
    """
    commands: list[list[str]] = [[]]
    ended = 0
    for column, kind, value in _tokens(text):
        words = commands[-1]
        if kind == _LINE:
            ended = ended or (column if words else 0)
        elif ended:
            _fail(ended, "a new line ends the command; it may only follow | or a backslash")
        elif kind == _WORD:
            words.append(value)
            _check_verb(words, column, verbs)
        elif words and words != [_PROGRAM]:
            commands.append([])
        else:
            _fail(column, "there is no filter before this |")
    if commands[-1] in ([], [_PROGRAM]):
        _fail(len(text) + 1, "there is no filter at the end")
    return [words[words[0] == _PROGRAM :] for words in commands]


def _check_verb(words: list[str], column: int, verbs: Collection[str]) -> None:
    position = int(words[0] == _PROGRAM)
    if len(words) == position + 1 and words[position] not in verbs:
        _fail(column, f"{show(words[position])} is no filter{_nearest(words[position], verbs)}")


def _nearest(word: str, verbs: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, sorted(verbs), 1)
    return f"; did you mean {near[0]}?" if near else f"; filters are {', '.join(sorted(verbs))}"


def _tokens(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (column, kind, value): _WORD with quotes removed, _PIPE or _LINE."""
    pieces: list[str] = []
    begin = 0
    for column, kind, value in _pieces(text):
        if kind == _CONTINUED:
            continue
        if kind in {_BLANK, _LINE, _PIPE}:
            if pieces:
                yield begin, _WORD, "".join(pieces)
                pieces = []
            if kind != _BLANK:
                yield column, kind, value
            continue
        if not pieces:
            begin = column
            if kind == _BARE and value[0] in "#~":
                _fail(column, f"{value[0]} means something else to a shell here; write it in single quotes")
        pieces.append(_unquoted(value) if kind == _QUOTED else value)
    if pieces:
        yield begin, _WORD, "".join(pieces)


def _pieces(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (column, kind, value) of what follows each other without a gap, to the end."""
    import re

    pattern = re.compile(_PIECE)
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            letter = text[position]
            _fail(position + 1, _TROUBLE.get(letter, f"{show(letter)} has no place between filters and |"))
        yield position + 1, match.lastindex or 0, match[match.lastindex or 0]
        position = match.end()


def _unquoted(value: str) -> str:
    """Remove the backslashes that count within double quotes (POSIX XCU 2.2.3)."""
    import re

    return re.sub(r'\\(?:\n|(["\\$`]))', lambda match: match[1] or "", value)


def _fail(column: int, reason: str) -> NoReturn:
    raise ConfigurationError(f"pipeline, column {column}: {reason}")


class Stage:
    """What one filter did with a message: raw, what it got; settings: those of the filter for this message."""

    __slots__ = ("raw", "result", "settings", "verb")

    def __init__(self, verb: str, raw: bytes, result: Result, settings: Settings) -> None:
        self.verb = verb
        self.raw = raw
        self.result = result
        self.settings = settings


class Applied:
    """What a chain made of a message: output, its pieces in order; changed, whether they differ from the input."""

    __slots__ = ("changed", "output", "stages")

    def __init__(self, raw: bytes) -> None:
        self.output: Sequence[Chunk] = [raw]
        self.changed = False
        self.stages: list[Stage] = []

    def take(self, mail_filter: Filter, raw: bytes, settings: Settings) -> None:
        """Let a filter work on what is there; its record is written, its result is the output unless dry_run."""
        self.put(mail_filter, raw, settings, deadline.budget(mail_filter.transform, raw, settings))

    def put(self, mail_filter: Filter, raw: bytes, settings: Settings, result: Result) -> None:
        """Let this be what a filter made of what is there."""
        _record(mail_filter.verb, raw, result, settings)
        self.stages.append(Stage(mail_filter.verb, raw, result, settings))
        counts = result.changed and not settings.dry_run
        self.output = result.output if counts else [raw]
        self.changed |= counts

    def whole(self) -> bytes:
        """Return the output as one object; the input itself when nothing was changed."""
        from mailguard.message.splice import joined

        return joined(self.output)

    def report(self) -> None:
        """Tell the log and, with --explain, stderr; the message is out, so no failure counts."""
        for stage in self.stages:
            try:  # noqa: SIM105 (contextlib is slow to import)
                _report(stage)
            except Exception:  # noqa: BLE001, S110
                pass


def chain(filters: Iterable[tuple[Filter, Settings]], raw: bytes) -> Applied:
    """Filter a message through all filters with these settings, in the time that is left."""
    applied = Applied(raw)
    for mail_filter, settings in filters:
        applied.take(mail_filter, applied.whole(), settings)
    return applied


def apply(filters: Sequence[Filter], raw: bytes, envelope: Envelope, now: int) -> Applied:
    """Filter one of many messages through all filters.

    raw: the message with any line ends, not empty; envelope, now: of this message.
    """
    deadline.restart()
    try:
        return chain([(mail_filter, mail_filter.settings.at(envelope, now)) for mail_filter in filters], raw)
    finally:
        deadline.rest()


def hold(filters: Sequence[Filter], raw: bytes, envelope: Envelope, now: int) -> Applied | None:
    """Hold a message whole on which the filters failed, so that nothing passes unseen and nothing is lost.

    None where no filter takes anything out of messages, where they only report, and where there is no key.  Nothing of
    the message is read but its header.  Whatever goes wrong is raised.
    """
    mail_filter = _holding(filters)
    if mail_filter is None:
        return None
    from mailguard.errors import ContentLimit
    from mailguard.outcome.whole import whole
    from mailguard.seal.field import Reading
    from mailguard.site import Site, key_ring

    settings = mail_filter.settings.at(envelope, now)
    ring = key_ring(settings.key_file)
    if ring is None:
        return None
    site = Site(settings.now, ring=ring, envelope=settings.envelope)
    try:
        result = whole(raw, [_failure()], mail_filter.verb, site, Reading(None, "not read"))
    except ContentLimit:
        raise MailguardError("the message is too large for a capsule (1 GiB)") from None
    applied = Applied(raw)
    applied.put(mail_filter, raw, settings, result)
    return applied


def unread(filters: Sequence[Filter], raw: bytes, envelope: Envelope, now: int) -> Applied | None:
    """Do what can be done with a message on which the filters failed and which no filter would hold.

    It goes on without a verdict and without any field that claims to be one; a filter that only reports says that the
    filter failed; a filter that reads no content is done as ever.  None where a filter had to hold it, and has no key.
    """
    if _holding(filters):
        return None
    from mailguard.findings import Result

    applied = Applied(raw)
    for mail_filter in filters:
        whole = applied.whole()
        settings = mail_filter.settings.at(envelope, now)
        if mail_filter.unread:
            result = mail_filter.unread(whole, _failure(), settings)
        elif settings.dry_run:
            result = Result(mail_filter.verb, [whole])
            result.findings = [_failure()]
        else:
            result = mail_filter.transform(whole, settings)
        applied.put(mail_filter, whole, settings, result)
    return applied


def _holding(filters: Sequence[Filter]) -> Filter | None:
    return next(
        (mail_filter for mail_filter in filters if mail_filter.verb in _HOLDING and not mail_filter.settings.dry_run),
        None,
    )


def _failure() -> Finding:
    from mailguard.findings import Finding

    return Finding("limit.failure", "", "danger", "The filter failed on this message.")


def begin_worker() -> None:
    """Make this process one that filters messages one after the other, in its main thread."""
    os.umask(0o077)
    deadline.begin(_late)
    deadline.rest()


def _late() -> NoReturn:
    os._exit(MailguardError.status)


def check_records(filters: Sequence[Filter]) -> None:
    """Notice an unusable --json or --journal with the first mail, not with the first attack: ConfigurationError."""
    for mail_filter in filters:
        for path in filter(None, (mail_filter.settings.json, mail_filter.settings.journal)):
            from mailguard.safefile import check_append

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


def _report(stage: Stage) -> None:
    if stage.settings.log == "none" and not stage.settings.explain:
        return
    from mailguard import log

    log.write(log.line(stage.raw, stage.result, stage.settings), stage.settings.log)
    if stage.settings.explain:
        os.write(2, log.explanation(stage.result).encode("utf-8", "backslashreplace"))
