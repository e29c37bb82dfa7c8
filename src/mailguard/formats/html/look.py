"""HTML, SVG and MHTML: a quick look for what acts when the page is opened."""

from __future__ import annotations

import re

from mailguard.formats.budget import windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

_OVERLAP = 512
# For text in which blanks stand alone (see `_squeezed`): repeats of blanks beside each other cost their product.
_ACTIVE = re.compile(
    rb"<(?:[a-z][a-z0-9]{0,30}:)?(?:script|form|iframe|frame|object|embed|applet|portal|fencedframe|input|button"
    rb"|handler|listener)(?:[ />]|\Z)"
    rb"|[ /\"'`](?!(?:on|once|one|ones|only|online|onto|ongoing|onward)[ =])on[a-z]{3,40} ?="
    rb"|(?:javascript|vbscript|livescript) ?(?::|&#|&colon)"
    rb"|http-equiv ?= ?[\"']? ?refresh"
    rb"|(?:href|src|action|data|to|values|from) ?= ?[\"']? ?"
    rb"(?:&#|&tab|&newline|data: ?(?:text/(?:html|xml)|application/x?html|application/octet|image/svg))"
    rb"|<!(?:entity|element|attlist) |<\?xml-stylesheet\b"
    rb"|<(?:set|animate)\b[^>]{0,300}attributename ?= ?[\"']?(?:on|href|xlink)",
)
_BLANKS = re.compile(rb"[\x01-\x1a\x1c-\x20]{2,}|[\x01-\x1a\x1c-\x1f]")  # ESC begins the marks of ISO-2022
_ESCAPES = re.compile(rb"\x1b[($.\-*+,]{1,2}[@-Za-z0-9]")


def _squeezed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces without the NULs of UTF-16, each run of blanks and control characters as one blank."""
    behind_blank = False
    for piece in pieces:
        text = _BLANKS.sub(b" ", piece.replace(b"\0", b""))
        if behind_blank:
            text = text.removeprefix(b" ")
        if text:
            behind_blank = text.endswith(b" ")
            yield text


def _folded(window: bytes) -> bytes:
    """Return what a browser makes of it in any encoding: ISO-2022 loses its marks; lower case."""
    if b"\x1b" in window:
        window = _BLANKS.sub(b" ", _ESCAPES.sub(b"", window))
    return window.lower()


def _is_active(content: Content) -> bool:
    return any(_ACTIVE.search(_folded(window)) for window in windows(_squeezed(content.chunks()), _OVERLAP))


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
