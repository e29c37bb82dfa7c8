"""The part tree of any bytes at all, as ranges of the buffer (RFC 2046 5).

One pass over the lines that begin with two hyphens, with the open boundaries on a stack: an outer boundary ends the
inner parts, as RFC 2046 5.1.2 demands, and the cost does not depend on the depth.  Nothing is copied, nothing fails,
nothing recurses: what is odd about the structure is told by `grammar.check`.
"""

from __future__ import annotations

import re

from mailguard.message import encoding as transfer
from mailguard.message import header
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.message.header import Field

MAX_PARTS = 10_000
MAX_FIELDS = 10_000  # of one entity
MAX_ALL_FIELDS = 60_000
MAX_DEPTH = 100
MAX_EMBEDDED = 10
ROOM = 20  # parts, fields and levels that we may add: what we wrote can be read again

_MESSAGE_TYPES = frozenset({b"message/rfc822", b"message/global", b"message/news"})
_TYPE = re.compile(rb"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]++/[!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*(?:;|\Z)")
_FROM_LINE = re.compile(rb">?From (?![ \t]*+:)")  # "From :" is a field to those who allow the blank (RFC 5322 4.5.2)
_DISPOSITION = re.compile(rb"[ \t]*([A-Za-z-]++)[ \t]*(?:;|\Z)")
_ENCODING = re.compile(rb"[ \t]*([A-Za-z0-9-]*+)[ \t]*\Z")


class Message:
    """A message and its parts.

    raw: the whole input; start: where the header begins (behind a `From ` line); eol: the line end that most header
    lines have; limit: code of the limit at which parsing stopped, or None; container: the part in whose decoded bytes
    this message lies, or None.
    """

    __slots__ = ("container", "deepest", "depth", "eol", "field_count", "limit", "part_count", "raw", "root", "start")

    def __init__(self, raw: bytes, container: Part | None = None, depth: int = 0) -> None:
        self.raw = raw
        self.container = container
        self.depth = depth
        self.start = after_from_line(raw)
        self.eol = b"\n"
        self.limit: str | None = None
        self.deepest = 0
        self.part_count = 0
        self.field_count = 0
        self.root: Part

    def parts(self) -> Iterator[Part]:
        """Yield every part in document order, those of embedded messages behind the part that embeds them."""
        waiting = [self.root]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))
            if part.embedded is not None:
                waiting.append(part.embedded.root)

    @property
    def excess(self) -> str | None:
        """The code of the limit over which the message is, whether or not there was room to read it all."""
        if self.limit is not None or self.part_count > MAX_PARTS:
            return self.limit or "limit.parts"
        if self.field_count > MAX_ALL_FIELDS or len(self.root.fields) > MAX_FIELDS:
            return "limit.fields"
        return "limit.depth" if self.deepest > MAX_DEPTH else None

    @property
    def fields(self) -> list[Field]:
        """The header fields of the message itself."""
        return self.root.fields


class Part:
    """One entity (RFC 2045 2.4): header `message.raw[start:body]`, body `message.raw[body:end]`.

    content_type, encoding, disposition: lower case, of the first such field; boundary: of a multipart, as bytes;
    delimiters: where each delimiter line of this multipart begins (the closing one included when `closed`);
    embedded: the message in the decoded bytes of an encoded message/rfc822; examination: what was found out about its
    content, for the next verb of a chain.
    """

    __slots__ = (
        "_content",
        "body",
        "boundary",
        "children",
        "closed",
        "content_type",
        "delimiters",
        "disposition",
        "embedded",
        "encoding",
        "end",
        "examination",
        "fields",
        "index",
        "message",
        "parent",
        "start",
    )

    def __init__(self, message: Message, parent: Part | None, start: int) -> None:
        self.message = message
        self.parent = parent
        self.index = len(parent.children) + 1 if parent else 1
        self.start = self.body = self.end = start
        self.fields: list[Field] = []
        self.children: list[Part] = []
        self.content_type = b"text/plain"
        self.encoding = b""
        self.disposition = b""
        self.boundary: bytes | None = None
        self.delimiters: list[int] = []
        self.closed = False
        self.embedded: Message | None = None
        self.examination: object = None
        self._content: Content | None = None

    @property
    def is_multipart(self) -> bool:
        """A multipart whose boundary is known: its children are its content."""
        return self.boundary is not None

    @property
    def container(self) -> Part | None:
        """The part around this one: the multipart or the message/rfc822, over the edge of an encoded one too."""
        return self.parent or self.message.container

    @property
    def path(self) -> str:
        """The part number as in IMAP (RFC 9051 6.4.5.1); "" for a multipart message, `2.TEXT` for a nested one."""
        around = self.container
        if around is None:
            return "" if self.is_multipart else "1"
        if around.is_multipart:
            return f"{around.prefix}{self.index}"
        return f"{around.path}.TEXT" if self.is_multipart else f"{around.path}.1"

    @property
    def prefix(self) -> str:
        """What the part numbers of the children of this multipart begin with."""
        around = self.container
        if around is None:
            return ""
        return f"{self.path}." if around.is_multipart else f"{around.path}."

    def field(self, name: bytes) -> list[Field]:
        """Return the fields of this (lower-case) name in order."""
        return [field for field in self.fields if field.name == name]

    def content(self) -> Content:
        """Return the decoded body; decoded once."""
        if self._content is None:
            self._content = Content.decoded(self.message.raw, self.body, self.end, self.encoding)
        return self._content

    def __repr__(self) -> str:
        return f"Part({self.path!r}, {self.content_type!r}, {self.start}:{self.body}:{self.end})"


