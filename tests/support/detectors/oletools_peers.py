"""oletools as detectors: macros, XLM, fields that fetch or start something, objects, relationships."""

from __future__ import annotations

import io
import logging
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import olefile
from oletools import mraptor, msodde, oleid, oleobj
from oletools.olevba import VBA_Parser
from oletools.rtfobj import RtfObjParser

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _quiet() -> Iterator[None]:
    """Oletools logs what it does not like, and olevba counts on the level that it finds."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def _named(content: bytes, ending: str = "") -> Iterator[str]:
    """The content as a file."""
    descriptor, path = tempfile.mkstemp(ending)
    try:
        os.write(descriptor, content)
        os.close(descriptor)
        yield path
    finally:
        os.unlink(path)


def macros(content: bytes) -> list[str]:
    """The code that olevba takes out and mraptor calls suspicious: starts by itself, and writes or runs something."""
    with _quiet():
        parser = VBA_Parser("document", data=content)
        try:
            codes = [code for *_, code in parser.extract_macros()] if parser.detect_vba_macros() else []
        finally:
            parser.close()
    return [code for code in codes if _suspicious(code)]


def _suspicious(code: str) -> bool:
    raptor = mraptor.MacroRaptor(code)
    raptor.scan()
    return raptor.suspicious


def macro_storage(content: bytes) -> bool:
    """Olevba says that there are macros, readable or not."""
    with _quiet():
        parser = VBA_Parser("document", data=content)
        try:
            return bool(parser.detect_vba_macros())
        finally:
            parser.close()


def fields(content: bytes) -> str:
    """What msodde lists: fields of Word, DDE links of Excel, formulas in CSV, but for fields that are known to be harmless."""
    with _quiet(), _named(content) as path:
        return "\n".join(line for line in _dde(path).splitlines() if not line.startswith(' HYPERLINK "https'))


def _dde(path: str) -> str:
    try:
        return msodde.process_file(path, msodde.FIELD_FILTER_BLACKLIST)
    except AssertionError:  # it gives up at text/html as a part
        return ""


def relationships(content: bytes) -> list[tuple[str, str]]:
    """External relationships as oleobj lists them: (type, target); ordinary links apart."""
    from oletools.ooxml import XmlParser

    with _named(content) as path:
        found = list(oleobj.find_external_relationships(XmlParser(path)))
    return [(kind, target) for kind, target in found if (kind, target[:8]) != ("hyperlink", "https://")]


def indicators(*names: str):
    """A detector: one of these indicators of oleid is raised."""

    def detector(content: bytes) -> list[str]:
        with _quiet(), _named(content) as path:
            judged = oleid.OleID(path)
            judged.check()
        return [one.id for one in judged.indicators if one.id in names and one.value not in {False, "No"}]

    return detector


def rtf_objects(content: bytes) -> list[object]:
    """What rtfobj finds."""
    with _quiet():
        parser = RtfObjParser(content)
        parser.parse()
    return parser.objects


def streams(content: bytes) -> dict[str, bytes]:
    """What olefile reads: path -> content."""
    with olefile.OleFileIO(io.BytesIO(content), raise_defects=olefile.DEFECT_INCORRECT) as file:
        return {"/".join(path): file.openstream(path).read() for path in file.listdir()}


def stream(*parts: str):
    """A detector: olefile finds a stream of which the path holds one of these words."""
    return lambda content: [path for path in streams(content) if any(part in path for part in parts)]
