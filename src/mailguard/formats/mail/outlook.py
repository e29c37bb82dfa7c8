"""Items of Outlook (.msg, [MS-OXMSG]): read from their compound file, and written as the message that they are.

What acts in an item beyond what a message can hold is left out, and said: OLE objects, files elsewhere, forms.
"""

from __future__ import annotations

import re
from struct import Struct

from mailguard.formats.disarmed import DisarmQuota, Refused
from mailguard.formats.ole import compound
from mailguard.formats.ole.reader import STORAGE
from mailguard.formats.rtf.wrapped import charset
from mailguard.message.words import decoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.formats.ole.compound import Node

PROPERTIES = "__properties_version1.0"
_EOL = b"\r\n"
_KNOWN = re.compile(
    r"__substg1\.0_[0-9a-f]{8}(?:-[0-9a-f]{8})?|__(?:nameid|properties)_version1\.0|__(?:recip|attach)_version1\.0_#[0-9a-f]{8}"
    r"|olk10sideprops_[0-9a-f]{4}"  # what Outlook for Windows notes for itself
)
_HEADS = {"item": 32, "nested": 24, "part": 8}  # octets before the properties ([MS-OXMSG] 2.4.1)
_ENTRY = Struct("<2HI8s")
_NAMED = Struct("<I2H")
_DEEPEST = 8
_PART_COUNT = 10_000
_MESSAGES = ("ipm.note", "ipm.post", "ipm.stickynote", "report.", "ipm.schedule.", "ipm.outlook.recall")

# Numbers of properties, as [MS-OXPROPS] gives them
_CLASS, _SUBJECT, _SENT, _DELIVERED = 0x001A, 0x0037, 0x0039, 0x0E06
_BODY, _RTF, _HTML = 0x1000, 0x1009, 0x1013
_MESSAGE_ID, _IN_REPLY_TO, _REFERENCES = 0x1035, 0x1042, 0x1039
_CODE_PAGE, _INTERNET_CODE_PAGE, _LOCALE = 0x3FFD, 0x3FDE, 0x3FF1
_FROM = (
    (0x5D02, 0x0065, 0x0042),
    (0x5D01, 0x0C1F, 0x0C1A),
)  # address, address, name: for whom it was sent, and by whom
_RECIPIENT, _RECIPIENT_KIND = (0x39FE, 0x3003, 0x3001), 0x0C15
_FIELDS = {1: b"To", 2: b"Cc"}
_DATA, _METHOD, _FILE_NAMES, _ENDING = 0x3701, 0x3705, (0x3707, 0x3704, 0x3001), 0x3703
_MIME, _CONTENT_ID, _PATHS = 0x370E, 0x3712, (0x370D, 0x3708)
_BY_REFERENCE, _IN_THE_WEB = {2, 3, 4}, 7
# Named properties of all items ([MS-OXPROPS] PSETID_Common): the program of a form that the item brings along
# (PidLidFormStorage, PidLidScriptStream), and the sound of its reminder, which leaks the password of Windows when it is
# on a server (CVE-2023-23397).
_COMMON = bytes.fromhex("0820060000000000c000000000000046")
_FORM, _SOUND = frozenset({0x850F, 0x8541}), 0x851F
_ELSEWHERE = re.compile(r"\s*(?:[\\/]{2}|[a-z][a-z0-9+.-]+:)", re.IGNORECASE)
_ADDRESS = re.compile(r"[!#-'*+./0-9=?^-~A-Z-]{1,64}@[A-Za-z0-9.-]{1,255}|\Z(?!)")
_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_WEB = re.compile(r"https?://[!-~]{1,2000}", re.IGNORECASE)
_META = re.compile(r"<meta\b[^>]{0,200}charset[^>]{0,200}>", re.IGNORECASE)  # of wrapped HTML, which is Unicode now
_SHOWN = re.compile(rb"cid:([!#-&(-;=?-~]{1,400})", re.IGNORECASE)
# Languages whose code page is not 1252 (LCID), and what strings are in where the text travels in another encoding.
_LOCALES = {0x404: 950, 0x408: 1253, 0x411: 932, 0x412: 949, 0x415: 1250, 0x419: 1251, 0x41F: 1254, 0x804: 936}
_OF_STRINGS = {50220: 932, 50221: 932, 50222: 932, 51932: 932, 20932: 932, 20866: 1251, 51949: 949, 28591: 1252}
_EPOCH, _TICKS = 11_644_473_600, 10_000_000  # FILETIME
_LONGEST_NAME, _RECIPIENTS = 200, 1_000


