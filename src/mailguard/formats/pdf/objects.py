"""What may stand in the objects of a PDF (ISO 32000-2), whatever leads to them.

Every object that can be reached is visited once and judged by itself, because a reader may come to it by another way
than we: actions, annotations and name trees by lists of what may stay, the rest of a dictionary by its keys.  No
recursion; direct objects are nested at most as deep as qpdf reads.
"""

from __future__ import annotations

import re

from pikepdf import Array, Dictionary, Name, Object, Stream, String

from mailguard.formats.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mailguard.formats.disarmed import Options

VISITS = 1_000_000
"""Dictionaries, arrays and streams that one document may have."""

_CONTAINER = (Dictionary, Array, Stream)
_NAMED = frozenset({"/NextPage", "/PrevPage", "/FirstPage", "/LastPage"})
_ACTION_KEYS = {
    "/GoTo": frozenset({"/Type", "/S", "/D", "/SD"}),
    "/Named": frozenset({"/Type", "/S", "/N"}),
    "/URI": frozenset({"/Type", "/S", "/URI", "/IsMap"}),
}
_ACTIONS = {
    "/JavaScript": "javascript",
    "/Launch": "launch",
    "/SubmitForm": "form",
    "/ResetForm": "form",
    "/ImportData": "form",
    "/GoToR": "external-relationship",
    "/GoToE": "embedded-file",
    "/GoToDp": "action",
    "/Thread": "action",
    "/Rendition": "rich-media",
    "/Movie": "rich-media",
    "/Sound": "rich-media",
    "/RichMediaExecute": "rich-media",
    "/GoTo3DView": "rich-media",
    "/Hide": "action",
    "/SetOCGState": "action",
    "/Trans": "action",
}
# Keys whose value is an action, and whose value is a set of actions that start by themselves.
_ACTION_SLOTS = ("/A", "/PA", "/NA", "/OpenAction")
_REMOVED_KEYS = {
    "/AA": "action",
    "/JS": "javascript",
    "/JavaScript": "javascript",
    "/Launch": "launch",
    "/XFA": "xfa",
    "/EmbeddedFiles": "embedded-file",
    "/Collection": "embedded-file",
    "/Renditions": "rich-media",
    "/AlternatePresentations": "rich-media",
    "/RichMediaContent": "rich-media",
    "/RichMediaSettings": "rich-media",
    "/RichMedia": "rich-media",
    "/3DD": "rich-media",
    "/3DA": "rich-media",
    "/3DV": "rich-media",
    "/Movie": "rich-media",
    "/Sound": "rich-media",
    "/Requirements": "action",
    "/SpiderInfo": "external-relationship",
    "/URLS": "external-relationship",
    "/IDS": "external-relationship",
    "/OPI": "external-relationship",
    "/SV": "external-relationship",
    "/FFilter": "external-relationship",
    "/FDecodeParms": "external-relationship",
    "/RF": "embedded-file",
    "/EF": "embedded-file",
    "/AF": "embedded-file",
}
_FILE_KEYS = ("/F", "/UF", "/DOS", "/Mac", "/Unix", "/FS")
_METADATA_KEYS = ("/Metadata", "/PieceInfo", "/LastModified")
_MARKUP = frozenset(
    "/Text /FreeText /Line /Square /Circle /Polygon /PolyLine /Highlight /Underline /Squiggly /StrikeOut /Stamp"  # noqa: SIM905
    " /Caret"
    " /Ink /Popup /Redact".split()
)
_ANNOTATIONS = _MARKUP | {"/Link", "/Widget", "/Watermark", "/PrinterMark", "/TrapNet"}
_REFUSED_ANNOTATIONS = {
    "/FileAttachment": "embedded-file",
    "/Sound": "rich-media",
    "/Movie": "rich-media",
    "/Screen": "rich-media",
    "/3D": "rich-media",
    "/RichMedia": "rich-media",
    "/Projection": "rich-media",
}
_NAME_TREES = frozenset({"/Dests", "/AP", "/Pages", "/Templates"})
_CATALOG = frozenset(
    "/Type /Version /Extensions /Pages /PageLabels /Names /Dests /ViewerPreferences /PageLayout /PageMode /Outlines"  # noqa: SIM905
    " /Threads /OpenAction /URI /AcroForm /Metadata /StructTreeRoot /MarkInfo /Lang /OutputIntents /PieceInfo"
    " /OCProperties /Perms /Legal /DSS".split()
)
_TRAILER = frozenset({"/Root", "/Info", "/ID", "/Size", "/Encrypt", "/Prev"})
# In their values the keys are names that the author chose.
_CHOSEN_NAMES = frozenset(
    "/Font /XObject /ExtGState /ColorSpace /Pattern /Shading /Properties /CharProcs /Colorants /Dests /RoleMap"  # noqa: SIM905
    " /ClassMap"
    " /N /R /D".split()
)
_JUDGED = frozenset(
    {*_REMOVED_KEYS, *_ACTION_SLOTS, *_FILE_KEYS, *_METADATA_KEYS}
    | {"/S", "/Rect", "/V", "/Names", "/Annots", "/Ref", "/PS", "/Subtype", "/Subtype2"}
)
"""Keys by which a dictionary has to be looked at more closely."""
_ADDRESS = re.compile(rb"(?:https?://|mailto:)[^\x00-\x1f\x7f\\<>\"]*+", re.IGNORECASE)
_BASE = re.compile(rb"(?:https?://[^\x00-\x1f\x7f\\]*+)?", re.IGNORECASE)


