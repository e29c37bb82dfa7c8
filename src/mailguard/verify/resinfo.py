"""Reading Authentication-Results fields of other verifiers (RFC 8601 2.2), Exchange Online's dialect included.

Strict about everything by which one text could be read as two; lenient only where widespread verifiers write what the
RFC does not know but nobody can misread: unquoted slashes, a semicolon at the end, no authserv-id.
"""

from __future__ import annotations

import re

from mailguard.message.header import unfold
from mailguard.verify.method import MethodResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LENGTH = 16384
MAX_RESULTS = 100

_TOKEN = re.compile(
    r"""(?P<blank>[ \t]++)|(?P<quoted>"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*")|(?P<mark>[;=])"""
    r"""|(?P<text>[^\x00-\x20\x7f"();=\\]++)"""
)
_QUOTING = re.compile(r'\\(.)|"')
_KEYWORD = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_METHOD = re.compile(r"([A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:/[0-9]{1,3})?")
_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9-]*+\.[A-Za-z][A-Za-z0-9_-]*+")
_NAME = re.compile(rf"{_PROPERTY.pattern}|{_KEYWORD.pattern}")


class UnreadableField(ValueError):  # noqa: N818 (a property of the field, not a failure)
    """The field does not follow the grammar, so nobody knows what it says."""


def parse(value: bytes) -> tuple[str | None, list[MethodResult]]:
    """Return (authserv-id, results) of a field's raw value.

    The authserv-id is as written, without quotes, None where the field begins with a result.  Methods, results and
    property names are in lower case; values are as written, without quotes.  A property without a type
    (`action=none`) keeps its plain name.  Raises UnreadableField.
    """
    segments = _segments(value)
    authserv_id = None
    if "=" not in segments[0]:
        authserv_id = _authserv_id(segments.pop(0))
    if segments and not segments[-1]:
        segments.pop()
    if authserv_id is not None and segments == [["none"]]:
        return authserv_id, []
    if not segments or len(segments) > MAX_RESULTS:
        raise UnreadableField("no results, or too many")
    return authserv_id, [_result(segment, typed=authserv_id is not None) for segment in segments]


def _segments(value: bytes) -> list[list[str]]:
    """Return what stands between semicolons as words: without comments, quoted strings joined to the text beside them.

    "=" is a word of its own.  A quoted string keeps its quotes here, so that it cannot be taken for "=" or a keyword.
    """
    if len(value) > MAX_LENGTH or not value.isascii():
        raise UnreadableField("too long, or not ASCII")
    text = unfold(value).rstrip(b"\r\n").decode("ascii")
    segments: list[list[str]] = [[]]
    position, joinable = 0, False
    while position < len(text):
        if text[position] == "(":
            position, joinable = _after_comment(text, position), False
            continue
        match = _TOKEN.match(text, position)
        if match is None:
            raise UnreadableField("a character that cannot stand here")
        position = match.end()
        if match.lastgroup == "blank":
            joinable = False
        elif match[0] == ";":
            segments.append([])
            joinable = False
        elif match[0] == "=" and not (joinable and _is_value(segments[-1])):
            segments[-1].append("=")
            joinable = False
        elif joinable:
            segments[-1][-1] += match[0]
        else:
            segments[-1].append(match[0])
            joinable = True
    return segments


def _is_value(words: Sequence[str]) -> bool:
    """Whether the last word stands behind "=": another "=" directly after it belongs to it (base64 in header.b)."""
    return len(words) >= 3 and words[-2] == "="


def _after_comment(text: str, start: int) -> int:
    depth, position = 0, start
    while position < len(text):
        character = text[position]
        depth += (character == "(") - (character == ")")
        position += 2 if character == "\\" else 1
        if depth == 0:
            return position
    raise UnreadableField("a comment does not end")


def _authserv_id(words: Sequence[str]) -> str:
    if not 1 <= len(words) <= 2 or (len(words) == 2 and words[1] != "1"):  # RFC 8601 2.2: version 1
        raise UnreadableField("no authserv-id")
    return _unquoted(words[0])


def _result(words: Sequence[str], *, typed: bool) -> MethodResult:
    if len(words) < 3 or len(words) % 3 or "=" in {*words[::3], *words[2::3]} or {*words[1::3]} != {"="}:
        raise UnreadableField("a result is not made of name=value")
    method = _METHOD.fullmatch(words[0])
    if method is None or _KEYWORD.fullmatch(words[2]) is None:
        raise UnreadableField("a result does not begin with method=result")
    result = MethodResult(method[1].lower(), words[2].lower())
    for name, value in zip(words[3::3], words[5::3], strict=True):
        if name.lower() == "reason" and not result.properties and not result.reason:
            result.reason = _unquoted(value)
        elif (_PROPERTY if typed else _NAME).fullmatch(name) and name.lower() not in result.properties:
            result.properties[name.lower()] = _unquoted(value)
        else:
            raise UnreadableField("not a property, or twice the same one")
    return result


def _unquoted(word: str) -> str:
    return _QUOTING.sub(lambda match: match[1] or "", word) if '"' in word else word
