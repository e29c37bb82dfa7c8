"""Who pretends to be somebody else: a display name with another domain's address, or with a known person's name."""

from __future__ import annotations

import os
import re
from functools import cache

from mailguard.verify.lookalike import Domains
from mailguard.verify.skeleton import skeletons, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_READ_AT_MOST = 4096  # characters of a display name
_LONGEST_NAME = 100  # of a known person
_SHORTEST_WORD = 6  # letters of a name of one word; Tom and Jon are many persons'
_FULL_STOPS = {
    ord(character): "." for character in "\u3002\uff61\uff0e\ufe52\u00b7\u2024\u2027\u2219\u22c5\u30fb\ua4f8"
}
_AT = r"[\u24d0\u24b6\U0001f150]|\s*[(\[{<]\s*(?:at|@)\s*[)\]}>]\s*"  # "(at)", and circled a
_DOT = r"\s*[(\[{<]\s*(?:dot|\.)\s*[)\]}>]\s*"
_ADDRESS = re.compile(r"@ ?([\w-]++(?: ?\.[\w-]++)+)")
_BARE_DOMAIN = re.compile(r"[\w-]++(?:\.[\w-]++)+")
_WORD = re.compile(r"[^\W_]++")
_IDEOGRAPHIC = "[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]"
# What stands directly before a Japanese name where no blank does: whose member somebody is, or what he is there.
_BEFORE_A_NAME = ("会社", "法人", "組合", "協会", "銀行", "支店", "部長", "課長", "室長", "所長", "店長", "局長",
                  "社長", "会長", "院長", "校長", "係長", "部", "課", "係", "室", "局", "店", "担当", "主任", "代表",
                  "教授", "先生", "弁護士", "税理士", "議員")  # fmt: skip
# And what directly behind it, besides the same: how one calls him, or goes on speaking of him.
_BEHIND_A_NAME = ("様", "さま", "さん", "殿", "氏", "君", "くん", "ちゃん", "の", "より", "から", "です")
_ANYBODY = "*"


def addressed_domains(display: str) -> list[str]:
    """Return the domains of all that looks like a mail address to a person's eye, as A-labels where possible."""
    from mailguard.dns.names import domain_name

    written = (match[1].replace(" ", "").strip("-_.") for match in _ADDRESS.finditer(_shown(display)))
    return list(dict.fromkeys(domain_name(domain) or domain for domain in written))


def bare_domains(display: str) -> list[str]:
    """Return all that looks like a domain name to a person's eye, as A-labels."""
    from mailguard.dns.names import domain_name

    found = (domain_name(match[0].strip("-_")) for match in _BARE_DOMAIN.finditer(_shown(display)))
    return list(dict.fromkeys(filter(None, found)))


def is_related(domain: str, author: str) -> bool:
    """Whether one of the names is the other or lies below it."""
    return f".{domain}".endswith(f".{author}") or f".{author}".endswith(f".{domain}")


class Acquaintances:
    """Whom the site knows: persons, as for `Persons`; domains, as for `Domains`, our own among them."""

    __slots__ = ("domains", "persons")

    def __init__(self, persons: Iterable[tuple[str, str]] = (), domains: Iterable[str] = ()) -> None:
        self.persons = Persons(persons)
        self.domains = Domains(domains)


class Person:
    """Whose name it is: name, as the operator wrote it; owners, the patterns of the addresses that may show it."""

    __slots__ = ("name", "owners")

    def __init__(self, name: str) -> None:
        self.name = name
        self.owners: set[str] = set()


class Persons:
    """Known persons by what their names look like; found in time that does not depend on how many they are.

    persons: (address or pattern of an address list, name); the same name may have several addresses.  Who has the name
    `*` may show any name.  What names an office and nobody (roles.txt) is nobody's name.
    """

    __slots__ = ("_anybody", "_indexes", "_persons")

    def __init__(self, persons: Iterable[tuple[str, str]]) -> None:
        found: dict[str, Person] = {}
        self._anybody = set()
        for owner, name in persons:
            if name == _ANYBODY:
                self._anybody.add(owner.lower())
            else:
                found.setdefault(name, Person(name)).owners.add(_base(owner.lower()))
        self._persons = tuple(found.values())
        self._indexes: dict[bool, _Index] = {}

    def impersonated(self, display: str, address: str | None) -> Person | None:
        """Return the known person whose name stands in a display name although the address is none of that person's.

        Names are compared as they look, without regard to case, order of the words, blanks and punctuation.
        """
        shown = visible(display[:_READ_AT_MOST])
        if not self._persons or not shown:
            return None
        from mailguard.addresses import matching

        patterns = set(matching(address)) | set(matching(_base(address))) if address else set()
        if not patterns.isdisjoint(self._anybody):
            return None
        tables = not shown.isascii()
        if tables not in self._indexes:
            self._indexes[tables] = _Index(self._persons, tables=tables)
        index = self._indexes[tables]
        found = [person for skeleton in sorted(skeletons(shown)) for person in index.named(skeleton)]
        # Two persons of one name, or one in two spellings: the address is that of one of them.
        return found[0] if found and all(patterns.isdisjoint(person.owners) for person in found) else None


