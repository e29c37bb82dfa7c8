"""What a signature leaves open: whether the signed bytes alone fix how a message is read.

Half of all real signatures leave Content-Type or Content-Transfer-Encoding unsigned (Gmail the one, Microsoft 365 the
other), so whoever hands such a message on may change them, and RFC 6376 8.15 knows no remedy.  But most bodies tell
themselves what they are (natural.py): a header that says the same cannot have been changed by anybody, and one that
says anything else, or something that does not show in the body, is not believed.
"""

from __future__ import annotations

import re

from mailguard.message.encoding import IDENTITY
from mailguard.verify.canonicalization import field_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.message.tree import Message
    from mailguard.verify.signature import Header

_INNER_BLANK = re.compile(rb"[ \t][^ \t\r\n]")
TYPE, ENCODING, VERSION, DISPOSITION = (
    b"content-type",
    b"content-transfer-encoding",
    b"mime-version",
    b"content-disposition",
)
_HARMLESS = frozenset(  # of the whole message: no reader shows or opens anything else because of them
    {b"content-language", b"content-length", b"content-id", b"content-md5", b"content-class", b"content-identifier"}
)
_WELL_FORMED = re.compile(rb"[!-9;-~]++[ \t]*+:[^\r\n\0]*+(?:\r?\n[ \t][^\r\n\0]*+)*\r?\n?")
_VERSION_1 = re.compile(rb"[ \t]*+1\.0[ \t]*+(?:\([^()]*+\)[ \t]*+)?\Z")


class Cover:
    """What one signature covers.

    unsigned: the field that it leaves out, "" for none that matters; gap: why therefore the message could have been
    read otherwise when it was signed, "" where the signed bytes fix the reading.
    """

    __slots__ = ("gap", "unsigned")

    def __init__(self, unsigned: str = "", gap: str = "") -> None:
        self.unsigned = unsigned
        self.gap = gap

    @property
    def reason(self) -> str:
        """One sentence, "" when everything is signed."""
        said = f"{self.unsigned} is not signed" if self.unsigned else ""
        return ", and ".join(filter(None, (said, self.gap)))


class Covers:
    """Finds out what signatures over one message cover; what depends on its body is found out once."""

    __slots__ = ("_gaps", "_header", "_malformed", "_message")

    def __init__(self, message: Message, header: Header) -> None:
        self._message = message
        self._header = header
        self._malformed: bool | None = None
        self._gaps: dict[tuple[bool, bool], str] = {}

    def of(self, names: Sequence[bytes]) -> Cover:
        """Return what a signature with these lower-case names in h= covers."""
        unsigned = [
            name
            for name in self._header.present
            if (name.startswith(b"content-") or name == VERSION)
            and self._header.count(name) > names.count(name)
            and name not in _HARMLESS
        ]
        shown = unsigned[0].decode("ascii") if unsigned else ""
        if self._is_malformed():
            return Cover(shown, "a header field is malformed")
        gap = self._fields_gap(unsigned)
        is_open = TYPE not in names or TYPE in unsigned, ENCODING not in names or ENCODING in unsigned
        if not gap and any(is_open):
            if is_open not in self._gaps:
                self._gaps[is_open] = _gap(self._message, *is_open)
            gap = self._gaps[is_open]
            if gap and not shown:
                shown = (TYPE if is_open[0] else ENCODING).decode("ascii")
        return Cover(shown, gap)

    def _is_malformed(self) -> bool:
        if self._malformed is None:
            self._malformed = any(_WELL_FORMED.fullmatch(field.bytes) is None for field in self._header.fields)
        return self._malformed

    def _fields_gap(self, unsigned: Sequence[bytes]) -> str:
        """Say what is wrong with the fields that are not signed, whatever the body is."""
        for name in unsigned:
            if self._header.count(name) > 1:
                return f"there are several {name.decode('ascii')} fields"
            if name not in {TYPE, ENCODING, VERSION, DISPOSITION}:
                if name == b"content-description" and self._message.root.is_multipart:
                    continue  # of something that has no place on the screen
                return f"{name.decode('ascii')} changes what is read"
            (value,) = (field.unfolded for field in self._header.fields if field_name(field) == name)
            if name == VERSION and _VERSION_1.match(value) is None:
                return "the mime-version is not 1.0"
            if name == DISPOSITION and value.strip().lower() != b"inline":
                return "content-disposition changes what is read"
        if TYPE in unsigned or ENCODING in unsigned:
            from mailguard.message.grammar import check_header

            odd = check_header(self._message)
            return f"the header is ambiguous ({odd[0].code})" if odd else ""
        return ""


def _gap(message: Message, type_open: bool, encoding_open: bool) -> str:
    """Say why type and encoding of the body, as far as they are not signed, need not be those of the signer."""
    root, raw = message.root, message.raw
    if root.content_type.startswith((b"multipart/", b"message/")):
        if root.encoding not in IDENTITY:
            return "what consists of parts has a transfer encoding"
        encoding_open = False
    elif root.encoding in IDENTITY and raw.find(b"=", root.body) < 0 and _INNER_BLANK.search(raw, root.body):
        encoding_open = False  # with a blank it is no base64, without "=" the same in quoted-printable
    if not (type_open or encoding_open):
        return ""
    from mailguard.verify import natural

    if encoding_open and root.encoding not in natural.encodings(raw, root.body):
        return "the body is not of this transfer encoding alone"
    return natural.type_gap(message) if type_open else ""
