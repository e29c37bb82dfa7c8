"""In which character encoding a web page or text is read, by one documented rule.

1. A byte order mark of UTF-8 or UTF-16.  2. The charset that the MIME part declares.  3. The charset of the first
`<meta>` within the first 1,024 octets.  4. UTF-8, ISO-2022-JP, Shift_JIS, EUC-JP, whichever is valid first, and
windows-1252 at last.  A label that browsers do not know counts as none; UTF-7 is decoded only when it is declared.

A page that is saved loses the charset of its part, and programs guess; so what else it could be read as is known too.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# Labels (WHATWG Encoding) to codecs in which each ASCII octet outside of a double-octet character is itself, and
# no second octet is one of those with a meaning in markup.
_PLAIN: dict[str, str] = {
    **dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8"), "utf-8"),
    **dict.fromkeys(
        ("us-ascii", "ascii", "iso-8859-1", "iso8859-1", "latin1", "windows-1252", "cp1252", "x-ansi", "l1"),
        "cp1252",
    ),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "windows-31j", "ms_kanji", "cp932"), "cp932"),
    **dict.fromkeys(("euc-jp", "x-euc-jp", "eucjp"), "euc_jp"),
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "x-gbk", "gb_2312-80", "chinese"), "gb18030"),
    **dict.fromkeys(("big5", "big5-hkscs", "x-x-big5", "cn-big5"), "big5hkscs"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ksc5601", "windows-949", "korean"), "cp949"),
    **{f"windows-125{number}": f"cp125{number}" for number in range(9) if number != 2},
    **{f"iso-8859-{number}": f"iso8859-{number}" for number in (*range(2, 12), 13, 14, 15, 16)},
    **dict.fromkeys(("koi8-r", "koi8"), "koi8-r"),
    "koi8-u": "koi8-u",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "macintosh": "mac-roman",
}
_JIS = "iso2022_jp_ext"
_OTHER: dict[str, str] = {
    **dict.fromkeys(("utf-7", "x-unicode-1-1-utf-7", "unicode-1-1-utf-7"), "utf-7"),
    **dict.fromkeys(("utf-16", "utf-16le", "unicode"), "utf-16-le"),
    "utf-16be": "utf-16-be",
    "iso-2022-jp": _JIS,
    "iso-2022-kr": "iso2022_kr",
    "hz-gb-2312": "hz",
}
_STATEFUL = frozenset({"utf-7", "iso-2022-jp", "iso-2022-kr", "hz-gb-2312"})
_META = re.compile(rb"<meta\b[^>]{0,400}?charset\s{0,20}=\s{0,20}[\"']?\s{0,20}([\w.:-]{1,40})", re.IGNORECASE)
# NUL, ISO-2022, and UTF-7 that an old browser guesses.
_TRICKS = re.compile(rb"[\0\x1b]|\+AD[whx0-9]|\+\/[v8]")
_CONTROLS = re.compile(rb"[\0\x1b]")  # in a charset that is declared; base64 may spell UTF-7
_TRICKS_IN_JIS = re.compile(
    rb"\0|\+AD[whx0-9]|\+\/[v8]"
    rb"|\x1b(?!\([BJI]|\$[@B])"  # a mark that browsers do not know
    rb"|\x1b\$[@B][^\x1b\r\n]*+[\r\n]"  # a line end, behind which some programs are back in ASCII
    rb"|\x1b\$[@B][^\x1b]*?(?://|https?:|[=(\"' ]\\\\)"  # hardly a character, but an address in ASCII
    rb"|\x1b\(J[^\x1b\\~]*+[\\~]"  # a yen sign to some, a backslash to others
)
# An octet with a meaning in style sheets or to old browsers, which may be the second half of a character.
_SECOND_HALF = re.compile(rb"[\x80-\xff][\\{}`]")
_HALVES = ("cp932", "gb18030", "big5hkscs", "cp949")
_ESCAPES = re.compile(rb"\x1b[($.\-*+,]{1,2}[@-Za-z0-9]")  # marks of ISO-2022
_SHIFTED = re.compile(rb"\x0e[^\x0f\r\n]*+\x0f?")  # ISO-2022-KR between its shifts
_SEVEN_BITS = re.compile(rb"\+(?:A[A-H]|/[v8])")  # UTF-7, a run of which begins with a character of ASCII
_WIDE = re.compile(rb"\x1b\$[@B][^\x1b]*+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_SWALLOWED = re.compile("\ufffd[\"'=]")

# Octets that only a lax reader of UTF-8 takes for a character.
_OVERLONG = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]")


class TextReading:
    """Text as it is read.

    text: without byte order mark; codec: of Python; certain: False when other programs may read other markup in the
    same octets.
    """

    __slots__ = ("certain", "codec", "text")

    def __init__(self, text: str, codec: str, *, certain: bool) -> None:
        self.text = text
        self.codec = codec
        self.certain = certain


def read(content: bytes, declared: str = "") -> TextReading:
    """Decode once by the rule of this module; never fails, what is no character becomes U+FFFD."""
    for mark, codec in _MARKS:
        if content.startswith(mark):
            text = content[len(mark) :].decode(codec, "replace")
            return TextReading(text, codec, certain="\0" not in text and "\ufffd" not in text)
    label = declared.strip(" \t\"'").lower()
    meta = _META.search(content, 0, 1024)
    inner = meta[1].decode("ascii", "replace").lower() if meta else ""
    claims = {claim[1].decode("ascii", "replace").lower() for claim in _META.finditer(content)}
    for candidate in (label, inner):
        if candidate in _PLAIN:
            tricks = _CONTROLS.search(content) if candidate is label else _TRICKS.search(content)
            return _decoded(content, _PLAIN[candidate], certain=claims <= _PLAIN.keys() and not tricks)
        if candidate in _OTHER and not _unmarked_meta(candidate, label):
            return _stateful(content, candidate, claims | ({label} - {""}))
    codec = _guess(content)
    plain = codec in _PLAIN.values() and not label and not any(claim in _STATEFUL for claim in claims)
    return _decoded(content, codec, certain=plain and not _TRICKS.search(content))


def codec(label: str) -> str:
    """Return the codec of a lower-case label as browsers know it; what they do not know is returned as it is."""
    return _PLAIN.get(label, label)


def others(content: bytes, reading: TextReading) -> Iterator[str]:
    """Yield what else a page may be read as where it matters, its characters beyond ASCII all the same letter."""
    if reading.codec == _JIS:
        yield _WIDE.sub(b"\x1b", content).decode("latin-1")
    if reading.codec.startswith("utf-16") or not _SECOND_HALF.search(content):
        return
    for codec in ("latin-1", *_HALVES):
        yield _NOT_ASCII.sub("\xe9", content.decode(codec, "replace"))


def hidden(content: bytes, reading: TextReading) -> Iterator[str]:
    """Yield what is in the octets for programs that take them for an encoding in which ASCII is spelt otherwise."""
    if b"\0" in content and not (reading.codec.startswith("utf-16") and reading.certain):
        yield content.replace(b"\0", b"").decode("latin-1")
    if reading.codec != "utf-7" and _SEVEN_BITS.search(content):
        yield content.decode("utf-7", "replace")
    if b"\x1b" in content:
        yield _ESCAPES.sub(b"", content).decode("latin-1")
    if b"\x0e" in content:
        yield _SHIFTED.sub(b"\xe9", content).decode("latin-1")


def _unmarked_meta(candidate: str, label: str) -> bool:
    """Tell whether a page calls itself UTF-16 in ASCII: browsers then read UTF-8."""
    return candidate.startswith("utf-16") and candidate != label


def _stateful(content: bytes, label: str, labels: set[str]) -> TextReading:
    """Only ISO-2022-JP is an encoding of ordinary mail here, where all programs see the same characters."""
    reading = _decoded(content, _OTHER[label], certain=False)
    if label == "iso-2022-jp" and labels == {label}:
        reading.certain = content.isascii() and not _TRICKS_IN_JIS.search(content) and "\ufffd" not in reading.text
    return reading


def _decoded(content: bytes, codec: str, *, certain: bool) -> TextReading:
    if codec == "utf-8" and _OVERLONG.search(content):
        certain = False
    if codec == _JIS:  # as Windows writes it, with characters that the codec does not know
        from mailguard.message.words import decoded

        return TextReading(decoded(content, b"iso-2022-jp"), codec, certain=certain)
    text = content.decode(codec, "replace")
    return TextReading(text, codec, certain=certain and not _SWALLOWED.search(text))


def _guess(content: bytes) -> str:
    if b"\x1b" in content and content.isascii():
        return _JIS
    for codec in ("utf-8", "cp932", "euc_jp"):
        try:
            content.decode(codec)
        except UnicodeError:
            continue
        return codec
    return "cp1252"
