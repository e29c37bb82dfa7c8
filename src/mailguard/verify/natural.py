"""The natural reading of a body: what it can only have been, found without its header.

A multipart when it begins and ends with one boundary, HTML when it begins and ends as a page does, else plain text;
base64 or quoted-printable when all of it is; the kind of a multipart from its parts, the charset from the octets.  No
body has two natural readings, so that a header which fits cannot have been written by anybody but the author, and
which one he wrote need not be known.  What is ambiguous has none.
"""

from __future__ import annotations

import re

from mailguard.message.encoding import IDENTITY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.message.parameters import Structured
    from mailguard.message.tree import Message, Part

_LONGEST_TEXT = 16 << 20
_SURELY_BASE64 = 20  # octets: shorter ones may be a word of plain text
_BLANKS = b" \t\r\n"


def type_gap(message: Message) -> str:
    """Say why the body need not be of the type that the header says, "" when it can be of no other.

    The transfer encoding is right (see `encodings`), and the header is clean.
    """
    kind = message.root.content_type
    if kind.startswith(b"multipart/"):
        return _multipart_gap(message)
    if kind not in {b"text/plain", b"text/html"}:
        return "the type does not show in the body"
    return _text_gap(message.root)


# Transfer encodings

_INNER_BLANK = re.compile(rb"[ \t][^ \t\r\n]")  # at the ends of lines relaxed canonicalization lets anybody add some
_NOT_QUOTED = rb"=(?![0-9A-Fa-f]{2}|[ \t]*+\r?(?:\n|\Z))|[^\t\r\n -~]"
_CODE = rb"=([0-9A-Fa-f]{2})"
_SOFT_BREAK = rb"=[ \t]*+\r?(?:\n|\Z)"
# What an encoder has to encode: the equals sign, controls, 8-bit; blanks and dots where mail systems take them away,
# the F of "From "; and what EBCDIC lacks (RFC 2045 6.7).  Anybody may write other codes into a plain text.
_ENCODED = frozenset({*range(32), 0x20, 0x2E, 0x3D, 0x46, *b'!"#$@[\\]^`{|}~\x7f', *range(128, 256)})


def encodings(raw: bytes, start: int) -> frozenset[bytes]:
    """Return the transfer encodings by which the body can be read as its author meant it."""
    body = raw[start:].strip(_BLANKS)
    if not body:
        return IDENTITY | {b"base64", b"quoted-printable"}
    if _INNER_BLANK.search(body) is None and _is_base64(body.translate(None, b" \t")):
        return frozenset({b"base64"})
    if b"=" not in body:
        return IDENTITY | {b"quoted-printable"}
    return frozenset({b"quoted-printable"}) if _is_quoted_printable(body) else IDENTITY


def _is_base64(body: bytes) -> bool:
    from mailguard.message.bodies import base64_conforms

    if not base64_conforms(body, 0, len(body)):
        return False
    if len(body) >= _SURELY_BASE64:
        return True
    import binascii

    try:
        return binascii.a2b_base64(body).decode("utf-8").isprintable()
    except ValueError:
        return False


def _is_quoted_printable(body: bytes) -> bool:
    if re.search(_NOT_QUOTED, body) is not None:
        return False
    codes = {int(code, 16) for code in re.findall(_CODE, body)}
    shows = re.search(_SOFT_BREAK, body) is not None or any(code in {0x20, 0x3D} or code > 127 for code in codes)
    return shows and codes <= _ENCODED


# Multiparts

_REPORTS = {
    b"message/delivery-status": b"delivery-status",
    b"message/global-delivery-status": b"delivery-status",
    b"message/disposition-notification": b"disposition-notification",
    b"message/global-disposition-notification": b"disposition-notification",
    b"message/feedback-report": b"feedback-report",
}
_SIGNATURES = frozenset(
    {b"application/pgp-signature", b"application/pkcs7-signature", b"application/x-pkcs7-signature"}
)
_ALTERNATIVES = frozenset(  # to the plain text before them
    {
        b"text/html", b"text/calendar", b"text/enriched", b"text/x-amp-html", b"text/watch-html",
        b"multipart/related", b"multipart/mixed", b"multipart/alternative",
    }
)  # fmt: skip


