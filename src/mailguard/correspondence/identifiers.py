"""The Message-IDs that a message names (RFC 5322 3.6.4), as any mail reader could understand them.

Readers find the place of a message in a conversation by all of In-Reply-To and References, from the last to the first
that they know (https://www.jwz.org/doc/threading.html), so all of them count, with angle brackets or without.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailguard.message.header import Field

MOST = 1000
"""Message-IDs that one message may name; a conversation of years has some hundred."""

_NAMING = frozenset({b"in-reply-to", b"references"})
_WORD = re.compile(rb"[^\x00-\x20\x7f<>,;\"()]+")
_BRACKETED = re.compile(rb"<([^<>]*+)>")
_MOST_ENCODED = 1 << 16
_BLANKS = re.compile(rb"[\x00-\x20\x7f]+")


def own(fields: Iterable[Field]) -> list[bytes]:
    """Return the Message-ID of a message in each form in which an answer may name it; none without one."""
    values = [field.unfolded for field in fields if field.name == b"message-id"]
    return list(dict.fromkeys(_read(values[0])))[:2] if values else []


def named(fields: Iterable[Field]) -> list[bytes]:
    """Return the Message-IDs that a message names, each once, up to one more than it may name."""
    found: dict[bytes, None] = {}
    for field in fields:
        if field.name in _NAMING:
            for identifier in _read(field.unfolded):
                found[identifier] = None
                if len(found) > MOST:
                    return list(found)
    return list(found)


def _read(value: bytes) -> Iterator[bytes]:
    """Yield what a value names; case does not tell two messages apart, and some gateways change it."""
    values = [value]
    if b"=?" in value:  # gateways of Microsoft encode long ids as if they were text (RFC 2047)
        from mailguard.message.words import texts

        values.append(texts(value[:_MOST_ENCODED])[0].encode("utf-8", "replace"))
    for each in values:
        yield from (_BLANKS.sub(b"", match[1]).lower() for match in _BRACKETED.finditer(each))
        yield from (match[0].lower() for match in _WORD.finditer(each) if b"@" in match[0])
