"""Which addresses may stand in a page."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_LINK = re.compile(
    r"\s{0,20}(?:https?://[^\s\\<>\"'`]|mailto:|tel:)[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f<>\"`]*+", re.IGNORECASE
)
_INSIDE = re.compile(r"(?:[\w-]{1,60}+(?:\.html?)?)?(?:\?[^\x00-\x20<>\"'`\\#]*+)?(?:#[^\x00-\x1f<>\"'`]*+)?")
_CARRIED = re.compile(
    r"cid:[^\s<>\"'`()\\]++|data:image/(?:png|jpe?g|gif|webp|bmp);base64,[\sA-Za-z0-9+/=]*+", re.IGNORECASE
)
_BESIDE = re.compile(
    r"/?(?:[\w%-][\w.%-]{0,100}/){0,3}[\w%-][\w.% -]{0,100}\.(?:png|jpe?g|gif|webp|bmp)", re.IGNORECASE
)
# Browsers leave out the end of a line that a mail program has put into an address.
_REMOTE = re.compile(r"https?://[^\s\\<>\"'`()](?:[^\s\\<>\"'`()]|\r?\n)*", re.IGNORECASE)


def link(target: str, options: Options) -> bool:
    """Tell whether a click may lead there.

    Always within the page or to one beside it; by http, https, mailto or tel where links are kept.
    """
    return bool(_INSIDE.fullmatch(target)) or (options.hyperlinks and bool(_LINK.fullmatch(target)))


def picture(target: str, options: Options) -> bool:
    """Tell whether a picture may come from there: this mail, the page itself, a file beside it, the web by option."""
    if not target or _CARRIED.fullmatch(target) or _BESIDE.fullmatch(target):
        return True
    return options.remote_images and bool(_REMOTE.fullmatch(target))


_LOCAL = re.compile(r"(?:[A-Za-z]:[\\/](?![\\/])|(?![\\/]))[^:\x00-\x1f|<>\"*?]*+")


def is_local_file(path: str) -> bool:
    """Tell whether a path leads to this machine: a name, or a place on a drive; no UNC path, no address."""
    return bool(_LOCAL.fullmatch(path))
