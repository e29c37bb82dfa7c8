"""Files that hide in text: what programs which look for parts in it would find."""

from __future__ import annotations

from mailguard.formats.detect import UNKNOWN, detect
from mailguard.message.content import Content


def hidden_name(data: bytes) -> str:
    """Return the name of hidden content that is worth a part: of a known type, or dangerous; else ""."""
    found = detect(Content.of(data), [], "")
    if not found.dangerous and (found.type == UNKNOWN or found.type.startswith("text/")):
        return ""
    return f"hidden.{found.extension}"


def holds_file(text: bytes) -> bool:
    """Tell whether a program that looks for parts in a text would find a file."""
    from mailguard.message import hidden

    return any(map(hidden_name, hidden.in_text(text)))