class _Index:
    """Where a name can be looked up.

    _whole: the words of a name, squeezed, in every order that is usual; _parts: the same of names of several words;
    _ideographic: the same of names in scripts that are written without blanks; _by_word: (words, person) by the rarest
    word.
    """

    __slots__ = ("_by_word", "_ideographic", "_lengths", "_longest", "_parts", "_whole")

    def __init__(self, persons: Sequence[Person], *, tables: bool) -> None:
        self._whole: dict[str, list[Person]] = {}
        self._parts: dict[str, list[Person]] = {}
        self._ideographic: dict[str, list[Person]] = {}
        self._by_word: dict[str, list[tuple[frozenset[str], Person]]] = {}
        roles = _roles(tables=tables)
        all_words = []
        number: dict[str, int] = {}
        for person in persons:
            for skeleton in skeletons(person.name[:_LONGEST_NAME], tables=tables):
                words = _WORD.findall(skeleton)
                if (len(words) > 1 or _counts_alone("".join(words))) and not roles.issuperset(words):
                    all_words.append((words, person))
                    for word in words:
                        number[word] = number.get(word, 0) + 1
        for words, person in all_words:
            self._add(words, person)
            if len(words) > 1:
                rarest = min(words, key=number.__getitem__)
                self._by_word.setdefault(rarest, []).append((frozenset(words), person))
        self._longest = max(map(len, self._parts), default=0)
        self._lengths = sorted(set(map(len, self._ideographic)), reverse=True)

    def _add(self, words: Sequence[str], person: Person) -> None:
        for turn in range(len(words)):  # "Mary Ann Boss", "Boss Mary Ann"
            squeezed = "".join([*words[turn:], *words[:turn]])
            self._whole.setdefault(squeezed, []).append(person)
            if len(words) > 1:
                self._parts.setdefault(squeezed, []).append(person)
            # A family name alone is many persons': it must be the whole display name.
            if _is_ideographic(squeezed) and (len(words) > 1 or len(squeezed) > 3):
                self._ideographic.setdefault(squeezed, []).append(person)

    def named(self, skeleton: str) -> Iterator[Person]:
        """Yield the persons whose name is, or stands in, a display name."""
        words = _WORD.findall(skeleton)
        yield from self._whole.get("".join(words), ())
        for start in range(len(words)):
            run = ""
            for word in words[start:]:
                run += word
                if len(run) > self._longest:
                    break
                yield from self._parts.get(run, ())
        present = dict.fromkeys(words)
        for word in present:
            for wanted, person in self._by_word.get(word, ()):
                if wanted <= present.keys():
                    yield person
        if self._lengths and _is_ideographic(skeleton):
            yield from self._within(words)

    def _within(self, words: Sequence[str]) -> Iterator[Person]:
        """Yield the persons whose name fills words, or stands between what stands before and behind names.

        So 田中 翔 is not seen in 田中翔太, nor 谷川 一郎 in 長谷川一郎.
        """
        squeezed = "".join(words)
        place, edges = 0, {0}
        for word in words:
            edges.add(place := place + len(word))
        before, behind = _beside_a_name()
        for start in range(len(squeezed)):
            if start in edges or squeezed.endswith(before, 0, start):
                for end in (start + length for length in self._lengths):
                    if end in edges or squeezed.startswith(behind, end):
                        yield from self._ideographic.get(squeezed[start:end], ())


def _is_ideographic(text: str) -> bool:
    return not text.isascii() and re.search(_IDEOGRAPHIC, text) is not None


def _counts_alone(word: str) -> bool:
    """Whether one word is a name that is not many persons': a company's, or a whole name written without blanks."""
    return len(word) >= _SHORTEST_WORD or (len(word) > 2 and _is_ideographic(word))


def _base(address: str) -> str:
    """Return an address without what follows the + in its local part (RFC 5233), which names the same mailbox."""
    local, at, domain = address.rpartition("@")
    return local.partition("+")[0] + at + domain


@cache
def _beside_a_name() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what stands directly before and behind a name, as skeletons."""
    before = {skeleton for word in _BEFORE_A_NAME for skeleton in skeletons(word)}
    behind = {skeleton for word in _BEHIND_A_NAME for skeleton in skeletons(word)}
    return tuple(before), tuple(before | behind)


def _roles(*, tables: bool) -> set[str]:
    with open(os.path.join(os.path.dirname(__file__), "roles.txt"), encoding="utf-8") as file:
        words = [line for line in file.read().splitlines() if line[:1] != "#"]
    return {skeleton for word in words for skeleton in skeletons(word, tables=tables)}


def _shown(text: str) -> str:
    """Return a display name as it is seen, with what stands for "@" and "." written so."""
    text = visible(text[:_READ_AT_MOST])
    if not text.isascii() or any(bracket in text for bracket in "([{<"):
        text = re.sub(_AT, "@", text, flags=re.IGNORECASE)
        text = re.sub(_DOT, ".", text, flags=re.IGNORECASE)
    if text.isascii():
        return text
    import unicodedata

    return unicodedata.normalize("NFKC", text.translate(_FULL_STOPS)).replace("\u20dd", "")
