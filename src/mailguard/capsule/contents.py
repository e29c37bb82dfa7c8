"""What a capsule is built from, and what an opened one gives back."""

from __future__ import annotations

from mailguard.capsule.comment import Comment, find
from mailguard.capsule.manifest import FORMAT, LARGEST, File, Item, Manifest
from mailguard.capsule.names import RESERVED, safe_name, unique_names
from mailguard.errors import ContentLimit, DataError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import zipfile
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from mailguard.capsule.pieces import Pieces
    from mailguard.message.content import Content

__all__ = ["Comment", "File", "Item", "Opened", "build", "find", "open", "safe_name"]

_MANIFEST = f"{RESERVED}/manifest.json"
_SKELETON = f"{RESERVED}/skeleton"
_LARGEST_MANIFEST = 1 << 24
_LARGEST_RATIO = 5000  # deflate 1,032 times, base64 in lines of one character 4 times: what we hold must come out again
_FIRST_MOMENT, _LAST_MOMENT = 315532800, 4354819198  # 1980 to 2107, what a ZIP can say


def build(  # noqa: PLR0913 (what a capsule depends on)
    original: bytes,
    items: Sequence[Item],
    *,
    capsule_id: str,
    password: bytes,
    salt_key: bytes,
    mac: Callable[[bytes], bytes],
    when: int,
    information: Mapping[str, Any],
    digest: bytes | None = None,
) -> Pieces:
    """Return the capsule of `original`, the message as it was first read; same arguments, same bytes.

    capsule_id: letters, digits and hyphens, at most 64; password: not empty; salt_key, mac (bytes -> 32 bytes): of the
    site; when: Unix time; information: about the message, JSON-able; digest: SHA-256 of the original, if it is known.
    A message held whole is one item with the span of the whole message and the recipe {"encoding": "identity"}.
    What cannot be restored by recipe stays in the skeleton, so every capsule gives back its original: an item's recipe
    is not used when it does not reproduce the bytes at its span, or when the span overlaps an earlier or outer one.
    ContentLimit when it would be too large for a ZIP (2 GiB).
    """
    from mailguard.capsule import comment, inner, outer

    if len(original) + sum(len(item.data) for item in items) > LARGEST // 2:
        raise ContentLimit("limit.size")
    moment = _moment(when)
    plain = inner.write(_contents(original, digest, items, capsule_id, when, information), moment)
    salt = _salt(salt_key, capsule_id, plain)
    capsule = outer.encrypt(plain, password, salt, moment, comment.unsigned(FORMAT, capsule_id))
    comment.sign(capsule, mac)
    return capsule


def open(data: bytes, password: bytes) -> Opened:  # noqa: A001 (as gzip.open and zipfile's are)
    """Open the capsule in `data`, which may have other bytes around it.

    DataError, with one line that says why: no ZIP, not ours, made by a newer mailguard, wrong password, damaged.  The
    MAC is not looked at: whoever needs to know who made it asks `find(data).authentic`.
    """
    found = find(data)
    if found is None:
        raise DataError(_why_not(data))
    if found.version != FORMAT:
        raise DataError(f"this capsule has format version {found.version}, which is unknown here: a newer mailguard?")
    from mailguard.capsule import outer

    opened = Opened(outer.decrypt(data[found.start : found.end], password))
    if opened.manifest.id != found.id:
        raise DataError("the ZIP is damaged: its comment belongs to another one")
    return opened


class Opened:
    """A capsule whose password was right.  Content is read when asked for; DataError when it is damaged.

    manifest: what it says about the message and the files, types and sizes checked.
    """

    __slots__ = ("_archive", "manifest")

    manifest: Manifest

    def __init__(self, plain: bytes) -> None:
        import io
        import zipfile

        from mailguard.capsule import manifest
        from mailguard.capsule.guard import guarded

        with guarded("the ZIP opens, but its inner ZIP is damaged"):
            self._archive: zipfile.ZipFile = zipfile.ZipFile(io.BytesIO(plain))
        with guarded("the ZIP opens, but its manifest is damaged"):
            size = self._archive.getinfo(_MANIFEST).file_size
            if size > _LARGEST_MANIFEST:
                raise DataError("the ZIP opens, but its manifest is too large")
            self.manifest = manifest.parse(self._read(_MANIFEST, size))
            if self.manifest.length > _LARGEST_RATIO * len(plain) + _LARGEST_MANIFEST:
                raise DataError("the ZIP opens, but the message in it is larger than it can be")

    @property
    def files(self) -> Sequence[File]:
        """The files, in the order in which they were given."""
        return self.manifest.files

    def read(self, file: File) -> bytes:
        """Return the content of one of `files`."""
        return self._read(file.stored, file.size)

    def items(self) -> list[Item]:
        """Return the items from which this capsule was built, so that another can be built with more of them."""
        return [
            Item(file.name, self.read(file), metadata=file.metadata, span=file.span, recipe=file.recipe)
            for file in self.files
        ]

    def restore(self) -> bytes:
        """Return the original message, byte for byte; DataError unless its length and SHA-256 are the right ones."""
        import hashlib

        original = b"".join(self._segments())
        if len(original) != self.manifest.length or hashlib.sha256(original).hexdigest() != self.manifest.sha256:
            raise DataError("the ZIP opens, but the message in it is damaged: its SHA-256 is wrong")
        return original

    def _segments(self) -> list[bytes]:
        from mailguard.capsule.guard import guarded
        from mailguard.message.encoding import encode

        skeleton = self._read(_SKELETON, self.manifest.skeleton_size)
        position = length = 0
        pieces = []
        with guarded("the ZIP opens, but its manifest does not fit its files"):
            for octets, index in self.manifest.segments:
                if index is None:
                    piece = skeleton[position : position + octets]
                    position += octets
                else:
                    piece = encode(self.read(self.files[index]), dict(self.files[index].recipe or {}))
                pieces.append(piece)
                length += len(piece)
                if length > self.manifest.length:
                    raise DataError("the ZIP opens, but the message in it is longer than it should be")
        return pieces

    def _read(self, name: str, size: int) -> bytes:
        """Read an entry that must have exactly `size` octets: no more than these are ever expanded."""
        from mailguard.capsule.guard import guarded

        with guarded("the ZIP opens, but a file in it is damaged"):
            entry = self._archive.getinfo(name)
            if entry.file_size != size:
                raise DataError("the ZIP opens, but a file in it has another size than its manifest says")
            with self._archive.open(entry) as reader:
                content = reader.read(size)
                if len(content) != size or reader.read(1):
                    raise DataError("the ZIP opens, but a file in it is damaged")
                return content


