"""Strict grammar: whether there is only one way to read a message (RFC 5322, 2045, 2046).

`check` returns no finding when every mail reader sees the parts, names and content that we see.  Each finding names
one place where some reader may see a part that we did not.  What is odd but read alike by all is none: raw 8-bit or
ISO-2022-JP text, RFC 2047 in names, missing MIME-Version, a text behind the last part, mixed line ends.

A nested message in clean base64, against RFC 2046 5.2.1, is no anomaly either: readers that decode it see what
we see, and for those that do not it is a text without fields, delimiter lines or empty lines.  In quoted-printable it
is one, because its fields and delimiters can be read without decoding, and then differ.
"""

from __future__ import annotations

import re

from mailguard.filename import extension
from mailguard.findings import Finding, show
from mailguard.message import bodies, parameters
from mailguard.message import encoding as transfer
from mailguard.message.anomalies import LIMIT, RULES
from mailguard.message.sections import are_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.message.header import Field
    from mailguard.message.parameters import Structured
    from mailguard.message.tree import Message, Part

MAX_FINDINGS = 100
_LONGEST_FIELD = 8192  # a Content- field; names of 255 emoji need 3 KB
_LONGEST_LINE = 32768
_OVERLONG_LINE = rb"(?:\A|\n)[^\n]{%d}" % (_LONGEST_LINE + 1)
_LONGEST_BOUNDARY = 70
_FEW_BOUNDARIES = 16
_SEARCH_BUDGET = 1 << 28  # octets to search for delimiters, when there are more than a few boundaries
_MANY_CONTROLS = 100
_FEW_HYPHENS = 32

_ODD = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\r(?!\n)|\n[ \t]++\r?(?:\n|\Z)|\A[ \t]")
_NAME = re.compile(rb"[!-9;-~]++:")
_TYPE = re.compile(rb"[ \t]*+(?:[!#$%&'*+.^_`{|}~0-9A-Za-z-]++/[!#$%&'*+.^_`{|}~0-9A-Za-z-]++|text)[ \t]*+(?:;|\Z)")
_ENCODING = re.compile(rb"[ \t]*+(?:7bit|8bit|binary|base64|quoted-printable)[ \t]*+\Z", re.IGNORECASE)
_VERSION = re.compile(rb"[ \t]*+1\.0[ \t]*+(?:\([^()]*+\)[ \t]*+)?\Z")
_BOUNDARY_CHARACTERS = rb"[!#-\[\]-~](?:[ !#-\[\]-~]*[!#-\[\]-~])?\Z"
_LINE_REST = rb"(?:--)?[ \t]*+\r?(?:\n|\Z)"
_STRUCTURE_WORD = rb"(?i)multipart|boundary|message/"
_LINE_ENDS = b"\x0b\x0c\x1c\x1d\x1e"  # for readers that split lines as Unicode does
_ONCE = (b"content-type", b"content-transfer-encoding", b"content-disposition", b"mime-version")
_MESSAGE_TYPES = frozenset({b"message/rfc822", b"message/global", b"message/news"})
_FORBIDDEN_TYPES = {b"message/partial": "mime.partial", b"message/external-body": "mime.external-body"}


def check(message: Message) -> list[Finding]:
    """Return the anomalies of a message and of everything in it, at most 100; none means that it is conforming."""
    grammar = _Grammar()
    if message.excess is not None:
        grammar.findings.append(Finding(message.excess, "", "warning", *LIMIT))
    boundaries: dict[int, _Boundaries] = {}
    for part in message.parts():
        if len(grammar.findings) >= MAX_FINDINGS:
            break
        own = boundaries.setdefault(id(part.message), _Boundaries(part.message))
        grammar.header(part)
        grammar.type(part, own)
        if part.content_type.startswith(b"multipart/"):
            grammar.multipart(part, own)
        elif not part.children:
            grammar.leaf(part)
    for own in boundaries.values():
        grammar.delimiters(own)
    return grammar.findings[:MAX_FINDINGS]


def check_header(message: Message) -> list[Finding]:
    """Return the anomalies of the header of a message alone."""
    grammar = _Grammar()
    grammar.header(message.root)
    grammar.type(message.root, _Boundaries(message))
    return grammar.findings


class _Boundaries:
    """The boundaries that some reader may see in one message, and the delimiter lines that we saw."""

    __slots__ = ("delimiters", "message", "owners")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.owners: dict[bytes, Part] = {}
        self.delimiters: dict[int, Part] = {}

    @property
    def are_too_many(self) -> bool:
        """Whether the search for all of them would cost too much; then they are not collected further."""
        count = len(self.owners)
        return count > _FEW_BOUNDARIES and count * len(self.message.raw) > _SEARCH_BUDGET


