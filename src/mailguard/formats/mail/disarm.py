"""Messages as files (.eml), web archives (.mht), winmail.dat, Outlook items (.msg), and calendars.

A message keeps its header and structure; of each part that is no plain text, the policy decides as it does for the
file in an archive.  A web archive is delivered as its page, winmail.dat as a ZIP of what is in it.
"""

from __future__ import annotations

from mailguard.filename import named
from mailguard.formats import magic as signatures
from mailguard.formats.archive.files import File, disarmed
from mailguard.formats.budget import Member, TooLarge, Unreadable
from mailguard.formats.budget import Quota as Examination
from mailguard.formats.calendar import disarm as calendar
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.html.disarm import disarm_body
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options
    from mailguard.message.splice import Splice
    from mailguard.message.tree import Message, Part

_LARGEST = 64 << 20
_CALENDARS = frozenset({signatures.CALENDAR, "text/vcard", "text/x-vcard", "text/directory"})


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:
    """Make a message, web archive, winmail.dat or calendar harmless.

    Refused: messages that programs read differently ("ambiguous"), what is damaged, and .msg ("not-understood").
    """
    mime = mime.partition(";")[0].strip().lower()
    if len(content) > _LARGEST:
        raise Refused("over-limit")
    if mime in _CALENDARS:
        return calendar.disarm(content, mime, options)
    if mime == signatures.MAIL:
        return _message(content, options)
    if mime == signatures.MHTML:
        return _web_archive(content, options)
    if mime == signatures.TNEF:
        return _tnef(content, options)
    raise Refused("not-understood")


def _parsed(content: bytes) -> Message:
    from mailguard.message import grammar
    from mailguard.message.tree import parse

    message = parse(content)
    if message.excess is not None:
        raise Refused("over-limit")
    if grammar.check(message):
        raise Refused("ambiguous")
    return message


def _message(content: bytes, options: Options) -> Disarmed:
    from mailguard.message.splice import apply, joined

    message = _parsed(content)
    inner = options.deeper()
    removed: set[str] = set()
    splices: list[Splice] = []
    for part in message.parts():
        if part.message is message and not part.children:
            options.quota.count_member()
            splices += _part(part, inner, removed)
    if not removed:
        return Disarmed(content, signatures.MAIL, "eml")
    return Disarmed(joined(apply(content, splices)), signatures.MAIL, "eml", tuple(removed))


def _names(part: Part) -> list[str]:
    from mailguard.message import parameters

    fields = (part.field(b"content-type"), part.field(b"content-disposition"))
    return parameters.names(*([field.value for field in found] for found in fields))


def _charset(part: Part) -> str:
    from mailguard.message import parameters

    field = next(iter(part.field(b"content-type")), None)
    value = parameters.parse(field.value).get(b"charset") if field else None
    return (value or b"").decode("ascii", "replace")


def _part(part: Part, options: Options, removed: set[str]) -> list[Splice]:
    """Return how the part has to be written; nothing when it may stay."""
    from mailguard.formats.hidden import holds_file

    names = _names(part)
    body = not names and part.disposition != b"attachment"
    if body and part.content_type == b"text/plain":
        if holds_file(part.content().whole()):
            raise Refused("ambiguous")
        return []
    data = part.content().whole()
    options.quota.count_octets(len(data))
    page = body and part.content_type == b"text/html"
    result = disarm_body(data, _charset(part), options) if page else options.member(data, names, options)
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

    message = part.message
    identifier = next((field.value for field in part.field(b"content-id")), b"")
    inline = part.disposition == b"inline"
    written = entity(
        result.data,
        result.mime,
        message.eol,
        name=name,
        charset="utf-8" if result.mime.startswith("text/") else "",
        content_id=identifier,
        inline=inline,
    )
    kept = b"".join(
        field.raw[field.start : field.end] for field in part.fields if not field.name.startswith(b"content-")
    )
    begin = part.fields[0].start if part.fields else part.start
    end = message.eol if part.parent is None else b""
    return [Splice(begin, part.end, kept, written, end)]


def _web_archive(content: bytes, options: Options) -> Disarmed:
    """Deliver the first page of a web archive; its pictures stay behind."""
    for part in _parsed(content).parts():
        if part.content_type == b"text/html" and not part.children:
            data = part.content().whole()
            options.quota.count_octets(len(data))
            page = disarm_body(data, _charset(part), options)
            return Disarmed(bytes(page.data), "text/html", "html", ("repacked", *page.removed))
    raise Refused("not-understood")


def _tnef(content: bytes, options: Options) -> Disarmed:
    """Deliver the files of a winmail.dat; its text, which the message has too, stays behind."""
    from mailguard.capsule.names import unique_names
    from mailguard.formats.archive import zip as archive
    from mailguard.formats.mail import tnef

    found = []
    try:
        for item in tnef.examine(Content.of(content), (), Examination()):
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
        raise Refused("not-understood")
    paths = unique_names((names[-1] if names else "") for names, _ in found)
    files = [File(path, data, names) for path, (names, data) in zip(paths, found, strict=True)]
    written, removed = disarmed(files, options.deeper())
    return Disarmed(archive.write(written), signatures.ZIP, "zip", ("repacked", *removed))