def _contents(
    original: bytes,
    digest: bytes | None,
    items: Sequence[Item],
    identifier: str,
    when: int,
    information: Mapping[str, Any],
) -> list[tuple[str, bytes | Content]]:
    """Return names and contents of the inner ZIP's entries."""
    import hashlib

    names = unique_names(item.name for item in items)
    cut = _cut(original, items)
    recipes = {index: items[index].recipe for index in cut}
    segments, skeleton = _segments(original, [(index, *_span(items[index])) for index in cut])
    manifest = Manifest(
        identifier=identifier,
        time=when,
        length=len(original),
        sha256=(digest or hashlib.sha256(original).digest()).hex(),
        segments=segments,
        files=[File(item, names[index], len(item.data), recipe=recipes.get(index)) for index, item in enumerate(items)],
        information=information,
    )
    files: list[tuple[str, bytes | Content]] = [(names[index], item.data) for index, item in enumerate(items)]
    return [*files, (_MANIFEST, manifest.as_json()), (_SKELETON, skeleton)]


def _cut(original: bytes, items: Sequence[Item]) -> list[int]:
    """Return the indices of the items that are cut out of the original, in its order, without overlap."""
    chosen = []
    covered = 0
    candidates = [index for index, item in enumerate(items) if item.recipe is not None and item.span is not None]
    for index in sorted(candidates, key=lambda index: (_span(items[index])[0], -_span(items[index])[1], index)):
        start, end = _span(items[index])
        if covered <= start <= end <= len(original) and _reproduces(items[index], original):
            chosen.append(index)
            covered = end
    return chosen


def _reproduces(item: Item, original: bytes) -> bool:
    """Tell whether encoding again gives the bytes of the original: believed only when seen."""
    from mailguard.message.encoding import reproduces

    return reproduces(item.data, item.recipe or {}, original, *_span(item))


def _segments(original: bytes, cut: Sequence[tuple[int, int, int]]) -> tuple[list[tuple[int, int | None]], bytes]:
    """Return the segments of the original, and the skeleton: what the (index, start, end) of `cut` leave of it."""
    segments: list[tuple[int, int | None]] = []
    pieces = []
    position = 0
    for index, start, end in [*cut, (None, len(original), len(original))]:
        if start > position:
            segments.append((start - position, None))
            pieces.append(original[position:start])
        if index is not None:
            segments.append((0, index))
        position = end
    return segments, b"".join(pieces)


def _span(item: Item) -> tuple[int, int]:
    return item.span or (0, 0)


def _salt(key: bytes, identifier: str, plain: Pieces) -> bytes:
    """Derive the 16 bytes of salt from what is encrypted.

    Random salt would make a second variant of the same mail at each retry.  A fixed one, or one from the id alone,
    could meet the same password with other content (a fixed password; a retry after an upgrade of zlib), and AES in
    counter mode gives both texts away when it encrypts them with the same key.  So the salt depends on every byte of
    what is encrypted: equal salt, equal text.  The key keeps it from being a test of guesses about the content.
    """
    import hashlib
    import hmac

    code = hashlib.sha256()
    for piece in plain:
        code.update(piece)
    text = b"mailguard capsule salt 1\0" + identifier.encode("ascii") + b"\0" + code.digest()
    return hmac.digest(key, text, "sha256")[:16]


def _moment(when: int) -> tuple[int, ...]:
    import time

    return time.gmtime(min(max(when, _FIRST_MOMENT), _LAST_MOMENT))[:6]


def _why_not(data: bytes) -> str:
    start = data.find(b"PK\x03\x04")
    if start < 0:
        return "this is not a ZIP"
    if b"mailguard-capsule " in data or b"attachments.zip" in data[start : start + 64]:
        return "the ZIP is damaged: its end is missing or was changed"
    return "this ZIP was not made by mailguard"
