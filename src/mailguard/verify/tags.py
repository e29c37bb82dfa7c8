"""Tag=value lists, the syntax of signatures, seals, keys and policies (RFC 6376 3.2)."""

from __future__ import annotations

import binascii
import re

from mailguard.message.header import unfold

MAX_TAGS = 100

_TAG = re.compile(rb"[ \t]*+([A-Za-z][A-Za-z0-9_]*+)[ \t]*+=[ \t]*+([!-:<-~\x80-\xff \t]*+)\Z")
_BLANKS = b" \t\r\n"
_QUOTED = re.compile(rb"=([0-9A-F]{2})")


class TagError(ValueError):
    """The list is malformed; the text says how, for a reason in a result."""


def parse(value: bytes) -> dict[str, bytes]:
    """Return the tags in order, values without surrounding blanks.

    value: a header field's value with its folds, or a DNS record.  Raises TagError for anything that RFC 6376 3.2 does
    not allow, duplicate tags among them; bytes over 127 are let through for the domains of RFC 8616.
    """
    if value.count(b";") > MAX_TAGS:
        raise TagError("too many tags")
    specifications = unfold(value).rstrip(b"\r\n").split(b";")
    if not specifications[-1].strip(_BLANKS):
        specifications.pop()
    tags: dict[str, bytes] = {}
    for specification in specifications:
        match = _TAG.match(specification)
        if match is None:
            raise TagError("malformed tag list")
        name = match[1].decode("ascii")
        if name in tags:
            raise TagError(f"duplicate tag {name}=")
        tags[name] = match[2].rstrip(_BLANKS)
    return tags


def without_signature(value: bytes) -> bytes:
    """Return the raw value of a signature field with the value of its b= tag and the blanks around it deleted.

    RFC 6376 3.7; folds outside of that tag stay, the value must be one that `parse` accepts.
    """
    specifications = value.split(b";")
    for index, specification in enumerate(specifications):
        name, equals, _ = specification.partition(b"=")
        if equals and name.strip(_BLANKS) == b"b":
            specifications[index] = name + equals
    return b";".join(specifications)


def compact(value: bytes) -> bytes:
    """Return a tag's value without any blanks: base64 and lists may be folded anywhere."""
    return value.translate(None, _BLANKS)


def items(value: bytes) -> list[bytes]:
    """Return the members of a colon-separated list, blanks around them removed."""
    return [item.strip(_BLANKS) for item in value.split(b":")]


def number(value: bytes) -> int:
    """Return a decimal number of at most 76 digits (RFC 6376 3.5); raises TagError."""
    if not (0 < len(value) <= 76 and value.isdigit()):
        raise TagError("not a decimal number")
    return int(value)


def base64(value: bytes) -> bytes:
    """Return the decoded base64 value; raises TagError unless it is complete and canonical (RFC 4648)."""
    encoded = compact(value)
    if not encoded:
        raise TagError("empty")
    try:
        decoded = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        raise TagError("not base64") from None
    if binascii.b2a_base64(decoded, newline=False) != encoded:
        raise TagError("not canonical base64")
    return decoded


def quoted_printable(value: bytes) -> bytes:
    """Decode DKIM-Quoted-Printable (RFC 6376 2.11); raises TagError for a stray equals sign."""
    value = compact(value)
    if value.count(b"=") != len(_QUOTED.findall(value)):
        raise TagError("malformed quoted-printable")
    return _QUOTED.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), value)