class OutlookFile:
    """A file of an item: names: every name that it has; mime: as the item calls it; content_id: raw or b""."""

    __slots__ = ("content", "content_id", "mime", "names")

    def __init__(self, names: list[str], content: bytes, mime: str = "", content_id: bytes = b"") -> None:
        self.names = names
        self.content = content
        self.mime = mime
        self.content_id = content_id


class OutlookItem:
    """What is in an item.

    fields: names and values for the header; text, html with its charset, rtf: the text in the forms that it has;
    files, items: attached; removed: codes of what no message can hold; is_message: or it is a contact, a task...
    """

    __slots__ = ("fields", "files", "html", "is_message", "items", "removed", "rtf", "text")

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, str]] = []
        self.text = ""
        self.html: tuple[bytes, str] | None = None
        self.rtf = b""
        self.files: list[OutlookFile] = []
        self.items: list[OutlookItem] = []
        self.removed: set[str] = set()
        self.is_message = True

    def every(self) -> Iterator[OutlookItem]:
        """Yield this item and those attached to it."""
        yield self
        for item in self.items:
            yield from item.every()

    @property
    def is_rtf(self) -> bool:
        """Whether the text is RTF by origin."""
        return bool(self.rtf) and self.html is None


def read(content: bytes) -> OutlookItem:
    """Return what is in an item; Refused for one that is damaged, or holds what this does not know."""
    root, _ = compound.read(content, DisarmQuota(octets=len(content)))
    top = _Properties(root, "item")
    return _item(root, top, _named(root), 0)


