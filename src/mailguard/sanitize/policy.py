"""The policy: which rungs are climbed for which kind of content, in a TOML file.

The first `[[rule]]` that matches decides; content that no rule matches is held.  The policy that is used without a
file is `DEFAULT`, which is written in the same language.

`type` and `extension` are lists of globs, in any case.  What lets content through must be sure, what holds it need
not: `keep` matches when every type and every extension that any reading gives the content matches, `quarantine` and
`remove` when any does, all others by the detected type and its extension alone.  A rule with both needs both.
"""

from __future__ import annotations

import re

from mailguard import config
from mailguard.errors import ConfigurationError
from mailguard.filename import FileName
from mailguard.findings import show
from mailguard.formats.budget import DEPTH, MEMBERS, OCTETS
from mailguard.formats.disarmed import FEATURES, KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, NoReturn

    Key = tuple[str | int, ...]

DISARM = "disarm"
PDF = "pdf"
TEXT = "text"
COMMAND = "command"
QUARANTINE = "quarantine"
REMOVE = "remove"
KEEP = "keep"
ACTIONS = (DISARM, PDF, TEXT, COMMAND, QUARANTINE, REMOVE, KEEP)
RUNGS = (DISARM, PDF, TEXT)
HOLD = "hold"
KEEP_KNOWN = "keep-known"

_LONGEST_TIMEOUT = 280
_TIMEOUT = 60
_OUTPUT = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*", re.ASCII)

DEFAULT = """\
# Documents, pictures and pages are made harmless and stay what they are.  What cannot be made harmless becomes a PDF
# where a converter is installed; everything else is held.

[[rule]]
type = [
    "application/msword", "application/vnd.ms-excel", "application/vnd.ms-excel.*",
    "application/vnd.ms-powerpoint", "application/vnd.ms-powerpoint.*", "application/vnd.ms-word.*",
    "application/vnd.openxmlformats-officedocument.*", "application/rtf",
]
action = "disarm"
otherwise = ["pdf"]

[[rule]]
type = ["application/vnd.oasis.opendocument.*"]
action = "pdf"

[[rule]]
type = [
    "application/pdf", "text/html", "application/xhtml+xml", "image/*", "text/*", "application/json", "application/xml",
]
action = "disarm"

[[rule]]
type = [
    "application/zip", "application/x-tar", "application/gzip", "application/x-bzip2", "application/x-xz",
    "application/x-7z-compressed", "application/vnd.rar", "application/vnd.ms-cab-compressed",
    "message/rfc822", "application/vnd.ms-outlook",
    "application/vnd.ms-tnef", "multipart/related",
    "application/pgp-keys", "application/pgp-signature", "application/pkcs7-signature",
]
action = "disarm"
"""


class Rule:
    """One rule; types, extensions: lower-case globs, empty = any; program: of `command`, else None."""

    __slots__ = ("action", "extensions", "kept", "otherwise", "program", "types")

    def __init__(
        self,
        types: tuple[str, ...],
        extensions: tuple[str, ...],
        action: str,
        otherwise: tuple[str, ...],
        kept: frozenset[str],
        program: Program | None,
    ) -> None:
        self.types = types
        self.extensions = extensions
        self.action = action
        self.otherwise = otherwise
        self.kept = kept
        self.program = program

    @property
    def rungs(self) -> tuple[str, ...]:
        """The action and what is tried after it, in order."""
        return (self.action, *self.otherwise)

    def matches(self, subject: Subject) -> bool:
        """Tell whether the rule decides about this content."""
        types, extensions = {subject.type}, {subject.extension}
        every = self.action == KEEP
        if every or self.action in {QUARANTINE, REMOVE}:
            types |= subject.types
            extensions |= subject.extensions
        return _fits(types, self.types, every=every) and _fits(extensions, self.extensions, every=every)


class Subject:
    """Content as rules see it: detected type and its extension; every type and extension of any reading."""

    __slots__ = ("extension", "extensions", "type", "types")

    def __init__(self, mime: str, extension: str, types: Iterable[str], names: Iterable[str]) -> None:
        self.type = mime
        self.extension = extension
        vague = set() if mime == _VAGUE else {_VAGUE}  # what every sender may write, and says nothing
        self.types = set(types) - vague
        self.extensions = {ending for name in names for ending in FileName(name).endings if ending}


_VAGUE = "application/octet-stream"


class Program:
    """An external program of the operator.

    words: program and arguments; `{file}` is the path of the content, without it the content is on stdin; `{scratch}`
    is the directory in which it may write.  output: name of the result there, "" when the result is stdout; visible:
    further paths that it may read; statuses: what other exit statuses mean ("hold" or "keep"; "hold" when absent).
    """

    __slots__ = ("output", "statuses", "timeout", "visible", "words")

    def __init__(
        self,
        words: Sequence[str],
        *,
        output: str = "",
        timeout: int = _TIMEOUT,
        visible: Sequence[str] = (),
        statuses: dict[int, str] | None = None,
    ) -> None:
        self.words = tuple(words)
        self.output = output
        self.timeout = timeout
        self.visible = tuple(visible)
        self.statuses = statuses or {}


