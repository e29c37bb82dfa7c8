"""The manifest of a capsule: which files it holds, and how the original message is put together again.

JSON: `format` (1), `id`, `time` (Unix), `length` and `sha256` of the original; `segments`, in order either
["skeleton", octets] or ["file", index]; `files` with `name` (as the mail says it), `stored` (in the ZIP), `size`,
`span` (start and end of the encoded body in the original, or null), `recipe` (how it is encoded there; null: the
skeleton has that place) and `metadata`; `information` about the message.  What is read here may come from an enemy who
knows the password: every value is checked for its type and its size before it is used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mailguard.message.content import Content

FORMAT = 1
LARGEST = (1 << 31) - 1  # octets, for everything in one capsule; beyond it ZIP needs another form

_MOST_FILES = 100_000
_LONGEST_EOL = 2
# The values that are shown, if they are there: their types, [str] for a list of texts.
_INFORMATION: Mapping[str, Sequence[Any]] = {"sender": (str, None), "recipients": ([str], None)}
_METADATA: Mapping[str, Sequence[Any]] = {
    "part": (str,),
    "names": ([str],),
    "declared_type": (str, None),
    "detected_type": (str, None),
    "size": (int,),
    "sha256": (str, None),
    "dangerous": ([str],),
    "action": (str,),
}


class Item:
    """A file for a capsule.

    name: as the mail says it, possibly hostile; data: decoded content, read a piece at a time; metadata: for the
    manifest (part, declared_type, detected_type, names, size, sha256, dangerous), JSON-able; span: (start, end) of the
    encoded body in the original, None for a file that is not in it; recipe: for `message.encoding.encode`, None when
    encoding again is not exact.
    """

    __slots__ = ("data", "metadata", "name", "recipe", "span")

    def __init__(
        self,
        name: str,
        data: bytes | Content,
        *,
        metadata: Mapping[str, Any] | None = None,
        span: tuple[int, int] | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.data = data
        self.metadata = dict(metadata or {})
        self.span = span
        self.recipe = None if recipe is None else dict(recipe)


class File:
    """What the manifest says about one file; fields as in `Item`, and `stored`: its name in the ZIP, `size`: octets."""

    __slots__ = ("metadata", "name", "recipe", "size", "span", "stored")

    def __init__(self, item: Item, stored: str, size: int, *, recipe: Mapping[str, Any] | None) -> None:
        self.name = item.name
        self.stored = stored
        self.size = size
        self.span = item.span
        self.recipe = recipe
        self.metadata = item.metadata

    def as_dict(self) -> dict[str, Any]:
        """Return the record for the manifest."""
        return {name: getattr(self, name) for name in ("name", "stored", "size", "span", "recipe", "metadata")}


class Manifest:
    """A manifest whose values have the right types and sizes; `segments`: (octets, None) or (0, index of a file)."""

    __slots__ = ("files", "id", "information", "length", "segments", "sha256", "time")

    def __init__(
        self,
        *,
        identifier: str,
        time: int,
        length: int,
        sha256: str,
        segments: Sequence[tuple[int, int | None]],
        files: Sequence[File],
        information: Mapping[str, Any],
    ) -> None:
        self.id = identifier
        self.time = time
        self.length = length
        self.sha256 = sha256
        self.segments = segments
        self.files = files
        self.information = information

    @property
    def skeleton_size(self) -> int:
        """Octets of the original that stand in the skeleton."""
        return sum(octets for octets, _ in self.segments)

    def as_json(self) -> bytes:
        """Write it: ASCII, so that no name in it can do harm where it is shown; same manifest, same bytes."""
        import json

        value = {
            "format": FORMAT,
            "id": self.id,
            "time": self.time,
            "length": self.length,
            "sha256": self.sha256,
            "segments": [["skeleton", octets] if index is None else ["file", index] for octets, index in self.segments],
            "files": [file.as_dict() for file in self.files],
            "information": self.information,
        }
        return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"


def parse(raw: bytes) -> Manifest:
    """Read a manifest; ValueError or RecursionError when it is not one."""
    import json

    value = _dictionary(json.loads(raw))
    if value.get("format") != FORMAT:
        raise ValueError("format")
    files = [_file(record) for record in _list(value.get("files"), _MOST_FILES)]
    segments = [_segment(segment, len(files)) for segment in _list(value.get("segments"), 2 * len(files) + 1)]
    manifest = Manifest(
        identifier=_text(value.get("id")),
        time=_number(value.get("time"), 1 << 40),
        length=_number(value.get("length")),
        sha256=_text(value.get("sha256")),
        segments=segments,
        files=files,
        information=_described(value.get("information"), _INFORMATION),
    )
    if manifest.skeleton_size + sum(file.size for file in files) > LARGEST:
        raise ValueError("too large")
    return manifest


def _file(value: Any) -> File:
    record = _dictionary(value)
    span = record.get("span")
    item = Item(
        _text(record.get("name")),
        b"",
        metadata=_described(record.get("metadata"), _METADATA),
        span=None if span is None else _span(span),
    )
    recipe = record.get("recipe")
    return File(
        item,
        _text(record.get("stored")),
        _number(record.get("size")),
        recipe=None if recipe is None else _recipe(recipe),
    )


def _segment(value: Any, files: int) -> tuple[int, int | None]:
    kind, number = _list(value, 2)
    if kind == "skeleton":
        return _number(number), None
    if kind == "file" and files:
        return 0, _number(number, files - 1)
    raise ValueError("segment")


def _span(value: Any) -> tuple[int, int]:
    start, end = _list(value, 2)
    return _number(start), _number(end)


def _recipe(value: Any) -> dict[str, Any]:
    """Check a recipe so that it cannot ask for more output than a message has: no long texts, no huge numbers."""
    recipe = _dictionary(value)
    for name, setting in recipe.items():
        if isinstance(setting, str):
            if name != "encoding" and len(setting) > _LONGEST_EOL:
                raise ValueError("recipe")
        else:
            _number(setting)
    return recipe


def _dictionary(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 (this is about content, not about our types)
    return value


def _described(value: Any, forms: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Check the values of a dictionary that have a known form."""
    described = _dictionary(value)
    for name in forms.keys() & described.keys():
        if not any(_has_form(described[name], form) for form in forms[name]):
            raise ValueError(name)
    return described


def _has_form(value: Any, form: Any) -> bool:
    if form is None:
        return value is None
    if isinstance(form, list):
        return isinstance(value, list) and all(isinstance(one, form[0]) for one in value)
    return isinstance(value, form)


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("not a list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004
    return value


def _number(value: Any, most: int = LARGEST) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:  # True and False are 1 and 0
        raise ValueError("not a number")
    return value