def _named(root: Node) -> dict[int, int]:
    """Return number -> name of the properties of all items that have one ([MS-OXMSG] 2.2.3.1)."""
    storage = root.child("__nameid_version1.0")
    streams = {child.name.lower(): child.data for child in storage.children} if storage else {}
    kinds, entries = (streams.get(f"__substg1.0_{number}0102", b"") for number in ("0002", "0003"))
    if len(kinds) % 16 or len(entries) % _NAMED.size:
        raise Refused("damaged")
    common = {number + 3 for number in range(len(kinds) // 16) if kinds[number * 16 : number * 16 + 16] == _COMMON}
    return {
        0x8000 + index: name
        for name, kind, index in _NAMED.iter_unpack(entries)
        if not kind & 1 and kind >> 1 in common
    }


class _Properties:
    """The properties of an item, a recipient or an attachment ([MS-OXMSG] 2.4); pages: code pages of its octets."""

    __slots__ = ("_fixed", "_streams", "pages")

    def __init__(self, node: Node, kind: str, outer: _Properties | None = None) -> None:
        if any(not _KNOWN.fullmatch(child.name.lower()) for child in node.children):
            raise Refused("not-understood")
        stream = node.child(PROPERTIES)
        if stream is None or (len(stream.data) - _HEADS[kind]) % _ENTRY.size or len(stream.data) < _HEADS[kind]:
            raise Refused("damaged")
        entries = _ENTRY.iter_unpack(stream.data[_HEADS[kind] :])
        self._fixed = {number: (form, value) for form, number, _, value in entries}
        self._streams = {child.name.lower()[12:]: child for child in node.children if child.name.startswith("__substg")}
        self.pages: list[int] = self._page_numbers() or (outer.pages if outer else [])

    def _page_numbers(self) -> list[int]:
        stated = (self.number(_CODE_PAGE), _LOCALES.get(self.number(_LOCALE)), self.number(_INTERNET_CODE_PAGE))
        return [_OF_STRINGS.get(page, page) for page in stated if page]

    def number(self, number: int) -> int:
        """Return a property that is a number, 0 for none."""
        form, value = self._fixed.get(number, (0, b""))
        return int.from_bytes(value[:4], "little", signed=True) if form in {2, 3, 11} else 0

    def time(self, number: int) -> int:
        """Return a property that is a time, in seconds since 1970, 0 for none."""
        form, value = self._fixed.get(number, (0, b""))
        return int.from_bytes(value, "little") // _TICKS - _EPOCH if form == 0x40 else 0

    def octets(self, number: int) -> bytes | None:
        """Return a property that is binary."""
        node = self._streams.get(f"{number:04x}0102")
        return node.data if node is not None else None

    def storage(self, number: int) -> Node | None:
        """Return a property that is an object."""
        return self._streams.get(f"{number:04x}000d")

    def texts(self, number: int) -> list[str]:
        """Return the forms of a property that is text: in Unicode, and in octets of a code page."""
        wide, narrow = (self._streams.get(f"{number:04x}001{form}") for form in "fe")
        found = [wide.data.decode("utf-16-le", "replace")] if wide is not None else []
        found += [self._narrow(narrow.data)] if narrow is not None else []
        return [text.rstrip("\0") for text in found]

    def text(self, *numbers: int) -> str:
        """Return the first of these properties that has a text."""
        return next((text for number in numbers for text in self.texts(number) if text), "")

    def _narrow(self, octets: bytes) -> str:
        from mailguard.message import words

        if octets.isascii():
            return decoded(octets, b"iso-2022-jp" if b"\x1b" in octets else b"us-ascii")
        for page in self.pages:
            text = decoded(octets, charset(page).encode("ascii"))
            if "\ufffd" not in text:
                return text
        return words.texts(octets)[0]


def _item(node: Node, properties: _Properties, named: dict[int, int], depth: int) -> OutlookItem:
    if depth > _DEEPEST:
        raise Refused("over-limit")
    item = OutlookItem()
    kind = properties.text(_CLASS).lower()
    item.is_message = not kind or kind.startswith(_MESSAGES)
    item.fields = list(_header(node, properties))
    _body(item, properties)
    for number, name in named.items():
        if name in _FORM and (properties.octets(number) or properties.storage(number)):
            item.removed.add("macro")
        elif name == _SOUND and _ELSEWHERE.match(properties.text(number)):
            item.removed.add("share")
    for child in node.children:
        if child.name.lower().startswith("__attach_"):
            _attach(item, _Properties(child, "part", properties), named, depth)
    return item


def _header(node: Node, properties: _Properties) -> Iterator[tuple[bytes, str]]:
    import email.utils

    senders = [address for numbers in _FROM if (address := _address(properties, numbers))]
    if senders:
        yield b"From", senders[0]
        if senders[0] != senders[-1]:
            yield b"Sender", senders[-1]
    recipients: dict[int, list[str]] = {}
    for child in node.children:
        if child.name.lower().startswith("__recip_"):
            recipient = _Properties(child, "part", properties)
            address = _address(recipient, _RECIPIENT)
            recipients.setdefault(recipient.number(_RECIPIENT_KIND), []).extend([address] if address else [])
    for kind, field in _FIELDS.items():
        if recipients.get(kind):
            yield field, ", ".join(recipients[kind][:_RECIPIENTS])
    seconds = properties.time(_SENT) or properties.time(_DELIVERED)
    if 0 < seconds < 1 << 37:
        yield b"Date", email.utils.formatdate(seconds)
    for field, number in ((b"Message-ID", _MESSAGE_ID), (b"In-Reply-To", _IN_REPLY_TO), (b"References", _REFERENCES)):
        identifiers = _ID.findall(properties.text(number))
        if identifiers:
            yield field, " ".join(identifiers if number == _REFERENCES else identifiers[:1])
    yield b"Subject", _printable(properties.text(_SUBJECT))


def _address(properties: _Properties, numbers: tuple[int, ...]) -> str:
    """Return a mailbox (RFC 5322 3.4) of the first address that is one, and the name; "" where there is neither."""
    *addresses, shown = numbers
    address = next((text for number in addresses for text in properties.texts(number) if _ADDRESS.fullmatch(text)), "")
    name = _printable(properties.text(shown))[:_LONGEST_NAME].strip()
    if name in {"", address, f"'{address}'"}:
        return f"<{address}>" if address else ""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    # Within an organization Outlook knows people by other names than addresses (X.500).
    return f'"{quoted}" <{address or "unknown@outlook.invalid"}>'


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _body(item: OutlookItem, properties: _Properties) -> None:
    """Read the text; what RTF wraps is the text only where it does not stand beside it."""
    from mailguard.formats.rtf import compressed, wrapped

    item.text = properties.text(_BODY)
    page = properties.octets(_HTML)
    if page is not None:
        item.html = page, charset(properties.number(_INTERNET_CODE_PAGE) or 65001)
    elif properties.text(_HTML):
        item.html = _unicode(properties.text(_HTML)), "utf-8"
    packed = properties.octets(_RTF)
    if not packed:
        return
    item.rtf = compressed.decompressed(packed)
    kind = wrapped.wrapped(item.rtf)
    if kind == "html" and item.html is None:
        item.html = _unicode(_META.sub("", wrapped.unwrapped(item.rtf, kind))), "utf-8"
    elif kind == "text" and not item.text:
        item.text = wrapped.unwrapped(item.rtf, kind)


def _unicode(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _attach(item: OutlookItem, properties: _Properties, named: dict[int, int], depth: int) -> None:
    """Add an attachment to the item, or say what it was that no message holds."""
    names = list(dict.fromkeys(name for number in _FILE_NAMES for name in properties.texts(number) if name))
    names += [f"attachment{ending}" for ending in properties.texts(_ENDING) if ending]
    names = names or ["attachment"]
    data, inner = properties.octets(_DATA), properties.storage(_DATA)
    method = properties.number(_METHOD)
    if (data is not None and inner is not None) or (inner is not None and inner.kind != STORAGE):
        raise Refused("ambiguous")
    if inner is not None and inner.child(PROPERTIES) is not None:
        item.items.append(_item(inner, _Properties(inner, "nested", properties), named, depth + 1))
    elif inner is not None:
        item.removed.add("embedded-object")
    elif method in _BY_REFERENCE or (method == _IN_THE_WEB and data is None):
        address = properties.text(*_PATHS)
        if method == _IN_THE_WEB and _WEB.fullmatch(address):
            item.files.append(OutlookFile([f"{names[0]}.txt", *names], _unicode(address), "text/plain"))
        else:
            item.removed.add("share")
    else:
        content_id = properties.text(_CONTENT_ID).encode("utf-8", "replace").strip(b"<> ")
        item.files.append(OutlookFile(names, data or b"", properties.text(_MIME), b"<%b>" % content_id))
    if len(item.files) + len(item.items) > _PART_COUNT:
        raise Refused("over-limit")


# As a message


def written(item: OutlookItem) -> bytes:
    """Return the item as a message (RFC 5322, 2045) in ASCII with CRLF; what came from it cannot form a line."""
    return _written(item, iter(range(_PART_COUNT * 2)))


def _written(item: OutlookItem, numbers: Iterator[int]) -> bytes:
    from mailguard.message.entity import entity
    from mailguard.message.safe_header import generate

    header = b"".join(generate(name, value, _EOL) for name, value in item.fields)
    texts = [entity(_unicode(item.text), "text/plain", _EOL, charset="utf-8")] if item.text or not item.html else []
    if item.html is not None:
        texts.append(entity(item.html[0], "text/html", _EOL, charset=item.html[1]))
    shown = set(_SHOWN.findall(item.html[0])) if item.html else set()
    inline = [file for file in item.files if file.content_id[1:-1] in shown]
    body = _joined(
        "related", [_joined("alternative", texts, numbers), *(_file(one, inline=True) for one in inline)], numbers
    )
    parts = [body, *(_file(file) for file in item.files if file not in inline)]
    if item.is_rtf:
        parts.append(_file(OutlookFile(["message.rtf"], item.rtf, "application/rtf")))
    parts += [
        b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n" + _written(one, numbers)
        for one in item.items
    ]
    return header + b"MIME-Version: 1.0\r\n" + _joined("mixed", parts, numbers) + _EOL


def _file(file: OutlookFile, *, inline: bool = False) -> bytes:
    """Return a file as a part, called by the most dangerous of its names."""
    from mailguard.capsule.names import safe_name
    from mailguard.filename import FileName, extension
    from mailguard.formats.extensions import dangers, type_of_extension
    from mailguard.message.entity import entity

    name = next((name for name in file.names if dangers(FileName(name))), file.names[0])
    mime = file.mime or type_of_extension(extension(name))
    return entity(file.content, mime, _EOL, name=safe_name(name), content_id=file.content_id, inline=inline)


def _joined(subtype: str, parts: list[bytes], numbers: Iterator[int]) -> bytes:
    """Return the parts as a multipart, or the only one; nothing that is encoded can look like the delimiter."""
    if len(parts) == 1:
        return parts[0]
    boundary = b"=_outlook-%06d" % next(numbers)
    head = b'Content-Type: multipart/%b; boundary="%b"\r\n' % (subtype.encode("ascii"), boundary)
    delimited = b"".join(b"\r\n--%b\r\n%b" % (boundary, part) for part in parts)
    return head + delimited + b"\r\n--%b--" % boundary
