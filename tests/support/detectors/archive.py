"""Archives: what Python, bsdtar (libarchive), 7-Zip and unar list and unpack, and where they do not agree."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import subprocess
import tarfile
import tempfile
import zipfile
import zlib

BEGIN = {b"PK": "zip", b"7z\xbc\xaf": "7z", b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ": "xz"}


def kind(content: bytes) -> str:
    """The kind of archive, by its begin; "" for none."""
    for begin, name in BEGIN.items():
        if content.startswith(begin):
            return name
    return "tar" if content[257:262] == b"ustar" else ""


def files(content: bytes) -> dict[str, bytes]:
    """All files, those of archives within too, as Python's own modules read them."""
    found: dict[str, bytes] = {}
    waiting = [("", content)]
    while waiting:
        around, data = waiting.pop()
        inside = _unpacked(data)
        if not inside:
            found[around] = data
        waiting += [(f"{around}/{name}", one) for name, one in inside.items()]
    return found


def _unpacked(data: bytes) -> dict[str, bytes]:
    match kind(data):
        case "zip":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return {name: archive.read(name) for name in archive.namelist()}
        case "tar":
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                return {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}
        case "gz":
            return {"": gzip.decompress(data)}
        case "bz2":
            return {"": bz2.decompress(data)}
        case "xz":
            return {"": lzma.decompress(data)}
    return {}


def programs(content: bytes) -> list[str]:
    """Files that begin as a program of Windows or DOS does."""
    return [name for name, data in files(content).items() if data.startswith(b"MZ")]


def unpacked_programs(*command: str):
    """A detector: programs among what another program unpacks; "{}": the archive, "{folder}": the folder."""

    def detector(content: bytes) -> list[str]:
        if not kind(content):
            return []
        with tempfile.TemporaryDirectory(prefix="mailguard-unpacked-") as folder:
            path = os.path.join(folder, f"archive.{kind(content)}")
            with open(path, "wb") as file:
                file.write(content)
            arguments = [one.replace("{}", path).replace("{folder}", f"{folder}/out") for one in command]
            os.mkdir(f"{folder}/out")
            subprocess.run(arguments, check=True, capture_output=True, cwd=f"{folder}/out", timeout=60)
            found = [os.path.join(at, name) for at, _, names in os.walk(f"{folder}/out") for name in names]
            return [name for name in found if open(name, "rb").read(2) == b"MZ"]

    return detector


def _said(content: bytes, *command: str, piped: bool = False) -> str:
    """What a program says of the file; piped: it cannot look at its end first."""
    with tempfile.TemporaryDirectory(prefix="mailguard-archive-") as folder:
        path = os.path.join(folder, f"archive.{kind(content) or 'zip'}")
        with open(path, "wb") as file:
            file.write(content)
        arguments = [*command, "-"] if piped else [*command, path]
        done = subprocess.run(arguments, input=content, check=False, stdout=-1, stderr=subprocess.STDOUT, timeout=60)
        return done.stdout.decode("utf-8", "replace")


def listed(content: bytes) -> dict[str, list[str]]:
    """The names that each reader lists; not what it complains about."""
    if not kind(content):
        return {}
    return {
        "bsdtar": _names(_said(content, "bsdtar", "-tf")),
        "bsdtar from a pipe": _names(_said(content, "bsdtar", "-tf", piped=True)),
        "7-Zip": re.findall(r"^Path = (.*)", _said(content, "7z", "l", "-ba", "-slt"), re.MULTILINE),
        "unar": _names(_said(content, "lsar", "-nr"))[1:],
        "Python": _python_names(content),
    }


def _names(said: str) -> list[str]:
    return [line for line in said.splitlines() if not line.startswith(("bsdtar: ", "Archive parsing failed"))]


def _python_names(content: bytes) -> list[str]:
    try:
        if kind(content) == "zip":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return archive.namelist()
        if kind(content) == "tar":
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                return archive.getnames()
    except (OSError, tarfile.TarError, zipfile.BadZipFile):
        pass
    return []


def disagreement(content: bytes) -> dict[str, list[str]]:
    """Lists of names, when they differ between readers."""
    found = listed(content) if kind(content) in {"zip", "tar"} else {}
    return found if len({tuple(names) for names in found.values()}) > 1 else {}


def elsewhere(content: bytes) -> list[str]:
    """Names that any reader lists and that lead out of the folder in which an archive is unpacked."""
    names = [name for names in listed(content).values() for name in names]
    return [name for name in names if re.match(r"[/\\]|[A-Za-z]:|.*(?:^|[/\\])\.\.(?:[/\\]|$)", name)]


