"""Archives: opened by one strict reader, each file made harmless by the policy, and written anew.

ZIP, tar, gzip, bzip2 and xz keep their format, and come back as they were when nothing in them changed.  RAR and 7z are
always delivered as a ZIP of what was seen in them: their formats have corners that only their own programs read.
Refused: "ambiguous" for what programs read differently (headers that disagree, names that stand twice or lead
elsewhere, links, devices, data before or behind the archive), "encrypted", "damaged", "over-limit", "not-understood".
"""

from __future__ import annotations

from mailguard.formats import magic as signatures
from mailguard.formats.archive.files import disarmed
from mailguard.formats.budget import TooLarge, Unreadable
from mailguard.formats.disarmed import Disarmed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailguard.formats.archive.files import File
    from mailguard.formats.disarmed import Options

    Reader = Callable[[bytes, Options], list[File]]
    Writer = Callable[[list[File]], bytes]

# Modules with `read` and `write`.
_FORMATS: dict[str, tuple[str, str]] = {
    signatures.ZIP: ("zips", "zips"),
    signatures.TAR: ("tars", "tars"),
    signatures.GZIP: ("gzips", "gzips"),
    signatures.BZIP2: ("bzips", "bzips"),
    signatures.XZ: ("xzs", "xzs"),
    signatures.RAR: ("foreign", "zips"),
    signatures.SEVEN_ZIP: ("foreign", "zips"),
}
_EXTENSIONS = {
    signatures.ZIP: "zip",
    signatures.TAR: "tar",
    signatures.GZIP: "gz",
    signatures.BZIP2: "bz2",
    signatures.XZ: "xz",
}


def disarm(content: bytes, mime: str, options: Options) -> Disarmed:
    """Make an archive of this type harmless; a file that is held is replaced by what `options.member` gives.

    The file in a gzip is called as the archive (`options.names`) without its ending.
    """
    mime = mime.partition(";")[0].strip().lower()
    if mime not in _FORMATS:
        raise Refused("unknown-type")
    source, target = _FORMATS[mime]
    try:
        files = _reader(source)(content, options)
    except TooLarge as error:
        raise Refused("over-limit") from error
    except Unreadable as error:
        raise Refused("ambiguous") from error
    written, removed = disarmed(files, options.deeper())
    delivered = signatures.ZIP if source != target else mime
    if source != target:
        removed.add("repacked")
    if any(file.opened for file in files):
        removed.add("encryption")
    if not removed:
        return Disarmed(content, mime, _EXTENSIONS[mime])
    return Disarmed(_writer(target)(written), delivered, _EXTENSIONS[delivered], tuple(removed))


def _reader(name: str) -> Reader:
    from importlib import import_module

    reader: Reader = import_module(f"mailguard.formats.archive.{name}").read
    return reader


def _writer(name: str) -> Writer:
    from importlib import import_module

    writer: Writer = import_module(f"mailguard.formats.archive.{name}").write
    return writer
