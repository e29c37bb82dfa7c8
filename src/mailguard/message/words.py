"""Bytes of a file name as text, in every way in which a mail reader may read them.

Names stand in mail as encoded words (RFC 2047), as percent codes with a charset (RFC 2231) or as raw bytes in the
charset of whoever wrote them.  No reader knows which was meant, so each function here returns what is plausible, the
most plausible first.
"""

from __future__ import annotations

import functools
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_WORD_START = rb"=\?([^?\s]{1,60})\?([BbQq])\?"
_INNER_PADDING = rb"(?i)\?b\?[^?=]*+=++[^?=]"
_BETWEEN_WORDS = rb"(?<=\?=)[ \t\r\n]++(?==\?)"
_ESCAPE = rb"\x1b(\$\(D|\$[@B]|\([A-Z])"
_PERCENT = rb"%([0-9A-Fa-f]{2})"
_HALF_WIDTH = "[\uff61-\uff9f]"
_UNDERSCORE = bytes.maketrans(b"_", b" ")
_CHARSETS = {
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "iso-8859-1": "cp1252",
    "us-ascii": "cp1252",
    "ks_c_5601-1987": "cp949",
    "gb2312": "gb18030",
    "unicode-1-1-utf-7": "utf-7",
}
_NOT_CHARSETS = frozenset({"idna", "punycode", "undefined", "mbcs", "oem"})


def texts(raw: bytes) -> list[str]:
    """Return the readings of raw header bytes, most plausible first.

    RFC 2047 words decoded and not; bytes as UTF-8, ISO-2022-JP, Shift_JIS, EUC-JP and Latin-1, as far as valid.
    """
    readings = []
    pieces = _pieces(raw) if b"=?" in raw else []
    if len(pieces) > 1 or (pieces and pieces[0][1]):
        readings.append(_text_of(pieces))
        if re.search(_INNER_PADDING, raw):
            readings.extend((_text_of(_pieces(raw, _each_stream)), _text_of(_pieces(raw, _first_stream))))
        # A reader that does not know the charset shows the octets as they are.
        if not all(_keeps_ascii(charset) for _, charset in pieces if charset):
            readings.append(_latin(b"".join(octets for octets, _ in pieces)))
    if b"\x1b" in raw:
        readings.append(_iso_2022_jp(raw))
    if raw.isascii():
        return [*readings, raw.decode("ascii")]
    valid = [text for text in (_valid(raw, charset) for charset in ("utf-8", "cp932", "euc_jp")) if text is not None]
    if len(valid) == 2 and re.search(_HALF_WIDTH, valid[0]):  # EUC-JP read as Shift_JIS gives half-width kana
        valid.reverse()
    return [*readings, *valid, _latin(raw)]


def _valid(raw: bytes, charset: str) -> str | None:
    try:
        return raw.decode(charset)
    except UnicodeDecodeError:
        return None


def encoded_words(raw: bytes) -> str | None:
    """Decode RFC 2047 words wherever they stand; None when there are none.

    Characters cut in two by the end of a word, as some programs do, are joined when the next word has their charset.
    """
    pieces = _pieces(raw)
    return _text_of(pieces) if any(charset for _, charset in pieces) else None


def _text_of(pieces: list[tuple[bytes, bytes]]) -> str:
    return "".join(decoded(octets, charset) for octets, charset in pieces)


def _pieces(raw: bytes, base64: Callable[[bytes], bytes] | None = None) -> list[tuple[bytes, bytes]]:
    """Cut into (octets, charset) of encoded words and (octets, b"") between them; an open word goes to the end.

    base64: how to decode the B encoding, where readers differ about padding inside it.
    """
    base64 = base64 or _one_stream
    raw = re.sub(_BETWEEN_WORDS, b"", raw)
    pieces: list[tuple[bytes, bytes]] = []
    position = 0
    while (match := re.compile(_WORD_START).search(raw, position)) is not None:
        if match.start() > position:
            pieces.append((raw[position : match.start()], b""))
        stop = raw.find(b"?=", match.end())
        stop = stop if stop >= 0 else len(raw)
        text, charset = raw[match.end() : stop], match[1].lower()
        octets = base64(text) if match[2] in b"Bb" else _quoted(text)
        if pieces and pieces[-1][1] == charset:
            octets = pieces.pop()[0] + octets
        pieces.append((octets, charset))
        position = stop + 2
    if position < len(raw):
        pieces.append((raw[position:], b""))
    return pieces


@functools.lru_cache(maxsize=64)
def _keeps_ascii(charset: bytes) -> bool:
    return decoded(b"a+-b.exe", charset) == "a+-b.exe"


def _between(raw: bytes) -> str:
    """Return the most plausible text of octets without charset."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _latin(raw)


def _one_stream(text: bytes) -> bytes:
    """Decode base64 as readers do that skip what is not of the alphabet, padding too."""
    import binascii

    text = re.sub(rb"[^A-Za-z0-9+/]", b"", text)
    text = text[:-1] if len(text) % 4 == 1 else text
    return binascii.a2b_base64(text + b"=" * (-len(text) % 4))


def _each_stream(text: bytes) -> bytes:
    return b"".join(map(_one_stream, text.split(b"=")))


def _first_stream(text: bytes) -> bytes:
    return _one_stream(text.partition(b"=")[0])


def _quoted(text: bytes) -> bytes:
    return re.sub(rb"=([0-9A-Fa-f]{2})", _unhexed, text.translate(_UNDERSCORE))


def percent(raw: bytes) -> bytes:
    """Undo the percent codes of RFC 2231 4; what is no code stays."""
    return re.sub(_PERCENT, _unhexed, raw) if b"%" in raw else raw


def _unhexed(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


def decoded(raw: bytes, charset: bytes) -> str:
    """Decode by a charset that a message names; an unknown one or none as UTF-8, else as Latin-1."""
    name = charset.partition(b"*")[0].strip().lower().decode("ascii", "replace")
    if name.startswith("iso-2022-jp"):
        return _iso_2022_jp(raw)
    name = _CHARSETS.get(name, name)
    if name and name not in _NOT_CHARSETS and "escape" not in name:
        try:
            return raw.decode(name, "replace")
        except (LookupError, ValueError, UnicodeError):
            pass
    return _between(raw)


def _latin(raw: bytes) -> str:
    return raw.decode("cp1252", "replace") if b"\x81" not in raw else raw.decode("latin-1")


def _iso_2022_jp(raw: bytes) -> str:
    """Decode ISO-2022-JP as Windows writes it: with NEC and IBM characters, half-width kana and missing escapes."""
    pieces = []
    state = b"(B"
    position = 0
    for match in re.finditer(_ESCAPE, raw):
        pieces.append(_in_state(raw[position : match.start()], state))
        state = match[1]
        position = match.end()
    pieces.append(_in_state(raw[position:], state))
    return "".join(pieces)


def _in_state(raw: bytes, state: bytes) -> str:
    if state in {b"$B", b"$@"}:
        return bytes(octet | 0x80 if octet > 32 else octet for octet in raw).decode("euc_jis_2004", "replace")
    if state == b"$(D":
        pairs = (b"\x8f" + bytes((raw[at] | 0x80, raw[at + 1] | 0x80)) for at in range(0, len(raw) - 1, 2))
        return b"".join(pairs).decode("euc_jp", "replace")
    if state == b"(I":
        return bytes(octet | 0x80 for octet in raw).decode("cp932", "replace")
    return _between(raw)
