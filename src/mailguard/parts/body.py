"""What readers show as the text of a mail, and what else may stay; everything else is an attachment.

Body text is text/plain or text/html without file name or attachment disposition, in the place where readers show it,
whose bytes are text.  A few other parts stay, each only in exactly one form that holds nothing else: inline images of
the HTML body, signatures, the machine-readable parts of reports, meeting invitations.
"""

from __future__ import annotations

import re

from mailguard.filename import FileName
from mailguard.formats.image import parts as images
from mailguard.formats.signed import cms
from mailguard.message import parameters
from mailguard.parts import placeholder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.message.tree import Part

TEXT_TYPES = frozenset({b"text/plain", b"text/html"})
REPORT_TYPES = frozenset(
    {
        b"message/delivery-status",
        b"message/disposition-notification",
        b"message/feedback-report",
        b"message/global-delivery-status",
        b"message/global-disposition-notification",
        b"text/rfc822-headers",
    }
)
_SIGNATURES = {
    b"application/pkcs7-signature": frozenset({"p7s"}),
    b"application/x-pkcs7-signature": frozenset({"p7s"}),
    b"application/pgp-signature": frozenset({"asc", "sig"}),
}
_SMALL = 1 << 20
_SIGNATURE_LIMIT = 1 << 16
_IMAGE_LIMIT = 20 << 20
# Control characters that no text has; ESC, SO and SI are part of the ISO 2022 character sets.
_CONTROLS = bytes((*range(1, 8), *range(16, 26), *range(28, 32)))
_STRAY = 4
_NOT_TEXT = re.compile(rb"[\x00-\x07\x10-\x19\x1c-\x1f]")
_OTHER_THAN_TEXT = re.compile(
    rb"\s*+(?:%PDF-|\{\\rt|MIME-Version:|<\?xml|begin [0-7]{3,4} |From nobody )", re.IGNORECASE
)
_PGP_SIGNATURE = re.compile(
    rb"\s*+-----BEGIN PGP SIGNATURE-----\r?\n"
    rb"(?:(?!-----)[!-~][ -~]*+\r?\n|[ \t]*+\r?\n)+"
    rb"-----END PGP SIGNATURE-----\s*+"
)
_CALENDAR_FOLD = re.compile(r"\r?\n[ \t]")
_CALENDAR_CHARSETS = frozenset({b"utf-8", b"us-ascii"})
# What readers take for a line end, or for a change of the character set, beside CR LF and LF.
_CALENDAR_CONTROLS = re.compile(r"[\x0b\x0c\x1b\x7f-\x9f\u2028\u2029]|\r(?!\n)")
_CALENDAR_DATA = re.compile(
    r"^[ \t]*+(?:[a-z0-9-]{1,100}\.)?(?:ATTACH|STRUCTURED-DATA)"
    r"|;[ \t]*+VALUE[ \t]*+=[ \t]*+\"?+BINARY"
    r"|;[ \t]*+ENCODING[ \t]*+=[ \t]*+\"?+(?!8BIT)"
    r"|(?<![\w-])data:"
    r"|<script|(?:javascript|vbscript):",
    re.IGNORECASE | re.MULTILINE,
)
_CALENDAR_HTML = re.compile(r"^[ \t]*+(?:[a-z0-9-]{1,100}\.)?X-ALT-DESC[^\n]*+", re.IGNORECASE | re.MULTILINE)
_EVENT_HANDLER = re.compile(r"(?:[\s/\"'`]|\\n)on[a-z]{3,40}\s{0,100}=", re.IGNORECASE)
# What moves the end of a file name out of sight: control and bidi characters, fillers, runs of blanks.
_HIDING = re.compile("[\x00-\x1f\u202a-\u202e\u2066-\u2069\u3164\u115f\u1160\uffa0\u2800]|[ \u2000-\u200b\u3000]{2}")
_LONGEST_NAME = 255
_CID = re.compile(rb"(?i)cid:([^\"'<>\s)&]{1,255})")


class Layout:
    """The parts of a message by their role.

    body: the body text, in order; kept: other parts that may stay; attachments: units in document order. A nested
    message is one unit.
    """

    __slots__ = ("attachments", "body", "kept")

    def __init__(self) -> None:
        self.body: list[Part] = []
        self.kept: list[Part] = []
        self.attachments: list[Part] = []