class Policy:
    """A policy that was read and checked.

    encrypted: "hold" or "keep-known"; body: whether HTML body text is disarmed; passwords: whether words of the body
    text are tried as passwords; scanners: programs that must find nothing in any attachment; members, octets, depth:
    quotas.
    """

    __slots__ = ("body", "body_kept", "depth", "encrypted", "members", "octets", "passwords", "rules", "scanners")

    def __init__(self) -> None:
        self.encrypted = HOLD
        self.body = True
        self.body_kept = KEPT | {"remote_images"}
        self.passwords = False
        self.rules: tuple[Rule, ...] = ()
        self.scanners: tuple[Program, ...] = ()
        self.members = MEMBERS
        self.octets = OCTETS
        self.depth = DEPTH

    def rule(self, subject: Subject) -> Rule:
        """Return the first rule that matches, or one that holds."""
        return next((rule for rule in self.rules if rule.matches(subject)), _HELD)


_HELD = Rule((), (), QUARANTINE, (), KEPT, None)


def _fits(values: set[str], globs: tuple[str, ...], *, every: bool) -> bool:
    from fnmatch import fnmatchcase

    if not globs:
        return True
    found = [any(fnmatchcase(value.lower(), glob) for glob in globs) for value in values]
    return all(found) if every else any(found)


def load(path: str | None) -> Policy:
    """Read a policy file, or the default policy without one; ConfigurationError with file, line and key."""
    if path is None:
        return parse(DEFAULT, "default policy")
    return parse(config.read(path), path)


def parse(text: str, path: str) -> Policy:
    """Read the text of a policy; `path` names it in errors."""
    return _Reader(text, path).policy()


