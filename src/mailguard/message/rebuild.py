"""The canonical rebuild of a message that readers understand differently.

Nothing of the structure is copied: new boundaries, generated fields, canonical base64, one safe file name per part,
and the safe form of the header.  What only some readers would find, by the union scan, becomes a part that everybody
finds.  Text that some reader would look for parts or files in is made unattractive, line by line.
"""

from __future__ import annotations

import hashlib
import re

from mailguard.errors import ContentLimit
from mailguard.message import encoding as transfer
from mailguard.message import hidden, parameters
from mailguard.message.entity import entity
from mailguard.message.safe_header import safe_fields
from mailguard.message.tree import after_from_line, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mailguard.findings import Finding
    from mailguard.message.tree import Message, Part

NOT_REBUILT = frozenset({"mime.partial", "mime.external-body", "mime.encoded-multipart"})
"""Anomalies whose message is held: the rest of it is elsewhere, or would have to be decoded before it is read."""
_BODY_TYPES = (b"text/plain", b"text/html")
_KINDS = {b"multipart/alternative": b"alternative", b"multipart/related": b"related"}
_SECURED = (b"multipart/signed", b"multipart/encrypted")
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# The beginnings of lines in which readers look for parts and files; to Python's email a lone CR ends a line.
_LURE = re.compile(
    rb"(?im)(?:^|(?<=\r))(?=[ \t>]*+(?:content-[a-z-]++[ \t]*+:|mime-version[ \t]*+:|begin(?:-base64)?[ \t]"
    rb"|=y(?:begin|part|end)\b|\(this file must|--[^\r\n\s-]|from "
    rb"|(?:[A-Za-z0-9+/_-]{24,}+|[!-~]{44,}+)=*+[ \t]*+(?:[\r\n]|\Z)))"
)
_CHARSET = re.compile(rb"(?i)\bcharset[ \t]*+=[ \t]*+\"?([a-z0-9_.:-]{1,40})")
_LONE_CR = re.compile(rb"\r(?!\n)")
_MOST_HIDDEN = 50
_MOST_LURES = 100_000
_SHORTEST = 16
_TAIL = 64
_LONGEST_FROM_LINE = 500


class Rebuilt:
    """raw: the new message; hidden: how many parts of it were found by the union scan only."""

    __slots__ = ("hidden", "raw")

    def __init__(self, raw: bytes, count: int) -> None:
        self.raw = raw
        self.hidden = count


def rebuild(
    message: Message,
    anomalies: Iterable[Finding],
    choose: Callable[[Sequence[str]], str],
    wanted: Callable[[bytes], str],
) -> Rebuilt | None:
    """Return the message rebuilt, or None when it must be held whole.

    choose: gives one safe file name for all names of a part ("" for none); wanted: gives a safe file name for hidden
    content that is worth a part, or "", as for harmless text.  ContentLimit as of `plain`.
    """
    if message.limit is not None or any(
        finding.code in NOT_REBUILT or finding.code.startswith("limit.") for finding in anomalies
    ):
        return None
    builder = _Builder(message, choose, wanted)
    root = builder.build()
    parts = builder.hidden_parts()
    if len(parts) > _MOST_HIDDEN:
        return None
    if parts:
        root = builder.multipart(b"mixed", [root, *([one] for one in parts)])
    eol = message.eol
    head = safe_fields(message.root.fields, eol, everything=True) + b"MIME-Version: 1.0" + eol
    return Rebuilt(b"".join((_from_line(message), head, *root, eol)), len(parts))


def as_shown(message: Message) -> Message:
    """Return the message as Python's email and others read it, to which a lone CR ends a line.

    Only where other readers see nothing: one line of header, or a multipart without parts.
    """
    raw = message.raw
    if not _LONE_CR.search(raw):
        return message
    if b"\n" in raw and not any(map(_has_no_parts, message.parts())):
        return message
    return parse(_LONE_CR.sub(message.eol if b"\n" in raw else b"\n", raw))


def _from_line(message: Message) -> bytes:
    start = after_from_line(message.raw)
    line = message.raw[:start].rstrip(b"\r\n")[:_LONGEST_FROM_LINE]
    return bytes(octet if 32 <= octet < 127 else 63 for octet in line) + message.eol if line else b""


