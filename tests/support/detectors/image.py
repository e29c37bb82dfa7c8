"""Pictures: Python's zipfile and 7-Zip for what hangs behind them, ExifTool for what is told beside them, Chromium for drawings."""

from __future__ import annotations

import io
import json
import re
import subprocess
import zipfile

from lxml import etree

from detectors.archive import _said
from detectors.chromium import CHROMIUM


def archive(content: bytes) -> list[str]:
    """Names of files in an archive behind the picture."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return []
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return file.namelist()


def archive_for_others(content: bytes) -> list[str]:
    """What 7-Zip lists."""
    said = _said(content, "7z", "l", "-ba", "-slt", "-tzip")
    return [line for line in said.splitlines() if line.startswith("Path = ")]


def told(content: bytes) -> dict[str, object]:
    """Comments, the place, the camera: what ExifTool reads beside the picture itself."""
    command = ["exiftool", "-json", "-a", "-G1", "-"]
    done = subprocess.run(command, input=content, check=True, capture_output=True, timeout=60)
    groups = ("IFD0", "ExifIFD", "GPS", "XMP", "IPTC")
    found = json.loads(done.stdout)[0]
    return {key: value for key, value in found.items() if key.startswith(groups) or key.endswith(":Comment")}


def comments_of_scans(content: bytes) -> list[bytes]:
    """Comments of a JPEG behind its first scan, where no octet 255 stands but before a zero or a marker."""
    scan = content.find(b"\xff\xda")
    return re.findall(rb"\xff\xfe(..)", content[scan:], re.DOTALL) if content.startswith(b"\xff\xd8") else []


def instructions(content: bytes) -> list[str]:
    """Processing instructions of a drawing, as libxml2 reads it."""
    tree = etree.fromstring(content).getroottree()
    return [str(one) for one in tree.xpath("//processing-instruction()")]


def attributes(name: str):
    """A detector: attributes of a drawing with this local name."""
    return lambda content: etree.fromstring(content).xpath(f"//@*[local-name()='{name}']")


TAILS = {f"ZIP behind {kind}": (archive, archive_for_others) for kind in ("BMP", "GIF", "JPEG", "PNG", "WEBP")}
METADATA = {
    "photo": (told,),
    "text in PNG": (told,),
    "comment in GIF": (told,),
    "photo in WEBP": (told,),
    "comment behind a scan": (comments_of_scans,),
}
DRAWINGS = {
    "script": (CHROMIUM,),
    "handler": (CHROMIUM,),
    "foreign": (CHROMIUM,),
    "javascript": (CHROMIUM,),
    "animate": (CHROMIUM,),
    "set": (CHROMIUM,),
    "remote": (CHROMIUM,),
    "use": (CHROMIUM,),
    "data": (CHROMIUM,),
    "import": (CHROMIUM,),
    "url": (CHROMIUM,),
    "escaped": (CHROMIUM,),
    "sheet": (CHROMIUM, instructions),
    "foreign-script": (CHROMIUM,),
    "event": (CHROMIUM, attributes("event")),
    "instruction": (instructions,),
    "feimage": (CHROMIUM,),
    "comment": (CHROMIUM,),
}
DETECTORS = TAILS | METADATA | DRAWINGS
