"""RTF 1.9.1 by an own reader: groups of listed destinations stay, with text, formatting and ordinary pictures.

It reads all of a document and says what may not stay; on the way it writes the document anew from what it understood:
each control word ends with a space, so that nothing that stood apart grows together, and every group is closed.
"""

from __future__ import annotations

import re

from mailguard.formats import links
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import Refused
from mailguard.formats.rtf import instruction, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailguard.formats.disarmed import Options
    from mailguard.formats.rtf.instruction import Piece

    Picture = Callable[[bytes, bytes], tuple[bytes, bytes, tuple[str, ...]] | None]

OCTETS = 64 << 20
TOKENS = 2_000_000
DEPTH = 500
_LONGEST_WORD = 32
_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]++)(?P<number>-?[0-9]++)?(?P<space> )?|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<symbol>[^a-zA-Z'])"
    rb"|(?P<open>\{)|(?P<close>\})|(?P<lines>[\r\n]++)|(?P<text>[^\\{}\r\n]++)",
    re.DOTALL,
)
# What Word takes for RTF: its reader asks for no more than "{\rt" (as seen in attacks, and in oletools' rtfobj).
BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,100}+\{\\rt(?:f(?:1(?![0-9]))?)?(?![a-z]) ?")
_STRICT_BEGIN = re.compile(rb"\{\\rtf1(?![0-9])")
ACTING = rb"(?=[omfknt])(?:(?:math)?obj(?!attph)|(?:%s)(?![a-z]))" % "|".join(sorted(words.DANGEROUS)).encode("ascii")
"""The control words, in lower case and without backslash, that lead to something dangerous; fields apart."""
_ACTING = re.compile(rb"(?i)\\(?:" + ACTING + rb"|fldinst(?![a-z]))")
_SYMBOLS = frozenset(b"\\{}~-_:|\r\n\t")
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]++")
_NUMBER = re.compile(r"\s*+-?[0-9]{1,10}+\s*+")
_LIST = re.compile(r"[0-9\s;(),-]*+")


class Group:
    """A group that is open: what it is, what of it stays, and what its text says.

    dead: nothing more of it stays; skipped: nothing more of it is read; heard: its text matters; aside: ASIDE in text
    that is deleted.
    """

    __slots__ = (
        "aside", "binary", "dead", "heard", "name", "output", "parent", "said", "skipped", "spoken", "starred",
        "substitutes", "values",
    )  # fmt: skip

    def __init__(self, parent: Group | None) -> None:
        self.parent = parent
        self.name = ""
        self.dead: bool = parent is not None and parent.dead
        self.skipped: bool = parent is not None and parent.skipped
        self.heard: bool = parent is not None and parent.heard
        self.aside: int = parent.aside if parent else 0
        self.substitutes: int = parent.substitutes if parent else 1
        self.spoken = False
        self.starred = False
        self.output: list[bytes] = []
        self.said: list[Piece] = []
        self.values: dict[str, str] = {}
        self.binary = b""

    def text(self) -> str:
        """Return all text that was heard."""
        return "".join(text for _, text in self.said)


