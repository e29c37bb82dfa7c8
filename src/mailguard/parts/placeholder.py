"""The text that stands where an attachment was removed, and how a later run knows it again.

It is recognised by its form alone, with or without a key: a sender who writes one has written a few lines of harmless
text into a text/plain part, which he could have written into the body as well.
"""

from __future__ import annotations

from mailguard.findings import show
from mailguard.message import encoding as transfer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailguard.formats.dangers import Language
    from mailguard.message.tree import Part
    from mailguard.parts.select import Attachment

_SENTENCES = {
    "ja": "この位置にあった添付ファイルは取り除かれました。",
    "en": "An attachment was removed here.",
}
_LABELS = {
    "name": {"ja": "名前", "en": "Name"},
    "type": {"ja": "種類", "en": "Type"},
    "size": {"ja": "大きさ(バイト)", "en": "Size (bytes)"},
    "sha256": {"ja": "SHA-256", "en": "SHA-256"},
    "dangerous": {"ja": "危険", "en": "Danger"},
    "reason": {"ja": "理由", "en": "Reason"},
    "saved": {"ja": "保存先", "en": "Saved as"},
    "link": {"ja": "入手先", "en": "Available at"},
}
_FIELDS = (
    b"Content-Type: text/plain; charset=utf-8",
    b"Content-Transfer-Encoding: base64",
    b"Content-Disposition: inline",
)
_LIMIT = 1 << 16


def languages(lang: str) -> tuple[Language, ...]:
    """Return the languages of a text for people: `ja`, `en`, or `both` (Japanese first)."""
    return ("ja", "en") if lang == "both" else ("ja",) if lang == "ja" else ("en",)


def values(attachment: Attachment) -> dict[str, str]:
    """Return what the text says of any attachment."""
    return {
        "name": attachment.name,
        "type": attachment.detected,
        "size": str(attachment.size),
        "sha256": attachment.sha256,
        "dangerous": ", ".join(attachment.dangerous),
    }


def text(values: Mapping[str, str], lang: str) -> str:
    """Write the placeholder for an attachment.

    values: name, type, size, sha256, dangerous, reason, saved and link, as far as they are known.  The link is the
    operator's and stays as it is; the others may come from the mail.
    """
    lines = [_SENTENCES[language] for language in languages(lang)] + [""]
    for key, labels in _LABELS.items():
        value = values.get(key)
        if value:
            label = " / ".join(dict.fromkeys(labels[language] for language in languages(lang)))
            lines.append(f"{label}: {value if key == 'link' else show(value, 250)}")
    return "\n".join(lines) + "\n"


def entity(content: str, eol: bytes) -> bytes:
    """Make the text an entity without final line end, ready to stand between two delimiters."""
    return eol.join([*_FIELDS, b"", transfer.base64(content.encode("utf-8"), eol=eol, trailing=0)])


def is_placeholder(part: Part) -> bool:
    """Tell whether a part has exactly the form of a placeholder."""
    if len(part.fields) != len(_FIELDS) or part.end - part.start > _LIMIT:
        return False
    if any(field.bytes.rstrip(b"\r\n") != line for field, line in zip(part.fields, _FIELDS, strict=True)):
        return False
    content = part.content()
    if not content.exact:
        return False
    try:
        lines = content.whole().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return False
    starts = tuple(
        f"{label}: " for labels in _LABELS.values() for label in (*labels.values(), " / ".join(labels.values()))
    )
    return lines[0] in _SENTENCES.values() and all(
        not line or line in _SENTENCES.values() or (line.startswith(starts) and _is_shown(line)) for line in lines
    )


def _is_shown(line: str) -> bool:
    """Tell whether a line holds only what `show` lets through: no control characters, so no file can hide in it."""
    return line.replace("\u3000", " ").isprintable()
