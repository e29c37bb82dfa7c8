"""A package of Office Open XML (ECMA-376 part 2): parts in a ZIP, read by one strict reading, and written anew."""

from __future__ import annotations

import io
import posixpath
import re

from mailguard.filename import split
from mailguard.formats.archive import zip as archive
from mailguard.formats.budget import TooLarge, Unreadable
from mailguard.formats.disarmed import Refused
from mailguard.formats.office import markup
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lxml.etree import _Element

    from mailguard.formats.archive.zip import Entry
    from mailguard.formats.disarmed import Quota

TYPES = "[Content_Types].xml"
_TYPES_SPACE = "{http://schemas.openxmlformats.org/package/2006/content-types}"
_RELATIONSHIPS_SPACE = "{http://schemas.openxmlformats.org/package/2006/relationships}"
_RELATIONSHIPS_NAME = re.compile(r"(?P<folder>(?:[^/]++/)*?)_rels/(?P<base>[^/]*)\.rels", re.IGNORECASE)
_NAME = re.compile(r"[^\x00-\x1f\\:]{1,250}")
_DESCRIPTORS = frozenset({0, 12, 16, 20, 24})
_BOMB = 16 << 20
_RATIO = 500
_DRIVE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Relationship:
    """One relationship; target: as written; part: key of the part it leads to, "" when it leads outside."""

    __slots__ = ("element", "external", "identifier", "kind", "part", "target")

    def __init__(self, element: _Element, source: str) -> None:
        self.element = element
        self.identifier = element.get("Id", "")
        self.kind = element.get("Type", "").strip()
        self.target = element.get("Target", "")
        mode = element.get("TargetMode", "Internal")
        self.external = mode.strip().lower() != "internal"
        self.part = "" if self.external else _resolved(self.target, source)


def _resolved(target: str, source: str) -> str:
    """Return the key of the part to which an internal target leads, "" for what is no path."""
    from urllib.parse import unquote

    path = unquote(target.partition("#")[0]).replace("\\", "/")
    if path.startswith("//") or _DRIVE.match(path):
        return ""
    folder = source.rpartition("/")[0]
    return posixpath.normpath(posixpath.join(f"/{folder}", path)).lstrip("/").lower()


class Package:
    """The parts of a document.

    parts: key (lower-case name) to content; names: key to name as written; tight: nothing lies between the files.
    """

    __slots__ = ("_defaults", "_overrides", "_trees", "_types", "names", "parts", "tight")

    def __init__(self, content: bytes, quota: Quota) -> None:
        whole = Content.of(content)
        try:
            found = archive.entries(whole)
            self.tight = _is_tight(content, found)
            self.names: dict[str, str] = {}
            self.parts: dict[str, bytes] = {}
            for entry in found:
                self._add(whole, entry, quota)
        except Unreadable as error:
            raise Refused("damaged") from error
        except TooLarge as error:
            raise Refused("over-limit") from error
        self._read_types()

    def _add(self, content: Content, entry: Entry, quota: Quota) -> None:
        if entry.encrypted:
            raise Refused("encrypted")
        if entry.directory:
            return
        key = _key(entry.name)
        if len(entry.names) > 1 or key in self.parts or not _NAME.fullmatch(key) or ".." in key or key[0] == "/":
            raise Refused("ambiguous")
        if entry.size > _BOMB and entry.packed * _RATIO < entry.size:
            raise Refused("bomb")
        quota.count_member()
        quota.count_octets(entry.size)
        self.names[key] = entry.name
        self.parts[key] = b"".join(archive.pieces(content, entry))

    def _read_types(self) -> None:
        key = TYPES.lower()
        if key not in self.parts:
            raise Refused("damaged")
        self._types = markup.parsed(self.parts[key])
        self._defaults: dict[str, _Element] = {}
        self._overrides: dict[str, _Element] = {}
        for item in self._types:
            if item.tag == f"{_TYPES_SPACE}Default":
                table, name = self._defaults, item.get("Extension", "").lower()
            elif item.tag == f"{_TYPES_SPACE}Override":
                table, name = self._overrides, _key(item.get("PartName", "").lstrip("/"))
            else:
                raise Refused("damaged")
            if not name or "ContentType" not in item.attrib:
                raise Refused("damaged")
            if name in table:
                raise Refused("ambiguous")
            table[name] = item

    def content_type(self, key: str) -> str:
        """Return the content type of a part in lower case, "" when it has none."""
        item = self._overrides.get(key)
        if item is None:
            item = self._defaults.get(split(key.rpartition("/")[2])[1])
        return "" if item is None else item.get("ContentType", "").strip().lower()

    def declare(self, key: str, content_type: str) -> None:
        """Give a part another content type."""
        item = self._overrides.get(key)
        if item is None:
            from lxml import etree

            item = etree.SubElement(self._types, f"{_TYPES_SPACE}Override")
            item.set("PartName", f"/{self.names[key]}")
            self._overrides[key] = item
        item.set("ContentType", content_type)

    def remove(self, key: str) -> None:
        """Take a part out, with its relationships and its content type."""
        self.parts.pop(key, None)
        folder, _, base = key.rpartition("/")
        self.parts.pop(f"{folder}/_rels/{base}.rels" if folder else f"_rels/{base}.rels", None)
        item = self._overrides.pop(key, None)
        if item is not None:
            self._types.remove(item)

    def sources(self) -> dict[str, str]:
        """Return the keys of the parts that hold relationships: key to key of the source part ("" = the package)."""
        found = {}
        for key in self.parts:
            match = _RELATIONSHIPS_NAME.fullmatch(key)
            if match:
                found[key] = match["folder"] + match["base"]
        return found

    def relationships(self, key: str, source: str) -> tuple[_Element, list[Relationship]]:
        """Read a part that holds relationships."""
        root = markup.parsed(self.parts[key])
        if root.tag != f"{_RELATIONSHIPS_SPACE}Relationships":
            raise Refused("damaged")
        found = []
        for element in root:
            if element.tag != f"{_RELATIONSHIPS_SPACE}Relationship":
                raise Refused("damaged")
            found.append(Relationship(element, source))
        if len({one.identifier for one in found}) != len(found):
            raise Refused("ambiguous")
        return root, found

    def written(self) -> bytes:
        """Return the package as a new ZIP, always the same for the same parts."""
        import zipfile

        types = TYPES.lower()
        self.parts[types] = markup.serialised(self._types)
        self.names[types] = TYPES
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            for key in _ordered(self.parts):
                item = zipfile.ZipInfo(self.names[key], (1980, 1, 1, 0, 0, 0))
                item.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(item, self.parts[key])
        return buffer.getvalue()


def _key(name: str) -> str:
    from urllib.parse import unquote

    return unquote(name).lower()


def _ordered(keys: Iterable[str]) -> list[str]:
    """Order the parts as readers of a stream expect them: types, relationships of the package, the rest as it was."""
    return sorted(keys, key=lambda key: (key != TYPES.lower(), key != "_rels/.rels"))


def _is_tight(content: bytes, found: list[Entry]) -> bool:
    """Tell whether the ZIP holds nothing but its files: nothing before, between and behind them."""
    position = 0
    for entry in found:
        if entry.header - position not in _DESCRIPTORS or (entry.header and not position):
            return False
        position = entry.start + entry.packed
    end = content.rfind(b"PK\x05\x06")
    directory = content.find(b"PK\x01\x02", position)
    return len(content) == end + 22 and directory - position in _DESCRIPTORS
