"""XML of documents: read without DTD and written anew."""

from __future__ import annotations

import re

from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from lxml.etree import _Element

_ENCODINGS = frozenset({"UTF-8", "UTF-16", "UTF-16LE", "UTF-16BE", "US-ASCII", "ASCII"})
_DOCTYPE = re.compile(rb"<!DOCTYPE[^\[<>]{1,400}>")  # OpenOffice.org writes it; no declarations of its own
# Identifiers that stand twice or are no names: LibreOffice and ODF Toolkit write them, every program reads them.
_IDENTIFIERS = frozenset({"DTD_ID_REDEFINED", "DTD_XMLID_VALUE"})
# Containers that must not stay when nothing is left in them.
_CONTAINERS = frozenset(
    [
        "Choice",
        "Fallback",
        "AlternateContent",
        "oleObjects",
        "controls",
        "hyperlinks",
        "customProperties",
        "tableParts",
        "embeddedFontLst",
        "embeddedFont",
        "custDataLst",
        "definedNames",
    ]
)


def parsed(data: bytes, *, lenient: bool = False, doctype: bool = False) -> _Element:
    """Read a part; Refused for a DTD, an encoding that Office does not read, and (unless lenient) malformed XML.

    doctype: whether the name of a DTD may stand there, which nobody loads.
    """
    from lxml import etree

    if b"<!ENTITY" in (data.replace(b"\0", b"") if b"\0" in data[:64] else data):
        raise Refused("bomb")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
        recover=lenient,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        if lenient or not len(parser.error_log) or any(one.type_name not in _IDENTIFIERS for one in parser.error_log):
            raise Refused("damaged") from error
        return parsed(data, lenient=True, doctype=doctype)
    if root is None:
        raise Refused("damaged")
    information = root.getroottree().docinfo
    if information.internalDTD is not None and not (doctype and _DOCTYPE.search(data)):
        raise Refused("not-understood")
    if (information.encoding or "UTF-8").upper() not in _ENCODINGS or (information.xml_version or "1.0") != "1.0":
        raise Refused("not-understood")
    return root


def serialised(root: _Element) -> bytes:
    """Return the octets of a part, in UTF-8."""
    from lxml import etree

    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)


def local_name(element: _Element) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def attribute(element: _Element, name: str) -> str:
    """Return the value of an attribute in whatever namespace, "" for none."""
    return next((str(value) for key, value in element.attrib.items() if str(key).rpartition("}")[2] == name), "")


def attributes(root: _Element, names: Iterable[str]) -> list[Any]:
    """Return the values of all attributes of these names, each with `attrname`."""
    wanted = " or ".join(f"local-name()='{name}'" for name in names)
    found: Any = root.xpath(f"//@*[{wanted}]")
    return list(found)


def remove(element: _Element) -> None:
    """Take an element out, and the containers around it that are empty then."""
    parent = element.getparent()
    while parent is not None:
        parent.remove(element)
        if len(parent) or local_name(parent) not in _CONTAINERS:
            return
        element, parent = parent, parent.getparent()


def unwrap(element: _Element) -> None:
    """Put the children of an element in its place; takes no more time where it has many neighbours."""
    parent = element.getparent()
    if parent is not None:
        for child in list(element):
            element.addprevious(child)
        parent.remove(element)
