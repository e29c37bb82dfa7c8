"""XML as a browser opens it (XHTML, SVG, and any other root), read by expat with its namespaces: what in it acts.

A browser runs what stands in the namespaces of XHTML, SVG and MathML inside any root, whatever the prefix, and what a
style sheet of the document makes of it (https://www.w3.org/TR/xml-stylesheet).  Other programs start by the root alone.
"""

from __future__ import annotations

import re

from mailguard.formats.budget import TooLarge, Unreadable
from mailguard.formats.html import acting
from mailguard.formats.html.charset import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.parsers.expat import XMLParserType

    from mailguard.message.content import Content

_LARGEST = 64 << 20
_DEEPEST = 2_000
_BROWSERS = frozenset(
    {"http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"}
)
_XLINK = "http://www.w3.org/1999/xlink"
_STYLESHEETS = frozenset({"http://www.w3.org/1999/XSL/Transform", "http://www.w3.org/TR/WD-xsl"})
_EVENTS = "http://www.w3.org/2001/xml-events"
_DECLARED = re.compile(rb"\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*[\"']([A-Za-z][\w.:-]{0,40})[\"']")
_PLAIN_ENTITY = re.compile(r"[^<&%]*")
_OWN_ENCODINGS = frozenset({"utf-8", "utf-16", "iso-8859-1", "us-ascii"})  # of expat
# What some program starts by the root of a file, which its name need not tell: settings pages, search connectors,
# Java Web Start, App Installer, the console of Windows.
_ROOTS: dict[str, str] = {
    **dict.fromkeys(("pcsettings", "searchconnectordescription", "librarydescription", "persistedquery"), "shortcut"),
    **dict.fromkeys(("mmc_consolefile", "jnlp"), "executable"),
    "appinstaller": "installer",
}
# Windows Sandbox, MSBuild, Windows Script: only with one of these elements inside; the roots are ordinary words.
_INSIDE: dict[str, tuple[frozenset[str], str]] = {
    "configuration": (frozenset({"logoncommand", "mappedfolders"}), "shortcut"),
    "project": (frozenset({"exec", "usingtask"}), "script"),
    **dict.fromkeys(("component", "package", "job", "scriptlet"), (frozenset({"script"}), "script")),
}


class XmlReading:
    """What a document does; codes: what acts in a browser, in `codes.REMOVED`; starts: danger by its root, or ""."""

    __slots__ = ("codes", "starts")

    def __init__(self) -> None:
        self.codes: set[str] = set()
        self.starts = ""


def read(content: Content) -> XmlReading:
    """Read a document; Unreadable for what is no XML, TooLarge."""
    if content.size > _LARGEST:
        raise TooLarge
    return _Reader().read(content)


def is_claimed(content: Content, names: Sequence[str]) -> bool:
    """Tell whether a browser takes content for XML whatever is in it: by how it begins, or by a name."""
    from mailguard.filename import FileName
    from mailguard.formats.extensions import types

    begin = content.read(0, 256).replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n")
    kinds = {"application/xml", "application/xhtml+xml", "image/svg+xml"}
    return begin.startswith(b"<?xml") or any(kinds & types(FileName(name)) for name in names)


class _Reader:
    """One pass of expat over a document."""

    __slots__ = ("_depth", "_has_declarations", "_reading", "_root", "_style")

    def __init__(self) -> None:
        self._reading = XmlReading()
        self._depth = 0
        self._has_declarations = False
        self._root = ""
        self._style: list[str] | None = None

    def read(self, content: Content) -> XmlReading:
        from pyexpat import ExpatError

        head = content.read(0, 512)
        declared = _DECLARED.match(head.removeprefix(b"\xef\xbb\xbf"))
        encoding = declared[1].decode("ascii").lower() if declared else ""
        parser = self._parser("utf-8" if encoding and encoding not in _OWN_ENCODINGS else None)
        try:
            if encoding and encoding not in _OWN_ENCODINGS:
                parser.Parse(content.whole().decode(codec(encoding), "replace").encode(), True)
            else:
                for piece in content.chunks():
                    parser.Parse(piece, False)
                parser.Parse(b"", True)
        except (ExpatError, UnicodeError, LookupError) as error:
            if not (self._reading.codes or self._reading.starts):  # a browser runs what stands before the error
                raise Unreadable from error
        return self._reading

    def _parser(self, encoding: str | None) -> XMLParserType:
        from pyexpat import ParserCreate

        parser = ParserCreate(encoding, " ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.ProcessingInstructionHandler = self._instruction
        parser.EntityDeclHandler = self._entity
        parser.AttlistDeclHandler = parser.ElementDeclHandler = self._declaration
        return parser

    def _entity(self, _name: str, is_parameter: int, value: str | None, *_where: object) -> None:
        """Judge an entity: expat reads what it stands for, but not from elsewhere, nor what it leads to."""
        self._has_declarations = True
        if is_parameter or value is None or not _PLAIN_ENTITY.fullmatch(value):
            self._reading.codes.add("ambiguous-markup")

    def _declaration(self, *_arguments: object) -> None:
        self._has_declarations = True

    def _instruction(self, target: str, _data: str) -> None:
        if target.lower() == "xml-stylesheet":
            self._reading.codes.add("external-relationship")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unreadable
        namespace, _, name = tag.rpartition(" ")
        local = name.lower()
        if self._depth == 1:
            self._root = local
            self._reading.starts = _ROOTS.get(local, "")
            if self._has_declarations and local == "svg":  # `svg` refuses them: no drawing needs its own
                self._reading.codes.add("ambiguous-markup")
        if namespace in _BROWSERS or (not namespace and self._root in {"svg", "html"}):  # as HTML knows them
            self._browsers(local, attributes)
        elif namespace in _STYLESHEETS:
            self._reading.codes.add("script")
        if self._root in _INSIDE and local in _INSIDE[self._root][0]:
            self._reading.starts = _INSIDE[self._root][1]

    def _browsers(self, local: str, attributes: dict[str, str]) -> None:
        if code := acting.element(local):
            self._reading.codes.add(code)
        if attributes:
            pairs = ((_attribute(key), value) for key, value in attributes.items())
            self._reading.codes.update(acting.attributes(local, ((key, value) for key, value in pairs if key)))
        if local == "style" and self._style is None:
            self._style = []

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._style is not None and tag.rpartition(" ")[2].lower() == "style":
            if code := acting.style("".join(self._style)):
                self._reading.codes.add(code)
            self._style = None

    def _text(self, text: str) -> None:
        if self._style is not None:
            self._style.append(text)


def _attribute(key: str) -> str:
    """Return the name of an attribute as a browser knows it, "" for one of another namespace."""
    namespace, _, name = key.rpartition(" ")
    return name.lower() if namespace in {"", _XLINK, _EVENTS} else ""