_latest: list[Message] = []


def parse(raw: bytes) -> Message:
    """Read any bytes as a message; never fails.

    A little over 10,000 parts or header fields, 100 levels or 10 encoded messages within each other, `limit` names the
    limit and the tree ends there.  The same object again gives the same Message: nobody changes one, and the verbs of a
    chain share what was found out about it.
    """
    if _latest and _latest[0].raw is raw:
        return _latest[0]
    message = Message(raw)
    _Parser(message).run()
    waiting = [message]
    while waiting and message.limit is None:
        outer = waiting.pop()
        for part in outer.parts():
            if part.message is outer and part.content_type in _MESSAGE_TYPES and not part.children:
                _embed(part, message)
                if part.embedded is not None:
                    waiting.append(part.embedded)
    _latest[:] = [message]
    return message


def forget() -> None:
    """Give the memory of the message back that was read last; parts know each other, so the collector must go there."""
    import gc

    _latest.clear()
    gc.collect()


def _embed(part: Part, top: Message) -> None:
    """Read the message in an encoded message/rfc822; parts and fields count for the whole message."""
    if part.encoding in transfer.IDENTITY or part.body == part.end:
        return
    if part.message.depth >= MAX_EMBEDDED:
        top.limit = "limit.encoded-depth"
        return
    data = transfer.decode(part.message.raw, part.body, part.end, part.encoding).data
    part.embedded = Message(data, part, part.message.depth + 1)
    part.embedded.part_count, part.embedded.field_count = top.part_count, top.field_count
    _Parser(part.embedded).run()
    top.part_count, top.field_count = part.embedded.part_count, part.embedded.field_count
    top.limit = part.embedded.limit
    top.deepest = max(top.deepest, part.embedded.deepest)


def after_from_line(raw: bytes) -> int:
    """Return where the header begins: behind the `From ` line of an mbox, if the message has one."""
    if _FROM_LINE.match(raw) is None:
        return 0
    newline = raw.find(b"\n")
    return len(raw) if newline < 0 else newline + 1


