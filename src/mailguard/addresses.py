"""Lists of mail addresses, as operators write them: --known, recipients of passwords, selection.

A pattern is `user@example.com` (this mailbox), `@example.com` (this domain), `example.com` (this domain and all below
it) or `*` (everybody).  Of several that match an address the longest decides.  Mailboxes and domains are compared
without regard to case, domains also in their A-label and U-label forms (RFC 5890), and never by prefix.
`Bob Builder <bob@example.com>` is this mailbox too, and says whose name it is; with the name `*` it may show any.
"""

from __future__ import annotations

import re

from mailguard.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EVERYBODY = "*"

_LONGEST_DOMAIN = 255  # RFC 5321 4.5.3.1.2
_DOMAIN = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_LITERAL = re.compile(r"\[[0-9a-z:.-]++\]")
_NAMED = re.compile(r"([^<>]*+)<([^<>]*+)>")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_LOCAL = re.compile(r'"[^\x00-\x1f\x7f]*"|[^\x00-\x20\x7f,;<>"]*+')
_ESCAPED = re.compile(r"\\(.)")


class AddressList:
    """A list of patterns; a pattern after `!` takes its addresses out again.

    Where the same pattern stands in both forms, `!` wins.  An address that no pattern matches is not in the list.
    persons: (address, name) where a line gives a name; the same name may have several addresses.
    """

    __slots__ = ("_patterns", "persons")

    def __init__(self, patterns: dict[str, bool], persons: Iterable[tuple[str, str]] = ()) -> None:
        self._patterns = patterns
        self.persons = tuple(persons)

    @classmethod
    def read(cls, path: str) -> AddressList:
        """Read a file: UTF-8, one pattern in a line, `#` at its start or after a blank begins a comment.

        ConfigurationError, with file and line, when it cannot be read or a line is no pattern.
        """
        try:
            with open(path, encoding="utf-8-sig") as file:
                return cls.parse(file.read(), path)
        except OSError as error:
            raise ConfigurationError(f"{path}: the address list cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path}: the address list is not UTF-8 text") from None

    @classmethod
    def parse(cls, text: str, path: str) -> AddressList:
        """Read the text of such a file; `path` is for the messages."""
        patterns: dict[str, bool] = {}
        persons = []
        for number, line in enumerate(text.split("\n"), 1):
            entry = _COMMENT.sub("", line).strip()
            if entry:
                negated = entry.startswith("!")
                named = _NAMED.fullmatch(entry[negated:])
                try:
                    pattern = parse_pattern(named[2] if named else entry[negated:])
                except ValueError as error:
                    raise ConfigurationError(f"{path}:{number}: {error}") from None
                patterns[pattern] = not negated and patterns.get(pattern, True)
                name = named[1].strip(' \t"') if named else ""
                if name and not negated:
                    persons.append((pattern, name))
        return cls(patterns, persons)

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains of all patterns that are in the list."""
        domains = (pattern.rpartition("@")[2] for pattern, included in self._patterns.items() if included)
        return tuple(dict.fromkeys(domain for domain in domains if domain != EVERYBODY and not domain.startswith("[")))

    def matches(self, address: str) -> bool:
        """Tell whether an address is in the list.  The empty address (null sender) is in none."""
        return next((self._patterns[pattern] for pattern in matching(address) if pattern in self._patterns), False)

    def decides(self, address: str) -> bool:
        """Tell whether the list says anything about an address: that it is in the list, or that it is not."""
        return any(pattern in self._patterns for pattern in matching(address))


def parse_pattern(text: str) -> str:
    """Return a pattern in the form in which `matching` gives it; ValueError, with the reason, when it is none."""
    text = text.strip()
    if text == EVERYBODY:
        return text
    local, at, domain = text.rpartition("@")
    normal = _normal_domain(domain)
    if not normal or (normal.startswith("[") and not at):
        raise ValueError("expected user@example.com, @example.com, example.com (with all below it) or *")
    if local == EVERYBODY:
        raise ValueError("for all addresses of a domain, write the pattern without the * before the @")
    if not _LOCAL.fullmatch(local):
        raise ValueError("one address in a line, without a name")
    return f"{_normal_local(local)}{at}{normal}"


def matching(address: str) -> Iterator[str]:
    """Give the patterns that match an address (with or without angle brackets), the longest first."""
    address = address.strip()
    if address.startswith("<") and address.endswith(">"):
        address = address[1:-1]
    local, _, domain = address.rpartition("@")  # a quoted local part may hold an @ (RFC 5321 4.1.2)
    normal = _normal_domain(domain) if local else ""
    if normal:
        yield f"{_normal_local(local)}@{normal}"
        yield f"@{normal}"
        while normal and not normal.startswith("["):
            yield normal
            normal = normal.partition(".")[2]
    if address:
        yield EVERYBODY


def _normal_local(local: str) -> str:
    if local.startswith('"') and local.endswith('"') and len(local) > 2:
        local = _ESCAPED.sub(r"\1", local[1:-1])  # "bob"@example.com is bob@example.com
    if local.isascii():
        return local.lower()
    import unicodedata

    return unicodedata.normalize("NFC", local).lower()


def _normal_domain(domain: str) -> str:
    """Return a domain or address literal in lower case with A-labels and without final dot; "" when it is neither.

    Letters are mapped as by UTS 46 without its deviations: ß, which IDNA 2008 keeps apart from ss, stays.
    """
    if len(domain) > _LONGEST_DOMAIN:
        return ""
    if not domain.isascii():
        domain = _mapped(domain)
    domain = domain.lower().removesuffix(".")
    return domain if _DOMAIN.fullmatch(domain) or _LITERAL.fullmatch(domain) else ""


def _mapped(domain: str) -> str:
    import unicodedata

    domain = unicodedata.normalize("NFKC", domain).replace("。", ".")
    lower = "".join(map(str.lower, domain))  # letter by letter, because a whole word gets a final sigma
    return ".".join(map(_a_label, unicodedata.normalize("NFC", lower).split(".")))


def _a_label(label: str) -> str:
    if label.isascii():
        return label
    return "xn--" + label.encode("punycode", "backslashreplace").decode("ascii")