def text(value: object) -> str:
    """Return a PDF name with its slash, "" for anything else."""
    return str(value) if isinstance(value, Name) else ""


class Walk:
    """One pass over everything that can be reached from the trailer; `removed` collects codes."""

    __slots__ = ("_pending", "_seen", "_visits", "embedded", "options", "removed", "signatures")

    def __init__(self, options: Options) -> None:
        self.options = options
        self.removed: set[str] = set()
        self.signatures: list[Object] = []
        self.embedded: list[tuple[Object, Dictionary]] = []
        self._pending: list[tuple[Object, bool]] = []
        self._seen: set[tuple[tuple[int, int], bool]] = set()
        self._visits = 0

    def run(self, trailer: Object) -> None:
        """Judge everything from the trailer on; Refused("over-limit") for more than `VISITS` objects."""
        self._trailer(trailer)
        self._work()

    def hidden(self, objects: Iterable[object]) -> bool:
        """Tell whether there is something to remove among the objects that nothing leads to."""
        before = len(self.removed)
        for value in objects:
            self._push(value)
        self._work()
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
            elif chosen and not isinstance(value, Stream) and text(value.get("/S")) not in _ACTIONS:
                self._names(value)
            else:
                self._dictionary(value)

    def _names(self, dictionary: Object) -> None:
        """Go on to what has a chosen name; a text has none."""
        for key, value in dictionary.items():
            if isinstance(value, String) and key in _REMOVED_KEYS:
                self._drop(dictionary, key, _REMOVED_KEYS[key])
            else:
                self._push(value)

    def _push(self, value: Any, *, chosen: bool = False) -> None:
        if isinstance(value, _CONTAINER):
            self._pending.append((value, chosen))

    def _drop(self, dictionary: Object, key: str, code: str) -> None:
        del dictionary[key]
        self.removed.add(code)

    def _clear(self, dictionary: Object, code: str) -> None:
        """Leave an empty dictionary: it may be in an array, or something else may point to it."""
        if isinstance(dictionary, Stream):
            dictionary.write(b"")
        for key in set(dictionary.keys()) - {"/Length"}:
            del dictionary[key]
        self.removed.add(code)

    # The two dictionaries where a document begins

    def _trailer(self, trailer: Object) -> None:
        for key in set(trailer.keys()) - _TRAILER:
            value = trailer[key]
            if key in _REMOVED_KEYS:
                self._drop(trailer, key, _REMOVED_KEYS[key])
            elif isinstance(value, _CONTAINER) and not isinstance(trailer.get("/Type"), Name):
                self._drop(trailer, key, "embedded-file" if key == "/AdditionalStreams" else "unknown-part")
        if not self.options.metadata and "/Info" in trailer:
            self._drop(trailer, "/Info", "metadata")
        root = trailer.get("/Root")
        if not isinstance(root, Dictionary):
            raise Refused("damaged")
        self._catalog(root)
        self._push(root)
        info = trailer.get("/Info")
        if isinstance(info, Dictionary):
            for key in info.keys() & _REMOVED_KEYS.keys():  # nothing acts there, but nobody needs it there either
                self._drop(info, key, _REMOVED_KEYS[key])
            self._push(info, chosen=True)

    def _catalog(self, root: Object) -> None:
        for key in set(root.keys()) - _CATALOG:
            value = root[key]
            if key in _REMOVED_KEYS or key == "/NeedsRendering":
                if not (key == "/AF" and self.options.embedded_files):
                    self._drop(root, key, self._set_code(value, _REMOVED_KEYS.get(key, "xfa")))
            elif isinstance(value, _CONTAINER):
                self._drop(root, key, "unknown-part")
        address = root.get("/URI")
        if address is not None and not _is_base(address):
            self._drop(root, "/URI", "external-relationship")

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
                self._pending.append((value, key in _CHOSEN_NAMES and self._chosen(dictionary, key)))

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
        if kind not in _ACTIONS and kind not in _ACTION_KEYS and typed != "/Action":
            return False
        if typed == "/StructElem" or ("/P" in dictionary and "/K" in dictionary and typed != "/Action"):
            return False
        return self._action(dictionary)

    def _action(self, action: Object) -> bool:
        """Keep only actions of the list, and of them only the keys of the list; True when it is gone."""
        kind = text(action.get("/S"))
        if kind not in _ACTION_KEYS or not self._harmless(action, kind):
            self._clear(action, _ACTIONS.get(kind, "hyperlink" if kind == "/URI" else self._unknown_action(action)))
            return True
        for key in set(action.keys()) - _ACTION_KEYS[kind]:
            code = "action"
            if key == "/Next":
                code = self._code_of(action[key])
            self._drop(action, key, code)
        return False

    def _harmless(self, action: Object, kind: str) -> bool:
        if kind == "/Named":
            return text(action.get("/N")) in _NAMED
        if kind == "/URI":
            return self.options.hyperlinks and _is_address(action.get("/URI"))
        return isinstance(action.get("/D"), (Array, String, Name))

    @staticmethod
    def _unknown_action(action: Object) -> str:
        return "javascript" if "/JS" in action else "action"

    @staticmethod
    def _code_of(value: object) -> str:
        """Return the code of an action, or of the first of several."""
        if isinstance(value, Array) and len(value):
            value = value[0]
        return _ACTIONS.get(text(value.get("/S")), "action") if isinstance(value, Dictionary) else "action"

    def _is_refused_annotation(self, dictionary: Object) -> bool:
        """Judge what looks like an annotation wherever it stands; True when it is gone."""
        if isinstance(dictionary, Stream) or not ("/Rect" in dictionary or text(dictionary.get("/Type")) == "/Annot"):
            return False
        kind = text(dictionary.get("/Subtype"))
        if kind in _ANNOTATIONS and (self.options.comments or kind not in _MARKUP):
            return False
        if kind == "/FileAttachment" and self.options.embedded_files:
            return False
        if not kind and "/Subtype" not in dictionary and text(dictionary.get("/Type")) != "/Annot":
            return False
        self._clear(dictionary, "comment" if kind in _MARKUP else _REFUSED_ANNOTATIONS.get(kind, "unknown-part"))
        return True

    def _keys(self, dictionary: Object, keys: set[str]) -> None:
        self._files(dictionary, keys)
        for key in keys & _REMOVED_KEYS.keys():
            if not (self.options.embedded_files and key in {"/EF", "/AF", "/EmbeddedFiles"}):
                self._drop(dictionary, key, self._set_code(dictionary[key], _REMOVED_KEYS[key]))
        for key in _ACTION_SLOTS:
            if key in keys:
                self._slot(dictionary, key)
        self._tables(dictionary, keys)
        if isinstance(dictionary, Stream):
            self._stream(dictionary)
        if not self.options.metadata:
            for key in _METADATA_KEYS:
                if key in dictionary:
                    self._drop(dictionary, key, "metadata")

    def _tables(self, dictionary: Object, keys: set[str]) -> None:
        if "/Names" in keys and isinstance(names := dictionary["/Names"], Dictionary):
            self._name_trees(names)
        if "/Annots" in keys and isinstance(annotations := dictionary["/Annots"], Array):
            self._annotations(annotations)
        if "/Ref" in keys and isinstance(dictionary["/Ref"], Dictionary):
            self._drop(dictionary, "/Ref", "external-relationship")

    def _set_code(self, value: object, code: str) -> str:
        """Return a better code for a set of actions: that of one of them."""
        if code == "action" and isinstance(value, Dictionary):
            codes = {self._code_of(action) for action in value.values()} - {"action"}
            return min(codes, default=code)
        return code

    def _slot(self, dictionary: Object, key: str) -> None:
        """Judge the value of a key that leads to an action; /A of a structure element holds attributes instead."""
        value = dictionary[key]
        if not isinstance(value, (Dictionary, Stream)):
            if isinstance(value, Array) and any(isinstance(item, Dictionary) and "/S" in item for item in value):
                self._drop(dictionary, key, self._code_of(value))
            return
        if key == "/A" and "/O" in value and "/S" not in value and "/JS" not in value:
            return
        if isinstance(value, Stream) or (key == "/OpenAction" and text(value.get("/S")) == "/URI"):
            self._drop(dictionary, key, "action")
        elif self._action(value):
            del dictionary[key]

    def _name_trees(self, names: Object) -> None:
        for key in set(names.keys()) - _NAME_TREES:
            if key == "/EmbeddedFiles" and self.options.embedded_files:
                continue
            self._drop(names, key, _REMOVED_KEYS.get(key, "unknown-part"))

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
        named = [key for key in _FILE_KEYS if key in keys and isinstance(dictionary[key], (String, Dictionary))]
        if not named and "/EF" not in keys:
            return
        files = dictionary.get("/EF")
        if self.options.embedded_files and isinstance(files, Dictionary) and "/RF" not in keys:
            self.embedded.append((dictionary, files))
            return
        if isinstance(files, Dictionary) and not isinstance(dictionary, Stream):
            self._clear(dictionary, "embedded-file")
            return
        for key in named:
            self._drop(dictionary, key, "external-relationship")

    def _stream(self, stream: Stream) -> None:
        if text(stream.get("/Type")) == "/EmbeddedFile" and not self.options.embedded_files:
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