def _outline(raw: bytes, start: int) -> bytes:
    """Return the boundary with which the body begins and ends, b"" where it does not."""
    body = raw[start:].strip(_BLANKS)
    first = body.partition(b"\n")[0].rstrip(_BLANKS)
    last = body[body.rfind(b"\n") + 1 :]
    return first[2:] if first.startswith(b"--") and len(first) > 2 and last == first + b"--" else b""


def _multipart_gap(message: Message) -> str:
    root, raw = message.root, message.raw
    if message.limit is not None:
        return "there are too many parts"
    if not root.children or not root.closed or root.boundary != _outline(raw, root.body):
        return "the body does not begin and end with its boundary"
    if raw[root.delimiters[-1] :].strip(_BLANKS) != b"--%b--" % root.boundary:
        return "there is something behind the last part"
    subtype = root.content_type.removeprefix(b"multipart/")
    if subtype not in _subtypes(root.children):
        return "the parts are not those of this kind of multipart"
    for name, value in _structured(root).parameters:
        if not _shows(name, value.lower(), subtype, root.children):
            return f"a parameter of the type does not show in the body ({name.decode('latin-1')})"
    return ""


def _subtypes(parts: Sequence[Part]) -> frozenset[bytes]:
    """Return the kinds of multipart by which these parts are shown as their author meant it."""
    if len(parts) == 1:
        return frozenset({b"mixed", b"alternative", b"related"})
    first, second = parts[0], parts[1]
    if second.content_type in _REPORTS:
        return frozenset({b"report"})
    if len(parts) == 2 and second.content_type in _SIGNATURES:
        return frozenset({b"signed"})
    types = [part.content_type for part in parts[1:]]
    if (
        first.content_type == b"text/plain"
        and len(set(types)) == len(types)
        and _ALTERNATIVES.issuperset(types)
        and not any(map(_is_file, parts))
    ):
        return frozenset({b"alternative"})
    if first.content_type in {b"text/html", b"multipart/alternative"} and all(map(_is_resource, parts[1:])):
        return frozenset({b"related"})
    return frozenset({b"mixed"})


def _is_file(part: Part) -> bool:
    named = part.content_type != b"text/calendar" and any(
        b"name" in field.value.lower() for field in part.field(b"content-type") + part.field(b"content-disposition")
    )
    return named or part.disposition not in {b"", b"inline"}


def _is_resource(part: Part) -> bool:
    """Tell whether an HTML text can show this part (RFC 2557)."""
    is_media = part.content_type.startswith((b"image/", b"audio/", b"video/", b"font/"))
    addressed = part.field(b"content-id") or part.field(b"content-location")
    return is_media and bool(addressed) and part.disposition in {b"", b"inline"}


def _shows(name: bytes, value: bytes, subtype: bytes, parts: Sequence[Part]) -> bool:
    """Tell whether the parts say the same as a parameter of their multipart."""
    if name in {b"boundary", b"charset"}:  # the boundary was looked at, and a multipart has no charset
        return True
    second = parts[1].content_type if len(parts) > 1 else b""
    return {
        (b"related", b"type"): value == parts[0].content_type,  # RFC 2387 3.1; start= names another part
        (b"report", b"report-type"): value == _REPORTS.get(second),
        (b"signed", b"protocol"): value.replace(b"/x-", b"/") == second.replace(b"/x-", b"/"),
        (b"signed", b"micalg"): True,  # with a wrong one no signature verifies
    }.get((subtype, name), False)


def _structured(part: Part) -> Structured:
    from mailguard.message import parameters

    return parameters.parse(next((field.value for field in part.field(b"content-type")), b"text/plain"))


