"""HTML and plain text that RTF wraps ([MS-OXRTFEX]): so does Outlook store the text of messages that are no RTF."""

from __future__ import annotations

import re

from mailguard.formats.disarmed import Refused
from mailguard.message.words import decoded

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z'])|([{}])|[\r\n]++|([^\\{}\r\n]++)",
    re.DOTALL,
)
_TOKENS = 2_000_000
_DEEPEST = 500
_WRAPPED = re.compile(rb"\\from(html|text)1?(?![0-9a-zA-Z])")
_NOT_SHOWN = frozenset({b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict", b"object", b"fldinst", b"mhtmltag"})
_CHARACTERS = {
    b"par": "\r\n", b"line": "\r\n", b"tab": "\t", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“",
    b"rdblquote": "”", b"bullet": "•", b"endash": "–", b"emdash": "—",
}  # fmt: skip
_OCTETS = frozenset({b"\\", b"{", b"}"})  # also the second half of a character
_LINES = {b"\r": "\r\n", b"\n": "\r\n"}
_IN_HTML = {b"~": "&nbsp;", b"_": "&shy;", **_LINES}
_IN_TEXT = {b"~": "\xa0", b"_": "\xad", **_LINES}
# The character set of a font (RTF 1.9.1, "Font Table"): a Windows code page; for others that of the document counts.
_FONTS = {
    128: 932, 129: 949, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255, 178: 1256, 186: 1257, 204: 1251,
    222: 874, 238: 1250,
}  # fmt: skip


def wrapped(rtf: bytes) -> str:
    """Return "html" or "text" for RTF that wraps such, "" for any other ([MS-OXRTFEX] 2.2.3.1)."""
    found = _WRAPPED.search(rtf, 0, 1024)
    return found[1].decode("ascii") if found else ""


class _State:
    """What a group says about its text: shown or not, as markup or as text, in which font."""

    __slots__ = ("font", "markup", "shown", "skip", "starred", "suppressed")

    def __init__(self, outer: _State | None) -> None:
        self.font: int = outer.font if outer else 0
        self.skip: int = outer.skip if outer else 1
        self.shown: bool = outer.shown if outer else True
        self.markup: bool = outer.markup if outer else False
        self.suppressed: bool = outer.suppressed if outer else False
        self.starred = False


class _Unwrapping:
    """One pass over the tokens."""

    def __init__(self, *, html: bool) -> None:
        self.output: list[str] = []
        self.symbols = _IN_HTML if html else _IN_TEXT
        self.state = _State(None)
        self.outer: list[_State] = []
        self.page = 1252
        self.pages: dict[int, int] = {}
        self.table = 0  # depth at which the table of fonts began
        self.octets = bytearray()
        self.left = 0  # characters that stand for one that was given by its number

    def run(self, rtf: bytes) -> str:
        """Return what is wrapped in the RTF."""
        for number, token in enumerate(_TOKEN.finditer(rtf)):
            if number > _TOKENS or len(self.outer) > _DEEPEST:
                raise Refused("over-limit")
            word, value, code, symbol, brace, text = token.groups()
            if brace:
                self._brace(brace)
            elif word:
                self._word(word, int(value) if value else None)
            elif code or text or symbol in _OCTETS:
                self._text(bytes.fromhex(code.decode("ascii")) if code else text or symbol)
            elif symbol == b"*":
                self.state.starred = True
            elif symbol:
                self._say(self.symbols.get(symbol, ""))
        self._flush()
        return "".join(self.output)

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self.left = 0
        if brace == b"{":
            self.outer.append(self.state)
            self.state = _State(self.state)
        elif self.outer:
            self.state = self.outer.pop()
            self.table = 0 if len(self.outer) < self.table else self.table

    def _word(self, word: bytes, value: int | None) -> None:
        state = self.state
        self._flush()
        if word == b"htmltag" and state.starred:
            state.markup, state.suppressed = True, False
        elif state.starred or word in _NOT_SHOWN:
            state.shown = False
            self.table = len(self.outer) if word == b"fonttbl" else self.table
        elif word == b"htmlrtf":
            state.suppressed = value != 0
        elif word == b"f":
            state.font = value or 0
        elif word == b"fcharset" and self.table:
            self.pages[state.font] = _FONTS.get(value or 0, 0)
        elif word == b"ansicpg":
            self.page = value or 1252
        elif word == b"uc":
            state.skip = min(max(value or 0, 0), 8)
        elif word == b"u":
            self._say(chr((value or 0) & 0xFFFF))
            self.left = state.skip
        elif word in _CHARACTERS:
            self._say(_CHARACTERS[word])
        state.starred = False

    def _text(self, octets: bytes) -> None:
        skipped = min(self.left, len(octets))
        self.left -= skipped
        if self._is_shown():
            self.octets += octets[skipped:]

    def _say(self, text: str) -> None:
        self._flush()
        if self._is_shown():
            self.output.append(text)

    def _is_shown(self) -> bool:
        return self.state.shown and not self.state.suppressed

    def _flush(self) -> None:
        if self.octets:
            page = self.pages.get(self.state.font, 0) if not self.state.markup else 0
            self.output.append(decoded(bytes(self.octets), charset(page or self.page).encode("ascii")))
            self.octets.clear()


def unwrapped(rtf: bytes, kind: str) -> str:
    """Return the HTML or text that RTF wraps (kind: what `wrapped` said); Refused("over-limit")."""
    text = _Unwrapping(html=kind == "html").run(rtf)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # \u gives halves of a pair


_CHARSETS = {
    932: "shift_jis", 936: "gb18030", 949: "ks_c_5601-1987", 950: "big5", 1200: "utf-16le", 20127: "us-ascii",
    20866: "koi8-r", 20932: "euc-jp", 21866: "koi8-u", 50220: "iso-2022-jp", 50221: "iso-2022-jp", 50222: "iso-2022-jp",
    50225: "iso-2022-kr", 51932: "euc-jp", 51936: "gb2312", 51949: "euc-kr", 54936: "gb18030", 65000: "utf-7",
    65001: "utf-8",
}  # fmt: skip


def charset(page: int) -> str:
    """Return the charset of a Windows code page, as mail calls it."""
    if 28591 <= page <= 28605:
        return f"iso-8859-{page - 28590}"
    return _CHARSETS.get(page) or (f"windows-{page}" if 1250 <= page <= 1258 else f"cp{page}")
