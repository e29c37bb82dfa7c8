"""What may stand in the objects of a PDF (ISO 32000-2), whatever leads to them.

Every object that can be reached is visited once and judged by itself, because a reader may come to it by another way
than we: actions, annotations and name trees by lists of what may stay, the rest of a dictionary by its keys.  No
recursion; direct objects are nested at most as deep as qpdf reads.
"""

from __future__ import annotations

import re

from pikepdf import Array, Dictionary, Name, Object, Stream, String

from mailguard.formats import links
from mailguard.formats.codes import danger
from mailguard.formats.disarmed import Refused
from mailguard.formats.pdf import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mailguard.formats.disarmed import Options

VISITS = 1_000_000
"""Dictionaries, arrays and streams that one document may have."""

_CONTAINER = (Dictionary, Array, Stream)
_JUDGED = frozenset(
    {*words.REMOVED_KEYS, *words.ACTION_SLOTS, *words.FILE_KEYS, *words.METADATA_KEYS}
    | {"/S", "/Rect", "/V", "/Names", "/Annots", "/Ref", "/PS", "/Subtype", "/Subtype2"}
)
"""Keys by which a dictionary has to be looked at more closely."""
_ACTING = words.ACTING | words.ACTIONS.keys()
_ADDRESS = re.compile(rb"(?:https?://|mailto:)[^\x00-\x1f\x7f\\<>\"]*+", re.IGNORECASE)
_BASE = re.compile(rb"(?:https?://[^\x00-\x1f\x7f\\]*+)?", re.IGNORECASE)


def text(value: object) -> str:
    """Return a PDF name with its slash, "" for anything else."""
    return str(value) if isinstance(value, Name) else ""


def is_packed(stream: Stream) -> bool:
    """Tell whether a stream holds objects, for readers that look for such streams by themselves."""
    return "/First" in stream or text(stream.get("/Type")) == "/ObjStm"


