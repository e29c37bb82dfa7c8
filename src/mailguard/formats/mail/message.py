"""A message as a file: what of it is text that a mail program shows, and what is attached."""

from __future__ import annotations

from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.message.tree import Message, Part

LARGEST = 64 << 20
TEXT, PAGE, FILE = "text", "page", "file"


def read(content: bytes) -> Message:
    """Return the message; Refused("over-limit"), or ("ambiguous") for one that programs read differently."""
    from mailguard.message import grammar
    from mailguard.message.tree import parse

    if len(content) > LARGEST:
        raise Refused("over-limit")
    message = parse(content)
    if message.excess is not None:
        raise Refused("over-limit")
    if grammar.check(message):
        raise Refused("ambiguous")
    return message


def leaves(message: Message) -> Iterator[tuple[Part, list[str], str]]:
    """Yield each part that has content, every name of it, and TEXT or PAGE for what is shown, FILE for all else.

    Refused("ambiguous") for text in which some program would find a file.
    """
    from mailguard.formats.hidden import holds_file

    for part in message.parts():
        if part.message is not message or part.children:
            continue
        found = names(part)
        shown = not found and part.disposition != b"attachment"
        kind = {b"text/plain": TEXT, b"text/html": PAGE}.get(part.content_type, FILE) if shown else FILE
        if kind == TEXT and holds_file(part.content().whole()):
            raise Refused("ambiguous")
        yield part, found, kind


def names(part: Part) -> list[str]:
    """Return every name that a reader could give a part."""
    from mailguard.message import parameters

    fields = (part.field(b"content-type"), part.field(b"content-disposition"))
    return parameters.names(*([field.value for field in found] for found in fields))


def style(part: Part) -> str:
    """Return the code of what a style sheet starts that the pages of a web archive refer to, else ""."""
    from mailguard.formats.html import acting

    if part.content_type != b"text/css":
        return ""
    return acting.style(part.content().whole().replace(b"\0", b"").decode("latin-1"))


def charset(part: Part) -> str:
    """Return the charset that a part declares, "" for none."""
    from mailguard.message import parameters

    field = next(iter(part.field(b"content-type")), None)
    value = parameters.parse(field.value).get(b"charset") if field else None
    return (value or b"").decode("ascii", "replace")