class _Reader:
    """Checks every key and value: a policy that says something else than what was meant is worse than none."""

    def __init__(self, text: str, path: str) -> None:
        import tomllib

        self.text = text
        self.path = show(path)
        try:
            self.tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            reason, _, place = str(error).partition(" (at ")
            line = place.removeprefix("line ").partition(",")[0] if "line" in place else len(text.splitlines())
            raise ConfigurationError(f"{self.path}:{line}: {show(reason)}") from None

    def policy(self) -> Policy:
        policy = Policy()
        self.only((), self.tables, ("body", "encrypted", "limits", "passwords_from_text", "rule", "scan"))
        policy.encrypted = self.choice((), self.tables, "encrypted", (HOLD, KEEP_KNOWN), HOLD)
        policy.passwords = self.truth((), self.tables, "passwords_from_text", default=False)
        self.read_body(policy)
        self.read_limits(policy)
        policy.scanners = tuple(self.program(("scan", index), scan) for index, scan in enumerate(self.list_of("scan")))
        rules = self.list_of("rule") if "rule" in self.tables else []
        policy.rules = tuple(self.rule(("rule", index), rule) for index, rule in enumerate(rules))
        if not policy.rules:
            policy.rules = parse(DEFAULT, "default policy").rules
        return policy

    def read_body(self, policy: Policy) -> None:
        body = self.table("body")
        self.only(("body",), body, ("action", "keep", "remove"))
        policy.body = self.choice(("body",), body, "action", (DISARM, KEEP), DISARM) == DISARM
        policy.body_kept = self.features(("body",), body, policy.body_kept)

    def read_limits(self, policy: Policy) -> None:
        limits = self.table("limits")
        self.only(("limits",), limits, ("depth", "files", "octets"))
        policy.depth = self.number(("limits",), limits, "depth", DEPTH, 10)
        policy.members = self.number(("limits",), limits, "files", MEMBERS, 100_000)
        policy.octets = self.number(("limits",), limits, "octets", OCTETS, 1 << 30)

    def rule(self, key: Key, table: dict[str, Any]) -> Rule:
        program = ("command", "output", "statuses", "timeout", "visible")
        self.only(key, table, ("action", "extension", "keep", "otherwise", "remove", "type", *program))
        if "action" not in table:
            self.fail(key, "a rule needs an action")
        action = self.choice(key, table, "action", ACTIONS, "")
        otherwise = tuple(self.texts(key, table, "otherwise"))
        for rung in otherwise:
            if rung not in RUNGS:
                self.fail((*key, "otherwise"), f"otherwise: {show(rung)} is none of: {', '.join(RUNGS)}")
        if otherwise and action in {KEEP, QUARANTINE, REMOVE}:
            self.fail((*key, "otherwise"), f"nothing can follow {action}")
        for name in program:
            if name in table and action != COMMAND:
                self.fail((*key, name), f'{name} belongs to action = "command"')
        return Rule(
            tuple(glob.lower() for glob in self.texts(key, table, "type")),
            tuple(glob.lower().lstrip(".") for glob in self.texts(key, table, "extension")),
            action,
            otherwise,
            self.features(key, table, KEPT),
            self.program(key, table, of_rule=True) if action == COMMAND else None,
        )

    def program(self, key: Key, table: dict[str, Any], *, of_rule: bool = False) -> Program:
        if not of_rule:
            self.only(key, table, ("command", "statuses", "timeout", "visible"))
        words = self.texts(key, table, "command")
        if not words or not words[0]:
            self.fail((*key, "command") if "command" in table else key, "command must name a program")
        if any("\0" in word for word in words):
            self.fail((*key, "command"), "command holds a NUL")
        visible = self.texts(key, table, "visible")
        for path in visible:
            if not path.startswith("/") or path.strip("/") == "" or "\0" in path:
                self.fail((*key, "visible"), f"visible: {show(path)} is no absolute path below /")
        output = table.get("output", "")
        if not isinstance(output, str) or (output and not _OUTPUT.fullmatch(output)):
            self.fail((*key, "output"), "output must be the name of a file in the scratch directory")
        timeout = self.number(key, table, "timeout", _TIMEOUT, _LONGEST_TIMEOUT)
        return Program(words, output=output, timeout=timeout, visible=visible, statuses=self.statuses(key, table))

    def statuses(self, key: Key, table: dict[str, Any]) -> dict[int, str]:
        given = table.get("statuses", {})
        if not isinstance(given, dict):
            self.fail((*key, "statuses"), "statuses must be a table")
        statuses = {}
        for number, meaning in given.items():
            if not (number.isdecimal() and number.isascii() and 0 < int(number) < 126):
                self.fail((*key, "statuses"), f"statuses: {show(number)} is no exit status from 1 to 125")
            if meaning not in {HOLD, KEEP}:
                self.fail((*key, "statuses"), f'statuses: {number} must be "hold" or "keep"')
            statuses[int(number)] = str(meaning)
        return statuses

    def features(self, key: Key, table: dict[str, Any], kept: frozenset[str]) -> frozenset[str]:
        wanted, unwanted = set(self.texts(key, table, "keep")), set(self.texts(key, table, "remove"))
        for name, values in (("keep", wanted), ("remove", unwanted)):
            for value in sorted(values - set(FEATURES)):
                self.fail((*key, name), f"{name}: {show(value)} is none of: {', '.join(FEATURES)}")
        if wanted & unwanted:
            self.fail((*key, "keep"), f"{min(wanted & unwanted)} is both kept and removed")
        return frozenset(kept | wanted) - unwanted

    # Values

    def table(self, name: str) -> dict[str, Any]:
        value = self.tables.get(name, {})
        if not isinstance(value, dict):
            self.fail((name,), f"{name} must be a table")
        return dict(value)

    def list_of(self, name: str) -> list[dict[str, Any]]:
        value = self.tables.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fail((name,), f"{name} must be written as [[{name}]]")
        return list(value)

    def only(self, key: Key, table: dict[str, Any], names: Sequence[str]) -> None:
        for name in table:
            if name not in names:
                self.fail((*key, name), f"{show(name)} is no key here; there are: {', '.join(sorted(names))}")

    def choice(self, key: Key, table: dict[str, Any], name: str, values: Sequence[str], default: str) -> str:
        value = table.get(name, default)
        if value not in values:
            self.fail((*key, name), f"{name} must be one of: {', '.join(values)}")
        return str(value)

    def truth(self, key: Key, table: dict[str, Any], name: str, *, default: bool) -> bool:
        value = table.get(name, default)
        if not isinstance(value, bool):
            self.fail((*key, name), f"{name} must be true or false")
        return value

    def number(self, key: Key, table: dict[str, Any], name: str, default: int, most: int) -> int:
        value = table.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
            self.fail((*key, name), f"{name} must be a number from 1 to {most}")
        return value

    def texts(self, key: Key, table: dict[str, Any], name: str) -> list[str]:
        value = table.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fail((*key, name), f"{name} must be a list of texts")
        return list(value)

    def fail(self, key: Key, reason: str) -> NoReturn:
        raise ConfigurationError(f"{self.path}:{self.line(key)}: {reason}")

    def line(self, key: Key) -> int:
        """Return the line of a key: the first one with which the beginning of the file has it."""
        import tomllib

        lines = self.text.splitlines()
        for stop in range(1, len(lines) + 1):
            try:
                tables = tomllib.loads("\n".join(lines[:stop]))
            except tomllib.TOMLDecodeError:
                continue  # a value goes on in the next line
            if _has(tables, key):
                return self.opening(lines, stop, key[-1])
        return 1

    @staticmethod
    def opening(lines: Sequence[str], stop: int, name: str | int) -> int:
        """Return the line where a value begins that ends in line `stop`."""
        if isinstance(name, int):
            return stop
        for number in range(stop, 0, -1):
            if lines[number - 1].lstrip(" \t[\"'").startswith(name):
                return number
        return stop


def _has(tables: Any, key: Key) -> bool:
    value = tables
    for name in key:
        try:
            value = value[name]
        except (KeyError, IndexError, TypeError):
            return False
    return True
