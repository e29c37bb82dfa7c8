"""Domain names that may be asked for (RFC 1035 2.3, RFC 5890)."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LABEL = re.compile(r"[a-z0-9_-]{1,63}+")
_MACRO_LABEL = re.compile(r"[ !#-\[\]-~]{1,63}+")
_FULL_STOPS = re.compile("[\u3002\uff0e\uff61]")
_DEVIATIONS = re.compile("[\u00df\u1e9e\u03c2\u200c\u200d]")  # mapped to other names by IDNA2003


def domain_name(text: str) -> str | None:
    """Return the lower-case A-label form of `text` without final dot, or None when it is no domain name.

    Letters, digits, hyphens and underscores; labels of 1 to 63, all of at most 253 characters.  U-labels become
    A-labels: by IDNA2008 and UTS 46 where the package `idna` is installed, else by dnspython's IDNA2003, but never
    where the two differ in whose name it is.
    """
    return _checked(text, _LABEL)


def is_within(name: str, domains: Iterable[str]) -> bool:
    """Tell whether a name is one of the domains or below one; both in the form of `domain_name`."""
    return any(f".{name}".endswith(f".{domain}") for domain in domains)


def macro_name(text: str) -> str | None:
    """Like `domain_name`, for a name that an SPF macro built: any printable ASCII but quote and backslash.

    RFC 7208 7 puts local-parts ("user+tag") and blanks into names, and such names are served.
    """
    return _checked(text, _MACRO_LABEL)


def _checked(text: str, label_pattern: re.Pattern[str]) -> str | None:
    if not 0 < len(text) <= 1024:  # a U-label name is never longer than its A-label form of 253, except when composed
        return None
    if not text.isascii():
        text = _a_labels(_FULL_STOPS.sub(".", text).removesuffix("."))
    name = text.removesuffix(".").lower()
    if not 0 < len(name) <= 253 or not all(map(label_pattern.fullmatch, name.split("."))):
        return None
    return name


def _a_labels(text: str) -> str:
    import dns.exception
    import dns.name

    codec = dns.name.IDNA_2008_Practical if dns.name.have_idna_2008 else dns.name.IDNA_2003_Practical
    labels = []
    for label in text.split("."):
        if label.isascii():
            labels.append(label)
            continue
        if len(label) > 255 or (not dns.name.have_idna_2008 and _DEVIATIONS.search(label)):
            return ""
        try:
            labels.append(codec.encode(label).decode("ascii"))
        except (dns.exception.DNSException, UnicodeError):
            return ""
        if "." in labels[-1]:  # U+2024 and others would divide the label
            return ""
    return ".".join(labels)
