"""ZIP in and out: read only where the directory, the local headers and Python's own reader say the same."""

from __future__ import annotations

from mailguard.formats.archive import zip as strict
from mailguard.formats.archive.files import File
from mailguard.formats.budget import Unreadable
from mailguard.formats.disarmed import Refused
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    import zipfile

    from mailguard.formats.disarmed import Options

_CANDIDATES = 32
_DESCRIPTOR = 24
_BOMB = 16 << 20
_RATIO = 500
_FIRST_YEAR = 1980


def read(content: bytes, options: Options) -> list[File]:
    """Return all files; raise Unreadable, TooLarge or Refused."""
    entries = strict.entries(Content.of(content))
    _check_frame(content, entries)
    infos = _infos(content, entries)
    files = []
    for entry in entries:
        options.quota.count_member()
        info = infos[entry.header]
        _check_kind(info)
        if any(name.startswith("/") or ".." in name.split("/") for name in entry.names):
            raise Refused("ambiguous")
        if entry.directory:
            files.append(File(_path(entry).rstrip("/"), None, modified=_seconds(info)))
        else:
            data = _opened(content, info, options) if entry.encrypted else _data(content, entry, options)
            files.append(File(_path(entry), data, entry.names, _seconds(info), opened=entry.encrypted))
    return files


def _check_frame(content: bytes, entries: list[strict.Entry]) -> None:
    """Raise Unreadable unless the archive is all there is, and nothing stands between its files."""
    end = content.rfind(b"PK\x05\x06")
    comment = int.from_bytes(content[end + 20 : end + 22], "little")
    if end < 0 or end + 22 + comment != len(content) or b"PK" in content[end + 22 :]:
        raise Unreadable
    position = 0
    for entry in entries:
        if not position <= entry.header <= position + (_DESCRIPTOR if position else 0):
            raise Unreadable
        position = entry.start + entry.packed
    directory = int.from_bytes(content[end + 16 : end + 20], "little")
    if directory != 0xFFFFFFFF and not position <= directory <= position + _DESCRIPTOR:
        raise Unreadable


def _infos(content: bytes, entries: list[strict.Entry]) -> dict[int, zipfile.ZipInfo]:
    """Read again by Python's reader; both must see the same files at the same places."""
    import io
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = {info.header_offset: info for info in archive.infolist()}
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        LookupError,
        EOFError,
        OSError,
        OverflowError,
    ) as error:
        raise Unreadable from error
    same = all(
        (info := infos.get(entry.header)) and (info.file_size, info.compress_size) == (entry.size, entry.packed)
        for entry in entries
    )
    if not same or len(infos) != len(entries):
        raise Unreadable
    return infos


def _check_kind(info: zipfile.ZipInfo) -> None:
    """Only files and directories: what Unix calls a link or a device is neither."""
    kind = info.external_attr >> 28
    if kind not in {0, 0o4, 0o10}:
        raise Refused("ambiguous")


def _path(entry: strict.Entry) -> str:
    return next((name for name in entry.names if "\ufffd" not in name), entry.name)


def _seconds(info: zipfile.ZipInfo) -> int | None:
    import calendar

    try:
        return calendar.timegm((*info.date_time, 0, 0, 0))
    except (ValueError, OverflowError):
        return None


def _data(content: bytes, entry: strict.Entry, options: Options) -> bytes:
    if entry.method not in {0, 8}:
        raise Refused("not-understood")
    if entry.size > _BOMB and entry.packed * _RATIO < entry.size:
        raise Refused("over-limit")
    pieces = []
    for piece in strict.pieces(Content.of(content), entry):
        options.quota.count_octets(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def _opened(content: bytes, info: zipfile.ZipInfo, options: Options) -> bytes:
    """Try the candidates for the password; Refused("encrypted") when none fits."""
    import io
    import lzma
    import zlib

    import pyzipper

    options.quota.count_octets(info.file_size)
    for password in options.passwords[:_CANDIDATES]:
        try:
            with pyzipper.AESZipFile(io.BytesIO(content)) as archive, archive.open(info.filename, pwd=password) as file:
                data: bytes = file.read(info.file_size + 1)
        except (
            RuntimeError,
            pyzipper.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            ValueError,
            LookupError,
            EOFError,
            OSError,
            NotImplementedError,
        ):
            continue
        if len(data) == info.file_size:
            return data
    raise Refused("encrypted")


def write(files: list[File]) -> bytes:
    """Return a ZIP of these files, always the same octets for the same files."""
    import io
    import time
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in files:
            moment = time.gmtime(file.modified if file.modified is not None and 0 <= file.modified < 1 << 32 else 0)
            date = moment[:6] if moment[0] >= _FIRST_YEAR else (1980, 1, 1, 0, 0, 0)
            path = file.path.removeprefix("./")
            info = zipfile.ZipInfo(path if file.data is not None else f"{path}/", date)
            info.create_system = 3
            info.external_attr = 0o100644 << 16 if file.data is not None else 0o40755 << 16 | 0x10
            archive.writestr(info, file.data or b"", zipfile.ZIP_DEFLATED if file.data else zipfile.ZIP_STORED)
    return buffer.getvalue()
