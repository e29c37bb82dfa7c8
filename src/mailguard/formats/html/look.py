"""Pages and drawings: what acts when somebody opens them, as the readers of this family see it."""

from __future__ import annotations

from mailguard.formats import magic
from mailguard.formats.budget import Kind, TooLarge, Unreadable
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailguard.formats.budget import Found, Quota
    from mailguard.message.content import Content

_OWN = frozenset({"dde", "formula", "remote-template"})


def examine_html(content: Content, names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine an HTML page."""
    yield from page(content, names)


def page(content: Content, names: Sequence[str], declared: str = "") -> Iterator[str]:
    """Yield the dangers of a page that is declared to be in this charset ("" = none)."""
    yield from _dangers(_page(content, names, declared), "html-active")


def examine_svg(content: Content, names: Sequence[str], _quota: Quota) -> Found:
    """Examine an SVG drawing: as XML, or as a page has it where it is none."""
    from mailguard.formats.html import xml

    try:
        codes = xml.read(content).codes
        yield Kind(magic.SVG)
    except Unreadable:
        codes = _page(content, names)
        if not codes and xml.is_claimed(content, names):
            raise
    yield from _dangers(codes, "svg-active")


def examine_xml(content: Content, names: Sequence[str], _quota: Quota) -> Found:
    """Examine XML of any kind; Unreadable when it claims to be some and is none."""
    from mailguard.formats.html import xml

    try:
        reading = xml.read(content)
    except Unreadable:
        if xml.is_claimed(content, names):
            raise
        return
    if reading.starts or reading.codes:
        yield Kind(magic.XML)
    if reading.starts:
        yield reading.starts
    yield from _dangers(reading.codes, "html-active")


def _page(content: Content, names: Sequence[str], declared: str = "") -> set[str]:
    from mailguard.formats.html import charset
    from mailguard.formats.html import page as reader

    if content.size > reader.LARGEST:
        raise TooLarge
    data = content.whole()
    try:
        return reader.dangers(data, charset.read(data, declared), names)
    except Refused as error:
        raise Unreadable from error


def _dangers(codes: Iterable[str], acting: str) -> Iterator[str]:
    yield from sorted({found if (found := danger(code)) in _OWN else acting for code in codes})
