"""Domains that look like one that the site knows: legitirnate.test for legitimate.test.

Three kinds are told apart from an ordinary stranger: the same skeleton (rn for m, a Cyrillic letter in an xn-- label,
a hyphen more or less), one letter more, less, other or exchanged in a long name, and a known name as the beginning of
another (partner.co.jp.evil.test, partner-co-jp.test).  What belongs to the same organization as the known name, or to
one that is itself known, looks like nobody.
"""

from __future__ import annotations

import re

from mailguard.verify.skeleton import skeletons

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SHORTEST = 7  # letters of a name in which one letter makes no other word; see mailguard-verify(1) for the measurement
_SEPARATOR = re.compile(r"[.-]")


class Domains:
    """Known domains, by what they look like; found in time that does not depend on how many they are.

    names: A-labels in lower case.  Whatever lies below one is known too.
    """

    __slots__ = ("_begun", "_by_half", "_by_skeleton", "_known", "_longest", "_parents")

    def __init__(self, names: Iterable[str]) -> None:
        self._known = {name: None for name in names if "." in name}
        self._parents: set[str] | None = None

    def imitated(self, domain: str) -> str | None:
        """Return the known domain for which people could take `domain` (A-labels), None where there is none."""
        if not self._known or self.knows(domain):
            return None
        if self._parents is None:
            self._build()
        assert self._parents is not None
        if domain in self._parents:
            return None
        found = (known for part, known in self._alike(domain) if part != known)
        return next((known for known in found if _is_other_organization(domain, known)), None)

    def knows(self, domain: str) -> bool:
        """Tell whether a domain is known, or lies below one that is."""
        return any(part in self._known for part in _parts(domain))

    def _build(self) -> None:
        """Index the names and what they lie below, because a mailbox may be known in a sub-domain only."""
        self._parents = set()
        self._by_skeleton: dict[str, str] = {}
        self._by_half: dict[tuple[str, str, str], list[str]] = {}
        self._begun: dict[tuple[str, ...], str] = {}
        for name in self._known:
            for part in _parts(name):
                if part in self._parents:
                    continue
                self._parents.add(part)
                for skeleton in _skeletons(part):
                    self._by_skeleton.setdefault(skeleton, part)
                for key in _halves(part):
                    self._by_half.setdefault(key, []).append(part)
                self._begun.setdefault(tuple(_SEPARATOR.split(part)), part)
        self._longest = max(map(len, self._begun), default=0)

    def _alike(self, domain: str) -> Iterator[tuple[str, str]]:
        """Yield (what of the domain looks like a known one, the known one)."""
        for part in _parts(domain):
            for skeleton in sorted(_skeletons(part)):
                if skeleton in self._by_skeleton:
                    yield part, self._by_skeleton[skeleton]
        for part in _parts(domain):
            for key in _halves(part, near=True):
                for known in self._by_half.get(key, ()):
                    if _is_one_edit(part.partition(".")[0], known.partition(".")[0]):
                        yield part, known
        for known in self._beginnings(_SEPARATOR.split(domain), domain):
            yield domain, known

    def _beginnings(self, labels: Sequence[str], domain: str) -> Iterator[str]:
        """Yield the known domains that stand within another one, and not at its end."""
        for start in range(len(labels)):
            for end in range(start + 2, min(start + self._longest, len(labels) - 1) + 1):
                known = self._begun.get(tuple(labels[start:end]))
                if known is not None and not _reaches_suffix(domain, len(labels) - end):
                    yield known


def _parts(domain: str) -> list[str]:
    """Return a domain and what it lies below, but for the top-level domain."""
    labels = domain.split(".")
    return [".".join(labels[index:]) for index in range(len(labels) - 1)]


def _skeletons(domain: str) -> set[str]:
    shown = ".".join(map(_u_label, domain.split("."))) if "xn--" in domain else domain
    return {skeleton.replace("-", "") for skeleton in skeletons(shown)}


def _u_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def _halves(domain: str, *, near: bool = False) -> Iterator[tuple[str, str, str]]:
    """Yield keys of which two names have one in common when their first labels are one edit apart.

    An edit leaves what stands before the middle as it is, or what stands behind the letter after it.  near: for labels
    one letter shorter and longer too.
    """
    label, _, above = domain.partition(".")
    length = len(label)
    if length < _SHORTEST - near or label.startswith("xn--"):
        return
    for other in (length - 1, length, length + 1) if near else (length,):
        middle = other // 2
        yield "<", label[:middle], above
        yield ">", label[length - (other - middle - 1) :], above


def _is_one_edit(one: str, other: str) -> bool:
    """Whether one letter was put in, left out or replaced, or two beside each other were exchanged."""
    if len(one) > len(other):
        one, other = other, one
    if one == other or len(other) < _SHORTEST or len(other) - len(one) > 1:
        return False
    start = next((index for index, letter in enumerate(one) if letter != other[index]), len(one))
    rest, other_rest = one[start:], other[start:]
    if len(one) < len(other):
        return rest == other_rest[1:]
    return rest[1:] == other_rest[1:] or (rest[1::-1] == other_rest[:2] and rest[2:] == other_rest[2:])


def _reaches_suffix(domain: str, rest: int) -> bool:
    """Whether all but the last `rest` labels reach into the public suffix, as yahoo.com does in yahoo.com.au."""
    from mailguard.verify.organization import registered_domain

    return rest < registered_domain(domain).count(".")


def _is_other_organization(domain: str, known: str) -> bool:
    """Whether the known domain is somebody's own, and the other one somebody else's."""
    from mailguard.verify.organization import is_public_suffix, registered_domain

    return not is_public_suffix(known) and registered_domain(domain) != registered_domain(known)
