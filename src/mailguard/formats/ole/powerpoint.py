"""Legacy PowerPoint presentations ([MS-PPT]): objects, controls, macros, actions and links, made void in place."""

from __future__ import annotations

import re
from struct import Struct, error

from mailguard.formats.disarmed import Refused
from mailguard.formats.office import targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.formats.disarmed import Options
    from mailguard.formats.ole.compound import Node

_RECORDS = 2_000_000
_DEPTH = 64
_HEAD, _LONG = Struct("<2HI"), Struct("<I")
_VOID = Struct("<2H").pack(0, 0x0FFF)  # an atom of a type that nobody knows, and everybody passes over
_ENCRYPTED_USER = b"\xdf\xc4\xd1\xf3"
_USER_EDIT, _DIRECTORY, _CRYPT = 0x0FF5, 0x1772, 0x2F14
_STRING, _INTERACTIVE, _INTERACTIVE_ATOM, _LINK = 0x0FBA, 0x0FF2, 0x0FF3, 0x0FD7
_OBJECT_REFERENCE, _OBJECT_LIST, _COMMENT = 0x0BC1, 0x0409, 0x2EE0
_PACKAGE = 0x0428  # an atom that looks like a container ([MS-PPT] 2.11.13): a ZIP with the styles of tables
_PROJECT = 0x0400  # says where the macros are
_TARGET = 1  # the instance of the string that says where a link goes; the others are its name and the place there
_VOIDED: dict[int, str] = {
    **dict.fromkeys((0x0FCC, 0x0FCE, 0x1011), "embedded-object"),
    0x0FEE: "activex",
    0x0FB8: "embedded-font",
}
_HARMLESS_ACTIONS = frozenset({0, 3, 4, 6, 7})
_MACRO, _PROGRAM = 1, 2
_SLIDE = re.compile(r"-?\d{1,12},-?\d{1,12},.*", re.DOTALL)
_LINK_LIST = re.compile(rb"(?i)_\0?P\0?I\0?D\0?_\0?H\0?L\0?I\0?N\0?K\0?S")
_USER_DEFINED = bytes.fromhex("05d5cdd59c2e1b10939708002b2cf9ae")  # the section of properties ([MS-OLEPS] 2.25)
_ADDRESS = re.compile(rb"(?:[A-Za-z][A-Za-z0-9+.-]++:|\\\\|//)[^\0-\x20]++")
_NAMED = re.compile(
    r"\s*+(?:\\\\|//|[A-Za-z][A-Za-z0-9+.-]++:[^\s\\])"
)  # an address as the name of a link; not "Slide: 2"
_FAR = re.compile(r"\\\\|//|[A-Za-z][A-Za-z0-9+.-]++:(?!\\)")


def disarm(root: Node, options: Options) -> set[str]:
    """Change the presentation in place; return the codes of what was removed."""
    user, node = root.child("current user"), root.child("powerpoint document")
    if user is None or node is None or len(user.data) < 20:
        raise Refused("damaged")
    if user.data[12:16] == _ENCRYPTED_USER:
        raise Refused("encrypted")
    presentation = _Presentation(node.data, options)
    try:
        presentation.walk()
        presentation.check_places(_LONG.unpack_from(user.data, 16)[0])
    except (error, IndexError) as damage:
        raise Refused("damaged") from damage
    if presentation.codes:
        node.data = bytes(presentation.data)
    _forget_links(root.child("\x05documentsummaryinformation"), presentation.codes, options)
    return presentation.codes


def _forget_links(properties: Node | None, codes: set[str], options: Options) -> None:
    """Rename the list of all links among the properties: some programs take the targets of links from there."""
    if properties is None or not _LINK_LIST.search(properties.data):
        return
    if "hyperlink" in codes or not all(_is_listed(one, options) for one in _addresses(properties.data)):
        properties.data = _LINK_LIST.sub(lambda name: name[0].replace(b"H", b"N").replace(b"h", b"N"), properties.data)
        codes.add("hyperlink")


def _addresses(data: bytes) -> set[bytes]:
    """Return what looks like an address in the properties that a user may define, in 8 and in 16 bits."""
    number = data.find(_USER_DEFINED, 0, 0x60)
    (start,) = _LONG.unpack_from(data, number + 16) if 0 <= number <= len(data) - 20 else (0,)
    section = data[start:]
    return {found for view in (section, section.replace(b"\0", b"")) for found in _ADDRESS.findall(view)}


def _is_listed(address: bytes, options: Options) -> bool:
    """Tell whether an address may stay; its first octet may belong to the length before it."""
    text = address.decode("latin-1")
    return targets.is_harmless(text, options) or targets.is_harmless(text[1:], options)