def file_names(part: Part) -> list[str]:
    """Return every name that some reader would give this part."""
    return parameters.names(
        [field.value for field in part.field(b"content-type")],
        [field.value for field in part.field(b"content-disposition")],
    )


def layout(root: Part, *, keep_inline: bool = True, keep_calendar: bool = True) -> Layout:
    """Sort the parts of the message with this root; nested messages are not looked into."""
    found = Layout()
    text = set(_shown(root))
    for part in _units(root):
        if part in text or placeholder.is_placeholder(part):
            (found.body if part in text else found.kept).append(part)
        elif _is_signature(part) or _is_report(part) or (keep_calendar and _is_invitation(part, text)):
            found.kept.append(part)
        else:
            found.attachments.append(part)
    if keep_inline:
        _keep_images(found)
    return found


def _units(root: Part) -> Iterator[Part]:
    """Yield the leaves in document order; a message/rfc822 is a leaf here."""
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if part.is_multipart:
            waiting.extend(reversed(part.children))
        else:
            yield part


def _shown(root: Part) -> list[Part]:
    """Return the parts that a reader shows as the text: the first text, and the members of its alternative."""
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if not part.is_multipart:
            if _is_body_text(part):
                return [part]
        elif part.content_type == b"multipart/alternative":
            members = _members(part)
            if members:
                return members
        elif part.content_type != b"multipart/encrypted":
            waiting.extend(reversed(_in_reading_order(part)))
    return []


def _in_reading_order(part: Part) -> list[Part]:
    children = part.children
    if part.content_type == b"multipart/related":
        return _related_root(part)
    return children[:1] if part.content_type == b"multipart/signed" else children


def _related_root(part: Part) -> list[Part]:
    """Return the root of a multipart/related: the part that `start` names, or the first (RFC 2387 3.2)."""
    start = parameters.parse(part.field(b"content-type")[0].value).get(b"start")
    for child in part.children:
        if start and any(field.unfolded == start for field in child.field(b"content-id")):
            return [child]
    return part.children[:1]


def _members(alternative: Part) -> list[Part]:
    """Return the text members of an alternative, one of each type; those in a related or mixed member too."""
    members: dict[bytes, Part] = {}
    for child in alternative.children:
        part: Part | None = child
        while part is not None and part.is_multipart:
            part = next((one for one in _in_reading_order(part) if not placeholder.is_placeholder(one)), None)
        if part is not None and _is_body_text(part):
            members.setdefault(part.content_type, part)
    return list(members.values())


def _is_body_text(part: Part) -> bool:
    """Tell whether a part can be the body text; a placeholder that stands before it is not what was written."""
    return is_text(part) and not placeholder.is_placeholder(part)


def is_unreadable_body(part: Part) -> bool:
    """Tell whether a part claims to be body text, but its content is not text."""
    return _looks_like_body(part) and not is_text(part)


def _looks_like_body(part: Part) -> bool:
    return part.content_type in TEXT_TYPES and part.disposition in {b"", b"inline"} and not file_names(part)


def is_text(part: Part) -> bool:
    """Tell whether a part is text that readers show, and nothing that somebody could open as a file."""
    if not _looks_like_body(part):
        return False
    content = part.content()
    if _OTHER_THAN_TEXT.match(content.read(0, 1024)):
        return False
    controls = 0
    for chunk in content.chunks():
        if b"\0" in chunk:
            return False
        controls += len(chunk) - len(chunk.translate(None, _CONTROLS))
    # A stray control character or two are a mistake of the writer; binary data has many.
    return controls <= _STRAY + content.size // 1000


def _is_signature(part: Part) -> bool:
    """Recognise the last part of a multipart/signed whose protocol it is (RFC 1847): small, and really a signature."""
    signed = part.parent
    if signed is None or signed.content_type != b"multipart/signed" or len(signed.children) != 2:
        return False
    protocol = parameters.parse(signed.field(b"content-type")[0].value).get(b"protocol") or b""
    extensions = _SIGNATURES.get(part.content_type)
    if part is not signed.children[1] or extensions is None or protocol.lower() != part.content_type:
        return False
    if not _is_named_only(part, extensions):
        return False
    content = part.content()
    if not content.exact or content.size > _SIGNATURE_LIMIT:
        return False
    data = content.whole()
    return bool(_PGP_SIGNATURE.fullmatch(data)) if b"pgp" in part.content_type else cms.is_detached(data)


