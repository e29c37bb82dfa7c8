"""A mail as a file (.eml, .msg): the text that it shows, and the attachments within."""

from __future__ import annotations

from mailguard.formats.budget import Member, TooLarge, Unreadable
from mailguard.formats.codes import danger
from mailguard.formats.dangers import prefixed
from mailguard.formats.disarmed import Refused
from mailguard.formats.magic import HEAD, MHTML
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.formats.budget import Found, Quota

_HEADER = 1 << 16
_OF_WEB_ARCHIVES = frozenset({b"multipart/related", b"multipart/alternative", b"multipart/mixed", b"text/html"})


def examine(content: Content, _names: Sequence[str], quota: Quota) -> Found:
    """Examine a message; programs that open one as a web archive run what is in its text (Nimda, 2001)."""
    from mailguard.formats.mail import message
    from mailguard.formats.text.kinds import text_types

    if content.size > message.LARGEST:
        raise TooLarge
    prefix = "" if MHTML in text_types(content.read(0, HEAD)) else "mail"
    try:
        yield from _leaves(content.whole(), quota, prefix)
    except Refused as refused:
        yield danger(refused.code)


def _leaves(content: bytes, quota: Quota, prefix: str) -> Found:
    from mailguard.formats.html.look import page
    from mailguard.formats.mail import message

    for part, names, kind in message.leaves(message.read(content)):
        quota.count_member()
        inner = part.content()
        quota.count_octets(inner.size)
        if message.style(part):
            yield prefixed(prefix, "html-active")
        if kind == message.PAGE:
            yield from (prefixed(prefix, code) for code in page(inner, names, message.charset(part)))
        elif kind == message.FILE:
            yield Member(inner, names, prefix)


def examine_web_archive(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine a web archive (MHTML, RFC 2557); Unreadable for what only has the name of one: Word looks into it."""
    from mailguard.message.tree import parse

    root = parse(content.read(0, _HEADER)).root
    if not root.field(b"content-type") or root.content_type not in _OF_WEB_ARCHIVES:
        raise Unreadable
    yield from examine(content, names, quota)


def examine_outlook(content: Content, names: Sequence[str], quota: Quota) -> Found:
    """Examine an item of Outlook as the message that it is, and what no message would hold of it."""
    from mailguard.formats.mail import message, outlook

    if content.size > message.LARGEST:
        raise TooLarge
    try:
        item = outlook.read(content.whole())
    except Refused as refused:
        yield danger(refused.code)
        return
    for one in item.every():
        yield from sorted(map(danger, one.removed))
        yield from (Member(Content.of(b""), file.names, "mail") for file in one.files)
        if one.rtf and not one.is_rtf:  # Outlook may show it instead of the page that it wraps
            yield Member(Content.of(one.rtf), [], "mail")
    yield from examine(Content.of(outlook.written(item)), names, quota)
