"""Where a link in a document may lead."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_WEB = re.compile(r"https?://[^\x00-\x20\\\x7f][^\x00-\x1f\x7f]*+", re.IGNORECASE)
_MAIL = re.compile(r"mailto:[^\x00-\x1f\x7f]*+", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")
_INSIDE = re.compile(r"#[^\x00-\x1f\x7f\\]*+")


def is_harmless(target: str, options: Options) -> bool:
    """Tell whether a click may lead there: within the document, or by http, https or mailto where links are kept."""
    target = target.strip()
    if _INSIDE.fullmatch(target):
        return True
    return options.hyperlinks and bool(_WEB.fullmatch(target) or _MAIL.fullmatch(target))


def is_web(target: str) -> bool:
    """Tell whether this is an address of the web."""
    return bool(_WEB.fullmatch(target.strip()))


def is_remote(target: str) -> bool:
    """Tell whether this lies on another machine; a drive letter or a relative path does not."""
    target = target.strip().lower().replace("\\", "/")
    if target.startswith("file:"):
        target = target.removeprefix("file:").replace("//localhost/", "///", 1)
        target = target.removeprefix("///") if target.startswith("///") else target
    return target.startswith("/") or bool(_SCHEME.match(target))
