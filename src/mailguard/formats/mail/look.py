"""A mail as a file (.eml): the attachments within."""

from __future__ import annotations

from mailguard.formats.budget import Member, TooLarge, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.formats.budget import Found, Quota
    from mailguard.message.content import Content

_LARGEST = 16 << 20


def examine(content: Content, _names: Sequence[str], quota: Quota) -> Found:
    """Examine a message; its body texts are not attachments."""
    from mailguard.message import parameters, tree

    if content.size > _LARGEST:
        raise TooLarge
    message = tree.parse(content.whole())
    if message.limit is not None:
        raise Unreadable
    for part in message.parts():
        if part.children or part.embedded is not None:
            continue
        types, dispositions = (part.field(name) for name in (b"content-type", b"content-disposition"))
        names = parameters.names([field.value for field in types], [field.value for field in dispositions])
        if not names and part.content_type in {b"text/plain", b"text/html"} and part.disposition != b"attachment":
            continue
        quota.count_member()
        inner = part.content()
        quota.count_octets(inner.size)
        yield Member(inner, names, "mail")