# Texts

_PAGE = (
    rb"(?:\xef\xbb\xbf)?\s*+<(?:!doctype\s++html|!--|html|head|body|meta|title|style|div|table|tbody|tr|td|p|span|center|"
    rb"font|br|hr|img|a|b|i|u|h[1-6]|ul|ol|li|pre|blockquote|strong|em|base|link|section|article|main|header)[\s/>]"
)
_UTF_8 = frozenset({"utf-8", "utf8"})
# In these an ASCII octet means its ASCII character, at least in a text that holds nothing else.
_ASCII = frozenset(
    {
        *(f"iso-8859-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16)), "iso-8859-8-i",
        *(f"windows-125{number}" for number in range(9)), "windows-874", "windows-949", "windows-31j",
        "us-ascii", "ascii", "koi8-r", "koi8-u", "tis-620", "euc-jp", "euc-kr", "gb2312", "gbk", "gb18030", "big5",
        "shift_jis", "shift-jis", "iso-2022-jp",
    }
)  # fmt: skip
_SHIFTS = re.compile(rb"[\0\x0e\x0f\x1b]")
# Japanese mail as RFC 1468 writes it: each line ends in ASCII, in between there are only pairs.
_JAPANESE = (
    rb"(?:[^\x1b\x80-\xff\0\x0e\x0f]++|\x1b\$[@B](?:[!-~][!-~])*(?=\x1b)|\x1b\(J[^\x1b\x80-\xff\n\0\x0e\x0f]*+(?=\x1b)|"
    rb"\x1b\(B)*\Z"
)


def _text_gap(root: Part) -> str:
    """Say why a text may have been meant otherwise: as parts, as HTML or as plain text, or in another charset."""
    if root.end - root.body > _LONGEST_TEXT:
        return "the text is too long to be looked at"
    if _outline(root.message.raw, root.body):
        return "the body looks like a multipart"
    text = root.content().whole()
    first = text.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]  # the pattern takes time to compile
    begins = first == b"<" and re.match(_PAGE, text, re.IGNORECASE) is not None
    ends = text.rstrip().endswith(b">")
    if root.content_type == b"text/html":
        if not (begins and ends):
            return "the body does not begin and end as HTML does"
    elif begins:
        return "the body looks like HTML"
    structured = _structured(root)
    for name, value in structured.parameters:
        if name == b"format" and root.content_type == b"text/plain" and _reads_alike(text, value.lower()):
            continue
        if name != b"charset":
            return f"a parameter of the type does not show in the body ({name.decode('latin-1')})"
    return _charset_gap(text, (structured.get(b"charset") or b"").decode("latin-1").lower())


def _reads_alike(text: bytes, value: bytes) -> bool:
    """Tell whether format= makes no difference: without blanks at the ends of lines nothing flows (RFC 3676 4.1)."""
    lines = re.sub(rb"(?m)^-- $", b"--", text.replace(b"\r\n", b"\n"))
    return value == b"fixed" or (value == b"flowed" and re.search(rb"(?m)^ | $", lines) is None)


def _charset_gap(text: bytes, charset: str) -> str:
    if _SHIFTS.search(text) is not None:
        fits = charset == "iso-2022-jp" and _is_japanese(text)
        return "" if fits else "the text holds controls that change its charset"
    if text.isascii():
        fits = not charset or charset in _UTF_8 | _ASCII
        return "" if fits else "in this charset ASCII does not mean ASCII"
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return "the charset does not show in the text"  # as Latin, Cyrillic and Japanese it says different things
    return "" if charset in _UTF_8 else "the text is UTF-8, and the charset says otherwise"


def _is_japanese(text: bytes) -> bool:
    if re.match(_JAPANESE, text) is None:
        return False
    try:
        text.decode("iso2022_jp")
    except UnicodeDecodeError:
        return False
    return True
