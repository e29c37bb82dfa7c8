"""LibreOffice as a detector: what it reads from a document, as flat OpenDocument XML."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLAT = {"doc": "fodt", "docx": "fodt", "docm": "fodt", "odt": "fodt", "rtf": "fodt", "fodt": "fodt"}
_FLAT |= {"xls": "fods", "xlsx": "fods", "xlsm": "fods", "ods": "fods", "csv": "fods", "fods": "fods"}
_FLAT |= {"ppt": "fodp", "pptx": "fodp", "odp": "fodp", "fodp": "fodp"}


class Flat:
    """A detector that is given what LibreOffice read instead of the content."""

    def __init__(self, expression: str) -> None:
        self._expression = expression

    def __call__(self, flat: bytes) -> object:
        tree = etree.fromstring(flat, etree.XMLParser(huge_tree=True))
        return tree.xpath(self._expression, namespaces={key: value for key, value in tree.nsmap.items() if key})


@functools.cache
def _profile() -> tempfile.TemporaryDirectory[str]:
    """The settings of this process's LibreOffice: to write them anew takes a second at each start."""
    return tempfile.TemporaryDirectory(prefix="mailguard-soffice-profile-")


def converted(files: Mapping[str, tuple[bytes, str]], target: str | None = None) -> dict[str, bytes]:
    """What LibreOffice makes of files (name -> content, extension), without those that it cannot open.

    target: another format than flat XML.
    """
    made = {}
    with tempfile.TemporaryDirectory(prefix="mailguard-soffice-") as folder:
        groups: dict[str, dict[str, Path]] = {}
        for number, (name, (content, extension)) in enumerate(files.items()):
            path = Path(folder, f"{number}.{extension}")
            path.write_bytes(content)
            groups.setdefault(target or _FLAT[extension], {})[name] = path
        for ending, paths in groups.items():
            profile = f"-env:UserInstallation=file://{_profile().name}"
            command = ["soffice", profile, "--headless", "--convert-to", ending, "--outdir", f"{folder}/made"]
            subprocess.run([*command, *map(str, paths.values())], check=True, capture_output=True, timeout=280)
            for name, path in paths.items():
                result = Path(folder, "made", path.name).with_suffix("." + ending.partition(":")[0])
                if result.exists():
                    made[name] = result.read_bytes()
    return made


def fields(pattern: str) -> Flat:
    """A field of Word with this in its instruction."""
    return Flat(f"//@*[name()='field:value'][contains(., '{pattern}')]")


def text(flat: bytes) -> str:
    """All text of the document, in one line."""
    tree = etree.fromstring(flat, etree.XMLParser(huge_tree=True))
    body = tree.xpath("//*[local-name()='body']")[0]
    return " ".join("".join(body.itertext()).split())
