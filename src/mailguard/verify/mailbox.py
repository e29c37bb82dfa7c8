"""The value of a From field: one mailbox in a form that every program reads alike, or something odd (RFC 5322 3.4).

Only a form without room for two opinions is accepted.  For anything else all domains are collected that some program
could take for the author's, with comments, quotes, blanks, control characters and encoded words seen in several ways.
"""

from __future__ import annotations

import re

from mailguard.dns.names import domain_name
from mailguard.message import words
from mailguard.message.header import unfold

MAX_LENGTH = 2048  # of a value that is read as a mailbox
MAX_DOMAINS = 20

_READ_AT_MOST = 65536
_TOKEN = re.compile(
    rb"""(?P<blank>[ \t]++)|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<literal>\[[^\[\]\\]*+\])|(?P<special>[<>@,;:.])"""
    rb"""|(?P<atom>[^ \t()<>@,;:\\".\[\]]++)""",
    re.DOTALL,
)
_KINDS = {"blank": " ", "quoted": "q", "literal": "l", "atom": "a"}
_COMMENT, _ODD = "c", "!"
_ADDRESS = r"(?:a(?:\.a)*|q)@(?:a(?:\.a)*|l)"
_MAILBOX = re.compile(rf"[ c]*+(?:(?P<phrase>(?:[aq][aq. c]*+)?)<(?P<angle>{_ADDRESS})>|(?P<bare>{_ADDRESS}))[ c]*+\Z")
_ROUTE = re.compile(r"<[ c]*+@")
_JAPANESE = re.compile(rb"\x1b\$(?:[@B]|\(D)[^\x1b]*+\x1b\([BJ]")
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]++")
_AT_DOMAIN = re.compile('[@\uff20\ufe6b][ \t]*+([^\\s<>(),;:\\[\\]"\\\\@\uff20\ufe6b\x00-\x1f\x7f]++)')
_PLAIN_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*+(?<!-))?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]*+(?<!-))?")


class Mailbox:
    """What a value says.

    address: local-part and A-label domain with "@", None unless the value is one plain mailbox; domains: all that some
    program could read, each once; display: decoded text around the address; oddities: (code, sentence), empty for a
    plain mailbox with a plain domain.
    """

    __slots__ = ("address", "display", "domains", "oddities")

    def __init__(self) -> None:
        self.address: str | None = None
        self.domains: list[str] = []
        self.display = ""
        self.oddities: list[tuple[str, str]] = []


def parse(value: bytes) -> Mailbox:
    """Read the raw value of a From field, any bytes; folds may still be in it."""
    mailbox = Mailbox()
    value = unfold(value[:_READ_AT_MOST]).strip(b" \t\r\n")
    # Raw ISO-2022-JP holds every ASCII character as half of a kanji; programs know it by its escape sequences.
    plain = _JAPANESE.sub(lambda match: b"?" * len(match[0]), value)
    _note_bytes(plain, mailbox)
    tokens, kinds = _tokens(plain) if len(plain) <= MAX_LENGTH else ([], "")
    match = _MAILBOX.match(kinds)
    if match is None:
        mailbox.oddities.append(_misshapen(kinds) if len(plain) <= MAX_LENGTH else ("from.length", "From is too long"))
        mailbox.display = _text(value)
        _collect(mailbox, value, tokens, kinds)
        return mailbox
    _read_address(mailbox, match, tokens, kinds)
    _read_display(mailbox, match, tokens, value)
    if mailbox.oddities:
        _collect(mailbox, value, tokens, kinds)
    elif value != plain:  # for who does not know the escape sequences there is ASCII in the Japanese
        _add(mailbox, value.decode("utf-8", "replace"))
    return mailbox


def plain_domain(text: str) -> str | None:
    """Return `text` as lower-case A-labels when it is a host name of several labels (RFC 5321 2.3.5), else None."""
    name = domain_name(text)
    return name if name is not None and _PLAIN_DOMAIN.fullmatch(name) else None


def _note_bytes(plain: bytes, mailbox: Mailbox) -> None:
    if _CONTROLS.search(plain):
        mailbox.oddities.append(("from.control", "From contains control characters"))
    try:
        plain.decode("utf-8")
    except UnicodeDecodeError:
        mailbox.oddities.append(("from.8bit", "From contains 8-bit characters of an unknown charset"))


def _tokens(value: bytes) -> tuple[list[bytes], str]:
    """Return the tokens and, at the same index each, one character for their kind."""
    tokens, kinds, position = [], [], 0
    while position < len(value):
        match = _TOKEN.match(value, position)
        if match is not None and match.lastgroup is not None:
            end, kind = match.end(), _KINDS.get(match.lastgroup) or match[0].decode("ascii")
        else:
            end, kind = _comment(value, position)
        tokens.append(value[position:end])
        kinds.append(kind)
        position = end
    return tokens, "".join(kinds)


