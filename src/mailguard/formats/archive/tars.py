"""tar (POSIX.1 ustar and pax, GNU long names) in and out: files, directories, and links within the archive."""

from __future__ import annotations

from mailguard.formats.archive.entries import ArchiveEntry, DamagedArchive, checked
from mailguard.formats.budget import TooLarge, Unreadable, Window
from mailguard.formats.magic import tar_checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailguard.formats.archive.files import ArchiveFile
    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

_BLOCK = 512
_LONGEST_NAME = 4096
_EXTENDED = 1 << 16
# Records of a pax header that say nothing about where a file is, what it is called or how long it is.
_HARMLESS = frozenset({"atime", "ctime", "mtime", "uid", "gid", "uname", "gname", "comment", "charset", "hdrcharset"})
_HARMLESS_FAMILIES = ("LIBARCHIVE.", "SCHILY.xattr.", "SCHILY.fflags", "SCHILY.dev", "SCHILY.ino", "SCHILY.nlink")


class _Extension:
    """What headers before a file say about it."""

    __slots__ = ("link", "long_link", "long_name", "path", "size")

    def __init__(self) -> None:
        self.link: str | None = None
        self.long_link: str | None = None
        self.long_name: str | None = None
        self.path: str | None = None
        self.size: int | None = None


def read(content: Content, _names: Sequence[str], quota: Quota) -> list[ArchiveEntry]:
    """Return what is in the archive; raise Unreadable or TooLarge."""
    entries: list[ArchiveEntry] = []
    extension = _Extension()
    position = 0
    while (header := content.read(position, _BLOCK)).strip(b"\0"):
        if len(header) < _BLOCK or not tar_checksum(header):
            raise Unreadable
        body = Window(content, position + _BLOCK, _number(header[124:136]))
        position += _BLOCK + -(-_number(header[124:136]) // _BLOCK) * _BLOCK
        if body.size != _number(header[124:136]):
            raise DamagedArchive
        kind = header[156:157]
        if kind in {b"K", b"L", b"x", b"g"}:
            quota.count_octets(_BLOCK)
            _extend(extension, kind, body)
        else:
            quota.count_member()
            entries.append(_entry(header, kind, body, extension))
            extension = _Extension()
    if any(piece.strip(b"\0") for piece in Window(content, position, content.size).chunks()):
        raise Unreadable
    return checked(entries)


def _number(field: bytes) -> int:
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise Unreadable
    return int(digits or b"0", 8)


def _extend(extension: _Extension, kind: bytes, body: Content) -> None:
    if body.size > _EXTENDED:
        raise TooLarge
    data = body.whole()
    if kind in {b"K", b"L"}:
        name = "long_name" if kind == b"L" else "long_link"
        if getattr(extension, name) is not None:
            raise Unreadable
        setattr(extension, name, _text(data.rstrip(b"\0")))
        return
    for name, value in _records(data):
        if name == "path" and kind == b"x" and extension.path is None:
            extension.path = value
        elif name == "linkpath" and kind == b"x" and extension.link is None:
            extension.link = value
        elif name == "size" and kind == b"x" and value.isascii() and value.isdigit() and len(value) < 20:
            extension.size = int(value)
        elif name not in _HARMLESS and not name.startswith(_HARMLESS_FAMILIES):
            raise Unreadable


def _records(data: bytes) -> list[tuple[str, str]]:
    """Read the records of a pax header: length, name and value of each."""
    records = []
    position = 0
    while position < len(data):
        digits, space, _ = data[position : position + 8].partition(b" ")
        if not space or not digits.isdigit() or not int(digits):
            raise Unreadable
        name, equals, value = data[position + len(digits) + 1 : position + int(digits)].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise Unreadable
        records.append((_text(name), _text(value[:-1]) if not name.startswith(b"SCHILY.xattr.") else ""))
        position += int(digits)
    return records


def _text(raw: bytes) -> str:
    if len(raw) > _LONGEST_NAME or b"\0" in raw:
        raise Unreadable
    for codec in ("utf-8", "cp932"):
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _entry(header: bytes, kind: bytes, body: Content, extension: _Extension) -> ArchiveEntry:
    name, prefix = (_text(header[part].partition(b"\0")[0]) for part in (slice(100), slice(345, 500)))
    short = f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name
    path = _agreed(extension.path, extension.long_name) or short
    if extension.size not in {None, body.size}:
        raise Unreadable
    modified = _number(header[136:148])
    if kind == b"5" or (kind in {b"0", b"\0"} and path.endswith("/")):
        if body.size:
            raise Unreadable
        return ArchiveEntry(path.rstrip("/"), modified=modified)
    if kind in {b"1", b"2"} and not body.size:
        target = _agreed(extension.link, extension.long_link) or _text(header[157:257].partition(b"\0")[0])
        # Symbolic links (2) start where they stand, hard links (1) at the top of the archive.
        return ArchiveEntry(path, modified=modified, link="../" * path.count("/") * (kind == b"1") + target)
    if kind not in {b"0", b"\0", b"7"}:
        raise Unreadable
    return ArchiveEntry(path, (short, name), place=body, packed=body.size, modified=modified)


def _agreed(pax: str | None, gnu: str | None) -> str:
    """Return what two kinds of long names say; programs that know only one of them must see the same."""
    if pax is not None and gnu is not None and pax != gnu:
        raise Unreadable
    return pax or gnu or ""


def write(files: list[ArchiveFile]) -> bytes:
    """Return a tar (pax where a name needs it) of these files, always the same octets for the same files."""
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            info = tarfile.TarInfo(file.path)
            info.mtime = max(file.modified or 0, 0)
            info.size = len(file.data or b"")
            info.mode = 0o644
            if file.data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(info, io.BytesIO(file.data or b""))
    return buffer.getvalue()