class _Builder:
    def __init__(
        self, message: Message, choose: Callable[[Sequence[str]], str], wanted: Callable[[bytes], str]
    ) -> None:
        self.message = message
        self.choose = choose
        self.wanted = wanted
        self.eol = message.eol
        self.digest = hashlib.sha256(message.raw).digest()
        self.count = 0
        self.contents: list[bytes] = []
        self.done: dict[int, list[bytes]] = {}

    def build(self) -> list[bytes]:
        """Build every part, the inner ones first; return the entity of the root.

        Entities are pieces that the one around them takes over: joined at each level, a part that lies 100 levels deep
        would be there 100 times.
        """
        for part in reversed(list(self.message.parts())):
            self.done[id(part)] = self.part(part)
        return self.done.pop(id(self.message.root))

    def part(self, part: Part) -> list[bytes]:
        if part.is_multipart and part.children:
            children = part.children[:1] if part.content_type in _SECURED[:1] else part.children
            kind = _KINDS.get(part.content_type, b"mixed")
            return self.multipart(kind, [self.done.pop(id(child)) for child in children])
        inner = part.embedded.root if part.embedded is not None else next(iter(part.children), None)
        if inner is not None and id(inner) in self.done:
            head = safe_fields(inner.fields, self.eol) + b"MIME-Version: 1.0" + self.eol
            opening = self.eol.join((b"Content-Type: message/rfc822", b"Content-Disposition: attachment", b"", b""))
            return [opening + head, *self.done.pop(id(inner))]
        return [self.leaf(part)]

    def multipart(self, kind: bytes, entities: Sequence[list[bytes]]) -> list[bytes]:
        self.count += 1
        code = hashlib.sha256(self.digest + self.count.to_bytes(4, "big")).hexdigest()[:24].encode("ascii")
        boundary = b"=_mailguard_" + code
        eol = self.eol
        head = b"Content-Type: multipart/" + kind + b";" + eol + b'\tboundary="' + boundary + b'"' + eol + eol
        pieces = [head]
        for one in entities:
            pieces.append(b"--" + boundary + eol)
            pieces += one
            pieces.append(eol)
        pieces.append(b"--" + boundary + b"--")
        return pieces

    def leaf(self, part: Part) -> bytes:
        fields = part.field(b"content-type")
        names = parameters.names(
            [field.value for field in fields], [field.value for field in part.field(b"content-disposition")]
        )
        # A multipart in which nobody finds a part is shown as the text it is.
        unnamed = not names and part.disposition in {b"", b"inline"}
        is_body = unnamed and (part.content_type in _BODY_TYPES or _has_no_parts(part))
        data, is_text = self.content(part, is_body=is_body)
        charset = (parameters.parse(fields[0].value).get(b"charset") or b"") if fields else b""
        if is_body and is_text and _has_no_parts(part):
            return entity(data, "text/plain", self.eol, charset=_charset(data))
        ids = part.field(b"content-id")
        name = "" if is_body and is_text else self.choose(names)
        return entity(
            data,
            part.content_type.decode("ascii", "replace") if is_text or not _is_text_type(part) else "",
            self.eol,
            name=name,
            charset=charset.decode("ascii", "replace"),
            content_id=ids[0].unfolded if len(ids) == 1 else b"",
            inline=part.disposition == b"inline",
        )

    def content(self, part: Part, *, is_body: bool) -> tuple[bytes, bool]:
        """Return (content, whether it is text); text is made unattractive for those who look for files in it.

        A file that is text, such as a script, keeps its bytes, so that it is known for what it is.
        """
        known = part.encoding in transfer.IDENTITY or part.encoding in {b"base64", b"quoted-printable"}
        data = part.content().whole() if not part.is_multipart else part.message.raw[part.body : part.end]
        self.contents.append(data)
        if _NOT_TEXT.search(data) or not (
            _is_text_type(part) or not known or part.is_multipart or part.encoding in transfer.IDENTITY
        ):
            return data, False
        return (data if not is_body and self.wanted(data) else plain(data)), True

    def hidden_parts(self) -> list[bytes]:
        """Return the entities of what the union scan finds and no part holds."""
        entities: list[bytes] = []
        for data in hidden.scan(self.message.raw):
            if any(data in content or _is_almost(data, content) for content in self.contents):
                continue
            name = self.wanted(data)
            if name:
                self.contents.append(data)
                entities.append(entity(data, "", self.eol, name=name))
                if len(entities) > _MOST_HIDDEN:
                    break
        return entities


def _has_no_parts(part: Part) -> bool:
    return part.content_type.startswith(b"multipart/") and not part.children


def _charset(text: bytes) -> str:
    """Return the charset of a text without fields of its own: what it says in its lines, or what it can be read as."""
    if named := _CHARSET.search(text):
        return named[1].decode("ascii")
    if b"\x1b" in text:
        return "iso-2022-jp"
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "utf-8"


def _is_almost(data: bytes, content: bytes) -> bool:
    """Tell whether data is content that is known, with a delimiter line behind it that was decoded too."""
    return len(content) >= _SHORTEST and data.startswith(content) and len(data) - len(content) <= _TAIL


def _is_text_type(part: Part) -> bool:
    return part.content_type.startswith((b"text/", b"message/", b"multipart/")) or b"/" not in part.content_type


def plain(text: bytes) -> bytes:
    """Put `| ` before every line in which some reader looks for a part or a file.

    ContentLimit("limit.lines") for a text that is made of such lines.
    """
    made, count = _LURE.subn(b"| ", text, _MOST_LURES)
    if count == _MOST_LURES:
        raise ContentLimit("limit.lines")
    return made