def _comment(value: bytes, start: int) -> tuple[int, str]:
    """Return the end of the comment that begins here; what is neither token nor comment is one odd character."""
    depth, position = 0, start
    while position < len(value):
        octet = value[position : position + 1]
        depth += (octet == b"(") - (octet == b")")
        position += 2 if octet == b"\\" else 1
        if depth <= 0:
            break
    return (position, _COMMENT) if position > start + 1 and depth == 0 else (start + 1, _ODD)


def _misshapen(kinds: str) -> tuple[str, str]:
    if "@" not in kinds:
        return "from.no-address", "From contains no address"
    if _ROUTE.search(kinds):
        return "from.route", "From contains a source route"
    if kinds.count("@") > 1:
        return "from.several-addresses", "From contains several addresses"
    if ":" in kinds:
        return "from.group", "From contains a group"
    return "from.syntax", "programs read this From differently"


def _read_address(mailbox: Mailbox, match: re.Match[str], tokens: list[bytes], kinds: str) -> None:
    start, end = match.span("angle" if match["angle"] else "bare")
    at = kinds.index("@", start)
    local = b"".join(tokens[start:at]).decode("utf-8", "replace")
    written = b"".join(tokens[at + 1 : end])
    domain = plain_domain(written.decode("utf-8", "replace"))
    if b"=?" in b"".join(tokens[start:end]):
        mailbox.oddities.append(("from.encoded-address", "the address is written as an encoded word"))
    if kinds[start] == "q" and "@" in local:
        mailbox.oddities.append(("from.quoted-address", "an address stands in quotes before the domain"))
    if domain is None:
        mailbox.oddities.append(("from.domain", "the author's domain is no domain name"))
        return
    if _PLAIN_DOMAIN.fullmatch(written.decode("latin-1")) is None and not _unicode_domain(written):
        mailbox.oddities.append(("from.domain", "programs read the author's domain differently"))
    mailbox.address = f"{local}@{domain}"
    mailbox.domains.append(domain)


def _unicode_domain(written: bytes) -> bool:
    """Whether the domain has only letters and stops that mean the same to everybody (RFC 5891 5.2)."""
    import unicodedata

    text = written.decode("utf-8", "replace")
    return "\ufffd" not in text and "\u3002" not in text and unicodedata.normalize("NFKC", text).lower() == text.lower()


def _read_display(mailbox: Mailbox, match: re.Match[str], tokens: list[bytes], value: bytes) -> None:
    """Read what stands around the address, in `value`: Japanese is masked in the tokens, at the same place."""
    start, end = match.span("angle" if match["angle"] else "bare")
    edge = 1 if match["angle"] else 0
    before = sum(map(len, tokens[: start - edge]))
    after = sum(map(len, tokens[: end + edge]))
    raw = value[:before] + b" " + value[after:]
    mailbox.display = _text(raw)
    decoded = words.encoded_words(raw) if b"=?" in raw else None
    if decoded and "@" in decoded and ("<" in decoded or "," in decoded):
        mailbox.oddities.append(("from.encoded-address", "an encoded word contains an address"))


def _text(raw: bytes) -> str:
    """Return the most plausible text of a display name, without its quotes."""
    readings = words.texts(raw[: 2 * MAX_LENGTH])
    return readings[0].replace("\\", "").replace('"', "").strip() if readings else ""


def _collect(mailbox: Mailbox, value: bytes, tokens: list[bytes], kinds: str) -> None:
    """Add every domain that stands behind an at sign in any reading."""
    known = [index for index, kind in enumerate(kinds) if kind != _COMMENT]
    joined = [at for at in known if kinds[at] != " " or not {".", "@"} & {*kinds[max(at - 1, 0) : at + 2]}]
    readings = {
        value: None,
        _CONTROLS.sub(b"", value): None,
        b"".join(tokens[index] for index in known): None,
        b"".join(tokens[index] for index in joined).translate(None, b'"\\'): None,
    }
    for reading in readings:
        _add(mailbox, reading.decode("utf-8", "replace"))
        if b"=?" in reading or b"\x1b" in reading or any(code == "from.8bit" for code, _ in mailbox.oddities):
            for text in words.texts(reading):
                _add(mailbox, text)


def _add(mailbox: Mailbox, text: str) -> None:
    for match in _AT_DOMAIN.finditer(text):
        if len(mailbox.domains) >= MAX_DOMAINS:
            return
        domain = plain_domain(match[1].strip(".'`"))
        if domain is not None and domain not in mailbox.domains:
            mailbox.domains.append(domain)
