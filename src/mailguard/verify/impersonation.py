"""Display names that pretend to be somebody else: another domain's address, or a known person's name."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
_FULL_STOPS = {
    ord(character): "." for character in "\u3002\uff61\uff0e\ufe52\u00b7\u2024\u2027\u2219\u22c5\u30fb\ua4f8"
}
_ADDRESS = re.compile(r"@ ?([\w-]++(?:\.[\w-]++)+)")
_WORD = re.compile(r"\w++")
_LOOKALIKES = str.maketrans(  # Cyrillic, Greek and Latin letters that are drawn like these
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0455\u0456\u0458\u04bb\u0501\u03b1\u03bd\u03bf\u0131\u0261",
    "abekmhopctyxsijhdavoig",
)


def addressed_domains(display: str) -> list[str]:
    """Return the domains of all that looks like a mail address to a person's eye, as A-labels where possible."""
    from mailguard.dns.names import domain_name

    seen = _visible(display)
    domains = (domain_name(match[1].strip("-_.")) or match[1] for match in _ADDRESS.finditer(seen))
    return list(dict.fromkeys(domains))


def is_related(domain: str, author: str) -> bool:
    """Whether one of the names is the other or lies below it."""
    return f".{domain}".endswith(f".{author}") or f".{author}".endswith(f".{domain}")


def known_person(display: str, address: str | None, known: Iterable[tuple[str, str]]) -> str | None:
    """Return the name of a known person that stands in `display` although `address` is none of that person's.

    known: (address, name) pairs; names are compared without regard to case, order of the words, blanks, punctuation and
    lookalike letters.
    """
    shown = _words(display)
    addresses: dict[str, set[str]] = {}
    names: dict[str, Sequence[str]] = {}
    for owner, name in known:
        addresses.setdefault(name, set()).add(owner.lower())
        names[name] = _words(name)
    for name, wanted in names.items():
        if wanted and _contains(shown, wanted) and (address or "").lower() not in addresses[name]:
            return name
    return None


def _visible(text: str) -> str:
    import unicodedata

    text = _INVISIBLE.sub("", text[:4096]).translate(_FULL_STOPS)
    return unicodedata.normalize("NFKC", text)


def _words(text: str) -> list[str]:
    return _WORD.findall(_visible(text).casefold().translate(_LOOKALIKES))


def _contains(shown: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether all words of a name are shown; names in scripts without blanks may stand within a longer word."""
    if set(wanted) <= set(shown):
        return len(wanted) > 1 or len(shown) == 1 or not wanted[0].isascii()
    squeezed = "".join(wanted)
    return not squeezed.isascii() and len(squeezed) > 1 and squeezed in "".join(shown)
