"""Addresses: what one starts, and which may stay in a page, a drawing, a calendar.

What an address starts is one question, for everybody who judges: `acting`.  Which of the others may stay is asked by
`sanitize` alone, by lists that are narrower: `link` and `picture`.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

# Browsers drop tabs and line ends anywhere in an address, blanks and controls before it (WHATWG URL 4.4); a NUL and
# what no program shows are dropped by older ones.
_DROPPED = re.compile("[\\t\\n\\r\\0\xad\u200b-\u200f\u2028-\u202e\u2060\ufeff]")
_BEFORE = "".join(map(chr, range(33))) + "\xa0\u3000"
_SCHEME = re.compile(r"(?:view-source:|feed:|jar:)*([a-z][a-z0-9+.-]{1,40}):")
_SCRIPTS = frozenset({"javascript", "vbscript", "livescript", "mocha", "jscript"})
# Schemes whose programs show a page, a person or a place; any other may start a program with what the address says:
# ms-msdt (CVE-2022-30190), search-ms, ms-word, shell, ms-officecmd (Positive Security 2021).
_ORDINARY = frozenset(
    "http https mailto tel callto sms smsto mms fax sip sips im xmpp skype whatsapp line tg viber facetime fb twitter"  # noqa: SIM905
    " ftp ftps news nntp irc ircs gopher urn uuid info doi cid mid about geo maps webcal webcals calto magnet market"
    " itms itms-apps itms-appss intent spotify bitcoin zoomus zoommtg msteams lync conf ws wss blob content tag acct"
    " dav davs ldap pop imap nfs rtsp rtmp sftp ssh git svn http-equiv android-app ios-app file data".split()
)
_HARMLESS_DATA = re.compile(
    r"data:(?:[,;]|image/(?!svg)|(?:audio|video|font)/|text/(?:plain|css)\b|application/(?:font|x-font|vnd\.ms-fontobject))"
)
# A folder of another machine, in the ways in which Windows reads them: \\host\x, file://host/x, file:////host/x; and
# //host/x, which is one in a page that is opened as a file.
_SHARE = re.compile(r"(?:file:)?(?:[\\/]{2}(?!localhost[\\/])(?![\\/])|[\\/]{4})")

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


def acting(target: str, *, clicked: bool = False) -> str:
    """Return the code in `codes.REMOVED` of what an address starts, "" for one that leads to a page or a picture.

    "script", "launch" (a program, or a file that the address itself carries), "share" (a folder of another machine,
    which gets the name and the password hash of whoever asks).  target: its references undone; clicked: by a person,
    else it is fetched to be shown, and what is shown runs no script and starts nothing.
    """
    address = _DROPPED.sub("", target[:4096]).lstrip(_BEFORE).lower()
    if scheme := _SCHEME.match(address):
        if scheme[1] in _SCRIPTS:
            return "script"
        if scheme[1] == "data":
            return "launch" if clicked and not _HARMLESS_DATA.match(address, scheme.start(1)) else ""
        if scheme[1] not in _ORDINARY:
            return "launch" if clicked else ""
        address = address[scheme.start(1) :]
    by_click = clicked and address.startswith("//")  # leads to the web when it was saved from there
    return "share" if _SHARE.match(address) and not by_click else ""


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
