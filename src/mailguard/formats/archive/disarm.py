"""Archives: opened by one strict reader, each file made harmless by the policy, and written anew.

ZIP, tar, gzip, bzip2 and xz keep their format, and come back as they were when nothing in them changed.  RAR, 7z and
CAB are always delivered as a ZIP of what was seen in them: they have corners that only their own programs read.
Refused: "ambiguous" for what programs read differently (headers that disagree, names that stand twice or lead
elsewhere, links out of the archive, devices, data before or behind the archive), "encrypted", "damaged", "over-limit",
"not-understood".
"""

from __future__ import annotations

from mailguard.formats import magic
from mailguard.formats.archive.entries import DamagedArchive
from mailguard.formats.archive.files import ArchiveFile, disarmed
from mailguard.formats.budget import TooLarge, Unreadable
from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.archive.zip import ZipEntry
    from mailguard.formats.disarmed import Options

_EXTENSIONS = {magic.ZIP: "zip", magic.TAR: "tar", magic.GZIP: "gz", magic.BZIP2: "bz2", magic.XZ: "xz"}
_FOREIGN = frozenset({magic.RAR, magic.SEVEN_ZIP, magic.CAB})
_CANDIDATES = 32


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:
    """Make an archive of this type harmless; a file that is held is replaced by what `options.member` gives.

    The file in a gzip is called as the archive (`options.names`) without its ending.
    """
    mime = mime.partition(";")[0].strip().lower()
    if mime not in _EXTENSIONS and mime not in _FOREIGN:
        raise Refused("unknown-type")
    target = magic.ZIP if mime in _FOREIGN else mime
    try:
        files = _files(content, mime, options)
    except TooLarge as error:
        raise Refused("over-limit") from error
    except Unreadable as error:
        raise Refused("damaged" if isinstance(error, DamagedArchive) else "ambiguous") from error
    written, removed = disarmed(files, options.deeper())
    if target != mime:
        removed.add("repacked")
    if any(file.opened for file in files):
        removed.add("encryption")
    if not removed:
        return Disarmed(content, mime, _EXTENSIONS[mime])
    return Disarmed(_written(written, target), target, _EXTENSIONS[target], tuple(removed))


def _files(content: bytes, mime: str, options: Options) -> list[ArchiveFile]:
    """Read all files; raise Unreadable, TooLarge or Refused."""
    if mime in _FOREIGN:
        from mailguard.formats.archive import foreign

        return foreign.read(content, options)
    from mailguard.formats.archive import zip as zips
    from mailguard.formats.archive.look import read

    files = []
    for entry in read(Content.of(content), options.names, options.quota, mime):
        data = None
        if isinstance(entry, zips.ZipEntry) and entry.encrypted:
            data = _opened(content, entry, options)
        elif entry.file:
            data = b"".join(options.quota.counted(entry.unpacked()))
        path = next((name for name in entry.names if "\ufffd" not in name), entry.path) if entry.path else ""
        path = path.rstrip("/\\") if data is None else path
        files.append(
            ArchiveFile(path, data, entry.names, entry.modified, opened=entry.encrypted, link=entry.link is not None)
        )
    return files


def _opened(content: bytes, entry: ZipEntry, options: Options) -> bytes:
    """Try the candidates for the password; Refused("encrypted") when none fits."""
    import io
    import lzma
    import zlib

    import pyzipper

    options.quota.count_octets(entry.size)
    for password in options.passwords[:_CANDIDATES]:
        try:
            with pyzipper.AESZipFile(io.BytesIO(content)) as archive:
                info = next(info for info in archive.infolist() if info.header_offset == entry.header)
                with archive.open(info, pwd=password) as file:
                    data: bytes = file.read(entry.size + 1)
        except (
            RuntimeError,
            StopIteration,
            pyzipper.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            ValueError,
            LookupError,
            EOFError,
            OSError,
        ):
            continue
        if len(data) == entry.size:
            return data
    raise Refused("encrypted")


def _written(files: list[ArchiveFile], mime: str) -> bytes:
    from mailguard.formats.archive import streams, tars
    from mailguard.formats.archive import zip as zips

    if mime == magic.ZIP:
        return zips.write(files)
    return tars.write(files) if mime == magic.TAR else streams.write(files, mime)
