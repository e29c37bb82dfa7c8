"""tar (POSIX.1 ustar and pax, GNU long names) in and out: only files and directories."""

from __future__ import annotations

from mailguard.formats.archive.files import File
from mailguard.formats.budget import Unreadable
from mailguard.formats.disarmed import Refused
from mailguard.formats.magic import tar_checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

_BLOCK = 512
_LONGEST_NAME = 4096
_EXTENDED = 1 << 16
# Records of a pax header that say nothing about where a file is, what it is called or how long it is.
_HARMLESS = frozenset({"atime", "ctime", "mtime", "uid", "gid", "uname", "gname", "comment", "charset", "hdrcharset"})
_HARMLESS_FAMILIES = ("LIBARCHIVE.", "SCHILY.xattr.", "SCHILY.fflags", "SCHILY.dev", "SCHILY.ino", "SCHILY.nlink")


class _Extension:
    """What headers before a file say about it."""

    __slots__ = ("long_name", "path", "size")

    def __init__(self) -> None:
        self.long_name: str | None = None
        self.path: str | None = None
        self.size: int | None = None


def read(content: bytes, options: Options) -> list[File]:
    """Return all files; raise Unreadable or Refused."""
    files: list[File] = []
    extension = _Extension()
    position = 0
    while header := content[position : position + _BLOCK].rstrip(b"\0"):
        header = content[position : position + _BLOCK]
        if len(header) < _BLOCK or not tar_checksum(header):
            raise Unreadable
        size = _number(header[124:136])
        body = position + _BLOCK
        if body + size > len(content):
            raise Refused("damaged")
        kind = header[156:157]
        if kind in {b"L", b"x", b"g"}:
            options.quota.count_octets(_BLOCK)
            _extend(extension, kind, content[body : body + size])
        else:
            files.append(_file(header, kind, content[body : body + size], extension, options))
            extension = _Extension()
        position = body + -(-size // _BLOCK) * _BLOCK
    if content[position:].strip(b"\0"):
        raise Unreadable
    return files


def _number(field: bytes) -> int:
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise Unreadable
    return int(digits or b"0", 8)


def _extend(extension: _Extension, kind: bytes, data: bytes) -> None:
    if len(data) > _EXTENDED:
        raise Refused("over-limit")
    if kind == b"L":
        if extension.long_name is not None:
            raise Unreadable
        extension.long_name = _text(data.rstrip(b"\0"))
        return
    for name, value in _records(data):
        if name == "path" and kind == b"x" and extension.path is None:
            extension.path = value
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


def _file(header: bytes, kind: bytes, data: bytes, extension: _Extension, options: Options) -> File:
    options.quota.count_member()
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    short = _text(prefix + b"/" + name if prefix else name)
    if extension.path is not None and extension.long_name not in {None, extension.path}:
        raise Unreadable
    path = extension.path or extension.long_name or short
    if extension.size not in {None, len(data)}:
        raise Unreadable
    modified = _number(header[136:148])
    if kind == b"5" or (kind in {b"0", b"\0"} and path.endswith("/")):
        if data:
            raise Unreadable
        return File(path.rstrip("/"), None, modified=modified)
    if kind not in {b"0", b"\0", b"7"}:
        raise Refused("ambiguous")
    options.quota.count_octets(len(data))
    return File(path, data, (short,), modified)


def write(files: list[File]) -> bytes:
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
