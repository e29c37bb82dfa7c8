"""HTML, SVG and MHTML: a quick look for what acts when the page is opened."""

from __future__ import annotations

import re

from mailguard.attachments.examination import windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.attachments.examination import Quota
    from mailguard.message.content import Content

_OVERLAP = 512
_ACTIVE = re.compile(
    rb"<(?:[a-z][a-z0-9]{0,30}:)?(?:script|form|iframe|frame|object|embed|applet|portal|fencedframe|input|button"
    rb"|handler|listener)(?:[\s/>]|\Z)"
    rb"|[\s/\"'`](?!(?:on|once|one|ones|only|online|onto|ongoing|onward)[\s=])on[a-z]{3,40}\s{0,100}="
    rb"|(?:javascript|vbscript|livescript)\s{0,20}(?::|&#|&colon)"
    rb"|http-equiv\s{0,100}=\s{0,100}[\"']?\s{0,20}refresh"
    rb"|(?:href|src|action|data|to|values|from)\s{0,100}=\s{0,100}[\"']?[\s\x01-\x20]{0,100}"
    rb"(?:&#|&tab|&newline|data:\s{0,20}(?:text/(?:html|xml)|application/x?html|application/octet|image/svg))"
    rb"|<!(?:entity|element|attlist)\s|<\?xml-stylesheet\b|<(?:set|animate)\b[^>]{0,300}attributename\s{0,20}=\s{0,20}[\"']?(?:on|href|xlink)",
)
_ESCAPES = re.compile(rb"\x1b[($.\-*+,]{1,2}[@-Za-z0-9]")


def _folded(window: bytes) -> bytes:
    """Return what a browser makes of it in any encoding: UTF-16 and ISO-2022 lose their marks; lower case."""
    if b"\0" in window:
        window = window.replace(b"\0", b"")
    if b"\x1b" in window:
        window = _ESCAPES.sub(b"", window)
    return window.lower()


def _is_active(content: Content) -> bool:
    return any(_ACTIVE.search(_folded(window)) for window in windows(content.chunks(), _OVERLAP))


def examine_html(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine an HTML page."""
    if _is_active(content):
        yield "html-active"


def examine_svg(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine an SVG image."""
    if _is_active(content):
        yield "svg-active"


def examine_mhtml(_content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Report a web archive: its pages are encoded, and Word and browsers run what is in them."""
    yield "html-active"