class _Parser:
    def __init__(self, message: Message) -> None:
        self.message = message
        self.raw = message.raw
        self.stop = len(message.raw)
        self.open: list[Part] = []  # the multiparts whose delimiters count, outermost first
        self.blank = (-1, -1, -1)  # the last search for an empty line: from, header end, body

    def run(self) -> None:
        message = self.message
        message.root = Part(message, None, message.start)
        part: Part | None = message.root
        while part is not None:
            self.read_header(part)
            child = self.descend(part)
            part = child if child is not None else self.next_part(part)
        self.close(message.root, self.stop)
        message.eol = _majority(self.raw, message.start, message.root.body)

    def read_header(self, part: Part) -> None:
        header_end, part.body = self.header_end(part.start)
        delimiter = self.delimiter(part.start, part.body) if self.open else None
        if delimiter is not None:
            header_end = part.body = delimiter[0]
        for field in header.fields(self.raw, part.start, header_end):
            part.fields.append(field)
            self.message.field_count += 1
            if len(part.fields) > MAX_FIELDS + ROOM or self.message.field_count > MAX_ALL_FIELDS + ROOM:
                self.message.limit = "limit.fields"
                break
        _interpret(part, _default_type(part))

    def header_end(self, start: int) -> tuple[int, int]:
        """Find the empty line; a search from farther up that found none before `start` need not be repeated."""
        origin, header_end, body = self.blank
        # An entity may begin with its empty line, which no search for two line ends in a row can see.
        if origin < 0 or not origin <= start < header_end or self.raw.startswith((b"\n", b"\r\n"), start):
            header_end, body = header.end(self.raw, start, self.stop)
            self.blank = (start, header_end, body)
        return header_end, body

    def descend(self, part: Part) -> Part | None:
        """Return the first entity inside a message/rfc822; open a multipart."""
        if self.message.limit is not None:
            return None
        is_message = part.content_type in _MESSAGE_TYPES and part.encoding in transfer.IDENTITY
        if not is_message and part.boundary is None:
            return None
        depth = _depth(part) + 1
        self.message.deepest = max(self.message.deepest, depth)
        if depth > MAX_DEPTH + ROOM:
            self.message.limit = "limit.depth"
            return None
        if is_message:
            return self.add(part, part.body)
        self.open.append(part)
        return None

    def add(self, parent: Part, start: int) -> Part | None:
        self.message.part_count += 1
        if self.message.part_count > MAX_PARTS + ROOM:
            self.message.limit = "limit.parts"
            return None
        child = Part(self.message, parent, start)
        parent.children.append(child)
        return child

    def next_part(self, part: Part) -> Part | None:
        """From the body of `part`, go to the next delimiter line; return the entity that begins behind it."""
        position = part.body
        while self.open and self.message.limit is None:
            found = self.delimiter(position, self.stop)
            if found is None:
                return None
            start, position, owner, closing = found
            while self.open[-1] is not owner:
                self.open.pop()
            if owner.children:
                self.close(owner.children[-1], _before_line_end(self.raw, start))
            owner.delimiters.append(start)
            if not closing:
                return self.add(owner, position)
            owner.closed = True
            self.open.pop()
        return None

    def close(self, part: Part, end: int) -> None:
        """End the part and what is still open inside it."""
        while True:
            part.end = max(part.body, end)
            if part.closed or not part.children:
                return
            part = part.children[-1]

    def delimiter(self, start: int, stop: int) -> tuple[int, int, Part, bool] | None:
        """Return (line start, behind the line, its multipart, closing?) of the first delimiter line in the range.

        `start` is the start of a line.
        """
        raw = self.raw
        active = {part.boundary: part for part in self.open}
        position = start if raw.startswith(b"--", start, stop) else _dashed_line(raw, start, stop)
        while position >= 0:
            newline = raw.find(b"\n", position, stop)
            behind = stop if newline < 0 else newline + 1
            token = raw[position + 2 : behind].rstrip(b" \t\r\n")
            if token in active:
                return position, behind, active[token], False
            if token.endswith(b"--") and token[:-2] in active:
                return position, behind, active[token[:-2]], True
            position = _dashed_line(raw, behind - 1, stop)
        return None


def _dashed_line(raw: bytes, start: int, stop: int) -> int:
    """Return where the next line that begins with two hyphens starts, or -1.

    Searching one character first runs over base64, which has no hyphen, several times as fast.
    """
    hyphen = raw.find(b"-", start, stop)
    newline = raw.find(b"\n--", max(start, hyphen - 1), stop) if hyphen >= 0 else -1
    return newline + 1 if newline >= 0 else -1


def _interpret(part: Part, default: bytes) -> None:
    """Fill in type, encoding, disposition and boundary from the first field of each kind."""
    part.content_type = default
    seen: set[bytes] = set()
    for field in part.fields:
        name = field.name
        if not name.startswith(b"content-") or name in seen:
            continue
        seen.add(name)
        if name == b"content-type":
            _interpret_type(part, field.unfolded, default)
        elif name == b"content-transfer-encoding":
            part.encoding = _simple_or_structured(_ENCODING, field.unfolded)
        elif name == b"content-disposition":
            part.disposition = _simple_or_structured(_DISPOSITION, field.unfolded)


def _interpret_type(part: Part, value: bytes, default: bytes) -> None:
    part.content_type = _simple_or_structured(_TYPE, value) or default
    if part.content_type.startswith(b"multipart/"):
        from mailguard.message import parameters

        boundary = parameters.parse(value).get(b"boundary")
        part.boundary = (boundary or b"").rstrip(b" \t\r\n") or None


def _simple_or_structured(simple: re.Pattern[bytes], value: bytes) -> bytes:
    """Return the main value in lower case; most are simple and need no parser, whose patterns take time to compile."""
    match = simple.match(value)
    if match is not None:
        return match[1].lower()
    from mailguard.message import parameters

    return parameters.parse(value).value


def _default_type(part: Part) -> bytes:
    parent = part.parent
    is_digest = parent is not None and parent.content_type == b"multipart/digest"
    return b"message/rfc822" if is_digest else b"text/plain"


def _depth(part: Part) -> int:
    depth = 0
    above = part.container
    while above is not None:
        depth += 1
        above = above.container
    return depth


def _before_line_end(raw: bytes, position: int) -> int:
    """Step back over the line end before a delimiter line, which belongs to the delimiter (RFC 2046 5.1.1)."""
    if position and raw[position - 1] == 10:
        position -= 1
        if position and raw[position - 1] == 13:
            position -= 1
    return position


def _majority(raw: bytes, start: int, stop: int) -> bytes:
    lines = raw.count(b"\n", start, stop)
    return b"\r\n" if lines and 2 * raw.count(b"\r\n", start, stop) > lines else b"\n"