def _is_named_only(part: Part, extensions: frozenset[str]) -> bool:
    """Tell whether every name of a part, as any client reads it, is plain to see and has one of these extensions."""
    from mailguard.formats.extensions import dangers

    for name in file_names(part):
        file_name = FileName(name)
        if len(name) > _LONGEST_NAME or _HIDING.search(name) or dangers(file_name):
            return False
        if not file_name.endings <= extensions:
            return False
    return True


def _is_report(part: Part) -> bool:
    report = part.parent
    if report is None or report.content_type != b"multipart/report" or part.content_type not in REPORT_TYPES:
        return False
    return _is_small_text(part, frozenset({"", "txt"}))


def _is_invitation(part: Part, text: set[Part]) -> bool:
    """Recognise a calendar in the alternative that the reader shows, without attached files (RFC 6047 2.4)."""
    around = part.parent
    if part.content_type != b"text/calendar" or around is None or around.content_type != b"multipart/alternative":
        return False
    if not any(_is_within(member, around) for member in text) or not _is_small_text(part, frozenset({"ics"})):
        return False
    return _has_plain_charset(part) and _is_plain_calendar(part.content().whole())


def _has_plain_charset(part: Part) -> bool:
    """Tell whether every reader takes a part for UTF-8 or a part of it."""
    declared = [
        (name, value.lower())
        for field in part.field(b"content-type")
        for name, value in parameters.parse(field.value).parameters
        if name.startswith(b"charset")
    ]
    return all(name == b"charset" and value in _CALENDAR_CHARSETS for name, value in declared)


def _is_plain_calendar(data: bytes) -> bool:
    """Tell whether data is a calendar in UTF-8 without files, data and active HTML, after unfolding (RFC 5545 3.1)."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if _CALENDAR_CONTROLS.search(text):
        return False
    text = _CALENDAR_FOLD.sub("", text.lstrip())
    if text[:15].upper() != "BEGIN:VCALENDAR" or _CALENDAR_DATA.search(text):
        return False
    return not any(_EVENT_HANDLER.search(line) for line in _CALENDAR_HTML.findall(text))


def _is_within(part: Part, around: Part) -> bool:
    above = part.parent
    while above is not None and above is not around:
        above = above.parent
    return above is around


def _is_small_text(part: Part, extensions: frozenset[str]) -> bool:
    if not _is_named_only(part, extensions):
        return False
    content = part.content()
    return content.exact and content.size <= _SMALL and not _NOT_TEXT.search(content.whole())


def _keep_images(found: Layout) -> None:
    """Move the inline images of the HTML body from the attachments to what stays."""
    html = [part for part in found.body if part.content_type == b"text/html"]
    used = {cid.lower() for part in html for cid in _CID.findall(_without_comments(part.content().whole()))}
    if not used:
        return
    images_of_body = [part for part in found.attachments if _is_inline_image(part, used)]
    found.kept += images_of_body
    stay = set(images_of_body)
    found.attachments = [part for part in found.attachments if part not in stay]


def _without_comments(html: bytes) -> bytes:
    """Return HTML without its comments; one that has no end hides the rest."""
    pieces = []
    position = 0
    while (start := html.find(b"<!--", position)) >= 0:
        pieces.append(html[position:start])
        end = html.find(b"-->", start + 2)  # <!--> is a whole comment
        if end < 0:
            return b"".join(pieces)
        position = end + 3
    return b"".join([*pieces, html[position:]])


def _is_inline_image(part: Part, used: set[bytes]) -> bool:
    identifiers = [field.unfolded.strip(b"<> \t").lower() for field in part.field(b"content-id")]
    if len(identifiers) != 1 or identifiers[0] not in used or part.disposition not in {b"", b"inline"}:
        return False
    extensions = images.EXTENSIONS.get(part.content_type)
    if extensions is None or not _is_named_only(part, extensions):
        return False
    content = part.content()
    return content.exact and content.size <= _IMAGE_LIMIT and images.is_whole(part.content_type, content.whole())
