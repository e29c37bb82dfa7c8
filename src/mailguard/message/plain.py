"""A quick, careful look that recognises the most ordinary mail: one short text, nothing odd anywhere.

Most mail is like this, and for it nothing else needs to be imported, not even regular expressions.  The answer "plain"
implies what the full examination would find: a conforming message without attachments and without our fields (tested
against it).  Whatever is not surely so goes the long way.
"""

from __future__ import annotations

_LARGEST = 1 << 16
_CONTROLS = bytes((*range(9), 11, 12, *range(14, 27), *range(28, 32), 127))
_NAME = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
_CONTENT = {
    b"content-type": frozenset(
        {
            b"text/plain",
            b"text/plain;charset=us-ascii",
            b"text/plain;charset=utf-8",
            b"text/plain;charset=iso-2022-jp",
            b"text/plain;charset=iso-8859-1",
            b'text/plain;charset="us-ascii"',
            b'text/plain;charset="utf-8"',
            b'text/plain;charset="iso-2022-jp"',
            b'text/plain;charset="iso-8859-1"',
        }
    ),
    b"content-transfer-encoding": frozenset({b"7bit", b"8bit"}),
    b"mime-version": frozenset({b"1.0"}),
}
# Whatever some reader could take for an attachment or a part inside the text begins with or contains one of these.
_NOT_IN_TEXT = (
    b"begin",
    b"=y",
    b"content-",
    b"mime-version",
    b"binhex",
    b"\n--",
    b"%pdf",
    b"{\\rt",
    b"<?xml",
    b"from nobody",
)
_LONG_WORD = 48
_FEW_LONG_WORDS = 6
_LONG_RUN = b"a" * _LONG_WORD
_MARKED = bytes.maketrans(bytes(range(33, 256)), b"a" * 223)


def is_plain(raw: bytes) -> bool:
    """Tell whether a message is surely one ordinary text; False means nothing."""
    if len(raw) > _LARGEST or len(raw.translate(None, _CONTROLS)) != len(raw):
        return False
    text = raw.replace(b"\r\n", b"\n")
    header, separator, body = text.partition(b"\n\n")
    return bool(separator) and b"\r" not in text and _is_plain_header(header) and _is_plain_body(body)


def _is_plain_header(header: bytes) -> bool:
    lines = header.split(b"\n")
    if header.startswith(b"From ") and not header[5:].lstrip(b" \t").startswith(b":"):
        del lines[0]
    seen: set[bytes] = set()
    last = b""
    for line in lines:
        if line[:1] in {b" ", b"\t"}:
            if not line.strip(b" \t") or not seen or last in _CONTENT:
                return False
            continue
        name, colon, value = line.partition(b":")
        last = name.lower()
        if not name or not colon or name.translate(None, _NAME) or last.startswith(b"mailguard-"):
            return False
        if last.startswith(b"content-") or last in _CONTENT:
            allowed = _CONTENT.get(last, frozenset())
            if last in seen or value.lower().replace(b" ", b"") not in allowed:
                return False
        seen.add(last)
    return bool(seen)


def _is_plain_body(body: bytes) -> bool:
    lower = b"\n" + body.lower()
    if any(mark in lower for mark in _NOT_IN_TEXT):
        return False
    if _LONG_RUN not in body.translate(_MARKED):  # true of nearly all, and faster than to count words
        return True
    return sum(len(word) >= _LONG_WORD for word in body.split()) < _FEW_LONG_WORDS