class Reader:
    """One pass over the tokens; `removed` collects codes, `root.output` what stays between the outer braces.

    picture: judges the data of a picture (hexadecimal, binary) and gives what stays of it; without, nothing is written.
    """

    __slots__ = ("_depth", "_group", "_high", "_picture", "_skip", "_tokens", "options", "removed", "root")

    def __init__(self, options: Options, picture: Picture | None = None) -> None:
        self.options = options
        self.removed: set[str] = set()
        outside = Group(None)
        self.root = Group(outside)
        self.root.name = "rtf"
        self.root.dead = picture is None
        self._picture = picture
        self._group = self.root
        self._depth = 1
        self._high = False
        self._skip = 0
        self._tokens = TOKENS

    def read(self, content: bytes) -> None:
        """Read a document; Refused("damaged") when it is none, ("over-limit") or ("bomb")."""
        if len(content) > OCTETS:
            raise Refused("over-limit")
        begin = BEGIN.match(content)
        if begin is None:
            raise Refused("damaged")
        if not _STRICT_BEGIN.match(content):
            self.removed.add("repaired")
        outside = self.root.parent
        assert outside is not None
        position = self._run(content, begin.end(), outside)
        if content[position:].strip(b"\r\n\t \0"):
            outside.dead = True
            removed = {*self.removed, "trailing-data"}
            self._run(content, position, None)
            self.removed = removed | {code for code in self.removed if danger(code)}

    def read_group(self, content: bytes, position: int) -> int:
        """Read the one group that begins at `position`; return where it ends."""
        self._group, self._depth = self.root, 1
        return self._run(content, position, self.root)

    def _run(self, content: bytes, position: int, until: Group | None) -> int:
        """Read until only this group is open (None: all that is left); return where that is."""
        while self._tokens:
            self._tokens -= 1
            token = _TOKEN.match(content, position)
            if token is None:
                if position >= len(content):
                    self._unclosed()
                    return position
                self.removed.add("repaired")
                position += 1
                continue
            position = token.end()
            kind = str(token.lastgroup)
            if kind == "close":
                self._close()
                if self._group is until:
                    return position
            elif kind == "open":
                self._open()
            elif kind in {"word", "number", "space"}:
                position = self._word(token, content, position)
            elif not self._group.skipped:
                self._characters(kind, token)
            self._high = kind == "text" and token[0][-1] >= 0x80
        raise Refused("over-limit")

    # Groups

    def _open(self) -> None:
        self._star_without_word()
        self._skip = 0
        self._depth += 1
        if self._depth > DEPTH:
            raise Refused("bomb")
        self._group = Group(self._group)

    def _close(self) -> None:
        self._star_without_word()
        self._skip = 0
        group, parent = self._group, self._group.parent
        if parent is None:
            return
        self._depth -= 1
        self._group = parent
        stays = self._complete(group, parent)
        if parent.heard:
            aside = instruction.ASIDE if group.name else 0
            parent.said += [(kind | aside, text) for kind, text in group.said] if aside else group.said
        if parent.dead or not stays or (group.dead and not group.output):
            return
        if group.name == "field" and "dead field" in group.values:
            _forget(group.output, b"\\field ")
        if group.name == "fldrslt" and "dead field" in parent.values:
            _forget(group.output, b"\\fldrslt ")
        parent.output.append(b"{")
        parent.output += group.output
        parent.output.append(b"}")

    def _complete(self, group: Group, parent: Group) -> bool:
        """Judge a group with rules of its own; True when it stays."""
        code = ""
        if group.name == "field" and parent.heard:
            parent.said.append((parent.aside, instruction.NESTED))
        elif group.name == "fldinst" and not group.skipped:
            code = instruction.code_of(group.said, self.options)
            if code:
                parent.values["dead field"] = ""
        elif group.name == "template" and not links.is_local_file(group.text().strip()):
            code = "remote-template"
        elif group.name == "sp":
            code = _property(group)
        elif group.name in {"sn", "sv"}:
            parent.values[group.name] = group.text()
        elif group.name == "pict" and not group.dead:
            return self._kept_picture(group)
        self.removed |= {code} - {""}
        return not code

    def _unclosed(self) -> None:
        while self._group.parent is not None:
            self.removed.add("repaired")
            self._close()

    # Tokens

    def _star_without_word(self) -> None:
        if self._group.starred:
            self._group.starred = False
            self.removed.add("repaired")

    def _word(self, token: re.Match[bytes], content: bytes, position: int) -> int:
        """Judge a control word; return where the next token begins."""
        name, number = token["word"].decode("ascii"), token["number"]
        group = self._group
        starred, group.starred = group.starred, False
        if name == "bin":
            return self._binary(content, position, int((number or b"0")[:11]))
        if group.skipped or not self._stays(name, number, starred=starred):
            return position
        if not group.dead:
            if starred:
                group.output.append(b"\\*")
            group.output.append(b"\\" + token["word"] + (number or b"") + b" ")
        if name == "u" and number:
            self._say(chr(int(number) & 0xFFFF), instruction.UNICODE)
            self._skip = group.substitutes
        elif name == "uc":
            group.substitutes = min(int(number or b"1"), 255)
        elif name == "deleted":
            group.aside = 0 if number == b"0" else instruction.ASIDE
        elif name in {"tab", "line", "par"}:
            self._say(" ")
        return position

    def _stays(self, name: str, number: bytes | None, *, starred: bool) -> bool:
        group, lower = self._group, name.lower()
        code = self._code(name, lower, starred=starred)
        if code:
            self._kill(code)
            return False
        drop = "embedded-object" if lower in words.OBJECT else _odd(name, lower, number)
        if drop:
            self.removed.add(drop)
            return False
        if name in words.KEPT and name not in {"rtf", "cs", "ts", "ds"} and not group.name:
            group.name = name
            if name in _HEARD and not group.heard:
                group.heard, group.aside = True, 0
        if name in _OWN_GROUP and (group.name != name or (group.spoken and not group.said)):
            self._kill(_misplaced(name))
            return False
        if name == "upr" and group.heard:
            group.said.append((0, instruction.ALTERNATIVES))
        return True

    def _code(self, name: str, lower: str, *, starred: bool) -> str:
        """Return why a group has to go that begins with this word, or ""."""
        code = words.REMOVED.get(lower, "") if name not in words.KEPT else ""
        if not code and name not in words.KEPT and lower not in words.OBJECT:
            if lower.startswith(("obj", "mathobj")) and lower not in words.RESULT:
                code = "embedded-object"
            elif starred or lower in _LOWER_KEPT:
                code = _misplaced(lower)
        if not self.options.metadata and name in words.METADATA:
            code = "metadata"
        if not self.options.comments and name in words.COMMENTS:
            code = "comment"
        return code

    def _kill(self, code: str) -> None:
        """Drop the group from here to its end; what is dangerous already is not read any further."""
        self.removed.add(code)
        group = self._group
        if group is self.root or group.parent is None:
            return
        group.dead = True
        group.skipped = bool(danger(code))
        group.heard = False
        if group.name in {"fldinst", "sp", "pict"}:
            group.output.clear()
            if group.name == "fldinst" and group.parent is not None:
                group.parent.values["dead field"] = ""

    def _binary(self, content: bytes, position: int, length: int) -> int:
        """Pass over binary data, which some readers do not, and others measure in another way."""
        length = min(max(length, 0), len(content) - position)
        data = content[position : position + length]
        if self._group.name == "pict" and not self._group.dead:
            self._group.binary += data
        self.removed.add("ambiguous-markup" if _ACTING.search(data) else "unknown-part")
        return position + length

    def _characters(self, kind: str, token: re.Match[bytes]) -> None:
        group = self._group
        symbol = token["symbol"]
        if symbol == b"*":
            self._star_without_word()
            group.starred = True
            return
        self._star_without_word()
        if kind == "text":
            self._text(token[0])
        elif kind == "symbol" and symbol[0] not in _SYMBOLS:
            self.removed.add("repaired")
        elif kind == "symbol" and self._high and symbol == b"\\":
            self._half_a_character(token)
        elif kind == "hex" and _is_mark(int(token["hex"], 16)) and group.name not in _COUNTED:
            self.removed.add("ambiguous-markup")
        else:
            if not group.dead:
                group.output.append(token[0])
            if kind != "lines":
                self._say(chr(int(token["hex"], 16)) if kind == "hex" else symbol.decode("latin-1"))

    def _half_a_character(self, token: re.Match[bytes]) -> None:
        """Judge a backslash behind a high octet: in Shift_JIS and Big5 they are one character, before a word."""
        acting = _ACTING.match(token.string, token.end() - 1)
        self.removed.add("ambiguous-markup" if acting else "repaired")
        self._group.output += [] if self._group.dead else [b"\\'5c"]
        self._say("\\")

    def _text(self, text: bytes) -> None:
        if _CONTROLS.search(text):
            self.removed.add("repaired")
            text = _CONTROLS.sub(b"", text)
        if not self._group.dead:
            self._group.output.append(text)
        self._say(text.decode("latin-1"))

    def _say(self, text: str, kind: int = 0) -> None:
        group = self._group
        if not group.heard:
            group.spoken = group.spoken or not text.isspace()
            return
        if self._skip and not kind:
            group.said.append((instruction.SUBSTITUTE | group.aside, text[: self._skip]))
            text, self._skip = text[self._skip :], max(self._skip - len(text), 0)
        if text:
            group.said.append((kind | group.aside, text))

    # Groups with rules of their own

    def _kept_picture(self, group: Group) -> bool:
        """Keep a picture that is harmless, in hexadecimal; True when something of it stays."""
        assert self._picture is not None
        result = self._picture(group.text().encode("latin-1", "replace"), group.binary)
        if result is None:
            self.removed.add("unknown-part")
            return False
        data, blip, changed = result
        named = any(piece == b"\\" + blip + b" " for piece in group.output)
        if changed or group.binary or not named:
            self.removed.update(changed or ("unknown-part",))
            kept = [piece for piece in group.output if piece[:1] == b"\\" and not piece.startswith(_BLIPS)]
            group.output = [*kept, b"\\" + blip + b" ", b"\n", data.hex().encode("ascii")]
        return True


