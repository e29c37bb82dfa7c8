"""The logo that a BIMI record names: whether it is there, and is SVG Tiny Portable/Secure, which cannot do anything."""

from __future__ import annotations

from mailguard.check import https
from mailguard.check.outcome import UNKNOWN, WARNING, Outcome
from mailguard.dns.names import domain_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from mailguard.check.guard import Guard
    from mailguard.dns import Resolver

LARGEST = 32768  # what the profile allows
_SVG = "http://www.w3.org/2000/svg"
_ACTIVE = frozenset(
    {"script", "handler", "listener", "foreignObject", "set", "animate", "animateColor", "animateMotion",
     "animateTransform", "audio", "video"}
)  # fmt: skip


class MalformedLogo(ValueError):  # noqa: N818 (a property of the file)
    """The file is no such logo; the text says why."""


def judge(record: Outcome, resolver: Resolver, guard: Guard, context: ssl.SSLContext) -> Outcome:
    """Fetch the logo of a good record, and return what is wrong with it, or the outcome of the record as it is."""
    wanted = _wanted(record.values["location"])
    if wanted is None:
        return _outcome(record, WARNING, "malformed", {})
    try:
        check(https.fetch(wanted, resolver, guard, context))
    except https.Unfetched as error:
        unknown = error.unknown or error.reason == "redirect"  # mail providers may follow it
        return _outcome(record, UNKNOWN if unknown else WARNING, error.reason, error.values)
    except MalformedLogo as error:
        return _outcome(record, WARNING, "logo", {"problem": error})
    return record


def _outcome(record: Outcome, state: str, reason: str, values: dict[str, object]) -> Outcome:
    return Outcome("bimi", state, reason, {**record.values, **values}, record.evidence)  # type: ignore[arg-type]


def _wanted(location: str) -> https.Wanted | None:
    """Return what to fetch, None for a URL that leads elsewhere than to port 443 of a host with a name."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(location)
        host, port = domain_name(parts.hostname or ""), parts.port
    except ValueError:
        return None
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    above, _, top = (host or "").rpartition(".")
    named = above and not top.isdigit() and "@" not in parts.netloc and port in {None, 443}
    plain = parts.scheme == "https" and all("!" <= character <= "~" for character in path)
    return https.Wanted(str(host), path, "image/svg+xml", LARGEST) if named and plain else None


def check(raw: bytes) -> None:
    """Raise MalformedLogo unless this is an SVG Tiny PS image; nothing is kept of it, and no entity is expanded."""
    from xml.parsers import expat

    profile = _Profile()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = profile.doctype
    parser.StartElementHandler = profile.element
    try:
        parser.Parse(raw, True)
    except MalformedLogo:
        raise
    except (expat.ExpatError, LookupError, ValueError):  # the latter of encodings that it does not know
        raise MalformedLogo("XML") from None
    if not profile.titled:
        raise MalformedLogo("title")


class _Profile:
    """What the rules of the profile are about, while the elements go by."""

    def __init__(self) -> None:
        self._begun = False
        self.titled = False

    def doctype(self, *_: object) -> None:
        raise MalformedLogo("DOCTYPE")

    def element(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if not self._begun:
            self._begun = True
            if (namespace, local) != (_SVG, "svg"):
                raise MalformedLogo("<svg>")
            if (attributes.get("version"), attributes.get("baseProfile")) != ("1.2", "tiny-ps"):
                raise MalformedLogo('version="1.2" baseProfile="tiny-ps"')
        if local in _ACTIVE:
            raise MalformedLogo(f"<{local}>")
        self.titled |= (namespace, local) == (_SVG, "title")
        for attribute, value in attributes.items():
            kind = attribute.rpartition(" ")[2]
            if kind.startswith("on") or (kind == "href" and not value.startswith("#")):
                raise MalformedLogo(kind)
