"""Names for what is delivered, passwords that a text may mention, and messages as parts."""

from __future__ import annotations

import re

from mailguard.capsule.names import safe_name
from mailguard.filename import FileName, named
from mailguard.formats.extensions import dangers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mailguard.parts.select import Attachment

_MOST_PASSWORDS = 100
_WORD = re.compile(rb"[!-~]{4,64}")
_LONGEST_TEXT = 1 << 16


def choose(names: Sequence[str]) -> str:
    """Return one safe name for all names of a part of an anomalous message: the most dangerous decides."""
    worst = next((name for name in names if dangers(FileName(name))), names[0] if names else "attachment.bin")
    return safe_name(worst)


def delivered_name(attachment: Attachment, extension: str) -> str:
    """Return the name under which a changed attachment is delivered: its own, made safe, with the right extension."""
    name = named(safe_name(attachment.name), extension)
    return name if not dangers(FileName(name)) else f"attachment.{extension}"


def passwords(texts: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return words of the text that may be the password of an attachment, at most 100, the likeliest first."""
    words: dict[bytes, None] = {}
    for text in texts:
        tail = text[:_LONGEST_TEXT]
        for mark in re.finditer(rb"(?i)pass(?:word|code|phrase)?|pwd|kennwort|\xe3\x83\x91\xe3\x82\xb9", tail):
            near = tail[mark.end() : mark.end() + 200]
            words.update(dict.fromkeys(found.strip(b"\"'.,:;()<>") for found in _WORD.findall(near)))
        words.update(dict.fromkeys(_WORD.findall(tail)))
        if len(words) >= _MOST_PASSWORDS:
            break
    return tuple(word for word in words if len(word) >= 3)[:_MOST_PASSWORDS]


def message_entity(data: bytes, eol: bytes) -> bytes | None:
    """Return a message as a message/rfc822 part, without final line end; None when it would need an encoding."""
    if not data.isascii() or max(map(len, data.split(b"\n"))) > 990:
        return None
    text = data.replace(b"\r\n", b"\n").rstrip(b"\n").replace(b"\n", eol)
    fields = (b"Content-Type: message/rfc822", b"Content-Disposition: attachment", b"", b"")
    return eol.join(fields) + text
