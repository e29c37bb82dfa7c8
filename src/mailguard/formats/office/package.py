"""A package of Office Open XML (ECMA-376 part 2): parts in a ZIP, read by one strict reading, and written anew."""

from __future__ import annotations

import io
import posixpath
import re

from mailguard.filename import split
from mailguard.formats.archive import zip as archive
from mailguard.formats.budget import Unreadable
from mailguard.formats.disarmed import Refused
from mailguard.formats.office import markup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lxml.etree import _Element

    from mailguard.formats import budget
    from mailguard.formats.archive.zip import ZipEntry
    from mailguard.message.content import Content

TYPES = "[Content_Types].xml"
_TYPES_SPACE = "{http://schemas.openxmlformats.org/package/2006/content-types}"
_RELATIONSHIPS_SPACE = "{http://schemas.openxmlformats.org/package/2006/relationships}"
_RELATIONSHIPS_NAME = re.compile(r"(?P<folder>(?:[^/]++/)*?)_rels/(?P<base>[^/]*)\.rels", re.IGNORECASE)
_NAME = re.compile(r"[^\x00-\x1f\\:]{1,250}")
_SMALL = 1 << 16
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


class Parts:
    """The parts of a package by key (lower-case name): unpacked when they are asked for, or new content."""

    __slots__ = ("_content", "_parts")

    def __init__(self, content: Content) -> None:
        self._content = content
        self._parts: dict[str, ZipEntry | bytes] = {}

    def add(self, key: str, part: ZipEntry | bytes) -> None:
        """Add a part as it lies in the package."""
        self._parts[key] = part

    def __contains__(self, key: str) -> bool:
        return key in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __getitem__(self, key: str) -> bytes:
        part = self._parts[key]
        if isinstance(part, bytes):
            return part
        try:
            data = b"".join(archive.pieces(self._content, part))
        except Unreadable as error:
            raise Refused("damaged") from error
        if len(data) <= _SMALL:
            self._parts[key] = data
        return data

    def __setitem__(self, key: str, data: bytes) -> None:
        self._parts[key] = data

    def __delitem__(self, key: str) -> None:
        del self._parts[key]

    def remove(self, key: str) -> None:
        """Take a part out, if it is there."""
        self._parts.pop(key, None)

    def size(self, key: str) -> int:
        """Return how many octets a part has."""
        part = self._parts[key]
        return len(part) if isinstance(part, bytes) else part.size


class Package:
    """The parts of a document.

    parts: key (lower-case name) to content; names: key to name as written; beside: the code of what lies beside them,
    or "".
    """

    __slots__ = ("_defaults", "_overrides", "_types", "beside", "names", "parts")

    def __init__(self, parts: Parts, names: dict[str, str], types: _Element, beside: str = "") -> None:
        self.parts = parts
        self.names = names
        self.beside = beside
        self._read_types(types)

    @classmethod
    def of_zip(cls, content: Content, found: list[ZipEntry], quota: budget.Quota) -> Package:
        """Read the package that a ZIP is."""
        beside = ""
        if not archive.is_tight(content, found):
            beside = "hidden-data"
        elif archive.has_comment(content):
            beside = "trailing-data"
        parts = Parts(content)
        names: dict[str, str] = {}
        for entry in found:
            if not entry.directory:
                key = _checked(entry, quota)
                if key in names:
                    raise Refused("ambiguous")
                names[key] = entry.name
                parts.add(key, entry)
        if TYPES.lower() not in names:
            raise Refused("damaged")
        return cls(parts, names, markup.parsed(parts[TYPES.lower()]), beside)

    @classmethod
    def of_parts(cls, found: dict[str, tuple[str, bytes]], empty: Content) -> Package:
        """Return the package of these parts: name to content type and content."""
        from lxml import etree

        names = {key_of(name): name for name in found}
        if len(names) < len(found):
            raise Refused("ambiguous")
        package = cls(Parts(empty), names, etree.Element(f"{_TYPES_SPACE}Types"))
        for name, (content_type, data) in found.items():
            package.parts[key_of(name)] = data
            package.declare(key_of(name), content_type)
        return package

    def _read_types(self, types: _Element) -> None:
        self._types = types
        self._defaults: dict[str, _Element] = {}
        self._overrides: dict[str, _Element] = {}
        for item in self._types:
            if item.tag == f"{_TYPES_SPACE}Default":
                table, name = self._defaults, item.get("Extension", "").lower()
            elif item.tag == f"{_TYPES_SPACE}Override":
                table, name = self._overrides, key_of(item.get("PartName", "").lstrip("/"))
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
        self.parts.remove(key)
        folder, _, base = key.rpartition("/")
        self.parts.remove(f"{folder}/_rels/{base}.rels" if folder else f"_rels/{base}.rels")
        item = self._overrides.pop(key, None)
        if item is not None:
            self._types.remove(item)

    def declares(self, content_types: Iterable[str]) -> bool:
        """Tell whether a part is said to be of one of these content types (lower case)."""
        declared = {item.get("ContentType", "").strip().lower() for item in self._types}
        return not declared.isdisjoint(content_types)

    @staticmethod
    def is_relationships(key: str) -> bool:
        """Tell whether a part of this name holds relationships."""
        return bool(_RELATIONSHIPS_NAME.fullmatch(key))

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


def _checked(entry: ZipEntry, quota: budget.Quota) -> str:
    """Return the key of a part that all programs find under the same name."""
    if entry.encrypted:
        raise Refused("encrypted")
    key = key_of(entry.name)
    if len(entry.names) > 1 or not _NAME.fullmatch(key) or ".." in key or key[0] == "/":
        raise Refused("ambiguous")
    if entry.size > _BOMB and entry.packed * _RATIO < entry.size:
        raise Refused("bomb")
    quota.count_member()
    quota.count_octets(entry.size)
    return key


def key_of(name: str) -> str:
    """Return the key of the part that has this name."""
    from urllib.parse import unquote

    return unquote(name).lower()


def _ordered(keys: Iterable[str]) -> list[str]:
    """Order the parts as readers of a stream expect them: types, relationships of the package, the rest as it was."""
    return sorted(keys, key=lambda key: (key != TYPES.lower(), key != "_rels/.rels"))
