"""Binary workbooks ([MS-XLSB]): seen to be free of macros, links and objects, or refused."""

from __future__ import annotations

from mailguard.formats.disarmed import Refused
from mailguard.formats.office import content_types as types
from mailguard.formats.office import elements, markup, media, targets
from mailguard.formats.office.package import TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options
    from mailguard.formats.office.package import Package, Relationship


def check(package: Package, options: Options) -> None:
    """Refused("not-understood") for a binary workbook that is not without doubt harmless."""
    for key, source in package.sources().items():
        for one in package.relationships(key, source)[1]:
            if not _is_harmless(one, options):
                raise Refused("not-understood")
    for key in package.parts:
        if key != TYPES.lower() and not _is_plain(package.content_type(key), package.parts[key], options):
            raise Refused("not-understood")


def _is_harmless(one: Relationship, options: Options) -> bool:
    name = types.relationship(one.kind)
    if name == "hyperlink":
        return targets.is_harmless(one.target, options)
    allowed = types.is_allowed(name) and name not in {"externallink", "vmldrawing"}
    return allowed and not one.external and bool(one.part)


def _is_plain(content_type: str, data: bytes, options: Options) -> bool:
    if (
        content_type in types.BINARY_PARTS
        or content_type in {types.BINARY_WORKBOOK, types.RELATIONSHIPS}
        or types.PRINTER.fullmatch(content_type)
    ):
        return True
    if content_type.startswith("image/"):
        return not media.code_of(data, content_type)
    if not types.is_xml(content_type):
        return False
    return not elements.disarm(markup.parsed(data), options, frozenset())