class Walk:
    """One pass over everything that can be reached from the trailer; `removed` collects codes.

    keeps_files: embedded files stay, and are collected in `embedded`; has_files: whether there are any; packed: streams
    that some readers would take for streams of objects, although they are something else; faults: what qpdf warned of.
    """

    __slots__ = (
        "_pending",
        "_seen",
        "_visits",
        "embedded",
        "faults",
        "has_files",
        "keeps_files",
        "options",
        "packed",
        "removed",
        "signatures",
    )

    def __init__(self, options: Options, *, keeps_files: bool) -> None:
        self.options = options
        self.keeps_files = keeps_files
        self.has_files = False
        self.removed: set[str] = set()
        self.signatures: list[Object] = []
        self.embedded: list[tuple[Object, Dictionary]] = []
        self.packed: list[Stream] = []
        self.faults: list[str] = []
        self._pending: list[tuple[Object, bool]] = []
        self._seen: set[tuple[tuple[int, int], bool]] = set()
        self._visits = 0

    def run(self, trailer: Object) -> None:
        """Judge everything from the trailer on; Refused("over-limit") for more than `VISITS` objects."""
        self._trailer(trailer)
        self._work()

    def hidden(self, objects: Iterable[Any]) -> bool:
        """Tell whether there is something to remove among the objects that nothing leads to."""
        before, packed = len(self.removed), self.packed.copy()
        reached = {place for place, _ in self._seen}
        for value in objects:
            if isinstance(value, _CONTAINER) and value.objgen not in reached:
                self._push(value)
        self._work()
        self.packed = packed
        return len(self.removed) > before

    def _work(self) -> None:
        while self._pending:
            value, chosen = self._pending.pop()
            if value.is_indirect:
                key = (value.objgen, chosen)
                if key in self._seen:
                    continue
                self._seen.add(key)
            self._visits += 1
            if self._visits > VISITS:
                raise Refused("over-limit")
            if isinstance(value, Array):
                for item in value:
                    self._push(item)
            elif chosen and not isinstance(value, Stream) and text(value.get("/S")) not in _ACTING:
                self._names(value)
            else:
                self._dictionary(value)

    def _names(self, dictionary: Object) -> None:
        """Go on to what has a chosen name; a text has none, and no author chooses that of scripts."""
        for key, value in dictionary.items():
            if key in words.REMOVED_KEYS and (isinstance(value, String) or key in words.ACTING_KEYS):
                self._drop(dictionary, key, words.REMOVED_KEYS[key])
            elif key == "/Subtype" and text(value) in words.ACTING:
                self._drop(dictionary, key, "ambiguous-markup")
            else:
                self._push(value)

    def _push(self, value: Any, *, chosen: bool = False) -> None:
        if isinstance(value, _CONTAINER):
            self._pending.append((value, chosen))

    def _drop(self, dictionary: Object, key: str, code: str) -> None:
        """Take a value away; what is below it is judged all the same, unless it is known to be dangerous."""
        if not danger(code):
            self._push(dictionary[key])
        del dictionary[key]
        self.removed.add(code)

    def _clear(self, dictionary: Object, code: str) -> None:
        """Leave an empty dictionary: it may be in an array, or something else may point to it."""
        if isinstance(dictionary, Stream):
            dictionary.write(b"")
        if not danger(code):
            for value in dictionary.values():
                self._push(value)
            self.removed |= {words.REMOVED_KEYS[key] for key in dictionary.keys() & words.REMOVED_KEYS.keys()}
        for key in set(dictionary.keys()) - {"/Length"}:
            del dictionary[key]
        self.removed.add(code)

    # The two dictionaries where a document begins

    def _trailer(self, trailer: Object) -> None:
        for key in set(trailer.keys()) - words.TRAILER:
            value = trailer[key]
            if key in words.REMOVED_KEYS:
                self._drop(trailer, key, words.REMOVED_KEYS[key])
            elif isinstance(value, _CONTAINER):
                self._drop(trailer, key, "embedded-file" if key == "/AdditionalStreams" else "unknown-part")
            elif key in words.FILE_KEYS and isinstance(value, String):  # the data of a stream of cross-references
                self._drop(trailer, key, "external-relationship")
        if not self.options.metadata and "/Info" in trailer:
            self._drop(trailer, "/Info", "metadata")
        root = trailer.get("/Root")
        if not isinstance(root, Dictionary):
            raise Refused("damaged")
        self._catalog(root)
        self._push(root)
        info = trailer.get("/Info")
        if isinstance(info, Dictionary):
            for key in info.keys() & words.REMOVED_KEYS.keys():  # nothing acts there, but nobody needs it there either
                self._drop(info, key, words.REMOVED_KEYS[key])
            self._push(info, chosen=True)

    def _catalog(self, root: Object) -> None:
        for key in set(root.keys()) - words.CATALOG:
            value = root[key]
            if key in words.REMOVED_KEYS or key == "/NeedsRendering":
                if key == "/AF" and self.keeps_files:
                    self.has_files = True
                else:
                    self._drop(root, key, self._set_code(value, words.REMOVED_KEYS.get(key, "xfa")))
            elif isinstance(value, _CONTAINER):
                self._drop(root, key, "unknown-part")
        address = root.get("/URI")
        if address is not None and not _is_base(address):
            self._drop(root, "/URI", "hyperlink")

    # Any dictionary

    def _dictionary(self, dictionary: Object) -> None:
        """Judge a dictionary or the dictionary of a stream, then go on to its values."""
        keys = dictionary.keys()
        if isinstance(dictionary, Stream) or not keys.isdisjoint(_JUDGED):
            if "/S" in keys and self._is_action(dictionary):
                return
            if "/Rect" in keys and self._is_refused_annotation(dictionary):
                return
            if isinstance(signature := dictionary.get("/V"), Dictionary) and "/ByteRange" in signature:
                self.signatures.append(dictionary)
            self._keys(dictionary, keys)
        for key, value in dictionary.items():
            if isinstance(value, _CONTAINER):
                self._pending.append((value, key in words.CHOSEN_NAMES and self._chosen(dictionary, key)))

    @staticmethod
    def _chosen(dictionary: Object, key: str) -> bool:
        """Tell whether the keys below are chosen names: those of states only in an appearance dictionary."""
        return key not in {"/N", "/R", "/D"} or not (dictionary.keys() - {"/N", "/R", "/D"})

    def _is_action(self, dictionary: Object) -> bool:
        """Judge what looks like an action wherever it stands; True when it is gone.

        The /S of a structure element is a tag that may be any word; no key leads from there to an action.
        """
        kind = text(dictionary.get("/S"))
        typed = text(dictionary.get("/Type"))
        if kind in words.ACTING:
            return self._action(dictionary)
        if kind not in words.ACTIONS and kind not in words.ACTION_KEYS and typed != "/Action":
            return False
        if typed == "/StructElem" or ("/P" in dictionary and "/K" in dictionary and typed != "/Action"):
            return False
        return self._action(dictionary)

    def _action(self, action: Object) -> bool:
        """Keep only actions of the list, and of them only the keys of the list; True when it is gone."""
        kind = text(action.get("/S"))
        if kind not in words.ACTION_KEYS or not self._harmless(action, kind):
            self._clear(action, self._code_of(action))
            return True
        for key in set(action.keys()) - words.ACTION_KEYS[kind]:
            code = "action"
            if key == "/Next":
                code = self._code_of(action[key])
            self._drop(action, key, code)
        return False

    def _harmless(self, action: Object, kind: str) -> bool:
        if kind == "/Named":
            return text(action.get("/N")) in words.NAMED
        if kind == "/URI":
            return self.options.hyperlinks and _is_address(action.get("/URI"))
        return isinstance(action.get("/D"), (Array, String, Name))

    def _code_of(self, value: object, *, automatic: bool = False) -> str:
        """Return the code of an action, or of the first of several; automatic: it starts without a click."""
        if isinstance(value, Array) and len(value):
            value = value[0]
        if not isinstance(value, Dictionary):
            return "action"
        kind = text(value.get("/S"))
        if kind == "/URI":
            return "external-relationship" if automatic else "hyperlink"
        if kind in {"/GoToR", "/Thread"} and _is_beside(value.get("/F")):
            return "hyperlink"
        return words.ACTIONS.get(kind, "javascript" if "/JS" in value else "action")

    def _is_refused_annotation(self, dictionary: Object) -> bool:
        """Judge what looks like an annotation wherever it stands; True when it is gone."""
        if isinstance(dictionary, Stream) or not ("/Rect" in dictionary or text(dictionary.get("/Type")) == "/Annot"):
            return False
        kind = text(dictionary.get("/Subtype"))
        if kind in words.ANNOTATIONS and (self.options.comments or kind not in words.MARKUP):
            return False
        if kind == "/FileAttachment" and self.keeps_files:
            return False
        if not kind and "/Subtype" not in dictionary and text(dictionary.get("/Type")) != "/Annot":
            return False
        self._clear(
            dictionary, "comment" if kind in words.MARKUP else words.REFUSED_ANNOTATIONS.get(kind, "unknown-part")
        )
        return True

    def _keys(self, dictionary: Object, keys: set[str]) -> None:
        self._files(dictionary, keys)
        for key in keys & words.REMOVED_KEYS.keys():
            if self.keeps_files and key in {"/EF", "/AF", "/EmbeddedFiles"}:
                self.has_files = True
            else:
                self._drop(dictionary, key, self._set_code(dictionary[key], words.REMOVED_KEYS[key]))
        for key in words.ACTION_SLOTS:
            if key in keys:
                self._slot(dictionary, key)
        if text(dictionary.get("/Subtype")) in words.ACTING:  # no annotation, or it were gone
            self._drop(dictionary, "/Subtype", "ambiguous-markup")
        self._tables(dictionary, keys)
        if isinstance(dictionary, Stream):
            self._stream(dictionary)
        if not self.options.metadata:
            for key in words.METADATA_KEYS:
                if key in dictionary:
                    self._drop(dictionary, key, "metadata")

    def _tables(self, dictionary: Object, keys: set[str]) -> None:
        if "/Names" in keys and isinstance(names := dictionary["/Names"], Dictionary):
            self._name_trees(names)
        if "/Annots" in keys and isinstance(annotations := dictionary["/Annots"], Array):
            self._annotations(annotations)
        if "/Ref" in keys and isinstance(dictionary["/Ref"], Dictionary):
            self._drop(dictionary, "/Ref", "remote-image")

    def _set_code(self, value: object, code: str) -> str:
        """Return a better code for a set of actions: that of one of them."""
        if code == "action" and isinstance(value, Dictionary):
            codes = {self._code_of(action, automatic=True) for action in value.values()} - {"action"}
            return max(codes, key=danger, default=code)
        return code

    def _slot(self, dictionary: Object, key: str) -> None:
        """Judge the value of a key that leads to an action; /A of a structure element holds attributes instead."""
        value = dictionary[key]
        if not isinstance(value, (Dictionary, Stream)):
            if isinstance(value, Array) and any(isinstance(item, Dictionary) and "/S" in item for item in value):
                self._drop(dictionary, key, self._code_of(value, automatic=key == "/OpenAction"))
            return
        if key == "/A" and "/O" in value and "/S" not in value and "/JS" not in value:
            return
        if isinstance(value, Stream) or (key == "/OpenAction" and text(value.get("/S")) == "/URI"):
            self._drop(dictionary, key, self._code_of(value, automatic=True))
        elif self._action(value):
            del dictionary[key]

    def _name_trees(self, names: Object) -> None:
        for key in set(names.keys()) - words.NAME_TREES:
            if key == "/EmbeddedFiles" and self.keeps_files:
                self.has_files = True
                continue
            self._drop(names, key, words.REMOVED_KEYS.get(key, "unknown-part"))

    def _annotations(self, annotations: Array) -> None:
        for index in range(len(annotations) - 1, -1, -1):
            annotation = annotations[index]
            if not isinstance(annotation, Dictionary):
                continue
            if "/Subtype" not in annotation:
                if annotation.keys():
                    self._clear(annotation, "unknown-part")
                del annotations[index]
            elif self._is_refused_annotation(annotation):
                del annotations[index]

    def _files(self, dictionary: Object, keys: set[str]) -> None:
        """Remove what names files elsewhere; an embedded file stays with its specification where options say so."""
        named = [key for key in words.FILE_KEYS if key in keys and isinstance(dictionary[key], (String, Dictionary))]
        if not named and "/EF" not in keys:
            return
        files = dictionary.get("/EF")
        if self.keeps_files and isinstance(files, Dictionary) and "/RF" not in keys:
            self.embedded.append((dictionary, files))
            return
        if isinstance(files, Dictionary) and not isinstance(dictionary, Stream):
            self._clear(dictionary, "embedded-file")
            return
        for key in named:
            beside = not isinstance(dictionary, Stream) and _is_beside(dictionary[key])
            self._drop(dictionary, key, "hyperlink" if beside else "external-relationship")

    def _stream(self, stream: Stream) -> None:
        if is_packed(stream):
            self.packed.append(stream)
        if text(stream.get("/Type")) == "/EmbeddedFile" and not self.keeps_files:
            self._clear(stream, "embedded-file")
        elif text(stream.get("/Subtype")) == "/PS" or text(stream.get("/Subtype2")) == "/PS" or "/PS" in stream:
            self._clear(stream, "unknown-part")


def _is_address(value: object) -> bool:
    return isinstance(value, String) and bool(_ADDRESS.fullmatch(bytes(value).strip(b" \t")))


def _is_base(value: object) -> bool:
    if not isinstance(value, Dictionary) or value.keys() - {"/Base", "/Type"}:
        return False
    base = value.get("/Base")
    return base is None or (isinstance(base, String) and bool(_BASE.fullmatch(bytes(base))))


def _is_beside(value: object) -> bool:
    """Tell whether a file specification names a file of this machine, or none."""
    if isinstance(value, Dictionary):
        if "/FS" in value or "/EF" in value:
            return False
        return all(_is_beside(value.get(key)) for key in ("/F", "/UF", "/DOS", "/Mac", "/Unix"))
    return value is None or (isinstance(value, String) and links.is_local_file(str(value)))