def clashes(content: bytes) -> list[str]:
    """Names that stand twice, or once as a file and once as a folder, as bsdtar lists them."""
    names = listed(content).get("bsdtar", [])
    return [name for name in names if names.count(name) > 1 or any(one.startswith(f"{name}/") for one in names)]


def special(content: bytes) -> list[str]:
    """Links and devices, by the type that bsdtar shows."""
    lines = _names(_said(content, "bsdtar", "-tvf")) if kind(content) in {"zip", "tar"} else []
    return [line for line in lines if line[0] in "lhbcps"]


def sparse(content: bytes) -> list[str]:
    """Files of a tar of which only pieces are stored, as Python reads them."""
    if kind(content) != "tar":
        return []
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return [one.name for one in archive if one.issparse()]


def second_tar(content: bytes) -> list[str]:
    """Files behind the end of a tar."""
    if kind(content) != "tar":
        return []
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as one,
        tarfile.open(fileobj=io.BytesIO(content), ignore_zeros=True) as all_,
    ):
        return sorted(set(all_.getnames()) - set(one.getnames()))


def behind(content: bytes) -> bytes:
    """What follows the end of compressed content, as Python's modules see it: a second one, or anything."""
    match kind(content):
        case "gz":
            stream = zlib.decompressobj(31)
        case "bz2":
            stream = bz2.BZ2Decompressor()
        case "xz":
            stream = lzma.LZMADecompressor()
        case _:
            return b""
    stream.decompress(content)
    return stream.unused_data


def binary_size(content: bytes) -> bool:
    """A size that not every program reads (base 256)."""
    return kind(content) == "tar" and bool(content[124] & 0x80)


def other_names(content: bytes) -> list[bytes]:
    """Second names of files of a ZIP (the field 0x7075)."""
    if kind(content) != "zip":
        return []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [one.extra for one in archive.infolist() if one.extra.startswith(b"up")]


def around(content: bytes) -> list[str]:
    """What 7-Zip says of data before or behind an archive."""
    said = _said(content, "7z", "t") if zipfile.is_zipfile(io.BytesIO(content)) else ""
    return re.findall(r"^(?:ERRORS?|WARNINGS?):?.*", said, re.MULTILINE)


EXTRACTED = unpacked_programs("7z", "x", "-y", "-o{folder}", "{}")
BY_BSDTAR = unpacked_programs("bsdtar", "-xf", "{}", "-C", "{folder}")
DETECTORS = {
    "program in a ZIP": (programs, EXTRACTED, BY_BSDTAR),
    "program under another name in a ZIP": (programs, EXTRACTED, BY_BSDTAR),
    "program in a ZIP in a ZIP": (programs,),
    "program in a tar": (programs, EXTRACTED, BY_BSDTAR),
    "program in a compressed tar": (programs, BY_BSDTAR),
    "program in gzip": (programs, EXTRACTED),
    "program in bzip2": (programs, EXTRACTED),
    "program in xz": (programs, EXTRACTED),
    "program in 7z": (EXTRACTED, BY_BSDTAR),
    "ZIP of two names": (disagreement,),
    "ZIP with a hidden file": (disagreement,),
    "ZIP behind something": (around,),
    "ZIP before something": (around,),
    "two ZIPs": (disagreement,),
    "ZIP to the folder above": (elsewhere,),
    "ZIP to the root": (elsewhere,),
    "ZIP to a drive": (elsewhere,),
    "ZIP to the folder above by backslashes": (elsewhere, disagreement),
    "ZIP with a link": (special,),
    "tar with a link": (special,),
    "tar with a hard link": (special,),
    "tar with a device": (special,),
    "tar with two of a name": (clashes,),
    "tar with a file as a folder": (clashes,),
    "tar with an odd number": (disagreement,),
    "tar with an underscore in a number": (disagreement,),
    "tar with a binary number": (binary_size,),
    "tar with a sparse file": (sparse,),
    "ZIP with a file as a folder": (clashes,),
    "ZIP with another name beside": (other_names,),
    "gzip to the folder above": (elsewhere,),
    "two tars": (second_tar,),
    "gzip before something": (behind,),
    "ZIP with a link to the folder above": (special,),
    "ZIP with a device": (special,),
    "tar with a link to the folder above": (special,),
    "tar with a file behind a link": (clashes,),
    "bzip2 before something": (behind,),
    "xz before something": (behind,),
}