def _odd(name: str, lower: str, number: bytes | None) -> str:
    """Return why a control word goes alone that leads to nothing dangerous, or ""."""
    if lower in words.RESULT:
        return "unknown-part"
    if name == "u" and _is_mark(int((number or b"0")[:11]) & 0xFFFF):
        return "ambiguous-markup"
    return "repaired" if len(name) > _LONGEST_WORD or len(number or b"") > 11 else ""


def _misplaced(word: str) -> str:
    """Return why a group has to go in which a word stands at a place or in a way that readers differ about."""
    return "ambiguous-markup" if word in {"fldinst", "sn", "template"} else "unknown-part"


def _property(group: Group) -> str:
    """Return why a property of a shape has to go: it is no number, nor one of those that may be something else.

    pFragments ran code in Word 2002 to 2010 (CVE-2010-3333).
    """
    label, value = group.values.get("sn", "").strip(), group.values.get("sv", "")
    if "pfragments" in label.lower():
        return "active-content"
    if _NUMBER.fullmatch(value) or not value.strip():
        return ""
    kept = label in words.SHAPE_TEXTS and (label[:1] not in "pl" or bool(_LIST.fullmatch(value)))
    return "" if kept else "unknown-part"


def _is_mark(character: int) -> bool:
    """Tell whether this is one of the characters by which Word marks the parts of a field ([MS-DOC] 2.8.25)."""
    return 0x13 <= character <= 0x15


def _forget(output: list[bytes], word: bytes) -> None:
    """Take the word by which a group begins away, with the mark of those that may be ignored."""
    for piece in (b"\\*", word):
        if piece in output[:2]:
            output.remove(piece)


_COUNTED = frozenset({"leveltext", "levelnumbers"})  # where octets are lengths and places
_LOWER_KEPT = frozenset(name.lower() for name in words.KEPT)
_OWN_GROUP = frozenset({"field", "fldinst", "fldrslt", "pict", "sn", "sp", "sv", "template"})
_HEARD = frozenset({"fldinst", "pict", "sn", "sv", "template"})
_BLIPS = (
    b"\\pngblip",
    b"\\jpegblip",
    b"\\emfblip",
    b"\\wmetafile",
    b"\\pmmetafile",
    b"\\macpict",
    b"\\dibitmap",
    b"\\wbitmap",
)