class _Grammar:
    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.seen: set[tuple[str, int]] = set()

    def report(self, code: str, part: Part, value: bytes = b"") -> None:
        """Add the finding, once per part; `value` is what was seen."""
        if (code, id(part)) in self.seen or len(self.findings) >= MAX_FINDINGS:
            return
        self.seen.add((code, id(part)))
        what, why, reference = RULES[code]
        self.findings.append(
            Finding(code, part.path, "warning", f"{what}: {show(value)}" if value else what, why, reference)
        )

    # Header

    def header(self, part: Part) -> None:
        raw = part.message.raw
        start = 0 if part is part.message.root else part.start  # an mbox line hides nothing either
        for count, match in enumerate(_ODD.finditer(raw, start, part.body)):
            if count >= _MANY_CONTROLS:
                self.report("header.control", part)
                break
            self.odd(part, match)
        for field in part.fields:
            if _NAME.match(raw, field.start, field.end) is None:
                self.bad_name(part, field)
            self.field_length(part, field)
        if part.parent is not None and not raw.endswith((b"\n\n", b"\n\r\n"), part.start, part.body):
            self.header_end(part, part.parent)
        self.once(part)

    def odd(self, part: Part, match: re.Match[bytes]) -> None:
        octet = match[0][:1]
        if octet == b"\0":
            self.report("header.nul", part)
        elif octet == b"\r":
            self.report("header.bare-cr", part)
        elif octet == b"\n":
            # A reader that ends the header there loses the fields below; without any there is nothing to lose.
            if part.message.raw[match.end() : part.body].strip():
                self.report("header.blank-continuation", part)
        elif octet in b" \t":
            self.report("header.blank-before-name", part)
        elif octet in _LINE_ENDS or _is_structural(part, match.start()):
            self.report("header.control", part, octet)

    def bad_name(self, part: Part, field: Field) -> None:
        line = field.bytes
        if line.strip():
            self.report(
                "header.no-colon" if field.colon < 0 else "header.name", part, line[:_LONGEST_LINE].splitlines()[0]
            )

    def field_length(self, part: Part, field: Field) -> None:
        length = field.end - field.start
        if length <= _LONGEST_FIELD:
            return
        if field.name.startswith(b"content-") or re.search(_OVERLONG_LINE, field.bytes):
            self.report("header.overlong", part, field.name)

    def header_end(self, part: Part, around: Part) -> None:
        """Only the empty line itself may be all there is; a message may end with its header (RFC 5322 3.5)."""
        raw = part.message.raw
        only_separator = raw[part.start : part.body] in {b"\n", b"\r\n"}
        if around.is_multipart and not only_separator and (part.start < part.body or raw.startswith(b"--", part.body)):
            self.report("header.no-end", part)

    def once(self, part: Part) -> None:
        for name in _ONCE:
            fields = part.field(name)
            if len(fields) > 1 and len({field.unfolded for field in fields}) > 1:
                self.report(f"mime.duplicate-{name.decode('ascii')}", part)
            if fields and name == b"mime-version" and not all(_VERSION.match(field.unfolded) for field in fields):
                self.report("mime.version", part, fields[0].unfolded)
            if name == b"content-transfer-encoding":
                for field in fields:
                    self.encoding_field(part, field)

    def encoding_field(self, part: Part, field: Field) -> None:
        if _ENCODING.match(field.unfolded) is None:
            self.report("mime.unknown-encoding", part, field.unfolded)
        elif b"\n" in field.value:
            self.report("mime.folded-encoding", part)

    # Types and names

    def type(self, part: Part, own: _Boundaries) -> None:
        names: list[str] = []
        for field in part.fields:
            # An overlong field is an anomaly already, whatever is in it.
            if not field.name.startswith(b"content-") or field.end - field.start > _LONGEST_FIELD:
                continue
            value = field.value
            if field.name in {b"content-type", b"content-disposition"}:
                structured = parameters.parse(value)
                names.extend(self.parameters(part, structured))
                if not structured.conforming and parameters.name_runs_on(value):
                    self.report("mime.conflicting-names", part, value)
                if field.name == b"content-type":
                    self.content_type(part, field, structured)
            if b"boundary" in value.lower():
                self.boundary_field(part, field, own)
        if len({extension(name) for name in names} - {""}) > 1:
            self.report("mime.conflicting-names", part, " / ".join(names[:4]).encode("utf-8", "replace"))
        if part.content_type in _FORBIDDEN_TYPES:
            self.report(_FORBIDDEN_TYPES[part.content_type], part)

    def parameters(self, part: Part, structured: Structured) -> list[str]:
        """Check duplicates and sections; return the names in their most plausible reading."""
        values: dict[bytes, bytes] = {}
        for key, value in structured.parameters:
            if values.setdefault(key, value) != value:
                self.report("mime.duplicate-parameter", part, key)
        if any(b"*" in key for key in values) and not are_regular(structured.parameters):
            self.report("mime.parameter-sections", part)
        return parameters.primary_names(structured)

    def content_type(self, part: Part, field: Field, structured: Structured) -> None:
        value = field.unfolded
        structural = part.content_type.startswith((b"multipart/", b"message/"))
        if structural:
            clear = structured.conforming and value.isascii() and b"\x1b" not in value
        else:
            clear = _TYPE.match(value) is not None and not _hides_structure(value, structured)
        if not clear:
            self.report("mime.content-type-syntax", part, value)

    def boundary_field(self, part: Part, field: Field, own: _Boundaries) -> None:
        is_own = field.name == b"content-type" and part.content_type.startswith(b"multipart/")
        if own.are_too_many:
            return
        boundaries = parameters.boundaries(field.value)
        if len(boundaries) == parameters.MAX_BOUNDARIES:
            self.report("mime.too-many-boundaries", part)
        for boundary in boundaries:
            if boundary:
                owner = own.owners.setdefault(boundary, part)
                if is_own and owner is not part and owner.content_type.startswith(b"multipart/"):
                    self.report("mime.reused-boundary", part, boundary)
        if is_own and len(boundaries) > 1:
            self.report("mime.ambiguous-boundary", part, b" / ".join(boundaries[:4]))

    # Parts

    def multipart(self, part: Part, own: _Boundaries) -> None:
        if part.encoding not in transfer.IDENTITY:
            self.report("mime.encoded-multipart", part, part.encoding)
        if part.boundary is None:
            self.report("mime.missing-boundary", part)
            return
        if len(part.boundary) > _LONGEST_BOUNDARY or re.match(_BOUNDARY_CHARACTERS, part.boundary) is None:
            self.report("mime.boundary-characters", part, part.boundary)
        for delimiter in part.delimiters:
            own.delimiters[delimiter] = part
        if not part.delimiters:
            self.report("mime.boundary-unused", part)
            return
        if not part.children:
            self.report("mime.empty-multipart", part)
        raw = part.message.raw
        self.between(part, part.body, part.delimiters[0])
        if part.closed:
            line = raw.find(b"\n", part.delimiters[-1])
            self.between(part, line + 1 if line >= 0 else part.end, part.end)
        else:
            self.report("mime.missing-close", part)

    def between(self, part: Part, start: int, end: int) -> None:
        """Check what stands before the first or behind the last part, which readers do not show."""
        raw = part.message.raw
        if end <= start:
            return
        if bodies.holds_fields(raw, start, end):
            self.report("mime.fields-in-body", part)
        if bodies.holds_file(raw, start, end):
            self.report("mime.file-in-text", part)
        if bodies.holds_base64(raw, start, end):
            self.report("mime.base64-in-text", part)
        if raw.find(b"\0", start, end) >= 0:
            self.report("mime.control-in-text", part)

    def delimiters(self, own: _Boundaries) -> None:
        """Every place that looks like a delimiter to anybody must be a delimiter line of our tree."""
        raw = own.message.raw
        if own.are_too_many:
            self.report("mime.too-many-boundaries", own.message.root)
            return
        rest = re.compile(_LINE_REST)
        for boundary, owner in own.owners.items():
            needle = b"--" + boundary
            position = _place(raw, needle, 0)
            while position >= 0 and len(self.findings) < MAX_FINDINGS:
                seen = own.delimiters.get(position)
                if seen is None or seen.boundary != boundary or rest.match(raw, position + len(needle)) is None:
                    self.stray(owner, position, needle)
                    break
                position = _place(raw, needle, position + len(needle))

    def stray(self, owner: Part, position: int, needle: bytes) -> None:
        raw = owner.message.raw
        line = raw[position : position + 1000].split(b"\n", 1)[0].removesuffix(b"\r")
        rest = line[len(needle) :].rstrip(b" \t")
        if position and raw[position - 1] != 10:
            code = "mime.delimiter-inside-line"
        elif rest not in {b"", b"--"}:
            code = "mime.boundary-prefix"
        elif owner.closed and owner.delimiters and position > owner.delimiters[-1]:
            code = "mime.after-close"
        else:
            code = "mime.undeclared-delimiter"
        self.report(code, owner, line)

    # Content

    def leaf(self, part: Part) -> None:
        raw = part.message.raw
        is_text = part.content_type.startswith(b"text/") or b"/" not in part.content_type
        if part.encoding == b"base64":
            # Content that is read piece by piece was found to be strict base64 when it was measured.
            if not part.content().is_regular and not bodies.base64_conforms(raw, part.body, part.end):
                self.report("mime.base64-syntax", part)
        elif part.encoding == b"quoted-printable":
            self.quoted_printable(part)
        if part.encoding != b"binary" and raw.find(b"\0", part.body, part.end) >= 0:
            self.report("mime.control-in-text", part)
        if part.embedded is None and part.content_type != b"text/rfc822-headers":
            self.second_header(part)
        if is_text:
            self.text(part)
        elif part.content_type.startswith(b"message/") and part.embedded is None:
            self.report_content(part)

    def second_header(self, part: Part) -> None:
        """Find a header behind an empty line too early, where some readers go on to read fields."""
        looks_like = bodies.begins_with_fields
        if part.container is None or not part.field(b"content-type"):
            looks_like = bodies.begins_with_header
        if looks_like(part.message.raw, part.body, part.end):
            self.report("mime.fields-in-body", part)

    def report_content(self, part: Part) -> None:
        """Find what some readers take for parts in a status report: they take every message/* for a message."""
        for text in bodies.texts(part):
            if bodies.holds_fields(*text):
                self.report("mime.fields-in-body", part)
            if bodies.holds_file(*text):
                self.report("mime.file-in-text", part)
            if bodies.holds_base64(*text):
                self.report("mime.base64-in-text", part)

    def quoted_printable(self, part: Part) -> None:
        raw = part.message.raw
        if part.content_type in _MESSAGE_TYPES:
            if raw.find(b"=", part.body, part.end) >= 0:
                self.report("mime.encoded-message", part)
            return
        # Lists put their footer below quoted-printable without encoding it: in a plain body only text can differ.
        is_plain = part.content_type == b"text/plain" and not _may_be_file(part)
        if not is_plain and not bodies.quoted_printable_conforms(raw, part.body, part.end):
            self.report("mime.quoted-printable-syntax", part)

    def text(self, part: Part) -> None:
        for buffer, start, end in bodies.texts(part):
            if bodies.holds_file(buffer, start, end):
                self.report("mime.file-in-text", part)
            if part.content_type == b"text/plain" and bodies.holds_base64(buffer, start, end):
                self.report("mime.base64-in-text", part)
        if not part.field(b"content-type"):
            self.untyped(part)

    def untyped(self, part: Part) -> None:
        """Without Content-Type a reader may guess; bounces that quote a whole message in their text are left alone."""
        raw = part.message.raw
        first = raw[part.body : part.body + 1000].lstrip()[:2]
        if (first == b"--" or part.field(b"mime-version")) and bodies.holds_parts(raw, part.body, part.end):
            self.report("mime.parts-in-text", part)


def _is_structural(part: Part, position: int) -> bool:
    """Tell whether the octet stands in a field on which the structure depends, or in a field name."""
    for field in part.fields:
        if field.start <= position < field.end:
            return position <= field.colon or field.name.startswith((b"content-", b"mime-")) or field.colon < 0
    return True


def _may_be_file(part: Part) -> bool:
    """Tell whether somebody may show a text as an attachment."""
    fields = part.field(b"content-type") + part.field(b"content-disposition")
    return part.disposition not in {b"", b"inline"} or any(b"name" in field.value.lower() for field in fields)


def _hides_structure(value: bytes, structured: Structured) -> bool:
    """Tell whether the type of a leaf may look like a multipart or a message to somebody."""
    if not structured.conforming:
        return re.search(_STRUCTURE_WORD, value) is not None
    return b"multipart" in structured.value


def _place(raw: bytes, needle: bytes, start: int) -> int:
    """Return where the needle stands next, or -1; single hyphens are looked for first, which is fast over base64."""
    for _ in range(_FEW_HYPHENS):
        hyphen = raw.find(b"-", start)
        if hyphen < 0 or raw.startswith(needle, hyphen):
            return hyphen
        start = hyphen + 1
    return raw.find(needle, start)
