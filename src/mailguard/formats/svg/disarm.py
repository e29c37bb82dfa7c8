"""SVG (SVG 1.1 and 2): drawings by lists of elements, attributes and values; nothing that acts or is fetched.

What stays is shapes, text, gradients, filters, pictures carried inside, and links where the options keep them.
"""

from __future__ import annotations

import base64
import binascii
import re

from lxml import etree

from mailguard.formats.budget import Unreadable
from mailguard.formats.confined import confined
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.html import css, xml
from mailguard.formats.words import read
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.formats.disarmed import Options

_MIME = "image/svg+xml"
OCTETS = 10 << 20
ELEMENTS = 100_000
USES = 1_000
_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_XML = "{http://www.w3.org/XML/1998/namespace}"
# Notes of drawing programs and about authors: nothing reads them in a browser.
_NOTES = (
    "{http://www.inkscape.org/namespaces/inkscape}",
    "{http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd}",
    "{http://www.bohemiancoding.com/sketch/ns}",
    "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}",
    "{http://creativecommons.org/ns#}",
    "{http://web.resource.org/cc/}",
    "{http://purl.org/dc/elements/1.1/}",
    f"{_SVG}metadata",
)
_WORDS = read("svg")[""]
_ELEMENTS = frozenset(_WORDS["elements"])
_ATTRIBUTES = frozenset(_WORDS["attributes"])
_PROPERTIES = frozenset(_WORDS["properties"])
_HERE = re.compile(r"#[\w.:-]{1,300}+")
_URL = re.compile(r"url\(\s{0,20}+(?P<quote>['\"]?)#[\w.:-]{1,300}+(?P=quote)\s{0,20}+\)", re.IGNORECASE)
_FUNCTION = re.compile(r"([\w-]*+)\s*+\(")
_FUNCTIONS = frozenset(_WORDS["functions"])
_CHARACTERS = re.compile(r"[\w\s#%.,+*/!'\"()=|?-]*+")
_RULE = re.compile(r"\s*+([\w\s.#,>*+~()-]*+)\{([^{}<\\@]*+)\}\s*+")
_MARK = re.compile(r"<!--|-->")
_CARRIED = re.compile(r"data:image/(png|jpe?g|gif|webp);base64,([\sA-Za-z0-9+/=]*+)", re.IGNORECASE)
_PLAIN_TEXT = re.compile(r"[^\x00-\x08<>\\]*+")


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:  # noqa: ARG001 (one interface for all formats)
    """Return a harmless drawing; Refused("damaged"), ("over-limit"), or ("not-understood") when a doubt remains."""
    if len(content) > OCTETS:
        raise Refused("over-limit")
    return confined(_disarm, content, options)


def _disarm(content: bytes, options: Options) -> Disarmed:
    dangers = _dangers(content)
    drawing = _Drawing(_parsed(content), options)
    drawing.removed |= dangers
    drawing.run()
    if not drawing.removed:
        return Disarmed(content, _MIME, "svg")
    data = etree.tostring(drawing.root, encoding="utf-8", xml_declaration=True)
    if _dangers(data):
        raise Refused("not-understood")
    return Disarmed(data, _MIME, "svg", tuple(drawing.removed))


def _dangers(content: bytes) -> set[str]:
    try:
        return xml.read(Content.of(content)).codes
    except Unreadable as error:
        raise Refused("damaged") from error


