"""RTF 1.9.1 by an own reader: groups of listed destinations stay, with text, formatting and ordinary pictures.

Where something has to go, the document is written anew from what was understood: each control word ends with a space,
so that nothing that stood apart grows together, and every group is closed.
"""

from __future__ import annotations

import re

from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.rtf import words
from mailguard.formats.rtf.picture import picture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_MIME = "application/rtf"
OCTETS = 64 << 20
TOKENS = 2_000_000
DEPTH = 500
_LONGEST_WORD = 32
_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]++)(?P<number>-?[0-9]++)?(?P<space> )?|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<symbol>[^a-zA-Z'])"
    rb"|(?P<open>\{)|(?P<close>\})|(?P<lines>[\r\n]++)|(?P<text>[^\\{}\r\n]++)",
    re.DOTALL,
)
_BEGIN = re.compile(rb"\s{0,100}+\{\\rt(?:f(?:1(?![0-9]))?)?(?![a-z]) ?")
_STRICT_BEGIN = re.compile(rb"\{\\rtf1(?![0-9])")
_SYMBOLS = frozenset(b"\\{}~-_:|\r\n\t")
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]++")
_NUMBER = re.compile(rb"\s*+-?[0-9]{1,10}+\s*+")
_LIST = re.compile(rb"[0-9\s;(),-]*+")
_KEYWORD = re.compile(r"\s*+([A-Za-z]++|=)(?!\0)")
# Stands in `said` before characters that some reader leaves out or replaces: Unicode with its substitute, text that is
# deleted, or that belongs to something within.
_DOUBT = b"\0"
_CERTAIN_LINK = re.compile(r"\s*+HYPERLINK\s++(?:\"(?:https?:|mailto:)|\\l\s*+\")", re.IGNORECASE)
_TARGET = re.compile(
    r"\s*+HYPERLINK\s++(?P<target>\"[^\"]*+\"|(?!\\)[^\s\"]++)?(?P<switches>.*+)", re.IGNORECASE | re.DOTALL
)
_SWITCHES = re.compile(r"(?:\s*+\\[lmnoth]\s*+(?:\"[^\"\\]*+\")?|\s*+\\\*\s*+MERGEFORMAT)*\s*+", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:https?://|mailto:|#)[^\x00-\x1f\x7f\\<>\"]*+", re.IGNORECASE)


class Group:
    """A group that is open: what it is, what of it stays, and what its text says."""

    __slots__ = ("binary", "dead", "name", "output", "parent", "said", "starred", "values")

    def __init__(self, parent: Group | None) -> None:
        self.parent = parent
        self.name = ""
        self.dead: bool = parent is not None and parent.dead
        self.starred = False
        self.output: list[bytes] = []
        self.said: list[bytes] = []
        self.values: dict[str, object] = {}
        self.binary = b""


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:  # noqa: ARG001 (one interface for all formats)
    """Return RTF without objects, templates and what acts; Refused("damaged"), ("over-limit") or ("bomb")."""
    if len(content) > OCTETS:
        raise Refused("over-limit")
    begin = _BEGIN.match(content, 3 if content.startswith(b"\xef\xbb\xbf") else 0)
    if begin is None:
        raise Refused("damaged")
    reader = _Reader(options)
    if not _STRICT_BEGIN.match(content):
        reader.removed.add("repaired")
    reader.run(content, begin.end())
    if not reader.removed and _is_dangerous(content):
        reader.removed.add("unknown-part")
    if not reader.removed:
        return Disarmed(content, _MIME, "rtf")
    return Disarmed(b"{\\rtf1 " + b"".join(reader.root.output) + b"}", _MIME, "rtf", tuple(reader.removed))


def _is_dangerous(content: bytes) -> bool:
    from mailguard.formats.budget import Quota
    from mailguard.formats.rtf.look import examine
    from mailguard.message.content import Content

    return any(True for _ in examine(Content.of(content), (), Quota()))


class _Reader:
    """One pass over the tokens; `removed` collects codes, `root.output` what stays between the outer braces."""

    __slots__ = ("_depth", "_group", "_high", "options", "removed", "root")

    def __init__(self, options: Options) -> None:
        self.options = options
        self.removed: set[str] = set()
        self.root = Group(None)
        self.root.name = "rtf"
        self._group = self.root
        self._depth = 1
        self._high = False

    def run(self, content: bytes, position: int) -> None:
        """Read until the outermost group ends; what follows it is not part of the document."""
        for _ in range(TOKENS):
            token = _TOKEN.match(content, position)
            if token is None:
                if position >= len(content):
                    return self._unclosed()
                self.removed.add("repaired")
                position += 1
                continue
            position = token.end()
            kind = str(token.lastgroup)
            if kind in {"word", "number", "space"}:
                position = self._word(token, content, position)
            elif kind == "open":
                self._open()
            elif kind == "close":
                if self._group is self.root:
                    return self._behind(content, position)
                self._close()
            elif not self._group.dead:
                self._characters(kind, token)
            if kind != "text":
                self._high = False
        raise Refused("over-limit")

    # Groups

    def _open(self) -> None:
        self._star_without_word()
        self._depth += 1
        if self._depth > DEPTH:
            raise Refused("bomb")
        self._group = Group(self._group)

    def _close(self) -> None:
        self._star_without_word()
        group, parent = self._group, self._group.parent
        assert parent is not None
        self._depth -= 1
        self._group = parent
        if not parent.dead and not (group.dead and not group.output):
            self._ended(group, parent)

    def _ended(self, group: Group, parent: Group) -> None:
        """Judge a group that is complete, and give its parent what stays of it."""
        if not self._complete(group, parent, b"".join(group.said)):
            return
        if group.name == "field" and "dead field" in group.values:
            _forget(group.output, b"\\field ")
        if group.name == "fldrslt" and "dead field" in parent.values:
            _forget(group.output, b"\\fldrslt ")
        if group.name not in _SILENT and (parent.name != "pict" or not group.name):
            parent.said += [_DOUBT, *group.said, _DOUBT] if group.name else group.said
        elif group.name == "field":
            parent.values["nested field"] = True
        parent.output.append(b"{")
        parent.output += group.output
        parent.output.append(b"}")

    def _complete(self, group: Group, parent: Group, said: bytes) -> bool:
        """Judge a group with rules of its own; True when it stays."""
        if group.name == "fldinst" and not self._field(group, said):
            parent.values["dead field"] = True
            return False
        if group.name == "sp" and not self._property(group):
            self.removed.add("unknown-part")
            return False
        if group.name in {"sn", "sv"}:
            parent.values[group.name] = said
        return group.name != "pict" or self._picture(group, said)

    def _unclosed(self) -> None:
        self.removed.add("repaired")
        while self._group is not self.root:
            self._close()

    def _behind(self, content: bytes, position: int) -> None:
        self._star_without_word()
        if content[position:].strip(b"\r\n\t \0"):
            self.removed.add("trailing-data")

    # Tokens

    def _star_without_word(self) -> None:
        if self._group.starred:
            self._group.starred = False
            self.removed.add("repaired")

    def _word(self, token: re.Match[bytes], content: bytes, position: int) -> int:
        """Judge a control word; return where the next token begins."""
        name, number = token["word"].decode("ascii"), token["number"]
        starred, self._group.starred = self._group.starred, False
        if name == "bin":
            return self._binary(content, position, int((number or b"0")[:11]))
        if not self._group.dead and self._stays(name, number, starred=starred):
            if starred:
                self._group.output.append(b"\\*")
            self._group.output.append(b"\\" + token["word"] + (number or b"") + b" ")
            if name == "u" and number:
                self._group.said.append(_DOUBT + chr(int(number) & 0xFFFF).encode("utf-8", "replace"))
            elif name == "deleted":
                self._group.said.append(_DOUBT)
            elif name in {"tab", "line", "par"}:
                self._group.said.append(b" ")
        return position

    def _stays(self, name: str, number: bytes | None, *, starred: bool) -> bool:
        lower = name.lower()
        odd = len(name) > _LONGEST_WORD or len(number or b"") > 11
        odd = odd or (name == "u" and _is_mark(int(number or b"0") & 0xFFFF))
        if odd or lower in words.OBJECT:
            self.removed.add("embedded-object" if lower in words.OBJECT else "repaired")
            return False
        code = words.REMOVED.get(lower)
        if name not in words.KEPT:
            if code is None and lower.startswith("obj"):
                code = "embedded-object"
            if code is None and (starred or lower in _LOWER_KEPT):
                code = "unknown-part"
        if not self.options.metadata and name in words.METADATA:
            code = "metadata"
        if not self.options.comments and name in words.COMMENTS:
            code = "comment"
        if code:
            self._kill(code)
            return False
        if name in words.KEPT and name not in {"rtf", "cs", "ts", "ds"} and not self._group.name:
            self._group.name = name
        elif name in _OWN_GROUP and self._group.name != name:
            self._kill("unknown-part")
            return False
        return True

    def _kill(self, code: str) -> None:
        """Drop the group from here to its end."""
        self.removed.add(code)
        if self._group is self.root:
            return
        self._group.dead = True
        if self._group.name in {"fldinst", "sp", "pict"}:
            self._group.output.clear()
            if self._group.name == "fldinst" and self._group.parent is not None:
                self._group.parent.values["dead field"] = True

    def _binary(self, content: bytes, position: int, length: int) -> int:
        length = min(max(length, 0), len(content) - position)
        if self._group.name == "pict" and not self._group.dead:
            self._group.binary += content[position : position + length]
        self.removed.add("unknown-part")
        return position + length

    def _characters(self, kind: str, token: re.Match[bytes]) -> None:
        group = self._group
        if kind == "symbol" and token["symbol"] == b"*":
            self._star_without_word()
            group.starred = True
            return
        self._star_without_word()
        if kind == "symbol" and token["symbol"][0] not in _SYMBOLS:
            self.removed.add("repaired")
        elif kind == "symbol" and self._high and token["symbol"] == b"\\":
            self.removed.add("repaired")
            group.output.append(b"\\'5c")
        elif kind == "hex" and _is_mark(int(token["hex"], 16)) and group.name not in _COUNTED:
            self.removed.add("repaired")
        elif kind == "text":
            self._text(token[0])
        else:
            group.output.append(token[0])
            if kind != "lines":
                group.said.append(bytes((int(token["hex"], 16),)) if kind == "hex" else token["symbol"])

    def _text(self, text: bytes) -> None:
        if _CONTROLS.search(text):
            self.removed.add("repaired")
            text = _CONTROLS.sub(b"", text)
        self._high = text[-1:] >= b"\x80"
        self._group.output.append(text)
        self._group.said.append(text)

    # Groups with rules of their own

    def _field(self, group: Group, said: bytes) -> bool:
        """Tell whether the instruction of a field may stay; one that is put together by other fields may not."""
        instruction = said.decode("latin-1")
        keyword = _KEYWORD.match(instruction)
        name = keyword[1].upper() if keyword else ""
        nested = "nested field" in group.values
        if name not in words.FIELDS or (nested and name == "HYPERLINK"):
            self.removed.add("dde" if "DDE" in instruction.replace("\0", "").upper() else "action")
            return False
        if nested and not b"".join(group.said).strip():
            self.removed.add("action")
            return False
        certain = "\0" not in instruction or _CERTAIN_LINK.match(instruction)
        if name == "HYPERLINK" and not (certain and self._link(instruction.replace("\0", ""))):
            self.removed.add("hyperlink")
            return False
        return True

    def _link(self, instruction: str) -> bool:
        match = _TARGET.fullmatch(instruction)
        if match is None or not _SWITCHES.fullmatch(match["switches"]):
            return False
        target = (match["target"] or "").strip('"').strip()
        if not target:
            return "\\l" in match["switches"]
        return self.options.hyperlinks and bool(_ADDRESS.fullmatch(target))

    @staticmethod
    def _property(group: Group) -> bool:
        """Tell whether a property of a shape is a number, or one of those that may be something else."""
        name, value = group.values.get("sn", b""), group.values.get("sv", b"")
        assert isinstance(name, bytes)
        assert isinstance(value, bytes)
        label = name.strip().decode("latin-1")
        if _NUMBER.fullmatch(value) or not value.strip():
            return label != "pFragments"
        return label in words.SHAPE_TEXTS and (label[:1] not in "pl" or bool(_LIST.fullmatch(value)))

    def _picture(self, group: Group, said: bytes) -> bool:
        """Keep a picture that is a harmless PNG or JPEG, in hexadecimal; True when something of it stays."""
        result = picture(said, group.binary, self.options)
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


def _is_mark(character: int) -> bool:
    """Tell whether this is one of the characters by which Word marks the parts of a field."""
    return 0x13 <= character <= 0x15


def _forget(output: list[bytes], word: bytes) -> None:
    """Take the word by which a group begins away, with the mark of those that may be ignored."""
    for piece in (b"\\*", word):
        if piece in output[:2]:
            output.remove(piece)


_COUNTED = frozenset({"leveltext", "levelnumbers"})  # where octets are lengths and places
_LOWER_KEPT = frozenset(name.lower() for name in words.KEPT)
_OWN_GROUP = frozenset({"field", "fldinst", "fldrslt", "pict", "sn", "sp", "sv"})
_SILENT = _OWN_GROUP - {"sp"}
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
