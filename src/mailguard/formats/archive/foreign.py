"""RAR, 7z and CAB, read by libarchive; 7z with a password by py7zr.

Both work in a child process, which gives a plain ZIP of what it saw; that is read like any other ZIP.
"""

from __future__ import annotations

from mailguard.formats import magic
from mailguard.formats.archive import listing
from mailguard.formats.archive import zip as zips
from mailguard.formats.archive.files import ArchiveFile
from mailguard.formats.budget import TooLarge, Unreadable
from mailguard.formats.confined import confined
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mailguard.formats.disarmed import Options

_MARKS = {b"Rar!\x1a\x07": magic.RAR, b"7z\xbc\xaf\x27\x1c": magic.SEVEN_ZIP, b"MSCF": magic.CAB}
_PIECE = 1 << 16
_CANDIDATES = 32
_ENCRYPTION = "encryption"


def read(content: bytes, options: Options) -> list[ArchiveFile]:
    """Return all files; raise Unreadable or Refused.

    Unreadable as well where our own reader counts other entries: an archive is what all readers see in it.
    """
    mime = _mime(content)
    listed = list(listing.entries(Content.of(content), mime))
    packed = confined(_packed, content, options)
    inside = Content.of(packed.data)
    opened = _ENCRYPTION in packed.removed
    found = zips.read(inside, (), options.quota)
    if mime != magic.SEVEN_ZIP and len(listed) != len(found):
        raise Unreadable
    names = listed if mime != magic.SEVEN_ZIP else [""] * len(found)
    return [
        ArchiveFile(
            entry.path.rstrip("/"),
            b"".join(options.quota.counted(entry.unpacked())) if entry.file else None,
            (*entry.names, *filter(None, [str(name)])),
            entry.modified,
            opened=opened,
        )
        for entry, name in zip(found, names, strict=True)
    ]


def _mime(content: bytes) -> str:
    for mark, mime in _MARKS.items():
        if content.startswith(mark):
            return mime
    raise Unreadable


def _packed(content: bytes, options: Options) -> Disarmed:
    try:
        return Disarmed(zips.write(_read(content, options)), magic.ZIP, "zip")
    except Refused as refused:
        if refused.code != "encrypted" or _mime(content) != magic.SEVEN_ZIP:
            raise
    return Disarmed(zips.write(_opened(content, options)), magic.ZIP, "zip", (_ENCRYPTION,))


def _read(content: bytes, options: Options) -> list[ArchiveFile]:
    if _encrypted(content):
        raise Refused("encrypted")
    import locale

    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # libarchive gives names in the encoding of the locale
    try:
        import libarchive
    except (ImportError, OSError, AttributeError, TypeError) as error:
        raise Refused("program-missing") from error
    try:
        with libarchive.memory_reader(content, _format(content)) as entries:
            return list(_files(entries, options))
    except (libarchive.ArchiveError, ValueError, OverflowError, LookupError) as error:
        raise Refused("encrypted" if "crypt" in str(error).lower() else "damaged") from error


def _format(content: bytes) -> str:
    mime = _mime(content)
    if mime == magic.RAR:
        return "rar5" if content[6:7] == b"\x01" else "rar"
    return "7zip" if mime == magic.SEVEN_ZIP else "cab"


def _encrypted(content: bytes) -> bool:
    try:
        return listing.ENCRYPTED in listing.entries(Content.of(content), _mime(content))
    except (Unreadable, TooLarge, ValueError, LookupError):
        return False


def _files(entries: Iterable[Any], options: Options) -> Iterable[ArchiveFile]:
    for entry in entries:
        options.quota.count_member()
        path = entry.pathname
        if not isinstance(path, str) or not path:
            raise Refused("ambiguous")
        modified = int(entry.mtime) if entry.mtime else None
        if entry.isdir:
            yield ArchiveFile(path.rstrip("/"), None, modified=modified)
        elif entry.isreg and not entry.islnk:
            if entry.size:
                _check_room(entry.size, options)
            yield ArchiveFile(path, _data(entry, options), modified=modified)
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


def _opened(content: bytes, options: Options) -> list[ArchiveFile]:
    """Try the candidates for the password of a 7z; Refused("encrypted") when none fits."""
    import py7zr.exceptions

    for password in options.passwords[:_CANDIDATES]:
        try:
            return _decrypted(content, password.decode("utf-8"), options)
        except py7zr.exceptions.DecompressionBombError as error:
            raise Refused("over-limit") from error
        except (Refused, MemoryError):
            raise
        except Exception:  # noqa: BLE001, S112 (with a wrong password anything may be read)
            continue
    raise Refused("encrypted")


def _decrypted(content: bytes, password: str, options: Options) -> list[ArchiveFile]:
    import io

    import py7zr
    from py7zr.io import BytesIOFactory

    room = options.quota.octets
    with py7zr.SevenZipFile(io.BytesIO(content), password=password, max_extract_size=room) as archive:
        infos = archive.list()
        if len(infos) > options.quota.members or sum(info.uncompressed for info in infos) > room:
            raise Refused("over-limit")
        if any(info.is_symlink or not (info.is_file or info.is_directory) for info in infos):
            raise Refused("ambiguous")
        factory = BytesIOFactory(room)
        archive.extractall(factory=factory)
    return [
        ArchiveFile(info.filename, None if info.is_directory else factory.products[info.filename].read())
        for info in infos
    ]
