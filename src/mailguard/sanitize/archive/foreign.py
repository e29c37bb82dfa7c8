"""RAR and 7z, read by libarchive."""

from __future__ import annotations

from mailguard.attachments import archive as listing
from mailguard.attachments.examination import Quota, TooLarge, Unreadable
from mailguard.message.content import Content
from mailguard.sanitize.archive.files import File
from mailguard.sanitize.disarmed import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mailguard.sanitize.disarmed import Options

_RAR, _SEVEN_ZIP = b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c"
_PIECE = 1 << 16


def read(content: bytes, options: Options) -> list[File]:
    """Return all files; raise Unreadable or Refused."""
    if not content.startswith((_RAR, _SEVEN_ZIP)):
        raise Unreadable
    if _encrypted(content):
        raise Refused("encrypted")
    try:
        import libarchive
    except (ImportError, OSError, AttributeError, TypeError) as error:
        raise Refused("program-missing") from error
    try:
        with libarchive.memory_reader(content, "rar5" if content[6:7] == b"\x01" else _format(content)) as entries:
            return list(_files(entries, options))
    except (libarchive.ArchiveError, ValueError, OverflowError, MemoryError, LookupError) as error:
        raise Refused("encrypted" if "crypt" in str(error).lower() else "damaged") from error


def _format(content: bytes) -> str:
    return "rar" if content.startswith(_RAR) else "7zip"


def _encrypted(content: bytes) -> bool:
    examine = listing.examine_rar if content.startswith(_RAR) else listing.examine_7z
    try:
        return "encrypted-archive" in [
            found for found in examine(Content.of(content), (), Quota()) if found.__class__ is str
        ]
    except (Unreadable, TooLarge, ValueError, LookupError):
        return False


def _files(entries: Iterable[Any], options: Options) -> Iterable[File]:
    for entry in entries:
        options.quota.count_member()
        path = entry.pathname
        if not isinstance(path, str) or not path:
            raise Refused("ambiguous")
        modified = int(entry.mtime) if entry.mtime else None
        if entry.isdir:
            yield File(path.rstrip("/"), None, modified=modified)
        elif entry.isreg and not entry.islnk:
            if entry.size:
                _check_room(entry.size, options)
            yield File(path, _data(entry, options), modified=modified)
        else:
            raise Refused("ambiguous")


def _check_room(size: int, options: Options) -> None:
    if size > options.quota.octets:
        raise Refused("over-limit")


def _data(entry: Any, options: Options) -> bytes:
    pieces = []
    for piece in entry.get_blocks(_PIECE):
        options.quota.count_octets(len(piece))
        pieces.append(bytes(piece))
    return b"".join(pieces)
