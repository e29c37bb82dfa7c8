"""Messages as files (.eml), web archives (.mht), winmail.dat, Outlook items (.msg), and calendars.

A message keeps its header and structure; of each part that is no plain text, the policy decides as it does for the
file in an archive.  An item of Outlook is delivered as a message, a web archive as its page, winmail.dat as a ZIP of
what is in it.
"""

from __future__ import annotations

from mailguard.filename import named
from mailguard.formats import magic
from mailguard.formats.archive.files import ArchiveFile, disarmed
from mailguard.formats.budget import Member, Quota, TooLarge, Unreadable
from mailguard.formats.calendar import disarm as calendar
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.html.disarm import disarm_body
from mailguard.formats.mail import message
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options
    from mailguard.message.splice import Splice
    from mailguard.message.tree import Part

_CALENDARS = frozenset({magic.CALENDAR, "text/vcard", "text/x-vcard", "text/directory"})


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:
    """Make a message, web archive, winmail.dat or calendar harmless.

    Refused: messages that programs read differently ("ambiguous"), what is damaged, items of Outlook that are no
    messages ("unknown-type").
    """
    mime = mime.partition(";")[0].strip().lower()
    if len(content) > message.LARGEST:
        raise Refused("over-limit")
    if mime in _CALENDARS:
        return calendar.disarm(content, mime, options)
    if mime == magic.MAIL:
        return _message(content, options)
    if mime == magic.MHTML:
        return _web_archive(content, options)
    if mime == magic.TNEF:
        return _tnef(content, options)
    return _outlook(content, options)


def _message(content: bytes, options: Options) -> Disarmed:
    from mailguard.message.splice import apply, joined

    inner = options.deeper()
    removed: set[str] = set()
    splices: list[Splice] = []
    for part, names, kind in message.leaves(message.read(content)):
        options.quota.count_member()
        if kind != message.TEXT:
            splices += _part(part, names, inner, removed, page=kind == message.PAGE)
    if not removed:
        return Disarmed(content, magic.MAIL, "eml")
    return Disarmed(joined(apply(content, splices)), magic.MAIL, "eml", tuple(removed))


def _part(part: Part, names: list[str], options: Options, removed: set[str], *, page: bool) -> list[Splice]:
    """Return how the part has to be written; nothing when it may stay."""
    data = part.content().whole()
    options.quota.count_octets(len(data))
    charset = message.charset(part)
    if code := message.style(part):
        result = Disarmed(b"", "text/css", "css", (code,))
    else:
        result = disarm_body(data, charset, options) if page else options.member(data, names, options)
    if not result.removed and result.data is data:
        return []
    removed |= set(result.removed) if page else {"member-changed", *result.removed}
    if "member-held" in result.removed:
        removed.discard("member-changed")
    name = "" if page else _name(names, result)
    return _written(part, result, name)


def _name(names: list[str], result: Disarmed) -> str:
    from mailguard.capsule.names import safe_name

    name = safe_name(names[0]) if names else "attachment"
    return (
        f"{name}.txt"
        if "member-held" in result.removed and result.extension == "txt"
        else named(name, result.extension)
    )


def _written(part: Part, result: Disarmed, name: str) -> list[Splice]:
    """Replace the fields that describe the content, and the content; other fields stay as they are."""
    from mailguard.message.entity import entity
    from mailguard.message.splice import Splice

    eol = part.message.eol
    identifier = next((field.value for field in part.field(b"content-id")), b"")
    inline = part.disposition == b"inline"
    written = entity(
        result.data,
        result.mime,
        eol,
        name=name,
        charset="utf-8" if result.mime.startswith("text/") else "",
        content_id=identifier,
        inline=inline,
    )
    kept = b"".join(
        field.raw[field.start : field.end] for field in part.fields if not field.name.startswith(b"content-")
    )
    begin = part.fields[0].start if part.fields else part.start
    end = eol if part.parent is None else b""
    return [Splice(begin, part.end, kept, written, end)]


def _outlook(content: bytes, options: Options) -> Disarmed:
    """Deliver an item of Outlook as a message: only Outlook reads all that such a file may hold."""
    from mailguard.formats.mail import outlook

    item = outlook.read(content)
    if not all(one.is_message for one in item.every()):
        raise Refused("unknown-type")
    result = _message(outlook.written(item), options)
    codes = {"repacked", *result.removed}.union(*(one.removed for one in item.every()))
    return Disarmed(result.data, magic.MAIL, "eml", tuple(codes))


def _web_archive(content: bytes, options: Options) -> Disarmed:
    """Deliver a web archive as it is, or its first page alone."""
    if not _message(content, options).removed:
        return Disarmed(content, magic.MHTML, "mht")
    for part in message.read(content).parts():
        if part.content_type == b"text/html" and not part.children:
            page = disarm_body(part.content().whole(), message.charset(part), options)
            return Disarmed(bytes(page.data), "text/html", "html", ("repacked", *page.removed))
    raise Refused("not-understood")


def _tnef(content: bytes, options: Options) -> Disarmed:
    """Deliver the files of a winmail.dat, and its text where it is RTF; plain text, which the mail has too, stays."""
    from mailguard.capsule.names import unique_names
    from mailguard.formats.archive import zip as archive
    from mailguard.formats.mail import tnef

    found = []
    try:
        for item in tnef.examine(Content.of(content), (), Quota()):
            if not isinstance(item, Member):
                raise Refused("damaged")
            options.quota.count_member()
            options.quota.count_octets(item.content.size)
            found.append((item.names, item.content.whole()))
    except TooLarge as error:
        raise Refused("over-limit") from error
    except (Unreadable, ValueError, LookupError) as error:
        raise Refused("damaged") from error
    if not found:
        raise Refused("unknown-type")
    paths = unique_names((names[-1] if names else "") for names, _ in found)
    files = [ArchiveFile(path, data, names) for path, (names, data) in zip(paths, found, strict=True)]
    written, removed = disarmed(files, options.deeper())
    return Disarmed(archive.write(written), magic.ZIP, "zip", ("repacked", *removed))