def _parsed(content: bytes) -> etree._Element:
    """Parse without entities, files and network; a document type of its own is refused."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError, AssertionError) as error:
        raise Refused("damaged") from error
    subset: Any = root.getroottree().docinfo.internalDTD
    if subset is not None and (
        next(subset.iterelements(), None) is not None or next(subset.iterentities(), None) is not None
    ):
        raise Refused("not-understood")
    if root.tag != f"{_SVG}svg":
        raise Refused("not-understood")
    return root


class _Drawing:
    """One pass over the elements of a drawing; `removed` collects codes."""

    __slots__ = ("_uses", "options", "removed", "root")

    def __init__(self, root: etree._Element, options: Options) -> None:
        self.root = root
        self.options = options
        self.removed: set[str] = set()
        self._uses: list[etree._Element] = []

    def run(self) -> None:
        """Judge every element; what is not on the lists goes with everything in it."""
        if self.root.getprevious() is not None or self.root.getnext() is not None:
            self._beside()
        elements = list(self.root.iter())
        if len(elements) > ELEMENTS:
            raise Refused("over-limit")
        unwanted = [element for element in elements if not self._element(element)]
        for element in unwanted:
            _remove(element)
        self._judge_uses()

    def _beside(self) -> None:
        """Style sheets and other instructions stand beside the root; comments are gone only with something else."""
        for sibling in (*self.root.itersiblings(preceding=True), *self.root.itersiblings()):
            if not isinstance(sibling, etree._Comment):  # noqa: SLF001 (the only name of the class)
                self.removed.add("unknown-part")
        self.root = etree.fromstring(
            etree.tostring(self.root, with_tail=False), etree.XMLParser(resolve_entities=False)
        )

    def _element(self, element: Any) -> bool:
        tag = element.tag
        if tag is etree.Comment:
            return True
        if not isinstance(tag, str):
            self.removed.add("unknown-part")
            return False
        name = tag.removeprefix(_SVG)
        if tag.startswith(_NOTES) and self.options.metadata:
            self._attributes(element, "metadata")
            return True
        if not tag.startswith(_SVG) or name not in _ELEMENTS:
            unknown = "remote-image" if name == "feImage" else "unknown-part"
            self.removed.add("metadata" if name == "metadata" or tag.startswith(_NOTES) else unknown)
            return False
        self._attributes(element, name)
        if name == "style" and not self._sheet(element):
            self.removed.add("style")
            return False
        if name == "use":
            self._uses.append(element)
        return name not in {"image", "use", "tref"} or _target(element) is not None

    def _attributes(self, element: Any, name: str) -> None:
        for key, value in list(element.attrib.items()):
            if key in {"href", f"{_XLINK}href"}:
                self._link(element, key, value, name)
            elif not (_attribute(key, value) or self._note(name, key, value)):
                del element.attrib[key]
                self.removed.add(_attribute_code(key))

    def _note(self, name: str, key: str, value: str) -> bool:
        noted = key.startswith(_NOTES) or (name == "metadata" and not key.lower().startswith("on"))
        return noted and self.options.metadata and bool(_PLAIN_TEXT.fullmatch(value))

    def _link(self, element: Any, key: str, value: str, name: str) -> None:
        if _HERE.fullmatch(value):
            return
        if name == "a":
            from mailguard.formats.links import link

            if not link(value, self.options):
                del element.attrib[key]
                self.removed.add("hyperlink")
        elif name == "image" and (carried := _CARRIED.fullmatch(value)):
            self._picture(element, key, carried)
        else:
            del element.attrib[key]
            self.removed.add("remote-image" if name == "image" else "unknown-part")

    def _picture(self, element: Any, key: str, carried: re.Match[str]) -> None:
        from mailguard.formats.image.disarm import disarm as disarm_image

        try:
            data = base64.b64decode("".join(carried[2].split()), validate=True)
            picture = disarm_image(data, "", self.options)
        except (binascii.Error, Refused):
            del element.attrib[key]
            self.removed.add("unknown-part")
            return
        if picture.removed:
            element.set(key, f"data:{picture.mime};base64,{base64.b64encode(picture.data).decode('ascii')}")
            self.removed.update(picture.removed)

    @staticmethod
    def _sheet(element: Any) -> bool:
        """Tell whether a style sheet has only rules whose declarations are all harmless."""
        text = _MARK.sub("", css.without_comments(element.text or ""))
        position = 0
        while position < len(text):
            rule = _RULE.match(text, position)
            if rule is None or not _declarations(rule[2]):
                return not text[position:].strip()
            position = rule.end()
        return len(element) == 0

    def _judge_uses(self) -> None:
        """Remove copies of what copies: they grow without limit."""
        if len(self._uses) > USES:
            raise Refused("over-limit")
        copying = {ancestor.get("id") for use in self._uses for ancestor in (use, *use.iterancestors())} - {None}
        for use in self._uses:
            target = _target(use)
            if target is not None and target.removeprefix("#") in copying:
                self.removed.add("unknown-part")
                _remove(use)


def _target(element: Any) -> str | None:
    value = element.get("href", element.get(f"{_XLINK}href"))
    return None if value is None else str(value)


def _remove(element: Any) -> None:
    parent = element.getparent()
    if parent is None:
        raise Refused("not-understood")
    if element.tail:
        before = element.getprevious()
        if before is None:
            parent.text = (parent.text or "") + element.tail
        else:
            before.tail = (before.tail or "") + element.tail
    parent.remove(element)


def _attribute(key: str, value: str) -> bool:
    if key in {f"{_XML}space", f"{_XML}lang", "target", "rel", f"{_XLINK}title", f"{_XLINK}type", f"{_XLINK}show"}:
        return bool(_PLAIN_TEXT.fullmatch(value))
    if key == "style":
        return _declarations(value)
    if key in {"id", "class"} or key.startswith(("data-", "aria-")):
        return bool(_PLAIN_TEXT.fullmatch(value))
    return (key in _ATTRIBUTES or key in _PROPERTIES) and _value(value)


def _attribute_code(key: str) -> str:
    if key.startswith(_NOTES):
        return "metadata"
    return "style" if key == "style" or key in _PROPERTIES else "unknown-part"


def _declarations(text: str) -> bool:
    for declaration in text.split(";"):
        name, colon, value = declaration.partition(":")
        if not colon and not name.strip():
            continue
        if name.strip().lower() not in _PROPERTIES or not _value(value):
            return False
    return True


def _value(value: str) -> bool:
    """Tell whether a value refers to nothing but the drawing itself."""
    rest = _URL.sub("", value.replace(";", ""))
    return bool(_CHARACTERS.fullmatch(rest)) and all(
        name[1].lower() in _FUNCTIONS or not name[1] for name in _FUNCTION.finditer(rest)
    )