class _Presentation:
    __slots__ = ("_options", "_references", "_tops", "_voided", "codes", "data")

    def __init__(self, data: bytes, options: Options) -> None:
        self.data = bytearray(data)
        self.codes: set[str] = set()
        self._options = options
        self._tops: dict[int, int] = {}
        self._references: list[int] = []
        self._voided = False

    def walk(self) -> None:
        for place, kind, end, around in self._records():
            if kind == _CRYPT:
                raise Refused("encrypted")
            if kind == _COMMENT and not self._options.comments:
                raise Refused("not-understood")  # comments cannot be taken out of this format
            self._record(place, kind, end, around)
        for place in self._references if self._voided else ():
            self.data[place + 8 : place + 12] = bytes(4)

    def _record(self, place: int, kind: int, end: int, around: list[tuple[int, int]]) -> None:
        if kind in _VOIDED:
            self._void(place, kind, end)
        elif kind == _PROJECT and any(self.data[place + 8 : min(place + 16, end)]):
            self.data[place + 8 : min(place + 16, end)] = bytes(min(8, end - place - 8))
            self.codes.add("macro")
        elif kind == _OBJECT_REFERENCE:
            self._references.append(place)
        elif kind == _INTERACTIVE_ATOM and end - place >= 24:
            self._action(place + 8)
        elif kind == _LINK:
            self._hyperlink(place + 8, end)
        elif kind == _STRING:
            self._string(place + 8, end, [container for container, _ in around])

    def _records(self) -> Iterator[tuple[int, int, int, list[tuple[int, int]]]]:
        """Yield (place, type, end, type and end of each container around) of each record, in order of place."""
        position, size = 0, len(self.data)
        stack: list[tuple[int, int]] = []
        for _ in range(_RECORDS):
            while stack and position >= stack[-1][1]:
                stack.pop()
            if position + 8 > (stack[-1][1] if stack else size):
                if stack or any(self.data[position:]):
                    raise Refused("damaged")
                return
            version, kind, length = _HEAD.unpack_from(self.data, position)
            end = position + 8 + length
            if end > (stack[-1][1] if stack else size) or len(stack) > _DEPTH:
                raise Refused("damaged")
            if not stack:
                self._tops[position] = kind
            yield position, kind, end, stack
            if version & 0xF == 0xF and kind not in _VOIDED and kind != _PACKAGE:
                stack.append((kind, end))
                position += 8
            else:
                position = end
        raise Refused("over-limit")

    def _void(self, place: int, kind: int, end: int) -> None:
        self.data[place : place + 4] = _VOID
        self.data[place + 8 : end] = bytes(end - place - 8)
        self.codes.add(_VOIDED[kind])
        self._voided = self._voided or kind != 0x0FB8

    def _action(self, place: int) -> None:
        action = self.data[place + 8]
        if action not in _HARMLESS_ACTIONS:
            self.data[place + 8] = 0
            self.codes.add({_MACRO: "macro", _PROGRAM: "launch"}.get(action, "action"))

    def _hyperlink(self, position: int, end: int) -> None:
        """Blank every string of a link whose target may not stay: without a target, some programs follow its name."""
        strings: dict[int, list[tuple[int, int]]] = {}
        while position + 8 <= end:
            version, kind, length = _HEAD.unpack_from(self.data, position)
            position += 8 + length
            if kind == _STRING and position <= end:
                strings.setdefault(version >> 4, []).append((position - length, position))
        if any(self._leads_away(instance, *place) for instance, places in strings.items() for place in places):
            for place in [place for places in strings.values() for place in places]:
                self._blank(*place)
            self.codes.add("hyperlink")

    def _leads_away(self, instance: int, start: int, end: int) -> bool:
        text = self._text(start, end)
        if not text.strip() or _SLIDE.fullmatch(text) or (instance != _TARGET and not _NAMED.match(text)):
            return False
        return not targets.is_harmless(text, self._options)

    def _string(self, start: int, end: int, around: list[int]) -> None:
        """Blank programs, macros and files elsewhere."""
        text = self._text(start, end)
        code = ""
        if around[-1:] == [_INTERACTIVE]:
            code = "macro" if text.strip() else ""
        elif around[-1:] != [_LINK] and _OBJECT_LIST in around and _FAR.search(text):
            code = "external-relationship"
        if code:
            self._blank(start, end)
            self.codes.add(code)

    def _text(self, start: int, end: int) -> str:
        return bytes(self.data[start:end]).decode("utf-16-le", "replace").rstrip("\0")

    def _blank(self, start: int, end: int) -> None:
        self.data[start:end] = b" \0" * ((end - start) // 2) + bytes((end - start) % 2)

    def check_places(self, edit: int) -> None:
        """Refused when a program that follows the stated places would read anything but the records seen here."""
        directories = set()
        for _ in range(len(self._tops)):
            if self._tops.get(edit) != _USER_EDIT:
                raise Refused("not-understood")
            before, directory = Struct("<2I").unpack_from(self.data, edit + 16)
            directories.add(directory)
            if not before:
                break
            edit = before
        for directory in directories:
            if self._tops.get(directory) != _DIRECTORY:
                raise Refused("not-understood")
            self._check_directory(directory)

    def _check_directory(self, place: int) -> None:
        end = place + 8 + _LONG.unpack_from(self.data, place + 4)[0]
        position = place + 8
        while position + 4 <= end:
            count = _LONG.unpack_from(self.data, position)[0] >> 20
            for number in range(count):
                if _LONG.unpack_from(self.data, position + 4 + 4 * number)[0] not in self._tops:
                    raise Refused("not-understood")
            position += 4 + 4 * count
